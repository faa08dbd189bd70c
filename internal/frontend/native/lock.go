package native

import (
	"net/http"
	"strconv"

	"github.com/holdfast-io/holdfast/internal/ingress"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// serveEvent answers POST /v1/events/{name} when the event is applied everywhere,
// and …/send when it is durable that it will be raised.
func (h *Handler) serveEvent(w http.ResponseWriter, r *http.Request, path segments) int {
	if path.count > 2 || path.count == 2 && path.escaped[1] != "send" {
		return writeError(w, unknownPath(r.URL.EscapedPath()))
	}
	if r.Method != http.MethodPost {
		return refuseMethod(w, r, http.MethodPost)
	}
	if _, err := parameters(r); err != nil {
		return writeError(w, err)
	}
	request := &msg.Request{Operation: msg.OperationRaise, Handler: path.text(0), Wait: path.count == 1}
	if err := h.readRequest(w, r, request); err != nil {
		return writeError(w, err)
	}
	reply := h.do(r.Context(), request)
	switch {
	case reply.Err != nil:
		return writeError(w, reply.Err)
	case request.Wait:
		return writeOutput(w, reply.Payload)
	}
	return writeJSON(w, http.StatusAccepted, ingress.AppendSubmitted(nil, reply.Invocation))
}

// listLocks answers GET /v1/locks[?limit=&after=].
func (h *Handler) listLocks(w http.ResponseWriter, r *http.Request) int {
	return h.operatorList(w, r, msg.OperationLocks, func(reply *msg.Reply, limit int) []byte {
		page, next := ingress.PageOfLocks(reply.Locks, limit)
		return ingress.AppendLocks(nil, page, next)
	})
}

// serveLock answers POST /v1/locks/{kind}/{key}/release[?workflow=&id=&run=].
func (h *Handler) serveLock(w http.ResponseWriter, r *http.Request, path segments) int {
	if path.count != 3 || path.escaped[2] != "release" {
		return writeError(w, unknownPath(r.URL.EscapedPath()))
	}
	if r.Method != http.MethodPost {
		return refuseMethod(w, r, http.MethodPost)
	}
	request := &msg.Request{Operation: msg.OperationRelease}
	var err *msg.Error
	if request.Target, err = path.target(); err != nil {
		return writeError(w, err)
	}
	if request.Holder, err = holder(r); err != nil {
		return writeError(w, err)
	}
	if _, err = h.readHeader(r.Header, request); err != nil {
		return writeError(w, err)
	}
	if reply := h.do(r.Context(), request); reply.Err != nil {
		return writeError(w, reply.Err)
	}
	return writeEmpty(w, http.StatusNoContent)
}

// holder reads who is to give a lock back; nobody in particular is everybody.
func holder(r *http.Request) (holder msg.Holder, err *msg.Error) {
	values, err := parameters(r, "workflow", "id", "run")
	if err != nil || len(values) == 0 {
		return holder, err
	}
	if len(values) != 3 {
		return holder, invalid("?workflow=, ?id= and ?run= name a holder together; without them, every holder gives the lock back")
	}
	run, parseErr := strconv.ParseUint(values.Get("run"), 10, 64)
	if parseErr != nil || run == 0 {
		return holder, queryError("run", values.Get("run"), "want the run that the list of locks names")
	}
	return msg.Holder{Workflow: msg.Ref{Kind: values.Get("workflow"), Key: values.Get("id")}, Run: msg.Index(run)}, nil
}

package native

import (
	"net/http"

	"github.com/holdfast-io/holdfast/internal/ingress"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// listParked answers GET /v1/parked[?limit=&after=].
func (h *Handler) listParked(w http.ResponseWriter, r *http.Request) int {
	return h.operatorList(w, r, msg.OperationParked, func(reply *msg.Reply, limit int) []byte {
		page, next := ingress.PageOfParked(reply.Parked, limit)
		return ingress.AppendParked(nil, page, next)
	})
}

// listDeadLetters answers GET /v1/dead-letters[?limit=&after=].
func (h *Handler) listDeadLetters(w http.ResponseWriter, r *http.Request) int {
	return h.operatorList(w, r, msg.OperationDeadLetters, func(reply *msg.Reply, limit int) []byte {
		page, next := ingress.PageOfDeadLetters(reply.DeadLetters, limit)
		return ingress.AppendDeadLetters(nil, page, next)
	})
}

// operatorList answers with a page of a list.
func (h *Handler) operatorList(w http.ResponseWriter, r *http.Request, operation msg.Operation, page func(*msg.Reply, int) []byte) int {
	if !isGet(r) {
		return refuseMethod(w, r, http.MethodGet, http.MethodHead)
	}
	values, err := parameters(r, "limit", "after")
	if err != nil {
		return writeError(w, err)
	}
	limit, err := listLimit(values.Get("limit"))
	if err != nil {
		return writeError(w, err)
	}
	request := &msg.Request{Operation: operation, Limit: limit + 1} // one more shows whether a page follows
	if request.After, err = ingress.ParseCursor(values.Get("after")); err != nil {
		return writeError(w, err)
	}
	if _, err = h.readHeader(r.Header, request); err != nil {
		return writeError(w, err)
	}
	reply := h.do(r.Context(), request)
	if reply.Err != nil {
		return writeError(w, reply.Err)
	}
	return writeJSON(w, http.StatusOK, page(&reply, limit))
}

// serveParked answers POST /v1/parked/{kind}/{key}/resume and …/skip.
func (h *Handler) serveParked(w http.ResponseWriter, r *http.Request, path segments) int {
	request := &msg.Request{}
	switch {
	case path.count == 3 && path.escaped[2] == "resume":
		request.Operation = msg.OperationResume
	case path.count == 3 && path.escaped[2] == "skip":
		request.Operation = msg.OperationSkip
	default:
		return writeError(w, unknownPath(r.URL.EscapedPath()))
	}
	if r.Method != http.MethodPost {
		return refuseMethod(w, r, http.MethodPost)
	}
	var err *msg.Error
	if request.Target, err = path.target(); err != nil {
		return writeError(w, err)
	}
	return h.operate(w, r, request)
}

// serveDeadLetter answers POST /v1/dead-letters/{id}/redeliver and DELETE
// /v1/dead-letters/{id}.
func (h *Handler) serveDeadLetter(w http.ResponseWriter, r *http.Request, path segments) int {
	request := &msg.Request{}
	method := http.MethodPost
	switch {
	case path.count == 1:
		request.Operation, method = msg.OperationDiscard, http.MethodDelete
	case path.count == 2 && path.escaped[1] == "redeliver":
		request.Operation = msg.OperationRedeliver
	default:
		return writeError(w, unknownPath(r.URL.EscapedPath()))
	}
	if r.Method != method {
		return refuseMethod(w, r, method)
	}
	var err *msg.Error
	if request.Invocation, err = invocationID(&path); err != nil {
		return writeError(w, err)
	}
	return h.operate(w, r, request)
}

// operate sends a request that is answered without a body.
func (h *Handler) operate(w http.ResponseWriter, r *http.Request, request *msg.Request) int {
	if _, err := parameters(r); err != nil {
		return writeError(w, err)
	}
	if _, err := h.readHeader(r.Header, request); err != nil {
		return writeError(w, err)
	}
	if reply := h.do(r.Context(), request); reply.Err != nil {
		return writeError(w, reply.Err)
	}
	return writeEmpty(w, http.StatusNoContent)
}

package native

import (
	"net/http"

	"github.com/holdfast-io/holdfast/internal/ingress"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// listParked answers GET /v1/parked.
func (h *Handler) listParked(w http.ResponseWriter, r *http.Request) int {
	reply, status := h.operatorList(w, r, msg.OperationParked)
	if status != 0 {
		return status
	}
	return writeJSON(w, http.StatusOK, ingress.AppendParked(nil, reply.Parked))
}

// listDeadLetters answers GET /v1/dead-letters.
func (h *Handler) listDeadLetters(w http.ResponseWriter, r *http.Request) int {
	reply, status := h.operatorList(w, r, msg.OperationDeadLetters)
	if status != 0 {
		return status
	}
	return writeJSON(w, http.StatusOK, ingress.AppendDeadLetters(nil, reply.DeadLetters))
}

// operatorList asks for a list. A status that is not 0 says that it has
// answered itself.
func (h *Handler) operatorList(w http.ResponseWriter, r *http.Request, operation msg.Operation) (reply msg.Reply, status int) {
	if !isGet(r) {
		return reply, refuseMethod(w, r, http.MethodGet, http.MethodHead)
	}
	if _, err := parameters(r); err != nil {
		return reply, writeError(w, err)
	}
	reply = h.door.Do(r.Context(), &msg.Request{Operation: operation})
	if reply.Err != nil {
		return reply, writeError(w, reply.Err)
	}
	return reply, 0
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

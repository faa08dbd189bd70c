package native

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/holdfast-io/holdfast/internal/ingress"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// serveInvocation answers GET /v1/invocations/{id}[?wait=30s].
func (h *Handler) serveInvocation(w http.ResponseWriter, r *http.Request, path segments) int {
	if path.count != 1 {
		return writeError(w, unknownPath(r.URL.EscapedPath()))
	}
	if !isGet(r) {
		return refuseMethod(w, r, http.MethodGet, http.MethodHead)
	}
	id, err := invocationID(&path)
	if err != nil {
		return writeError(w, err)
	}
	wait, err := h.waitParameter(r)
	if err != nil {
		return writeError(w, err)
	}
	reply := h.result(r.Context(), id, wait)
	switch {
	case reply.Status != msg.StatusUnknown:
		return writeJSON(w, http.StatusOK, ingress.AppendResult(nil, id, &reply))
	case reply.Err != nil:
		return writeError(w, reply.Err)
	default:
		return writeError(w, ingress.NoInvocation(id))
	}
}

func invocationID(path *segments) (msg.InvocationID, *msg.Error) {
	id, err := msg.ParseInvocationID(path.text(0))
	if err != nil {
		return id, invalid("%v", err)
	}
	return id, nil
}

// waitParameter reads ?wait=. A server may answer sooner than it is asked to,
// so a longer time than it allows is not an error.
func (h *Handler) waitParameter(r *http.Request) (time.Duration, *msg.Error) {
	values, err := parameters(r, "wait")
	if err != nil {
		return 0, err
	}
	return h.waitOf(values)
}

func (h *Handler) waitOf(values url.Values) (time.Duration, *msg.Error) {
	if !values.Has("wait") {
		return 0, nil
	}
	wait, ok := duration(values.Get("wait"))
	if !ok || wait < 0 {
		return 0, queryError("wait", values.Get("wait"), "want a duration such as 30s, or seconds, and not below zero")
	}
	return min(wait, h.waitMax), nil
}

// result asks for the status of an invocation, and waits for its end no longer
// than asked: then it is answered as it stands.
func (h *Handler) result(ctx context.Context, id msg.InvocationID, wait time.Duration) msg.Reply {
	if wait > 0 {
		waiting, cancel := context.WithTimeout(ctx, wait)
		defer cancel()
		reply := h.door.Do(waiting, &msg.Request{Operation: msg.OperationResult, Invocation: id, Wait: true})
		if reply.Status != msg.StatusUnknown || waiting.Err() == nil {
			return reply
		}
	}
	return h.door.Do(ctx, &msg.Request{Operation: msg.OperationResult, Invocation: id})
}

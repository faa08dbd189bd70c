package native

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/holdfast-io/holdfast/internal/ingress"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// serveEntities answers everything under /v1/entities/.
func (h *Handler) serveEntities(w http.ResponseWriter, r *http.Request, path segments) (Route, int) {
	switch {
	case path.count == 1:
		return RouteList, h.list(w, r, &path)
	case path.count == 2:
		return h.serveEntity(w, r, &path)
	case path.count == 3 && path.escaped[2] == "reminders":
		return RouteReminders, h.reminders(w, r, &path)
	case path.count == 3:
		return h.call(w, r, &path)
	case path.count == 4 && path.escaped[3] == "send":
		return RouteSubmit, h.submit(w, r, &path)
	default:
		return RouteOther, writeError(w, unknownPath(r.URL.EscapedPath()))
	}
}

// do waits for the reply no longer than until the request's deadline.
func (h *Handler) do(ctx context.Context, request *msg.Request) msg.Reply {
	if request.Deadline == 0 {
		return h.door.Do(ctx, request)
	}
	ctx, cancel := context.WithDeadline(ctx, request.Deadline.Std())
	defer cancel()
	return h.door.Do(ctx, request)
}

func (h *Handler) call(w http.ResponseWriter, r *http.Request, path *segments) (Route, int) {
	if r.Method != http.MethodPost {
		return RouteCall, refuseMethod(w, r, http.MethodPost)
	}
	route, operation, err := callOperation(r)
	if err != nil {
		return route, writeError(w, err)
	}
	request := &msg.Request{Operation: operation, Handler: path.text(2)}
	if request.Target, err = path.target(); err != nil {
		return route, writeError(w, err)
	}
	if err = h.readRequest(w, r, request); err != nil {
		return route, writeError(w, err)
	}
	reply := h.do(r.Context(), request)
	if reply.Err != nil {
		return route, writeError(w, reply.Err)
	}
	return route, writeOutput(w, reply.Payload)
}

// callOperation distinguishes a peek, which is for reads only, from a call.
func callOperation(r *http.Request) (Route, msg.Operation, *msg.Error) {
	if r.URL.RawQuery == "" {
		return RouteCall, msg.OperationCall, nil
	}
	values, err := parameters(r, "peek")
	if err != nil {
		return RouteCall, 0, err
	}
	peek, parseErr := strconv.ParseBool(values.Get("peek"))
	if parseErr != nil {
		return RouteCall, 0, queryError("peek", values.Get("peek"), "want true or false")
	}
	if !peek {
		return RouteCall, msg.OperationCall, nil
	}
	return RoutePeek, msg.OperationPeek, nil
}

func (h *Handler) submit(w http.ResponseWriter, r *http.Request, path *segments) int {
	if r.Method != http.MethodPost {
		return refuseMethod(w, r, http.MethodPost)
	}
	request := &msg.Request{Operation: msg.OperationSubmit, Handler: path.text(2)}
	var err *msg.Error
	if request.Target, err = path.target(); err != nil {
		return writeError(w, err)
	}
	if request.NotBefore, err = notBefore(r, h.now()); err != nil {
		return writeError(w, err)
	}
	if err = h.readRequest(w, r, request); err != nil {
		return writeError(w, err)
	}
	if err = beginsInTime(request); err != nil {
		return writeError(w, err)
	}
	reply := h.do(r.Context(), request)
	if reply.Err != nil {
		return writeError(w, reply.Err)
	}
	return writeJSON(w, http.StatusAccepted, ingress.AppendSubmitted(nil, reply.Invocation))
}

// beginsInTime refuses a request whose time is over before it may begin.
func beginsInTime(request *msg.Request) *msg.Error {
	if request.Deadline != 0 && request.Deadline < request.NotBefore {
		return invalid("the request must not begin before %v, but %s ends before that", request.NotBefore.Std(), headerRequestTimeout)
	}
	return nil
}

// notBefore reads ?delay= or ?at= of a request that has no other parameters.
func notBefore(r *http.Request, now time.Time) (msg.Time, *msg.Error) {
	values, err := parameters(r, "delay", "at")
	if err != nil {
		return 0, err
	}
	return begin(values, now)
}

// begin gives the time that ?delay= or ?at= name. A time in the past is now.
func begin(values url.Values, now time.Time) (msg.Time, *msg.Error) {
	if !values.Has("delay") && !values.Has("at") {
		return 0, nil
	}
	if values.Has("delay") && values.Has("at") {
		return 0, invalid("?delay= and ?at= exclude each other")
	}
	at := now
	if values.Has("delay") {
		text := values.Get("delay")
		delay, ok := duration(text)
		if !ok || delay < 0 {
			return 0, queryError("delay", text, "want a duration such as 10s or 1h30m, or seconds, and not below zero")
		}
		at = now.Add(delay)
	} else {
		text := values.Get("at")
		var parseErr error
		if at, parseErr = time.Parse(time.RFC3339Nano, text); parseErr != nil {
			return 0, queryError("at", text, "want a time as in RFC 3339, such as 2030-01-31T08:00:00Z")
		}
	}
	if at.After(ingress.Horizon.Std()) {
		return 0, invalid("the request must not begin before %s: that is after the year 2200", at.Format(time.RFC3339))
	}
	if !at.After(now) {
		return 0, nil
	}
	return msg.TimeOf(at), nil
}

// serveEntity answers what is asked about one entity as a whole.
func (h *Handler) serveEntity(w http.ResponseWriter, r *http.Request, path *segments) (Route, int) {
	route, operation := RouteInspect, msg.OperationInspect
	switch r.Method {
	case http.MethodGet:
	case http.MethodHead:
		route, operation = RouteExists, msg.OperationExists
	case http.MethodDelete:
		route, operation = RouteDelete, msg.OperationDelete
	default:
		return route, refuseMethod(w, r, http.MethodGet, http.MethodHead, http.MethodDelete)
	}
	request := &msg.Request{Operation: operation}
	var err *msg.Error
	if request.Target, err = path.target(); err != nil {
		return route, writeError(w, err)
	}
	if _, err = parameters(r); err != nil {
		return route, writeError(w, err)
	}
	if _, err = h.readHeader(r.Header, request); err != nil {
		return route, writeError(w, err)
	}
	target := request.Target
	reply := h.do(r.Context(), request)
	switch {
	case reply.Err != nil:
		return route, writeError(w, reply.Err)
	case operation == msg.OperationDelete:
		return route, writeEmpty(w, http.StatusNoContent)
	case !reply.Found:
		return route, writeError(w, ingress.NeverExisted(target))
	case operation == msg.OperationExists:
		return route, writeEmpty(w, http.StatusOK)
	default:
		return route, writeState(w, target, &reply)
	}
}

func writeState(w http.ResponseWriter, target msg.Ref, reply *msg.Reply) int {
	body, err := ingress.AppendInspect(nil, target, reply)
	if err != nil {
		return writeError(w, err)
	}
	return writeJSON(w, http.StatusOK, body)
}

func (h *Handler) list(w http.ResponseWriter, r *http.Request, path *segments) int {
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
	request := &msg.Request{
		Operation: msg.OperationList,
		Target:    msg.Ref{Kind: path.text(0)},
		After:     values.Get("after"),
		Limit:     limit + 1, // one more shows whether a page follows
	}
	if _, err = h.readHeader(r.Header, request); err != nil {
		return writeError(w, err)
	}
	reply := h.do(r.Context(), request)
	if reply.Err != nil {
		return writeError(w, reply.Err)
	}
	page, next := ingress.Page(reply.Keys, limit)
	return writeJSON(w, http.StatusOK, ingress.AppendList(nil, page, next))
}

func listLimit(text string) (int, *msg.Error) {
	if text == "" {
		return ingress.ListLimitDefault, nil
	}
	limit, err := strconv.Atoi(text)
	if err != nil || limit < 1 {
		return 0, queryError("limit", text, "want a number from 1 to %d", ingress.ListLimitMax)
	}
	return min(limit, ingress.ListLimitMax), nil
}

func (h *Handler) reminders(w http.ResponseWriter, r *http.Request, path *segments) int {
	if !isGet(r) {
		return refuseMethod(w, r, http.MethodGet, http.MethodHead)
	}
	request := &msg.Request{Operation: msg.OperationReminders}
	var err *msg.Error
	if request.Target, err = path.target(); err != nil {
		return writeError(w, err)
	}
	if _, err = parameters(r); err != nil {
		return writeError(w, err)
	}
	if _, err = h.readHeader(r.Header, request); err != nil {
		return writeError(w, err)
	}
	reply := h.do(r.Context(), request)
	if reply.Err != nil {
		return writeError(w, reply.Err)
	}
	return writeJSON(w, http.StatusOK, ingress.AppendReminders(nil, reply.Reminders))
}

package native

import (
	"context"
	"net/http"
	"time"

	"github.com/holdfast-io/holdfast/client"
	"github.com/holdfast-io/holdfast/internal/ingress"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// controls are the last segments of paths that change how a workflow goes on.
var controls = map[string]msg.Operation{
	"cancel":    msg.OperationCancel,
	"terminate": msg.OperationTerminate,
	"pause":     msg.OperationPause,
	"resume":    msg.OperationResume,
	"restart":   msg.OperationRestart,
}

// serveWorkflows answers everything under /v1/workflows/.
func (h *Handler) serveWorkflows(w http.ResponseWriter, r *http.Request, path segments) (Route, int) {
	operation, control := controls[path.escaped[2]]
	switch {
	case path.count <= 2:
		return h.serveWorkflow(w, r, &path)
	case path.count == 3 && path.escaped[2] == "history":
		return RouteHistory, h.history(w, r, &path)
	case path.count == 3 && control:
		return RouteControl, h.control(w, r, &path, operation)
	case path.count == 4 && path.escaped[2] == "signals":
		return RouteSignal, h.signal(w, r, &path)
	case path.count == 4 && path.escaped[2] == "queries":
		return RouteQuery, h.query(w, r, &path)
	default:
		return RouteOther, writeError(w, unknownPath(r.URL.EscapedPath()))
	}
}

// serveWorkflow answers /v1/workflows/{name} and /v1/workflows/{name}/{id}.
func (h *Handler) serveWorkflow(w http.ResponseWriter, r *http.Request, path *segments) (Route, int) {
	switch {
	case r.Method == http.MethodPost:
		return RouteStart, h.start(w, r, path)
	case !isGet(r):
		return RouteOther, refuseMethod(w, r, http.MethodGet, http.MethodHead, http.MethodPost)
	case path.count == 1:
		return RouteRuns, h.runs(w, r, path)
	default:
		return RouteDescribe, h.describe(w, r, path)
	}
}

// start answers POST /v1/workflows/{name}/{id}, and without an id makes one.
func (h *Handler) start(w http.ResponseWriter, r *http.Request, path *segments) int {
	request := &msg.Request{
		Operation: msg.OperationSubmit, Mode: msg.ModeWorkflow, Handler: msg.HandlerRun, Target: path.run(),
	}
	began := h.now()
	wait, err := h.startParameters(r, request)
	if err != nil {
		return writeError(w, err)
	}
	if err = h.readRequest(w, r, request); err != nil {
		return writeError(w, err)
	}
	if err = beginsInTime(request); err != nil {
		return writeError(w, err)
	}
	if request.Target.Key == "" {
		request.Target.Key = client.RunID(request.Target.Kind, request.Identity.IdempotencyKey)
	}
	started := *request // the door keeps the other
	if wait > 0 && started.OnConflict == msg.ConflictAttach {
		if reply, ended := h.throughout(r.Context(), &started, wait); ended {
			return writeStarted(w, &started, &reply)
		}
		wait = h.leftOf(wait, began)
	}
	reply := h.do(r.Context(), request)
	if reply.Err != nil {
		return writeError(w, reply.Err)
	}
	if wait > 0 && !hasEnded(&reply) {
		reply = h.ending(r.Context(), &started, reply.Invocation, wait)
	}
	return writeStarted(w, &started, &reply)
}

// throughout begins a workflow and waits for its end, no longer than asked.
func (h *Handler) throughout(ctx context.Context, start *msg.Request, wait time.Duration) (reply msg.Reply, ended bool) {
	waiting, cancel := context.WithTimeout(ctx, h.untilDeadline(start, wait))
	defer cancel()
	return ingress.Throughout(waiting, h.door, start)
}

// leftOf is what is left of a wait that began at a time.
func (h *Handler) leftOf(wait time.Duration, began time.Time) time.Duration {
	return max(0, wait-h.now().Sub(began))
}

// startParameters reads ?wait=, ?on_conflict=, and ?delay= or ?at=.
func (h *Handler) startParameters(r *http.Request, request *msg.Request) (wait time.Duration, err *msg.Error) {
	values, err := parameters(r, "wait", "on_conflict", "delay", "at")
	if err != nil {
		return 0, err
	}
	if request.OnConflict, err = ingress.ConflictPolicy(values.Get("on_conflict")); err != nil {
		return 0, err
	}
	if request.NotBefore, err = begin(values, h.now()); err != nil {
		return 0, err
	}
	if wait, err = h.waitOf(values); err == nil && wait > 0 && request.NotBefore > 0 {
		err = ingress.ErrDelayedWait
	}
	return wait, err
}

func hasEnded(reply *msg.Reply) bool {
	return reply.Workflow != nil && reply.Workflow.Status.Ended()
}

// writeStarted answers with the result if there is one. That the workflow has
// failed is not a failure of the request: it was started and waited for.
func writeStarted(w http.ResponseWriter, request *msg.Request, reply *msg.Reply) int {
	if reply.Err != nil {
		return writeError(w, reply.Err)
	}
	status := http.StatusAccepted
	if hasEnded(reply) {
		status = http.StatusOK
	}
	return writeJSON(w, status, ingress.AppendStarted(nil, request, reply))
}

// ending waits for the end of a workflow that was started. The run that a start
// replaces may not have ended yet, and its end is not what is waited for.
func (h *Handler) ending(ctx context.Context, started *msg.Request, id msg.InvocationID, wait time.Duration) msg.Reply {
	if started.OnConflict == msg.ConflictReplace {
		result := h.result(ctx, id, h.untilDeadline(started, wait))
		if result.Status == msg.StatusUnknown && result.Err != nil {
			return result
		}
		wait = 0
	}
	reply := h.standing(ctx, started, wait)
	reply.Invocation = msg.InvocationID{} // of the question
	return reply
}

// untilDeadline shortens a wait to the deadline of its request.
func (h *Handler) untilDeadline(request *msg.Request, wait time.Duration) time.Duration {
	if request.Deadline == 0 {
		return wait
	}
	return min(wait, request.Deadline.Std().Sub(h.now()))
}

// standing asks how a workflow stands, and waits for its end no longer than
// asked and no longer than until the request's deadline: then it is answered as
// it stands.
func (h *Handler) standing(ctx context.Context, request *msg.Request, wait time.Duration) msg.Reply {
	question := msg.Request{
		Operation: msg.OperationDescribe, Mode: msg.ModeWorkflow, Target: request.Target, Traceparent: request.Traceparent,
	}
	if wait = h.untilDeadline(request, wait); wait > 0 {
		waiting, cancel := context.WithTimeout(ctx, wait)
		defer cancel()
		first := question
		first.Wait = true
		reply := h.door.Do(waiting, &first)
		if reply.Workflow != nil || waiting.Err() == nil {
			return reply
		}
	}
	return h.door.Do(ctx, &question)
}

// describe answers GET /v1/workflows/{name}/{id}[?wait=30s].
func (h *Handler) describe(w http.ResponseWriter, r *http.Request, path *segments) int {
	wait, err := h.waitParameter(r)
	if err != nil {
		return writeError(w, err)
	}
	request := &msg.Request{Target: path.run()}
	if _, err = h.readHeader(r.Header, request); err != nil {
		return writeError(w, err)
	}
	reply := h.standing(r.Context(), request, wait)
	switch {
	case reply.Err != nil:
		return writeError(w, reply.Err)
	case reply.Workflow == nil:
		return writeError(w, ingress.NeverBegun(request.Target))
	}
	return writeJSON(w, http.StatusOK, ingress.AppendWorkflow(nil, request.Target, &reply))
}

// history answers GET /v1/workflows/{name}/{id}/history[?journal=true].
func (h *Handler) history(w http.ResponseWriter, r *http.Request, path *segments) int {
	if !isGet(r) {
		return refuseMethod(w, r, http.MethodGet, http.MethodHead)
	}
	values, err := parameters(r, "journal")
	if err != nil {
		return writeError(w, err)
	}
	request := &msg.Request{Operation: msg.OperationHistory, Mode: msg.ModeWorkflow, Target: path.run()}
	if _, err := h.readHeader(r.Header, request); err != nil {
		return writeError(w, err)
	}
	target := request.Target
	reply := h.do(r.Context(), request)
	switch {
	case reply.Err != nil:
		return writeError(w, reply.Err)
	case reply.Workflow == nil:
		return writeError(w, ingress.NeverBegun(target))
	}
	body, err := ingress.AppendHistory(nil, target, &reply)
	if err != nil {
		return writeError(w, err)
	}
	if values.Get("journal") == "true" {
		body = ingress.AppendJournal(body, &reply)
	}
	return writeJSON(w, http.StatusOK, body)
}

// runs answers GET /v1/workflows/{name}[?status=&limit=&after=].
func (h *Handler) runs(w http.ResponseWriter, r *http.Request, path *segments) int {
	values, err := parameters(r, "status", "limit", "after")
	if err != nil {
		return writeError(w, err)
	}
	limit, err := listLimit(values.Get("limit"))
	if err != nil {
		return writeError(w, err)
	}
	request := &msg.Request{
		Operation: msg.OperationList, Mode: msg.ModeWorkflow,
		Target: path.run(),
		Limit:  limit + 1, // one more shows whether a page follows
	}
	if request.Status, err = ingress.WorkflowStatus(values.Get("status")); err != nil {
		return writeError(w, err)
	}
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
	return writeJSON(w, http.StatusOK, ingress.AppendRuns(nil, path.text(0), &reply, limit))
}

// signal answers POST /v1/workflows/{name}/{id}/signals/{signal}.
func (h *Handler) signal(w http.ResponseWriter, r *http.Request, path *segments) int {
	if r.Method != http.MethodPost {
		return refuseMethod(w, r, http.MethodPost)
	}
	request := &msg.Request{Operation: msg.OperationSubmit, Mode: msg.ModeSignal, Handler: path.text(3), Target: path.run()}
	var err *msg.Error
	if request.NotBefore, err = notBefore(r, h.now()); err != nil {
		return writeError(w, err)
	}
	if err = h.readRequest(w, r, request); err != nil {
		return writeError(w, err)
	}
	if err = beginsInTime(request); err != nil {
		return writeError(w, err)
	}
	return h.accept(w, r, request)
}

// accept sends a request that is answered without a body once it is durable.
func (h *Handler) accept(w http.ResponseWriter, r *http.Request, request *msg.Request) int {
	if reply := h.do(r.Context(), request); reply.Err != nil {
		return writeError(w, reply.Err)
	}
	return writeEmpty(w, http.StatusAccepted)
}

// query answers POST /v1/workflows/{name}/{id}/queries/{query}.
func (h *Handler) query(w http.ResponseWriter, r *http.Request, path *segments) int {
	if r.Method != http.MethodPost {
		return refuseMethod(w, r, http.MethodPost)
	}
	if _, err := parameters(r); err != nil {
		return writeError(w, err)
	}
	request := &msg.Request{Operation: msg.OperationCall, Mode: msg.ModeQuery, Handler: path.text(3), Target: path.run()}
	if err := h.readRequest(w, r, request); err != nil {
		return writeError(w, err)
	}
	reply := h.do(r.Context(), request)
	if reply.Err != nil {
		return writeError(w, reply.Err)
	}
	return writeOutput(w, reply.Payload)
}

// control answers POST /v1/workflows/{name}/{id}/cancel and the like.
func (h *Handler) control(w http.ResponseWriter, r *http.Request, path *segments, operation msg.Operation) int {
	if r.Method != http.MethodPost {
		return refuseMethod(w, r, http.MethodPost)
	}
	if _, err := parameters(r); err != nil {
		return writeError(w, err)
	}
	request := &msg.Request{Operation: operation, Mode: msg.ModeWorkflow, Target: path.run()}
	if _, err := h.readHeader(r.Header, request); err != nil {
		return writeError(w, err)
	}
	return h.accept(w, r, request)
}

// servePromise answers POST /v1/promises/{id}/resolve and …/reject.
func (h *Handler) servePromise(w http.ResponseWriter, r *http.Request, path segments) int {
	verb := path.escaped[1]
	if path.count != 2 || verb != "resolve" && verb != "reject" {
		return writeError(w, unknownPath(r.URL.EscapedPath()))
	}
	if r.Method != http.MethodPost {
		return refuseMethod(w, r, http.MethodPost)
	}
	if _, err := parameters(r); err != nil {
		return writeError(w, err)
	}
	request := &msg.Request{Operation: msg.OperationResolve, Mode: msg.ModeWorkflow}
	var err *msg.Error
	if request.Promise, err = ingress.Promise(path.text(0)); err != nil {
		return writeError(w, err)
	}
	request.Target = request.Promise.Target
	if err = h.readRequest(w, r, request); err != nil {
		return writeError(w, err)
	}
	if verb == "reject" {
		request.Err, err = ingress.Rejection(request.Payload)
		request.Payload = msg.Payload{}
	}
	if err != nil {
		return writeError(w, err)
	}
	return h.accept(w, r, request)
}

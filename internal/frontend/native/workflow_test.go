package native

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast/client"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/program"
)

// Goal: the routes of workflows and promises ask the door for what they say, and
// answer with the status and body they say. Method: as for entities, and a door
// that lets waiting end.

var (
	seven        = msg.Ref{Kind: "transfer", Key: "7"}
	aPromise     = msg.PromiseID{Target: seven, Run: 12, Step: 3}
	aPromiseText = aPromise.String()

	running   = &msg.Workflow{Run: 12, Status: msg.WorkflowRunning, StartedAt: at(0)}
	completed = &msg.Workflow{Run: 12, Status: msg.WorkflowCompleted, StartedAt: at(0), EndedAt: at(time.Second), Output: jsonPayload("5")}
	failed    = &msg.Workflow{Run: 12, Status: msg.WorkflowFailed, StartedAt: at(0), EndedAt: at(time.Second),
		Err: &msg.Error{Code: "declined", Class: msg.ClassDenied, Message: "no"}}
)

const (
	runningText   = `{"id":"7","name":"transfer","status":"running","run":12,"started_at":"2026-03-01T12:00:00Z"}`
	completedText = `{"id":"7","name":"transfer","status":"completed","run":12,"started_at":"2026-03-01T12:00:00Z","ended_at":"2026-03-01T12:00:01Z","result":5}`
	failedText    = `{"id":"7","name":"transfer","status":"failed","run":12,"started_at":"2026-03-01T12:00:00Z","ended_at":"2026-03-01T12:00:01Z",` +
		`"error":{"class":4,"code":"declined","message":"no"}}`
)

// starting is a start of transfer 7, with a change.
func starting(change func(*msg.Request)) msg.Request {
	r := msg.Request{Operation: msg.OperationSubmit, Mode: msg.ModeWorkflow, Target: seven, Handler: msg.HandlerRun}
	if change != nil {
		change(&r)
	}
	return r
}

var startCases = []routeCase{
	{
		name: "a start passes the body and answers that it runs", method: "POST", path: "/v1/workflows/transfer/7", body: ` {"a":1} `,
		want:       starting(func(r *msg.Request) { r.Payload = jsonPayload(`{"a":1}`) }),
		wantStatus: 202, wantBody: `{"id":"7","name":"transfer","status":"running"}`,
	},
	{
		name: "a start names its invocation", method: "POST", path: "/v1/workflows/transfer/7", reply: msg.Reply{Invocation: anID},
		want:       starting(nil),
		wantStatus: 202, wantBody: `{"id":"7","name":"transfer","status":"running","invocation_id":"` + anIDText + `"}`,
	},
	{
		name: "a start with headers, timeout, trace and key", method: "POST", path: "/v1/workflows/transfer/a%2Fb",
		header: []string{"X-Holdfast-Header-Tenant", "blue", "traceparent", aTraceW3C, "Request-Timeout", "2", "Idempotency-Key", "k"},
		want: starting(func(r *msg.Request) {
			r.Target.Key, r.Headers = "a/b", []msg.Header{{Name: "tenant", Value: "blue"}}
			r.Traceparent, r.Deadline, r.Identity.IdempotencyKey = aTraceW3C, at(2*time.Second), "k"
		}),
		wantStatus: 202, wantBody: `{"id":"a/b","name":"transfer","status":"running"}`,
	},
	{
		name: "a start that must be the first", method: "POST", path: "/v1/workflows/transfer/7?on_conflict=reject", header: []string{"Holdfast-Session", aSession},
		want: starting(func(r *msg.Request) {
			r.OnConflict = msg.ConflictReject
			r.Identity = msg.Identity{Session: msg.SessionID{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, SessionNumber: 12}
		}),
		wantStatus: 202, wantBody: `{"id":"7","name":"transfer","status":"running"}`,
	},
	{
		name: "a start with another input is a conflict", method: "POST", path: "/v1/workflows/transfer/7",
		reply:      msg.Reply{Err: msg.Errorf(msg.CodeConflict, msg.ClassConflict, "transfer/7 has another input")},
		want:       starting(nil),
		wantStatus: 409, wantBody: `{"error":{"code":"conflict","message":"transfer/7 has another input"}}`,
	},
	{
		name: "a start may be delayed", method: "POST", path: "/v1/workflows/transfer/7?delay=1m&on_conflict=replace",
		want:       starting(func(r *msg.Request) { r.OnConflict, r.NotBefore = msg.ConflictReplace, at(time.Minute) }),
		wantStatus: 202, wantBody: `{"id":"7","name":"transfer","status":"scheduled"}`,
	},
	{
		name: "a start may name a time", method: "POST", path: "/v1/workflows/transfer/7?at=2026-03-01T13:00:00Z",
		want:       starting(func(r *msg.Request) { r.NotBefore = at(time.Hour) }),
		wantStatus: 202, wantBody: `{"id":"7","name":"transfer","status":"scheduled"}`,
	},
	{
		name: "a start that attaches to a run that has ended gives its result", method: "POST", path: "/v1/workflows/transfer/7?on_conflict=attach",
		reply:      msg.Reply{Workflow: completed},
		want:       starting(nil),
		wantStatus: 200, wantBody: completedText,
	},
	{
		name: "a start that attaches to a run that has failed is not a failed request", method: "POST", path: "/v1/workflows/transfer/7?wait=1s",
		reply:      msg.Reply{Workflow: failed},
		want:       starting(throughout),
		wantStatus: 200, wantBody: failedText,
	},
	{
		name: "a wait of nothing is none", method: "POST", path: "/v1/workflows/transfer/7?wait=0", reply: msg.Reply{Workflow: running},
		want:       starting(nil),
		wantStatus: 202, wantBody: runningText,
	},
}

var workflowCases = []routeCase{
	{
		name: "a description of what runs", method: "GET", path: "/v1/workflows/transfer/7", reply: msg.Reply{Found: true, Workflow: running},
		want:       msg.Request{Operation: msg.OperationDescribe, Mode: msg.ModeWorkflow, Target: seven},
		wantStatus: 200, wantBody: runningText,
	},
	{
		name: "a description of what has failed, once it has", method: "GET", path: "/v1/workflows/transfer/7?wait=30s", reply: msg.Reply{Found: true, Workflow: failed},
		want:       msg.Request{Operation: msg.OperationDescribe, Mode: msg.ModeWorkflow, Target: seven, Wait: true},
		wantStatus: 200, wantBody: failedText,
	},
	{
		name: "a description of nothing", method: "GET", path: "/v1/workflows/transfer/7",
		want:       msg.Request{Operation: msg.OperationDescribe, Mode: msg.ModeWorkflow, Target: seven},
		wantStatus: 404, wantBody: `{"error":{"code":"not_found","message":"there is no workflow transfer/7: it has not begun, or ended longer ago than it is kept"}}`,
	},
	{
		name: "a history", method: "GET", path: "/v1/workflows/transfer/7/history", header: []string{"Request-Timeout", "1s"}, reply: msg.Reply{Found: true, Workflow: running},
		want:       msg.Request{Operation: msg.OperationHistory, Mode: msg.ModeWorkflow, Target: seven, Deadline: at(time.Second)},
		wantStatus: 200, wantBody: strings.TrimSuffix(runningText, "}") + `,"entries":[]}`,
	},
	{
		name: "a history of nothing", method: "GET", path: "/v1/workflows/transfer/7/history",
		want:       msg.Request{Operation: msg.OperationHistory, Mode: msg.ModeWorkflow, Target: seven},
		wantStatus: 404, wantBody: `{"error":{"code":"not_found","message":"there is no workflow transfer/7: it has not begun, or ended longer ago than it is kept"}}`,
	},
	{
		name: "a page of runs asks for one more than it has", method: "GET", path: "/v1/workflows/transfer?status=running&limit=1&after=Ng",
		reply:      msg.Reply{Keys: []string{"7", "8"}, Workflows: []*msg.Workflow{running, running}},
		want:       msg.Request{Operation: msg.OperationList, Mode: msg.ModeWorkflow, Target: msg.Ref{Kind: "transfer"}, Status: msg.WorkflowRunning, After: "6", Limit: 2},
		wantStatus: 200, wantBody: `{"workflows":[` + runningText + `],"next":"Nw"}`,
	},
	{
		name: "the last page of runs has no next", method: "GET", path: "/v1/workflows/transfer", reply: msg.Reply{Keys: []string{"7"}, Workflows: []*msg.Workflow{completed}},
		want:       msg.Request{Operation: msg.OperationList, Mode: msg.ModeWorkflow, Target: msg.Ref{Kind: "transfer"}, Limit: 101},
		wantStatus: 200, wantBody: `{"workflows":[` + strings.Replace(completedText, `,"result":5`, "", 1) + `],"next":""}`,
	},
	{
		name: "a page of runs has a bound", method: "GET", path: "/v1/workflows/transfer?limit=5000",
		want:       msg.Request{Operation: msg.OperationList, Mode: msg.ModeWorkflow, Target: msg.Ref{Kind: "transfer"}, Limit: 1001},
		wantStatus: 200, wantBody: `{"workflows":[],"next":""}`,
	},
	{
		name: "a signal is accepted", method: "POST", path: "/v1/workflows/transfer/7/signals/approve?delay=1s", body: "true", header: []string{"Idempotency-Key", "k"},
		reply: msg.Reply{Invocation: anID},
		want: msg.Request{Operation: msg.OperationSubmit, Mode: msg.ModeSignal, Target: seven, Handler: "approve", Payload: jsonPayload("true"),
			NotBefore: at(time.Second), Identity: msg.Identity{IdempotencyKey: "k"}},
		wantStatus: 202,
	},
	{
		name: "a query is answered", method: "POST", path: "/v1/workflows/transfer/7/queries/progress", body: "1", header: []string{"Request-Timeout", "1s"},
		reply: msg.Reply{Payload: msg.Payload{ContentType: "text/csv", Body: []byte("a,b")}},
		want: msg.Request{Operation: msg.OperationCall, Mode: msg.ModeQuery, Target: seven, Handler: "progress", Payload: jsonPayload("1"),
			Deadline: at(time.Second)},
		wantStatus: 200, wantBody: "a,b",
	},
	{
		name: "a query without an answer", method: "POST", path: "/v1/workflows/transfer/7/queries/progress",
		want:       msg.Request{Operation: msg.OperationCall, Mode: msg.ModeQuery, Target: seven, Handler: "progress"},
		wantStatus: 200, wantBody: "null",
	},
}

func controlCase(verb string, operation msg.Operation) routeCase {
	return routeCase{
		name: verb, method: "POST", path: "/v1/workflows/transfer/7/" + verb, header: []string{"Idempotency-Key", "k"}, reply: msg.Reply{Found: true},
		want:       msg.Request{Operation: operation, Mode: msg.ModeWorkflow, Target: seven, Identity: msg.Identity{IdempotencyKey: "k"}},
		wantStatus: 202,
	}
}

var controlCases = []routeCase{
	controlCase("cancel", msg.OperationCancel),
	controlCase("terminate", msg.OperationTerminate),
	controlCase("pause", msg.OperationPause),
	controlCase("resume", msg.OperationResume),
	controlCase("restart", msg.OperationRestart),
}

var promiseCases = []routeCase{
	{
		name: "a promise is resolved", method: "POST", path: "/v1/promises/" + aPromiseText + "/resolve", body: "5", header: []string{"Idempotency-Key", "k"},
		want: msg.Request{Operation: msg.OperationResolve, Mode: msg.ModeWorkflow, Target: seven, Promise: aPromise, Payload: jsonPayload("5"),
			Identity: msg.Identity{IdempotencyKey: "k"}},
		wantStatus: 202,
	},
	{
		name: "a promise is rejected", method: "POST", path: "/v1/promises/" + aPromiseText + "/reject", body: `{"code":"no","class":"conflict","message":"m","detail":1}`,
		want: msg.Request{Operation: msg.OperationResolve, Mode: msg.ModeWorkflow, Target: seven, Promise: aPromise,
			Err: &msg.Error{Code: "no", Class: msg.ClassConflict, Message: "m", Detail: []byte("1")}},
		wantStatus: 202,
	},
	{
		name: "a promise is rejected without a reason", method: "POST", path: "/v1/promises/" + aPromiseText + "/reject",
		want:       msg.Request{Operation: msg.OperationResolve, Mode: msg.ModeWorkflow, Target: seven, Promise: aPromise, Err: &msg.Error{Code: "failed"}},
		wantStatus: 202,
	},
	{
		name: "a promise that was completed is not completed again", method: "POST", path: "/v1/promises/" + aPromiseText + "/resolve",
		reply:      msg.Reply{Err: msg.Errorf("already_exists", msg.ClassConflict, "the promise is completed")},
		want:       msg.Request{Operation: msg.OperationResolve, Mode: msg.ModeWorkflow, Target: seven, Promise: aPromise},
		wantStatus: 409, wantBody: `{"error":{"code":"already_exists","message":"the promise is completed"}}`,
	},
}

// TestStartMakesAnID where there is none, and the same one for the same key.
func TestStartMakesAnID(t *testing.T) {
	ids := map[string]bool{}
	for _, path := range []string{"/v1/workflows/transfer", "/v1/workflows/transfer/"} {
		door := &fakeDoor{}
		w := exchange(door, "POST", path, "1")
		var answer struct{ ID string }
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != http.StatusAccepted {
			t.Fatalf("%s: got %d %s", path, w.Code, w.Body)
		}
		if door.asked()[0].Target != (msg.Ref{Kind: "transfer", Key: answer.ID}) || len(answer.ID) != 32 {
			t.Errorf("%s: the door was asked for %s, the answer says %s", path, door.asked()[0].Target, answer.ID)
		}
		ids[answer.ID] = true
	}
	if len(ids) != 2 {
		t.Errorf("two starts have ids %v", ids)
	}
	door := &fakeDoor{}
	exchange(door, "POST", "/v1/workflows/transfer", "1", "Idempotency-Key", "k")
	if got, want := door.asked()[0].Target.Key, client.RunID("transfer", "k"); got != want {
		t.Errorf("a start with a key has id %s, want %s", got, want)
	}
}

// throughout makes a start one that waits for the end.
func throughout(r *msg.Request) { r.Operation, r.Wait = msg.OperationCall, true }

// waitingDoor begins everything and lets questions that wait go unanswered until
// their context ends.
func waitingDoor() *fakeDoor {
	return &fakeDoor{answer: func(ctx context.Context, r *msg.Request) msg.Reply {
		switch {
		case r.Operation != msg.OperationDescribe && r.Operation != msg.OperationCall:
			return msg.Reply{Invocation: anID}
		case r.Wait:
			<-ctx.Done()
			return msg.Reply{Invocation: anID, Err: msg.Errorf(msg.CodeDeadlineExceeded, msg.ClassUnavailable, "not in time")}
		}
		return msg.Reply{Workflow: running}
	}}
}

// TestWaitingEndsWithHowTheWorkflowStands: the end of the wait is not an error,
// whether the request asked for it or its deadline.
func TestWaitingEndsWithHowTheWorkflowStands(t *testing.T) {
	describe := msg.Request{Operation: msg.OperationDescribe, Mode: msg.ModeWorkflow, Target: seven}
	wait := describe
	wait.Wait = true
	for _, c := range []struct {
		method, path string
		status       int
		want         []msg.Request
	}{
		{"POST", "/v1/workflows/transfer/7?wait=1ms", 202, []msg.Request{starting(throughout), starting(nil), wait, describe}}, // the clock stands still
		{"GET", "/v1/workflows/transfer/7?wait=1ms", 200, []msg.Request{wait, describe}},
	} {
		door := waitingDoor()
		w := exchange(door, c.method, c.path, "")
		if w.Code != c.status || w.Body.String() != runningText {
			t.Errorf("%s %s: got %d %s, want %d %s", c.method, c.path, w.Code, w.Body, c.status, runningText)
		}
		if got := door.asked(); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s %s: the door was asked\n%+v, want\n%+v", c.method, c.path, got, c.want)
		}
	}
	door := waitingDoor()
	w := exchange(door, "GET", "/v1/workflows/transfer/7?wait=1h", "", "Request-Timeout", "1ms")
	if w.Code != http.StatusOK || w.Body.String() != runningText {
		t.Errorf("got %d %s, want that it runs when the deadline has come", w.Code, w.Body)
	}
}

// TestStartAndWaitGivesTheResult of a workflow that ends in time, or the error
// that asking for it came to: it has begun, so the start may be repeated.
func TestStartAndWaitGivesTheResult(t *testing.T) {
	for _, c := range []struct {
		described msg.Reply
		status    int
		body      string
	}{
		{msg.Reply{Workflow: completed, Invocation: anID}, 200, completedText},
		{msg.Reply{Workflow: failed}, 200, failedText},
		{msg.Reply{}, 202, `{"id":"7","name":"transfer","status":"running"}`},
		{msg.Reply{Err: msg.Errorf(msg.CodeUnavailable, msg.ClassUnavailable, "stopping")}, 503, `{"error":{"code":"unavailable","message":"stopping"}}`},
	} {
		door := &fakeDoor{answer: func(_ context.Context, r *msg.Request) msg.Reply {
			if r.Operation == msg.OperationDescribe {
				return c.described
			}
			return msg.Reply{}
		}}
		if w := exchange(door, "POST", "/v1/workflows/transfer/7?wait=30s", ""); w.Code != c.status || w.Body.String() != c.body {
			t.Errorf("got %d %s, want %d %s", w.Code, w.Body, c.status, c.body)
		}
	}
}

// TestStartThatReplacesWaitsForItsOwnRun: the end of the run before it is not
// the answer.
func TestStartThatReplacesWaitsForItsOwnRun(t *testing.T) {
	door := &fakeDoor{answer: func(_ context.Context, r *msg.Request) msg.Reply {
		switch r.Operation {
		case msg.OperationSubmit:
			return msg.Reply{Invocation: anID}
		case msg.OperationResult:
			return msg.Reply{Status: msg.StatusFailed, Err: failed.Err}
		}
		return msg.Reply{Workflow: failed}
	}}
	w := exchange(door, "POST", "/v1/workflows/transfer/7?wait=30s&on_conflict=replace", "")
	if w.Code != http.StatusOK || w.Body.String() != failedText {
		t.Errorf("got %d %s, want 200 %s", w.Code, w.Body, failedText)
	}
	want := []msg.Request{
		starting(func(r *msg.Request) { r.OnConflict = msg.ConflictReplace }), {Operation: msg.OperationResult, Invocation: anID, Wait: true},
		{Operation: msg.OperationDescribe, Mode: msg.ModeWorkflow, Target: seven},
	}
	if got := door.asked(); !reflect.DeepEqual(got, want) {
		t.Errorf("the door was asked\n%+v, want\n%+v", got, want)
	}
	unknown := &fakeDoor{answer: func(_ context.Context, r *msg.Request) msg.Reply {
		if r.Operation == msg.OperationResult {
			return msg.Reply{Err: msg.Errorf(msg.CodeUnavailable, msg.ClassUnavailable, "stopping")}
		}
		return msg.Reply{Invocation: anID}
	}}
	if w := exchange(unknown, "POST", "/v1/workflows/transfer/7?wait=30s&on_conflict=replace", ""); w.Code != http.StatusServiceUnavailable {
		t.Errorf("got %d %s, want 503", w.Code, w.Body)
	}
}

// TestLongWaitsAreShortened: no question is held longer than the server allows.
func TestLongWaitsAreShortened(t *testing.T) {
	door := waitingDoor()
	h := New(Config{Door: door, WaitMax: time.Millisecond})
	r := newRequest("GET", "/v1/workflows/transfer/7?wait=1000h")
	w := record(h, r)
	if w.Code != http.StatusOK || w.Body.String() != runningText {
		t.Errorf("got %d %s, want 200 %s", w.Code, w.Body, runningText)
	}
}

func TestHistoryThatIsDamaged(t *testing.T) {
	door := &fakeDoor{reply: msg.Reply{Found: true, Workflow: running, State: &msg.Snapshot{Fields: damagedJournal{}}}}
	w := exchange(door, "GET", "/v1/workflows/transfer/7/history", "")
	if w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), "entry 0 of the journal") {
		t.Errorf("got %d %s, want 500 that names the entry", w.Code, w.Body)
	}
}

// damagedJournal is a journal that no version wrote.
type damagedJournal struct{ msg.Fields }

func (damagedJournal) Items(_ string, yield func(int, []byte) bool) { yield(0, []byte{0xff}) }

// TestRoutesOfWorkflowsAreObserved: metrics tell them apart.
func TestRoutesOfWorkflowsAreObserved(t *testing.T) {
	var route Route
	h := New(Config{Door: &fakeDoor{}, Observe: func(r Route, _ int, _ time.Duration) { route = r }})
	for line, want := range map[string]Route{
		"POST /v1/workflows/a/b": RouteStart, "POST /v1/workflows/a": RouteStart, "GET /v1/workflows/a/b": RouteDescribe,
		"GET /v1/workflows/a": RouteRuns, "GET /v1/workflows/a/b/history": RouteHistory, "POST /v1/workflows/a/b/signals/c": RouteSignal,
		"POST /v1/workflows/a/b/queries/c": RouteQuery, "POST /v1/workflows/a/b/pause": RouteControl,
		"POST /v1/promises/" + aPromiseText + "/reject": RoutePromise,
	} {
		method, path, _ := strings.Cut(line, " ")
		record(h, newRequest(method, path))
		if route != want {
			t.Errorf("%s is observed as %s, want %s", line, route, want)
		}
	}
	seen := map[string]bool{}
	for route := range RouteCount {
		if seen[route.String()] || route.String() == "" {
			t.Errorf("route %d is called %q", route, route)
		}
		seen[route.String()] = true
	}
}

var transferDescription = program.Description{Kinds: []msg.Kind{{
	Name: "transfer", Form: msg.FormWorkflow, Doc: "Moves money.",
	Handlers: []msg.Handler{
		{Name: "approve", Mode: msg.ModeSignal, Input: []byte(`{"type":"boolean"}`)},
		{Name: "progress", Mode: msg.ModeQuery, Output: []byte(`{"type":"integer"}`)},
		{Name: msg.HandlerRun, Mode: msg.ModeWorkflow, Input: []byte(`{"type":"object"}`), Output: []byte(`{"type":"string"}`)},
	},
}}}

// TestOpenAPIDescribesWorkflows: a path for everything that one can be asked, and
// none of entities.
func TestOpenAPIDescribesWorkflows(t *testing.T) {
	document := documentOf(t, transferDescription)
	for _, route := range []string{
		"get /v1/workflows/transfer", "post /v1/workflows/transfer", "get /v1/workflows/transfer/{id}", "post /v1/workflows/transfer/{id}",
		"get /v1/workflows/transfer/{id}/history", "post /v1/workflows/transfer/{id}/signals/approve", "post /v1/workflows/transfer/{id}/queries/progress",
		"post /v1/workflows/transfer/{id}/cancel", "post /v1/workflows/transfer/{id}/terminate", "post /v1/workflows/transfer/{id}/pause",
		"post /v1/workflows/transfer/{id}/resume", "post /v1/workflows/transfer/{id}/restart", "post /v1/promises/{id}/resolve", "post /v1/promises/{id}/reject",
	} {
		method, path, _ := strings.Cut(route, " ")
		if document.Paths[path][method] == nil {
			t.Errorf("%s is not documented", route)
		}
	}
	for path := range document.Paths {
		if strings.HasPrefix(path, "/v1/entities/") {
			t.Errorf("%s is documented", path)
		}
	}
	var start struct {
		RequestBody struct {
			Content map[string]struct{ Schema json.RawMessage }
		}
	}
	if err := json.Unmarshal(document.Paths["/v1/workflows/transfer/{id}"]["post"], &start); err != nil || start.RequestBody.Content["application/json"].Schema == nil {
		t.Errorf("the start has no input: %v", err)
	}
}

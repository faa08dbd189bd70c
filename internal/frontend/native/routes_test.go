package native

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// Goal: every route asks the door for what DESIGN section 6 says, and answers
// with the status and body it says. Method: one request for each row, a door
// that remembers what it was asked, and no network.

var anID = msg.NewInvocationID(3, 7<<16, 9)

const (
	anIDText  = "00030000000000070000000000000009"
	aSession  = "000102030405060708090a0b0c0d0e0f-12"
	aTraceW3C = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
)

type routeCase struct {
	name   string
	method string
	path   string
	body   string
	header []string
	reply  msg.Reply

	want       msg.Request // what the door is asked
	wantStatus int
	wantBody   string
}

func (c *routeCase) run(t *testing.T) {
	door := &fakeDoor{reply: c.reply}
	w := exchange(door, c.method, c.path, c.body, c.header...)
	if w.Code != c.wantStatus || w.Body.String() != c.wantBody {
		t.Errorf("%s %s: got %d %s, want %d %s", c.method, c.path, w.Code, w.Body, c.wantStatus, c.wantBody)
	}
	asked := door.asked()
	if len(asked) != 1 || !reflect.DeepEqual(asked[0], c.want) {
		t.Errorf("%s %s: door was asked\n%+v, want\n%+v", c.method, c.path, asked, c.want)
	}
	if len(c.wantBody) > 0 && w.Header().Get("Content-Type") == "" {
		t.Errorf("%s %s: the answer has no content type", c.method, c.path)
	}
}

func at(d time.Duration) msg.Time { return msg.TimeOf(noon.Add(d)) }

func jsonPayload(body string) msg.Payload { return msg.Payload{Body: []byte(body)} }

var alice = msg.Ref{Kind: "account", Key: "alice"}

var callCases = []routeCase{
	{
		name: "a call passes the body and answers with the output", method: "POST", path: "/v1/entities/account/alice/deposit", body: "10",
		reply:      msg.Reply{Payload: jsonPayload("52")},
		want:       msg.Request{Target: alice, Handler: "deposit", Payload: jsonPayload("10")},
		wantStatus: 200, wantBody: "52",
	},
	{
		name: "a call without output answers null", method: "POST", path: "/v1/entities/account/alice/close",
		want:       msg.Request{Target: alice, Handler: "close"},
		wantStatus: 200, wantBody: "null",
	},
	{
		name: "null is for the handler to understand", method: "POST", path: "/v1/entities/account/alice/close", body: " null\n",
		want:       msg.Request{Target: alice, Handler: "close", Payload: jsonPayload("null")},
		wantStatus: 200, wantBody: "null",
	},
	{
		name: "white space around the input does not count", method: "POST", path: "/v1/entities/account/alice/deposit", body: " 10\r\n",
		header:     []string{"Content-Type", "application/x-www-form-urlencoded"},
		want:       msg.Request{Target: alice, Handler: "deposit", Payload: jsonPayload("10")},
		wantStatus: 200, wantBody: "null",
	},
	{
		name: "another content type passes both ways", method: "POST", path: "/v1/entities/account/alice/deposit", body: "\x01\x02",
		header:     []string{"Content-Type", "application/protobuf"},
		reply:      msg.Reply{Payload: msg.Payload{ContentType: "application/protobuf", Body: []byte("\x03")}},
		want:       msg.Request{Target: alice, Handler: "deposit", Payload: msg.Payload{ContentType: "application/protobuf", Body: []byte("\x01\x02")}},
		wantStatus: 200, wantBody: "\x03",
	},
	{
		name: "headers, trace, timeout and key are passed on", method: "POST", path: "/v1/entities/account/alice/deposit", body: "10",
		header: []string{
			"X-Holdfast-Header-Tenant", "blue", "x-holdfast-header-agent", "cli", "X-Other", "no", "X-Holdfast-Header-Agent", "two",
			"traceparent", aTraceW3C, "Request-Timeout", "1500ms", "Idempotency-Key", "order 7",
		},
		want: msg.Request{
			Target: alice, Handler: "deposit", Payload: jsonPayload("10"),
			Headers:     []msg.Header{{Name: "agent", Value: "cli, two"}, {Name: "tenant", Value: "blue"}},
			Traceparent: aTraceW3C, Deadline: at(1500 * time.Millisecond), Identity: msg.Identity{IdempotencyKey: "order 7"},
		},
		wantStatus: 200, wantBody: "null",
	},
	{
		name: "a session is an identity", method: "POST", path: "/v1/entities/account/alice/deposit", body: "10",
		header: []string{"Holdfast-Session", aSession, "Request-Timeout", "2"},
		want: msg.Request{
			Target: alice, Handler: "deposit", Payload: jsonPayload("10"), Deadline: at(2 * time.Second),
			Identity: msg.Identity{Session: msg.SessionID{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, SessionNumber: 12},
		},
		wantStatus: 200, wantBody: "null",
	},
	{
		name: "a trace that is not one is ignored", method: "POST", path: "/v1/entities/account/alice/close", header: []string{"traceparent", "nonsense"},
		want:       msg.Request{Target: alice, Handler: "close"},
		wantStatus: 200, wantBody: "null",
	},
	{
		name: "a key has any Unicode and slashes", method: "POST", path: "/v1/entities/account/a%2Fb%20%C3%BC%F0%9F%90%9F%25%3F/close",
		want:       msg.Request{Target: msg.Ref{Kind: "account", Key: "a/b ü🐟%?"}, Handler: "close"},
		wantStatus: 200, wantBody: "null",
	},
	{
		name: "a key may be an escaped path of dots", method: "POST", path: "/v1/entities/account/..%2F../close",
		want:       msg.Request{Target: msg.Ref{Kind: "account", Key: "../.."}, Handler: "close"},
		wantStatus: 200, wantBody: "null",
	},
	{
		name: "a peek is a call with a parameter", method: "POST", path: "/v1/entities/account/alice/balance?peek=true",
		reply:      msg.Reply{Payload: jsonPayload("7")},
		want:       msg.Request{Operation: msg.OperationPeek, Target: alice, Handler: "balance"},
		wantStatus: 200, wantBody: "7",
	},
	{
		name: "peek=false is a call", method: "POST", path: "/v1/entities/account/alice/balance?peek=false",
		want:       msg.Request{Target: alice, Handler: "balance"},
		wantStatus: 200, wantBody: "null",
	},
}

var sendCases = []routeCase{
	{
		name: "a send answers with the invocation", method: "POST", path: "/v1/entities/account/alice/deposit/send", body: "10",
		reply:      msg.Reply{Invocation: anID},
		want:       msg.Request{Operation: msg.OperationSubmit, Target: alice, Handler: "deposit", Payload: jsonPayload("10")},
		wantStatus: 202, wantBody: `{"invocation_id":"` + anIDText + `"}`,
	},
	{
		name: "a send may be delayed", method: "POST", path: "/v1/entities/account/alice/deposit/send?delay=1m30s", body: "10",
		reply:      msg.Reply{Invocation: anID},
		want:       msg.Request{Operation: msg.OperationSubmit, Target: alice, Handler: "deposit", Payload: jsonPayload("10"), NotBefore: at(90 * time.Second)},
		wantStatus: 202, wantBody: `{"invocation_id":"` + anIDText + `"}`,
	},
	{
		name: "a delay may be in seconds", method: "POST", path: "/v1/entities/account/alice/close/send?delay=30",
		want:       msg.Request{Operation: msg.OperationSubmit, Target: alice, Handler: "close", NotBefore: at(30 * time.Second)},
		wantStatus: 202, wantBody: `{"invocation_id":"00000000000000000000000000000000"}`,
	},
	{
		name: "no delay is no delay", method: "POST", path: "/v1/entities/account/alice/close/send?delay=0s",
		want:       msg.Request{Operation: msg.OperationSubmit, Target: alice, Handler: "close"},
		wantStatus: 202, wantBody: `{"invocation_id":"00000000000000000000000000000000"}`,
	},
	{
		name: "a send may name a time", method: "POST", path: "/v1/entities/account/alice/close/send?at=2026-03-01T14:00:00%2B01:00",
		want:       msg.Request{Operation: msg.OperationSubmit, Target: alice, Handler: "close", NotBefore: at(time.Hour)},
		wantStatus: 202, wantBody: `{"invocation_id":"00000000000000000000000000000000"}`,
	},
	{
		name: "a time in the past is now", method: "POST", path: "/v1/entities/account/alice/close/send?at=2020-01-01T00:00:00Z",
		want:       msg.Request{Operation: msg.OperationSubmit, Target: alice, Handler: "close"},
		wantStatus: 202, wantBody: `{"invocation_id":"00000000000000000000000000000000"}`,
	},
}

var entityCases = []routeCase{
	{
		name: "get shows the committed state", method: "GET", path: "/v1/entities/account/alice",
		reply:      msg.Reply{Found: true, Version: 17, State: &msg.Snapshot{Exists: true, Root: jsonPayload(`{"Balance":5}`)}},
		want:       msg.Request{Operation: msg.OperationInspect, Target: alice},
		wantStatus: 200, wantBody: `{"kind":"account","key":"alice","version":17,"state":{"Balance":5}}`,
	},
	{
		name: "get of what never existed", method: "GET", path: "/v1/entities/account/alice",
		want:       msg.Request{Operation: msg.OperationInspect, Target: alice},
		wantStatus: 404, wantBody: `{"error":{"code":"not_found","message":"there is no account/alice: it has never been used, or was deleted"}}`,
	},
	{
		name: "head says that it exists", method: "HEAD", path: "/v1/entities/account/alice", reply: msg.Reply{Found: true},
		want:       msg.Request{Operation: msg.OperationExists, Target: alice},
		wantStatus: 200,
	},
	{
		name: "delete", method: "DELETE", path: "/v1/entities/account/alice", header: []string{"Idempotency-Key", "k"},
		want:       msg.Request{Operation: msg.OperationDelete, Target: alice, Identity: msg.Identity{IdempotencyKey: "k"}},
		wantStatus: 204,
	},
	{
		name: "a list asks for one key more than a page has", method: "GET", path: "/v1/entities/account?limit=2&after=a%2Fb",
		reply:      msg.Reply{Keys: []string{"b", "c", "d"}},
		want:       msg.Request{Operation: msg.OperationList, Target: msg.Ref{Kind: "account"}, After: "a/b", Limit: 3},
		wantStatus: 200, wantBody: `{"entities":["b","c"],"next":"c"}`,
	},
	{
		name: "the last page has no next", method: "GET", path: "/v1/entities/account", reply: msg.Reply{Keys: []string{"b\""}},
		want:       msg.Request{Operation: msg.OperationList, Target: msg.Ref{Kind: "account"}, Limit: 101},
		wantStatus: 200, wantBody: `{"entities":["b\""],"next":""}`,
	},
	{
		name: "a page has a bound", method: "GET", path: "/v1/entities/account?limit=1000000",
		want:       msg.Request{Operation: msg.OperationList, Target: msg.Ref{Kind: "account"}, Limit: 1001},
		wantStatus: 200, wantBody: `{"entities":[],"next":""}`,
	},
	{
		name: "reminders", method: "GET", path: "/v1/entities/account/alice/reminders",
		reply: msg.Reply{Reminders: []msg.Reminder{
			{Name: "a", Handler: "expire", Due: at(0)},
			{Name: "b", Handler: "expire", Due: at(0), Schedule: msg.Schedule{Every: time.Minute}},
			{Name: "c", Handler: "expire", Due: at(0), Schedule: msg.Schedule{Cron: "0 3 * * *"}},
		}},
		want:       msg.Request{Operation: msg.OperationReminders, Target: alice},
		wantStatus: 200,
		wantBody: `{"reminders":[{"name":"a","handler":"expire","due":"2026-03-01T12:00:00Z"},` +
			`{"name":"b","handler":"expire","due":"2026-03-01T12:00:00Z","every":"1m0s"},` +
			`{"name":"c","handler":"expire","due":"2026-03-01T12:00:00Z","cron":"0 3 * * *"}]}`,
	},
}

var invocationCases = []routeCase{
	{
		name: "a completed invocation", method: "GET", path: "/v1/invocations/" + anIDText,
		reply:      msg.Reply{Status: msg.StatusCompleted, Payload: jsonPayload("5")},
		want:       msg.Request{Operation: msg.OperationResult, Invocation: anID},
		wantStatus: 200, wantBody: `{"id":"` + anIDText + `","status":"completed","result":5}`,
	},
	{
		name: "a failed invocation is not a failed request", method: "GET", path: "/v1/invocations/" + anIDText + "?wait=30s",
		reply:      msg.Reply{Status: msg.StatusFailed, Err: &msg.Error{Code: "broke", Class: msg.ClassConflict, Message: "no", Detail: []byte(`{"n":1}`)}},
		want:       msg.Request{Operation: msg.OperationResult, Invocation: anID, Wait: true},
		wantStatus: 200, wantBody: `{"id":"` + anIDText + `","status":"failed","error":{"class":3,"code":"broke","message":"no","detail":{"n":1}}}`,
	},
	{
		name: "a pending invocation", method: "GET", path: "/v1/invocations/" + anIDText + "?wait=0",
		reply:      msg.Reply{Status: msg.StatusPending},
		want:       msg.Request{Operation: msg.OperationResult, Invocation: anID},
		wantStatus: 200, wantBody: `{"id":"` + anIDText + `","status":"pending"}`,
	},
	{
		name: "an unknown invocation", method: "GET", path: "/v1/invocations/" + anIDText,
		want:       msg.Request{Operation: msg.OperationResult, Invocation: anID},
		wantStatus: 404,
		wantBody: `{"error":{"code":"not_found","message":"no invocation ` + anIDText +
			` is known: it was never sent, or its result is older than the retention time"}}`,
	},
}

var operatorCases = []routeCase{
	{
		name: "an event", method: "POST", path: "/v1/events/moved", body: `{"from":"alice"}`, header: []string{"Request-Timeout", "1"},
		want:       msg.Request{Operation: msg.OperationRaise, Handler: "moved", Payload: jsonPayload(`{"from":"alice"}`), Wait: true, Deadline: at(time.Second)},
		wantStatus: 200, wantBody: "null",
	},
	{
		name: "an event that nobody waits for", method: "POST", path: "/v1/events/moved/send", body: "1", header: []string{"Idempotency-Key", "k"},
		reply:      msg.Reply{Invocation: anID},
		want:       msg.Request{Operation: msg.OperationRaise, Handler: "moved", Payload: jsonPayload("1"), Identity: msg.Identity{IdempotencyKey: "k"}},
		wantStatus: 202, wantBody: `{"invocation_id":"` + anIDText + `"}`,
	},
	{
		name: "locks", method: "GET", path: "/v1/locks?limit=1",
		reply: msg.Reply{Locks: []msg.Lock{{Key: alice, Waiting: 2, Holders: []msg.LockHolder{
			{Holder: msg.Holder{Workflow: msg.Ref{Kind: "transfer", Key: "7"}, Run: 42}, Shared: true, Since: at(0)},
			{Holder: msg.Holder{Workflow: msg.Ref{Kind: "audit", Key: "1"}, Run: 43}, Shared: true, Since: at(0)}}},
			{Key: msg.Ref{Kind: "site", Key: "paris"}}}},
		want:       msg.Request{Operation: msg.OperationLocks, Limit: 2},
		wantStatus: 200,
		wantBody: `{"locks":[{"kind":"account","key":"alice","waiting":2,"holders":[` +
			`{"workflow":"transfer","id":"7","run":42,"shared":true,"since":"2026-03-01T12:00:00Z"},` +
			`{"workflow":"audit","id":"1","run":43,"shared":true,"since":"2026-03-01T12:00:00Z"}]}],"next":"AGFjY291bnQAYWxpY2U"}`,
	},
	{
		name: "release", method: "POST", path: "/v1/locks/account/a%2Fb/release",
		want:       msg.Request{Operation: msg.OperationRelease, Target: msg.Ref{Kind: "account", Key: "a/b"}},
		wantStatus: 204,
	},
	{
		name: "release of one holder", method: "POST", path: "/v1/locks/account/alice/release?workflow=transfer&id=7&run=42",
		want: msg.Request{Operation: msg.OperationRelease, Target: alice,
			Holder: msg.Holder{Workflow: msg.Ref{Kind: "transfer", Key: "7"}, Run: 42}},
		wantStatus: 204,
	},
	{
		name: "parked entities", method: "GET", path: "/v1/parked",
		reply:      msg.Reply{Parked: []msg.Parked{{Target: alice, Reason: "does not decode", Since: at(0), Waiting: 2}}},
		want:       msg.Request{Operation: msg.OperationParked, Limit: 101},
		wantStatus: 200,
		wantBody:   `{"parked":[{"kind":"account","key":"alice","reason":"does not decode","since":"2026-03-01T12:00:00Z","waiting":2}],"next":""}`,
	},
	{
		name: "a page of parked entities", method: "GET", path: "/v1/parked?limit=1&after=AGEAYg",
		reply:      msg.Reply{Parked: []msg.Parked{{Target: alice, Since: at(0)}, {Target: msg.Ref{Kind: "account", Key: "bob"}}}},
		want:       msg.Request{Operation: msg.OperationParked, Limit: 2, After: "\x00a\x00b"},
		wantStatus: 200,
		wantBody:   `{"parked":[{"kind":"account","key":"alice","reason":"","since":"2026-03-01T12:00:00Z","waiting":0}],"next":"AGFjY291bnQAYWxpY2U"}`,
	},
	{
		name: "a list within a time", method: "GET", path: "/v1/dead-letters?limit=5000", header: []string{"Request-Timeout", "1"},
		want:       msg.Request{Operation: msg.OperationDeadLetters, Limit: 1001, Deadline: at(time.Second)},
		wantStatus: 200, wantBody: `{"dead_letters":[],"next":""}`,
	},
	{
		name: "resume", method: "POST", path: "/v1/parked/account/a%2Fb/resume",
		want:       msg.Request{Operation: msg.OperationResume, Target: msg.Ref{Kind: "account", Key: "a/b"}},
		wantStatus: 204,
	},
	{
		name: "skip", method: "POST", path: "/v1/parked/account/alice/skip",
		want:       msg.Request{Operation: msg.OperationSkip, Target: alice},
		wantStatus: 204,
	},
	{
		name: "dead letters", method: "GET", path: "/v1/dead-letters",
		reply: msg.Reply{DeadLetters: []msg.DeadLetter{{ID: anID, Reason: "gave up", Time: at(0),
			Message: msg.Message{Target: alice, Handler: "deposit", Payload: jsonPayload("1")}, State: jsonPayload(`{"stack":["idle"],"data":{}}`)}}},
		want:       msg.Request{Operation: msg.OperationDeadLetters, Limit: 101},
		wantStatus: 200,
		wantBody: `{"dead_letters":[{"id":"` + anIDText + `","kind":"account","key":"alice","handler":"deposit",` +
			`"input":1,"reason":"gave up","time":"2026-03-01T12:00:00Z","state":{"stack":["idle"],"data":{}}}],"next":""}`,
	},
	{
		name: "redeliver", method: "POST", path: "/v1/dead-letters/" + anIDText + "/redeliver",
		want:       msg.Request{Operation: msg.OperationRedeliver, Invocation: anID},
		wantStatus: 204,
	},
	{
		name: "discard", method: "DELETE", path: "/v1/dead-letters/" + anIDText,
		want:       msg.Request{Operation: msg.OperationDiscard, Invocation: anID},
		wantStatus: 204,
	},
}

func TestRoutes(t *testing.T) {
	for _, cases := range [][]routeCase{
		callCases, sendCases, entityCases, invocationCases, operatorCases, startCases, workflowCases, controlCases, promiseCases,
	} {
		for _, c := range cases {
			t.Run(c.name, c.run)
		}
	}
}

func TestHeadSaysThatNothingExists(t *testing.T) {
	if w := exchange(&fakeDoor{}, "HEAD", "/v1/entities/account/alice", ""); w.Code != http.StatusNotFound {
		t.Errorf("got %d, want 404", w.Code)
	}
}

// TestMethodsAreRefusedWithWhatIsAllowed: a path that exists answers a method
// it does not have with 405 and Allow, and never asks the door.
func TestMethodsAreRefusedWithWhatIsAllowed(t *testing.T) {
	for _, c := range []struct{ method, path, allow string }{
		{"GET", "/v1/entities/account/alice/deposit", "POST"},
		{"PUT", "/v1/entities/account/alice/deposit/send", "POST"},
		{"POST", "/v1/entities/account/alice", "GET, HEAD, DELETE"},
		{"POST", "/v1/entities/account", "GET, HEAD"},
		{"POST", "/v1/entities/account/alice/reminders", "GET, HEAD"},
		{"DELETE", "/v1/invocations/" + anIDText, "GET, HEAD"},
		{"DELETE", "/v1/workflows/transfer/7", "GET, HEAD, POST"},
		{"PUT", "/v1/workflows/transfer", "GET, HEAD, POST"},
		{"POST", "/v1/workflows/transfer/7/history", "GET, HEAD"},
		{"GET", "/v1/workflows/transfer/7/signals/approve", "POST"},
		{"GET", "/v1/workflows/transfer/7/queries/progress", "POST"},
		{"GET", "/v1/workflows/transfer/7/cancel", "POST"},
		{"DELETE", "/v1/workflows/transfer/7/terminate", "POST"},
		{"GET", "/v1/promises/" + aPromiseText + "/resolve", "POST"},
		{"PUT", "/v1/promises/" + aPromiseText + "/reject", "POST"},
		{"POST", "/v1/parked", "GET, HEAD"},
		{"GET", "/v1/events/moved", "POST"},
		{"PUT", "/v1/events/moved/send", "POST"},
		{"POST", "/v1/locks", "GET, HEAD"},
		{"GET", "/v1/locks/account/alice/release", "POST"},
		{"GET", "/v1/parked/account/alice/resume", "POST"},
		{"PUT", "/v1/dead-letters", "GET, HEAD"},
		{"POST", "/v1/dead-letters/" + anIDText, "DELETE"},
		{"GET", "/v1/dead-letters/" + anIDText + "/redeliver", "POST"},
		{"POST", "/healthz", "GET, HEAD"},
		{"POST", "/readyz", "GET, HEAD"},
		{"POST", "/openapi.json", "GET, HEAD"},
	} {
		door := &fakeDoor{}
		w := exchange(door, c.method, c.path, "")
		if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != c.allow {
			t.Errorf("%s %s: got %d Allow %q, want 405 Allow %q", c.method, c.path, w.Code, w.Header().Get("Allow"), c.allow)
		}
		if !strings.Contains(w.Body.String(), `"code":"method_not_allowed"`) || len(door.asked()) > 0 {
			t.Errorf("%s %s: got %s, door was asked %d times", c.method, c.path, w.Body, len(door.asked()))
		}
	}
}

func TestPathsThatAreNotServed(t *testing.T) {
	for _, path := range []string{
		"/", "/v1", "/v1/entities", "/v2/entities/a/b/c", "/v1/entities/a/b/c/d", "/v1/entities/a/b/c/send/e", "/v1/entities/a/b/c/d/e/f/g",
		"/v1/namespaces/blue/entities/a/b", "/v1/invocations/" + anIDText + "/x", "/v1/parked/a/b", "/v1/parked/a/b/c", "/v1/dead-letters/a/b",
		"/v1/events/a/b", "/v1/events/a/send/b", "/v1/locks/a/b", "/v1/locks/a/b/c", "/v1/locks/a/b/release/c",
		"/metrics", "//v1/entities/a/b", "/v1/workflows", "/v1/workflows/a/b/dance", "/v1/workflows/a/b/history/c", "/v1/workflows/a/b/signals",
		"/v1/workflows/a/b/signals/c/d", "/v1/workflows/a/b/queries/c/d", "/v1/workflows/a/b/cancel/now", "/v1/promises", "/v1/promises/a",
		"/v1/promises/a/forget", "/v1/promises/a/resolve/b",
	} {
		door := &fakeDoor{}
		w := exchange(door, "POST", path, "")
		if w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), `"code":"not_found"`) || len(door.asked()) > 0 {
			t.Errorf("POST %s: got %d %s, want 404 without asking the door", path, w.Code, w.Body)
		}
	}
}

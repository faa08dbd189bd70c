package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// Goal: the operations of workflows have the form of the HTTP interface, and may
// be repeated. Method: a server that writes down what it is sent and answers as
// a test says.

func TestWorkflowsInTheFormOfTheHTTPInterface(t *testing.T) {
	at := time.Date(2030, 1, 2, 3, 4, 5, 6, time.UTC)
	run := func(o Operation, change ...func(*Request)) Request {
		r := Request{Operation: o, Kind: "transfer", Key: "t/1"}
		for _, f := range change {
			f(&r)
		}
		return r
	}
	body := func(r *Request) { r.Body = []byte("5") }
	handler := func(r *Request) { r.Handler = "approve" }
	for name, c := range map[string]struct {
		request Request
		line    string
		session bool
	}{
		"start":             {run(Start, body), "POST /v1/workflows/transfer/t%2F1 5", false},
		"start and attach":  {run(Start, func(r *Request) { r.OnConflict = "attach" }), "POST /v1/workflows/transfer/t%2F1?on_conflict=attach ", false},
		"start or refuse":   {run(Start, func(r *Request) { r.OnConflict = "reject" }), "POST /v1/workflows/transfer/t%2F1?on_conflict=reject ", true},
		"start and replace": {run(Start, func(r *Request) { r.OnConflict = "replace" }), "POST /v1/workflows/transfer/t%2F1?on_conflict=replace ", true},
		"start later":       {run(Start, func(r *Request) { r.Delay = time.Minute }), "POST /v1/workflows/transfer/t%2F1?delay=1m0s ", false},
		"start at":          {run(Start, func(r *Request) { r.NotBefore = at }), "POST /v1/workflows/transfer/t%2F1?at=2030-01-02T03%3A04%3A05.000000006Z ", false},
		"start and wait":    {run(Start, body, func(r *Request) { r.Wait = true }), "POST /v1/workflows/transfer/t%2F1?wait=30s 5", false},
		"keyed start":       {Request{Operation: Start, Kind: "transfer", IdempotencyKey: "k"}, "POST /v1/workflows/transfer/" + RunID("transfer", "k") + " ", false},
		"signal":            {run(Signal, handler, body), "POST /v1/workflows/transfer/t%2F1/signals/approve 5", true},
		"keyed signal":      {run(Signal, handler, func(r *Request) { r.IdempotencyKey = "k" }), "POST /v1/workflows/transfer/t%2F1/signals/approve ", false},
		"signal later":      {run(Signal, handler, func(r *Request) { r.Delay = time.Second }), "POST /v1/workflows/transfer/t%2F1/signals/approve?delay=1s ", true},
		"query":             {run(Query, handler, body), "POST /v1/workflows/transfer/t%2F1/queries/approve 5", false},
		"describe":          {run(Describe), "GET /v1/workflows/transfer/t%2F1 ", false},
		"describe at end":   {run(Describe, func(r *Request) { r.Wait = true }), "GET /v1/workflows/transfer/t%2F1?wait=30s ", false},
		"history":           {run(History), "GET /v1/workflows/transfer/t%2F1/history ", false},
		"list":              {Request{Operation: ListRuns, Kind: "transfer"}, "GET /v1/workflows/transfer ", false},
		"page of failed":    {Request{Operation: ListRuns, Kind: "transfer", Status: "failed", After: "x", Limit: 7}, "GET /v1/workflows/transfer?after=x&limit=7&status=failed ", false},
		"cancel":            {run(Cancel), "POST /v1/workflows/transfer/t%2F1/cancel ", true},
		"terminate":         {run(Terminate), "POST /v1/workflows/transfer/t%2F1/terminate ", true},
		"pause":             {run(Pause), "POST /v1/workflows/transfer/t%2F1/pause ", true},
		"resume":            {run(Resume), "POST /v1/workflows/transfer/t%2F1/resume ", true},
		"restart":           {run(Restart), "POST /v1/workflows/transfer/t%2F1/restart ", true},
		"keyed restart":     {run(Restart, func(r *Request) { r.IdempotencyKey = "k" }), "POST /v1/workflows/transfer/t%2F1/restart ", false},
		"resolve":           {Request{Operation: Resolve, Promise: "abc", Body: []byte("5")}, "POST /v1/promises/abc/resolve 5", true},
		"raise":             {Request{Operation: Raise, Handler: "moved", Body: []byte("5"), Refs: []Ref{{"a", "k"}}}, "POST /v1/events/moved 5", true},
		"raise and go on":   {Request{Operation: Raise, Handler: "moved", OneWay: true, IdempotencyKey: "k"}, "POST /v1/events/moved/send ", false},
		"reject":            {Request{Operation: Reject, Promise: "abc", Body: []byte(`{}`)}, "POST /v1/promises/abc/reject {}", true},
		"list of no entity": {Request{Operation: List, Kind: "a", Status: "failed"}, "GET /v1/entities/a ", false},
		"delay over time":   {Request{Operation: Submit, Kind: "a", Key: "k", Handler: "h", Delay: 1, NotBefore: at}, "POST /v1/entities/a/k/h/send?delay=1ns ", true},
	} {
		t.Run(name, func(t *testing.T) {
			var got seen
			conn := serve(t, func(w http.ResponseWriter, r *http.Request) {
				got = see(r)
				_, _ = io.WriteString(w, `{"id":"t/1","status":"completed"}`)
			})
			if _, err := conn.Invoke(context.Background(), c.request); err != nil {
				t.Fatal(err)
			}
			if line := got.method + " " + got.uri + " " + got.body; line != c.line {
				t.Errorf("sent %q, want %q", line, c.line)
			}
			if has := got.header.Get("Holdfast-Session") != ""; has != c.session {
				t.Errorf("session %q, want one: %v", got.header.Get("Holdfast-Session"), c.session)
			}
			if got.header.Get("Idempotency-Key") != c.request.IdempotencyKey {
				t.Errorf("idempotency key %q", got.header.Get("Idempotency-Key"))
			}
		})
	}
}

func TestWorkflowsThatCannotBeNamed(t *testing.T) {
	for name, r := range map[string]Request{
		"no workflow":         {Operation: Describe, Key: "k"},
		"workflow ..":         {Operation: ListRuns, Kind: ".."},
		"no id":               {Operation: Describe, Kind: "w"},
		"id .":                {Operation: Start, Kind: "w", Key: "."},
		"no id of a signal":   {Operation: Signal, Kind: "w", Handler: "s"},
		"no signal":           {Operation: Signal, Kind: "w", Key: "k"},
		"no id of a query":    {Operation: Query, Kind: "w", Handler: "q"},
		"no query":            {Operation: Query, Kind: "w", Key: "k"},
		"no id of a history":  {Operation: History, Kind: "w"},
		"no id to cancel":     {Operation: Cancel, Kind: "w"},
		"no promise":          {Operation: Resolve},
		"a header that is no": {Operation: Cancel, Kind: "w", Key: "k", Header: map[string]string{"a": "\n"}},
		"a namespace":         {Operation: Cancel, Kind: "w", Key: "k", Namespace: "n"},
	} {
		conn := serve(t, func(http.ResponseWriter, *http.Request) { t.Errorf("%s: the server was asked", name) })
		_, err := conn.Invoke(context.Background(), r)
		var e *Error
		if !errors.As(err, &e) || e.Code != msg.CodeInvalidArgument {
			t.Errorf("%s: got %v, want invalid_argument", name, err)
		}
	}
}

// TestStartWithoutAnIDIsRepeatedAsOne: the id is made once, before the first
// attempt, however many there are.
func TestStartWithoutAnIDIsRepeatedAsOne(t *testing.T) {
	var paths []string
	conn := serve(t, func(w http.ResponseWriter, r *http.Request) {
		paths = append(paths, r.URL.Path)
		if len(paths) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintf(w, `{"id":%q,"status":"completed","invocation_id":"7"}`, r.URL.Path)
	})
	reply, err := conn.Invoke(context.Background(), Request{Operation: Start, Kind: "w", Wait: true})
	if err != nil || reply.InvocationID != "7" {
		t.Fatalf("got %+v, %v", reply, err)
	}
	if len(paths) != 2 || paths[0] != paths[1] || len(paths[0]) != len("/v1/workflows/w/")+32 {
		t.Errorf("the server was asked for %q, want the same id of 32 digits twice", paths)
	}
	if RunID("w", "") == RunID("w", "") || RunID("w", "k") != RunID("w", "k") || RunID("w", "k") == RunID("v", "k") {
		t.Error("ids are random without a key, and with one the same for a workflow and key")
	}
}

// TestWaitingGoesOnUntilTheEnd: a server that lets go of the question is asked
// again, how the workflow stands and not to begin it.
func TestWaitingGoesOnUntilTheEnd(t *testing.T) {
	for _, operation := range []Operation{Start, Describe} {
		var lines []string
		conn := serve(t, func(w http.ResponseWriter, r *http.Request) {
			got := see(r)
			lines = append(lines, got.method+" "+got.uri)
			if len(lines) < 3 {
				w.WriteHeader(http.StatusAccepted)
				_, _ = io.WriteString(w, `{"id":"k","status":"running"}`)
				return
			}
			_, _ = io.WriteString(w, `{"id":"k","status":"failed"}`)
		})
		reply, err := conn.Invoke(context.Background(), Request{Operation: operation, Kind: "w", Key: "k", Wait: true})
		if err != nil || string(reply.Body) != `{"id":"k","status":"failed"}` {
			t.Fatalf("%s: got %s, %v, want the end, which is no error", operation, reply.Body, err)
		}
		first := "GET /v1/workflows/w/k?wait=30s"
		if operation == Start {
			first = "POST /v1/workflows/w/k?wait=30s"
		}
		if want := []string{first, "GET /v1/workflows/w/k?wait=30s", "GET /v1/workflows/w/k?wait=30s"}; !reflect.DeepEqual(lines, want) {
			t.Errorf("%s: sent %q, want %q", operation, lines, want)
		}
	}
}

// TestWaitingEndsWithTheContext, and with an error of the server.
func TestWaitingEndsWithTheContext(t *testing.T) {
	asked := 0
	ctx, cancel := context.WithCancel(context.Background())
	conn := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if asked++; asked == 2 {
			cancel()
			<-r.Context().Done()
			return
		}
		_, _ = io.WriteString(w, `{"status":"running"}`)
	})
	_, err := conn.Invoke(ctx, Request{Operation: Start, Kind: "w", Key: "k", Wait: true})
	var e *Error
	if !errors.Is(err, context.Canceled) || !errors.As(err, &e) || asked != 2 {
		t.Errorf("got %v after %d questions, want the end of the context", err, asked)
	}

	asked = 0
	conn = serve(t, func(w http.ResponseWriter, r *http.Request) {
		if asked++; asked == 2 {
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"error":{"code":"not_found","message":"m"}}`)
			return
		}
		_, _ = io.WriteString(w, `{"status":"running"}`)
	})
	_, err = conn.Invoke(context.Background(), Request{Operation: Describe, Kind: "w", Key: "k", Wait: true})
	if !errors.As(err, &e) || e.Code != msg.CodeNotFound || asked != 2 {
		t.Errorf("got %v after %d questions, want not_found after 2", err, asked)
	}
}

// TestWhatChangesAWorkflowIsDoneOnce: an answer that was lost is asked for with
// the same identity.
func TestWhatChangesAWorkflowIsDoneOnce(t *testing.T) {
	for _, r := range []Request{
		{Operation: Start, Kind: "w", Key: "k", OnConflict: "replace"}, {Operation: Signal, Kind: "w", Key: "k", Handler: "s"},
		{Operation: Cancel, Kind: "w", Key: "k"}, {Operation: Terminate, Kind: "w", Key: "k"}, {Operation: Pause, Kind: "w", Key: "k"},
		{Operation: Resume, Kind: "w", Key: "k"}, {Operation: Restart, Kind: "w", Key: "k"},
		{Operation: Resolve, Promise: "p"}, {Operation: Reject, Promise: "p"},
	} {
		var sessions []string
		conn := serve(t, func(w http.ResponseWriter, request *http.Request) {
			sessions = append(sessions, request.Header.Get("Holdfast-Session"))
			if len(sessions) == 1 {
				connection, _, err := w.(http.Hijacker).Hijack()
				if err == nil {
					_ = connection.Close()
				}
				return
			}
			w.WriteHeader(http.StatusAccepted)
			_, _ = io.WriteString(w, `{}`)
		})
		if _, err := conn.Invoke(context.Background(), r); err != nil {
			t.Errorf("%s: %v", r.Operation, err)
		}
		if len(sessions) != 2 || sessions[0] != sessions[1] || !strings.HasSuffix(sessions[0], "-1") {
			t.Errorf("%s: sessions %q, want one number twice", r.Operation, sessions)
		}
	}
}

// TestDeadlineOfTheContextIsSentWithQueriesOnly: what goes on without its caller
// has no deadline that it did not ask for.
func TestDeadlineOfTheContextIsSentWithQueriesOnly(t *testing.T) {
	var got http.Header
	conn := serve(t, func(w http.ResponseWriter, r *http.Request) { got = r.Header; _, _ = io.WriteString(w, `{}`) })
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for operation, want := range map[Operation]bool{Query: true, Start: false, Signal: false, Cancel: false, Describe: false} {
		if _, err := conn.Invoke(ctx, Request{Operation: operation, Kind: "k", Key: "k", Handler: "h"}); err != nil {
			t.Fatal(err)
		}
		if has := got.Get("Request-Timeout") != ""; has != want {
			t.Errorf("%s: timeout %q", operation, got.Get("Request-Timeout"))
		}
	}
	if _, err := conn.Invoke(ctx, Request{Operation: Start, Kind: "k", Key: "k", Deadline: time.Now().Add(time.Second)}); err != nil || got.Get("Request-Timeout") == "" {
		t.Errorf("a deadline of a start is sent as %q, %v", got.Get("Request-Timeout"), err)
	}
}

package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/client"
	"github.com/holdfast-io/holdfast/internal/ingress"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/program"
)

// Goal: what can be asked of a workflow from outside has its effect, over HTTP
// and in process. Method: a whole server with a program that is written by hand.

// approvals serves a workflow of two steps: a promise that the outside
// completes, and a timer that is due at once. Its output is what the promise
// came to. The signal "approve" ends it, and asking it to stop does, too; the
// query "steps" counts its steps.
type approvals struct{}

var _ program.Program = approvals{}

func (approvals) Describe() program.Description {
	return program.Description{App: "approvals", CodeVersion: "v1", Kinds: []msg.Kind{
		{Name: "approval", Form: msg.FormWorkflow, Handlers: []msg.Handler{
			{Name: "approve", Mode: msg.ModeSignal}, {Name: msg.HandlerRun, Mode: msg.ModeWorkflow}, {Name: "steps", Mode: msg.ModeQuery},
		}},
		{Name: "clerk", Handlers: []msg.Handler{{Name: "hire", Mode: msg.ModeUpdate}}},
	}}
}

func (approvals) Perform(_ context.Context, t *msg.TaskRun, _ func(msg.Payload)) *msg.TaskOutcome {
	return program.NotServed(t, "approvals")
}

func (approvals) Turn(_ context.Context, t *msg.Turn) *msg.Outcome {
	o := &msg.Outcome{Run: t.Run}
	told, steps := journalOf(t)
	switch {
	case t.Mode == msg.ModeQuery:
		o.Output.Body = fmt.Append(nil, steps)
	case t.Mode == msg.ModeWorkflow:
		for i := range t.Deliveries {
			answer(o, t, told, &t.Deliveries[i])
			told = append(told, t.Deliveries[i])
		}
	}
	return o
}

// journalOf is what a workflow was told before, and how many steps it took.
func journalOf(t *msg.Turn) (told []msg.Delivery, steps int) {
	if t.State.Fields == nil {
		return nil, 0
	}
	t.State.Fields.Items(msg.JournalField, func(_ int, item []byte) bool {
		entry, err := msg.DecodeEntry(item)
		told, steps = append(told, entry.Deliveries...), steps+len(entry.Steps)
		return err == nil
	})
	return told, steps
}

// answer is what the workflow does when it is told something.
func answer(o *msg.Outcome, t *msg.Turn, before []msg.Delivery, d *msg.Delivery) {
	switch {
	case d.Kind == msg.DeliveryStart:
		o.Steps = append(o.Steps, msg.Step{Kind: msg.StepPromise, Name: "approval"})
		o.Promises = append(o.Promises, 1)
	case d.Kind == msg.DeliverySignal:
		o.Ended, o.Output = true, d.Payload
	case d.Kind == msg.DeliveryCancel:
		o.Ended, o.Err = true, msg.Errorf(msg.CodeCancelled, msg.ClassConflict, "it was asked to stop")
	case d.Step == 1 && d.Err != nil:
		o.Ended, o.Err = true, d.Err
	case d.Step == 1:
		o.Steps = append(o.Steps, msg.Step{Kind: msg.StepTimer})
		o.Remind = append(o.Remind, msg.Reminder{Name: "2", Due: t.Now})
	case d.Step == 2:
		for i := range before {
			if before[i].Step == 1 {
				o.Ended, o.Output = true, before[i].Payload
			}
		}
	}
}

func serveApprovals(t *testing.T, dir string) *runningServer {
	t.Helper()
	return startServer(t, Config{WithoutApp: true, DataDir: dir, Partitions: 4}, func(s *Server) {
		s.program = approvals{}
		s.gate = newGate(s.program.Describe(), s.metrics.request)
		s.client = holdfast.NewClient(ingress.NewConn(s.gate))
	}).waitReady()
}

// standing is how a workflow stands.
type standing struct {
	ID, Status         string
	CodeVersion        string `json:"code_version"`
	Result             json.RawMessage
	Error              *struct{ Code, Message string }
	Paused, Cancelling bool
	Promises           []struct{ ID string }
	Entries            []struct {
		Steps []struct {
			Kind    string
			Outcome *struct{ Result json.RawMessage }
		}
	}
}

// door is one of the ways to a server.
type door struct {
	t    *testing.T
	conn client.Conn
}

// ask asks about workflow approval and gives how it stands.
func (d *door) ask(r client.Request) (s standing) {
	d.t.Helper()
	reply, err := d.try(r)
	if err != nil {
		d.t.Fatalf("%s of %s: %v", r.Operation, r.Key, err)
	}
	if len(reply.Body) > 0 && json.Unmarshal(reply.Body, &s) != nil && r.Operation != client.Query {
		d.t.Fatalf("%s of %s: got %s", r.Operation, r.Key, reply.Body)
	}
	return s
}

func (d *door) try(r client.Request) (client.Reply, error) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), 20*time.Second)
	defer cancel()
	if r.Kind == "" && r.Promise == "" {
		r.Kind = "approval"
	}
	return d.conn.Invoke(ctx, r)
}

// refused is the code with which a request is refused.
func (d *door) refused(r client.Request, code string) {
	d.t.Helper()
	_, err := d.try(r)
	var failed *client.Error
	if !errors.As(err, &failed) || failed.Code != code {
		d.t.Errorf("%s of %s: got %v, want %s", r.Operation, r.Key, err, code)
	}
}

// becomes waits until a workflow has ended, and checks how.
func (d *door) becomes(id, status, result string) standing {
	d.t.Helper()
	s := d.ask(client.Request{Operation: client.Describe, Key: id, Wait: true})
	if s.ID != id || s.Status != status || string(s.Result) != result {
		d.t.Errorf("%s: got %+v, want %s with %s", id, s, status, result)
	}
	return s
}

// eachDoor runs a test over HTTP and in process.
func eachDoor(t *testing.T, test func(d *door, s *runningServer)) {
	for _, name := range []string{"HTTP", "in process"} {
		t.Run(name, func(t *testing.T) {
			s := serveApprovals(t, t.TempDir())
			d := &door{t, s.Client().Conn()}
			if name == "HTTP" {
				d.conn = client.HTTP(s.Addr(), client.WithHTTPClient(&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}))
			}
			test(d, s)
			if err := s.end(); err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	}
}

// TestAWorkflowIsWaitedForAndCompletedFromOutside, and can be begun again as
// often as one likes.
func TestAWorkflowIsWaitedForAndCompletedFromOutside(t *testing.T) {
	eachDoor(t, func(d *door, _ *runningServer) {
		begin := client.Request{Operation: client.Start, Key: "a/1", Body: []byte(`{"n":1}`)}
		if s := d.ask(begin); s.ID != "a/1" || s.Status != "running" || s.CodeVersion != "v1" {
			t.Errorf("the start is answered with %+v", s)
		}
		ended := make(chan standing, 1)
		go func() {
			again := begin
			again.Wait = true
			ended <- d.ask(again)
		}()
		s := d.ask(client.Request{Operation: client.Describe, Key: "a/1"})
		if s.Status != "running" || s.CodeVersion != "v1" {
			t.Errorf("it stands as %+v", s)
		}
		promise := promiseOf(d, "a/1")
		d.ask(client.Request{Operation: client.Resolve, Promise: promise, Body: []byte(`"yes"`)})
		if s := <-ended; s.Status != "completed" || string(s.Result) != `"yes"` {
			t.Errorf("who waited got %+v", s)
		}
		d.becomes("a/1", "completed", `"yes"`)
		if s := d.ask(begin); s.Status != "completed" || string(s.Result) != `"yes"` {
			t.Errorf("a start of what has ended is answered with %+v", s)
		}
		d.refused(client.Request{Operation: client.Resolve, Promise: promise, Body: []byte(`"no"`)}, msg.CodeConflict)
		history := d.ask(client.Request{Operation: client.History, Key: "a/1"})
		if len(history.Entries) != 3 || len(history.Entries[0].Steps) != 1 || string(history.Entries[0].Steps[0].Outcome.Result) != `"yes"` ||
			history.Entries[1].Steps[0].Kind != "timer" {
			t.Errorf("its history is %+v", history.Entries)
		}
	})
}

// promiseOf waits until a workflow has made its promise.
func promiseOf(d *door, id string) string {
	d.t.Helper()
	for {
		if s := d.ask(client.Request{Operation: client.Describe, Key: id}); len(s.Promises) > 0 {
			return s.Promises[0].ID
		}
		if d.t.Context().Err() != nil {
			d.t.Fatal("it makes no promise")
		}
	}
}

func TestAPromiseIsRejectedFromOutside(t *testing.T) {
	eachDoor(t, func(d *door, _ *runningServer) {
		d.ask(client.Request{Operation: client.Start, Key: "1"})
		d.ask(client.Request{Operation: client.Reject, Promise: promiseOf(d, "1"), Body: []byte(`{"code":"declined","class":"denied","message":"no"}`)})
		if s := d.becomes("1", "failed", ""); s.Error == nil || s.Error.Code != "declined" {
			t.Errorf("it has failed with %+v", s.Error)
		}
	})
}

func TestSignalsQueriesAndTheEnd(t *testing.T) {
	eachDoor(t, func(d *door, _ *runningServer) {
		d.ask(client.Request{Operation: client.Signal, Key: "early", Handler: "approve", Body: []byte("1")})
		d.refused(client.Request{Operation: client.Query, Key: "early", Handler: "steps"}, msg.CodeNotFound)
		d.ask(client.Request{Operation: client.Start, Key: "early"})
		d.becomes("early", "completed", "1")

		d.ask(client.Request{Operation: client.Start, Key: "1"})
		promiseOf(d, "1")
		if reply, err := d.try(client.Request{Operation: client.Query, Key: "1", Handler: "steps"}); err != nil || string(reply.Body) != "1" {
			t.Errorf("the query is answered with %s, %v", reply.Body, err)
		}
		d.ask(client.Request{Operation: client.Signal, Key: "1", Handler: "approve", Body: []byte("2")})
		d.becomes("1", "completed", "2")
		d.refused(client.Request{Operation: client.Signal, Key: "1", Handler: "approve"}, msg.CodeConflict)
		if reply, err := d.try(client.Request{Operation: client.Query, Key: "1", Handler: "steps"}); err != nil || string(reply.Body) != "1" {
			t.Errorf("a workflow that has ended answers %s, %v", reply.Body, err)
		}
	})
}

func TestWorkflowsAreStoppedPausedAndBegunAgain(t *testing.T) {
	eachDoor(t, func(d *door, _ *runningServer) {
		of := func(o client.Operation, id string) client.Request { return client.Request{Operation: o, Key: id} }
		d.ask(of(client.Start, "cancelled"))
		d.ask(of(client.Cancel, "cancelled"))
		d.becomes("cancelled", "cancelled", "")
		d.ask(of(client.Cancel, "cancelled")) // again changes nothing

		d.ask(of(client.Start, "terminated"))
		d.ask(of(client.Terminate, "terminated"))
		d.becomes("terminated", "terminated", "")
		d.ask(of(client.Restart, "terminated"))
		if s := d.ask(of(client.Describe, "terminated")); s.Status != "running" {
			t.Errorf("a workflow that was begun again stands as %+v", s)
		}

		d.ask(of(client.Start, "paused"))
		promise := promiseOf(d, "paused")
		d.ask(of(client.Pause, "paused"))
		d.ask(client.Request{Operation: client.Resolve, Promise: promise, Body: []byte("3")})
		if s := d.ask(of(client.Describe, "paused")); s.Status != "running" || !s.Paused {
			t.Errorf("a paused workflow stands as %+v", s)
		}
		d.ask(of(client.Resume, "paused"))
		d.becomes("paused", "completed", "3")

		for _, operation := range []client.Operation{client.Describe, client.History, client.Cancel, client.Terminate, client.Pause, client.Resume, client.Restart} {
			d.refused(of(operation, "nobody"), msg.CodeNotFound)
		}
		d.refused(of(client.Pause, "cancelled"), msg.CodeConflict)
	})
}

func TestStartsThatMeetARun(t *testing.T) {
	eachDoor(t, func(d *door, _ *runningServer) {
		begin := func(body, policy string) client.Request {
			return client.Request{Operation: client.Start, Key: "1", Body: []byte(body), OnConflict: policy}
		}
		d.ask(begin("1", ""))
		first := promiseOf(d, "1")
		d.ask(begin("1", "attach"))
		d.refused(begin("2", ""), msg.CodeConflict)
		d.refused(begin("1", "reject"), msg.CodeAlreadyExists)
		d.refused(begin("1", "dance"), msg.CodeInvalidArgument)
		d.ask(begin("2", "replace"))
		second := promiseOf(d, "1")
		for second == first {
			second = promiseOf(d, "1")
		}
		d.refused(client.Request{Operation: client.Resolve, Promise: first}, msg.CodeConflict)
		ended := make(chan standing, 1)
		go func() {
			third := begin("3", "replace")
			third.Wait = true
			ended <- d.ask(third)
		}()
		third := promiseOf(d, "1")
		for third == second {
			third = promiseOf(d, "1")
		}
		d.ask(client.Request{Operation: client.Resolve, Promise: third, Body: []byte("33")})
		if s := <-ended; s.Status != "completed" || string(s.Result) != "33" {
			t.Errorf("who began the third run got %+v, want how that ended", s)
		}
	})
}

func TestRunsAreListedByStatusAndPage(t *testing.T) {
	eachDoor(t, func(d *door, _ *runningServer) {
		for i := range 7 {
			d.ask(client.Request{Operation: client.Start, Key: fmt.Sprint(i)})
		}
		for _, id := range []string{"2", "5"} {
			d.ask(client.Request{Operation: client.Terminate, Key: id})
		}
		for status, want := range map[string]string{"": "0 1 2 3 4 5 6", "running": "0 1 3 4 6", "terminated": "2 5", "completed": ""} {
			var ids []string
			for after, pages := "", 0; pages == 0 || after != ""; pages++ {
				reply, err := d.try(client.Request{Operation: client.ListRuns, Status: status, Limit: 2, After: after})
				if err != nil {
					t.Fatal(err)
				}
				var page struct {
					Workflows []standing
					Next      string
				}
				if err := json.Unmarshal(reply.Body, &page); err != nil || len(page.Workflows) > 2 {
					t.Fatalf("got %s, %v", reply.Body, err)
				}
				for _, run := range page.Workflows {
					ids = append(ids, run.ID)
				}
				after = page.Next
			}
			if got := strings.Join(ids, " "); got != want {
				t.Errorf("runs that are %q: got %s, want %s", status, got, want)
			}
		}
	})
}

// TestWorkflowsAndEntitiesAreNotTakenForEachOther.
func TestWorkflowsAndEntitiesAreNotTakenForEachOther(t *testing.T) {
	eachDoor(t, func(d *door, _ *runningServer) {
		d.refused(client.Request{Kind: "approval", Key: "1", Handler: "run"}, msg.CodeNotFound)
		d.refused(client.Request{Operation: client.Submit, Kind: "approval", Key: "1", Handler: "approve"}, msg.CodeNotFound)
		d.refused(client.Request{Operation: client.Inspect, Kind: "approval", Key: "1"}, msg.CodeNotFound)
		d.refused(client.Request{Operation: client.Delete, Kind: "approval", Key: "1"}, msg.CodeNotFound)
		d.refused(client.Request{Operation: client.Start, Kind: "clerk", Key: "1"}, msg.CodeNotFound)
		d.refused(client.Request{Operation: client.Describe, Kind: "clerk", Key: "1"}, msg.CodeNotFound)
		d.refused(client.Request{Operation: client.Start, Kind: "aproval", Key: "1"}, msg.CodeNotFound)
		d.refused(client.Request{Operation: client.Signal, Key: "1", Handler: "steps"}, msg.CodeNotFound)
		d.refused(client.Request{Operation: client.Query, Key: "1", Handler: "approve"}, msg.CodeNotFound)
	})
}

// TestWorkflowsSurviveARestart: who waits over HTTP asks the next process.
func TestWorkflowsSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	s := serveApprovals(t, dir)
	d := &door{t, s.Client().Conn()}
	d.ask(client.Request{Operation: client.Start, Key: "1", Body: []byte("1")})
	promise := promiseOf(d, "1")
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
	s = serveApprovals(t, dir)
	d.conn = s.Client().Conn()
	d.ask(client.Request{Operation: client.Start, Key: "1", Body: []byte("1")}) // the same run
	d.ask(client.Request{Operation: client.Resolve, Promise: promise, Body: []byte("4")})
	d.becomes("1", "completed", "4")
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
}

// TestWaitingForAWorkflowDoesNotHoldTheServer: it stops while somebody waits, and
// says that to whoever waits.
func TestWaitingForAWorkflowDoesNotHoldTheServer(t *testing.T) {
	s := serveApprovals(t, t.TempDir())
	d := &door{t, s.Client().Conn()}
	d.ask(client.Request{Operation: client.Start, Key: "1"})
	status, body := s.ask("GET", "/v1/workflows/approval/1?wait=1ms", "")
	if status != http.StatusOK || !strings.Contains(body, `"status":"running"`) {
		t.Errorf("when the wait is over: got %d %s, want 200 and running", status, body)
	}
	status, body = s.ask("POST", "/v1/workflows/approval/1?wait=1ms", "")
	if status != http.StatusAccepted || !strings.Contains(body, `"status":"running"`) {
		t.Errorf("when the wait is over: got %d %s, want 202 and running", status, body)
	}
	answered := make(chan int, 1)
	go func() {
		status, _ := s.ask("GET", "/v1/workflows/approval/1?wait=5m", "")
		answered <- status
	}()
	for s.gate.inside.Load() == 0 {
		if t.Context().Err() != nil {
			t.Fatal("nobody waits")
		}
	}
	if err := s.end(); err != nil {
		t.Errorf("Run: %v", err)
	}
	if status := <-answered; status != http.StatusServiceUnavailable {
		t.Errorf("who waited got %d, want 503", status)
	}
}

// TestMetricsKnowEveryOperation by a name of its own.
func TestMetricsKnowEveryOperation(t *testing.T) {
	seen := map[string]bool{}
	for operation, name := range operationNames {
		if name == "" || seen[name] {
			t.Errorf("operation %d is called %q", operation, name)
		}
		seen[name] = true
	}
}

// TestMetricsCountTheOperationsOfWorkflows, each under its name.
func TestMetricsCountTheOperationsOfWorkflows(t *testing.T) {
	s := serveApprovals(t, t.TempDir())
	d := &door{t, s.Client().Conn()}
	d.ask(client.Request{Operation: client.Start, Key: "1"})
	promise := promiseOf(d, "1")
	for _, o := range []client.Operation{client.History, client.Pause, client.Resume, client.Restart, client.Cancel, client.Terminate} {
		_, _ = d.try(client.Request{Operation: o, Key: "1"})
	}
	_, _ = d.try(client.Request{Operation: client.Resolve, Promise: promise})
	_, text := s.ask("GET", "/metrics", "")
	for _, name := range []string{"describe", "history", "cancel", "terminate", "pause", "restart", "resolve"} {
		if count := `holdfast_request_duration_seconds_count{operation="` + name + `"} `; !strings.Contains(text, count) || strings.Contains(text, count+"0\n") {
			t.Errorf("%s is not counted", name)
		}
	}
	if err := s.end(); err != nil {
		t.Errorf("Run: %v", err)
	}
}

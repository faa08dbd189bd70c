package ingress_test

import (
	"context"
	"reflect"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast/client"
	"github.com/holdfast-io/holdfast/internal/ingress"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// TestWorkflowsInProcessAsOverHTTP: for every operation and kind of answer, both
// connections ask the same and answer the same.
func TestWorkflowsInProcessAsOverHTTP(t *testing.T) {
	at := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	run := func(o client.Operation, change ...func(*client.Request)) client.Request {
		r := client.Request{Operation: o, Kind: "transfer", Key: "a/b ü"}
		for _, f := range change {
			f(&r)
		}
		return r
	}
	body := func(r *client.Request) { r.Body = []byte(` {"a": 1} `) }
	conflict := msg.Reply{Err: msg.Errorf(msg.CodeConflict, msg.ClassConflict, "it has another input")}
	failed := completed()
	failed.Status, failed.Err = msg.WorkflowFailed, &msg.Error{Code: "declined", Class: msg.ClassDenied, Detail: []byte("\xff")}
	page := msg.Reply{Found: true, Keys: []string{"1", "2"}, Workflows: []*msg.Workflow{running(), completed()}}
	for _, c := range []struct {
		name    string
		request client.Request
		reply   msg.Reply
	}{
		{"start", run(client.Start, body), msg.Reply{}},
		{"start that is an invocation", run(client.Start, body), msg.Reply{Invocation: anID}},
		{"start with a key and no id", client.Request{Operation: client.Start, Kind: "transfer", IdempotencyKey: "k"}, msg.Reply{}},
		{"start of another input", run(client.Start, body), conflict},
		{"start that attaches to the end", run(client.Start, body), msg.Reply{Workflow: completed(), Invocation: anID}},
		{"start that attaches to a run", run(client.Start, body), msg.Reply{Workflow: running()}},
		{"start or refuse", run(client.Start, func(r *client.Request) { r.OnConflict = "reject" }), conflict},
		{"start and replace", run(client.Start, func(r *client.Request) { r.OnConflict = "replace" }), msg.Reply{}},
		{"start and dance", run(client.Start, func(r *client.Request) { r.OnConflict = "dance" }), msg.Reply{}},
		{"start at a time", run(client.Start, func(r *client.Request) { r.NotBefore = at }), msg.Reply{}},
		{"start at a time and wait", run(client.Start, func(r *client.Request) { r.NotBefore, r.Wait = at, true }), msg.Reply{}},
		{"start with headers", run(client.Start, func(r *client.Request) { r.Header = map[string]string{"Tenant": "blue"} }), msg.Reply{}},
		{"start and find the end", run(client.Start, func(r *client.Request) { r.Wait = true }), msg.Reply{Workflow: failed}},
		{"signal", run(client.Signal, body, func(r *client.Request) { r.Handler = "approve" }), msg.Reply{Invocation: anID}},
		{"signal at a time", run(client.Signal, func(r *client.Request) { r.Handler, r.NotBefore = "approve", at }), msg.Reply{Invocation: anID}},
		{"signal that comes too late", run(client.Signal, func(r *client.Request) { r.Handler = "approve" }), conflict},
		{"query", run(client.Query, body, func(r *client.Request) { r.Handler = "progress" }), msg.Reply{Payload: payload("7")}},
		{"query that is refused", run(client.Query, func(r *client.Request) { r.Handler = "progress" }), conflict},
		{"describe", run(client.Describe), msg.Reply{Found: true, Workflow: running()}},
		{"describe the end", run(client.Describe, func(r *client.Request) { r.Wait = true }), msg.Reply{Found: true, Workflow: failed}},
		{"describe nothing", run(client.Describe), msg.Reply{}},
		{"history", run(client.History), msg.Reply{Found: true, Workflow: running(), State: journal(msg.Entry{Time: noon})}},
		{"history of nothing", run(client.History), msg.Reply{}},
		{"list", client.Request{Operation: client.ListRuns, Kind: "transfer"}, page},
		{"page of running", client.Request{Operation: client.ListRuns, Kind: "transfer", Limit: 1, After: "MA", Status: "running"}, page},
		{"page after nonsense", client.Request{Operation: client.ListRuns, Kind: "transfer", After: "!"}, page},
		{"page of nonsense", client.Request{Operation: client.ListRuns, Kind: "transfer", Status: "odd"}, page},
		{"cancel", run(client.Cancel), msg.Reply{Found: true}},
		{"cancel nothing", run(client.Cancel), msg.Reply{Err: ingress.NeverBegun(seven)}},
		{"terminate", run(client.Terminate), msg.Reply{Found: true}},
		{"pause", run(client.Pause), msg.Reply{Found: true}},
		{"resume", run(client.Resume), msg.Reply{Found: true}},
		{"restart", run(client.Restart, func(r *client.Request) { r.IdempotencyKey = "k" }), msg.Reply{Found: true}},
		{"resolve", client.Request{Operation: client.Resolve, Promise: aPromise.String(), Body: []byte(" 5 ")}, msg.Reply{Found: true}},
		{"resolve twice", client.Request{Operation: client.Resolve, Promise: aPromise.String()}, conflict},
		{"resolve nonsense", client.Request{Operation: client.Resolve, Promise: "x"}, msg.Reply{}},
		{"reject", client.Request{Operation: client.Reject, Promise: aPromise.String(), Body: []byte(`{"code":"no","class":"conflict"}`)}, msg.Reply{Found: true}},
		{"reject with nonsense", client.Request{Operation: client.Reject, Promise: aPromise.String(), Body: []byte(`7`)}, msg.Reply{}},
	} {
		t.Run(c.name, func(t *testing.T) { _, _ = compareConnections(t, c.request, always(c.reply), always(c.reply)) })
	}
}

// TestStartAndWaitAsksForTheEndOnceItHasBegun, if one request did not come to the
// end, and gives what it came to.
func TestStartAndWaitAsksForTheEndOnceItHasBegun(t *testing.T) {
	door := func() *scriptedDoor {
		return &scriptedDoor{answer: func(_ context.Context, r *msg.Request) msg.Reply {
			if r.Operation == msg.OperationDescribe {
				return msg.Reply{Found: true, Workflow: completed()}
			}
			return msg.Reply{Invocation: anID}
		}}
	}
	inside := door()
	request := client.Request{Operation: client.Start, Kind: "transfer", Key: "7", Body: []byte("5"), Wait: true}
	reply, err := compareConnections(t, request, inside, door())
	if want := string(ingress.AppendWorkflow(nil, seven, &msg.Reply{Workflow: completed()})); err != nil || string(reply.Body) != want {
		t.Errorf("got %s, %v, want %s", reply.Body, err, want)
	}
	want := []msg.Request{
		{Operation: msg.OperationCall, Wait: true, Mode: msg.ModeWorkflow, Target: seven, Handler: msg.HandlerRun, Payload: payload("5")},
		{Operation: msg.OperationSubmit, Mode: msg.ModeWorkflow, Target: seven, Handler: msg.HandlerRun, Payload: payload("5")},
		{Operation: msg.OperationDescribe, Mode: msg.ModeWorkflow, Target: seven, Wait: true},
	}
	if !reflect.DeepEqual(inside.asked, want) {
		t.Errorf("the door was asked\n%+v, want\n%+v", inside.asked, want)
	}
}

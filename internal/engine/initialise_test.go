package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// Goal: an entity is created once, by an initialiser that waits, and whatever
// else comes for its key waits with it. Method: partitions driven by hand.

var made = msg.Kind{Name: "made", StateVersion: 1, Initialised: true, Handlers: []msg.Handler{
	{Name: "add", Mode: msg.ModeUpdate}, {Name: "get", Mode: msg.ModeRead}}}

func madeRef(key string) msg.Ref { return msg.Ref{Kind: "made", Key: key} }

func newMadeRig(t *testing.T) *rig {
	r := newRig(t, 2, Limits{}, made, thing("add", "get"), flow)
	r.program["add"], r.program["get"], r.program[msg.HandlerRun] = add, get, interpret
	r.program[msg.HandlerCreate] = create
	return r
}

// create is an initialiser: it asks an activity for the first state.
func create(t *msg.Turn) *msg.Outcome {
	for _, d := range t.Deliveries {
		switch {
		case d.Kind == msg.DeliveryOutcome && d.Err != nil:
			return &msg.Outcome{Ended: true, Err: d.Err}
		case d.Kind == msg.DeliveryOutcome:
			return &msg.Outcome{Ended: true, Output: d.Payload, Version: 1}
		}
	}
	return &msg.Outcome{Tasks: []msg.Task{{Step: 1, Activity: "score"}}, Steps: []msg.Step{{Kind: msg.StepActivity, Name: "score"}}}
}

func TestAnInitialiserCreatesOnceAndOthersWait(t *testing.T) {
	r := newMadeRig(t)
	var list []*told
	for range 3 {
		list = append(list, r.ask(msg.Request{Target: madeRef("a"), Handler: "add"}))
	}
	want(t, r.call(msg.Request{Target: madeRef("a"), Handler: "get"}), msg.CodeNotFound)
	if got := r.call(msg.Request{Operation: msg.OperationExists, Target: madeRef("a")}); got.Found {
		t.Error("the entity exists before it is created")
	}
	r.performed("score", msg.TaskOutcome{Output: body("10")})
	for n, a := range list {
		if reply := a.one(t); string(reply.Payload.Body) != fmt.Sprint(11+n) {
			t.Errorf("got %s, error %v, want %d", reply.Payload.Body, reply.Err, 11+n)
		}
	}
	if got := r.call(msg.Request{Target: madeRef("a"), Handler: "get"}); string(got.Payload.Body) != "13" {
		t.Errorf("got %s, want 13", got.Payload.Body)
	}
	if len(r.tasks) != 0 {
		t.Errorf("the initialiser ran more than once: %+v", r.tasks)
	}
	r.sameAfterReplay()
}

func TestWhoWantedAnEntityHearsWhyItCouldNotBeCreated(t *testing.T) {
	r := newMadeRig(t)
	first := r.ask(msg.Request{Target: madeRef("a"), Handler: "add"})
	second := r.ask(msg.Request{Target: madeRef("a"), Handler: "add"})
	r.performed("score", msg.TaskOutcome{Err: msg.Errorf("denied", msg.ClassDenied, "no")})
	want(t, first.one(t), "denied")
	if !second.open() {
		t.Fatal("one failure answered two requests")
	}
	r.performed("score", msg.TaskOutcome{Output: body("1")}) // the second tries by itself
	want(t, second.one(t), "")
	r.sameAfterReplay()
}

// TestCreationSurvivesACrashAfterEachRecord: what wants the entity is a workflow,
// whose calls survive as well.
func TestCreationSurvivesACrashAfterEachRecord(t *testing.T) {
	for crash := 1; ; crash++ {
		r := newMadeRig(t)
		r.crashAfter = crash
		r.program["add"] = func(turn *msg.Turn) *msg.Outcome {
			o := add(turn)
			if turn.Message.Target.Kind == "thing" {
				o.Sends = []msg.Outgoing{{Target: madeRef("a"), Handler: "add"}, {Target: madeRef("a"), Handler: "add"}}
			}
			return o
		}
		want(t, r.call(msg.Request{Operation: msg.OperationSubmit, Target: ref("x"), Handler: "add"}), "")
		for range 10 {
			r.advance(time.Second)
			for len(r.tasks) > 0 {
				r.performed("score", msg.TaskOutcome{Output: body("10")})
			}
		}
		if got := r.call(msg.Request{Target: madeRef("a"), Handler: "get"}); string(got.Payload.Body) != "12" {
			t.Fatalf("crash after record %d: got %s, error %v, want 12", crash, got.Payload.Body, got.Err)
		}
		r.sameAfterReplay()
		if r.crashAfter > 0 {
			return
		}
	}
}

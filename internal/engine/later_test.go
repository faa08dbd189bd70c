package engine

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// Goal: an entity can ask for an activity that one of its handlers is told of,
// and answers who asked later, each once. Method: partitions driven by hand; an
// office whose root is the list of those who wait.

var office = msg.Kind{Name: "office", Handlers: []msg.Handler{
	{Name: "apply", Mode: msg.ModeUpdate}, {Name: "forward", Mode: msg.ModeUpdate}, {Name: "decided", Mode: msg.ModeUpdate}}}

func officeRef(key string) msg.Ref { return msg.Ref{Kind: "office", Key: key} }

func newOfficeRig(t *testing.T) *rig {
	r := newRig(t, 4, Limits{}, office, thing("add", "get"), flow)
	r.program["add"], r.program["get"], r.program[msg.HandlerRun] = add, get, interpret
	r.program["apply"], r.program["forward"], r.program["decided"] = apply, forward, decided
	return r
}

func waitingAt(t *msg.Turn) (list []msg.ReplyTo) {
	if len(t.State.Root.Body) > 0 {
		if err := json.Unmarshal(t.State.Root.Body, &list); err != nil {
			panic(err)
		}
	}
	return list
}

func waitersRoot(list []msg.ReplyTo) *msg.Payload {
	b, err := json.Marshal(list)
	if err != nil {
		panic(err)
	}
	return &msg.Payload{Body: b}
}

// apply asks for a decision, and answers later.
func apply(t *msg.Turn) *msg.Outcome {
	return &msg.Outcome{Run: t.Run, Later: true, Root: waitersRoot(append(waitingAt(t), t.Message.ReplyTo)),
		Tasks: []msg.Task{{Activity: "decide", Handler: "decided", Input: t.Message.Payload}}}
}

// forward lets another office answer.
func forward(t *msg.Turn) *msg.Outcome {
	b, err := json.Marshal(t.Message.ReplyTo)
	if err != nil {
		panic(err)
	}
	return &msg.Outcome{Run: t.Run, Later: true,
		Sends: []msg.Outgoing{{Target: officeRef("head"), Handler: "decided", Payload: msg.Payload{Body: b}}}}
}

// decided answers who waits longest, or who was forwarded.
func decided(t *msg.Turn) *msg.Outcome {
	list, m := waitingAt(t), t.Message
	if m.Kind == msg.MessageSend {
		var to msg.ReplyTo
		if err := json.Unmarshal(m.Payload.Body, &to); err != nil {
			panic(err)
		}
		return &msg.Outcome{Run: t.Run, Replies: []msg.LateReply{{To: to, Payload: body("forwarded")}}}
	}
	return &msg.Outcome{Run: t.Run, Root: waitersRoot(list[1:]), Replies: []msg.LateReply{{To: list[0], Payload: m.Payload, Err: m.Err}}}
}

func TestAHandlerIsToldTheOutcomeOfAnActivityAndAnswersLater(t *testing.T) {
	r := newOfficeRig(t)
	first := r.ask(msg.Request{Target: officeRef("a"), Handler: "apply", Payload: body("1")})
	second := r.ask(msg.Request{Target: officeRef("a"), Handler: "apply", Payload: body("2")})
	if !first.open() || !second.open() {
		t.Fatal("answered before it is decided")
	}
	r.performed("decide", msg.TaskOutcome{Output: body("yes")})
	if got := first.one(t); string(got.Payload.Body) != "yes" || !second.open() {
		t.Fatalf("got %s, want yes for the first only", got.Payload.Body)
	}
	r.performed("decide", msg.TaskOutcome{Err: msg.Errorf("no", msg.ClassDenied, "not now")})
	want(t, second.one(t), "no")
	r.sameAfterReplay()
}

func TestAnotherInstanceMayAnswer(t *testing.T) {
	r := newOfficeRig(t)
	for _, key := range r.keysOn(1, 2) {
		if got := r.call(msg.Request{Target: officeRef(key), Handler: "forward"}); string(got.Payload.Body) != "forwarded" {
			t.Errorf("got %s, error %v", got.Payload.Body, got.Err)
		}
	}
	r.sameAfterReplay()
}

func TestARepeatWaitsForTheLateAnswer(t *testing.T) {
	for name, identity := range map[string]msg.Identity{
		"a key":     {IdempotencyKey: "k"},
		"a session": {Session: msg.SessionID{1}, SessionNumber: 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := newOfficeRig(t)
			q := msg.Request{Target: officeRef("a"), Handler: "apply", Payload: body("1"), Identity: identity}
			r.ask(q)
			again := r.ask(q)
			r.restart(nil)
			third := r.ask(q)
			r.performed("decide", msg.TaskOutcome{Output: body("yes")})
			if got := third.one(t); string(got.Payload.Body) != "yes" {
				t.Errorf("got %s, error %v", got.Payload.Body, got.Err)
			}
			if got := r.call(q); string(got.Payload.Body) != "yes" {
				t.Errorf("afterwards: got %s, error %v", got.Payload.Body, got.Err)
			}
			if len(r.tasks) != 0 {
				t.Errorf("a repeat asked again: %+v", r.tasks)
			}
			_ = again // it waited in the process that ended
			r.sameAfterReplay()
		})
	}
}

func TestWhoSubmittedFindsTheLateAnswer(t *testing.T) {
	r := newOfficeRig(t)
	reply := r.call(msg.Request{Operation: msg.OperationSubmit, Target: officeRef("a"), Handler: "apply", Payload: body("1")})
	r.advance(time.Second)
	if got := r.status(reply.Invocation); got != msg.StatusPending {
		t.Fatalf("got %v, want pending", got)
	}
	r.performed("decide", msg.TaskOutcome{Output: body("yes")})
	if got := r.call(msg.Request{Operation: msg.OperationResult, Invocation: reply.Invocation}); string(got.Payload.Body) != "yes" {
		t.Errorf("got %v %s", got.Status, got.Payload.Body)
	}
}

// visitor is a workflow that applies, is forwarded, and applies again.
func visitor(t *msg.Turn) *msg.Outcome {
	handlers := []string{"apply", "forward", "apply"}
	answered := len(t.Deliveries)
	if t.State.Fields != nil {
		answered += t.State.Fields.Len(msg.JournalField)
	}
	if answered > len(handlers) {
		return &msg.Outcome{Run: t.Run, Ended: true, Output: t.Deliveries[0].Payload}
	}
	name := handlers[answered-1]
	return &msg.Outcome{Run: t.Run, Steps: []msg.Step{{Kind: msg.StepCall, Name: name}},
		Sends: []msg.Outgoing{{Target: officeRef("a"), Handler: name, Step: msg.StepNumber(answered)}}}
}

// TestLateAnswersSurviveACrashAfterEachRecord: workflows wait, which call again
// by themselves.
func TestLateAnswersSurviveACrashAfterEachRecord(t *testing.T) {
	for crash := 1; ; crash++ {
		r := newOfficeRig(t)
		r.crashAfter = crash
		r.program[msg.HandlerRun] = visitor
		r.begin("w")
		for range 10 {
			r.advance(time.Second)
			for len(r.tasks) > 0 {
				r.performed("decide", msg.TaskOutcome{Output: body(`"yes"`)})
			}
		}
		if got := r.describe("w"); got.Status != msg.WorkflowCompleted {
			t.Fatalf("crash after record %d: the workflow is %v", crash, got.Status)
		}
		r.sameAfterReplay()
		if r.crashAfter > 0 {
			return
		}
	}
}

// TestAHandlerThatPanicsOnAnOutcomeIsToldAgain: nobody waits for what it says,
// so the panic is no answer.
func TestAHandlerThatPanicsOnAnOutcomeIsToldAgain(t *testing.T) {
	r := newOfficeRig(t)
	panics := 2
	r.program["decided"] = func(turn *msg.Turn) *msg.Outcome {
		if panics--; panics >= 0 {
			return &msg.Outcome{Run: turn.Run, Panicked: true, Err: msg.Errorf(msg.CodePanic, msg.ClassFailed, "boom")}
		}
		return decided(turn)
	}
	a := r.ask(msg.Request{Target: officeRef("a"), Handler: "apply"})
	r.performed("decide", msg.TaskOutcome{Output: body("yes")})
	r.advance(time.Minute)
	if got := a.one(t); string(got.Payload.Body) != "yes" {
		t.Errorf("got %s, error %v", got.Payload.Body, got.Err)
	}
	r.sameAfterReplay()
}

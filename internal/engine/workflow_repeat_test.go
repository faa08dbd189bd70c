package engine

import (
	"testing"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// Goal: an operation on a workflow whose answer was lost may be repeated, before
// and after a crash, and is done once. Method: each is asked twice with one
// identity, and looked at.

// identities are the two ways to recognise a request; nth makes another of it.
var identities = map[string]func(nth uint64) msg.Identity{
	"session": func(nth uint64) msg.Identity { return msg.Identity{Session: msg.SessionID{7}, SessionNumber: nth} },
	"key": func(nth uint64) msg.Identity {
		return msg.Identity{IdempotencyKey: string(rune('a' + nth))}
	},
}

func TestARestartIsRepeatedAndDoneOnce(t *testing.T) {
	for name, identity := range identities {
		r := newFlowRig(t, Limits{})
		r.begin("w", deed{Do: "activity", Name: "pay"})
		restart := func(nth uint64) msg.Index {
			t.Helper()
			want(t, r.call(msg.Request{Operation: msg.OperationRestart, Target: flowRef("w"), Identity: identity(nth)}), "")
			return r.describe("w").Run
		}
		first := restart(1)
		if got := restart(1); got != first {
			t.Errorf("%s: a repeat began run %d, want %d", name, got, first)
		}
		r.restart(nil)
		if got := restart(1); got != first {
			t.Errorf("%s: a repeat after a crash began run %d, want %d", name, got, first)
		}
		if got := restart(2); got <= first {
			t.Errorf("%s: another restart gave run %d, want a new one after %d", name, got, first)
		}
		r.sameAfterReplay()
	}
}

func TestAPromiseIsCompletedByARepeatAsWell(t *testing.T) {
	for name, identity := range identities {
		r := newFlowRig(t, Limits{})
		r.begin("w", deed{Do: "promise", Start: true}, deed{Do: "promise", Start: true}, deed{Do: "gather"})
		run := r.describe("w").Run
		resolve := func(step msg.StepNumber, nth uint64, value string) msg.Reply {
			id := msg.PromiseID{Target: flowRef("w"), Run: run, Step: step}
			return r.call(msg.Request{Operation: msg.OperationResolve, Target: id.Target, Promise: id, Payload: body(value), Identity: identity(nth)})
		}
		want(t, resolve(1, 1, "yes"), "")
		want(t, resolve(1, 1, "yes"), "")
		r.restart(nil)
		want(t, resolve(1, 1, "yes"), "")
		want(t, resolve(1, 2, "yes"), msg.CodeAlreadyExists)
		if name == "key" { // its scope is the promise
			want(t, resolve(1, 1, "no"), msg.CodeUnprocessable)
			want(t, resolve(2, 1, "no"), "")
		} else {
			want(t, resolve(2, 3, "no"), "")
		}
		if got := string(r.describe("w").Output.Body); got != `"yes no"` {
			t.Errorf("%s: got %s, want yes no", name, got)
		}
		r.sameAfterReplay()
	}
}

// TestAPromiseIsRejectedAndNotResolvedWithOneKey: what completes it is part of
// the request.
func TestAPromiseIsRejectedAndNotResolvedWithOneKey(t *testing.T) {
	r := newFlowRig(t, Limits{})
	r.begin("w", deed{Do: "promise"}, deed{Do: "activity", Name: "pay"})
	id := msg.PromiseID{Target: flowRef("w"), Run: r.describe("w").Run, Step: 1}
	complete := func(err *msg.Error) msg.Reply {
		return r.call(msg.Request{Operation: msg.OperationResolve, Target: id.Target, Promise: id, Err: err, Identity: msg.Identity{IdempotencyKey: "k"}})
	}
	no := msg.Errorf("declined", msg.ClassDenied, "no")
	want(t, complete(no), "")
	want(t, complete(no), "")
	want(t, complete(nil), msg.CodeUnprocessable)
	want(t, complete(msg.Errorf("other", msg.ClassDenied, "no")), msg.CodeUnprocessable)
}

// TestResumingWhatRunsChangesNothing: the answer to the first may have been lost.
func TestResumingWhatRunsChangesNothing(t *testing.T) {
	r := newFlowRig(t, Limits{})
	want(t, r.operate(msg.OperationResume, "w"), msg.CodeNotFound)
	r.begin("w", deed{Do: "activity", Name: "pay"})
	want(t, r.operate(msg.OperationPause, "w"), "")
	want(t, r.operate(msg.OperationResume, "w"), "")
	want(t, r.operate(msg.OperationResume, "w"), "")
	r.performed("pay", msg.TaskOutcome{Output: body("paid")})
	want(t, r.operate(msg.OperationResume, "w"), msg.CodeConflict)
}

func TestResumingGoesOnWithWhatIsPausedAndParked(t *testing.T) {
	r := newFlowRig(t, Limits{AttemptsMax: 1})
	r.begin("w", deed{Do: "activity", Name: "pay"})
	script := r.program[msg.HandlerRun]
	r.program[msg.HandlerRun] = func(*msg.Turn) *msg.Outcome { return &msg.Outcome{Fault: "it does not fit", Park: true} }
	r.performed("pay", msg.TaskOutcome{Output: body("paid")})
	want(t, r.operate(msg.OperationPause, "w"), "")
	r.program[msg.HandlerRun] = script
	if got := r.operate(msg.OperationDescribe, "w"); len(got.Parked) != 1 || !got.Workflow.Paused {
		t.Fatalf("got %+v, want it parked and paused", got)
	}
	want(t, r.operate(msg.OperationResume, "w"), "")
	if got := string(r.describe("w").Output.Body); got != `"paid"` {
		t.Errorf("got %s, want paid", got)
	}
	r.sameAfterReplay()
}

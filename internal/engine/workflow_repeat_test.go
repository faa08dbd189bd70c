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

// TestALateRepeatDoesNotUndoWhatCameAfterIt: a request may arrive once more, long
// after it was answered. Found by a simulated market, seed 19.
func TestALateRepeatDoesNotUndoWhatCameAfterIt(t *testing.T) {
	one, two := msg.SessionID{1}, msg.SessionID{2}
	for name, identities := range map[string][2]msg.Identity{
		"two sessions": {{Session: one, SessionNumber: 1}, {Session: two, SessionNumber: 1}},
		"one session":  {{Session: one, SessionNumber: 1}, {Session: one, SessionNumber: 2}},
		"two keys":     {{IdempotencyKey: "a"}, {IdempotencyKey: "b"}},
		"one key":      {{IdempotencyKey: "a"}, {IdempotencyKey: "a"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newFlowRig(t, Limits{})
			r.begin("w", deed{Do: "await"})
			pause := msg.Request{Operation: msg.OperationPause, Target: flowRef("w"), Identity: identities[0]}
			resume := msg.Request{Operation: msg.OperationResume, Target: flowRef("w"), Identity: identities[1]}
			for _, q := range []msg.Request{pause, resume, pause} {
				r.call(q) // of the last, the answer may be that its session has gone on
			}
			if r.describe("w").Paused {
				t.Error("a repeat has paused the run after it was resumed")
			}
			r.restart(nil)
			if r.call(pause); r.describe("w").Paused {
				t.Error("a repeat has paused the run after a restart")
			}
			r.sameAfterReplay()
		})
	}
}

// TestALateRepeatDoesNotEndTheNextRun: a run is stopped, and begun again; then the
// request that stopped it comes once more.
func TestALateRepeatDoesNotEndTheNextRun(t *testing.T) {
	for _, operation := range []msg.Operation{msg.OperationCancel, msg.OperationTerminate} {
		for name, identities := range map[string][2]msg.Identity{
			"two sessions": {{Session: msg.SessionID{1}, SessionNumber: 1}, {Session: msg.SessionID{2}, SessionNumber: 1}},
			"one session":  {{Session: msg.SessionID{1}, SessionNumber: 1}, {Session: msg.SessionID{1}, SessionNumber: 2}},
			"one key":      {{IdempotencyKey: "a"}, {IdempotencyKey: "a"}},
		} {
			r := newFlowRig(t, Limits{})
			r.begin("w", deed{Do: "await"})
			stop := msg.Request{Operation: operation, Target: flowRef("w"), Identity: identities[0]}
			again := msg.Request{Operation: msg.OperationRestart, Target: flowRef("w"), Identity: identities[1]}
			want(t, r.call(stop), "")
			want(t, r.call(stop), "") // a repeat that comes soon is answered as the first
			want(t, r.call(again), "")
			run := r.describe("w").Run
			r.call(stop)
			r.restart(nil)
			r.call(stop)
			if got := r.describe("w"); got.Status != msg.WorkflowRunning || got.Cancelling || got.Run != run {
				t.Errorf("operation %d, %s: a repeat has stopped the next run: %+v", operation, name, got)
			}
			r.sameAfterReplay()
		}
	}
}

// TestACancellationThatComesTwiceIsRememberedTwice: the second one changes nothing,
// and its repeat must not either.
func TestACancellationThatComesTwiceIsRememberedTwice(t *testing.T) {
	r := newFlowRig(t, Limits{})
	r.begin("w", deed{Do: "activity", Name: "pay"})
	r.holding[msg.HandlerRun] = true
	first := msg.Request{Operation: msg.OperationCancel, Target: flowRef("w"), Identity: msg.Identity{IdempotencyKey: "a"}}
	second := msg.Request{Operation: msg.OperationCancel, Target: flowRef("w"), Identity: msg.Identity{IdempotencyKey: "b"}}
	want(t, r.call(first), "")
	want(t, r.call(second), "")
	r.holding[msg.HandlerRun] = false
	r.settle()
	want(t, r.call(msg.Request{Operation: msg.OperationRestart, Target: flowRef("w")}), "")
	r.call(second)
	if got := r.describe("w"); got.Status != msg.WorkflowRunning || got.Cancelling {
		t.Errorf("a repeat has stopped the next run: %+v", got)
	}
	r.sameAfterReplay()
}

func TestResumingGoesOnWithWhatIsPausedAndParked(t *testing.T) {
	r := newFlowRig(t, Limits{AttemptsMax: 1})
	r.begin("w", deed{Do: "activity", Name: "pay"})
	interpreter := r.program[msg.HandlerRun]
	r.program[msg.HandlerRun] = func(*msg.Turn) *msg.Outcome { return &msg.Outcome{Fault: "it does not fit", Park: true} }
	r.performed("pay", msg.TaskOutcome{Output: body("paid")})
	want(t, r.operate(msg.OperationPause, "w"), "")
	r.program[msg.HandlerRun] = interpreter
	if got := r.operate(msg.OperationDescribe, "w"); len(got.Parked) != 1 || !got.Workflow.Paused {
		t.Fatalf("got %+v, want it parked and paused", got)
	}
	want(t, r.operate(msg.OperationResume, "w"), "")
	if got := string(r.describe("w").Output.Body); got != `"paid"` {
		t.Errorf("got %s, want paid", got)
	}
	r.sameAfterReplay()
}

// TestAStartIsToldHowTheWorkflowStands: it may have begun before, and ended.
func TestAStartIsToldHowTheWorkflowStands(t *testing.T) {
	r := newFlowRig(t, Limits{})
	start := func(notBefore msg.Time) msg.Reply {
		return r.call(msg.Request{Operation: msg.OperationSubmit, Target: flowRef("w"), Handler: msg.HandlerRun, NotBefore: notBefore,
			Payload: script(deed{Do: "activity", Name: "pay"})})
	}
	if got := start(r.now + 1e9); got.Workflow != nil || got.Invocation.IsZero() {
		t.Errorf("a start in a second is told %+v", got)
	}
	if got := start(0).Workflow; got == nil || got.Status != msg.WorkflowRunning || got.Run == 0 {
		t.Errorf("got %+v, want that it runs", got)
	}
	late := r.call(msg.Request{Operation: msg.OperationSubmit, Target: flowRef("late"), Handler: msg.HandlerRun, Payload: script(), Deadline: 1})
	if want(t, late, ""); late.Workflow != nil { // its invocation knows that it came too late
		t.Errorf("a start after its deadline is told %+v", late.Workflow)
	}
	r.performed("pay", msg.TaskOutcome{Output: body("paid")})
	if got := start(0).Workflow; got == nil || got.Status != msg.WorkflowCompleted || string(got.Output.Body) != `"paid"` {
		t.Errorf("got %+v, want that it has completed", got)
	}
	r.sameAfterReplay()
}

// TestAStartReplacesWhatIsStuck: a run in the middle of a turn, and one that is
// parked.
func TestAStartReplacesWhatIsStuck(t *testing.T) {
	r := newFlowRig(t, Limits{AttemptsMax: 1})
	replace := func(id string, deeds ...deed) msg.Reply {
		t.Helper()
		reply := r.call(msg.Request{Operation: msg.OperationSubmit, Target: flowRef(id), Handler: msg.HandlerRun, Payload: script(deeds...),
			OnConflict: msg.ConflictReplace})
		want(t, reply, "")
		return reply
	}
	r.holding[msg.HandlerRun] = true
	a := r.begin("w", deed{Do: "activity", Name: "pay"})
	run := r.describe("w").Run
	if got := replace("w", deed{Do: "call", Name: "x"}).Workflow; got == nil || got.Run <= run {
		t.Errorf("got %+v, want a run after %d", got, run)
	}
	want(t, a.one(t), msg.CodeCancelled)
	r.release(msg.HandlerRun) // the turn of the first run comes too late
	if got := string(r.describe("w").Output.Body); got != `"1"` {
		t.Errorf("the second run came to %s, want 1", got)
	}

	interpreter := r.program[msg.HandlerRun]
	r.program[msg.HandlerRun] = func(*msg.Turn) *msg.Outcome { return &msg.Outcome{Fault: "it does not fit", Park: true} }
	r.begin("v", deed{Do: "activity", Name: "pay"})
	r.program[msg.HandlerRun] = interpreter
	run = r.describe("v").Run
	if got := replace("v", deed{Do: "activity", Name: "pay"}); got.Workflow == nil || got.Workflow.Run != run {
		t.Errorf("got %+v, want the same run for the same input", got.Workflow)
	}
	replace("v", deed{Do: "call", Name: "y"})
	if got := r.operate(msg.OperationDescribe, "v"); len(got.Parked) != 0 || string(got.Workflow.Output.Body) != `"1"` {
		t.Errorf("got %+v, want that the second run has gone on", got.Workflow)
	}
	r.sameAfterReplay()
}

package engine

import (
	"testing"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// Goal: an activity is attempted as its policy says and its outcome counts once.
// Method: attempts that the test ends by hand.

var errBusy = msg.Errorf("busy", msg.ClassUnavailable, "later")

func busyWith(err *msg.Error) msg.TaskOutcome { return msg.TaskOutcome{Err: err, Retryable: true} }

func TestAnActivityIsTriedAgainAsItsPolicySays(t *testing.T) {
	r := newFlowRig(t, Limits{})
	policy := msg.Task{Retry: msg.Retry{First: time.Second, Max: 3 * time.Second, FactorPercent: 200, Attempts: 4}}
	a := r.begin("w", deed{Do: "activity", Name: "pay", Task: policy})
	for attempt, pause := range []time.Duration{time.Second, 2 * time.Second, 3 * time.Second} {
		if len(r.tasks) != 1 || r.tasks[0].run.Task.Attempt != uint32(attempt+1) {
			t.Fatalf("got %+v, want attempt %d", r.tasks, attempt+1)
		}
		token := r.tasks[0].run.Token()
		r.performed("pay", busyWith(errBusy))
		r.advance(pause - 100*time.Millisecond)
		if len(r.tasks) != 0 {
			t.Fatalf("attempt %d came early", attempt+2)
		}
		r.restart(nil)
		r.advance(200 * time.Millisecond)
		if len(r.tasks) != 1 || r.tasks[0].run.Token() != token || r.tasks[0].run.Task.Err.Code != "busy" {
			t.Fatalf("got %+v, want the same task again, and why", r.tasks)
		}
	}
	r.performed("pay", busyWith(errBusy))
	if got := r.describe("w"); got.Status != msg.WorkflowCompleted || string(got.Output.Body) != `"busy"` || !a.open() {
		t.Errorf("got %s %s, want the last error", got.Status, got.Output.Body)
	}
	r.sameAfterReplay()
}

func TestAFinalErrorIsNotTriedAgain(t *testing.T) {
	r := newFlowRig(t, Limits{})
	for _, o := range []msg.TaskOutcome{
		{Err: msg.Errorf("declined", msg.ClassDenied, "no")},
		{Err: msg.Errorf("never", msg.ClassFailed, "no"), Retryable: true},
	} {
		a := r.begin("w-"+o.Err.Code, deed{Do: "activity", Name: "pay", Task: msg.Task{Retry: msg.Retry{Never: []string{"never"}}}})
		r.performed("pay", o)
		wantOutput(t, a.one(t), o.Err.Code)
	}
}

func TestNoAttemptBeginsAfterTheDeadlineOfAll(t *testing.T) {
	r := newFlowRig(t, Limits{})
	a := r.begin("w", deed{Do: "activity", Name: "pay", Task: msg.Task{Timeout: time.Minute, Deadline: startTime + msg.Time(10*time.Second)}})
	if got := r.tasks[0].run.Task.Timeout; got != 10*time.Second {
		t.Errorf("got timeout %v, want what is left", got)
	}
	r.advance(9950 * time.Millisecond)
	r.performed("pay", busyWith(errBusy))
	wantOutput(t, a.one(t), "busy")

	b := r.begin("v", deed{Do: "activity", Name: "pay", Task: msg.Task{Deadline: r.now + msg.Time(time.Second)}})
	r.tasks = nil // the process ends
	r.restart(nil)
	r.now += msg.Time(2 * time.Second)
	r.restart(nil)
	if got := string(r.describe("v").Output.Body); got != `"`+msg.CodeDeadlineExceeded+`"` || !b.open() {
		t.Errorf("got %s, want %s", got, msg.CodeDeadlineExceeded)
	}
}

func TestAnAttemptThatDidNotTakePlaceDoesNotCount(t *testing.T) {
	r := newFlowRig(t, Limits{})
	a := r.begin("w", deed{Do: "activity", Name: "pay", Task: msg.Task{Retry: msg.Retry{Attempts: 1}}})
	records := len(r.log)
	for range 3 {
		r.performed("pay", msg.TaskOutcome{Fault: "nobody serves it"})
		r.advance(10 * time.Second)
	}
	if len(r.log) != records || r.tasks[0].run.Task.Attempt != 1 {
		t.Errorf("got %d records and attempt %d, want none and 1", len(r.log)-records, r.tasks[0].run.Task.Attempt)
	}
	r.performed("pay", msg.TaskOutcome{Output: body("paid")})
	wantOutput(t, a.one(t), "paid")
}

func TestTheOutcomeOfAnOldAttemptIsRefused(t *testing.T) {
	r := newFlowRig(t, Limits{})
	a := r.begin("w", deed{Do: "activity", Name: "pay"})
	first := r.tasks[0]
	r.performed("pay", busyWith(errBusy))
	r.advance(time.Second)
	late := msg.TaskOutcome{Target: first.run.Target, Name: first.run.Task.Name(), Attempt: 1, Output: body("late")}
	r.step(first.partition, msg.Command{Kind: msg.CommandTask, Task: &late})
	if !a.open() {
		t.Fatal("the outcome of an attempt counted that had been given up")
	}
	r.performed("pay", msg.TaskOutcome{Output: body("paid")})
	wantOutput(t, a.one(t), "paid")
}

func TestAHeartbeatLeavesItsDetailForTheNextAttempt(t *testing.T) {
	r := newFlowRig(t, Limits{})
	r.begin("w", deed{Do: "activity", Name: "copy"})
	beat := func(detail string) {
		a := r.tasks[0]
		r.step(a.partition, msg.Command{Kind: msg.CommandHeartbeat, Task: &msg.TaskOutcome{
			Target: a.run.Target, Name: a.run.Task.Name(), Attempt: a.run.Task.Attempt, Output: body(detail)}})
	}
	beat("10")
	beat("20")
	if len(r.tasks) != 1 {
		t.Fatalf("a heartbeat asked for another attempt: %+v", r.tasks)
	}
	r.restart(nil) // the process ends; the attempt is made again
	if got := string(r.tasks[0].run.Task.Detail.Body); got != "20" {
		t.Errorf("got detail %q after a crash, want 20", got)
	}
	r.performed("copy", busyWith(errBusy))
	r.advance(time.Second)
	if got := string(r.tasks[0].run.Task.Detail.Body); got != "20" {
		t.Errorf("got detail %q in the next attempt, want 20", got)
	}
	r.sameAfterReplay()
}

func TestAnUpdateMayAskForAnActivityThatNobodyWaitsFor(t *testing.T) {
	r := newFlowRig(t, Limits{})
	r.program["add"] = func(turn *msg.Turn) *msg.Outcome {
		o := add(turn)
		o.Tasks = []msg.Task{{Activity: "mail", Input: body("hello")}, {Activity: "log"}}
		return o
	}
	want(t, r.call(msg.Request{Target: ref("x"), Handler: "add"}), "")
	want(t, r.call(msg.Request{Target: ref("x"), Handler: "add"}), "")
	if len(r.tasks) != 4 {
		t.Fatalf("got %d activities, want 4", len(r.tasks))
	}
	r.performed("log", msg.TaskOutcome{})
	r.restart(nil)
	r.advance(time.Second)
	if len(r.tasks) != 3 {
		t.Fatalf("got %d activities after a crash, want the 3 that had not ended", len(r.tasks))
	}
	r.performed("mail", msg.TaskOutcome{Err: msg.Errorf("bounced", msg.ClassFailed, "no such address")})
	p := r.partitions[r.place(ref("x"))]
	letters := r.call(msg.Request{Operation: msg.OperationDeadLetters, Target: ref("x")}).DeadLetters
	if len(letters) != 1 || letters[0].Message.Kind != msg.MessageActivityTask || letters[0].Message.Handler != "mail" {
		t.Fatalf("got dead letters %+v, want the mail", letters)
	}
	want(t, r.call(msg.Request{Operation: msg.OperationRedeliver, Invocation: letters[0].ID}), "")
	for range 3 {
		r.performed(r.tasks[0].run.Task.Activity, msg.TaskOutcome{})
	}
	if got := p.stats.Tasks; got != 0 || p.deadLetters.Len() != 0 {
		t.Errorf("got %d tasks and %d dead letters, want none", got, p.deadLetters.Len())
	}
	r.sameAfterReplay()
}

func TestAStepMayStopAnActivity(t *testing.T) {
	r := newFlowRig(t, Limits{})
	stop := false
	r.program[msg.HandlerRun] = func(turn *msg.Turn) *msg.Outcome {
		o := interpret(turn)
		if stop {
			o.Stop = []msg.StepNumber{1}
			stop = false
		}
		return o
	}
	a := r.begin("w", deed{Do: "activity", Name: "pay", Start: true}, deed{Do: "await"}, deed{Do: "await"})
	stop = true
	r.signal("w", "stop")
	if len(r.interrupted) != 1 || r.interrupted[0].Task.Activity != "pay" {
		t.Fatalf("got interruptions %+v, want that of pay", r.interrupted)
	}
	r.performed("pay", msg.TaskOutcome{Output: body("late")})
	r.signal("w", "end")
	wantOutput(t, a.one(t), "stop end")
	r.sameAfterReplay()
}

func TestManyOutcomesAreToldTogether(t *testing.T) {
	r := newFlowRig(t, Limits{})
	var deeds []deed
	for range 600 {
		deeds = append(deeds, deed{Do: "activity", Name: "dig", Start: true})
	}
	a := r.begin("w", append(deeds, deed{Do: "gather"})...)
	r.holding[msg.HandlerRun] = true
	turns := len(r.turns)
	for len(r.tasks) > 0 {
		r.performed("dig", msg.TaskOutcome{})
	}
	r.release(msg.HandlerRun)
	want(t, a.one(t), "")
	if got := len(r.turns) - turns; got > 5 {
		t.Errorf("600 outcomes took %d turns, want a few", got)
	}
	r.sameAfterReplay()
}

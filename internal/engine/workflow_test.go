package engine

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// Goal: a workflow goes through its steps once, whatever happens on the way.
// Method: scripts that an interpreter runs from the journal, on partitions that
// are driven by hand.

func newFlowRig(t *testing.T, limits Limits) *rig {
	r := newRig(t, 4, limits, thing("add", "get"), flow)
	r.program["add"], r.program["get"] = add, get
	r.program[msg.HandlerRun], r.program["said"] = interpret, interpret
	return r
}

func flowRef(id string) msg.Ref { return msg.Ref{Kind: "flow", Key: id} }

// begin makes a request that waits for a workflow.
func (r *rig) begin(id string, deeds ...deed) *told {
	r.t.Helper()
	return r.ask(msg.Request{Target: flowRef(id), Handler: msg.HandlerRun, Payload: script(deeds...)})
}

func (r *rig) describe(id string) *msg.Workflow {
	r.t.Helper()
	w := r.call(msg.Request{Operation: msg.OperationDescribe, Target: flowRef(id)}).Workflow
	if w == nil {
		r.t.Fatalf("there is no workflow %s", id)
	}
	return w
}

func (r *rig) signal(id, text string) msg.Reply {
	r.t.Helper()
	return r.call(msg.Request{Operation: msg.OperationSubmit, Target: flowRef(id), Handler: "ping", Payload: body(text)})
}

func (r *rig) operate(op msg.Operation, id string) msg.Reply {
	r.t.Helper()
	return r.call(msg.Request{Operation: op, Target: flowRef(id)})
}

// performed ends the attempt of an activity that has been asked for.
func (r *rig) performed(activity string, o msg.TaskOutcome) {
	r.t.Helper()
	for n, a := range r.tasks {
		if a.run.Task.Activity != activity {
			continue
		}
		r.tasks = append(r.tasks[:n], r.tasks[n+1:]...)
		o.Target, o.Name, o.Attempt = a.run.Target, a.run.Task.Name(), a.run.Task.Attempt
		r.step(a.partition, msg.Command{Kind: msg.CommandTask, Task: &o})
		return
	}
	r.t.Fatalf("activity %s was not asked for; asked: %+v", activity, r.tasks)
}

func wantOutput(t *testing.T, reply msg.Reply, output string) {
	t.Helper()
	want(t, reply, "")
	if got := string(reply.Payload.Body); got != fmt.Sprintf("%q", output) {
		t.Fatalf("got output %s, want %q", got, output)
	}
}

func TestAWorkflowWaitsForEachOfItsSteps(t *testing.T) {
	r := newFlowRig(t, Limits{})
	a := r.begin("w", deed{Do: "call", Name: "x"}, deed{Do: "call", Name: "x"}, deed{Do: "read", Name: "x"}, deed{Do: "exists", Name: "x"},
		deed{Do: "delete", Name: "x"}, deed{Do: "exists", Name: "x"}, deed{Do: "activity", Name: "pay"}, deed{Do: "sleep", For: time.Hour},
		deed{Do: "await"}, deed{Do: "child", Name: "c", Sub: []deed{{Do: "call", Name: "y"}}}, deed{Do: "send", Name: "z"})
	r.performed("pay", msg.TaskOutcome{Output: body("paid")})
	r.advance(time.Hour - time.Second)
	if !a.open() || r.describe("w").Status != msg.WorkflowRunning {
		t.Fatal("the workflow did not wait for its timer")
	}
	r.advance(2 * time.Second)
	want(t, r.signal("w", "hello"), "")
	wantOutput(t, a.one(t), `1 2 2 true  false paid  hello "1"`)
	if got := r.describe("w"); got.Status != msg.WorkflowCompleted || got.EndedAt != r.now || got.StartedAt != startTime {
		t.Errorf("got %+v, want it completed just now", got)
	}
	if got := r.root("z"); got != "1" {
		t.Errorf("got %q, want that what was sent is done", got)
	}
	r.sameAfterReplay()
}

// TestAWorkflowSurvivesACrashAfterEachRecord runs one script many times, and
// each time crashes after another record. Everything is durable at once; what
// was in memory is lost.
func TestAWorkflowSurvivesACrashAfterEachRecord(t *testing.T) {
	deeds := []deed{
		{Do: "activity", Name: "pay", Start: true}, {Do: "call", Name: "x", Start: true}, {Do: "sleep", For: time.Second, Start: true},
		{Do: "gather"}, {Do: "child", Name: "c", Sub: []deed{{Do: "call", Name: "y"}, {Do: "activity", Name: "ship"}}},
		{Do: "await"}, {Do: "again", Sub: []deed{{Do: "call", Name: "x"}, {Do: "await"}, {Do: "send", Name: "z"}}},
	}
	for crash := 1; ; crash++ {
		r := newFlowRig(t, Limits{})
		r.crashAfter = crash
		want(t, r.call(msg.Request{Operation: msg.OperationSubmit, Target: flowRef("w"), Handler: msg.HandlerRun, Payload: script(deeds...)}), "")
		for _, text := range []string{"first", "second"} {
			want(t, r.signal("w", text), "")
		}
		for range 20 {
			r.advance(time.Second)
			for len(r.tasks) > 0 {
				r.performed(r.tasks[0].run.Task.Activity, msg.TaskOutcome{Output: body("done")})
			}
		}
		w := r.describe("w")
		if w.Status != msg.WorkflowCompleted || string(w.Output.Body) != `"2 second"` {
			t.Fatalf("crash after record %d: got %s %s %v, want completed with \"2 second\"", crash, w.Status, w.Output.Body, w.Err)
		}
		if got := r.root("x") + r.root("y") + r.root("z"); got != "211" {
			t.Fatalf("crash after record %d: got x y z %s, want 211: each call once", crash, got)
		}
		r.sameAfterReplay()
		if r.crashAfter > 0 {
			t.Logf("%d crash points", crash-1)
			return // there were no more records
		}
	}
}

func TestTheSameIDIsTheSameWorkflow(t *testing.T) {
	r := newFlowRig(t, Limits{})
	deeds := []deed{{Do: "await"}}
	first, second := r.begin("w", deeds...), r.begin("w", deeds...)
	want(t, r.begin("w", deed{Do: "fail"}).one(t), msg.CodeConflict)
	reject := msg.Request{Target: flowRef("w"), Handler: msg.HandlerRun, Payload: script(deeds...), OnConflict: msg.ConflictReject}
	want(t, r.call(reject), msg.CodeAlreadyExists)
	reject.Operation = msg.OperationSubmit
	want(t, r.call(reject), msg.CodeAlreadyExists)
	want(t, r.call(msg.Request{Operation: msg.OperationSubmit, Target: flowRef("w"), Handler: msg.HandlerRun, Payload: script()}), msg.CodeConflict)
	r.signal("w", "go")
	wantOutput(t, first.one(t), "go")
	wantOutput(t, second.one(t), "go")
	wantOutput(t, r.begin("w", deeds...).one(t), "go")

	replaced := r.begin("v", deed{Do: "await"})
	fresh := r.ask(msg.Request{Target: flowRef("v"), Handler: msg.HandlerRun, Payload: script(), OnConflict: msg.ConflictReplace})
	want(t, replaced.one(t), msg.CodeCancelled)
	wantOutput(t, fresh.one(t), "")
	r.sameAfterReplay()
}

func TestSignalsWaitForTheBeginningAndAreRefusedAfterTheEnd(t *testing.T) {
	r := newFlowRig(t, Limits{})
	for _, text := range []string{"a", "b"} {
		want(t, r.signal("w", text), "")
	}
	r.restart(nil)
	a := r.begin("w", deed{Do: "await"}, deed{Do: "await"}, deed{Do: "await"})
	r.signal("w", "c")
	wantOutput(t, a.one(t), "a b c")
	want(t, r.signal("w", "late"), msg.CodeConflict)
	r.sameAfterReplay()
}

func TestAQueryLooksBetweenTurns(t *testing.T) {
	r := newFlowRig(t, Limits{})
	query := msg.Request{Target: flowRef("w"), Handler: "said"}
	want(t, r.call(query), msg.CodeNotFound)
	r.begin("w", deed{Do: "call", Name: "x"}, deed{Do: "await"})
	records := len(r.log)
	if got := r.call(query); string(got.Payload.Body) != "1 steps, 1 outcomes" {
		t.Errorf("got %q, error %v", got.Payload.Body, got.Err)
	}
	r.signal("w", "end")
	if got := r.call(query); string(got.Payload.Body) != "1 steps, 1 outcomes" {
		t.Errorf("got %q of a workflow that has ended, error %v", got.Payload.Body, got.Err)
	}
	want(t, r.call(msg.Request{Target: flowRef("w"), Handler: "ping"}), msg.CodeInvalidArgument)
	want(t, r.call(msg.Request{Operation: msg.OperationSubmit, Target: flowRef("w"), Handler: "said"}), msg.CodeInvalidArgument)
	if len(r.log)-records > 3 { // the signal, its turn
		t.Errorf("queries wrote records: %d", len(r.log)-records)
	}
}

func TestAWorkflowThatIsAskedToStopDecidesHow(t *testing.T) {
	r := newFlowRig(t, Limits{})
	a := r.begin("w", deed{Do: "child", Name: "c", Sub: []deed{{Do: "await"}}})
	b := r.begin("v", deed{Do: "cancel", Name: "c"})
	wantOutput(t, b.one(t), "")
	wantOutput(t, a.one(t), msg.CodeCancelled) // the parent goes on
	if got := r.describe("c").Status; got != msg.WorkflowCancelled {
		t.Errorf("got %s, want cancelled", got)
	}
	c := r.begin("u", deed{Do: "await"})
	for range 2 {
		want(t, r.operate(msg.OperationCancel, "u"), "")
	}
	want(t, c.one(t), msg.CodeCancelled)
	want(t, r.operate(msg.OperationCancel, "v"), msg.CodeConflict)
	want(t, r.operate(msg.OperationCancel, "nobody"), msg.CodeNotFound)
	r.sameAfterReplay()
}

func TestTerminationEndsAWorkflowAndItsChildrenWhateverTheyDo(t *testing.T) {
	r := newFlowRig(t, Limits{})
	a := r.begin("w", deed{Do: "activity", Name: "pay", Start: true}, deed{Do: "sleep", For: time.Hour, Start: true},
		deed{Do: "child", Name: "c", Sub: []deed{{Do: "await"}}})
	if len(r.tasks) != 1 {
		t.Fatalf("got tasks %+v, want one", r.tasks)
	}
	want(t, r.operate(msg.OperationTerminate, "w"), "")
	want(t, a.one(t), msg.CodeCancelled)
	if got := r.describe("w").Status; got != msg.WorkflowTerminated {
		t.Errorf("got %s, want terminated", got)
	}
	if got := r.describe("c").Status; got != msg.WorkflowCancelled {
		t.Errorf("got child %s, want cancelled", got)
	}
	if len(r.interrupted) != 1 {
		t.Errorf("got %d interruptions, want that of the activity", len(r.interrupted))
	}
	r.performed("pay", msg.TaskOutcome{}) // too late
	r.advance(2 * time.Hour)
	r.sameAfterReplay()
}

func TestAWorkflowIsTerminatedWhileItsTurnRunsOrItIsParked(t *testing.T) {
	r := newFlowRig(t, Limits{AttemptsMax: 1})
	r.holding[msg.HandlerRun] = true
	a := r.begin("w")
	want(t, r.operate(msg.OperationTerminate, "w"), "")
	want(t, a.one(t), msg.CodeCancelled)
	r.release(msg.HandlerRun) // its outcome comes too late

	r.program[msg.HandlerRun] = func(*msg.Turn) *msg.Outcome { return &msg.Outcome{Fault: "it does not fit", Park: true} }
	r.begin("v")
	reply := r.operate(msg.OperationDescribe, "v")
	if len(reply.Parked) != 1 || !strings.Contains(reply.Parked[0].Reason, "does not fit") {
		t.Fatalf("got parked %+v, want why", reply.Parked)
	}
	want(t, r.operate(msg.OperationTerminate, "v"), "")
	if got := len(r.operate(msg.OperationDescribe, "v").Parked); got != 0 {
		t.Error("it is terminated and still parked")
	}
	r.sameAfterReplay()
}

func TestAPausedWorkflowTakesNoStep(t *testing.T) {
	r := newFlowRig(t, Limits{})
	a := r.begin("w", deed{Do: "activity", Name: "pay"}, deed{Do: "await"})
	want(t, r.operate(msg.OperationPause, "w"), "")
	r.performed("pay", msg.TaskOutcome{Output: body("paid")})
	r.signal("w", "go")
	r.restart(nil)
	if got := r.call(msg.Request{Target: flowRef("w"), Handler: "said"}); string(got.Payload.Body) != "1 steps, 0 outcomes" {
		t.Errorf("got %q, want that it was told nothing", got.Payload.Body)
	}
	if len(r.tasks) != 0 {
		t.Error("an activity runs again whose outcome has come")
	}
	want(t, r.operate(msg.OperationResume, "w"), "")
	if got := string(r.describe("w").Output.Body); got != `"paid go"` || !a.open() { // who waited is gone with the process
		t.Errorf("got %s, want paid go", got)
	}
	r.sameAfterReplay()
}

func TestARestartedWorkflowBeginsAnewWithItsInput(t *testing.T) {
	r := newFlowRig(t, Limits{})
	a := r.begin("w", deed{Do: "call", Name: "x"}, deed{Do: "activity", Name: "pay"})
	run := r.describe("w").Run
	want(t, r.operate(msg.OperationRestart, "w"), "")
	if got := r.describe("w").Run; got <= run {
		t.Errorf("got run %d, want a new one after %d", got, run)
	}
	r.performed("pay", msg.TaskOutcome{Output: body("old")}) // of the first run
	r.performed("pay", msg.TaskOutcome{Output: body("new")})
	wantOutput(t, a.one(t), "2 new")
	want(t, r.operate(msg.OperationRestart, "w"), "")
	r.performed("pay", msg.TaskOutcome{Output: body("again")})
	if got := string(r.describe("w").Output.Body); got != `"3 again"` {
		t.Errorf("got %s after a restart of what had ended", got)
	}
	r.sameAfterReplay()
}

func TestAWorkflowTerminatedBeforeItsFirstStepIsBegunAgain(t *testing.T) {
	r := newFlowRig(t, Limits{})
	r.holding["w"] = true // its beginning is accepted, and no step of it taken
	r.begin("w", deed{Do: "activity", Name: "pay"})
	want(t, r.operate(msg.OperationTerminate, "w"), "")
	r.holding["w"] = false
	r.sameAfterReplay()
	r.restart(nil)
	if got := r.describe("w").Status; got != msg.WorkflowTerminated {
		t.Fatalf("it is %s", got)
	}
	want(t, r.operate(msg.OperationRestart, "w"), "")
	r.performed("pay", msg.TaskOutcome{Output: body("paid")})
	if got := string(r.describe("w").Output.Body); got != `"paid"` {
		t.Errorf("it was begun again and gave %s", got)
	}
	r.sameAfterReplay()
}

func TestAPromiseIsCompletedOnce(t *testing.T) {
	r := newFlowRig(t, Limits{})
	a := r.begin("w", deed{Do: "promise", Start: true}, deed{Do: "promise", Start: true}, deed{Do: "gather"})
	resolve := func(step msg.StepNumber, run msg.Index, value string, err *msg.Error) msg.Reply {
		t.Helper()
		id := msg.PromiseID{Target: flowRef("w"), Run: run, Step: step}
		return r.call(msg.Request{Operation: msg.OperationResolve, Target: id.Target, Promise: id, Payload: body(value), Err: err})
	}
	run := r.describe("w").Run
	want(t, resolve(1, run+1, "x", nil), msg.CodeConflict)
	want(t, resolve(1, run, "yes", nil), "")
	want(t, resolve(1, run, "no", nil), msg.CodeAlreadyExists)
	want(t, resolve(2, run, "", msg.Errorf("denied", msg.ClassDenied, "no")), "")
	wantOutput(t, a.one(t), "yes denied")
	want(t, resolve(2, run, "", nil), msg.CodeConflict)
	r.sameAfterReplay()
}

func TestATailCallAnswersWhoWaitsForTheWorkflow(t *testing.T) {
	r := newFlowRig(t, Limits{})
	a := r.begin("w", deed{Do: "tail", Name: "x"})
	want(t, a.one(t), "")
	if got := string(a.replies[0].Payload.Body); got != "1" {
		t.Errorf("got %s, want the answer of the entity", got)
	}
	b := r.begin("v", deed{Do: "child", Name: "u", Sub: []deed{{Do: "tail", Name: "x"}}})
	wantOutput(t, b.one(t), "2")
}

func TestAWorkflowThatWaitsForALongTimeIsNotForgottenAndOneThatHasEndedIs(t *testing.T) {
	r := newFlowRig(t, Limits{WorkflowRetention: time.Hour})
	r.begin("w")
	b := r.begin("v", deed{Do: "await"})
	r.advance(30 * time.Minute)
	r.restart(nil)
	r.advance(29 * time.Minute)
	if got := r.describe("w").Status; got != msg.WorkflowCompleted {
		t.Errorf("got %s, want completed", got)
	}
	r.advance(2 * time.Minute)
	if r.operate(msg.OperationDescribe, "w").Found {
		t.Error("a workflow is remembered whose retention is over")
	}
	r.signal("v", "end")
	if got := r.describe("v").Status; got != msg.WorkflowCompleted || !b.open() {
		t.Errorf("got %s, want completed", got)
	}
	r.sameAfterReplay()
}

// TestATombstoneKeepsTheID: without what was in it, and through a restart.
func TestATombstoneKeepsTheID(t *testing.T) {
	kept := flow
	kept.Tombstones = true
	r := newRig(t, 2, Limits{WorkflowRetention: time.Hour}, kept, thing("add", "get"))
	r.program["add"], r.program["get"], r.program[msg.HandlerRun] = add, get, interpret
	wantOutput(t, r.begin("w", deed{Do: "call", Name: "x"}).one(t), "1")
	r.advance(2 * time.Hour)
	for range 2 {
		for name, a := range map[string]*told{
			"the same input":        r.begin("w", deed{Do: "call", Name: "x"}),
			"another one":           r.begin("w", deed{Do: "call", Name: "y"}),
			"a submission":          r.ask(msg.Request{Operation: msg.OperationSubmit, Target: flowRef("w"), Handler: msg.HandlerRun, Payload: script(deed{Do: "call", Name: "x"})}),
			"whoever must be first": r.ask(msg.Request{Operation: msg.OperationSubmit, Target: flowRef("w"), Handler: msg.HandlerRun, OnConflict: msg.ConflictReject}),
		} {
			if got := a.one(t); got.Err == nil || got.Err.Code != msg.CodeAlreadyExists {
				t.Errorf("%s: got %+v, want %s", name, got, msg.CodeAlreadyExists)
			}
		}
		if w := r.describe("w"); w.Status != msg.WorkflowCompleted || len(w.Output.Body) > 0 || !w.Tombstone {
			t.Errorf("got %+v, want that it has completed, and nothing more", w)
		}
		if got := r.call(msg.Request{Operation: msg.OperationDescribe, Target: flowRef("w"), Wait: true}); got.Err == nil || got.Err.Code != msg.CodeNotFound {
			t.Errorf("the result: got %+v, want %s", got, msg.CodeNotFound)
		}
		if got := r.signal("w", "late"); got.Err == nil || got.Err.Code != msg.CodeConflict {
			t.Errorf("a signal: got %+v, want a conflict", got)
		}
		r.advance(100 * time.Hour)
		r.restart(nil)
	}
	r.sameAfterReplay()
}

func TestAWorkflowIsListedByStatus(t *testing.T) {
	r := newFlowRig(t, Limits{})
	ids := map[msg.Partition][]string{}
	for n := range 20 {
		id := fmt.Sprintf("w%02d", n)
		if n%2 == 0 {
			r.begin(id)
		} else {
			r.begin(id, deed{Do: "await"})
		}
		ids[r.place(flowRef(id))] = append(ids[r.place(flowRef(id))], id)
	}
	for p := range ids {
		a := &told{}
		r.step(p, msg.Command{Kind: msg.CommandRequest, Waiter: a, Request: &msg.Request{
			Operation: msg.OperationList, Target: msg.Ref{Kind: "flow"}, Limit: 100, Status: msg.WorkflowRunning}})
		var want []string
		for _, id := range ids[p] {
			if strings.ContainsAny(id[2:], "13579") {
				want = append(want, id)
			}
		}
		if reply := a.one(t); fmt.Sprint(reply.Keys) != fmt.Sprint(want) || len(reply.Workflows) != len(want) {
			t.Errorf("partition %d: got %v with %d, want %v", p, reply.Keys, len(reply.Workflows), want)
		}
	}
}

func TestATurnThatEndsTheProcessParksItsWorkflow(t *testing.T) {
	r := newFlowRig(t, Limits{AttemptsMax: 3})
	r.holding[msg.HandlerRun] = true
	r.begin("w", deed{Do: "await"})
	for range 3 {
		last := r.turns[len(r.turns)-1]
		r.restart([]msg.Fingerprint{last.Input})
	}
	reply := r.operate(msg.OperationDescribe, "w")
	if len(reply.Parked) != 1 || !strings.Contains(reply.Parked[0].Reason, "the process ended") {
		t.Fatalf("got parked %+v, want that the process ended", reply.Parked)
	}
	if got := len(r.turns); got != 3 {
		t.Errorf("got %d turns, want 3", got)
	}
}

func TestDeliveriesOfAFaultyTurnAreToldAgain(t *testing.T) {
	r := newFlowRig(t, Limits{})
	a := r.begin("w", deed{Do: "await"}, deed{Do: "await"}, deed{Do: "activity", Name: "pay"})
	faults := 2
	r.program[msg.HandlerRun] = func(turn *msg.Turn) *msg.Outcome {
		if faults > 0 {
			faults--
			return &msg.Outcome{Fault: "not now"}
		}
		return interpret(turn)
	}
	r.signal("w", "a")
	r.signal("w", "b")
	r.advance(time.Second)
	r.performed("pay", msg.TaskOutcome{})
	wantOutput(t, a.one(t), "a b ")
	r.sameAfterReplay()
}

func TestAMessageForAHandlerThatTheWorkflowDoesNotHaveIsADeadLetter(t *testing.T) {
	r := newFlowRig(t, Limits{})
	r.begin("w", deed{Do: "await"})
	r.program["add"] = func(turn *msg.Turn) *msg.Outcome {
		o := add(turn)
		o.Sends = []msg.Outgoing{{Target: flowRef("w"), Handler: "unknown"}, {Target: flowRef("w"), Handler: "ping", Payload: body("end")},
			{Target: flowRef("w"), Handler: "ping"}}
		return o
	}
	want(t, r.call(msg.Request{Target: ref("x"), Handler: "add"}), "")
	if got := r.describe("w").Status; got != msg.WorkflowCompleted {
		t.Errorf("got %s, want completed", got)
	}
	p := r.partitions[r.place(flowRef("w"))]
	if got := p.deadLetters.Len(); got != 2 { // the unknown one, and the one that came after the end
		t.Errorf("got %d dead letters, want 2", got)
	}
}

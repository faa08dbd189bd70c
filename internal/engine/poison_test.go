package engine

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// killUntil restarts the rig as after a crash while handlers ran, until nothing
// runs any more, and returns how often.
func (r *rig) killUntil(quiet func() bool) (kills int) {
	r.t.Helper()
	for ; len(r.runs) > 0 && !quiet(); kills++ {
		if kills > 20 {
			r.t.Fatalf("a handler was run again after %d crashes", kills)
		}
		var interrupted []msg.Fingerprint
		for _, run := range r.runs {
			interrupted = append(interrupted, run.turn.Fingerprint())
		}
		r.restart(interrupted)
		r.advance(time.Second)
	}
	return kills
}

// A message whose handler kills the process is given up after the limit, and
// what waits behind it goes on.
func TestMessageThatKillsTheProcessIsQuarantined(t *testing.T) {
	r, from, to := twoPartitions(t, Limits{AttemptsMax: 3})
	r.program["go"] = sendTo("slow", to[0])
	r.program["go2"] = sendTo("add", to[0])
	r.holding["slow"] = true // it never returns: the process dies of it
	want(t, r.call(msg.Request{Target: ref(from), Handler: "go"}), "")
	want(t, r.call(msg.Request{Target: ref(from), Handler: "go2"}), "")
	if kills := r.killUntil(func() bool { return false }); kills != 3 {
		t.Fatalf("the handler ran in %d processes, want 3", kills)
	}
	if got := r.root(to[0]); got != "1" {
		t.Fatalf("count is %q, want 1 from the message behind", got)
	}
	letters := r.call(msg.Request{Operation: msg.OperationDeadLetters, Target: ref(to[0])}).DeadLetters
	if len(letters) != 1 || letters[0].Message.Handler != "slow" {
		t.Fatalf("dead letters: %+v", letters)
	}
	if n := r.partitions[1].attempts.Len(); n != 0 {
		t.Fatalf("%d counts of attempts are left", n)
	}
	r.sameAfterReplay()

	delete(r.holding, "slow")
	want(t, r.call(msg.Request{Operation: msg.OperationRedeliver, Invocation: letters[0].ID}), "")
	if got := r.root(to[0]); got != "2" {
		t.Fatalf("after redelivery count is %q, want 2", got)
	}
	want(t, r.call(msg.Request{Operation: msg.OperationDiscard, Invocation: letters[0].ID}), msg.CodeNotFound)
	r.sameAfterReplay()
}

// The same for requests from outside that are made again after each crash:
// their callers are told. In the end other requests of the key go on.
func TestRequestThatKillsTheProcessIsQuarantined(t *testing.T) {
	for name, q := range map[string]msg.Request{
		"with a key":     {Handler: "slow", Identity: msg.Identity{IdempotencyKey: "k"}},
		"in a session":   {Handler: "slow", Identity: session(1, 1)},
		"anonymous":      {Handler: "slow", Payload: body("x")},
		"a read":         {Handler: "get"},
		"a peek":         {Handler: "get", Operation: msg.OperationPeek},
		"one of several": {Handler: "slow", Identity: session(1, 7)},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 1, Limits{AttemptsMax: 3}, thing("slow", "add", "get"))
			r.program["add"] = add
			q.Target = ref("a")
			r.holding["slow"], r.holding["get"] = true, true
			kills := 0
			var last *told
			for ; ; kills++ {
				if last = r.ask(q); !last.open() {
					break
				}
				r.restart([]msg.Fingerprint{r.runs[0].turn.Fingerprint(), r.runs[0].turn.Fingerprint()})
				if kills > 10 {
					t.Fatal("it is run for ever")
				}
			}
			want(t, last.one(t), msg.CodeQuarantined)
			if kills != 3 {
				t.Fatalf("the handler ran in %d processes, want 3", kills)
			}
			want(t, r.call(q), msg.CodeQuarantined)
			want(t, r.call(msg.Request{Target: ref("a"), Handler: "add"}), "")
			other := q
			other.Target = ref("b")
			if a := r.ask(other); q.Identity.Session.IsZero() && !a.open() {
				t.Fatalf("the same for another key was answered %+v", a.replies)
			}
			r.sameAfterReplay()
		})
	}
}

// A read that was running when the process died, for whatever reason, is not
// held against it for ever: once it returns, the count is forgotten. Otherwise a
// popular read would be quarantined by the fifth power cut.
func TestReadThatReturnsIsNotCountedAnyMore(t *testing.T) {
	r := newRig(t, 1, Limits{AttemptsMax: 3}, thing("add", "get"))
	r.program["add"], r.program["get"] = add, get
	for _, handler := range []string{"get", "add"} {
		for n := range 10 {
			r.holding[handler] = true
			r.ask(msg.Request{Target: ref("a"), Handler: handler})
			r.restart([]msg.Fingerprint{r.runs[0].turn.Fingerprint()})
			r.release(handler)
			reply := r.call(msg.Request{Target: ref("a"), Handler: handler})
			if reply.Err != nil {
				t.Fatalf("%s after %d crashes: %v", handler, n+1, reply.Err)
			}
		}
	}
	if n := r.partitions[0].attempts.Len(); n != 0 {
		t.Fatalf("%d counts are left", n)
	}
	r.sameAfterReplay()
}

// What is quarantined and has nobody to take it up gets another attempt after
// the retention time: the code may have been repaired.
func TestQuarantineOfRequestsWithoutIdentityEnds(t *testing.T) {
	r := newRig(t, 1, Limits{AttemptsMax: 2, Retention: time.Hour}, thing("slow", "get"))
	r.program["slow"], r.program["get"] = add, get
	for _, handler := range []string{"slow", "get"} {
		q := msg.Request{Target: ref("a"), Handler: handler}
		r.holding[handler] = true
		for range 2 {
			r.ask(q)
			r.restart([]msg.Fingerprint{r.runs[0].turn.Fingerprint()})
		}
		want(t, r.call(q), msg.CodeQuarantined)
		r.now += msg.Time(61 * time.Minute)
		if a := r.ask(q); !a.open() {
			t.Fatalf("%s was answered %+v", handler, a.replies)
		}
		r.release(handler)
		want(t, r.call(q), "")
	}
}

// An executor may have noted an input whose outcome is in the log. Its count is
// not kept: there is nothing that would take it away again.
func TestInterruptedInputThatIsDoneIsNotCounted(t *testing.T) {
	r, from, to := twoPartitions(t, Limits{})
	r.program["go"] = sendTo("add", to[0])
	want(t, r.call(msg.Request{Target: ref(from), Handler: "go"}), "")
	want(t, r.call(msg.Request{Operation: msg.OperationSubmit, Target: ref(to[0]), Handler: "add"}), "")
	var inputs []msg.Fingerprint
	for _, turn := range r.turns {
		if turn.Message.Handler == "add" {
			inputs = append(inputs, turn.Fingerprint())
		}
	}
	if len(inputs) != 2 {
		t.Fatalf("%d turns", len(inputs))
	}
	p := r.rebuild(1)
	r.out.Reset()
	p.Recover(r.now, 1, inputs, &r.out)
	if n := p.attempts.Len(); n != 0 || len(r.out.Records) != 0 {
		t.Fatalf("%d counts, %d records", n, len(r.out.Records))
	}
}

// The counts of attempts are bounded; the oldest make room, as a record says.
func TestCountsOfAttemptsAreBounded(t *testing.T) {
	r := newRig(t, 1, Limits{}, thing("add"))
	for batch := range 12 {
		var inputs []msg.Fingerprint
		for n := range 1000 {
			inputs = append(inputs, msg.FingerprintOf(fmt.Sprint(batch, " ", n)))
		}
		r.now += msg.Time(time.Second)
		r.restart(inputs)
	}
	first, last := msg.FingerprintOf("0 0"), msg.FingerprintOf("11 0")
	p := r.partitions[0]
	if n := p.attempts.Len(); n > attemptsMax {
		t.Fatalf("%d counts are kept, want at most %d", n, attemptsMax)
	}
	if _, ok := p.attempts.Get(string(first[:])); ok {
		t.Fatal("the oldest count was kept")
	}
	if _, ok := p.attempts.Get(string(last[:])); !ok {
		t.Fatal("the newest count was not kept")
	}
	r.sameAfterReplay()
}

// A panic is an outcome where somebody waits, and is retried with growing pauses
// where nobody does, until the limit.
func TestPanicIsRetriedWhereNobodyWaits(t *testing.T) {
	r, from, to := twoPartitions(t, Limits{AttemptsMax: 4, RetryDelay: time.Second, RetryDelayMax: 3 * time.Second})
	var at []time.Duration
	r.program["slow"] = func(turn *msg.Turn) *msg.Outcome {
		at = append(at, time.Duration(turn.Now-startTime))
		if int(turn.Attempt) != len(at) {
			t.Errorf("attempt %d is called %d", len(at), turn.Attempt)
		}
		return &msg.Outcome{Panicked: true, Err: msg.Errorf(msg.CodePanic, msg.ClassFailed, "oh")}
	}
	r.program["go"] = sendTo("slow", to[0])
	want(t, r.call(msg.Request{Target: ref(from), Handler: "go"}), "")
	r.advance(time.Minute)
	for n, least := range []time.Duration{0, time.Second, 2 * time.Second, 3 * time.Second} {
		if n > 0 && n < len(at) && at[n]-at[n-1] < least {
			t.Errorf("attempt %d began %v after the one before, want %v", n+1, at[n]-at[n-1], least)
		}
	}
	if len(at) != 4 || r.partitions[1].deadLetters.Len() != 1 {
		t.Fatalf("%d attempts, %d dead letters; want 4 and 1", len(at), r.partitions[1].deadLetters.Len())
	}
	at = nil
	want(t, r.call(msg.Request{Target: ref(to[0]), Handler: "slow"}), msg.CodePanic)
	if len(at) != 1 {
		t.Fatalf("the call ran %d times", len(at))
	}
	at = nil
	r.program["go2"] = func(turn *msg.Turn) *msg.Outcome {
		return &msg.Outcome{Tail: &msg.Outgoing{Target: ref(to[0]), Handler: "slow"}}
	}
	want(t, r.call(msg.Request{Target: ref(from), Handler: "go2"}), msg.CodePanic)
	if len(at) != 1 {
		t.Fatalf("the tail call ran %d times", len(at))
	}
}

// Attempts are counted across crashes: the count is in the log before the
// second run begins.
func TestAttemptsAreCountedAcrossCrashes(t *testing.T) {
	r, from, to := twoPartitions(t, Limits{AttemptsMax: 5})
	var attempts []uint32
	r.program["slow"] = func(turn *msg.Turn) *msg.Outcome {
		attempts = append(attempts, turn.Attempt)
		return &msg.Outcome{Panicked: true, Err: msg.Errorf(msg.CodePanic, msg.ClassFailed, "oh")}
	}
	r.program["go"] = sendTo("slow", to[0])
	want(t, r.call(msg.Request{Target: ref(from), Handler: "go"}), "")
	r.advance(150 * time.Millisecond)
	if len(attempts) != 2 {
		t.Fatalf("%d attempts so far, want 2", len(attempts))
	}
	r.sameAfterReplay()
	r.restart(nil)
	r.advance(time.Minute)
	// The second attempt was not marked when the process ended: it is made again.
	if got := fmt.Sprint(attempts); got != "[1 2 2 3 4 5]" {
		t.Fatalf("attempts %v", got)
	}
}

// Dead letters are bounded by number and by bytes; the oldest go.
func TestDeadLettersAreBounded(t *testing.T) {
	r := newRig(t, 1, Limits{AttemptsMax: 1, DeadLettersMax: 3, DeadLetterBytesMax: 2800}, thing("add"))
	r.program["add"] = func(*msg.Turn) *msg.Outcome {
		return &msg.Outcome{Panicked: true, Err: msg.Errorf(msg.CodePanic, msg.ClassFailed, "oh")}
	}
	give := func(size int) {
		r.now += msg.Time(time.Second)
		want(t, r.call(msg.Request{Operation: msg.OperationSubmit, Target: ref("a"), Handler: "add", Payload: msg.Payload{Body: make([]byte, size)}}), "")
	}
	sizes := func() (list []int) {
		for _, d := range r.call(msg.Request{Operation: msg.OperationDeadLetters}).DeadLetters {
			list = append(list, len(d.Message.Payload.Body))
		}
		return list
	}
	for n := range 5 {
		give(n)
	}
	if got := fmt.Sprint(sizes()); got != "[2 3 4]" {
		t.Fatalf("by number: %v", got)
	}
	give(2000)
	if got := fmt.Sprint(sizes()); got != "[4 2000]" {
		t.Fatalf("by bytes: %v", got)
	}
	r.sameAfterReplay()
	for _, d := range r.call(msg.Request{Operation: msg.OperationDeadLetters}).DeadLetters {
		want(t, r.call(msg.Request{Operation: msg.OperationDiscard, Invocation: d.ID}), "")
	}
	if p := r.partitions[0]; p.deadLetters.Len() != 0 || p.deadLetterBytes != 0 {
		t.Fatalf("%d dead letters with %d bytes are left", p.deadLetters.Len(), p.deadLetterBytes)
	}
	r.sameAfterReplay()
}

// An activity that kills its process every time is given up, and the workflow
// that waits for it hears that; nobody else's activity is.
func TestAnActivityThatKillsTheProcessIsQuarantined(t *testing.T) {
	r := newFlowRig(t, Limits{AttemptsMax: 3})
	r.begin("w", deed{Do: "activity", Name: "deadly"})
	r.begin("other", deed{Do: "activity", Name: "harmless"})
	kills := 0
	for ; kills < 10 && r.asks("deadly"); kills++ {
		r.restart([]msg.Fingerprint{r.taskOf("deadly").Fingerprint()})
		r.advance(time.Second)
	}
	if kills != 3 {
		t.Errorf("the activity ran in %d processes, want 3", kills)
	}
	if got := r.describe("w"); got.Status != msg.WorkflowCompleted || string(got.Output.Body) != `"`+msg.CodeQuarantined+`"` {
		t.Errorf("got %s %s, want that it hears %s", got.Status, got.Output.Body, msg.CodeQuarantined)
	}
	r.performed("harmless", msg.TaskOutcome{Output: body("fine")})
	if got := r.describe("other"); got.Status != msg.WorkflowCompleted {
		t.Errorf("the other workflow is %s", got.Status)
	}
	r.sameAfterReplay()
}

// Nobody waits for an activity that was sent: it is a dead letter, and can be
// asked for again.
func TestASentActivityThatKillsTheProcessIsADeadLetter(t *testing.T) {
	r := newRig(t, 1, Limits{AttemptsMax: 3}, thing("add"))
	r.program["add"] = func(turn *msg.Turn) *msg.Outcome {
		o := add(turn)
		o.Tasks = []msg.Task{{Activity: "mail"}}
		return o
	}
	want(t, r.call(msg.Request{Target: ref("x"), Handler: "add"}), "")
	for kills := 0; r.asks("mail"); kills++ {
		if kills == 3 {
			t.Fatal("it is asked for again after three processes")
		}
		r.restart([]msg.Fingerprint{r.taskOf("mail").Fingerprint()})
		r.advance(time.Second)
	}
	letters := r.call(msg.Request{Operation: msg.OperationDeadLetters, Target: ref("x")}).DeadLetters
	if len(letters) != 1 || letters[0].Message.Handler != "mail" || !strings.Contains(letters[0].Reason, msg.CodeQuarantined) {
		t.Fatalf("got dead letters %+v, want the mail", letters)
	}
	want(t, r.call(msg.Request{Operation: msg.OperationRedeliver, Invocation: letters[0].ID}), "")
	if !r.asks("mail") {
		t.Error("it was redelivered and is not asked for")
	}
	r.sameAfterReplay()
}

// An attempt that returns clears its task: that others had ended with their
// process is not held against it.
func TestAnActivityThatReturnsIsNotCountedAnyMore(t *testing.T) {
	r := newFlowRig(t, Limits{AttemptsMax: 3})
	r.begin("w", deed{Do: "activity", Name: "slow", Task: msg.Task{Retry: msg.Retry{First: time.Second}}})
	for n := range 10 {
		if !r.asks("slow") {
			t.Fatalf("after %d crashes it is not asked for", n)
		}
		r.restart([]msg.Fingerprint{r.taskOf("slow").Fingerprint()})
		r.advance(time.Second)
		r.performed("slow", busyWith(errBusy))
		r.advance(2 * time.Minute)
	}
	if got := r.describe("w"); got.Status != msg.WorkflowRunning {
		t.Errorf("the workflow is %s", got.Status)
	}
	if n := r.partitions[r.place(flowRef("w"))].attempts.Len(); n != 0 {
		t.Errorf("%d counts are left", n)
	}
	r.sameAfterReplay()
}

func (r *rig) asks(activity string) bool { return r.taskOf(activity) != nil }

// taskOf is the attempt of an activity that was asked for; nil: none was.
func (r *rig) taskOf(activity string) *msg.TaskRun {
	for n := range r.tasks {
		if run := r.tasks[n].run; run.Task.Activity == activity {
			return run
		}
	}
	return nil
}

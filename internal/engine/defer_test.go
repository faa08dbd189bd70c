package engine

import (
	"strings"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// The tests drive a machine that is closed at first: what comes with "job" is
// deferred while it is closed and noted while it is open.

// machine is the kind of these tests: a thing whose handlers are messages.
func machine() msg.Kind {
	k := thing("job", "open", "close", "note", "odd", "forward", "set", "again")
	k.Form = msg.FormMachine
	return k
}

// newMachine gives a rig with machines on every partition.
func newMachine(t *testing.T, partitions int, limits Limits) *rig {
	r := newRig(t, partitions, limits, machine())
	r.program["job"] = func(t *msg.Turn) *msg.Outcome {
		if !strings.HasPrefix(string(t.State.Root.Body), "open") {
			return &msg.Outcome{Defer: true}
		}
		return become(string(t.State.Root.Body) + string(t.Message.Payload.Body))
	}
	r.program["open"] = func(t *msg.Turn) *msg.Outcome { return offering(become("open")) }
	r.program["close"] = func(t *msg.Turn) *msg.Outcome { return offering(become("closed")) }
	r.program["note"] = func(t *msg.Turn) *msg.Outcome { return become(string(t.State.Root.Body) + "!") }
	r.program["odd"] = func(t *msg.Turn) *msg.Outcome {
		o := become("never")
		o.DeadLetter = "there is no use for it"
		return o
	}
	r.program["forward"] = sendTo("job", "a")
	return r
}

// become is the outcome that makes a text the state.
func become(text string) *msg.Outcome {
	root := body(text)
	return &msg.Outcome{Root: &root, Version: 1}
}

func offering(o *msg.Outcome) *msg.Outcome {
	o.Offer = true
	return o
}

// submit hands a message over from outside.
func (r *rig) submit(key, handler, text string) msg.InvocationID {
	r.t.Helper()
	reply := r.call(msg.Request{Operation: msg.OperationSubmit, Target: ref(key), Handler: handler, Payload: body(text)})
	want(r.t, reply, "")
	return reply.Invocation
}

func (r *rig) letters() []msg.DeadLetter {
	r.t.Helper()
	return r.call(msg.Request{Operation: msg.OperationDeadLetters, Target: ref("a")}).DeadLetters
}

func (r *rig) status(id msg.InvocationID) msg.Status {
	r.t.Helper()
	return r.call(msg.Request{Operation: msg.OperationResult, Invocation: id}).Status
}

// crashEverywhere takes steps one after the other and checks where that ends.
// Then it does so again for each record that was written, with a crash right
// after that record: what had begun is taken up by itself, what had not is done
// again, and it must end in the same way.
func crashEverywhere(t *testing.T, begin func(t *testing.T) *rig, steps []func(*rig), check func(t *testing.T, r *rig)) {
	t.Helper()
	whole := begin(t)
	began := make([]int, len(steps)) // by step: records before it
	for n, step := range steps {
		began[n] = len(whole.log)
		step(whole)
	}
	records := len(whole.log)
	check(t, whole)
	if records == 0 {
		t.Fatal("nothing was written")
	}
	for cut := range records + 1 {
		r := begin(t)
		for n, step := range steps {
			if began[n] < cut {
				step(r)
			}
		}
		r.log = r.log[:cut]
		r.restart(nil)
		r.advance(2 * time.Second)
		r.sameAfterReplay()
		for n, step := range steps {
			if began[n] >= cut {
				step(r)
			}
		}
		check(t, r)
		if t.Failed() {
			t.Fatalf("with a crash after record %d of %d", cut, records)
		}
	}
}

// submitting is a step that hands a message over from outside.
func submitting(key, handler, text string) func(*rig) {
	return func(r *rig) { r.submit(key, handler, text) }
}

func TestDeferredInputsSurviveACrashInOrder(t *testing.T) {
	steps := []func(*rig){
		submitting("a", "job", "1"), submitting("a", "job", "2"), submitting("a", "note", ""), submitting("a", "open", ""), submitting("a", "job", "3"),
	}
	begin := func(t *testing.T) *rig { return newMachine(t, 1, Limits{}) }
	crashEverywhere(t, begin, steps, func(t *testing.T, r *rig) {
		if got := r.root("a"); got != "open123" {
			t.Errorf("got %q, want open123", got)
		}
		if s := r.partitions[0].Stats(); s.Aside != 0 || r.partitions[0].inboxBytes != 0 {
			t.Errorf("at the end %d inputs are aside, %d bytes in inboxes", s.Aside, r.partitions[0].inboxBytes)
		}
	})
}

func TestDeferredInputsComeBackBeforeTheQueue(t *testing.T) {
	r := newMachine(t, 1, Limits{})
	r.submit("a", "job", "1")
	r.submit("a", "job", "2")
	r.holding["open"] = true
	r.submit("a", "open", "")
	r.submit("a", "job", "3")
	r.submit("a", "job", "4")
	r.release("open")
	if got := r.root("a"); got != "open1234" {
		t.Errorf("got %q, want open1234", got)
	}
}

func TestADeferredInputWaitsForATurnThatOffersIt(t *testing.T) {
	r := newMachine(t, 1, Limits{})
	id := r.submit("a", "job", "1")
	r.submit("a", "note", "")
	turns := len(r.turns)
	if turns != 2 || r.root("a") != "!" {
		t.Fatalf("%d turns ran and the state is %q, want 2 and !: a turn without Offer offers nothing", turns, r.root("a"))
	}
	if got := r.status(id); got != msg.StatusPending {
		t.Fatalf("the deferred invocation is %v, want pending", got)
	}
	if s := r.partitions[0].Stats(); s.Aside != 1 || s.Deferred != 1 || s.Queued != 0 {
		t.Fatalf("%d inputs are aside, %d turns deferred, %d are queued, want 1, 1 and 0", s.Aside, s.Deferred, s.Queued)
	}
	r.submit("a", "open", "")
	if got := r.status(id); got != msg.StatusCompleted || r.root("a") != "open1" {
		t.Fatalf("the invocation is %v and the state %q, want completed and open1", got, r.root("a"))
	}
	r.sameAfterReplay()
}

// A message that only its sender has is accepted when it is deferred, so that
// the sender may forget it.
func TestADeferredMessageIsAcceptedFromItsSender(t *testing.T) {
	begin := func(t *testing.T) *rig {
		r := newMachine(t, 2, Limits{AcceptAfter: time.Hour})
		r.program["forward"] = sendTo("job", r.keysOn(1, 1)...)
		return r
	}
	send := func(r *rig) {
		r.submit(r.keysOn(0, 1)[0], "forward", "1")
		r.advance(time.Second) // the acknowledgement gets its record
		if n := r.partitions[0].outboxes[1].messages.Len(); n != 0 {
			t.Fatalf("%d messages are in the outbox, want none", n)
		}
		if r.partitions[1].inboxBytes == 0 {
			t.Fatal("the deferred message is in no inbox")
		}
	}
	open := func(r *rig) { r.submit(r.keysOn(1, 1)[0], "open", "") }
	crashEverywhere(t, begin, []func(*rig){send, open}, func(t *testing.T, r *rig) {
		if got := r.root(r.keysOn(1, 1)[0]); got != "open1" {
			t.Errorf("got %q, want open1", got)
		}
	})
}

// Deferring is no failed attempt, however often it happens.
func TestDeferringDoesNotCountAsAnAttempt(t *testing.T) {
	r := newMachine(t, 1, Limits{AttemptsMax: 3})
	r.program["close"] = func(t *msg.Turn) *msg.Outcome { return offering(become(string(t.Message.Payload.Body))) }
	r.submit("a", "job", "1")
	for n := range 10 {
		r.submit("a", "close", strings.Repeat("c", n+1))
	}
	if last := r.turns[len(r.turns)-1]; last.Message.Handler != "job" || last.Attempt != 1 {
		t.Fatalf("the last turn is attempt %d of %s, want 1 of job", last.Attempt, last.Message.Handler)
	}
	if n := r.partitions[0].attempts.Len(); n != 0 {
		t.Fatalf("%d counts of attempts are kept", n)
	}
	r.submit("a", "open", "")
	if got := r.root("a"); got != "open1" || len(r.letters()) != 0 {
		t.Fatalf("got %q and dead letters %+v, want open1 and none", got, r.letters())
	}
}

// An attempt that was counted, because the process died meanwhile, is forgotten
// when the input is deferred.
func TestACountedAttemptIsForgottenWhenItDefers(t *testing.T) {
	r := newMachine(t, 1, Limits{AttemptsMax: 3})
	r.holding["job"] = true
	r.submit("a", "job", "1")
	r.restart([]msg.Fingerprint{r.runs[0].turn.Input})
	if n := r.partitions[0].attempts.Len(); n != 1 {
		t.Fatalf("%d counts of attempts, want 1", n)
	}
	r.release("job")
	if n := r.partitions[0].attempts.Len(); n != 0 {
		t.Fatalf("%d counts of attempts are left", n)
	}
	r.sameAfterReplay()
}

// What a turn changes that defers is kept: a machine comes to be although its
// first message has to wait. A turn that defers offers nothing, least of all its
// own input.
func TestATurnThatDefersMayChangeState(t *testing.T) {
	begin := func(t *testing.T) *rig {
		r := newMachine(t, 1, Limits{})
		r.program["job"] = func(t *msg.Turn) *msg.Outcome {
			if !t.State.Exists {
				o := offering(become("closed"))
				o.Defer = true
				o.Sends = append(o.Sends, msg.Outgoing{Target: ref("b"), Handler: "note"})
				return o
			}
			if string(t.State.Root.Body) != "open" {
				return &msg.Outcome{Defer: true}
			}
			return become("open" + string(t.Message.Payload.Body))
		}
		return r
	}
	created := func(r *rig) {
		if a, b := r.root("a"), r.root("b"); a != "closed" || b != "!" {
			t.Fatalf("the states are %q and %q, want closed and !", a, b)
		}
	}
	steps := []func(*rig){submitting("a", "job", "1"), created, submitting("a", "open", "")}
	crashEverywhere(t, begin, steps, func(t *testing.T, r *rig) {
		if a, b := r.root("a"), r.root("b"); a != "open1" || b != "!" {
			t.Errorf("got %q and %q, want open1 and !", a, b)
		}
	})
}

// Deletion is the end of the machine, not of its key: what it deferred is
// offered to the next one, like what was in the queue.
func TestAFreshInstanceIsOfferedWhatTheOldOneDeferred(t *testing.T) {
	begin := func(t *testing.T) *rig {
		r := newMachine(t, 1, Limits{})
		r.program["job"] = func(t *msg.Turn) *msg.Outcome {
			if t.State.Exists {
				return &msg.Outcome{Defer: true}
			}
			return become("fresh" + string(t.Message.Payload.Body))
		}
		r.program["again"] = func(*msg.Turn) *msg.Outcome { return &msg.Outcome{Delete: true} }
		return r
	}
	steps := []func(*rig){submitting("a", "close", ""), submitting("a", "job", "1"), submitting("a", "again", "")}
	crashEverywhere(t, begin, steps, func(t *testing.T, r *rig) {
		if got := r.root("a"); got != "fresh1" {
			t.Errorf("got %q, want fresh1", got)
		}
	})
	r := begin(t)
	steps[0](r)
	steps[1](r)
	want(t, r.call(msg.Request{Operation: msg.OperationDelete, Target: ref("a")}), "")
	if got := r.root("a"); got != "fresh1" {
		t.Errorf("deleted from outside: got %q, want fresh1", got)
	}
}

// A reminder that is deferred stays set. Once it is cleared, or set anew, the
// firing that waits aside is void.
func TestADeferredReminderIsVoidOnceItIsCleared(t *testing.T) {
	r := newMachine(t, 1, Limits{})
	alarm := msg.Reminder{Name: "late", Handler: "job", Payload: body("1")}
	r.program["set"] = func(t *msg.Turn) *msg.Outcome {
		alarm.Due = t.Now + msg.Time(time.Second)
		return &msg.Outcome{Remind: []msg.Reminder{alarm}}
	}
	for n := range 5 {
		r.submit("a", "set", "")
		r.advance(2 * time.Second)
		if s := r.partitions[0].Stats(); s.Aside != 1 {
			t.Fatalf("after %d settings %d inputs are aside, want 1", n+1, s.Aside)
		}
	}
	r.restart(nil)
	if s := r.partitions[0].Stats(); s.Aside != 1 {
		t.Fatalf("after a start %d inputs are aside, want the reminder again", s.Aside)
	}
	r.program["again"] = func(t *msg.Turn) *msg.Outcome {
		o := offering(become("open"))
		o.Forget = []string{"late"}
		return o
	}
	r.submit("a", "again", "")
	if got := r.root("a"); got != "open" {
		t.Fatalf("got %q: the reminder was cleared and its message came nevertheless", got)
	}
	if s := r.partitions[0].Stats(); s.Aside != 0 {
		t.Fatalf("%d inputs are aside", s.Aside)
	}
	r.sameAfterReplay()
}

// What waits aside counts for the bounds on what comes from outside.
func TestWhatWaitsAsideCountsForTheBounds(t *testing.T) {
	r := newMachine(t, 1, Limits{QueueMax: 3})
	for range 3 {
		r.submit("a", "job", "1")
	}
	want(t, r.call(msg.Request{Operation: msg.OperationSubmit, Target: ref("a"), Handler: "job"}), msg.CodeResourceExhausted)
	r = newMachine(t, 1, Limits{SubmissionBytes: 1000})
	r.submit("a", "job", strings.Repeat("x", 1000))
	want(t, r.call(msg.Request{Operation: msg.OperationSubmit, Target: ref("b"), Handler: "job"}), msg.CodeResourceExhausted)
}

func TestOperatorsSeeWhatWaitsAside(t *testing.T) {
	r := newMachine(t, 1, Limits{AttemptsMax: 1})
	r.submit("a", "job", "1")
	r.program["note"] = func(*msg.Turn) *msg.Outcome { return &msg.Outcome{Fault: "no"} }
	r.submit("a", "note", "")
	parked := r.call(msg.Request{Operation: msg.OperationParked, Target: ref("a")}).Parked
	if len(parked) != 1 || parked[0].Waiting != 2 {
		t.Fatalf("parked: %+v, want one with two inputs", parked)
	}
}

func TestAnIdleMachineThatDefersDoesNotExpire(t *testing.T) {
	kind := machine()
	kind.IdleTTL = time.Second
	r := newMachine(t, 1, Limits{})
	r.config.Kinds = []msg.Kind{kind}
	r.restart(nil)
	r.submit("a", "close", "")
	r.submit("a", "job", "1")
	r.advance(5 * time.Second)
	if got := r.root("a"); got != "closed" {
		t.Fatalf("got %q, want closed: a message waits for it", got)
	}
	r.submit("a", "open", "")
	r.advance(5 * time.Second)
	if got := r.root("a"); got != "" {
		t.Fatalf("got %q, want nothing: it has been idle", got)
	}
}

// A call from outside may be deferred, too: its caller waits.
func TestADeferredCallIsAnsweredWhenItIsTaken(t *testing.T) {
	r := newMachine(t, 1, Limits{})
	a := r.ask(msg.Request{Target: ref("a"), Handler: "job", Payload: body("1"), Identity: session(1, 1)})
	again := r.ask(msg.Request{Target: ref("a"), Handler: "job", Payload: body("1"), Identity: session(1, 1)})
	if !a.open() || !again.open() {
		t.Fatal("a deferred call is answered")
	}
	r.submit("a", "open", "")
	want(t, a.one(t), "")
	want(t, again.one(t), "")
	if got := r.root("a"); got != "open1" {
		t.Fatalf("got %q, want open1", got)
	}
	r.sameAfterReplay()
}

func TestAMessageWithoutUseBecomesADeadLetterWithTheState(t *testing.T) {
	var id msg.InvocationID
	begin := func(t *testing.T) *rig { return newMachine(t, 1, Limits{}) }
	steps := []func(*rig){
		submitting("a", "close", ""),
		func(r *rig) { id = r.submit("a", "odd", "17") },
		submitting("a", "note", ""),
	}
	crashEverywhere(t, begin, steps, func(t *testing.T, r *rig) {
		letters := r.letters()
		if len(letters) != 1 || letters[0].Reason != "there is no use for it" || string(letters[0].State.Body) != "closed" ||
			string(letters[0].Message.Payload.Body) != "17" {
			t.Fatalf("got %+v, want one letter with its reason, the state closed and the input 17", letters)
		}
		if got := r.root("a"); got != "closed!" {
			t.Fatalf("got %q, want closed!: the machine goes on unchanged", got)
		}
		if got := r.status(id); got != msg.StatusFailed {
			t.Fatalf("the invocation is %v, want failed", got)
		}
		r.program["odd"] = func(*msg.Turn) *msg.Outcome { return become("understood") }
		want(t, r.call(msg.Request{Operation: msg.OperationRedeliver, Invocation: letters[0].ID}), "")
		if got := r.root("a"); got != "understood" {
			t.Fatalf("after redelivery: got %q, want understood", got)
		}
	})
}

func TestADeadLetterKeepsItsErrorAndItsBounds(t *testing.T) {
	r := newMachine(t, 1, Limits{RecordBytesMax: 100 << 10})
	r.program["odd"] = func(t *msg.Turn) *msg.Outcome {
		return &msg.Outcome{Err: msg.Errorf("spoilt", msg.ClassConflict, "it is spoilt"), DeadLetter: string(t.Message.Payload.Body)}
	}
	caller := r.call(msg.Request{Target: ref("a"), Handler: "odd", Payload: body("why")})
	want(t, caller, "spoilt")
	if letters := r.letters(); len(letters) != 0 {
		t.Fatalf("somebody was told, and there is a dead letter: %+v", letters)
	}
	r.program["close"] = func(*msg.Turn) *msg.Outcome { return become(strings.Repeat("x", deadLetterStateMax+1)) }
	r.submit("a", "close", "")
	id := r.submit("a", "odd", strings.Repeat("y", 101<<10))
	r.submit("a", "odd", "why")
	reply := r.call(msg.Request{Operation: msg.OperationResult, Invocation: id})
	want(t, reply, msg.CodePayloadTooLarge)
	letters := r.letters()
	if len(letters) != 2 {
		t.Fatalf("%d dead letters, want 2", len(letters))
	}
	for _, l := range letters {
		if len(l.State.Body) != 0 || len(l.Reason) > 1000 {
			t.Fatalf("a letter with %d bytes of state and %d of reason", len(l.State.Body), len(l.Reason))
		}
	}
	r.sameAfterReplay()
}

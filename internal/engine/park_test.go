package engine

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// undecodable gives outcomes like a program whose state type has changed: for
// things whose root begins with "old" it cannot run.
func undecodable(next func(*msg.Turn) *msg.Outcome) func(*msg.Turn) *msg.Outcome {
	return func(t *msg.Turn) *msg.Outcome {
		if strings.HasPrefix(string(t.State.Root.Body), "old") {
			return &msg.Outcome{Fault: "state of " + t.Message.Target.String() + " does not decode"}
		}
		return next(t)
	}
}

// spoil makes a state that undecodable programs do not decode.
func (r *rig) spoil(key string) {
	r.t.Helper()
	r.program["spoil"] = func(*msg.Turn) *msg.Outcome { return &msg.Outcome{Root: &msg.Payload{Body: []byte("old")}, Version: 1} }
	want(r.t, r.call(msg.Request{Target: ref(key), Handler: "spoil"}), "")
}

// A state that does not decode parks its instance: its queue is kept over a
// crash, the others work, and code that decodes takes it up.
func TestStateThatDoesNotDecodeParksItsInstance(t *testing.T) {
	k := thing("go", "add", "get", "spoil")
	r := newRig(t, 2, Limits{AttemptsMax: 3}, k)
	from, to := r.keysOn(0, 1)[0], r.keysOn(1, 2)
	r.program["go"], r.program["get"] = sendTo("add", to[0]), get
	r.program["add"] = undecodable(add)
	r.spoil(to[0])
	for range 3 {
		want(t, r.call(msg.Request{Target: ref(from), Handler: "go"}), "")
	}
	submitted := r.call(msg.Request{Operation: msg.OperationSubmit, Target: ref(to[0]), Handler: "add"})
	r.advance(time.Minute)
	parked := r.call(msg.Request{Operation: msg.OperationParked, Target: ref(to[0])}).Parked
	if len(parked) != 1 || parked[0].Target != ref(to[0]) || parked[0].Waiting != 4 || !strings.Contains(parked[0].Reason, "does not decode") {
		t.Fatalf("parked: %+v", parked)
	}
	reply := r.call(msg.Request{Target: ref(to[0]), Handler: "add", Identity: session(1, 1)})
	if want(t, reply, msg.CodeUnavailable); !strings.Contains(reply.Err.Message, to[0]) || !strings.Contains(reply.Err.Message, "does not decode") ||
		!strings.Contains(reply.Err.Message, "until it is resumed") {
		t.Fatalf("the refusal says %q", reply.Err.Message)
	}
	want(t, r.call(msg.Request{Target: ref(to[1]), Handler: "add"}), "")
	if got := r.call(msg.Request{Operation: msg.OperationInspect, Target: ref(to[0])}); string(got.State.Root.Body) != "old" {
		t.Fatalf("the state is %q", got.State.Root.Body)
	}
	r.sameAfterReplay()

	r.restart(nil) // the same code parks it again
	r.advance(time.Minute)
	if n := r.partitions[1].parked.Len(); n != 1 {
		t.Fatalf("%d instances are parked after the restart, want 1", n)
	}
	r.program["add"] = func(turn *msg.Turn) *msg.Outcome {
		if strings.HasPrefix(string(turn.State.Root.Body), "old") {
			turn.State.Root = msg.Payload{Body: []byte("10")}
		}
		return add(turn)
	}
	r.restart(nil) // with code that decodes
	r.advance(time.Minute)
	if got := r.root(to[0]); got != "14" {
		t.Fatalf("the state is %q, want 14 after four messages", got)
	}
	if got := r.call(msg.Request{Operation: msg.OperationResult, Invocation: submitted.Invocation}); got.Status != msg.StatusCompleted {
		t.Fatalf("the submitted invocation is %v", got.Status)
	}
	want(t, r.call(msg.Request{Target: ref(to[0]), Handler: "add", Identity: session(1, 1)}), "")
}

// Resume lets a parked instance try again; Skip gives its first input up.
func TestOperatorResumesAndSkips(t *testing.T) {
	r := newRig(t, 2, Limits{AttemptsMax: 2}, thing("go", "add", "get", "spoil"))
	from, to := r.keysOn(0, 1)[0], r.keysOn(1, 1)[0]
	r.program["go"] = sendTo("add", to)
	r.program["add"] = undecodable(add)
	r.spoil(to)
	for range 2 {
		want(t, r.call(msg.Request{Target: ref(from), Handler: "go"}), "")
	}
	r.advance(time.Minute)
	resume := msg.Request{Operation: msg.OperationResume, Target: ref(to)}
	skip := msg.Request{Operation: msg.OperationSkip, Target: ref(to)}
	want(t, r.call(resume), "")
	r.advance(time.Minute)
	if n := r.partitions[1].parked.Len(); n != 1 {
		t.Fatalf("%d parked after a resume without a cure, want 1", n)
	}
	want(t, r.call(skip), "")
	r.advance(time.Minute)
	p := r.partitions[1]
	if p.deadLetters.Len() != 1 || p.instances[ref(to)].live.queue.Len() != 1 {
		t.Fatalf("%d dead letters, %d wait", p.deadLetters.Len(), p.instances[ref(to)].live.queue.Len())
	}
	r.program["add"] = func(*msg.Turn) *msg.Outcome { return &msg.Outcome{Root: &msg.Payload{Body: []byte("5")}} }
	want(t, r.call(resume), "")
	if got := r.root(to); got != "5" {
		t.Fatalf("the state is %q, want 5", got)
	}
	want(t, r.call(resume), msg.CodeNotFound)
	want(t, r.call(skip), msg.CodeNotFound)
	r.sameAfterReplay()
}

// An instance that is parked on a request which was answered has nothing to
// skip: those who wait behind it are innocent.
func TestSkipDoesNotGiveUpWhoWaitsBehind(t *testing.T) {
	r := newRig(t, 1, Limits{AttemptsMax: 2}, thing("slow", "add", "spoil"))
	r.spoil("a")
	r.program["slow"], r.program["add"] = undecodable(add), func(*msg.Turn) *msg.Outcome { return &msg.Outcome{Output: body("1")} }
	r.holding["slow"] = true
	first := r.ask(msg.Request{Target: ref("a"), Handler: "slow"})
	second := r.ask(msg.Request{Target: ref("a"), Handler: "slow"})
	third := r.ask(msg.Request{Target: ref("a"), Handler: "add"})
	submitted := r.call(msg.Request{Operation: msg.OperationSubmit, Target: ref("a"), Handler: "add"})
	r.release("slow")
	want(t, first.one(t), msg.CodeUnavailable)
	want(t, second.one(t), msg.CodeUnavailable)
	if !third.open() {
		t.Fatalf("who waits behind was answered %+v", third.replies)
	}
	want(t, r.call(msg.Request{Target: ref("a"), Handler: "add"}), msg.CodeUnavailable)
	want(t, r.call(msg.Request{Operation: msg.OperationSkip, Target: ref("a")}), "")
	want(t, third.one(t), "")
	if got := r.call(msg.Request{Operation: msg.OperationResult, Invocation: submitted.Invocation}); got.Status != msg.StatusCompleted {
		t.Fatalf("the submitted invocation is %v", got.Status)
	}
}

// A message for a handler that nobody serves waits: perhaps the next version
// serves it.
func TestMessageForAHandlerThatIsGoneWaits(t *testing.T) {
	r := newRig(t, 1, Limits{AttemptsMax: 2}, thing("go", "add", "get"))
	r.program["go"], r.program["add"], r.program["get"] = sendTo("new", "b"), add, get
	want(t, r.call(msg.Request{Target: ref("a"), Handler: "go"}), "")
	r.advance(time.Minute)
	if n := r.partitions[0].parked.Len(); n != 1 {
		t.Fatalf("%d instances are parked, want 1", n)
	}
	r.program["new"] = add
	r.config.Kinds = []msg.Kind{thing("go", "add", "new")}
	r.restart(nil)
	if got := r.root("b"); got != "1" {
		t.Fatalf("count is %q, want 1", got)
	}
}

// Lists for operators come in pages: each begins behind the last entry of the
// one before and has at most as many as were asked for.
func TestListsOfWhatStoppedComeInPages(t *testing.T) {
	r := newRig(t, 1, Limits{AttemptsMax: 1}, thing("stuck", "lost"))
	r.program["stuck"] = func(*msg.Turn) *msg.Outcome { return &msg.Outcome{Fault: "no program is connected"} }
	r.program["lost"] = func(*msg.Turn) *msg.Outcome {
		return &msg.Outcome{Panicked: true, Err: msg.Errorf(msg.CodePanic, msg.ClassFailed, "oh")}
	}
	for _, key := range []string{"e", "b", "d", "a", "c"} {
		want(t, r.call(msg.Request{Operation: msg.OperationSubmit, Target: ref(key), Handler: "stuck"}), "")
		want(t, r.call(msg.Request{Operation: msg.OperationSubmit, Target: ref("lost" + key), Handler: "lost"}), "")
	}
	ids := map[string]bool{}
	for limit, pages := range map[int]string{0: "[abcde]", 1: "[a b c d e ]", 2: "[ab cd e]", 5: "[abcde ]", 6: "[abcde]"} {
		var parked, lost []string
		for after, full := "", true; full; {
			keys := ""
			list := r.call(msg.Request{Operation: msg.OperationParked, After: after, Limit: limit}).Parked
			for n := range list {
				keys, after = keys+list[n].Target.Key, list[n].Place()
			}
			parked, full = append(parked, keys), len(list) == limit && limit > 0
		}
		for after, full := "", true; full; {
			list := r.call(msg.Request{Operation: msg.OperationDeadLetters, After: after, Limit: limit}).DeadLetters
			for n := range list {
				if after >= list[n].Place() {
					t.Errorf("limit %d: a dead letter is out of order", limit)
				}
				lost, after = append(lost, list[n].Message.Target.Key), list[n].Place()
				ids[after] = true
			}
			full = len(list) == limit && limit > 0
		}
		if got := fmt.Sprint(parked); got != pages || len(lost) != 5 || len(ids) != 5 {
			t.Errorf("limit %d: parked %s, want %s; dead letters %v, %d different, want 5", limit, got, pages, lost, len(ids))
		}
	}
}

// What is parked because nobody serves its kind any more can be given up: its
// message becomes a dead letter, and those behind it wait as it did.
func TestOperatorSkipsWhatNobodyServes(t *testing.T) {
	other := msg.Kind{Name: "other", Handlers: []msg.Handler{{Name: "add", Mode: msg.ModeUpdate}}}
	r := newRig(t, 1, Limits{AttemptsMax: 2}, thing("add"), other)
	r.program["add"] = func(*msg.Turn) *msg.Outcome { return &msg.Outcome{Fault: "no program is connected"} }
	gone := msg.Ref{Kind: "other", Key: "a"}
	for range 2 {
		want(t, r.call(msg.Request{Operation: msg.OperationSubmit, Target: gone, Handler: "add"}), "")
	}
	r.config.Kinds = []msg.Kind{thing("add")}
	r.restart(nil)
	r.advance(time.Minute)
	p := r.partitions[0]
	for left := 1; left >= 0; left-- {
		parked := r.call(msg.Request{Operation: msg.OperationParked}).Parked
		if len(parked) != 1 || parked[0].Target != gone || parked[0].Waiting != left+1 {
			t.Fatalf("parked: %+v, want %s with %d inputs", parked, gone, left+1)
		}
		want(t, r.call(msg.Request{Operation: msg.OperationResume, Target: gone}), "")
		r.advance(time.Minute)
		want(t, r.call(msg.Request{Operation: msg.OperationSkip, Target: gone}), "")
		r.advance(time.Minute)
		if n := r.partitions[0].deadLetters.Len(); n != 2-left {
			t.Fatalf("%d dead letters, want %d", n, 2-left)
		}
	}
	if p.parked.Len() != 0 {
		t.Fatalf("%d instances are parked, want none", p.parked.Len())
	}
	r.sameAfterReplay()
}

// Whoever calls from outside hears of a fault at once and may try again; what
// was asked has not happened.
func TestFaultIsARetryableAnswerForCallers(t *testing.T) {
	r := newRig(t, 1, Limits{AttemptsMax: 5}, thing("add", "get"))
	fault := true
	r.program["add"] = func(turn *msg.Turn) *msg.Outcome {
		if fault {
			return &msg.Outcome{Fault: "no program is connected"}
		}
		return add(turn)
	}
	r.program["get"] = func(*msg.Turn) *msg.Outcome { return &msg.Outcome{Fault: "no program is connected"} }
	q := msg.Request{Target: ref("a"), Handler: "add", Identity: session(1, 1)}
	want(t, r.call(q), msg.CodeUnavailable)
	want(t, r.call(msg.Request{Target: ref("a"), Handler: "get"}), msg.CodeUnavailable)
	if p := r.partitions[0]; p.Index() != 0 || len(p.instances) != 0 || len(p.inflight) != 0 {
		t.Fatalf("after a fault there are %d records, %d instances, %d requests in flight", p.Index(), len(p.instances), len(p.inflight))
	}
	fault = false
	want(t, r.call(q), "")
	if got := r.root("a"); got != "1" {
		t.Fatalf("count is %q", got)
	}
}

// A handler that does not return is given up: its caller may try again, and an
// outcome that comes later is refused. That of a read does not come later:
// whoever runs it tells the partition once.
func TestOutcomeOfAnAbandonedRunIsRefused(t *testing.T) {
	r := newRig(t, 1, Limits{}, thing("slow", "get"))
	r.program["slow"], r.program["get"] = add, get
	r.holding["slow"], r.holding["get"] = true, true
	q := msg.Request{Target: ref("a"), Handler: "slow", Identity: session(1, 1)}
	first, read := r.ask(q), r.ask(msg.Request{Target: ref("a"), Handler: "get"})
	for _, run := range r.runs {
		r.step(0, run.turn.GivenUp())
		if run.turn.Mode == msg.ModeUpdate {
			r.step(0, run.turn.GivenUp())
		}
	}
	want(t, first.one(t), msg.CodeUnavailable)
	want(t, read.one(t), msg.CodeUnavailable)
	late := r.runs[0]
	r.runs = nil
	second := r.ask(q)
	r.finish(late)
	if r.root("a") != "" || !second.open() {
		t.Fatalf("a late outcome was taken: root %q, answers %+v", r.root("a"), second.replies)
	}
	r.release("slow")
	want(t, second.one(t), "")
	if got := r.root("a"); got != "1" {
		t.Fatalf("count is %q, want 1", got)
	}
}

// Deadlines that pass before a turn begins end it, with an answer where somebody
// waits; a turn that has begun goes on.
func TestDeadlineEndsWhatHasNotBegun(t *testing.T) {
	r := newRig(t, 1, Limits{}, thing("slow", "add", "get", "go"))
	r.program["slow"], r.program["add"], r.program["get"] = add, add, get
	r.program["go"] = func(turn *msg.Turn) *msg.Outcome {
		return &msg.Outcome{Tail: &msg.Outgoing{Target: ref("a"), Handler: "add"}}
	}
	r.holding["slow"] = true
	deadline := r.now + msg.Time(time.Second)
	begun := r.ask(msg.Request{Target: ref("a"), Handler: "slow", Deadline: deadline})
	behind := r.ask(msg.Request{Target: ref("a"), Handler: "add", Deadline: deadline, Identity: session(1, 1)})
	tailed := r.ask(msg.Request{Target: ref("b"), Handler: "go", Deadline: deadline, Identity: session(2, 1)})
	submitted := r.call(msg.Request{Operation: msg.OperationSubmit, Target: ref("a"), Handler: "add", Deadline: deadline})
	r.now += msg.Time(2 * time.Second)
	r.release("slow")
	want(t, begun.one(t), "")
	want(t, behind.one(t), msg.CodeDeadlineExceeded)
	want(t, tailed.one(t), msg.CodeDeadlineExceeded)
	want(t, r.call(msg.Request{Target: ref("a"), Handler: "add", Deadline: deadline, Identity: session(1, 1)}), msg.CodeDeadlineExceeded)
	want(t, r.call(msg.Request{Target: ref("a"), Handler: "get", Deadline: deadline}), msg.CodeDeadlineExceeded)
	got := r.call(msg.Request{Operation: msg.OperationResult, Invocation: submitted.Invocation})
	if want(t, got, msg.CodeDeadlineExceeded); got.Status != msg.StatusFailed {
		t.Fatalf("status is %v", got.Status)
	}
	if got := r.root("a"); got != "1" {
		t.Fatalf("count is %q, want 1", got)
	}
	r.sameAfterReplay()
}

// One step settles a bounded number of inputs that do not run; ticks go on with
// the rest.
func TestOneStepSettlesABoundedNumberOfInputs(t *testing.T) {
	r := newRig(t, 1, Limits{}, thing("slow", "add"))
	r.program["slow"], r.program["add"] = add, add
	r.holding["slow"] = true
	first := r.ask(msg.Request{Target: ref("a"), Handler: "slow"})
	var behind []*told
	for n := range 3 * startBatch {
		behind = append(behind, r.ask(msg.Request{Target: ref("a"), Handler: "add", Deadline: r.now + 1, Identity: session(1, uint64(n+1))}))
	}
	r.now += msg.Time(time.Second)
	run := r.runs[0]
	r.runs = nil
	before := len(r.log)
	r.finish(run)
	if n := len(r.log) - before; n > startBatch+1 {
		t.Fatalf("one step made %d records", n)
	}
	r.settle()
	want(t, first.one(t), "")
	for _, a := range behind {
		want(t, a.one(t), msg.CodeDeadlineExceeded)
	}
}

// Faults of keys that have nothing do not gather in memory.
func TestFaultsOfKeysWithoutStateLeaveNothing(t *testing.T) {
	r := newRig(t, 1, Limits{}, thing("add"))
	r.program["add"] = func(*msg.Turn) *msg.Outcome { return &msg.Outcome{Fault: "no program is connected"} }
	for n := range 1000 {
		want(t, r.call(msg.Request{Target: ref(string(rune('a'+n%26)) + strings.Repeat("x", n)), Handler: "add"}), msg.CodeUnavailable)
	}
	if p := r.partitions[0]; len(p.instances) != 0 || p.order.Len() != 0 {
		t.Fatalf("%d instances are left", len(p.instances))
	}
}

package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
)

func answersRig(t *testing.T, limits Limits) *rig {
	r := newRig(t, 2, limits, thing("add", "add2", "slow", "tail", "get"))
	r.program["add"], r.program["add2"], r.program["slow"], r.program["get"] = add, add, add, get
	return r
}

// One key and one body are one request, before and after a crash; another body
// is refused.
func TestIdempotencyKey(t *testing.T) {
	r := answersRig(t, Limits{})
	q := msg.Request{Target: ref("a"), Handler: "add", Payload: body("1"), Identity: msg.Identity{IdempotencyKey: "k"}}
	first := r.call(q)
	want(t, first, "")
	for n := range 3 {
		if again := r.call(q); !sameReply(&first, &again) {
			t.Fatalf("repeat %d was answered %+v, the first %+v", n, again, first)
		}
		r.restart(nil)
	}
	other := q
	other.Payload = body("2")
	want(t, r.call(other), msg.CodeUnprocessable)
	scope := q
	scope.Handler = "add2"
	want(t, r.call(scope), "")
	scope.Target = ref("b")
	want(t, r.call(scope), "")
	if a, b := r.root("a"), r.root("b"); a != "2" || b != "1" {
		t.Fatalf("counts %q and %q, want 2 and 1", a, b)
	}
	r.sameAfterReplay()
}

// Errors are remembered as answers; refusals and faults are not.
func TestErrorsAreRememberedAndFaultsAreNot(t *testing.T) {
	r := answersRig(t, Limits{})
	runs := 0
	r.program["add"] = func(*msg.Turn) *msg.Outcome {
		runs++
		return &msg.Outcome{Err: &msg.Error{Code: "mine", Class: msg.ClassConflict, Message: "m", Detail: []byte("d")}}
	}
	q := msg.Request{Target: ref("a"), Handler: "add", Identity: msg.Identity{IdempotencyKey: "k"}}
	first := r.call(q)
	want(t, first, "mine")
	r.restart(nil)
	again := r.call(q)
	if want(t, again, "mine"); !sameReply(&first, &again) || runs != 1 || string(again.Err.Detail) != "d" || again.Err.Class != msg.ClassConflict {
		t.Fatalf("again %+v after %d runs", again.Err, runs)
	}
}

// While the first request runs, repeats of it wait with it, up to a bound.
func TestRepeatsAttachToTheFirst(t *testing.T) {
	r := answersRig(t, Limits{WaitersMax: 3})
	r.holding["slow"] = true
	q := msg.Request{Target: ref("a"), Handler: "slow", Identity: msg.Identity{IdempotencyKey: "k"}}
	all := []*told{r.ask(q), r.ask(q), r.ask(q)}
	want(t, r.call(q), msg.CodeResourceExhausted)
	other := q
	other.Payload = body("2")
	want(t, r.call(other), msg.CodeUnprocessable)
	r.release("slow")
	for n, a := range all {
		if reply := a.one(t); string(reply.Payload.Body) != "1" {
			t.Fatalf("waiter %d was told %+v", n, reply)
		}
	}
	if p := r.partitions[0]; len(p.inflight)+len(p.attached) != 0 {
		t.Fatal("requests are left in flight")
	}
}

// Who stops waiting makes room, whether he waited for an input or for an
// obligation, and whichever of his repeats he made.
func TestWaitersThatLeaveMakeRoom(t *testing.T) {
	r := answersRig(t, Limits{WaitersMax: 2})
	r.program["tail"] = func(*msg.Turn) *msg.Outcome {
		return &msg.Outcome{Tail: &msg.Outgoing{Target: ref("b"), Handler: "slow"}}
	}
	r.holding["slow"] = true
	for name, q := range map[string]msg.Request{
		"input":      {Target: ref("a"), Handler: "slow", Identity: msg.Identity{IdempotencyKey: "k"}},
		"obligation": {Target: ref("c"), Handler: "tail", Identity: session(1, 1)},
	} {
		first := r.ask(q)
		to := r.place(q.Target)
		for n := range 5 {
			again, w := q, &told{}
			again.Invocation = msg.NewInvocationID(to, 1<<17, uint64(n+1))
			r.step(to, msg.Command{Kind: msg.CommandRequest, Request: &again, Waiter: w})
			if !w.open() {
				t.Fatalf("%s: repeat %d was answered %+v", name, n, w.replies)
			}
			r.step(to, msg.Command{Kind: msg.CommandLeave, Request: &msg.Request{Invocation: again.Invocation}, Waiter: w})
		}
		if !first.open() {
			t.Fatalf("%s: the first was answered %+v", name, first.replies)
		}
	}
	r.release("slow")
	for n, p := range r.partitions {
		if len(p.waiters)+len(p.attached)+len(p.inflight) != 0 {
			t.Fatalf("partition %d remembers %d waiters, %d attachments, %d requests", n, len(p.waiters), len(p.attached), len(p.inflight))
		}
	}
}

// A session's answers replace each other: the last can be had again, an older
// one is refused, and a million cost no more than one.
func TestSession(t *testing.T) {
	r := answersRig(t, Limits{})
	ask := func(number uint64) msg.Reply {
		return r.call(msg.Request{Target: ref("a"), Handler: "add", Identity: session(7, number)})
	}
	for n := range uint64(5) {
		first := ask(n + 1)
		r.restart(nil)
		if again := ask(n + 1); !sameReply(&first, &again) || string(again.Payload.Body) != fmt.Sprint(n+1) {
			t.Fatalf("number %d: first %+v, again %+v", n+1, first, again)
		}
	}
	want(t, ask(4), msg.CodeConflict)
	p := r.partitions[r.place(ref("a"))]
	if s := p.Stats(); s.Answers != 1 {
		t.Fatalf("%d answers are remembered, want 1", s.Answers)
	}
	want(t, ask(9), "") // numbers may be left out: they went to other partitions
	r.sameAfterReplay()
}

// A number without a session, and a session without a number, are no identity.
func TestHalfAnIdentityIsNone(t *testing.T) {
	r := answersRig(t, Limits{})
	for _, half := range []msg.Identity{{SessionNumber: 3}, {Session: msg.SessionID{1}}} {
		for range 2 {
			want(t, r.call(msg.Request{Target: ref("a"), Handler: "add", Identity: half}), "")
		}
	}
	if p := r.partitions[r.place(ref("a"))]; p.Stats().Answers != 0 || r.root("a") != "4" {
		t.Fatalf("%d answers, count %q; want 0 and 4", p.Stats().Answers, r.root("a"))
	}
}

// A straggler of a session that has gone on leaves no answer behind: nobody
// could ask for it.
func TestStragglerOfASessionIsNotRemembered(t *testing.T) {
	r := answersRig(t, Limits{})
	r.holding["slow"] = true
	key := r.keysOn(0, 2)
	late := r.ask(msg.Request{Target: ref(key[0]), Handler: "slow", Identity: session(1, 1)})
	want(t, r.call(msg.Request{Target: ref(key[1]), Handler: "add", Identity: session(1, 2)}), "")
	r.release("slow")
	want(t, late.one(t), "")
	if s := r.partitions[0].Stats(); s.Answers != 1 {
		t.Fatalf("%d answers are remembered, want that of number 2", s.Answers)
	}
	again := r.call(msg.Request{Target: ref(key[1]), Handler: "add", Identity: session(1, 2)})
	if string(again.Payload.Body) != "1" {
		t.Fatalf("number 2 again: %+v", again)
	}
	want(t, r.call(msg.Request{Target: ref(key[0]), Handler: "slow", Identity: session(1, 1)}), msg.CodeConflict)
	r.sameAfterReplay()
}

// What was submitted can be asked about by its invocation until its answer is
// forgotten, also when its session has gone on meanwhile.
func TestSubmittedInvocationOutlivesItsSession(t *testing.T) {
	r := answersRig(t, Limits{Retention: time.Hour})
	r.holding["slow"] = true
	q := msg.Request{Operation: msg.OperationSubmit, Target: ref("a"), Handler: "slow", Identity: session(1, 1)}
	id := r.call(q).Invocation
	if again := r.call(q); again.Invocation != id {
		t.Fatalf("submitted again as %v, want %v", again.Invocation, id)
	}
	result := func(wait bool) *told {
		return r.ask(msg.Request{Operation: msg.OperationResult, Invocation: id, Wait: wait})
	}
	if got := result(false).one(t); got.Status != msg.StatusPending {
		t.Fatalf("status is %v", got.Status)
	}
	waiting := result(true)
	want(t, r.call(msg.Request{Target: ref("a"), Handler: "get"}), "")
	for n := range uint64(3) {
		want(t, r.call(msg.Request{Operation: msg.OperationSubmit, Target: ref("a"), Handler: "add", Identity: session(1, n+2)}), "")
	}
	r.sameAfterReplay()
	r.restart(nil)
	if !waiting.open() {
		t.Fatalf("the waiter was told %+v", waiting.replies)
	}
	waiting = result(true)
	r.release("slow")
	for _, a := range []*told{waiting, result(true), result(false)} {
		if got := a.one(t); got.Status != msg.StatusCompleted || string(got.Payload.Body) != "1" {
			t.Fatalf("result is %+v", got)
		}
	}
	r.now += msg.Time(2 * time.Hour)
	want(t, r.call(msg.Request{Target: ref("a"), Handler: "add", Identity: session(2, 1)}), "")
	want(t, result(true).one(t), msg.CodeNotFound)
	if s := r.partitions[r.place(ref("a"))].Stats(); s.Answers != 1 {
		t.Fatalf("%d answers are left, want the newest", s.Answers)
	}
	r.sameAfterReplay()
}

// What is pending is not forgotten, however long it takes.
func TestPendingAnswersAreNotPruned(t *testing.T) {
	r := answersRig(t, Limits{Retention: time.Hour})
	r.program["tail"] = func(*msg.Turn) *msg.Outcome {
		return &msg.Outcome{Tail: &msg.Outgoing{Target: ref("b"), Handler: "slow"}}
	}
	r.holding["slow"] = true
	q := msg.Request{Target: ref("a"), Handler: "tail", Identity: msg.Identity{IdempotencyKey: "k"}}
	first := r.ask(q)
	id := r.call(msg.Request{Operation: msg.OperationSubmit, Target: ref("c"), Handler: "slow"}).Invocation
	for n := range 50 {
		r.now += msg.Time(time.Hour)
		for _, key := range []string{"a", "b", "c"} {
			want(t, r.call(msg.Request{Target: ref("x" + key), Handler: "add", Identity: session(1, uint64(n+1))}), "")
		}
	}
	again := r.ask(q)
	r.release("slow")
	if !sameReply(ptr(first.one(t)), ptr(again.one(t))) || r.root("b") != "1" {
		t.Fatalf("first %+v, again %+v, root %q", first.replies, again.replies, r.root("b"))
	}
	if got := r.call(msg.Request{Operation: msg.OperationResult, Invocation: id}); got.Status != msg.StatusCompleted {
		t.Fatalf("status is %v", got.Status)
	}
	r.sameAfterReplay()
}

func ptr[T any](v T) *T { return &v }

// Over the byte budget the oldest answers go, but not before the minimum: then
// new requests with a key are refused, others and repeats are not.
func TestAnswersHaveAByteBudget(t *testing.T) {
	r := answersRig(t, Limits{Retention: time.Hour, RetentionMin: time.Minute, AnswerBytesMax: 10_000})
	key := r.keysOn(0, 1)[0]
	keyed := func(n int) msg.Request {
		return msg.Request{Target: ref(key), Handler: "add", Identity: msg.Identity{IdempotencyKey: fmt.Sprint(n)}}
	}
	want(t, r.call(msg.Request{Target: ref(key), Handler: "add", Identity: session(1, 1)}), "")
	full := 0
	for ; full < 1000; full++ {
		if reply := r.call(keyed(full)); reply.Err != nil {
			want(t, reply, msg.CodeResourceExhausted)
			break
		}
	}
	if p := r.partitions[0]; full == 1000 || p.answers.ended.bytes > 11_000 {
		t.Fatalf("refused after %d, with %d bytes", full, p.answers.ended.bytes)
	}
	want(t, r.call(msg.Request{Target: ref(key), Handler: "add"}), "")
	want(t, r.call(keyed(0)), "")
	want(t, r.call(msg.Request{Target: ref(key), Handler: "add", Identity: session(1, 2)}), "")
	want(t, r.call(msg.Request{Operation: msg.OperationSubmit, Target: ref(key), Handler: "add", Identity: session(2, 1)}), msg.CodeResourceExhausted)
	r.now += msg.Time(2 * time.Minute)
	for n := range 200 {
		want(t, r.call(keyed(full+n)), "")
		if p := r.partitions[0]; p.answers.ended.bytes > 11_000 {
			t.Fatalf("%d bytes after %d more", p.answers.ended.bytes, n)
		}
		r.now += msg.Time(5 * time.Second)
	}
	r.sameAfterReplay()
	r.now += msg.Time(2 * time.Hour)
	for n := range 20 {
		want(t, r.call(keyed(1000+n)), "")
	}
	if s := r.partitions[0].Stats(); s.Answers != 20 {
		t.Fatalf("%d answers after the retention time, want 20", s.Answers)
	}
	r.sameAfterReplay()
}

// Submissions are bounded by number and by the bytes that wait in inboxes.
func TestSubmissionsAreBounded(t *testing.T) {
	r := answersRig(t, Limits{SubmissionsMax: 3, SubmissionBytes: 10_000})
	r.holding["slow"] = true
	keys := r.keysOn(0, 2)
	submit := func(size int) msg.Reply {
		return r.call(msg.Request{Operation: msg.OperationSubmit, Target: ref(keys[0]), Handler: "slow", Payload: msg.Payload{Body: make([]byte, size)}})
	}
	for range 3 {
		want(t, submit(0), "")
	}
	want(t, submit(0), msg.CodeResourceExhausted)
	want(t, r.call(msg.Request{Target: ref(keys[1]), Handler: "add", Identity: session(1, 1)}), msg.CodeResourceExhausted)
	want(t, r.call(msg.Request{Target: ref(keys[1]), Handler: "add"}), "")
	r.release("slow")
	r.holding["slow"] = true
	want(t, submit(20_000), "")
	want(t, submit(0), msg.CodeResourceExhausted)
	r.restart(nil)
	want(t, submit(0), msg.CodeResourceExhausted)
	r.release("slow")
	want(t, submit(0), "")
	if got := r.root(keys[0]); got != "5" {
		t.Fatalf("count is %q", got)
	}
	r.sameAfterReplay()
}

// A key's queue from outside is bounded.
func TestQueueFromOutsideIsBounded(t *testing.T) {
	r := answersRig(t, Limits{QueueMax: 5})
	r.holding["slow"] = true
	for range 6 { // one runs
		r.ask(msg.Request{Target: ref("a"), Handler: "slow"})
	}
	want(t, r.call(msg.Request{Target: ref("a"), Handler: "slow"}), msg.CodeResourceExhausted)
	want(t, r.call(msg.Request{Operation: msg.OperationSubmit, Target: ref("a"), Handler: "slow"}), msg.CodeResourceExhausted)
	want(t, r.call(msg.Request{Target: ref("a"), Handler: "get"}), "")
}

// A chain of tail calls over partitions answers whoever began it, once; a crash
// in its middle does not break it for who asks again.
func TestTailCallsAnswerTheOriginOnce(t *testing.T) {
	for stop := range 8 {
		r := answersRig(t, Limits{})
		r.program["tail"] = func(turn *msg.Turn) *msg.Outcome {
			var n int
			fmt.Sscan(string(turn.Message.Payload.Body), &n)
			o := add(turn)
			if n < 8 {
				o.Tail = &msg.Outgoing{Target: ref(fmt.Sprint("hop", n)), Handler: "tail", Payload: body(fmt.Sprint(n + 1))}
			} else {
				o.Output = body("end")
			}
			return o
		}
		held := fmt.Sprint("hop", stop)
		r.holding[held] = true
		keyed := msg.Request{Target: ref("a"), Handler: "tail", Payload: body("0"), Identity: session(1, 1)}
		anonymous := msg.Request{Target: ref("a"), Handler: "tail", Payload: body("0")}
		first, unknown := r.ask(keyed), r.ask(anonymous)
		if !first.open() || !unknown.open() {
			t.Fatalf("answered before the chain ended: %+v %+v", first.replies, unknown.replies)
		}
		r.sameAfterReplay()
		r.restart(nil)
		again := r.ask(keyed)
		r.release(held)
		if reply := again.one(t); string(reply.Payload.Body) != "end" || len(first.replies)+len(unknown.replies) != 0 {
			t.Fatalf("stopped at %d: again %+v, first %+v, anonymous %+v", stop, reply, first.replies, unknown.replies)
		}
		want(t, r.call(keyed), "")
		for n := range 8 {
			if got := r.root(fmt.Sprint("hop", n)); got != "2" {
				t.Fatalf("hop %d was passed %q times, want twice", n, got)
			}
		}
		r.advance(time.Minute)
		r.sameAfterReplay()
	}
}

// An answer that depends on nothing newer than what it has seen waits for no
// more: a read of an entity does not wait for the records of others.
func TestAnswersDependOnWhatTheyHaveSeen(t *testing.T) {
	r := answersRig(t, Limits{})
	keys := r.keysOn(0, 3)
	want(t, r.call(msg.Request{Target: ref(keys[0]), Handler: "add"}), "")
	seen := r.partitions[0].Index()
	want(t, r.call(msg.Request{Target: ref(keys[1]), Handler: "add"}), "")
	newest := r.partitions[0].Index()
	for name, c := range map[string]struct {
		request msg.Request
		index   msg.Index
	}{
		"a read":                       {msg.Request{Target: ref(keys[0]), Handler: "get"}, seen},
		"an inspection":                {msg.Request{Target: ref(keys[0]), Operation: msg.OperationInspect}, seen},
		"a read of nothing":            {msg.Request{Target: ref(keys[2]), Handler: "get"}, newest},
		"an inspection of nothing":     {msg.Request{Target: ref(keys[2]), Operation: msg.OperationInspect}, newest},
		"a question whether it exists": {msg.Request{Target: ref(keys[2]), Operation: msg.OperationExists}, newest},
		"a deletion of nothing":        {msg.Request{Target: ref(keys[2]), Operation: msg.OperationDelete}, newest},
		"a list":                       {msg.Request{Target: ref(keys[2]), Operation: msg.OperationList}, newest},
		"a refusal":                    {msg.Request{Target: ref(keys[2]), Handler: "none"}, 0},
	} {
		a := r.ask(c.request)
		if a.one(t); a.indexes[0] != c.index {
			t.Errorf("%s depends on record %d, want %d of %d", name, a.indexes[0], c.index, newest)
		}
	}
}

// A read may be answered with a deletion that a checkpoint has already cleaned
// up after and that is not durable yet.
func TestReadOfADeletedEntityDependsOnTheDeletion(t *testing.T) {
	r := answersRig(t, Limits{})
	want(t, r.call(msg.Request{Target: ref("a"), Handler: "add"}), "")
	want(t, r.call(msg.Request{Operation: msg.OperationDelete, Target: ref("a")}), "")
	p := r.partitions[r.place(ref("a"))]
	p.BeginCheckpoint()
	p.Slice(nil, 1<<20)
	if p.instances[ref("a")] != nil {
		t.Fatal("the checkpoint has not cleaned up")
	}
	read := r.ask(msg.Request{Target: ref("a"), Handler: "get"})
	if read.one(t); read.indexes[0] < p.Index() {
		t.Fatalf("the read depends on record %d, the deletion is %d", read.indexes[0], p.Index())
	}
	r.sameAfterReplay()
}

// A session may go on although the chain that its last number began has not
// ended: its caller has given up. Whoever still waits is told; nothing is left.
func TestSessionThatLeavesAChainBehind(t *testing.T) {
	r := answersRig(t, Limits{WaitersMax: 2})
	keys := r.keysOn(0, 2)
	r.program["tail"] = func(*msg.Turn) *msg.Outcome {
		return &msg.Outcome{Tail: &msg.Outgoing{Target: ref("b"), Handler: "slow"}}
	}
	r.holding["slow"] = true
	q := msg.Request{Target: ref(keys[0]), Handler: "tail", Identity: session(1, 1)}
	first, second := r.ask(q), r.ask(q)
	want(t, r.call(q), msg.CodeResourceExhausted)
	want(t, r.call(msg.Request{Target: ref(keys[1]), Handler: "add", Identity: session(1, 2)}), "")
	if s := r.partitions[0].Stats(); s.Answers != 1 {
		t.Fatalf("%d answers are remembered, want that of number 2", s.Answers)
	}
	r.sameAfterReplay()
	r.release("slow")
	for _, a := range []*told{first, second} {
		if reply := a.one(t); string(reply.Payload.Body) != "1" {
			t.Fatalf("the chain was answered %+v", reply)
		}
	}
	want(t, r.call(q), msg.CodeConflict)
	if p := r.partitions[0]; len(p.waiters)+len(p.attached)+p.answers.pending.len != 0 || p.Stats().Answers != 1 {
		t.Fatalf("%d waiters, %d attachments, %+v are left", len(p.waiters), len(p.attached), p.Stats())
	}
	r.sameAfterReplay()
}

// What cannot be is refused with the reason, and leaves nothing behind.
func TestRequestsThatCannotBe(t *testing.T) {
	r := answersRig(t, Limits{})
	for name, c := range map[string]struct {
		request msg.Request
		code    string
	}{
		"a call of nothing":           {msg.Request{Target: ref("a"), Handler: "none"}, msg.CodeNotFound},
		"a call of an unknown kind":   {msg.Request{Target: msg.Ref{Kind: "none", Key: "a"}, Handler: "add"}, msg.CodeNotFound},
		"a submission of nothing":     {msg.Request{Target: ref("a"), Handler: "none", Operation: msg.OperationSubmit}, msg.CodeNotFound},
		"a submission of a read":      {msg.Request{Target: ref("a"), Handler: "get", Operation: msg.OperationSubmit}, msg.CodeInvalidArgument},
		"a peek with nothing":         {msg.Request{Target: ref("a"), Handler: "none", Operation: msg.OperationPeek}, msg.CodeNotFound},
		"a peek with an update":       {msg.Request{Target: ref("a"), Handler: "add", Operation: msg.OperationPeek}, msg.CodeInvalidArgument},
		"the result of nothing":       {msg.Request{Operation: msg.OperationResult, Invocation: msg.InvocationID{15: 9}}, msg.CodeNotFound},
		"a resumption of nothing":     {msg.Request{Operation: msg.OperationResume, Target: ref("a")}, msg.CodeNotFound},
		"a redelivery of nothing":     {msg.Request{Operation: msg.OperationRedeliver, Invocation: msg.InvocationID{15: 9}}, msg.CodeNotFound},
		"the discarding of nothing":   {msg.Request{Operation: msg.OperationDiscard, Invocation: msg.InvocationID{15: 9}}, msg.CodeNotFound},
		"a deletion in no known kind": {msg.Request{Operation: msg.OperationDelete, Target: msg.Ref{Kind: "none", Key: "a"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			want(t, r.call(c.request), c.code)
			for _, p := range r.partitions {
				if p.Index() != 0 || len(p.instances) != 0 {
					t.Fatalf("%d records, %d instances", p.Index(), len(p.instances))
				}
			}
		})
	}
}

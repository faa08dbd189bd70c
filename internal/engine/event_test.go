package engine

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// Goal: an event is applied to all that it names, or to none, and nobody sees
// its middle. Method: partitions that are driven by hand, with handlers that are
// held where the middle is looked at.

// moved is taken by things, and by rooms and desks at a site; grown creates.
var moved = []msg.Event{
	{Name: "moved", Subscribers: []msg.Subscriber{{Kind: "desk"}, {Kind: "room"}, {Kind: "thing"}}},
	{Name: "odd", Subscribers: []msg.Subscriber{{Kind: "thing"}}},
	{Name: "grown", Subscribers: []msg.Subscriber{{Kind: "plant", Creates: true}}},
	{Name: "cut", Subscribers: []msg.Subscriber{{Kind: "plant"}}},
}

func newEventRig(t *testing.T, limits Limits) *rig {
	r := newRig(t, 4, limits, thing("add", "get", "slow", "go"), flow, room, desk,
		msg.Kind{Name: "plant", StateVersion: 1, Strict: true, Handlers: thing("get").Handlers})
	r.config.Events = moved
	r.restart(nil)
	r.program["add"], r.program["slow"], r.program["get"] = add, add, get
	r.program["moved"], r.program["grown"], r.program["cut"] = add, add, add
	r.program[msg.HandlerRun] = interpret
	return r
}

// raise raises an event from outside, and waits.
func (r *rig) raise(event string, refs ...msg.Ref) *told {
	r.t.Helper()
	return r.ask(msg.Request{Operation: msg.OperationRaise, Target: refs[0], Handler: event, Refs: refs, Wait: true})
}

func refs(keys ...string) (list []msg.Ref) {
	for _, key := range keys {
		list = append(list, ref(key))
	}
	return list
}

// raising is a step that raises an event at keys.
func raising(event string, keys ...string) deed {
	return deed{Do: "raise", Name: event, Keys: lock(keys...).Keys}
}

func (r *rig) roots(keys ...string) (text string) {
	for _, key := range keys {
		text += "[" + r.root(key) + "]"
	}
	return text
}

// far gives keys on different partitions, in the order in which they are
// visited.
func (r *rig) far() (keys []string) {
	for n := range r.partitions {
		keys = append(keys, r.keysOn(msg.Partition(n), 1)[0])
	}
	return keys
}

func TestAnEventIsAppliedToAllThatItNames(t *testing.T) {
	r := newEventRig(t, Limits{})
	keys := append(r.far(), r.keysOn(2, 3)...)
	want(t, r.raise("moved", refs(append(keys, keys...)...)...).one(t), "")
	for _, key := range keys {
		if got := r.root(key); got != "1" {
			t.Errorf("%s took it %q times, want once", key, got)
		}
	}
	r.sameAfterReplay()
}

func TestAnEventIsTakenByEachKindThatSubscribesAtAKey(t *testing.T) {
	r := newEventRig(t, Limits{})
	var took []string
	r.program["moved"] = func(turn *msg.Turn) *msg.Outcome {
		if turn.Mode != msg.ModeEvent {
			t.Errorf("the mode is %d, want that of an event", turn.Mode)
		}
		took = append(took, turn.Message.Target.String())
		return add(turn)
	}
	want(t, r.raise("moved", msg.Ref{Kind: "desk", Key: "paris"}, msg.Ref{Kind: "room", Key: "paris"}).one(t), "")
	if got := strings.Join(took, " "); got != "desk/paris room/paris" {
		t.Errorf("it was taken by %s, want each kind once", got)
	}
	want(t, r.raise("odd", msg.Ref{Kind: "desk", Key: "paris"}).one(t), "") // nobody takes it
	want(t, r.raise("unknown", ref("x")).one(t), msg.CodeNotFound)
}

// An event that touches one entity is one record: what it changed, sent and set.
func TestAnEventAtOneKeyIsOneRecord(t *testing.T) {
	r := newEventRig(t, Limits{})
	r.program["moved"] = sendTo("add", "other")
	want(t, r.raise("moved", ref("x")).one(t), "")
	for _, b := range r.log {
		record, err := msg.DecodeRecord(b)
		if err != nil {
			t.Fatal(err)
		}
		if record.Prepared != nil || !isZero(msg.Fingerprint(record.Decided)) {
			t.Fatalf("record %d prepares or decides", record.Index)
		}
		if len(record.Changes) > 0 && record.Instance == ref("x") && (len(record.Outbox) == 0 || len(record.Consumed) == 0) {
			t.Fatalf("record %d changes and does not consume and send", record.Index)
		}
	}
	if got := r.roots("x", "other"); got != "[1][1]" {
		t.Fatalf("got %s", got)
	}
}

// A handler that fails keeps nothing of what it did, and nothing is kept of what
// the others did: no change, message or reminder.
func TestAnEventThatOneRefusesIsKeptByNobody(t *testing.T) {
	for name, c := range map[string]struct {
		outcome func(*msg.Outcome)
		code    string
	}{
		"error":          {func(o *msg.Outcome) { o.Err = msg.Errorf("refused", msg.ClassConflict, "no") }, "refused"},
		"kept error":     {func(o *msg.Outcome) { o.Err, o.Keep = msg.Errorf("refused", msg.ClassConflict, "no"), true }, "refused"},
		"panic":          {func(o *msg.Outcome) { o.Panicked, o.Err = true, msg.Errorf(msg.CodePanic, msg.ClassFailed, "no") }, msg.CodePanic},
		"too large":      {func(o *msg.Outcome) { o.Root.Body = make([]byte, 2<<20) }, msg.CodePayloadTooLarge},
		"an event wrong": {func(o *msg.Outcome) { o.Sends[0] = msg.Outgoing{Kind: msg.MessageEventPrepare, Handler: "unknown"} }, msg.CodeNotFound},
	} {
		for at := range 4 {
			t.Run(fmt.Sprintf("%s at %d", name, at), func(t *testing.T) {
				r := newEventRig(t, Limits{})
				keys := r.far()
				r.program["moved"] = func(turn *msg.Turn) *msg.Outcome {
					o := sendTo("add", "other")(turn)
					o.Remind = []msg.Reminder{{Name: "soon", Handler: "add", Due: r.now + 1}}
					o.Tasks = []msg.Task{{Activity: "mail"}}
					if turn.Message.Target.Key == keys[at] {
						c.outcome(o)
					}
					return o
				}
				want(t, r.raise("moved", refs(keys...)...).one(t), c.code)
				r.advance(time.Second)
				if got := r.roots(append(keys, "other")...); got != "[][][][][]" || len(r.tasks) > 0 {
					t.Fatalf("got %s and %d activities, want nothing", got, len(r.tasks))
				}
				r.program["moved"] = add
				want(t, r.raise("moved", refs(keys...)...).one(t), "")
				r.sameAfterReplay()
			})
		}
	}
}

// What an event caused leaves when it is committed, once.
func TestWhatAnEventCausedLeavesWithTheCommit(t *testing.T) {
	r := newEventRig(t, Limits{})
	keys := r.far()
	r.program["moved"] = func(turn *msg.Turn) *msg.Outcome {
		o := sendTo("add", "other")(turn)
		o.Remind = []msg.Reminder{{Name: "soon", Handler: "add", Due: r.now + msg.Time(time.Second)}}
		o.Tasks = []msg.Task{{Activity: "mail"}}
		return o
	}
	r.holding[keys[3]] = true
	a := r.raise("moved", refs(keys...)...)
	r.advance(2 * time.Second)
	if got := r.roots(append(keys, "other")...); got != "[][][][][]" || !a.open() || len(r.tasks) > 0 {
		t.Fatalf("before the last had taken it: %s, %d activities, answers %+v", got, len(r.tasks), a.replies)
	}
	r.sameAfterReplay()
	r.release(keys[3])
	want(t, a.one(t), "")
	r.advance(2 * time.Second)
	if got := r.roots(append(keys, "other")...); got != "[2][2][2][2][4]" || len(r.tasks) != 4 {
		t.Fatalf("got %s and %d activities, want each change, message and reminder once", got, len(r.tasks))
	}
	r.sameAfterReplay()
}

// While an event is prepared nobody sees or does anything there; a peek and an
// inspection see what was before.
func TestNobodySeesTheMiddleOfAnEvent(t *testing.T) {
	r := newEventRig(t, Limits{})
	keys := r.far()
	for _, key := range keys {
		want(t, r.call(msg.Request{Target: ref(key), Handler: "add"}), "")
	}
	r.holding["moved"] = true
	r.holding[keys[3]] = true
	a := r.raise("moved", refs(keys...)...)
	r.release("moved")
	var waiting []*told
	for _, key := range keys[:3] {
		peek := r.call(msg.Request{Operation: msg.OperationPeek, Target: ref(key), Handler: "get"})
		inspect := r.call(msg.Request{Operation: msg.OperationInspect, Target: ref(key)})
		if string(peek.Payload.Body) != "1" || string(inspect.State.Root.Body) != "1" {
			t.Fatalf("a peek saw %s and an inspection %s, want 1", peek.Payload.Body, inspect.State.Root.Body)
		}
		waiting = append(waiting, r.ask(msg.Request{Target: ref(key), Handler: "get"}), r.ask(msg.Request{Target: ref(key), Handler: "add"}))
	}
	other := r.begin("w", lock(keys...))
	for _, w := range append(waiting, other, a) {
		if !w.open() {
			t.Fatalf("something was done where an event is prepared: %+v", w.replies)
		}
	}
	r.sameAfterReplay()
	r.release(keys[3])
	want(t, a.one(t), "")
	for n := 0; n < len(waiting); n += 2 {
		if got := string(waiting[n].one(t).Payload.Body) + string(waiting[n+1].one(t).Payload.Body); got != "23" {
			t.Fatalf("then a read and an update saw %s, want 2 and 3", got)
		}
	}
	want(t, other.one(t), "")
}

// A read that begins after an event was answered sees it, wherever it looks.
func TestWhoWasToldOfAnEventSeesItEverywhere(t *testing.T) {
	r := newEventRig(t, Limits{})
	keys := r.far()
	a := &told{}
	r.stepOnly(0, msg.Command{Kind: msg.CommandRequest, Waiter: a, Request: &msg.Request{
		Operation: msg.OperationRaise, Target: ref(keys[0]), Handler: "moved", Refs: refs(keys...), Wait: true, Invocation: msg.InvocationID{15: 1}}})
	for a.open() {
		switch {
		case len(r.runs) > 0:
			run := r.runs[0]
			r.runs = r.runs[1:]
			r.finish(run)
		default: // the newest first: what may overtake, does
			last := r.queue[len(r.queue)-1]
			r.queue = r.queue[:len(r.queue)-1]
			r.stepOnly(last.to, last.command)
		}
	}
	if got := r.roots(keys...); got != "[1][1][1][1]" {
		t.Fatalf("the answer came when the keys were %s", got)
	}
	r.settle()
}

// Under locks an event passes them, and the run hears of it when every key has
// applied it: what it reads then is not stale, and its release overtakes nothing.
func TestAnEventUnderLocksIsNeitherStaleNorOvertakenByTheRelease(t *testing.T) {
	for crash := 1; ; crash++ {
		r := newEventRig(t, Limits{})
		keys := r.far()
		r.crashAfter = crash
		raise := raising("moved", keys[3], keys[1], keys[1])
		raise.Hold = true
		want(t, r.call(msg.Request{Operation: msg.OperationSubmit, Target: flowRef("w"), Handler: msg.HandlerRun, Payload: script(
			lock(keys...), raise, under("read", keys[1]), under("read", keys[3]), raise, under("read", keys[1]), raise)}), "")
		next := r.call(msg.Request{Operation: msg.OperationSubmit, Target: flowRef("next"), Handler: msg.HandlerRun, Payload: script(
			lock(keys...), under("read", keys[1]), under("read", keys[3]))})
		want(t, next, "")
		r.advance(2 * time.Second)
		if got := string(r.describe("w").Output.Body) + string(r.describe("next").Output.Body); got != `"  1 1  2 "" 3 3"` {
			t.Fatalf("crash after record %d: got %s", crash, got)
		}
		r.wantHolders("")
		r.sameAfterReplay()
		if r.crashAfter > 0 {
			t.Logf("%d crash points", crash-1)
			return
		}
	}
}

// The lock under which an event was raised is lost while it is prepared. Where
// that is so already it goes on, also after a crash; elsewhere it is refused.
func TestAnEventWhoseLockIsLostIsDecidedEverywhere(t *testing.T) {
	for name, lostAt := range map[string][]int{"where it is prepared": {0}, "where it is not": {1}, "at both": {0, 1}} {
		t.Run(name, func(t *testing.T) {
			r := newEventRig(t, Limits{AcceptAfter: time.Second})
			keys := r.keysOn(1, 2)
			if r.partitions[0].compareKeys(ref(keys[0]), ref(keys[1])) > 0 {
				keys[0], keys[1] = keys[1], keys[0]
			}
			raise := raising("moved", keys...)
			raise.Hold = true
			r.holding[keys[1]] = true
			r.begin("w", lock(keys...), raise)
			r.advance(2 * time.Second)
			for _, n := range lostAt {
				want(t, r.call(msg.Request{Operation: msg.OperationRelease, Target: ref(keys[n])}), "")
			}
			r.restart(nil)
			r.release(keys[1])
			expected := map[bool]string{true: "[1][1]", false: "[][]"}[len(lostAt) == 1 && lostAt[0] == 0]
			if got := r.roots(keys...); got != expected {
				t.Fatalf("got %s, want %s", got, expected)
			}
			want(t, r.call(msg.Request{Target: ref(keys[0]), Handler: "add"}), "")
			r.wantHolders("")
			r.sameAfterReplay()
		})
	}
}

func TestAnEventWaitsForALockOfOthers(t *testing.T) {
	r := newEventRig(t, Limits{})
	keys := r.far()
	r.begin("w", lock(keys[1]), deed{Do: "await"}, raising("moved", keys[0], keys[1]), under("read", keys[1]))
	a := r.raise("moved", refs(keys...)...)
	r.advance(time.Second)
	if !a.open() || r.root(keys[0]) != "" {
		t.Fatal("an event did not wait for a lock")
	}
	// It has prepared the first key, where the event of the holder waits for it:
	// that is told at the locked key, and so must not wait for ever.
	want(t, r.signal("w", "on"), "")
	r.advance(2 * time.Minute)
	want(t, a.one(t), msg.CodeDeadlineExceeded)
	if got := string(r.describe("w").Output.Body); got != `" on would_deadlock "` && got != `" on deadline_exceeded "` {
		t.Fatalf("got %s, want that the event of the holder was refused", got)
	}
	r.wantHolders("")
	r.sameAfterReplay()
}

func TestAnEventThatCouldOnlyWaitForItselfIsRefused(t *testing.T) {
	r := newEventRig(t, Limits{})
	keys := r.far()
	wantOutput(t, r.begin("w", lock(keys[1]), raising("moved", keys[0], keys[1])).one(t), " would_deadlock")
	child := deed{Do: "child", Name: "c", Sub: []deed{raising("moved", keys[1])}}
	wantOutput(t, r.begin("v", lock(keys[1]), child).one(t), ` "would_deadlock"`)
	late := raising("moved", keys[0], keys[1])
	late.Hold = true // it does not hold the first
	wantOutput(t, r.begin("u", lock(keys[1]), late).one(t), " conflict")
	if got := r.roots(keys...); got != "[][][][]" {
		t.Fatalf("got %s, want nothing", got)
	}
}

// Conflicting events have one order, the same at each key.
func TestConflictingEventsHaveOneOrder(t *testing.T) {
	r := newEventRig(t, Limits{})
	keys := append(r.far(), r.keysOn(1, 3)[1:]...)
	r.program["moved"] = func(turn *msg.Turn) *msg.Outcome {
		root := body(string(turn.State.Root.Body) + string(turn.Message.Payload.Body))
		return &msg.Outcome{Root: &root, Version: 1}
	}
	var all []*told
	for n := range 8 {
		named := refs(keys[n%len(keys)], keys[(n+1)%len(keys)], keys[(n+3)%len(keys)])
		a := &told{}
		all = append(all, a)
		r.stepOnly(r.place(named[0]), msg.Command{Kind: msg.CommandRequest, Waiter: a, Request: &msg.Request{Operation: msg.OperationRaise,
			Target: named[0], Handler: "moved", Refs: named, Wait: true, Payload: body(string(rune('a' + n))), Invocation: msg.InvocationID{15: byte(n + 1)}}})
	}
	r.settle()
	after := map[string]bool{}
	for _, a := range all {
		want(t, a.one(t), "")
	}
	for _, key := range keys {
		order := r.root(key)
		for n := range order {
			for _, later := range order[n+1:] {
				after[string(order[n])+string(later)] = true
			}
		}
	}
	for pair := range after {
		if after[string(pair[1])+string(pair[0])] {
			t.Errorf("%c and %c have two orders", pair[0], pair[1])
		}
	}
}

func TestAnEventThatATurnRaisesRunsAsALaterTurn(t *testing.T) {
	r := newEventRig(t, Limits{})
	r.program["go"] = func(turn *msg.Turn) *msg.Outcome {
		o := add(turn)
		o.Sends = []msg.Outgoing{{Kind: msg.MessageEventPrepare, Handler: "moved", Refs: refs("x", "y")}}
		return o
	}
	want(t, r.call(msg.Request{Target: ref("x"), Handler: "go"}), "")
	if got := r.roots("x", "y"); got != "[2][1]" {
		t.Fatalf("got %s, want that both took it and the first also the turn", got)
	}
	r.program["go"] = func(*msg.Turn) *msg.Outcome {
		return &msg.Outcome{Sends: []msg.Outgoing{{Kind: msg.MessageEventPrepare, Handler: "unknown", Refs: refs("x")}}}
	}
	want(t, r.call(msg.Request{Target: ref("x"), Handler: "go"}), msg.CodeNotFound)
}

func TestAnEventCreatesWhereItIsDeclaredTo(t *testing.T) {
	r := newEventRig(t, Limits{})
	plant := msg.Ref{Kind: "plant", Key: "fern"}
	want(t, r.raise("cut", plant).one(t), msg.CodeNotFound)
	want(t, r.raise("grown", plant).one(t), "")
	want(t, r.raise("cut", plant).one(t), "")
}

// Nobody waits for ever for an event, nor does it wait for ever: not at a key that
// is parked, nor where the handler cannot run.
func TestAnEventIsAbortedWhenItsTimeIsOver(t *testing.T) {
	r := newEventRig(t, Limits{AttemptsMax: 2})
	keys := r.far()
	r.program["go"] = func(*msg.Turn) *msg.Outcome { return &msg.Outcome{Fault: "no"} }
	want(t, r.call(msg.Request{Target: ref(keys[2]), Handler: "add"}), "")
	for range 2 {
		r.ask(msg.Request{Target: ref(keys[2]), Handler: "go"})
	}
	a := r.raise("moved", refs(keys...)...)
	later := r.ask(msg.Request{Target: ref(keys[0]), Handler: "add"})
	r.advance(59 * time.Second)
	if !a.open() || !later.open() {
		t.Fatal("it was given up early")
	}
	r.advance(2 * time.Second)
	want(t, a.one(t), msg.CodeDeadlineExceeded)
	want(t, later.one(t), "")
	r.program["moved"] = func(*msg.Turn) *msg.Outcome { return &msg.Outcome{Fault: "no"} }
	b := r.raise("moved", refs(keys[:2]...)...)
	r.advance(30 * time.Second)
	want(t, b.one(t), msg.CodeQuarantined)
	want(t, r.call(msg.Request{Target: ref(keys[0]), Handler: "add"}), "")
	if got := r.roots(keys...); got != "[2][][1][]" {
		t.Fatalf("got %s", got)
	}
	r.sameAfterReplay()
}

// An event that nobody waits for and that could not be applied is kept, and can
// be raised again.
func TestAnEventThatNobodyWaitsForBecomesADeadLetter(t *testing.T) {
	r := newEventRig(t, Limits{})
	keys := r.far()
	r.program["moved"] = func(turn *msg.Turn) *msg.Outcome {
		if turn.Message.Target.Key == keys[2] {
			return &msg.Outcome{Panicked: true, Err: msg.Errorf(msg.CodePanic, msg.ClassFailed, "no")}
		}
		return add(turn)
	}
	later := raising("moved", keys...)
	later.Do = "raise later"
	wantOutput(t, r.begin("w", later).one(t), "")
	letters := r.partitions[r.place(ref(keys[0]))].deadLetters
	_, letter, ok := letters.Min()
	if !ok || letter.Message.Handler != "moved" || letters.Len() != 1 {
		t.Fatalf("got %d dead letters, want the event", letters.Len())
	}
	r.program["moved"] = add
	want(t, r.call(msg.Request{Operation: msg.OperationRedeliver, Invocation: letter.ID}), "")
	if got := r.roots(keys...); got != "[1][1][1][1]" {
		t.Fatalf("got %s, want that it was applied after all", got)
	}
	r.sameAfterReplay()
}

// Kinds of one key that take an event are prepared one after another. A lock
// request between them, or an update before them, must not come between.
func TestALockRequestDoesNotComeBetweenTheKindsOfAKey(t *testing.T) {
	r := newEventRig(t, Limits{})
	at := func(kind string) msg.Ref { return msg.Ref{Kind: kind, Key: "paris"} }
	r.holding["slow"] = true
	first := r.ask(msg.Request{Target: at("room"), Handler: "slow"})
	a := r.raise("moved", at("desk"))
	w := r.begin("w", lockOf(at("room")), deed{Do: "call", Name: "elsewhere"})
	update := r.ask(msg.Request{Target: at("room"), Handler: "add"})
	r.release("slow")
	for _, waiting := range []*told{first, a, w, update} {
		want(t, waiting.one(t), "")
	}
	r.sameAfterReplay()
}

func TestRaisingAgainIsTheSameEvent(t *testing.T) {
	r := newEventRig(t, Limits{})
	q := msg.Request{Operation: msg.OperationRaise, Target: ref("x"), Handler: "moved", Refs: refs("x", "y"), Wait: true,
		Identity: msg.Identity{IdempotencyKey: "once"}}
	r.holding["moved"] = true
	first, second := r.ask(q), r.ask(q)
	r.restart(nil)
	third := r.ask(q)
	r.release("moved")
	want(t, third.one(t), "")
	want(t, r.call(q), "")
	if got := r.roots("x", "y"); got != "[1][1]" || !first.open() || !second.open() {
		t.Fatalf("got %s, want it once", got)
	}
	q.Refs = refs("x", "z")
	want(t, r.call(q), msg.CodeUnprocessable)
	q.Identity.IdempotencyKey, q.Wait = "other", false
	reply := r.call(q)
	result := r.call(msg.Request{Operation: msg.OperationResult, Invocation: reply.Invocation})
	if want(t, result, ""); result.Status != msg.StatusCompleted || r.root("z") != "1" {
		t.Fatalf("got %+v, want that it ended", result)
	}
	if again := r.call(q); again.Invocation != reply.Invocation {
		t.Fatalf("got invocation %s, want %s", again.Invocation, reply.Invocation)
	}
}

// Events survive a crash after each record, wherever their messages wait.
func TestEventsSurviveACrashAfterEachRecord(t *testing.T) {
	for _, refused := range []bool{false, true} {
		for crash := 1; ; crash++ {
			r := newEventRig(t, Limits{AcceptAfter: 50 * time.Millisecond})
			keys := append(r.keysOn(0, 2), r.keysOn(1, 3)...)
			r.program["moved"] = func(turn *msg.Turn) *msg.Outcome {
				if refused && turn.Message.Target.Key == keys[4] {
					return &msg.Outcome{Err: msg.Errorf("refused", msg.ClassConflict, "no")}
				}
				return sendTo("add", "other")(turn)
			}
			r.crashAfter = crash
			for n := range 3 { // behind a lock, so that it is accepted
				want(t, r.call(msg.Request{Operation: msg.OperationSubmit, Target: flowRef(fmt.Sprint("lock", n)), Handler: msg.HandlerRun,
					Payload: script(lock(keys[n*2]), deed{Do: "sleep", For: time.Duration(n+1) * 200 * time.Millisecond})}), "")
			}
			raise := msg.Request{Operation: msg.OperationRaise, Target: ref(keys[0]), Handler: "moved", Refs: refs(keys...)}
			for range 2 {
				want(t, r.call(raise), "")
			}
			r.advance(5 * time.Second)
			got, expected := r.roots(append(keys, "other")...), "[2][2][2][2][2][10]"
			if refused {
				expected = "[][][][][][]"
			}
			if got != expected {
				t.Fatalf("crash after record %d, refused %v: got %s, want %s", crash, refused, got, expected)
			}
			r.sameAfterReplay()
			for n, p := range r.partitions {
				if p.prepared+p.requests+p.locked.Len()+p.answers.pending.len > 0 {
					t.Fatalf("crash after record %d: partition %d is at rest with %+v", crash, n, p.Stats())
				}
			}
			if r.crashAfter > 0 {
				t.Logf("%d crash points", crash-1)
				break
			}
		}
	}
}

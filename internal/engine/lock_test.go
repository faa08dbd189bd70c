package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// Goal: nobody but its holder does anything at a key that is locked, nobody
// waits for ever, and a lock ends with its run, whatever happens on the way.
// Method: scripts on partitions that are driven by hand.

// room and desk are kinds of one affinity: their locks are one.
var (
	room = msg.Kind{Name: "room", Affinity: "site", StateVersion: 1, Handlers: []msg.Handler{
		{Name: "add", Mode: msg.ModeUpdate}, {Name: "get", Mode: msg.ModeRead}, {Name: "slow", Mode: msg.ModeUpdate}}}
	desk = msg.Kind{Name: "desk", Affinity: "site", StateVersion: 1, Handlers: []msg.Handler{{Name: "add", Mode: msg.ModeUpdate}}}
)

func newLockRig(t *testing.T, limits Limits) *rig {
	r := newRig(t, 4, limits, thing("add", "get", "slow", "go"), flow, room, desk)
	r.program["add"], r.program["slow"], r.program["get"] = add, add, get
	r.program[msg.HandlerRun] = interpret
	return r
}

func lock(keys ...string) deed {
	d := deed{Do: "lock"}
	for _, key := range keys {
		d.Keys = append(d.Keys, msg.LockKey{Ref: ref(key)})
	}
	return d
}

func share(keys ...string) deed {
	d := lock(keys...)
	for n := range d.Keys {
		d.Keys[n].Shared = true
	}
	return d
}

func lockOf(refs ...msg.Ref) deed {
	d := deed{Do: "lock"}
	for _, ref := range refs {
		d.Keys = append(d.Keys, msg.LockKey{Ref: ref})
	}
	return d
}

// under is a call under the locks of the run.
func under(do, key string) deed { return deed{Do: do, Name: key, Hold: true} }

// holders says who holds what, everywhere.
func (r *rig) holders() (text string) {
	r.t.Helper()
	for n := range r.partitions {
		a := &told{}
		r.step(msg.Partition(n), msg.Command{Kind: msg.CommandRequest, Waiter: a, Request: &msg.Request{Operation: msg.OperationLocks}})
		for _, l := range a.one(r.t).Locks {
			text += fmt.Sprintf("%s by", l.Key)
			for _, h := range l.Holders {
				text += " " + h.Holder.Workflow.Key
			}
			text += fmt.Sprintf(", %d wait; ", l.Waiting)
		}
	}
	return text
}

func (r *rig) wantHolders(want string) {
	r.t.Helper()
	if got := r.holders(); got != want {
		r.t.Fatalf("got locks %q, want %q", got, want)
	}
}

func TestALockedKeyIsItsHoldersAlone(t *testing.T) {
	r := newLockRig(t, Limits{})
	w := r.begin("w", lock("x"), under("call", "x"), deed{Do: "await"}, under("call", "x"), under("read", "x"))
	update, read := r.ask(msg.Request{Target: ref("x"), Handler: "add"}), r.ask(msg.Request{Target: ref("x"), Handler: "get"})
	r.advance(time.Minute)
	if !update.open() || !read.open() {
		t.Fatalf("others did something at a locked key: %+v %+v", update.replies, read.replies)
	}
	peek := r.call(msg.Request{Operation: msg.OperationPeek, Target: ref("x"), Handler: "get"})
	inspect := r.call(msg.Request{Operation: msg.OperationInspect, Target: ref("x")})
	if string(peek.Payload.Body) != "1" || string(inspect.State.Root.Body) != "1" {
		t.Fatalf("a peek saw %q and an inspection %q, want what is committed: 1", peek.Payload.Body, inspect.State.Root.Body)
	}
	want(t, r.call(msg.Request{Target: ref("other"), Handler: "add"}), "")
	r.wantHolders("thing/x by w, 0 wait; ")
	r.sameAfterReplay()
	want(t, r.signal("w", "on"), "")
	wantOutput(t, w.one(t), " 1 on 2 2")
	if got := string(update.one(t).Payload.Body) + string(read.one(t).Payload.Body); got != "33" {
		t.Fatalf("then the others saw %s, want 33: in their order", got)
	}
	r.wantHolders("")
	r.sameAfterReplay()
}

// Two runs that name their keys in opposite orders, one of them a key twice,
// take them in one order.
func TestOppositeOrdersAndAKeyTwiceDoNotDeadlock(t *testing.T) {
	r := newLockRig(t, Limits{})
	keys := []string{r.keysOn(0, 1)[0], r.keysOn(1, 1)[0], r.keysOn(2, 1)[0]}
	var all []*told
	for n := range 6 {
		a, b, c := keys[n%3], keys[(n+1)%3], keys[(n+2)%3]
		if n%2 == 0 {
			a, c = c, a
		}
		all = append(all, r.ask(msg.Request{Target: flowRef(fmt.Sprint("w", n)), Handler: msg.HandlerRun,
			Payload: script(lock(a, b, a, c, a), under("call", a), under("call", b), deed{Do: "sleep", For: time.Second}, under("call", c))}))
	}
	r.advance(time.Minute)
	for n, a := range all {
		if a.open() {
			t.Fatalf("run %d waits; held: %s", n, r.holders())
		}
		want(t, a.one(t), "")
	}
	for _, key := range keys {
		if got := r.root(key); got != "6" {
			t.Errorf("%s was called %s times, want 6", key, got)
		}
	}
	r.wantHolders("")
}

func TestKindsOfOneAffinityHaveOneLock(t *testing.T) {
	r := newLockRig(t, Limits{})
	at := func(kind string) msg.Ref { return msg.Ref{Kind: kind, Key: "paris"} }
	w := r.begin("w", lockOf(at("desk"), at("room")), deed{Do: "await"})
	if got := len(r.describe("w").Locks); got != 1 {
		t.Fatalf("it has %d locks, want one for both kinds", got)
	}
	other := r.ask(msg.Request{Target: at("room"), Handler: "add"})
	r.wantHolders("site/paris by w, 0 wait; ")
	if !other.open() {
		t.Fatal("an update of a kind beside the one that was named did not wait")
	}
	want(t, r.signal("w", "on"), "")
	want(t, w.one(t), "")
	want(t, other.one(t), "")
	r.sameAfterReplay()
}

// A request for a lock waits for what runs at any kind of its space, and what
// comes later there waits for the request.
func TestALockWaitsForWhatRunsBesideItAndIsNotStarved(t *testing.T) {
	r := newLockRig(t, Limits{})
	at := func(kind string) msg.Ref { return msg.Ref{Kind: kind, Key: "paris"} }
	r.holding["slow"] = true
	before := r.ask(msg.Request{Target: at("room"), Handler: "slow"})
	first := r.ask(msg.Request{Target: at("room"), Handler: "add"})
	w := r.begin("w", lockOf(at("desk")), deed{Do: "await"})
	later := r.ask(msg.Request{Target: at("room"), Handler: "add"})
	beside := r.ask(msg.Request{Target: at("desk"), Handler: "add"})
	r.wantHolders("")
	if !beside.open() {
		t.Fatal("what came after the request for the lock did not wait for it")
	}
	r.release("slow")
	want(t, before.one(t), "")
	want(t, first.one(t), "")
	r.wantHolders("site/paris by w, 0 wait; ")
	if !later.open() || !beside.open() {
		t.Fatal("what came after the request for the lock overtook it")
	}
	want(t, r.signal("w", "on"), "")
	want(t, w.one(t), "")
	want(t, later.one(t), "")
	want(t, beside.one(t), "")
}

func TestSharedLocksLetReadsBegin(t *testing.T) {
	r := newLockRig(t, Limits{})
	one, two := r.begin("one", share("x"), deed{Do: "await"}, under("read", "x")), r.begin("two", share("x"), deed{Do: "await"})
	r.wantHolders("thing/x by one two, 0 wait; ")
	want(t, r.call(msg.Request{Target: ref("x"), Handler: "get"}), "")
	wantOutput(t, r.begin("reader", deed{Do: "read", Name: "x"}).one(t), "")
	update := r.ask(msg.Request{Target: ref("x"), Handler: "add"})
	three := r.begin("three", lock("x"), deed{Do: "await"})
	four := r.begin("four", share("x"))
	if r.wantHolders("thing/x by one two, 2 wait; "); !update.open() || !three.open() || !four.open() {
		t.Fatal("an update, a lock or what came behind them did not wait for shared locks")
	}
	r.sameAfterReplay()
	want(t, r.signal("one", "on"), "")
	want(t, r.signal("two", "on"), "")
	want(t, one.one(t), "")
	want(t, two.one(t), "")
	want(t, update.one(t), "")
	r.wantHolders("thing/x by three, 1 wait; ")
	want(t, r.signal("three", "on"), "")
	want(t, three.one(t), "")
	want(t, four.one(t), "")
	wantOutput(t, r.begin("writer", share("x"), under("call", "x")).one(t), " conflict")
}

func TestNoMoreHoldersThanAreKeptShareAKey(t *testing.T) {
	r := newLockRig(t, Limits{WaitersMax: 2})
	for n := range 3 {
		r.begin(fmt.Sprint("w", n), share("x"), deed{Do: "await"})
	}
	r.wantHolders("thing/x by w0 w1, 1 wait; ")
	want(t, r.signal("w0", "on"), "")
	r.wantHolders("thing/x by w1 w2, 0 wait; ")
}

// However a run ends, its locks and its requests end with it.
func TestALockEndsWithItsRun(t *testing.T) {
	for name, end := range map[string]func(r *rig){
		"returns": func(r *rig) { r.signal("w", "on") },
		"fails":   func(r *rig) { r.signal("w", "on") },
		"tail":    func(r *rig) { r.signal("w", "on") },
		"again":   func(r *rig) { r.signal("w", "on") },
		"cancel":  func(r *rig) { r.operate(msg.OperationCancel, "w") },
		"terminate": func(r *rig) {
			r.operate(msg.OperationTerminate, "w")
		},
		"replaced": func(r *rig) {
			r.ask(msg.Request{Target: flowRef("w"), Handler: msg.HandlerRun, Payload: script(), OnConflict: msg.ConflictReplace})
		},
		"restart": func(r *rig) {
			r.operate(msg.OperationRestart, "w")
			r.operate(msg.OperationTerminate, "w")
		},
	} {
		for _, waiting := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, waiting %v", name, waiting), func(t *testing.T) {
				r := newLockRig(t, Limits{})
				a, b, c := r.keysOn(0, 1)[0], r.keysOn(1, 1)[0], r.keysOn(2, 1)[0]
				if waiting {
					want(t, r.call(msg.Request{Operation: msg.OperationSubmit, Target: flowRef("first"), Handler: msg.HandlerRun,
						Payload: script(lock(b), deed{Do: "await"})}), "")
				}
				last := map[string]deed{"fails": {Do: "fail"}, "tail": {Do: "tail", Name: "z"}, "again": {Do: "again"}}[name]
				deeds := []deed{lock(a, b, c), {Do: "await"}}
				if waiting { // it is not told that it has them
					deeds[0].Start = true
				}
				if last.Do != "" {
					deeds = append(deeds, last)
				}
				r.begin("w", deeds...)
				if waiting {
					r.wantHolders(fmt.Sprintf("thing/%s by w, 0 wait; thing/%s by first, 1 wait; ", a, b))
				} else {
					r.wantHolders(fmt.Sprintf("thing/%s by w, 0 wait; thing/%s by w, 0 wait; thing/%s by w, 0 wait; ", a, b, c))
				}
				end(r)
				r.advance(2 * time.Second)
				if waiting {
					r.wantHolders(fmt.Sprintf("thing/%s by first, 0 wait; ", b))
					want(t, r.signal("first", "on"), "")
				}
				r.wantHolders("")
				for _, key := range []string{a, b, c} {
					want(t, r.call(msg.Request{Target: ref(key), Handler: "add"}), "")
				}
				r.sameAfterReplay()
			})
		}
	}
}

// The lock of a run is taken away by an operator: what the run does there later
// is refused, and whoever waits goes on.
func TestOperationsAfterALostLockAreRefused(t *testing.T) {
	r := newLockRig(t, Limits{})
	w := r.begin("w", lock("x", "y"), under("call", "x"), deed{Do: "await"}, under("call", "x"), under("call", "y"))
	next := r.begin("next", lock("x"), under("call", "x"))
	release := msg.Request{Operation: msg.OperationRelease, Target: ref("x"), Holder: msg.Holder{Workflow: flowRef("w"), Run: 4711}}
	want(t, r.call(release), msg.CodeNotFound)
	release.Holder = msg.Holder{}
	want(t, r.call(release), "")
	want(t, r.call(release), msg.CodeNotFound)
	wantOutput(t, next.one(t), " 2")
	want(t, r.signal("w", "on"), "")
	wantOutput(t, w.one(t), " 1 on conflict 1")
	r.wantHolders("")
}

func TestTerminatedHoldersLateOperationsAreRefused(t *testing.T) {
	r := newLockRig(t, Limits{})
	// The release comes to x by way of y, and the call directly.
	x, y := r.keysOn(3, 1)[0], r.keysOn(0, 1)[0]
	if r.place(flowRef("w")) == 0 {
		y = r.keysOn(1, 1)[0]
	}
	r.begin("w", lock(x, y), deed{Do: "sleep", For: time.Second}, under("call", x))
	r.now += msg.Time(2 * time.Second)
	at := r.partitions[r.place(flowRef("w"))]
	r.stepOnly(at.config.Partition, msg.Command{Kind: msg.CommandTick})
	for len(r.runs) > 0 { // the turn that makes the call
		run := r.runs[0]
		r.runs = r.runs[1:]
		r.finish(run)
	}
	late := r.queue
	r.queue = nil
	r.operate(msg.OperationTerminate, "w")
	r.wantHolders("")
	r.queue = append(r.queue, late...)
	r.settle()
	if got := r.root(x); got != "" {
		t.Fatalf("what the run did after it had lost its lock was done: %s", got)
	}
	want(t, r.call(msg.Request{Target: ref(x), Handler: "add"}), "")
}

// What could only wait for itself is told so at once.
func TestWhatWouldWaitForItselfIsToldSo(t *testing.T) {
	child := func(deeds ...deed) deed { return deed{Do: "child", Name: "c", Sub: deeds} }
	for name, c := range map[string]struct {
		deeds  []deed
		output string
	}{
		"a call of the holder without its lock":  {[]deed{lock("x"), {Do: "call", Name: "x"}}, " would_deadlock"},
		"a child's call to a key of its parent":  {[]deed{lock("x"), child(deed{Do: "call", Name: "x"})}, ` "would_deadlock"`},
		"a child's child's read":                 {[]deed{lock("x"), child(deed{Do: "child", Name: "cc", Sub: []deed{{Do: "read", Name: "x"}}})}, ` "\"would_deadlock\""`},
		"a child that locks a key of its parent": {[]deed{lock("x"), child(lock("x"))}, ` "would_deadlock"`},
		"a child that locks another key":         {[]deed{lock("x"), child(lock("y"))}, ` "would_deadlock"`},
		"more locks":                             {[]deed{lock("x"), lock("y")}, " would_deadlock"},
		"a workflow":                             {[]deed{lockOf(flowRef("c"))}, "invalid_argument"},
		"a child under its parent's lock":        {[]deed{lock("x"), {Do: "child", Name: "c", Hold: true, Sub: []deed{under("call", "x")}}}, ` "1"`},
		"no key":                                 {[]deed{lock(), {Do: "call", Name: "x"}}, " 1"},
		"a call to a key that is not held":       {[]deed{lock("x"), under("call", "y")}, " conflict"},
		"a sharer's call":                        {[]deed{share("x"), {Do: "call", Name: "x"}, {Do: "read", Name: "x"}}, " would_deadlock "},
	} {
		t.Run(name, func(t *testing.T) {
			r := newLockRig(t, Limits{})
			wantOutput(t, r.begin("w", c.deeds...).one(t), c.output)
			r.wantHolders("")
		})
	}
}

// A read that waits behind an update, which waits for one who waits for the
// read, waits for itself as well.
func TestWaitingBehindOneWhoWaitsForTheLockIsWaitingForTheLock(t *testing.T) {
	r := newLockRig(t, Limits{})
	w := r.begin("w", share("x"), deed{Do: "await"}, deed{Do: "read", Name: "x"})
	update := r.ask(msg.Request{Target: ref("x"), Handler: "add"})
	want(t, r.signal("w", "on"), "")
	wantOutput(t, w.one(t), " on would_deadlock")
	want(t, update.one(t), "")
}

// What a holder sends is done after it, although its run is told of the end.
func TestWhatAHolderSendsWaitsForItsLock(t *testing.T) {
	r := newLockRig(t, Limits{})
	w := r.begin("w", lock("x"), deed{Do: "send and hear", Name: "x", Start: true}, deed{Do: "await"}, under("call", "x"))
	want(t, r.signal("w", "on"), "")
	wantOutput(t, w.one(t), " on 1")
	if got := r.root("x"); got != "2" {
		t.Fatalf("got %s, want that what was sent is done after the run", got)
	}
}

func TestATailCallKeepsWhoWaitsForIt(t *testing.T) {
	r := newRig(t, 4, Limits{}, thing("do", "add"), flow)
	r.program["add"], r.program[msg.HandlerRun] = add, interpret
	r.program["do"] = func(*msg.Turn) *msg.Outcome {
		return &msg.Outcome{Tail: &msg.Outgoing{Target: ref("x"), Handler: "add"}}
	}
	wantOutput(t, r.begin("w", lock("x"), deed{Do: "plan", To: &branch{Kind: "thing", Key: "other"}}).one(t), " would_deadlock")
}

func TestALockThatIsNotHadInTimeIsGivenUp(t *testing.T) {
	r := newLockRig(t, Limits{})
	a, b := r.keysOn(0, 1)[0], r.keysOn(1, 1)[0]
	want(t, r.call(msg.Request{Operation: msg.OperationSubmit, Target: flowRef("first"), Handler: msg.HandlerRun,
		Payload: script(lock(b), deed{Do: "await"})}), "")
	second := lock(a, b)
	second.For = time.Minute
	want(t, r.call(msg.Request{Operation: msg.OperationSubmit, Target: flowRef("w"), Handler: msg.HandlerRun,
		Payload: script(second, deed{Do: "await"})}), "")
	r.restart(nil)
	r.advance(59 * time.Second)
	r.wantHolders(fmt.Sprintf("thing/%s by w, 0 wait; thing/%s by first, 1 wait; ", a, b))
	r.advance(2 * time.Second)
	r.wantHolders(fmt.Sprintf("thing/%s by w, 0 wait; thing/%s by first, 0 wait; ", a, b))
	want(t, r.signal("w", "on"), "")
	if got := string(r.describe("w").Output.Body); got != `"deadline_exceeded on"` {
		t.Fatalf("got %s, want that it was told and went on", got)
	}
	want(t, r.signal("first", "on"), "")
	r.wantHolders("")
}

// Locks survive a crash after each record: taken once, in order, and given back.
func TestLocksSurviveACrashAfterEachRecord(t *testing.T) {
	for crash := 1; ; crash++ {
		r := newLockRig(t, Limits{AcceptAfter: 50 * time.Millisecond})
		keys := append(r.keysOn(0, 2), r.keysOn(1, 2)...)
		r.crashAfter = crash
		for n := range 3 {
			a, b, c, d := keys[n%4], keys[(n+1)%4], keys[(n+2)%4], keys[(n+3)%4]
			want(t, r.call(msg.Request{Operation: msg.OperationSubmit, Target: flowRef(fmt.Sprint("w", n)), Handler: msg.HandlerRun, Payload: script(
				lock(a, b, c, d), under("call", a), under("call", b), deed{Do: "sleep", For: time.Second}, under("call", c), under("call", d))}), "")
		}
		r.advance(10 * time.Second)
		for n := range 3 {
			if w := r.describe(fmt.Sprint("w", n)); w.Status != msg.WorkflowCompleted {
				t.Fatalf("crash after record %d: w%d is %s; held: %s", crash, n, w.Status, r.holders())
			}
		}
		for _, key := range keys {
			if got := r.root(key); got != "3" {
				t.Fatalf("crash after record %d: %s was called %s times, want 3", crash, key, got)
			}
		}
		r.wantHolders("")
		r.sameAfterReplay()
		if r.crashAfter > 0 {
			t.Logf("%d crash points", crash-1)
			return
		}
	}
}

// So does a request that is taken back while it waits.
func TestARequestThatIsTakenBackSurvivesACrashAfterEachRecord(t *testing.T) {
	for crash := 1; ; crash++ {
		r := newLockRig(t, Limits{AcceptAfter: 50 * time.Millisecond})
		keys := append(r.keysOn(0, 2), r.keysOn(1, 2)...)
		r.crashAfter = crash
		for _, w := range []msg.Request{
			{Target: flowRef("first"), Payload: script(lock(keys[1], keys[3]), deed{Do: "await"}, under("call", keys[1]))},
			{Target: flowRef("second"), Payload: script(lock(keys...), under("call", keys[0]))},
			{Target: flowRef("third"), Payload: script(lock(keys[0], keys[2]), under("call", keys[0]))},
		} {
			w.Operation, w.Handler = msg.OperationSubmit, msg.HandlerRun
			want(t, r.call(w), "")
		}
		r.advance(200 * time.Millisecond)
		r.operate(msg.OperationTerminate, "second")
		r.advance(200 * time.Millisecond)
		if w := r.describe("third"); w.Status != msg.WorkflowCompleted {
			t.Fatalf("crash after record %d: the third waits; held: %s", crash, r.holders())
		}
		want(t, r.signal("first", "on"), "")
		r.advance(time.Second)
		if got := r.root(keys[0]) + r.root(keys[1]); got != "11" {
			t.Fatalf("crash after record %d: got %s, want 11: one call each", crash, got)
		}
		r.wantHolders("")
		r.sameAfterReplay()
		if r.crashAfter > 0 {
			t.Logf("%d crash points", crash-1)
			return
		}
	}
}

func TestAffinityWithTheNameOfAForeignKindIsRefused(t *testing.T) {
	for _, other := range []msg.Kind{{Name: "site", Form: msg.FormWorkflow}, {Name: "site", Affinity: "elsewhere"}} {
		if _, err := newRig(t, 1, Limits{}).partitions[0].CheckKinds([]msg.Kind{desk, other}); err == nil {
			t.Errorf("%+v beside kind desk of affinity site: got no error", other)
		}
	}
	if _, err := newRig(t, 1, Limits{}).partitions[0].CheckKinds([]msg.Kind{desk, {Name: "site"}, room}); err != nil {
		t.Error(err)
	}
}

func TestAnEntityDoesNotExpireWhileItIsLocked(t *testing.T) {
	brief := msg.Kind{Name: "thing", StateVersion: 1, IdleTTL: time.Second, Handlers: thing("add", "get").Handlers}
	r := newRig(t, 2, Limits{}, brief, flow)
	r.program["add"], r.program["get"], r.program[msg.HandlerRun] = add, get, interpret
	r.begin("w", lock("x"), under("call", "x"), deed{Do: "await"}, under("call", "x"))
	r.advance(time.Minute)
	want(t, r.signal("w", "on"), "")
	if got := string(r.describe("w").Output.Body); got != `" 1 on 2"` {
		t.Fatalf("got %s, want that the holder found its entity again", got)
	}
	r.advance(time.Minute)
	if got := r.root("x"); got != "" {
		t.Fatalf("it is %s, want it to have expired after the run", got)
	}
}

package engine

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast/internal/delta"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// A patch turns one root into the next, whatever they are, and never costs more
// than the root.
func TestPatchTurnsOneRootIntoTheNext(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	text := func() []byte {
		b := make([]byte, random.IntN(200))
		for n := range b {
			b[n] = "ab"[random.IntN(2)]
		}
		return b
	}
	patches := 0
	for range 20_000 {
		old := &instance{exists: true, root: msg.Payload{Body: text()}, rootIndex: 7}
		next := text()
		if random.IntN(2) == 0 { // a change in the middle
			at := random.IntN(len(old.root.Body) + 1)
			end := min(len(old.root.Body), at+random.IntN(10))
			next = bytes.Join([][]byte{old.root.Body[:at], text()[:0], []byte("xyz")[:random.IntN(4)], old.root.Body[end:]}, nil)
		}
		c := rootChange(old, msg.Payload{Body: next}, 3)
		if c.Kind == msg.ChangeRoot {
			if !bytes.Equal(c.Value, next) {
				t.Fatalf("root %q, want %q", c.Value, next)
			}
			continue
		}
		patches++
		if got, err := delta.Apply(old.root.Body, delta.Region{Offset: c.Offset, Remove: c.Remove, Insert: c.Value}); err != nil || !bytes.Equal(got, next) {
			t.Fatalf("%q patched with %+v is %q, %v; want %q", old.root.Body, c, got, err, next)
		}
		if c.Base != 7 || c.StateVersion != 3 || len(c.Value)+patchOverhead >= len(next)/2 {
			t.Fatalf("patch %+v of %d bytes", c, len(next))
		}
	}
	if patches < 1000 {
		t.Fatalf("%d patches in 20,000", patches)
	}
	if _, err := delta.Apply([]byte("abc"), delta.Region{Offset: 2, Remove: 2}); err == nil {
		t.Fatal("a patch beyond the end was applied")
	}
}

// Roots are logged as patches where that is shorter, and not at all when they
// have not changed.
func TestRootIsLoggedAsLittleAsPossible(t *testing.T) {
	r := newRig(t, 1, Limits{}, thing("set"))
	filler := strings.Repeat("x", 1000)
	r.program["set"] = func(turn *msg.Turn) *msg.Outcome {
		return &msg.Outcome{Root: &msg.Payload{Body: []byte(filler + string(turn.Message.Payload.Body) + filler)}, Version: 1}
	}
	set := func(text string, number uint64) (records, size int) {
		before := len(r.log)
		want(t, r.call(msg.Request{Target: ref("a"), Handler: "set", Payload: body(text), Identity: session(1, number)}), "")
		for _, b := range r.log[before:] {
			size += len(b)
		}
		return len(r.log) - before, size
	}
	if n, size := set("one", 1); n != 1 || size < 2000 {
		t.Fatalf("first: %d records, %d bytes", n, size)
	}
	if n, size := set("two", 2); n != 1 || size > 200 {
		t.Fatalf("patch: %d records, %d bytes", n, size)
	}
	if n, size := set("two", 3); n != 1 || size > 120 {
		t.Fatalf("unchanged: %d records, %d bytes", n, size)
	}
	before := len(r.log)
	want(t, r.call(msg.Request{Target: ref("a"), Handler: "set", Payload: body("two")}), "")
	if len(r.log) != before {
		t.Fatal("an anonymous request that changes nothing made a record")
	}
	r.restart(nil)
	if n, _ := set("three", 4); n != 1 {
		t.Fatal("after a restart")
	}
	r.sameAfterReplay()
}

// fields is a handler whose input is a list of changes: "field=key:value",
// "field-key", "field!" to clear, "field+value" to append.
func fields(t *msg.Turn) *msg.Outcome {
	o := &msg.Outcome{Root: &msg.Payload{Body: []byte("r")}, Version: 1}
	for _, word := range strings.Fields(string(t.Message.Payload.Body)) {
		at := strings.IndexAny(word, "=-!+")
		c := msg.Change{Field: word[:at]}
		switch rest := word[at+1:]; word[at] {
		case '=':
			c.Kind = msg.ChangePut
			key, value, _ := strings.Cut(rest, ":")
			c.Key, c.Value = key, []byte(value)
		case '-':
			c.Kind, c.Key = msg.ChangeRemove, rest
		case '!':
			c.Kind = msg.ChangeClear
		case '+':
			c.Kind, c.Value = msg.ChangeAppend, []byte(rest)
		}
		o.Changes = append(o.Changes, c)
	}
	return o
}

// Maps and lists are changed entry by entry; a snapshot that a run was given does
// not change; a fuzzy checkpoint and a replay give the same.
func TestMapsAndLists(t *testing.T) {
	r := newRig(t, 1, Limits{}, thing("set", "get"))
	r.program["set"], r.program["get"] = fields, get
	r.holding["get"] = true
	var digests []string
	for _, step := range []struct{ changes, want string }{
		{"m=a:1 m=b:2 l+x l+y", `l(2) "x" "y" m(2) a="1" b="2"`},
		{"m=a:3 m-b l+z", `l(3) "x" "y" "z" m(1) a="3"`},
		{"m-a", `l(3) "x" "y" "z"`},
		{"l! m=c:4", `m(1) c="4"`},
		{"l+q m! m=d:5", `l(1) "q" m(1) d="5"`},
		{"m-nothing n!", `l(1) "q" m(1) d="5"`},
		{"m! m+now l! l=a:list", `l(1) a="list" m(1) "now"`},
	} {
		want(t, r.call(msg.Request{Target: ref("a"), Handler: "set", Payload: body(step.changes)}), "")
		r.ask(msg.Request{Target: ref("a"), Handler: "get"})
		state := digest(&r.runs[len(r.runs)-1].turn.State)
		if got := state[strings.LastIndex(state, "72 ")+3:]; got != step.want {
			t.Fatalf("after %q: %s, want %s", step.changes, got, step.want)
		}
		digests = append(digests, state)
		r.sameAfterReplay()
	}
	for n, run := range r.runs {
		if got := digest(&run.turn.State); got != digests[n] {
			t.Fatalf("the snapshot of read %d was %s and is now %s", n, digests[n], got)
		}
	}
}

// A turn that takes a map for a list is refused, in all the ways in which that
// can be: a record of it could not be folded.
func TestMapIsNotAList(t *testing.T) {
	for _, changes := range []string{"m+x", "l=a:1", "l-a", "n=a:1 n+x", "n+x n-a", "m! m+x m=a:1"} {
		r := newRig(t, 1, Limits{}, thing("set", "get"))
		r.program["set"] = fields
		want(t, r.call(msg.Request{Target: ref("a"), Handler: "set", Payload: body("m=a:1 l+x")}), "")
		before := r.partitions[0].Dump()
		reply := r.call(msg.Request{Target: ref("a"), Handler: "set", Payload: body(changes)})
		if want(t, reply, msg.CodeFailed); !strings.Contains(reply.Err.Message, "list") {
			t.Fatalf("%s: %v", changes, reply.Err)
		}
		if text := difference(r.partitions[0].Dump(), before); text != "" {
			t.Fatalf("%s: %s", changes, text)
		}
	}
	r := newRig(t, 1, Limits{}, thing("set"))
	r.program["set"] = func(*msg.Turn) *msg.Outcome {
		return &msg.Outcome{Changes: []msg.Change{{Kind: msg.ChangeRoot, Value: []byte("x")}}}
	}
	want(t, r.call(msg.Request{Target: ref("a"), Handler: "set"}), msg.CodeFailed)
}

// A list that grows while a snapshot of it is read does not change under the
// reader, also when it is cleared and grows again.
func TestListSnapshotIsIsolated(t *testing.T) {
	i := &instance{}
	f := i.listField("l")
	for n := range 5 {
		f.Items = append(f.Items, []byte{byte(n)})
	}
	s := i.snapshot()
	before := digest(&s)
	f.Items = append(f.Items, []byte("after"))
	i.clear("l")
	for range 10 {
		g := i.listField("l")
		g.Items = append(g.Items, []byte("again"))
	}
	if after := digest(&s); after != before {
		t.Fatalf("the snapshot was %s and is now %s", before, after)
	}
}

// A run reads its snapshot on another goroutine while the instance changes; the
// race detector watches.
func TestSnapshotMayBeReadWhileTheInstanceChanges(t *testing.T) {
	r := newRig(t, 1, Limits{}, thing("set", "get"))
	r.program["set"], r.program["get"] = fields, get
	r.holding["get"] = true
	for n := range 200 {
		want(t, r.call(msg.Request{Target: ref("a"), Handler: "set", Payload: body(fmt.Sprintf("m=%d:x l+%d", n, n))}), "")
	}
	r.ask(msg.Request{Target: ref("a"), Handler: "get"})
	s := &r.runs[0].turn.State
	before := digest(s)
	done := make(chan string)
	go func() {
		text := before
		for range 50 {
			if text == before {
				text = digest(s)
			}
		}
		done <- text
	}()
	for n := range 200 {
		want(t, r.call(msg.Request{Target: ref("a"), Handler: "set", Payload: body(fmt.Sprintf("m=%d:y m-%d l+z", n, n/2))}), "")
	}
	if after := <-done; after != before {
		t.Fatalf("the snapshot was %s and became %s", before, after)
	}
}

// Keep returns an error and keeps what the turn did; without it nothing stays.
func TestKeepKeepsWhatATurnDid(t *testing.T) {
	for _, keep := range []bool{false, true} {
		r := newRig(t, 1, Limits{}, thing("set", "add", "get"))
		r.program["add"] = add
		r.program["set"] = func(turn *msg.Turn) *msg.Outcome {
			return &msg.Outcome{Err: msg.Errorf("mine", msg.ClassConflict, "m"), Keep: keep, Root: &msg.Payload{Body: []byte("r")},
				Changes: []msg.Change{{Kind: msg.ChangePut, Field: "m", Key: "k", Value: []byte("v")}},
				Sends:   []msg.Outgoing{{Target: ref("b"), Handler: "add"}},
				Remind:  []msg.Reminder{{Name: "n", Handler: "add", Due: turn.Now + msg.Time(time.Second)}},
				Output:  body("not this")}
		}
		reply := r.call(msg.Request{Target: ref("a"), Handler: "set", Identity: session(1, 1)})
		want(t, reply, "mine")
		if len(reply.Payload.Body) > 0 {
			t.Fatalf("the error came with output %q", reply.Payload.Body)
		}
		kept := r.root("a") == "r" && r.root("b") == "1" && r.partitions[0].instances[ref("a")].reminder("n") != nil
		if kept != keep || !keep && r.root("a")+r.root("b") != "" {
			t.Fatalf("keep %v: roots %q and %q", keep, r.root("a"), r.root("b"))
		}
		r.sameAfterReplay()
	}
}

// What a turn may write is bounded: the root, and everything together.
func TestTurnThatWritesTooMuchIsRefused(t *testing.T) {
	r := newRig(t, 1, Limits{StateBytesMax: 1000, RecordBytesMax: 5000}, thing("set", "go", "wide", "long", "note"),
		msg.Kind{Name: "big", StateBytesMax: 3000, Handlers: []msg.Handler{{Name: "set", Mode: msg.ModeUpdate}}})
	r.program["set"] = func(turn *msg.Turn) *msg.Outcome { return &msg.Outcome{Root: &turn.Message.Payload} }
	r.program["go"] = func(turn *msg.Turn) *msg.Outcome {
		return &msg.Outcome{Sends: []msg.Outgoing{{Target: ref("b"), Handler: "set", Payload: turn.Message.Payload}, {Target: ref("b"), Handler: "set", Payload: turn.Message.Payload}}}
	}
	r.program["wide"] = func(*msg.Turn) *msg.Outcome { return &msg.Outcome{Sends: make([]msg.Outgoing, 100)} }
	r.program["long"] = func(turn *msg.Turn) *msg.Outcome {
		return &msg.Outcome{Err: msg.Errorf("mine", msg.ClassFailed, "%s", turn.Message.Payload.Body)}
	}
	r.program["note"] = func(turn *msg.Turn) *msg.Outcome {
		return &msg.Outcome{Changes: []msg.Change{{Kind: msg.ChangePut, Field: "m", Key: "k", Value: turn.Message.Payload.Body}}}
	}
	sized := func(kind, handler string, size int) msg.Reply {
		return r.call(msg.Request{Target: msg.Ref{Kind: kind, Key: "a"}, Handler: handler, Payload: msg.Payload{Body: bytes.Repeat([]byte("x"), size)}})
	}
	want(t, sized("thing", "set", 1000), "")
	want(t, sized("thing", "set", 1001), msg.CodePayloadTooLarge)
	want(t, sized("big", "set", 3000), "")
	want(t, sized("big", "set", 3001), msg.CodePayloadTooLarge)
	want(t, sized("thing", "go", 900), "")
	want(t, sized("thing", "go", 2600), msg.CodePayloadTooLarge)
	want(t, sized("thing", "wide", 0), msg.CodePayloadTooLarge)
	want(t, sized("thing", "long", 4000), "mine")
	want(t, sized("thing", "long", 5000), msg.CodePayloadTooLarge)
	want(t, sized("thing", "note", 6000), msg.CodePayloadTooLarge)
	r.sameAfterReplay()
}

// Delete clears state, maps, lists and reminders. What belongs to the key stays:
// inputs behind it find a fresh entity, a key that was used stays used, and no
// version comes back.
func TestDelete(t *testing.T) {
	r := newRig(t, 1, Limits{}, thing("set", "add", "remove", "slow", "get"))
	r.program["set"], r.program["add"], r.program["slow"], r.program["get"] = fields, add, add, get
	r.program["remove"] = func(turn *msg.Turn) *msg.Outcome {
		return &msg.Outcome{Delete: true, Output: body("gone"), Sends: []msg.Outgoing{{Target: ref("b"), Handler: "add"}},
			Remind: []msg.Reminder{{Name: "late", Handler: "add", Due: turn.Now + 1}}}
	}
	versions := map[msg.Index]bool{}
	version := func() {
		t.Helper()
		got := r.call(msg.Request{Operation: msg.OperationInspect, Target: ref("a")})
		if !got.Found || versions[got.Version] {
			t.Fatalf("version %d, found %v, of %v", got.Version, got.Found, versions)
		}
		versions[got.Version] = true
	}
	keyed := msg.Request{Target: ref("a"), Handler: "set", Payload: body("m=a:1 l+x"), Identity: msg.Identity{IdempotencyKey: "k"}}
	for round := range 3 {
		want(t, r.call(keyed), "")
		want(t, r.call(msg.Request{Target: ref("a"), Handler: "add"}), "")
		version()
		r.holding["slow"] = true
		first := r.ask(msg.Request{Target: ref("a"), Handler: "slow"})
		removal := msg.Request{Target: ref("a"), Handler: "remove"}
		if round == 1 {
			removal = msg.Request{Operation: msg.OperationDelete, Target: ref("a")}
		}
		gone, behind := r.ask(removal), r.ask(msg.Request{Target: ref("a"), Handler: "add"})
		r.release("slow")
		want(t, first.one(t), "")
		want(t, gone.one(t), "")
		if got := behind.one(t); string(got.Payload.Body) != "1" {
			t.Fatalf("the input behind found %q", got.Payload.Body)
		}
		version()
		i := r.partitions[0].instances[ref("a")]
		if len(i.fields) != 0 || i.owned != nil && len(i.owned.reminders) > 0 {
			t.Fatal("fields or reminders are left")
		}
		r.sameAfterReplay()
		want(t, r.call(msg.Request{Operation: msg.OperationDelete, Target: ref("a")}), "")
		if got := r.call(msg.Request{Operation: msg.OperationExists, Target: ref("a")}); got.Found {
			t.Fatal("it exists")
		}
		if got := r.call(msg.Request{Operation: msg.OperationInspect, Target: ref("a")}); got.Found || got.State != nil {
			t.Fatal("it is found")
		}
		r.restart(nil)
	}
	if got := r.root("b"); got != "2" {
		t.Fatalf("what the deleting turn sent arrived %q times, want 2", got)
	}
}

// Reminders can be set by a turn that makes no state; a delete takes them too.
func TestDeleteOfAnEntityThatHasOnlyReminders(t *testing.T) {
	r := newRig(t, 1, Limits{}, thing("set", "ring"))
	r.program["set"] = func(turn *msg.Turn) *msg.Outcome {
		return &msg.Outcome{Remind: []msg.Reminder{{Name: "n", Handler: "ring", Due: turn.Now + msg.Time(time.Second)}}}
	}
	r.program["ring"] = func(*msg.Turn) *msg.Outcome { t.Error("it rang"); return &msg.Outcome{} }
	want(t, r.call(msg.Request{Target: ref("a"), Handler: "set"}), "")
	want(t, r.call(msg.Request{Operation: msg.OperationDelete, Target: ref("a")}), "")
	r.advance(time.Minute)
	r.restart(nil)
	r.advance(time.Minute)
	r.sameAfterReplay()
}

// Only handlers that create do so in a strict kind.
func TestStrictKind(t *testing.T) {
	k := thing("add", "make", "get", "go")
	k.Strict, k.Handlers[1].Creates = true, true
	r := newRig(t, 1, Limits{}, k)
	r.program["add"], r.program["make"], r.program["get"] = add, add, get
	q := msg.Request{Target: ref("a"), Handler: "add", Identity: session(1, 1)}
	want(t, r.call(q), msg.CodeNotFound)
	want(t, r.call(msg.Request{Target: ref("a"), Handler: "get"}), msg.CodeNotFound)
	submitted := r.call(msg.Request{Operation: msg.OperationSubmit, Target: ref("a"), Handler: "add"})
	want(t, r.call(msg.Request{Operation: msg.OperationResult, Invocation: submitted.Invocation}), msg.CodeNotFound)
	want(t, r.call(msg.Request{Target: ref("a"), Handler: "make"}), "")
	want(t, r.call(msg.Request{Target: ref("a"), Handler: "add"}), "")
	want(t, r.call(msg.Request{Target: ref("a"), Handler: "get"}), "")
	want(t, r.call(q), msg.CodeNotFound)
	want(t, r.call(msg.Request{Operation: msg.OperationDelete, Target: ref("a")}), "")
	want(t, r.call(msg.Request{Target: ref("a"), Handler: "add"}), msg.CodeNotFound)
	r.sameAfterReplay()
}

// An entity that had no turn for its TTL is deleted: not before, not while it
// works, also after a restart. Reads and turns that change nothing are turns.
func TestIdleTTL(t *testing.T) {
	k := thing("add", "same", "get", "slow")
	k.IdleTTL = time.Hour
	r := newRig(t, 1, Limits{}, k)
	r.program["add"], r.program["slow"], r.program["get"] = add, add, get
	r.program["same"] = func(*msg.Turn) *msg.Outcome { return &msg.Outcome{} }
	exists := func() bool { return r.call(msg.Request{Operation: msg.OperationExists, Target: ref("a")}).Found }
	want(t, r.call(msg.Request{Target: ref("a"), Handler: "add"}), "")
	for _, handler := range []string{"get", "same", "add", "get"} {
		r.advance(50 * time.Minute)
		want(t, r.call(msg.Request{Target: ref("a"), Handler: handler}), "")
		if !exists() {
			t.Fatalf("it was deleted before %s", handler)
		}
	}
	r.advance(59 * time.Minute)
	if !exists() {
		t.Fatal("it was deleted early")
	}
	r.advance(3 * time.Minute)
	if exists() {
		t.Fatal("it was not deleted")
	}
	r.sameAfterReplay()

	want(t, r.call(msg.Request{Target: ref("a"), Handler: "add", Identity: session(1, 1)}), "")
	r.advance(30 * time.Minute)
	want(t, r.call(msg.Request{Target: ref("a"), Handler: "same", Identity: session(1, 2)}), "")
	r.advance(40 * time.Minute)
	r.restart(nil)
	if !exists() {
		t.Fatal("a turn that was recorded did not count after the restart")
	}
	r.holding["slow"] = true
	r.ask(msg.Request{Target: ref("a"), Handler: "slow"})
	r.advance(3 * time.Hour)
	if !exists() {
		t.Fatal("it was deleted while it worked")
	}
	r.release("slow")
	r.advance(30 * time.Minute)
	if got := r.root("a"); got != "2" {
		t.Fatalf("count is %q", got)
	}
	r.now += msg.Time(2 * time.Hour)
	r.restart(nil)
	if exists() {
		t.Fatal("it outlived the restart")
	}
	r.sameAfterReplay()
}

// The keys of a kind are listed in order, a page at a time.
func TestList(t *testing.T) {
	other := thing("add")
	other.Name = "think"
	r := newRig(t, 1, Limits{}, thing("add"), other)
	r.program["add"] = add
	for _, key := range []string{"c", "a", "e", "b", "d"} {
		want(t, r.call(msg.Request{Target: ref(key), Handler: "add"}), "")
		want(t, r.call(msg.Request{Target: msg.Ref{Kind: "think", Key: key}, Handler: "add"}), "")
	}
	want(t, r.call(msg.Request{Operation: msg.OperationDelete, Target: ref("c")}), "")
	for after, expected := range map[string]string{"": "[a b d]", "a": "[b d e]", "bb": "[d e]", "e": "[]"} {
		got := r.call(msg.Request{Operation: msg.OperationList, Target: msg.Ref{Kind: "thing"}, After: after, Limit: 3})
		if fmt.Sprint(got.Keys) != expected {
			t.Errorf("after %q: %v, want %s", after, got.Keys, expected)
		}
	}
}

// The kind table refuses what would make entities impossible to find.
func TestKindTable(t *testing.T) {
	r := newRig(t, 2, Limits{}, thing("add"))
	p := r.partitions[0]
	kinds := []msg.Kind{{Name: "one"}, {Name: "two", Affinity: "place"}}
	rules, err := p.CheckKinds(kinds)
	if err != nil || len(rules) != 2 {
		t.Fatalf("%v, %v", rules, err)
	}
	r.out.Reset()
	p.AddKinds(r.now, rules, &r.out)
	r.carry(p)
	r.sameAfterReplay()
	r.restart(nil)
	p = r.partitions[0]
	if rules, err = p.CheckKinds(append(kinds, msg.Kind{Name: "three"})); err != nil || len(rules) != 1 || rules[0].Kind != "three" {
		t.Fatalf("%v, %v", rules, err)
	}
	if _, err = p.CheckKinds(kinds[:1]); err != nil {
		t.Fatalf("a kind that is not served any more: %v", err)
	}
	for _, changed := range []msg.Kind{{Name: "one", Affinity: "place"}, {Name: "two"}, {Name: "two", Affinity: "other"}} {
		_, err := p.CheckKinds([]msg.Kind{changed})
		if err == nil || !strings.Contains(err.Error(), changed.Name) || !strings.Contains(err.Error(), "its own key") && !strings.Contains(err.Error(), "other") {
			t.Errorf("%+v: %v", changed, err)
		}
	}
	if _, err := p.CheckKinds([]msg.Kind{{Name: "one", Form: msg.FormWorkflow}}); err == nil || !strings.Contains(err.Error(), "kind one was an entity and is now a workflow") {
		t.Errorf("an entity that became a workflow: %v", err)
	}
	if _, err := p.CheckKinds([]msg.Kind{{Name: "one", Form: msg.FormMachine}}); err == nil || !strings.Contains(err.Error(), "and is now a machine") {
		t.Errorf("an entity that became a machine: %v", err)
	}
}

// Time never runs backwards for a handler, whatever the clock does.
func TestTimeDoesNotRunBackwards(t *testing.T) {
	r := newRig(t, 1, Limits{}, thing("get", "add"))
	r.program["get"], r.program["add"] = get, add
	last := msg.Time(0)
	for n, step := range []time.Duration{0, time.Hour, -2 * time.Hour, time.Minute} {
		r.now += msg.Time(step)
		handler := []string{"get", "get", "add", "get"}[n]
		want(t, r.call(msg.Request{Target: ref("a"), Handler: handler}), "")
		if now := r.turns[len(r.turns)-1].Now; now < last {
			t.Fatalf("turn %d is at %v, %v before the last", n, now.Std(), time.Duration(last-now))
		} else {
			last = now
		}
	}
}

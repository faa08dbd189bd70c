package engine

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// full gives a rig that holds some of everything.
func full(t *testing.T) *rig {
	r := newRig(t, 1, Limits{AttemptsMax: 2}, thing("set", "remind", "slow", "panic", "go", "add"))
	r.program["set"], r.program["slow"], r.program["add"] = fields, add, add
	r.program["remind"] = func(turn *msg.Turn) *msg.Outcome {
		return &msg.Outcome{Remind: []msg.Reminder{{Name: "n", Handler: "add", Due: turn.Now + msg.Time(time.Hour), Schedule: msg.Schedule{Cron: "* * * * *"}}}}
	}
	r.program["panic"] = func(*msg.Turn) *msg.Outcome {
		return &msg.Outcome{Panicked: true, Err: msg.Errorf(msg.CodePanic, msg.ClassFailed, "oh")}
	}
	r.program["go"] = sendTo("slow", "x", "y")
	r.holding["slow"] = true
	p := r.partitions[0]
	r.out.Reset()
	rules, _ := p.CheckKinds(r.config.Kinds)
	p.AddKinds(r.now, rules, &r.out)
	r.carry(p)
	for n := range 30 {
		key := ref(fmt.Sprint(n))
		want(t, r.call(msg.Request{Target: key, Handler: "set", Payload: body(fmt.Sprintf("m=a:%d m=b:%d l+x l+y%d", n, n, n)), Identity: session(byte(n+1), 1)}), "")
		want(t, r.call(msg.Request{Target: key, Handler: "remind"}), "")
		want(t, r.call(msg.Request{Operation: msg.OperationSubmit, Target: key, Handler: "slow", Identity: msg.Identity{IdempotencyKey: fmt.Sprint(n)}}), "")
		if n%3 == 0 {
			want(t, r.call(msg.Request{Operation: msg.OperationSubmit, Target: ref(fmt.Sprint("p", n)), Handler: "panic"}), "")
			want(t, r.call(msg.Request{Target: ref(fmt.Sprint("s", n)), Handler: "go"}), "")
		}
	}
	r.advance(time.Second)
	r.ask(msg.Request{Target: ref("killer"), Handler: "slow"})
	r.restart([]msg.Fingerprint{r.runs[len(r.runs)-1].turn.Fingerprint()})
	if p = r.partitions[0]; p.deadLetters.Len() != 10 || p.attempts.Len() == 0 || p.outboxBytes+p.inboxBytes == 0 || p.answers.pending.len != 30 {
		t.Fatalf("%d dead letters, %d attempts, %d bytes in inboxes, %d pending", p.deadLetters.Len(), p.attempts.Len(), p.inboxBytes, p.answers.pending.len)
	}
	return r
}

// Every slice has about the size that was asked for, whatever it holds, and all
// together give the state that there was.
func TestSlicesAreSmallAndComplete(t *testing.T) {
	r := full(t)
	p := r.partitions[0]
	for n := range 3000 { // much in one instance
		p.instances[ref("1")].mapField("m").Entries.Set(fmt.Sprint("k", n), make([]byte, 20))
		p.instances[ref("2")].listField("l").Items = append(p.instances[ref("2")].listField("l").Items, make([]byte, 20))
	}
	p.instances[ref("1")].view, p.instances[ref("2")].view = nil, nil
	for range 500 {
		want(t, r.call(msg.Request{Operation: msg.OperationSubmit, Target: ref("3"), Handler: "slow", Payload: msg.Payload{Body: make([]byte, 50)}}), "")
	}
	state := p.Dump()
	for _, budget := range []int{1, 100, 1000, 1 << 20} {
		p.BeginCheckpoint()
		loaded := New(p.config)
		for done := false; !done; {
			var slice []byte
			if slice, done = p.Slice(nil, budget); len(slice) > budget+2000 {
				t.Fatalf("a slice of %d bytes, %d were asked for", len(slice), budget)
			}
			if err := loaded.Load(slice); err != nil {
				t.Fatal(err)
			}
		}
		for d := range loaded.outboxes {
			loaded.outboxes[d].recovered()
		}
		if text := difference(loaded.Dump(), state); text != "" {
			t.Fatalf("budget %d: %s", budget, text)
		}
		if loaded.Stats().Entities != p.Stats().Entities || loaded.inboxBytes != p.inboxBytes || loaded.deadLetterBytes != p.deadLetterBytes || loaded.outboxBytes != p.outboxBytes {
			t.Fatalf("counters: %+v, want %+v", loaded.Stats(), p.Stats())
		}
	}
}

// A checkpoint names the index at which it began, however late its first slice
// is taken.
func TestCheckpointNamesItsStart(t *testing.T) {
	r := full(t)
	p := r.partitions[0]
	start := p.BeginCheckpoint()
	want(t, r.call(msg.Request{Target: ref("later"), Handler: "add"}), "")
	slice, _ := p.Slice(nil, 1<<20)
	loaded := New(p.config)
	if err := loaded.Load(slice); err != nil || loaded.Index() != start || p.Index() == start {
		t.Fatalf("loaded at %d, %v; it began at %d and ended at %d", loaded.Index(), err, start, p.Index())
	}
	r.replay(loaded)
	loaded.outboxes[0].recovered()
	if text := difference(loaded.Dump(), p.Dump()); text != "" {
		t.Fatal(text)
	}
}

// Bytes that are not a checkpoint of this partition are refused with an error,
// and never with a panic.
func TestLoadRefusesWhatIsNotItsCheckpoint(t *testing.T) {
	r := full(t)
	p := r.partitions[0]
	p.BeginCheckpoint()
	slice, _ := p.Slice(nil, 1<<20)
	for name, c := range map[string]Config{
		"another partition":  {Partition: 1, Partitions: 2},
		"another number":     {Partition: 0, Partitions: 3},
		"a partition of few": {Partition: 0, Partitions: 2},
	} {
		if err := New(c).Load(slice); err == nil {
			t.Errorf("%s took it", name)
		}
	}
	random := rand.New(rand.NewPCG(3, 4))
	for range 3000 {
		bad := slices.Clone(slice)
		for range 1 + random.IntN(3) {
			bad[random.IntN(len(bad))] ^= 1 << random.IntN(8)
		}
		_ = New(p.config).Load(bad[:random.IntN(len(bad)+1)]) // checksums are the host's business
	}
}

// Apply refuses records that do not follow, that belong to others, and that
// name what cannot be.
func TestApplyRefusesWhatDoesNotFollow(t *testing.T) {
	for name, r := range map[string]msg.Record{
		"another partition":            {Partition: 1, Index: 1},
		"a gap":                        {Index: 2},
		"a record of before":           {Index: 0},
		"a channel that is not":        {Index: 1, Consumed: []msg.MessageID{{Source: 5, Number: 1}}},
		"a message to others":          {Index: 1, Consumed: []msg.MessageID{{Destination: 1, Number: 1}}},
		"a message far ahead":          {Index: 1, Consumed: []msg.MessageID{{Number: 5000}}},
		"a destination that is not":    {Index: 1, Outbox: []*msg.Message{{ID: msg.MessageID{Destination: 9, Number: 1}}}},
		"a message without number":     {Index: 1, Outbox: []*msg.Message{{}}},
		"a number far ahead":           {Index: 1, Outbox: []*msg.Message{{ID: msg.MessageID{Number: 1 << 40}}}},
		"an acknowledgement of others": {Index: 1, Acked: []msg.MessageID{{Destination: 9}}},
		"a change of unknown kind":     {Index: 1, Instance: ref("a"), Changes: []msg.Change{{Kind: 99}}},
		"a change of kind 0":           {Index: 1, Instance: ref("a"), Changes: []msg.Change{{}}},
	} {
		p := New(Config{Partitions: 2, Kinds: []msg.Kind{thing("add")}})
		if err := p.Apply(&r); err == nil {
			t.Errorf("%s was applied", name)
		}
	}
}

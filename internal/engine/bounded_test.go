package engine

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast/internal/fifo"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// flood drives partitions as fast as it can, without a log: callers in sessions,
// one with keys, turns that send on to things of all partitions.
type flood struct {
	partitions []*Partition
	queue      fifo.Queue[parcel]
	now        msg.Time
	out        Output
	messages   int
	refs       []msg.Ref
	turns      int
}

func newFlood(partitions, things int) *flood {
	f := &flood{now: startTime}
	for n := range partitions {
		p := New(Config{Partition: msg.Partition(n), Partitions: partitions, Kinds: []msg.Kind{thing("go", "add")},
			Limits: Limits{Retention: time.Second, RetentionMin: time.Second}})
		p.Recover(f.now, 1, nil, &f.out)
		f.partitions = append(f.partitions, p)
	}
	for n := range things {
		f.refs = append(f.refs, ref(fmt.Sprint("thing", n)))
	}
	return f
}

func (f *flood) step(to msg.Partition, c msg.Command) {
	c.Now = f.now
	f.out.Reset()
	f.partitions[to].Step(&c, &f.out)
	for n := range f.out.Effects {
		switch e := &f.out.Effects[n]; e.Kind {
		case msg.EffectDeliver:
			f.messages++
			f.queue.Push(parcel{e.Message.ID.Destination, msg.Command{Kind: msg.CommandDeliver, Message: e.Message}})
		case msg.EffectAck:
			f.queue.Push(parcel{e.Ack.Source, msg.Command{Kind: msg.CommandAck, Ack: e.Ack}})
		case msg.EffectRun:
			f.queue.Push(parcel{to, msg.Command{Kind: msg.CommandOutcome, Outcome: f.outcome(e.Turn)}})
		}
	}
}

// outcome is a turn: "go" sends twenty messages on, the last of them delayed.
func (f *flood) outcome(t *msg.Turn) *msg.Outcome {
	f.turns++
	o := &msg.Outcome{Run: t.Run, Root: &msg.Payload{Body: fmt.Appendf(nil, "%d", f.turns)}, Version: 1}
	if t.Message.Handler != "go" {
		return o
	}
	for n := range 20 {
		o.Sends = append(o.Sends, msg.Outgoing{Target: f.refs[(f.turns*31+n*17)%len(f.refs)], Handler: "add"})
	}
	o.Sends[19].NotBefore = t.Now + msg.Time(10*time.Millisecond)
	o.Remind = []msg.Reminder{{Name: "n", Handler: "add", Due: t.Now + msg.Time(50*time.Millisecond)}}
	return o
}

func (f *flood) settle() {
	for f.queue.Len() > 0 {
		next := f.queue.Pop()
		f.step(next.to, next.command)
	}
	for n, p := range f.partitions {
		if due := p.NextDue(); due > 0 && due <= f.now {
			f.step(msg.Partition(n), msg.Command{Kind: msg.CommandTick})
		}
	}
}

// run sends about so many messages.
func (f *flood) run(messages int) {
	for n := uint64(1); f.messages < messages; n++ {
		target := f.refs[n%uint64(len(f.refs))]
		to := f.partitions[0].place(target, "")
		identity := session(byte(n%8), n)
		if n%16 == 0 {
			identity = msg.Identity{IdempotencyKey: fmt.Sprint(n)}
		}
		f.step(to, msg.Command{Kind: msg.CommandRequest, Waiter: &told{}, Request: &msg.Request{
			Target: target, Handler: "go", Identity: identity, Invocation: msg.NewInvocationID(to, 1<<16, n)}})
		f.now += msg.Time(2 * time.Millisecond)
		f.settle()
	}
	for range 100 {
		f.now += msg.Time(10 * time.Millisecond)
		f.settle()
	}
}

// bookkeeping is what the partitions hold beside entities.
func (f *flood) bookkeeping() (text string, total int) {
	for _, p := range f.partitions {
		gaps, stored, waiting := 0, 0, p.aging.len()
		for n := range p.consumed {
			gaps += int(p.consumed[n].high - p.consumed[n].low)
			stored += p.outboxes[n].messages.Len() + p.outboxes[n].messages.Places()
			waiting += len(p.inlets[n].early)
		}
		rest := []int{gaps, stored, waiting, len(p.acks), p.runs.len + len(p.runs.slots), len(p.inflight), len(p.waiters), len(p.attached), p.queued,
			p.timers.set.Len(), p.attempts.Len(), p.deadLetters.Len(), p.answers.ended.len, p.answers.pending.len,
			len(p.answers.bySession), len(p.answers.byIdempotency), len(p.answers.byInvocation), p.asleep.Len(), p.inboxBytes,
			len(p.instances)}
		text += fmt.Sprintln(rest)
		for _, n := range rest {
			total += n
		}
	}
	return text, total
}

func (l *agingList) len() (n int) {
	for in := l.first; in != nil; in = in.younger {
		n++
	}
	return n
}

// TestMillionMessagesLeaveConstantBookkeeping sends a million messages between
// partitions and compares what is held after a tenth of them with what is held
// at the end: lists, tables, timers and the heap itself.
func TestMillionMessagesLeaveConstantBookkeeping(t *testing.T) {
	messages := 1_000_000
	if testing.Short() {
		messages = 200_000
	}
	f := newFlood(4, 400)
	f.run(messages / 10)
	_, early := f.bookkeeping()
	earlyHeap := heapBytes()
	f.run(messages)
	text, late := f.bookkeeping()
	lateHeap := heapBytes()
	for _, p := range f.partitions {
		p.verify()
	}
	if late > early*5/4+100 {
		t.Errorf("bookkeeping grew from %d to %d entries:\n%s", early, late, text)
	}
	if grown := int64(lateHeap) - int64(earlyHeap); grown > 1<<20 {
		t.Errorf("the heap grew by %d bytes, from %d", grown, earlyHeap)
	}
	for n, p := range f.partitions {
		if s := p.Stats(); s.OutboxMessages+s.Queued+s.Running != 0 {
			t.Errorf("partition %d is at rest with %+v", n, s)
		}
	}
	t.Logf("%d messages, %d turns: %d and then %d entries; heap %d KiB and then %d KiB", f.messages, f.turns, early, late, earlyHeap>>10, lateHeap>>10)
}

func heapBytes() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Keys that were only asked about, refused or failed leave nothing behind.
func TestKeysThatNeverCameToBeLeaveNothing(t *testing.T) {
	r := newRig(t, 1, Limits{}, thing("add", "get"))
	r.program["add"] = func(*msg.Turn) *msg.Outcome { return &msg.Outcome{Err: msg.Errorf("mine", msg.ClassFailed, "m")} }
	r.program["get"] = get
	for n := range 500 {
		key := ref(fmt.Sprint(n))
		r.call(msg.Request{Target: key, Handler: "add"})
		r.call(msg.Request{Target: key, Handler: "get"})
		r.call(msg.Request{Target: key, Operation: msg.OperationDelete})
		r.call(msg.Request{Target: key, Operation: msg.OperationReminders})
	}
	if p := r.partitions[0]; len(p.instances) != 0 || p.order.Len() != 0 || p.Index() != 0 {
		t.Fatalf("%d instances, %d in order, %d records", len(p.instances), p.order.Len(), p.Index())
	}
}

// What is deleted costs nothing once a checkpoint has been taken.
func TestTombstonesGoWithCheckpoints(t *testing.T) {
	r := newRig(t, 1, Limits{}, thing("add"))
	r.program["add"] = add
	for n := range 2000 {
		key := ref(fmt.Sprint(n))
		r.stepOnly(0, msg.Command{Kind: msg.CommandRequest, Waiter: &told{}, Request: &msg.Request{Target: key, Handler: "add", Invocation: msg.InvocationID{1}}})
		run := r.runs[0]
		r.runs = nil
		r.finish(run)
		r.stepOnly(0, msg.Command{Kind: msg.CommandRequest, Waiter: &told{}, Request: &msg.Request{Target: key, Operation: msg.OperationDelete, Invocation: msg.InvocationID{1}}})
	}
	p := r.partitions[0]
	if len(p.instances) != 2000 {
		t.Fatalf("%d tombstones, want 2000 until a checkpoint", len(p.instances))
	}
	p.BeginCheckpoint()
	slices := 0
	for done := false; !done; slices++ {
		var b []byte
		if b, done = p.Slice(nil, 1000); len(b) > 2000 {
			t.Fatalf("a slice has %d bytes", len(b))
		}
	}
	if len(p.instances) != 0 || p.order.Len() != 0 {
		t.Fatalf("%d tombstones are left", len(p.instances))
	}
	if slices < 10 {
		t.Fatalf("2000 tombstones were passed in %d slices: a slice must be short also where nothing is written", slices)
	}
	r.sameAfterReplay()
}

package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// rig is a few partitions that a test drives by hand: effects are carried out
// in order, at once, except for handlers that are held. Every record is durable
// at once.
type rig struct {
	t           *testing.T
	config      Config
	now         msg.Time
	partitions  []*Partition
	log         [][]byte
	queue       []parcel
	program     map[string]func(*msg.Turn) *msg.Outcome // by handler
	holding     map[string]bool                         // handlers, and keys
	runs        []running                               // of what is held
	turns       []*msg.Turn                             // all
	tasks       []asked                                 // attempts of activities that go on
	interrupted []*msg.TaskRun                          // attempts that are not needed any more
	invocations uint64
	crashAfter  int // records from now on; 0: no crash
	out         Output
}

// asked is an attempt of an activity that has been asked for.
type asked struct {
	partition msg.Partition
	run       *msg.TaskRun
}

// told collects what somebody who waits is told.
type told struct {
	replies []msg.Reply
	indexes []msg.Index
}

// Answer implements msg.Waiter.
func (a *told) Answer(msg.Reply) {}

func newRig(t *testing.T, partitions int, limits Limits, kinds ...msg.Kind) *rig {
	r := &rig{t: t, now: startTime, program: map[string]func(*msg.Turn) *msg.Outcome{}, holding: map[string]bool{},
		config: Config{Partitions: partitions, Kinds: kinds, Limits: limits}}
	r.restart(nil)
	return r
}

// restart builds the partitions from the log, as after a crash.
func (r *rig) restart(interrupted []msg.Fingerprint) {
	r.t.Helper()
	r.queue, r.runs, r.tasks = nil, nil, nil
	r.partitions = make([]*Partition, r.config.Partitions)
	for n := range r.partitions {
		r.partitions[n] = r.rebuild(msg.Partition(n))
	}
	for _, p := range r.partitions {
		r.out.Reset()
		p.Recover(r.now, 1, interrupted, &r.out)
		r.carry(p)
	}
	r.settle()
}

func (r *rig) rebuild(n msg.Partition) *Partition {
	r.t.Helper()
	c := r.config
	c.Partition = n
	p := New(c)
	r.replay(p)
	return p
}

func (r *rig) replay(p *Partition) {
	r.t.Helper()
	for _, b := range r.log {
		record, err := msg.DecodeRecord(b)
		if err != nil {
			r.t.Fatal(err)
		}
		if record.Partition != p.config.Partition || record.Index <= p.Index() {
			continue
		}
		if err := p.Apply(record); err != nil {
			r.t.Fatal(err)
		}
	}
}

// checkpoint takes a whole checkpoint of a partition and builds another from it.
func (r *rig) checkpoint(p *Partition) *Partition {
	r.t.Helper()
	p.BeginCheckpoint()
	c := p.config
	loaded := New(c)
	for done := false; !done; {
		var slice []byte
		slice, done = p.Slice(nil, 200)
		if err := loaded.Load(slice); err != nil {
			r.t.Fatal(err)
		}
	}
	for d := range loaded.outboxes {
		loaded.outboxes[d].recovered()
	}
	return loaded
}

// step gives a command to a partition and carries out all that follows.
func (r *rig) step(to msg.Partition, c msg.Command) {
	r.t.Helper()
	r.stepOnly(to, c)
	r.settle()
}

func (r *rig) stepOnly(to msg.Partition, c msg.Command) {
	r.t.Helper()
	c.Now = r.now
	r.out.Reset()
	r.partitions[to].Step(&c, &r.out)
	r.carry(r.partitions[to])
}

func (r *rig) carry(p *Partition) {
	r.t.Helper()
	for _, record := range r.out.Records {
		r.log = append(r.log, msg.AppendRecord(nil, record))
		if r.crashAfter--; r.crashAfter == 0 {
			r.answer()
			r.restart(nil) // effects are lost, and records that come later
			return
		}
	}
	for n := range r.out.Effects {
		switch e := &r.out.Effects[n]; e.Kind {
		case msg.EffectDeliver:
			r.queue = append(r.queue, parcel{e.Message.ID.Destination, msg.Command{Kind: msg.CommandDeliver, Message: e.Message}})
		case msg.EffectAck:
			r.queue = append(r.queue, parcel{e.Ack.Source, msg.Command{Kind: msg.CommandAck, Ack: e.Ack}})
		case msg.EffectReply:
			e.Waiter.(*told).take(e)
		case msg.EffectRun:
			r.runs = append(r.runs, running{partition: p.config.Partition, turn: e.Turn})
			r.turns = append(r.turns, e.Turn)
		case msg.EffectPerform:
			r.tasks = append(r.tasks, asked{p.config.Partition, e.Task})
		case msg.EffectInterrupt:
			r.interrupted = append(r.interrupted, e.Task)
		}
	}
}

// answer lets replies leave that a crash would keep: who made a request by hand
// does not repeat it.
func (r *rig) answer() {
	for n := range r.out.Effects {
		if e := &r.out.Effects[n]; e.Kind == msg.EffectReply {
			e.Waiter.(*told).take(e)
		}
	}
}

func (a *told) take(e *msg.Effect) {
	a.replies, a.indexes = append(a.replies, e.Reply), append(a.indexes, e.Index)
}

// settle carries out parcels and runs until only what is held is left.
func (r *rig) settle() {
	r.t.Helper()
	for busy := true; busy; {
		busy = false
		for len(r.queue) > 0 {
			next := r.queue[0]
			r.queue = r.queue[1:]
			r.stepOnly(next.to, next.command)
			busy = true
		}
		for n := 0; n < len(r.runs); n++ {
			run := r.runs[n]
			if r.holding[run.turn.Message.Handler] || r.holding[run.turn.Message.Target.Key] {
				continue
			}
			r.runs = append(r.runs[:n], r.runs[n+1:]...)
			r.finish(run)
			busy = true
			break
		}
		for n, p := range r.partitions {
			if due := p.NextDue(); due > 0 && due <= r.now {
				r.stepOnly(msg.Partition(n), msg.Command{Kind: msg.CommandTick})
				busy = true
			}
		}
	}
	for _, p := range r.partitions {
		p.verify()
	}
}

// finish ends a run with what the program makes of it.
func (r *rig) finish(run running) {
	r.t.Helper()
	handler := r.program[run.turn.Message.Handler]
	if handler == nil {
		r.t.Fatalf("no handler %q", run.turn.Message.Handler)
	}
	o := handler(run.turn)
	o.Run = run.turn.Run
	r.stepOnly(run.partition, run.turn.Ended(o))
}

// release lets runs of a handler or key end that are held.
func (r *rig) release(name string) {
	r.t.Helper()
	delete(r.holding, name)
	r.settle()
}

// advance lets time pass, in small steps.
func (r *rig) advance(d time.Duration) {
	r.t.Helper()
	for end := r.now + msg.Time(d); r.now < end; {
		r.now = min(end, r.now+msg.Time(max(d/50, 1)))
		r.settle()
	}
}

func (r *rig) place(ref msg.Ref) msg.Partition { return r.partitions[0].place(ref, "") }

// ask makes a request; the answer may come later.
func (r *rig) ask(q msg.Request) *told {
	r.t.Helper()
	a := &told{}
	to := r.place(q.Target)
	switch q.Operation {
	case msg.OperationResult, msg.OperationRedeliver, msg.OperationDiscard:
		to = q.Invocation.Partition()
	default:
		if q.Invocation.IsZero() {
			r.invocations++
			q.Invocation = msg.NewInvocationID(to, 1<<16, r.invocations)
		}
	}
	r.step(to, msg.Command{Kind: msg.CommandRequest, Request: &q, Waiter: a})
	return a
}

// call makes a request that is answered at once.
func (r *rig) call(q msg.Request) msg.Reply {
	r.t.Helper()
	return r.ask(q).one(r.t)
}

// one is the only answer.
func (a *told) one(t *testing.T) msg.Reply {
	t.Helper()
	if len(a.replies) != 1 {
		t.Fatalf("%d answers, want 1: %+v", len(a.replies), a.replies)
	}
	return a.replies[0]
}

func (a *told) open() bool { return len(a.replies) == 0 }

// want fails the test unless a reply is an error with a code, or none if that
// is empty.
func want(t *testing.T, r msg.Reply, code string) {
	t.Helper()
	switch {
	case code == "" && r.Err != nil:
		t.Fatalf("got error %v, want none", r.Err)
	case code != "" && (r.Err == nil || r.Err.Code != code):
		t.Fatalf("got error %v and %q, want code %s", r.Err, r.Payload.Body, code)
	}
}

// sameAfterReplay compares every partition with the replay of its log, from
// nothing and from a checkpoint.
func (r *rig) sameAfterReplay() {
	r.t.Helper()
	for n, p := range r.partitions {
		state := p.Dump()
		if text := difference(r.checkpoint(p).Dump(), state); text != "" {
			r.t.Fatalf("partition %d from a checkpoint: %s", n, text)
		}
		replayed := r.rebuild(msg.Partition(n))
		for d := range replayed.outboxes {
			replayed.outboxes[d].recovered()
		}
		if text := difference(replayed.Dump(), state); text != "" {
			r.t.Fatalf("partition %d from its log: %s", n, text)
		}
	}
}

func session(id byte, number uint64) msg.Identity {
	return msg.Identity{Session: msg.SessionID{id}, SessionNumber: number}
}

func body(text string) msg.Payload { return msg.Payload{Body: []byte(text)} }

func ref(key string) msg.Ref { return msg.Ref{Kind: "thing", Key: key} }

// thing is the kind of most tests.
func thing(handlers ...string) msg.Kind {
	k := msg.Kind{Name: "thing", StateVersion: 1}
	for _, name := range handlers {
		mode := msg.ModeUpdate
		if name == "get" {
			mode = msg.ModeRead
		}
		k.Handlers = append(k.Handlers, msg.Handler{Name: name, Mode: mode})
	}
	return k
}

// add is a handler that counts; its output is the new count.
func add(t *msg.Turn) *msg.Outcome {
	n := 0
	fmt.Sscan(string(t.State.Root.Body), &n)
	text := fmt.Sprint(n + 1)
	root := body(text)
	return &msg.Outcome{Output: body(text), Root: &root, Version: 1}
}

// get is a read that gives the root.
func get(t *msg.Turn) *msg.Outcome { return &msg.Outcome{Output: t.State.Root} }

// sendTo is a handler that counts and sends a message on.
func sendTo(handler string, keys ...string) func(*msg.Turn) *msg.Outcome {
	return func(t *msg.Turn) *msg.Outcome {
		o := add(t)
		for _, key := range keys {
			o.Sends = append(o.Sends, msg.Outgoing{Target: ref(key), Handler: handler, Payload: t.Message.Payload})
		}
		return o
	}
}

// keysOn gives keys of things that are placed on one partition.
func (r *rig) keysOn(p msg.Partition, count int) (keys []string) {
	for n := 0; len(keys) < count; n++ {
		if key := fmt.Sprint("key", n); r.place(ref(key)) == p {
			keys = append(keys, key)
		}
	}
	return keys
}

func (r *rig) root(key string) string {
	i := r.partitions[r.place(ref(key))].instances[ref(key)]
	if i == nil || !i.exists {
		return ""
	}
	return string(i.root.Body)
}

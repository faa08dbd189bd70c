package engine

import (
	"cmp"
	"strings"

	"github.com/tidwall/btree"

	"github.com/holdfast-io/holdfast/internal/fifo"
	"github.com/holdfast-io/holdfast/internal/invariant"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// Partition is the state of one partition. It is not safe for concurrent use.
type Partition struct {
	config Config
	kinds  map[string]*kind
	events map[string]*event
	spaces map[string][]string // kinds that have their locks in common, by space

	// Durable: the fold of the records.
	index       msg.Index
	time        msg.Time // the highest recorded
	epoch       msg.Epoch
	instances   map[msg.Ref]*instance
	order       *btree.BTreeG[*instance]   // instances by ref; tombstones too
	outboxes    []outbox                   // by destination
	consumed    []consumed                 // by source
	answers     *answers                   // by pointer: its lists contain their own ends
	attempts    btree.Map[string, attempt] // by fingerprint
	deadLetters btree.Map[string, *msg.DeadLetter]
	rules       btree.Map[string, msg.KindRule]

	// Derived from what is durable.
	outboxBytes     int
	inboxBytes      int
	deadLetterBytes int
	locked          btree.Map[string, *instance] // owners of locks that are held
	prepared        int                          // instances where an event is not decided

	// Volatile: rebuilt by Recover.
	timers     timers
	runs       runTable
	backlog    int                   // runs of the backlog; see backlogMax
	asleep     fifo.Queue[*instance] // whose inboxes have not been taken up since the start
	inlets     []inlet               // by source
	aging      agingList
	blocked    []msg.Partition                 // sources whose low marks are kept down
	inflight   map[identity]*input             // from outside, not in a record yet
	waiters    map[msg.InvocationID][]waiting  // of obligations that are in a record
	attached   map[msg.InvocationID]attachment // by the requests that repeat others
	acks       []msg.MessageID                 // for the next record
	ackDue     msg.Time
	queued     int // inputs that wait
	aside      int // inputs that turns have deferred
	requests   int // those of them that are for locks
	arrivals   uint64
	parked     btree.Map[string, *instance]
	checkpoint *checkpoint // nil: none is being taken
	loading    *instance   // whose entries Load takes next
	recent     *instance   // that was looked for last; nil: none
	spareLives []*live
	scratch    []byte // entries of journals are encoded in
	stats      Stats
	verified   msg.Index // see verifySome

	// Of the step in progress.
	now msg.Time
	out *Output
}

// Output is what a step decided. Records are in order; they are to be appended,
// all of them, before any effect is carried out. They are valid until Reset,
// which takes their memory for others; effects, and the messages and turns in
// them, stay.
type Output struct {
	Records []*msg.Record
	Effects []msg.Effect

	used, spare []*recordBuffer
}

// Reset empties the output for another step.
func (o *Output) Reset() {
	clear(o.Records)
	clear(o.Effects)
	o.Records, o.Effects = o.Records[:0], o.Effects[:0]
	for n, b := range o.used {
		if *b = (recordBuffer{}); len(o.spare) < spareMax {
			o.spare = append(o.spare, b)
		}
		o.used[n] = nil
	}
	o.used = o.used[:0]
}

// spareMax bounds the memory that is kept for later, in pieces.
const spareMax = 64

// recordBuffer is a record with room for what most records have.
type recordBuffer struct {
	record   msg.Record
	consumed [1]msg.MessageID
	finished [1]msg.Index
	changes  [1]msg.Change
	tasks    [1]msg.TaskName
	outbox   [1]*msg.Message
	acked    [4]msg.MessageID
	answers  [1]msg.Answer
	attempts [1]msg.AttemptCount
}

// record gives an empty record.
func (o *Output) record() *msg.Record {
	var b *recordBuffer
	if last := len(o.spare) - 1; last >= 0 {
		b, o.spare = o.spare[last], o.spare[:last]
	} else {
		b = new(recordBuffer)
	}
	o.used = append(o.used, b)
	r := &b.record
	r.Consumed, r.Finished, r.Changes, r.Outbox = b.consumed[:0], b.finished[:0], b.changes[:0], b.outbox[:0]
	r.Acked, r.Answers, r.Attempts, r.TasksEnded = b.acked[:0], b.answers[:0], b.attempts[:0], b.tasks[:0]
	return r
}

type kind struct {
	msg.Kind
	handlers map[string]*handler
}

func (k *kind) isWorkflow() bool { return k != nil && k.Form == msg.FormWorkflow }

func (k *kind) isMachine() bool { return k != nil && k.Form == msg.FormMachine }

type handler struct{ msg.Handler }

// New makes an empty partition. Load and Apply fill it, Recover starts it.
func New(c Config) *Partition {
	c.Limits = c.Limits.withDefaults()
	p := &Partition{
		config:    c,
		kinds:     map[string]*kind{},
		events:    map[string]*event{},
		spaces:    map[string][]string{},
		instances: map[msg.Ref]*instance{},
		outboxes:  make([]outbox, c.Partitions),
		consumed:  make([]consumed, c.Partitions),
		answers:   newAnswers(),
		timers:    newTimers(),
		inlets:    make([]inlet, c.Partitions),
		inflight:  map[identity]*input{},
		waiters:   map[msg.InvocationID][]waiting{},
		attached:  map[msg.InvocationID]attachment{},
	}
	p.order = btree.NewBTreeGOptions(func(a, b *instance) bool { return a.ref.Compare(b.ref) < 0 }, btree.Options{NoLocks: true})
	for _, k := range c.Kinds {
		p.kinds[k.Name] = newKind(k)
		space := cmp.Or(k.Affinity, k.Name)
		p.spaces[space] = append(p.spaces[space], k.Name)
	}
	for _, e := range c.Events {
		p.events[e.Name] = newEvent(e)
	}
	return p
}

func newKind(k msg.Kind) *kind {
	served := &kind{Kind: k, handlers: map[string]*handler{}}
	for _, h := range k.Handlers {
		entry := &handler{h}
		served.handlers[h.Name] = entry
		for _, alias := range h.Aliases {
			served.handlers[alias] = entry
		}
	}
	return served
}

// Index is the index of the last record.
func (p *Partition) Index() msg.Index { return p.index }

// Stats says how much the partition holds and has done.
func (p *Partition) Stats() Stats {
	s := p.stats
	s.OutboxBytes, s.Queued, s.Aside, s.Running = p.outboxBytes, p.queued, p.aside, p.runs.len
	s.Locked, s.LockRequests = p.locked.Len(), p.requests
	s.Prepared = p.prepared
	s.Parked, s.Timers = p.parked.Len(), p.timers.set.Len()
	s.Answers = p.answers.ended.len + p.answers.pending.len
	s.AnswerBytes = p.answers.ended.bytes + p.answers.pending.bytes
	if oldest := p.answers.ended.front(); oldest != nil {
		s.OldestAnswer = oldest.time
	}
	for i := range p.outboxes {
		s.OutboxMessages += p.outboxes[i].count
	}
	return s
}

// steps holds a method for each kind of command.
var steps = [msg.CommandCount]func(*Partition, *msg.Command){
	msg.CommandRequest: (*Partition).stepRequest,
	msg.CommandDeliver: (*Partition).stepDeliver,
	msg.CommandAck:     (*Partition).stepAck,
	msg.CommandOutcome: (*Partition).stepOutcome,
	msg.CommandAbandon: (*Partition).stepAbandon,
	msg.CommandTick:    (*Partition).stepTick,
	msg.CommandLeave:   (*Partition).stepLeave,
	msg.CommandRead:    (*Partition).stepRead,

	msg.CommandTask:      (*Partition).stepTask,
	msg.CommandHeartbeat: (*Partition).stepHeartbeat,
}

// Step decides what a command does, folds it, and adds records and effects to
// out.
func (p *Partition) Step(c *msg.Command, out *Output) {
	p.begin(c.Now, out)
	steps[c.Kind](p, c)
	p.out = nil
	if invariant.Enabled {
		p.verifySome()
	}
}

// begin fixes the time of a step: it never runs backwards, whatever the clock
// does, nor behind what a handler has been told.
func (p *Partition) begin(now msg.Time, out *Output) {
	p.now, p.out = max(now, p.time, p.now), out
}

// record begins a record.
func (p *Partition) record(kind msg.RecordKind) *msg.Record {
	r := p.out.record()
	r.Kind, r.Partition, r.Time, r.CodeVersion = kind, p.config.Partition, p.now, p.codeVersion(kind)
	return r
}

// codeVersion is written where handlers ran.
func (p *Partition) codeVersion(kind msg.RecordKind) string {
	if kind == msg.RecordEpoch {
		return p.config.CodeVersion
	}
	return ""
}

// send adds a message to a record and numbers it.
func (p *Partition) send(r *msg.Record, m *msg.Message, destination msg.Partition) {
	m.ID = msg.MessageID{Source: p.config.Partition, Destination: destination, Number: p.outboxes[destination].assign()}
	if m.Invocation.IsZero() {
		m.Invocation = messageInvocation(m.ID)
	}
	r.Outbox = append(r.Outbox, m)
}

// messageInvocation derives the id of the invocation that a message is. The
// third byte is 0xff, which no nonce of a process has.
func messageInvocation(id msg.MessageID) msg.InvocationID {
	return msg.NewInvocationID(id.Destination, 0xff<<56|uint64(id.Source)<<16, uint64(id.Number))
}

// commit gives a record its index, folds it, and lets its consequences begin.
func (p *Partition) commit(r *msg.Record) {
	if upTo := p.answers.prunable(p.now, &p.config.Limits); upTo > 0 {
		r.Pruned = upTo
	}
	for _, id := range r.Consumed {
		if id.Source == p.config.Partition {
			r.Acked = append(r.Acked, id) // its own outbox: in the same record
		}
	}
	r.Acked = append(r.Acked, p.acks...)
	p.acks = p.acks[:0]
	r.Index = p.index + 1
	p.fold(r)
	p.out.Records = append(p.out.Records, r)
	for _, id := range r.Consumed {
		p.acknowledge(id)
		p.noteBlocked(id.Source)
	}
	for _, id := range r.Acked {
		p.pump(id.Destination)
	}
	for _, m := range r.Outbox {
		p.pump(m.ID.Destination)
	}
}

// acknowledge tells a sender that its message is consumed.
func (p *Partition) acknowledge(id msg.MessageID) {
	if id.Source != p.config.Partition {
		p.out.Effects = append(p.out.Effects, msg.Effect{Kind: msg.EffectAck, Ack: id})
	}
}

// pump hands over what the window of a channel allows.
func (p *Partition) pump(destination msg.Partition) {
	box := &p.outboxes[destination]
	box.settle()
	for m := box.deliverable(); m != nil; m = box.deliverable() {
		p.out.Effects = append(p.out.Effects, msg.Effect{Kind: msg.EffectDeliver, Message: m})
	}
}

// reply tells everybody who waits an answer, once the index is durable.
func (p *Partition) reply(list []waiting, index msg.Index, r msg.Reply) {
	for _, w := range list {
		p.answer(w.waiter, index, r)
		if len(p.attached) > 0 {
			delete(p.attached, w.request)
		}
	}
}

// answer tells one waiter an answer, once the index is durable.
func (p *Partition) answer(w msg.Waiter, index msg.Index, r msg.Reply) {
	p.out.Effects = append(p.out.Effects, msg.Effect{Kind: msg.EffectReply, Index: index, Reply: r, Waiter: w})
}

// instance returns the instance of a ref, made if it is new. A step asks for
// the same one several times.
func (p *Partition) instance(ref msg.Ref) *instance {
	if i := p.find(ref); i != nil {
		return i
	}
	i := p.newInstance(ref)
	p.instances[i.ref] = i
	p.order.Set(i)
	p.recent = i
	return i
}

// newInstance makes an instance that nobody finds. Its names are its own: those
// of a request may be part of something larger.
func (p *Partition) newInstance(ref msg.Ref) *instance {
	i := &instance{ref: ref, kind: p.kinds[ref.Kind]}
	if i.ref.Key = strings.Clone(ref.Key); i.kind != nil {
		i.ref.Kind = i.kind.Name
	}
	return i
}

// find returns the instance of a ref, or nil.
func (p *Partition) find(ref msg.Ref) *instance {
	if p.recent != nil && p.recent.ref == ref {
		return p.recent
	}
	i := p.instances[ref]
	if i != nil {
		p.recent = i
	}
	return i
}

// newLive gives the volatile side of an instance.
func (p *Partition) newLive() *live {
	last := len(p.spareLives) - 1
	if last < 0 {
		return new(live)
	}
	l := p.spareLives[last]
	p.spareLives = p.spareLives[:last]
	return l
}

// keepLive takes one that is not needed any more for another instance.
func (p *Partition) keepLive(l *live) {
	if len(p.spareLives) < spareMax {
		*l = live{queue: fifo.Emptied(l.queue)}
		p.spareLives = append(p.spareLives, l)
	}
}

// release lets go of the volatile side of an instance that is idle, and of an
// instance that never came to be. How often an instance has failed is kept with
// it, unless it has no state that could be the reason.
func (p *Partition) release(i *instance) {
	if i.live != nil {
		if !i.live.idle() || i.live.faults > 0 && i.index > 0 {
			return
		}
		p.keepLive(i.live)
		i.live = nil
	}
	if i.index == 0 {
		p.drop(i)
	}
}

// seen is what an answer depends on that has looked at an instance. That there
// is none may be the doing of the newest record.
func (p *Partition) seen(i *instance) msg.Index {
	if i == nil || i.index == 0 {
		return p.index
	}
	return i.index
}

func (p *Partition) drop(i *instance) {
	if p.recent == i {
		p.recent = nil
	}
	delete(p.instances, i.ref)
	p.order.Delete(i)
}

// place says which partition an entity belongs to.
func (p *Partition) place(ref msg.Ref, affinity string) msg.Partition {
	if k := p.kinds[ref.Kind]; k != nil {
		affinity = k.Affinity
	}
	return msg.PartitionOf(ref, affinity, p.config.Partitions)
}

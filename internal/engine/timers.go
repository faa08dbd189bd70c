package engine

import (
	"encoding/binary"
	"time"

	"github.com/tidwall/btree"

	"github.com/holdfast-io/holdfast/internal/invariant"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// timer is something that is to happen at a time. Timers are volatile: they are
// derived from what is durable.
type timer struct {
	due   msg.Time
	order uint64 // of arming, for those that are due at once
	fire  func(p *Partition)
}

// timers is the set of what is to happen, in order.
type timers struct {
	set   *btree.BTreeG[*timer]
	order uint64
}

func newTimers() timers {
	less := func(a, b *timer) bool {
		if a.due != b.due {
			return a.due < b.due
		}
		return a.order < b.order
	}
	return timers{set: btree.NewBTreeGOptions(less, btree.Options{NoLocks: true})}
}

func (t *timers) arm(due msg.Time, fire func(*Partition)) *timer {
	t.order++
	entry := &timer{due: due, order: t.order, fire: fire}
	t.set.Set(entry)
	return entry
}

// disarm takes a timer back; nil is no timer.
func (t *timers) disarm(entry *timer) {
	if entry != nil {
		t.set.Delete(entry)
	}
}

// next is when the first timer is due; 0 if there is none.
func (t *timers) next() msg.Time {
	if first, ok := t.set.Min(); ok {
		return first.due
	}
	return 0
}

// pop takes the first timer that is due.
func (t *timers) pop(now msg.Time) *timer {
	first, ok := t.set.Min()
	if !ok || first.due > now {
		return nil
	}
	t.set.PopMin()
	return first
}

// tickBatch is how many timers one tick fires: what fell due while nothing ran
// is admitted in portions, and other commands come between them.
const tickBatch = 64

// stepTick fires what is due, accepts what has waited long, and writes down
// acknowledgements that found no record to ride on.
func (p *Partition) stepTick(*msg.Command) {
	for count := 0; count < tickBatch && p.backlog < backlogMax && p.wakeNext(); count++ {
	}
	for count := 0; count < tickBatch && p.backlog < backlogMax; count++ {
		t := p.timers.pop(p.now)
		if t == nil {
			break
		}
		t.fire(p)
	}
	p.acceptWaiting()
	if len(p.acks) > 0 && p.now >= p.ackDue {
		p.commit(p.record(msg.RecordAck))
	}
}

// atOnce is a time that has always passed.
const atOnce msg.Time = 1

// NextDue is when the partition wants a CommandTick; 0 for never.
func (p *Partition) NextDue() (due msg.Time) {
	switch full := p.backlog >= backlogMax; {
	case len(p.blocked) > 0 || p.asleep.Len() > 0 && !full:
		return atOnce
	case !full: // otherwise the end of a run is waited for
		due = p.timers.next()
	}
	if len(p.acks) > 0 {
		due = earlier(due, p.ackDue)
	}
	if p.aging.first != nil {
		due = earlier(due, p.agedAt(p.aging.first))
	}
	return due
}

func earlier(a, b msg.Time) msg.Time {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// armReminder sets the timer of a reminder.
func (p *Partition) armReminder(i *instance, r *reminder) {
	due := r.Due
	if invariant.Mutated(invariant.EarlyFire) {
		due -= due % msg.Time(time.Second)
	}
	r.timer = p.timers.arm(due, func(p *Partition) { p.fireReminder(i, r) })
}

// fireReminder puts the reminder's message into the queue of its instance. The
// record that consumes the message takes the reminder away, or sets its next
// time: until then, a crash makes it due again.
func (p *Partition) fireReminder(i *instance, r *reminder) {
	r.timer = nil
	if i.reminder(r.Name) != r || r.queued {
		return
	}
	r.queued = true
	id := msg.FingerprintOf([]byte("reminder"), []byte(i.ref.Namespace), []byte(i.ref.Kind), []byte(i.ref.Key), []byte(r.Name), timeBytes(r.Due))
	invocation := msg.InvocationID(id)
	binary.BigEndian.PutUint16(invocation[:], uint16(p.config.Partition))
	m := &msg.Message{
		Kind: msg.MessageTimer, Target: i.ref, Handler: r.Handler, Payload: r.Payload,
		Invocation: invocation, Reminder: r.Name, NotBefore: r.Due,
	}
	p.enqueue(p.newInput(m))
	if invariant.Mutated(invariant.DoubleFire) {
		p.enqueue(p.newInput(m))
	}
}

// armDelayed sets the timer of an accepted message that is not due yet.
func (p *Partition) armDelayed(a *accepted) {
	p.timers.arm(a.message.NotBefore, func(p *Partition) { p.enqueue(p.acceptedInput(a)) })
}

// armTTL makes sure that an entity with a TTL is looked at when it may be over.
func (p *Partition) armTTL(i *instance) {
	if w := i.workflow(); w != nil {
		p.armRetention(i, w)
		return
	}
	if i.kind == nil || i.kind.IdleTTL <= 0 || !i.exists || i.own().ttl != nil {
		return
	}
	p.armTTLAt(i, i.touched+msg.Time(i.kind.IdleTTL))
}

func (p *Partition) armTTLAt(i *instance, due msg.Time) {
	i.owned.ttl = p.timers.arm(due, func(p *Partition) {
		i.owned.ttl = nil
		p.expire(i)
	})
}

// expire deletes an entity whose TTL is over; one that was touched meanwhile,
// or has work to do, is looked at again later.
func (p *Partition) expire(i *instance) {
	switch last := max(i.touched, i.owned.used); {
	case !i.exists:
	case last+msg.Time(i.kind.IdleTTL) > p.now:
		p.armTTLAt(i, last+msg.Time(i.kind.IdleTTL))
	case i.owned.asleep || i.live != nil && (i.live.running != nil || i.live.waiting() > 0) || len(p.fence(i).holders) > 0 || i.prepared() != nil:
		p.armTTLAt(i, p.now+msg.Time(i.kind.IdleTTL))
	default:
		r := p.recordOf(i)
		r.Changes = append(r.Changes, msg.Change{Kind: msg.ChangeDelete})
		p.commit(r)
		p.release(i)
	}
}

// armRetention makes sure that a workflow that has ended is forgotten in time.
func (p *Partition) armRetention(i *instance, w *msg.Workflow) {
	if !w.Status.Ended() || i.owned.ttl != nil || w.Tombstone {
		return
	}
	retention := p.config.Limits.WorkflowRetention
	if i.kind != nil && i.kind.Retention > 0 {
		retention = i.kind.Retention
	}
	i.owned.ttl = p.timers.arm(w.EndedAt+msg.Time(retention), func(p *Partition) {
		i.owned.ttl = nil
		if now := i.workflow(); now != w {
			p.armTTL(i) // it has begun again since
			return
		}
		p.forgetWorkflow(i)
	})
}

// forgetWorkflow deletes a workflow whose retention is over, or all of it but
// that it was there.
func (p *Partition) forgetWorkflow(i *instance) {
	r := p.recordOf(i)
	if w := i.workflow(); i.kind != nil && i.kind.Tombstones {
		r.Changes = append(r.Changes, msg.Change{Kind: msg.ChangeClear, Field: msg.JournalField})
		r.Workflow = &msg.Workflow{Run: w.Run, Status: w.Status, Input: w.Input, CodeVersion: w.CodeVersion,
			StartedAt: w.StartedAt, EndedAt: w.EndedAt, Tombstone: true}
	} else {
		r.Changes = append(r.Changes, msg.Change{Kind: msg.ChangeDelete})
	}
	p.commit(r)
	p.release(i)
}

// use notes a turn that may have written nothing. It counts for the TTL until
// the process ends.
func (i *instance) use(now msg.Time) {
	if i.owned != nil {
		i.owned.used = now
	}
}

func timeBytes(t msg.Time) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(t))
}

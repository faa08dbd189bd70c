package engine

import (
	"slices"

	"github.com/holdfast-io/holdfast/internal/invariant"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// This file takes a message through the keys that it visits in order: a request
// for locks, and an event. It waits in the queue of each. From one key to
// the next of the same partition it goes without being sent; it is consumed when it leaves
// the partition, so after a crash it visits the keys there once more, and finds
// what it has done.

// visits says that a message visits keys, in queues.
func visits(m *msg.Message) bool {
	return m.Kind == msg.MessageLockRequest || m.Kind == msg.MessageEventPrepare
}

// placeOf is the place of a key on the way of a message.
func placeOf(m *msg.Message, ref msg.Ref) int {
	return slices.IndexFunc(m.Keys, func(k msg.LockKey) bool { return k.Ref == ref })
}

// isHere says that a key on the way of a message is there, and in this
// partition.
func (p *Partition) isHere(m *msg.Message, place int) bool {
	return place >= 0 && place < len(m.Keys) && p.place(m.Keys[place].Ref, "") == p.config.Partition
}

// inOrder sorts the keys of a way, and leaves out those that are twice: whoever
// wants one alone has it alone.
func (p *Partition) inOrder(keys []msg.LockKey) []msg.LockKey {
	order := 1
	if invariant.Mutated(invariant.UnsortedLocks) && len(keys) > 0 && p.compareKeys(keys[0].Ref, keys[len(keys)-1].Ref) > 0 {
		order = -1
	}
	slices.SortFunc(keys, func(a, b msg.LockKey) int { return order * p.compareKeys(a.Ref, b.Ref) })
	way := keys[:0]
	for _, k := range keys {
		if last := len(way) - 1; last >= 0 && way[last].Ref == k.Ref {
			way[last].Shared = way[last].Shared && k.Shared
			continue
		}
		way = append(way, k)
	}
	return way
}

// compareKeys is the one order in which keys are visited: by partition, space
// and key; then by kind, for instances of one space.
func (p *Partition) compareKeys(a, b msg.Ref) int {
	if c := int(p.place(a, "")) - int(p.place(b, "")); c != 0 {
		return c
	}
	if c := p.space(a).Compare(p.space(b)); c != 0 {
		return c
	}
	return a.Compare(b)
}

// goOn takes a message that has visited a key to the next one. The record says
// what has been decided at this key.
func (p *Partition) goOn(r *msg.Record, in *input) {
	m, next := in.message, placeOf(in.message, in.target.ref)+1
	if p.isHere(m, next) {
		if in.recorded {
			r.Attempts = append(r.Attempts, msg.AttemptCount{Input: p.fingerprint(in)})
		}
		if !empty(r) {
			p.commit(r)
		}
		in.attempts, in.recorded = 0, false
		p.aim(in, m.Keys[next].Ref)
		p.enqueue(in)
		return
	}
	r = p.leave(r, in)
	switch {
	case next < len(m.Keys):
		p.forward(r, m, next)
	case m.Kind == msg.MessageEventPrepare:
		p.passBack(r, m, msg.MessageEventCommit, next-1, nil)
	default:
		p.sendReply(r, m.Sender, &m.ReplyTo, &msg.Answer{}, m.Traceparent)
	}
	p.commit(r)
}

// aim gives an input its instance, and the handler that runs there.
func (p *Partition) aim(in *input, ref msg.Ref) {
	in.target, in.handler = p.instance(ref), nil
	switch {
	case forWorkflow(in.message): // it begins no workflow
	case in.message.Kind != msg.MessageEventPrepare && in.target.kind != nil:
		in.handler = in.target.kind.handlers[in.message.Handler]
	case in.message.Kind == msg.MessageEventPrepare && p.events[in.message.Handler] != nil:
		in.handler = p.events[in.message.Handler].handlers[ref.Kind]
	}
}

// recordOf begins the record of a step at an instance.
func (p *Partition) recordOf(i *instance) *msg.Record {
	r := p.record(msg.RecordStep)
	r.Instance = i.ref
	return r
}

// leave consumes a message that leaves the partition: in the record of the last
// key here, unless it is in the inbox of another.
func (p *Partition) leave(r *msg.Record, in *input) *msg.Record {
	if in.inbox > 0 && in.message.Target != in.target.ref {
		if !empty(r) {
			p.commit(r)
			r = p.record(msg.RecordStep)
		}
		r.Instance = in.message.Target
	}
	p.consume(r, in, &msg.Outcome{})
	return r
}

// forward sends a message about keys to the partition of one of them.
func (p *Partition) forward(r *msg.Record, m *msg.Message, place int) {
	next := *m
	next.ID, next.Target, next.NotBefore = msg.MessageID{}, m.Keys[place].Ref, 0
	p.send(r, &next, p.place(next.Target, ""))
}

// awaitDeadline ends a visit that waits too long.
func (p *Partition) awaitDeadline(in *input) {
	if in.message.Deadline == 0 || in.timer != nil || !visits(in.message) {
		return
	}
	in.timer = p.timers.arm(in.message.Deadline+1, func(p *Partition) {
		in.timer = nil
		l := in.target.live
		if in.settled || l == nil {
			return
		}
		for n := range l.queue.Len() {
			if *l.queue.At(n) == in {
				p.failVisit(p.take(in.target, n), tooLate(in))
				p.unfence(p.space(in.target.ref))
				return
			}
		}
	})
}

func tooLate(in *input) *msg.Error {
	return msg.Errorf(msg.CodeDeadlineExceeded, msg.ClassUnavailable, "the deadline passed before it was the turn of %s", in.target.ref)
}

// failVisit consumes a message that does not visit the rest of its keys. A run
// keeps the locks that it has until it ends; an event is dropped where it is
// prepared.
func (p *Partition) failVisit(in *input, err *msg.Error) {
	m := in.message
	r := p.record(msg.RecordStep)
	r.Instance = m.Target
	p.consume(r, in, &msg.Outcome{})
	if m.Kind == msg.MessageEventPrepare {
		p.passBack(r, m, msg.MessageEventAbort, placeOf(m, in.target.ref)-1, err)
	} else {
		p.sendReply(r, m.Sender, &m.ReplyTo, &msg.Answer{Err: err}, m.Traceparent)
	}
	p.commit(r)
}

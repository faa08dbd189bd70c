package engine

import (
	"github.com/holdfast-io/holdfast/internal/invariant"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// stepDeliver takes a message from another partition, or from this one. It may
// come any number of times, and before others of its channel.
func (p *Partition) stepDeliver(c *msg.Command) {
	m := c.Message
	if m.ID.Destination != p.config.Partition {
		invariant.Check(false, "message to partition %d came to %d", m.ID.Destination, p.config.Partition)
	}
	channel, inlet := &p.consumed[m.ID.Source], &p.inlets[m.ID.Source]
	switch n := m.ID.Number; {
	case channel.has(n) && invariant.Mutated(invariant.SkipDeduplication):
		p.arrive(m)
	case channel.has(n):
		p.acknowledge(m.ID)
	case n <= inlet.arrived || !channel.inWindow(n):
		// It waits here already, or its sender has it until there is room.
	case n > inlet.arrived+1:
		inlet.hold(m)
	default:
		for ; m != nil; m = inlet.next() {
			inlet.arrived++
			p.arrive(m)
			inlet.settle(channel)
		}
	}
}

// arrive takes a message whose turn it is.
func (p *Partition) arrive(m *msg.Message) {
	switch {
	case m.Kind == msg.MessageReply && !m.ReplyTo.Workflow():
		p.takeReply(m)
	case m.Kind == msg.MessageLockRelease:
		p.takeRelease(m)
	case m.Kind == msg.MessageEventCommit || m.Kind == msg.MessageEventAbort:
		p.takeDecision(m)
	case m.NotBefore > p.now:
		p.accept(m)
	default:
		in := p.newInput(m)
		p.aging.push(in)
		p.enqueue(in)
	}
}

// accept makes a message durable here before it can run.
func (p *Partition) accept(m *msg.Message) {
	r := p.record(msg.RecordAccept)
	r.Consumed = append(r.Consumed, m.ID)
	r.Accepted = m
	p.commit(r)
	p.takeUp(p.lastAccepted(r))
}

// takeReply settles an obligation of this partition.
func (p *Partition) takeReply(m *msg.Message) {
	r := p.record(msg.RecordStep)
	r.Consumed = append(r.Consumed, m.ID)
	id := m.ReplyTo.Invocation
	answer := msg.Answer{Invocation: id, Status: msg.StatusCompleted, Payload: m.Payload, Err: m.Err}
	if m.Err != nil {
		answer.Status = msg.StatusFailed
	}
	if known := p.answers.byInvocation[id]; known != nil && known.pending() {
		r.Answers = append(r.Answers, ended(known, answer))
	}
	p.commit(r)
	p.answered(id, r.Index, replyOf(&answer))
}

// answered tells everybody who waits for an obligation.
func (p *Partition) answered(id msg.InvocationID, index msg.Index, reply msg.Reply) {
	if list := p.waiters[id]; list != nil {
		p.reply(list, index, reply)
		delete(p.waiters, id)
	}
}

// ended completes a pending entry, keeping how it can be found.
func ended(known *answer, a msg.Answer) msg.Answer {
	a.Session, a.SessionNumber = known.Session, known.SessionNumber
	a.Idempotency, a.Body, a.Submitted = known.Idempotency, known.Body, known.Submitted
	return a
}

// stepAck hears that a message of this partition is consumed. It leaves the
// outbox with the next record.
func (p *Partition) stepAck(c *msg.Command) {
	if c.Ack.Source != p.config.Partition {
		invariant.Check(false, "acknowledgement of partition %d came to %d", c.Ack.Source, p.config.Partition)
	}
	if !p.outboxes[c.Ack.Destination].has(c.Ack.Number) {
		return // it is not the first
	}
	if len(p.acks) == 0 {
		p.ackDue = p.now + msg.Time(p.config.Limits.AckAfter)
	}
	p.acks = append(p.acks, c.Ack)
	if len(p.acks) >= gapsMax || invariant.Sometimes(invariant.AckAlone) {
		p.commit(p.record(msg.RecordAck))
	}
}

// agingList holds the inputs that are only in their senders' outboxes, oldest
// first. Those of one channel are in the order of their numbers.
type agingList struct{ first, last *input }

func (l *agingList) push(in *input) {
	in.aging = true
	if in.older = l.last; in.older == nil {
		l.first = in
	} else {
		in.older.younger = in
	}
	l.last = in
}

// remove takes an input out; one that is not in the list stays out.
func (l *agingList) remove(in *input) {
	if !in.aging {
		return
	}
	if in.older == nil {
		l.first = in.younger
	} else {
		in.older.younger = in.younger
	}
	if in.younger == nil {
		l.last = in.older
	} else {
		in.younger.older = in.older
	}
	in.older, in.younger, in.aging = nil, nil, false
}

// oldestOf finds the oldest input of a channel, which has the lowest number; nil if
// none waits.
func (l *agingList) oldestOf(source msg.Partition) *input {
	in := l.first
	for in != nil && in.message.ID.Source != source {
		in = in.younger
	}
	return in
}

// acceptBytesMax bounds what one tick accepts, and so the room that its records
// need in the open buffer.
const acceptBytesMax = 1 << 20

// acceptWaiting accepts messages so that their senders may forget them: those
// that keep a low mark down while consumption runs ahead of it, and those that
// have waited long at their keys.
func (p *Partition) acceptWaiting() {
	room := acceptBytesMax
	for room > 0 && len(p.blocked) > 0 {
		source := p.blocked[len(p.blocked)-1]
		if in := p.aging.oldestOf(source); in != nil && p.consumed[source].blocked() > 0 {
			p.acceptInput(in, &room)
			continue // if none waits, it has not come again since a crash
		}
		p.blocked = p.blocked[:len(p.blocked)-1]
		p.inlets[source].blocked = false
	}
	for count := 0; room > 0 && count < tickBatch && p.aging.first != nil && p.agedAt(p.aging.first) <= p.now; count++ {
		p.acceptInput(p.aging.first, &room)
	}
}

// noteBlocked remembers that the low mark of a channel is kept down by a
// message that waits here. The next tick accepts it.
func (p *Partition) noteBlocked(source msg.Partition) {
	if inlet := &p.inlets[source]; !inlet.blocked && p.consumed[source].blocked() > 0 {
		inlet.blocked = true
		p.blocked = append(p.blocked, source)
	}
}

// acceptInput makes an input durable here that waits or runs.
func (p *Partition) acceptInput(in *input, room *int) {
	p.aging.remove(in)
	*room -= messageBytes(in.message)
	in.inbox = p.index + 1
	r := p.record(msg.RecordAccept)
	r.Accepted = in.message
	r.Consumed = append(r.Consumed, in.message.ID)
	p.commit(r)
}

func (p *Partition) agedAt(in *input) msg.Time {
	if invariant.Sometimes(invariant.AcceptAtOnce) {
		return in.arrived
	}
	return in.arrived + msg.Time(p.config.Limits.AcceptAfter)
}

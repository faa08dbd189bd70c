package engine

import (
	"github.com/holdfast-io/holdfast/internal/invariant"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// stepDeliver takes a message from another partition, or from this one. It may
// come any number of times.
func (p *Partition) stepDeliver(c *msg.Command) {
	m := c.Message
	channel := &p.consumed[m.ID.Source]
	switch {
	case channel.has(m.ID.Number):
		p.acknowledge(m.ID)
	case p.waiting[m.ID.Source][m.ID.Number] != nil || !channel.inWindow(m.ID.Number):
		// It waits here already, or its sender has it until there is room.
	case m.Kind == msg.MessageReply:
		p.takeReply(m)
	case m.NotBefore > p.now:
		p.accept(m)
	default:
		in := p.newInput(m)
		p.await(in)
		p.enqueue(in)
	}
}

// await remembers a message that waits here and is only in its sender's outbox.
func (p *Partition) await(in *input) {
	source := in.message.ID.Source
	if p.waiting[source] == nil {
		p.waiting[source] = map[msg.Number]*input{}
	}
	p.waiting[source][in.message.ID.Number] = in
	p.dropSettled()
	p.aging.push(in)
}

// accept makes a message durable here before it can run.
func (p *Partition) accept(m *msg.Message) {
	r := p.record(msg.RecordAccept)
	r.Consumed = []msg.MessageID{m.ID}
	r.Accepted = m
	p.commit(r)
	p.enqueueOrArm(p.lastAccepted(r))
}

// takeReply settles an obligation of this partition.
func (p *Partition) takeReply(m *msg.Message) {
	r := p.record(msg.RecordStep)
	r.Instance = m.Sender
	r.Consumed = []msg.MessageID{m.ID}
	id := m.ReplyTo.Invocation
	answer := msg.Answer{Invocation: id, Status: msg.StatusCompleted, Payload: m.Payload, Err: m.Err}
	if m.Err != nil {
		answer.Status = msg.StatusFailed
	}
	if known := p.answers.byInvocation[id]; known != nil && known.pending() {
		r.Answers = []msg.Answer{ended(known, answer)}
	}
	r.Instance = msg.Ref{}
	p.commit(r)
	p.answered(id, r.Index, replyOf(&answer))
}

// answered tells everybody who waits for an obligation.
func (p *Partition) answered(id msg.InvocationID, index msg.Index, reply msg.Reply) {
	p.reply(p.waiters[id], index, reply)
	delete(p.waiters, id)
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
	invariant.Check(c.Ack.Source == p.config.Partition, "acknowledgement of partition %d came to %d", c.Ack.Source, p.config.Partition)
	if len(p.acks) == 0 {
		p.ackDue = p.now + msg.Time(p.config.Limits.AckAfter)
	}
	p.acks = append(p.acks, c.Ack)
	if len(p.acks) >= gapsMax {
		p.commit(p.record(msg.RecordAck))
	}
}

// acceptBlocked adds to a record the acceptance of the message that keeps a
// low mark down, if consumption has run far enough ahead of it.
func (p *Partition) acceptBlocked(r *msg.Record) {
	if r.Accepted != nil {
		return
	}
	for _, id := range r.Consumed {
		blocked := p.consumed[id.Source].blocked()
		if blocked == 0 || blocked == id.Number {
			continue
		}
		if in := p.waiting[id.Source][blocked]; in != nil {
			p.acceptWith(r, in)
			return
		}
	}
}

// acceptWith accepts a message that waits here in a record.
func (p *Partition) acceptWith(r *msg.Record, in *input) {
	r.Accepted = in.message
	r.Consumed = append(r.Consumed, in.message.ID)
	in.inbox = p.index + 1
}

// acceptAged accepts the oldest message that has waited long at its key, so
// that its sender may forget it.
func (p *Partition) acceptAged() {
	for range tickBatch {
		p.dropSettled()
		if p.aging.len() == 0 || p.agedAt(*p.aging.at(0)) > p.now {
			return
		}
		r := p.record(msg.RecordAccept)
		p.acceptWith(r, p.aging.pop())
		p.commit(r)
	}
}

func (p *Partition) agedAt(in *input) msg.Time {
	return in.arrived + msg.Time(p.config.Limits.AcceptAfter)
}

// dropSettled takes from the front of aging what no longer waits there.
func (p *Partition) dropSettled() {
	for p.aging.len() > 0 {
		if first := *p.aging.at(0); !first.settled && first.inbox == 0 {
			return
		}
		p.aging.pop()
	}
}

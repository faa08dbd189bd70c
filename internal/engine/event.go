package engine

import (
	"slices"
	"time"

	"github.com/holdfast-io/holdfast/internal/invariant"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// This file applies events: to every instance that one names, or to none. A
// message prepares it at each in turn, in the one order in which keys are
// visited, so two events that meet at two keys meet at both in the same order.
// What a handler comes to is kept unseen, and nothing begins there. The last
// instance decides: what its handler comes to is applied at once, and from there
// the decision goes back the way that the message came. Who raised the event
// hears of it when it has reached the first, and so all.

// eventPatience is how long an event may take to be prepared if who raised it
// does not say: nobody should wait longer for a key because of it.
const eventPatience = msg.Time(time.Minute)

// event is an event that is served.
type event struct {
	msg.Event
	handlers map[string]*handler // by kind that takes it
}

func newEvent(e msg.Event) *event {
	served := &event{Event: e, handlers: map[string]*handler{}}
	for _, s := range e.Subscribers {
		served.handlers[s.Kind] = &handler{msg.Handler{Name: e.Name, Mode: msg.ModeEvent, Creates: s.Creates}}
	}
	return served
}

// subscribers are the instances that an event touches: those that take it at
// each key that was named.
func (p *Partition) subscribers(name string, refs []msg.Ref) ([]msg.LockKey, *msg.Error) {
	e := p.events[name]
	if e == nil {
		return nil, msg.Errorf(msg.CodeNotFound, msg.ClassNotFound, "nothing serves event %s", name)
	}
	var keys []msg.LockKey
	for _, ref := range refs {
		space := p.space(ref)
		for _, s := range e.Subscribers {
			touched := msg.Ref{Namespace: ref.Namespace, Kind: s.Kind, Key: ref.Key}
			if p.space(touched) == space {
				keys = append(keys, msg.LockKey{Ref: touched})
			}
		}
	}
	if keys = p.inOrder(keys); len(keys) > msg.KeysMax {
		return nil, msg.Errorf(msg.CodeResourceExhausted, msg.ClassExhausted,
			"event %s touches %d entities, the limit is %d", name, len(keys), msg.KeysMax)
	}
	return keys, nil
}

// direct says where a message goes that a program hands over. One that goes
// nowhere is an event that touches nothing, or that cannot be raised.
func (p *Partition) direct(m *msg.Message, out *msg.Outgoing) (to msg.Partition, ok bool, err *msg.Error) {
	if m.Kind != msg.MessageEventPrepare {
		return p.place(out.Target, out.Affinity), true, nil
	}
	if m.Keys, err = p.subscribers(m.Handler, out.Refs); err != nil || len(m.Keys) == 0 {
		return 0, false, err
	}
	m.Target = m.Keys[0].Ref
	if m.Deadline == 0 {
		m.Deadline = max(p.now, m.NotBefore) + eventPatience
	}
	return p.place(m.Target, ""), true, nil
}

// post sends a message that a program hands over. Who waits for an event that
// touches nothing is answered at once.
func (p *Partition) post(r *msg.Record, m *msg.Message, out *msg.Outgoing) {
	to, ok, err := p.direct(m, out)
	switch {
	case ok:
		p.send(r, m, to)
	case !m.ReplyTo.IsZero():
		p.sendReply(r, m.Sender, &m.ReplyTo, &msg.Answer{Err: err}, m.Traceparent)
	}
}

// refuseRaise says that an event which nobody waits for cannot be raised; nil: it
// can.
func (p *Partition) refuseRaise(sends []msg.Outgoing) *msg.Error {
	for n := range sends {
		if sends[n].Kind != msg.MessageEventPrepare || sends[n].Step > 0 {
			continue
		}
		if _, err := p.subscribers(sends[n].Handler, sends[n].Refs); err != nil {
			return err
		}
	}
	return nil
}

// prepared is what an event comes to here that is not decided; nil: there is
// none.
func (i *instance) prepared() *msg.Prepared {
	if i.owned == nil {
		return nil
	}
	return i.owned.prepared
}

// isPrepared says that the event of a message is prepared at an instance.
func isPrepared(i *instance, m *msg.Message) bool {
	return i.prepared() != nil && i.prepared().Event == m.Invocation && m.Kind == msg.MessageEventPrepare
}

// isPreparedBeside says that the event of a message is prepared at the same key.
func (p *Partition) isPreparedBeside(in *input) (found bool) {
	if in.message.Kind == msg.MessageEventPrepare {
		p.beside(p.space(in.target.ref), func(i *instance) { found = found || isPrepared(i, in.message) })
	}
	return found
}

// prepare begins the handler of an event whose turn it is.
func (p *Partition) prepare(in *input) {
	m, i := in.message, in.target
	switch {
	case i.prepared() != nil: // before a crash
		p.goOn(p.recordOf(i), in)
	case m.Deadline > 0 && p.now > m.Deadline:
		p.failVisit(in, tooLate(in))
	case in.attempts >= p.config.Limits.AttemptsMax:
		p.failVisit(in, msg.Errorf(msg.CodeQuarantined, msg.ClassFailed, "the process ended in each of %d attempts of %s to take event %s",
			in.attempts, i.ref, m.Handler))
	case in.handler == nil || i.kind == nil:
		p.faultEvent(in, "event "+m.Handler+" is not served for kind "+i.ref.Kind)
	case !i.exists && (i.kind.Initialised || i.kind.Strict && !in.handler.Creates):
		p.failVisit(in, notCreated(i.ref))
	default:
		p.run(in)
	}
}

// concludeEvent takes what the handler of an event came to.
func (p *Partition) concludeEvent(in *input, o *msg.Outcome) {
	if o.Fault != "" {
		p.faultEvent(in, o.Fault)
		return
	}
	in.target.live.faults = 0
	err := o.Err
	if err == nil {
		err = p.refusal(in.target, o)
	}
	switch {
	case o.Panicked:
		p.stats.Panics++
		p.failVisit(in, o.Err)
	case err != nil:
		p.stats.Outcomes++
		p.failVisit(in, err)
	default:
		p.keepEvent(in, o)
	}
}

// keepEvent applies what the last handler came to, and keeps that of the others.
func (p *Partition) keepEvent(in *input, o *msg.Outcome) {
	m, i := in.message, in.target
	r := p.recordOf(i)
	held := p.preparation(in, o)
	if place := placeOf(m, i.ref); place == len(m.Keys)-1 && (in.inbox == 0 || m.Target == i.ref) {
		p.consume(r, in, o)
		p.applyPrepared(r, held)
		p.passBack(r, m, msg.MessageEventCommit, place-1, nil)
		p.commit(r)
		p.offer(i)
		return
	}
	r.Prepared = held
	p.goOn(r, in)
}

// preparation is what a handler of an event came to.
func (p *Partition) preparation(in *input, o *msg.Outcome) *msg.Prepared {
	var r msg.Record
	p.keepChanges(&r, in.target, o)
	held := &msg.Prepared{Event: in.message.Invocation, Changes: r.Changes, Remind: r.Remind, Forget: r.Forget, Tasks: o.Tasks}
	for n := range o.Sends {
		m := messageTo(in.target.ref, &o.Sends[n], kindOf(&o.Sends[n]), msg.ReplyTo{}, in.message.Traceparent)
		if to, ok, _ := p.direct(m, &o.Sends[n]); ok {
			m.ID = msg.MessageID{Source: p.config.Partition, Destination: to}
			held.Sends = append(held.Sends, m)
		}
	}
	return held
}

// applyPrepared writes into a record what an event comes to at its instance.
func (p *Partition) applyPrepared(r *msg.Record, held *msg.Prepared) {
	r.Changes, r.Remind, r.Forget = append(r.Changes, held.Changes...), held.Remind, held.Forget
	for _, m := range held.Sends {
		sent := *m
		p.send(r, &sent, m.ID.Destination)
	}
	p.addOwnTasks(r, slices.Clone(held.Tasks))
}

// faultEvent deals with an attempt that came to nothing. It is tried again as
// that of any input; but no instance is parked on an event, which others wait
// for that have prepared it.
func (p *Partition) faultEvent(in *input, reason string) {
	l := in.target.live
	p.stats.Faults++
	if l.faults++; l.faults >= p.config.Limits.AttemptsMax || in.message.Deadline > 0 && p.now > in.message.Deadline {
		l.faults = 0
		p.failVisit(in, msg.Errorf(msg.CodeQuarantined, msg.ClassFailed, "event %s was given up at %s: %s",
			in.message.Handler, in.target.ref, reason))
		return
	}
	in.attempts = 0
	p.putBack(in)
	p.retry(in.target, l.faults)
}

// passBack sends a decision to the instance at a place; before the first is who
// raised the event.
func (p *Partition) passBack(r *msg.Record, m *msg.Message, kind msg.MessageKind, place int, err *msg.Error) {
	switch {
	case place >= 0:
		decision := &msg.Message{Kind: kind, Sender: r.Instance, Handler: m.Handler, Keys: m.Keys, Err: err,
			Invocation: m.Invocation, ReplyTo: m.ReplyTo, Traceparent: m.Traceparent}
		if err != nil && m.ReplyTo.IsZero() { // it may have to be kept
			decision.Payload, decision.Headers = m.Payload, m.Headers
		}
		p.forward(r, decision, place)
	case !m.ReplyTo.IsZero():
		p.sendReply(r, m.Keys[0].Ref, &m.ReplyTo, &msg.Answer{Err: err}, m.Traceparent)
	case err != nil && isFailure(err):
		p.buryEvent(r, m, err)
	}
}

// isFailure says that an event did not come to a decision of its handlers.
func isFailure(err *msg.Error) bool {
	switch err.Code {
	case msg.CodeDeadlineExceeded, msg.CodeQuarantined, msg.CodePanic:
		return true
	}
	return false
}

// buryEvent keeps an event that was not applied and that nobody waits for.
func (p *Partition) buryEvent(r *msg.Record, m *msg.Message, err *msg.Error) {
	p.stats.DeadLettered++
	letter := msg.DeadLetter{ID: m.Invocation, Reason: err.Error(), Time: p.now, Message: *m}
	letter.Message.Kind, letter.Message.Target, letter.Message.Err = msg.MessageEventPrepare, m.Keys[0].Ref, nil
	r.DeadLetters = []msg.DeadLetter{letter}
	p.boundDeadLetters(r)
}

// takeDecision applies or drops what is prepared in this partition, and passes
// the decision on.
func (p *Partition) takeDecision(m *msg.Message) {
	for place := placeOf(m, m.Target); ; place-- {
		key := m.Keys[place].Ref
		r := p.decide(m, key)
		more := p.isHere(m, place-1)
		if !more {
			r.Consumed = append(r.Consumed, m.ID)
			p.passBack(r, m, m.Kind, place-1, m.Err)
		}
		if !empty(r) {
			p.commit(r)
		}
		if i := p.find(key); i != nil {
			p.offer(i) // its state may be another
		}
		p.unfence(p.space(key))
		if !more {
			return
		}
	}
}

// decide begins the record that applies or drops what is prepared at an
// instance.
func (p *Partition) decide(m *msg.Message, key msg.Ref) *msg.Record {
	r := p.record(msg.RecordStep)
	r.Instance = key
	i := p.find(key)
	if i == nil || i.prepared() == nil || i.prepared().Event != m.Invocation {
		return r // it was decided before a crash
	}
	r.Decided = m.Invocation
	if m.Kind == msg.MessageEventCommit || invariant.Mutated(invariant.EventWithoutAbort) {
		p.applyPrepared(r, i.prepared())
	}
	return r
}

// foldPrepared folds what a record says of an event at an instance.
func (p *Partition) foldPrepared(i *instance, r *msg.Record) {
	before := i.prepared() != nil
	if before && i.owned.prepared.Event == r.Decided {
		i.owned.prepared = nil
	}
	if r.Prepared != nil {
		i.own().prepared = r.Prepared
	}
	p.countPrepared(before, i.prepared() != nil)
}

func (p *Partition) countPrepared(before, after bool) {
	switch {
	case after && !before:
		p.prepared++
	case before && !after:
		p.prepared--
	}
}

// requestRaise raises an event from outside.
func (p *Partition) requestRaise(r *msg.Request, w msg.Waiter) {
	m := messageOf(r, nil, msg.MessageEventPrepare)
	m.Handler, m.Identity = r.Handler, msg.Identity{}
	m.ReplyTo = msg.ReplyTo{Origin: p.config.Partition, Invocation: r.Invocation}
	to, ok, err := p.direct(&m, &msg.Outgoing{Refs: r.Refs})
	if err != nil {
		p.answer(w, 0, msg.Reply{Err: err})
		return
	}
	id, body := identityOf(r, r.Handler), bodyOf(r)
	if p.repeated(r, id, body, w) || !p.admit(r, id, w) || !r.Wait && !p.admitSubmission(w) {
		return
	}
	answer := msg.Answer{Invocation: r.Invocation, Status: msg.StatusPending, Body: body, Submitted: !r.Wait}
	record := p.record(msg.RecordStep)
	if ok {
		p.send(record, &m, to)
	} else {
		answer.Status = msg.StatusCompleted
	}
	if p.remember(record, answer, id); !r.Wait && len(record.Answers) == 0 {
		record.Answers = append(record.Answers, answer)
	}
	if !empty(record) {
		p.commit(record)
	}
	if r.Wait && ok {
		p.wait(r.Invocation, r, w)
		return
	}
	p.answer(w, record.Index, msg.Reply{Invocation: r.Invocation, Status: answer.Status, Found: true})
}

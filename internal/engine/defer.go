package engine

import (
	"slices"

	"github.com/holdfast-io/holdfast/internal/invariant"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// A turn may look at its input and leave it for later. The input then waits
// aside, in the order in which such turns came, until a turn of its instance
// offers it again. That it waits aside is volatile: it is durable as what it
// is, in an inbox or as a reminder that is set, and after a start it is offered
// once more.

// setAside ends a turn that did not consume its input. What only its sender has
// is accepted first, as it may wait for long.
func (p *Partition) setAside(in *input, o *msg.Outcome) {
	i := in.target
	if err := p.refusal(i, o); err != nil {
		p.complete(in, &msg.Outcome{Err: err})
		return
	}
	if in.aging {
		room := acceptBytesMax
		p.acceptInput(in, &room)
	}
	r := p.recordOf(i)
	if in.recorded {
		r.Attempts = append(r.Attempts, msg.AttemptCount{Input: p.fingerprint(in)})
	}
	in.attempts, in.recorded = 0, false // it is not to blame for waiting
	p.keep(r, in, o)
	if !empty(r) {
		p.commit(r)
	}
	i.use(p.now)
	p.stats.Deferred++
	if in.message.Kind == msg.MessageTimer {
		p.dropCleared(i.live)
	}
	i.live.aside = append(i.live.aside, in)
	p.aside++
}

// dropCleared leaves out reminders that have been cleared or set anew: one that
// is set again and again would otherwise leave an input aside each time.
func (p *Partition) dropCleared(l *live) {
	p.aside -= len(l.aside)
	l.aside = slices.DeleteFunc(l.aside, func(in *input) bool {
		in.settled = in.message.Kind == msg.MessageTimer && !p.stillSet(in)
		return in.settled
	})
	p.aside += len(l.aside)
}

// offer puts what waits aside before everything else in the queue.
func (p *Partition) offer(i *instance) {
	l := i.live
	if l == nil || len(l.aside) == 0 {
		return
	}
	p.aside -= len(l.aside)
	p.queued += len(l.aside)
	if invariant.Mutated(invariant.ReverseDeferred) {
		slices.Reverse(l.aside)
	}
	l.queue.Prepend(l.aside)
	l.passed = 0
	l.aside = nil
}

// deadLetterStateMax bounds what a dead letter shows of a machine: state is for
// people to read, and DeadLettersMax letters of this size stay within
// DeadLetterBytesMax.
const deadLetterStateMax = 64 << 10

// bounce consumes an input that its machine has no use for: it becomes a dead
// letter together with the state that did not take it.
func (p *Partition) bounce(in *input, o *msg.Outcome) {
	err := o.Err
	if err == nil {
		err = msg.Errorf(msg.CodeFailed, msg.ClassFailed, "%s", o.DeadLetter)
	}
	reason := o.DeadLetter
	if tooMuch := p.tooMuch(in.target, errorBytes(err)+len(reason)); tooMuch != nil {
		err, reason = tooMuch, tooMuch.Message
	}
	p.toDeadLetters(in, err, reason)
}

// toDeadLetters consumes an input without anything that it caused. A message
// becomes a dead letter; whoever waits hears of it.
func (p *Partition) toDeadLetters(in *input, err *msg.Error, reason string) {
	o := &msg.Outcome{Err: err}
	r := p.recordOf(in.target)
	p.consume(r, in, o)
	if !in.external {
		p.stats.DeadLettered++
		r.DeadLetters = []msg.DeadLetter{{ID: in.message.Invocation, Message: *in.message, Reason: reason,
			Time: p.now, State: in.target.shown()}}
		p.boundDeadLetters(r)
		p.report(msg.Reply{DeadLetters: r.DeadLetters})
	}
	p.finish(r, in, o)
}

// shown is what a dead letter shows of its machine.
func (i *instance) shown() msg.Payload {
	if !i.kind.isMachine() || len(i.root.Body) > deadLetterStateMax {
		return msg.Payload{}
	}
	return i.root
}

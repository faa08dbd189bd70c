package engine

import (
	"cmp"
	"slices"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// fault deals with an attempt that consumed nothing. Who asked from outside
// hears that it may try again; everything else waits.
func (p *Partition) fault(in *input, reason string) {
	l := in.target.live
	p.stats.Faults++
	if in.mode() != msg.ModeQuery { // a query is not what a workflow is parked for
		l.faults++
	}
	var culprit *input
	if in.external {
		in.settled = true
		p.land(in)
		err := msg.Errorf(msg.CodeUnavailable, msg.ClassUnavailable, "%s: %s", in.target.ref, reason)
		p.reply(in.waiters, 0, msg.Reply{Invocation: in.message.Invocation, Err: err})
	} else {
		culprit = in
		p.putBack(in)
	}
	switch {
	case l.faults >= p.config.Limits.AttemptsMax:
		p.park(in.target, culprit, reason)
	case culprit != nil:
		in.attempts = 0 // the handler is not to blame
		p.retry(in.target, l.faults)
	}
}

// land ends that repeats of a request find it in flight.
func (p *Partition) land(in *input) {
	if in.identity != (identity{}) {
		delete(p.inflight, in.identity)
	}
}

// panicked deals with a panic that nobody is told about.
func (p *Partition) panicked(in *input, err *msg.Error) {
	if in.attempts >= p.config.Limits.AttemptsMax {
		p.giveUp(in, msg.CodePanic, err.Message)
		return
	}
	p.putBack(in)
	p.retry(in.target, in.attempts)
}

// report tells operators what has stopped.
func (p *Partition) report(r msg.Reply) {
	p.out.Effects = append(p.out.Effects, msg.Effect{Kind: msg.EffectReport, Reply: r})
}

// retry lets an instance wait before its next attempt.
func (p *Partition) retry(i *instance, attempts uint32) {
	limits := &p.config.Limits
	delay := limits.RetryDelayMax
	if shift := attempts - 1; shift < 20 {
		delay = min(delay, limits.RetryDelay<<shift)
	}
	i.live.retryAt = p.now + msg.Time(delay)
	p.startLater(i, i.live.retryAt)
}

// park stops an instance until an operator or another version of the code
// takes it up. Its queue is kept.
func (p *Partition) park(i *instance, culprit *input, reason string) {
	i.live.parked = &msg.Parked{Target: i.ref, Reason: reason, Since: p.now}
	i.live.culprit = culprit
	p.parked.Set(i.live.parked.Place(), i)
	p.report(msg.Reply{Parked: []msg.Parked{*i.live.parked}})
}

func (p *Partition) unpark(i *instance) {
	p.parked.Delete(i.live.parked.Place())
	i.live.parked, i.live.culprit, i.live.faults, i.live.retryAt = nil, nil, 0, 0
}

// giveUp consumes an input without running it again.
func (p *Partition) giveUp(in *input, code, reason string) {
	err := msg.Errorf(code, msg.ClassFailed, "%s of %s was given up after %d attempts: %s",
		in.message.Handler, in.message.Target, in.attempts, reason)
	if in.external && in.identity == (identity{}) {
		in.recorded = false // what was asked is recognised when it is asked again
	}
	p.toDeadLetters(in, err, err.Message)
}

// boundDeadLetters makes room for the dead letter of a record: the oldest go.
func (p *Partition) boundDeadLetters(r *msg.Record) {
	limits := &p.config.Limits
	count, bytes := p.deadLetters.Len()+1, p.deadLetterBytes+deadLetterBytes(&r.DeadLetters[0])
	if count <= limits.DeadLettersMax && bytes <= limits.DeadLetterBytesMax {
		return
	}
	var list []*msg.DeadLetter
	p.deadLetters.Scan(func(_ string, d *msg.DeadLetter) bool {
		list = append(list, d)
		return true
	})
	slices.SortStableFunc(list, func(a, b *msg.DeadLetter) int { return cmp.Compare(a.Time, b.Time) })
	for _, d := range list {
		if count <= limits.DeadLettersMax && bytes <= limits.DeadLetterBytesMax {
			return
		}
		if d.ID != r.DeadLetters[0].ID {
			r.Discarded = append(r.Discarded, d.ID)
		}
		count, bytes = count-1, bytes-deadLetterBytes(d)
	}
}

func deadLetterBytes(d *msg.DeadLetter) int {
	return messageBytes(&d.Message) + len(d.Reason) + len(d.State.Body)
}

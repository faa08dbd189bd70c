package engine

import (
	"encoding/binary"
	"strconv"

	"github.com/holdfast-io/holdfast/internal/invariant"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// newInput makes an input of a message, at the instance it is for. The message
// may be in the outbox of another partition and is not changed.
func (p *Partition) newInput(m *msg.Message) *input {
	in := new(input)
	p.initialiseInput(in, m)
	return in
}

func (p *Partition) initialiseInput(in *input, m *msg.Message) {
	*in = input{message: m, arrived: p.now, operation: operationOf(m)}
	p.aim(in, m.Target)
	if in.handler != nil && m.Handler != in.handler.Name {
		renamed := *m
		renamed.Handler = in.handler.Name // an alias stands for the handler
		in.message = &renamed
	}
}

// operationOf is what a message asks for.
func operationOf(m *msg.Message) msg.Operation {
	switch m.Kind {
	case msg.MessageDelete:
		return msg.OperationDelete
	case msg.MessageExists:
		return msg.OperationExists
	}
	return msg.OperationCall
}

// externalInput makes an input of a request from outside.
func (p *Partition) externalInput(r *msg.Request, h *handler) *input {
	e := &external{message: messageOf(r, h, msg.MessageCall)}
	e.message.ReplyTo = msg.ReplyTo{Origin: p.config.Partition, Invocation: r.Invocation}
	e.input = input{message: &e.message, target: p.instance(r.Target), handler: h, arrived: p.now, external: true}
	return &e.input
}

// takeUp takes up a message that has just been accepted.
func (p *Partition) takeUp(a *accepted) {
	switch i := p.find(a.message.Target); {
	case a.message.NotBefore > p.now:
		p.armDelayed(a)
	case a.message.NotBefore == 0 && i.owned.asleep:
		p.wake(i) // it is the last in the inbox
		p.start(i)
	default:
		p.enqueue(p.acceptedInput(a))
	}
}

func (p *Partition) acceptedInput(a *accepted) *input {
	in := p.newInput(a.message)
	in.inbox = a.id
	return in
}

// enqueue puts an input behind the others of its instance, also behind those in
// its inbox.
func (p *Partition) enqueue(in *input) {
	p.wake(in.target)
	p.push(in)
	p.start(in.target)
}

func (p *Partition) push(in *input) {
	p.recall(in)
	if in.target.live == nil {
		in.target.live = p.newLive()
	}
	in.target.live.queue.Push(in)
	p.arrivals++
	in.order = p.arrivals
	p.countQueued(in, 1)
	p.awaitDeadline(in)
}

// countQueued counts the inputs that wait.
func (p *Partition) countQueued(in *input, by int) {
	p.queued += by
	if in.message.Kind == msg.MessageLockRequest {
		p.requests += by
	}
}

// recall finds out how often the input began to run before the process ended.
func (p *Partition) recall(in *input) {
	if p.attempts.Len() == 0 {
		return
	}
	f := p.fingerprint(in)
	if known, ok := p.attempts.Get(string(f[:])); ok {
		in.attempts, in.recorded = known.count, true
		if p.isOver(known) {
			in.attempts = min(in.attempts, p.config.Limits.AttemptsMax-1)
		}
	}
}

// fingerprint recognises an input after a crash: by its number, its place in
// the inbox or its identity, and for a request without one by what it asks.
func (p *Partition) fingerprint(in *input) msg.Fingerprint {
	m := in.message
	switch {
	case m.ID.Number > 0:
		return fingerprintOfMessage(m.ID)
	case in.inbox > 0:
		return fingerprintOfInbox(p.config.Partition, in.inbox)
	case in.identity.number > 0:
		f := msg.Fingerprint(in.identity.id)
		binary.BigEndian.PutUint64(f[8:], binary.BigEndian.Uint64(f[8:])^in.identity.number)
		return f
	case in.identity != (identity{}):
		return in.identity.id
	case m.Kind == msg.MessageTimer:
		return msg.Fingerprint(m.Invocation)
	}
	return m.Asked()
}

// isAnonymous says that only what it asks can tell an input from others.
func isAnonymous(in *input) bool {
	return in.message.ID.Number == 0 && in.inbox == 0 && in.identity == (identity{}) && in.message.Kind != msg.MessageTimer
}

// startBatch bounds how many inputs one step settles without running them, and
// so how much it writes; one that is given up, and written down whole, is the
// last of a step.
const startBatch = 256

// start runs the next input of an instance, if it may. Inputs that need no
// handler to be settled are settled on the way.
func (p *Partition) start(i *instance) {
	for count := 0; p.mayStart(i) && !i.isWorkflow(); count++ {
		if count >= startBatch {
			p.startLater(i, p.now)
			return
		}
		in := p.next(i)
		if in == nil {
			break
		}
		if givenUp := p.begun(in); givenUp {
			count = startBatch
		}
	}
	if i.isWorkflow() {
		p.advance(i)
		return
	}
	p.release(i)
}

// mayStart says that the next input of an instance may run.
func (p *Partition) mayStart(i *instance) bool {
	l := i.live
	return l != nil && l.running == nil && l.parked == nil && l.queue.Len() > 0 && p.now >= l.retryAt
}

// startLater lets a tick go on.
func (p *Partition) startLater(i *instance, at msg.Time) {
	p.timers.arm(at, func(p *Partition) {
		if i.live != nil {
			p.start(i)
		}
	})
}

func (p *Partition) dequeue(i *instance) *input {
	in := i.live.queue.Pop()
	p.countQueued(in, -1)
	return in
}

// putBack puts an input that was not consumed before all others.
func (p *Partition) putBack(in *input) {
	p.countQueued(in, 1)
	in.target.live.queue.PushFront(in)
	in.target.live.passed = 0
}

// begun settles an input, or runs its handler. It reports whether the input was
// given up.
func (p *Partition) begun(in *input) (givenUp bool) {
	m, i := in.message, in.target
	switch {
	case in.refused != nil && visits(m):
		p.failVisit(in, in.refused)
	case in.refused != nil:
		p.complete(in, &msg.Outcome{Err: in.refused})
	case m.Kind == msg.MessageLockRequest:
		p.grant(in)
	case m.Kind == msg.MessageEventPrepare:
		p.prepare(in)
	case m.Kind == msg.MessageTimer && !p.stillSet(in):
		in.settled = true
	case m.Deadline > 0 && p.now > m.Deadline:
		p.complete(in, &msg.Outcome{Err: msg.Errorf(msg.CodeDeadlineExceeded, msg.ClassUnavailable,
			"the deadline passed before %s of %s began", m.Handler, m.Target)})
	case in.attempts >= p.config.Limits.AttemptsMax:
		p.giveUp(in, msg.CodeQuarantined, "the process ended or the handler failed in each of its attempts")
		return true
	case in.operation == msg.OperationDelete:
		p.complete(in, &msg.Outcome{Delete: true})
	case in.operation == msg.OperationExists:
		p.complete(in, &msg.Outcome{Output: msg.Payload{Body: strconv.AppendBool(nil, i.exists)}})
	case in.handler == nil || in.handler.Mode != msg.ModeUpdate && in.handler.Mode != msg.ModeRead:
		p.fault(in, "no handler "+m.Handler+" is served for kind "+m.Target.Kind)
	case i.kind.Strict && !i.exists && !in.handler.Creates, i.kind.Initialised && !i.exists && in.handler.Mode == msg.ModeRead:
		p.complete(in, &msg.Outcome{Err: notCreated(i.ref)})
	case i.kind.Initialised && !i.exists:
		p.initialise(in)
	default:
		p.run(in)
	}
	return false
}

// stillSet says whether the reminder that made an input is set as it was.
func (p *Partition) stillSet(in *input) bool {
	r := in.target.reminder(in.message.Reminder)
	if invariant.Mutated(invariant.DoubleFire) {
		return true
	}
	return r != nil && r.queued && r.Due == in.message.NotBefore
}

// run begins an attempt. That there were others before is recorded first.
func (p *Partition) run(in *input) {
	if in.attempts > 0 && !in.external {
		r := p.record(msg.RecordAttempt)
		r.Instance = in.target.ref
		r.Attempts = append(r.Attempts, msg.AttemptCount{Input: p.fingerprint(in), Count: in.attempts})
		p.boundAttempts(r, 1)
		p.commit(r)
		in.recorded = true
	}
	in.attempts++
	entry, turn := &in.run, &in.turn
	if in.attempted { // an executor may still hold those of before
		entry, turn = new(run), new(msg.Turn)
	}
	in.attempted = true
	*entry = run{target: in.target, input: in, backlog: in.inbox > 0 || in.message.Kind == msg.MessageTimer}
	if entry.backlog {
		p.backlog++
	}
	p.runs.add(entry)
	in.target.live.running = entry
	p.stats.Turns++
	*turn = msg.Turn{Run: entry.id, Mode: in.handler.Mode, Message: p.shown(in), State: in.target.snapshot(), Now: p.now,
		Attempt: in.attempts}
	if !isAnonymous(in) {
		turn.Input = p.fingerprint(in)
	}
	if turn.Mode == msg.ModeQuery {
		turn.Workflow, turn.Previous = in.target.owned.workflow, in.target.owned.previous
	}
	p.dispatch(turn)
}

// shown is the message as the program sees it: for the instance that it visits,
// and with who is answered, also where that is who asks for the result of what
// was submitted.
func (p *Partition) shown(in *input) *msg.Message {
	m := in.message
	submitted := m.ReplyTo.IsZero() && len(p.answers.byInvocation) > 0 && p.answers.byInvocation[m.Invocation] != nil
	if m.Target == in.target.ref && !submitted {
		return m
	}
	shown := *m
	shown.Target = in.target.ref
	if submitted {
		shown.ReplyTo = p.hereFor(m.Invocation)
	}
	return &shown
}

// stepOutcome takes what a run came to. The outcome of a run that was given up
// is refused.
func (p *Partition) stepOutcome(c *msg.Command) {
	entry := p.runs.take(c.Outcome.Run)
	if entry == nil {
		return
	}
	if entry.group != nil {
		p.finishTurn(entry, c.Outcome)
		return
	}
	if entry.backlog {
		p.backlog--
	}
	entry.target.live.running = nil
	p.conclude(entry.input, c.Outcome)
	p.start(entry.target)
	p.startOwner(entry.target)
}

// stepAbandon gives a run up.
func (p *Partition) stepAbandon(c *msg.Command) {
	c.Outcome = msg.Abandoned(c.Run)
	p.stepOutcome(c)
}

func (p *Partition) conclude(in *input, o *msg.Outcome) {
	switch {
	case in.message.Kind == msg.MessageEventPrepare:
		p.concludeEvent(in, o)
	case o.Fault != "":
		p.fault(in, o.Fault)
	case o.Panicked && !p.callerWaits(in):
		p.stats.Panics++
		p.panicked(in, o.Err)
	case o.DeadLetter != "" && !o.Panicked:
		in.target.live.faults = 0
		p.bounce(in, o)
	case o.Defer && o.Err == nil:
		in.target.live.faults = 0
		p.setAside(in, o)
	default:
		if o.Panicked {
			p.stats.Panics++
		}
		in.target.live.faults = 0
		p.complete(in, o)
	}
}

// callerWaits says whether somebody waits: who sends is told at most that it is done.
func (p *Partition) callerWaits(in *input) bool {
	return in.external || answerable(in.message) && in.message.Kind != msg.MessageSend
}

// stepRead takes what a read came to that whoever ran it did not answer. It is
// told once for each read, and not for those that were answered.
func (p *Partition) stepRead(c *msg.Command) {
	o, reply := c.Outcome, c.Turn.Answer(c.Outcome)
	switch {
	case o.Fault != "":
		p.stats.Faults++
		reply.Err = msg.Errorf(msg.CodeUnavailable, msg.ClassUnavailable, "%s: %s", c.Turn.Message.Target, o.Fault)
	case o.Panicked:
		p.stats.Panics++
	}
	if p.attempts.Len() > 0 && o.Fault == "" {
		p.forgetAttempts(c.Turn.Fingerprint())
	}
	p.answer(c.Turn.Waiter, c.Turn.Seen, reply)
}

// forgetAttempts takes back what was counted against a read: it has returned.
func (p *Partition) forgetAttempts(f msg.Fingerprint) {
	if _, ok := p.attempts.Get(string(f[:])); ok {
		r := p.record(msg.RecordAttempt)
		r.Attempts = append(r.Attempts, msg.AttemptCount{Input: f})
		p.commit(r)
	}
}

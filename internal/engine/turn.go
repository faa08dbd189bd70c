package engine

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// newInput makes an input of a message, at the instance it is for. The message
// may be in the outbox of another partition and is not changed.
func (p *Partition) newInput(m *msg.Message) *input {
	target := p.instance(m.Target)
	in := &input{message: m, target: target, arrived: p.now}
	if target.kind != nil {
		in.handler = target.kind.handlers[m.Handler]
	}
	if in.handler != nil && m.Handler != in.handler.Name {
		renamed := *m
		renamed.Handler = in.handler.Name // an alias stands for the handler
		in.message = &renamed
	}
	return in
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
	in.target.live.queue.push(in)
	p.queued++
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
	return anonymous(m)
}

func anonymous(m *msg.Message) msg.Fingerprint {
	return msg.FingerprintOf([]byte(m.Target.Namespace), []byte(m.Target.Kind), []byte(m.Target.Key), []byte(m.Handler), m.Payload.Body)
}

// startBatch bounds how many inputs one step settles without running them, and
// so how much it writes; one that is given up, and written down whole, is the
// last of a step.
const startBatch = 256

// start runs the next input of an instance, if it may. Inputs that need no
// handler to be settled are settled on the way.
func (p *Partition) start(i *instance) {
	count := 0
	for l := i.live; l != nil && l.running == nil && l.parked == nil && l.queue.len() > 0 && p.now >= l.retryAt; count++ {
		if count >= startBatch {
			p.startLater(i, p.now)
			return
		}
		if givenUp := p.begun(p.dequeue(i)); givenUp {
			count = startBatch
		}
	}
	p.release(i)
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
	p.queued--
	return i.live.queue.pop()
}

// putBack puts an input that was not consumed before all others.
func (p *Partition) putBack(in *input) {
	p.queued++
	in.target.live.queue.pushFront(in)
}

// begun settles an input, or runs its handler. It reports whether the input was
// given up.
func (p *Partition) begun(in *input) (givenUp bool) {
	m, i := in.message, in.target
	switch {
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
	case in.handler == nil || in.handler.Mode != msg.ModeUpdate:
		p.fault(in, "no update "+m.Handler+" is served for kind "+m.Target.Kind)
	case i.kind.Strict && !i.exists && !in.handler.Creates:
		p.complete(in, &msg.Outcome{Err: notCreated(i.ref)})
	default:
		p.run(in)
	}
	return false
}

// stillSet says whether the reminder that made an input is set as it was.
func (p *Partition) stillSet(in *input) bool {
	r := in.target.reminder(in.message.Reminder)
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
	*turn = msg.Turn{Run: entry.id, Mode: msg.ModeUpdate, Message: in.message, State: in.target.snapshot(), Now: p.now,
		Attempt: in.attempts, Input: p.fingerprint(in)}
	p.dispatch(turn)
}

// stepOutcome takes what a run came to. The outcome of a run that was given up
// is refused.
func (p *Partition) stepOutcome(c *msg.Command) {
	entry := p.runs.take(c.Outcome.Run)
	if entry == nil {
		return
	}
	if entry.input == nil {
		p.finishRead(entry, c.Outcome)
		return
	}
	if entry.backlog {
		p.backlog--
	}
	entry.target.live.running = nil
	p.conclude(entry.input, c.Outcome)
	p.start(entry.target)
}

// stepAbandon gives a run up.
func (p *Partition) stepAbandon(c *msg.Command) {
	c.Outcome = &msg.Outcome{Run: c.Run, Fault: "the handler has not returned in time; long or blocking work belongs in an activity"}
	p.stepOutcome(c)
}

func (p *Partition) conclude(in *input, o *msg.Outcome) {
	switch {
	case o.Fault != "":
		p.fault(in, o.Fault)
	case o.Panicked && !p.callerWaits(in):
		p.stats.Panics++
		p.panicked(in, o.Err)
	default:
		if o.Panicked {
			p.stats.Panics++
		}
		in.target.live.faults = 0
		p.complete(in, o)
	}
}

// callerWaits says whether somebody is told what an input comes to.
func (p *Partition) callerWaits(in *input) bool {
	return in.external || !in.message.ReplyTo.Invocation.IsZero()
}

func (p *Partition) finishRead(entry *run, o *msg.Outcome) {
	p.stats.Reads++
	entry.target.use(p.now)
	reply := msg.Reply{Invocation: entry.invocation, Payload: o.Output, Err: o.Err, Found: true}
	switch {
	case o.Fault != "":
		p.stats.Faults++
		reply.Err = msg.Errorf(msg.CodeUnavailable, msg.ClassUnavailable, "%s: %s", entry.target.ref, o.Fault)
	case o.Panicked:
		p.stats.Panics++
	}
	if p.attempts.Len() > 0 && o.Fault == "" {
		p.forgetAttempts(entry.fingerprint)
	}
	p.answer(entry.waiter, entry.seen, reply)
}

// forgetAttempts takes back what was counted against a read: it has returned.
func (p *Partition) forgetAttempts(f msg.Fingerprint) {
	if _, ok := p.attempts.Get(string(f[:])); ok {
		r := p.record(msg.RecordAttempt)
		r.Attempts = append(r.Attempts, msg.AttemptCount{Input: f})
		p.commit(r)
	}
}

// complete consumes an input together with everything it caused.
func (p *Partition) complete(in *input, o *msg.Outcome) {
	i := in.target
	r := p.record(msg.RecordStep)
	r.Instance = i.ref
	if err := p.refusal(i, o); err != nil {
		o = &msg.Outcome{Err: err}
	}
	p.consume(r, in, o)
	if o.Err == nil || o.Keep {
		p.keep(r, in, o)
	}
	if o.Err != nil {
		p.stats.Outcomes++
	}
	p.finish(r, in, o)
}

// refusal says why a turn cannot be written down; nil if it can.
func (p *Partition) refusal(i *instance, o *msg.Outcome) *msg.Error {
	if o.Err != nil && !o.Keep {
		return p.tooMuch(i, errorBytes(o.Err))
	}
	limit := p.config.Limits.StateBytesMax
	if i.kind != nil && i.kind.StateBytesMax > 0 {
		limit = i.kind.StateBytesMax
	}
	if o.Root != nil && len(o.Root.Body) > limit {
		return msg.Errorf(msg.CodePayloadTooLarge, msg.ClassExhausted,
			"the state of %s would be %d bytes, the limit is %d; keep what grows in a Map or List", i.ref, len(o.Root.Body), limit)
	}
	if err := i.misused(o.Changes); err != nil {
		return err
	}
	return p.tooMuch(i, outcomeBytes(o))
}

func (p *Partition) tooMuch(i *instance, bytes int) *msg.Error {
	if limit := p.config.Limits.RecordBytesMax; bytes > limit {
		return msg.Errorf(msg.CodePayloadTooLarge, msg.ClassExhausted,
			"the turn of %s would write %d bytes, the limit is %d; change or send less in one turn", i.ref, bytes, limit)
	}
	return nil
}

// outcomeBytes is about how much a turn writes.
func outcomeBytes(o *msg.Outcome) int {
	total := len(o.Output.Body) + errorBytes(o.Err)
	if o.Root != nil {
		total += len(o.Root.Body)
	}
	for n := range o.Changes {
		c := &o.Changes[n]
		total += changeBytes + len(c.Field) + len(c.Key) + len(c.Value)
	}
	for n := range o.Sends {
		total += outgoingBytes(&o.Sends[n])
	}
	if o.Tail != nil {
		total += outgoingBytes(o.Tail)
	}
	for n := range o.Remind {
		total += changeBytes + len(o.Remind[n].Name) + len(o.Remind[n].Payload.Body)
	}
	for _, name := range o.Forget {
		total += changeBytes + len(name)
	}
	return total
}

// changeBytes and sendBytes are what a change and a message need in a record
// beside their values.
const (
	changeBytes = 16
	sendBytes   = 128
)

func outgoingBytes(o *msg.Outgoing) int {
	total := sendBytes + len(o.Target.Kind) + len(o.Target.Key) + len(o.Handler) + len(o.Payload.Body)
	for _, h := range o.Headers {
		total += len(h.Name) + len(h.Value)
	}
	return total
}

// consume marks an input as done in a record.
func (p *Partition) consume(r *msg.Record, in *input, o *msg.Outcome) {
	in.settled = true
	p.aging.remove(in)
	m := in.message
	switch {
	case in.external:
		p.land(in)
	case in.inbox > 0:
		r.Finished = append(r.Finished, in.inbox)
	case m.ID.Number > 0:
		r.Consumed = append(r.Consumed, m.ID)
	case m.Kind == msg.MessageTimer:
		p.consumeReminder(r, in, o)
	}
	if in.recorded {
		r.Attempts = append(r.Attempts, msg.AttemptCount{Input: p.fingerprint(in)})
	}
}

// consumeReminder takes away a reminder that has fired, or sets when it fires
// next. What the handler did to it itself comes first.
func (p *Partition) consumeReminder(r *msg.Record, in *input, o *msg.Outcome) {
	entry := in.target.reminder(in.message.Reminder)
	if kept := o.Err == nil || o.Keep; entry == nil || kept && (o.Delete || names(o, entry.Name)) {
		return
	}
	next := entry.Reminder
	next.Due = entry.Schedule.Next(p.now, entry.Due)
	if next.Due == 0 {
		r.Forget = append(r.Forget, entry.Name)
		return
	}
	r.Remind = append(r.Remind, next)
}

// names says whether a turn set or cleared a reminder.
func names(o *msg.Outcome, name string) bool {
	for i := range o.Remind {
		if o.Remind[i].Name == name {
			return true
		}
	}
	for _, forgotten := range o.Forget {
		if forgotten == name {
			return true
		}
	}
	return false
}

// keep writes what a turn changed and sent into its record.
func (p *Partition) keep(r *msg.Record, in *input, o *msg.Outcome) {
	i := in.target
	switch {
	case o.Delete && (i.exists || i.owned != nil && len(i.owned.reminders) > 0):
		r.Changes = append(r.Changes, msg.Change{Kind: msg.ChangeDelete})
	case o.Delete:
	default:
		if o.Root != nil && !unchanged(i, *o.Root, o.Version) {
			r.Changes = append(r.Changes, rootChange(i, *o.Root, o.Version))
		}
		r.Changes = append(r.Changes, o.Changes...)
		r.Remind = append(r.Remind, o.Remind...)
		r.Forget = append(r.Forget, o.Forget...)
	}
	for n := range o.Sends {
		p.sendOutgoing(r, in, &o.Sends[n], msg.MessageSend, msg.ReplyTo{})
	}
}

func (p *Partition) sendOutgoing(r *msg.Record, in *input, out *msg.Outgoing, kind msg.MessageKind, to msg.ReplyTo) {
	m := &msg.Message{
		Kind: kind, Sender: in.target.ref, Target: out.Target, Handler: out.Handler, Payload: out.Payload,
		Headers: out.Headers, Traceparent: in.message.Traceparent, Deadline: out.Deadline,
		NotBefore: out.NotBefore, ReplyTo: to, Identity: out.Identity,
	}
	p.send(r, m, p.place(out.Target, out.Affinity))
}

// finish answers whoever waits for an input, or hands the obligation on, and
// commits the record.
func (p *Partition) finish(r *msg.Record, in *input, o *msg.Outcome) {
	id := in.message.Invocation
	answer := msg.Answer{Invocation: id, Status: msg.StatusCompleted, Payload: o.Output, Err: o.Err}
	if o.Err != nil {
		answer.Status, answer.Payload = msg.StatusFailed, msg.Payload{}
	}
	known := p.answers.byInvocation[id] // submitted
	tail := o.Tail != nil && o.Err == nil
	switch {
	case tail:
		p.handOver(r, in, o.Tail, known)
	case in.external:
		answer.Body = in.body
		p.remember(r, answer, in.identity)
	case !in.message.ReplyTo.Invocation.IsZero():
		p.sendReply(r, in, &answer)
	case known != nil && known.pending():
		r.Answers = append(r.Answers, ended(known, answer))
	}
	if !empty(r) {
		p.commit(r)
	}
	in.target.use(p.now)
	index := p.seen(in.target)
	if r.Index > 0 {
		index = r.Index
	}
	switch {
	case tail && in.external:
		p.passOn(in)
	case tail:
	case in.external:
		p.reply(in.waiters, index, replyOf(&answer))
	default:
		p.answered(id, index, replyOf(&answer))
	}
}

// remember writes into a record what was said to a request that may be made
// again. Nobody asks again for a number that its session has left behind.
func (p *Partition) remember(r *msg.Record, a msg.Answer, id identity) {
	if id != (identity{}) && !p.answers.superseded(id) {
		r.Answers = append(r.Answers, identified(a, id))
	}
}

// passOn lets those who wait for an input wait for the obligation that it has
// handed over.
func (p *Partition) passOn(in *input) {
	id := in.message.Invocation
	for _, w := range in.waiters {
		p.waiters[id] = append(p.waiters[id], w)
		if w.request != id {
			p.attached[w.request] = attachment{id: id}
		}
	}
}

// empty says that a record would change nothing: an outcome of a request
// without identity that left everything as it was.
func empty(r *msg.Record) bool {
	return len(r.Consumed) == 0 && len(r.Finished) == 0 && len(r.Changes) == 0 && len(r.Outbox) == 0 &&
		len(r.Remind) == 0 && len(r.Forget) == 0 && len(r.Answers) == 0 && len(r.Attempts) == 0 &&
		len(r.DeadLetters) == 0 && len(r.Discarded) == 0
}

// handOver passes the obligation to answer to a tail call.
func (p *Partition) handOver(r *msg.Record, in *input, tail *msg.Outgoing, known *answer) {
	to := in.message.ReplyTo
	switch {
	case known != nil && known.pending():
		to = msg.ReplyTo{Origin: p.config.Partition, Invocation: known.Invocation}
	case in.external:
		p.remember(r, msg.Answer{Invocation: in.message.Invocation, Status: msg.StatusPending, Body: in.body}, in.identity)
	}
	if tail.Deadline == 0 {
		tail.Deadline = in.message.Deadline
	}
	if len(tail.Headers) == 0 {
		tail.Headers = in.message.Headers
	}
	p.sendOutgoing(r, in, tail, msg.MessageTailCall, to)
}

// sendReply sends an outcome to the partition where its caller is known.
func (p *Partition) sendReply(r *msg.Record, in *input, a *msg.Answer) {
	to := in.message.ReplyTo
	p.send(r, &msg.Message{
		Kind: msg.MessageReply, Sender: in.target.ref, Payload: a.Payload, Err: a.Err, ReplyTo: to,
		Traceparent: in.message.Traceparent,
	}, to.Origin)
}

// fault deals with an attempt that consumed nothing. Who asked from outside
// hears that it may try again; everything else waits.
func (p *Partition) fault(in *input, reason string) {
	l := in.target.live
	l.faults++
	p.stats.Faults++
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
	p.parked.Set(parkedKey(i.ref), i)
}

func (p *Partition) unpark(i *instance) {
	p.parked.Delete(parkedKey(i.ref))
	i.live.parked, i.live.culprit, i.live.faults, i.live.retryAt = nil, nil, 0, 0
}

func parkedKey(r msg.Ref) string { return r.Namespace + "\x00" + r.Kind + "\x00" + r.Key }

// giveUp consumes an input without running it again. A message becomes a dead
// letter; whoever waits hears of it.
func (p *Partition) giveUp(in *input, code, reason string) {
	o := &msg.Outcome{Err: msg.Errorf(code, msg.ClassFailed, "%s of %s was given up after %d attempts: %s",
		in.message.Handler, in.message.Target, in.attempts, reason)}
	if in.external && in.identity == (identity{}) {
		in.recorded = false // what was asked is recognised when it is asked again
	}
	r := p.record(msg.RecordStep)
	r.Instance = in.target.ref
	p.consume(r, in, o)
	if !in.external {
		p.stats.DeadLettered++
		r.DeadLetters = []msg.DeadLetter{{ID: in.message.Invocation, Message: *in.message, Reason: o.Err.Message, Time: p.now}}
		p.boundDeadLetters(r)
	}
	p.finish(r, in, o)
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

func deadLetterBytes(d *msg.DeadLetter) int { return messageBytes(&d.Message) + len(d.Reason) }

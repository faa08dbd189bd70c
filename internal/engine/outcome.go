package engine

import (
	"github.com/holdfast-io/holdfast/internal/invariant"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// complete consumes an input together with everything it caused.
func (p *Partition) complete(in *input, o *msg.Outcome) {
	i := in.target
	r := p.recordOf(i)
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
	if kept := o.Err == nil || o.Keep; kept && (o.Offer || o.Delete) {
		p.offer(i)
	}
}

// refusal says why a turn cannot be written down; nil if it can.
func (p *Partition) refusal(i *instance, o *msg.Outcome) *msg.Error {
	if o.Err != nil && !o.Keep {
		return p.tooMuch(i, errorBytes(o.Err))
	}
	if limit := p.stateBytesMax(i); o.Root != nil && len(o.Root.Body) > limit {
		return stateTooLarge(i, len(o.Root.Body), limit)
	}
	if err := i.misused(o.Changes); err != nil {
		return err
	}
	if err := p.refuseRaise(o.Sends); err != nil {
		return err
	}
	return p.tooMuch(i, outcomeBytes(o))
}

func (p *Partition) stateBytesMax(i *instance) int {
	if i.kind != nil && i.kind.StateBytesMax > 0 {
		return i.kind.StateBytesMax
	}
	return p.config.Limits.StateBytesMax
}

func stateTooLarge(i *instance, bytes, limit int) *msg.Error {
	return msg.Errorf(msg.CodePayloadTooLarge, msg.ClassExhausted,
		"the state of %s would be %d bytes, the limit is %d; keep what grows in a Map or List", i.ref, bytes, limit)
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
	for n := range o.Steps {
		total += changeBytes + len(o.Steps[n].Name) + len(o.Steps[n].Output.Body) + errorBytes(o.Steps[n].Err)
	}
	for n := range o.Replies {
		total += sendBytes + len(o.Replies[n].Payload.Body) + errorBytes(o.Replies[n].Err)
	}
	for n := range o.Tasks {
		total += sendBytes + len(o.Tasks[n].Activity) + len(o.Tasks[n].Input.Body)
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
	for n := range o.Refs {
		total += changeBytes + len(o.Refs[n].Kind) + len(o.Refs[n].Key)
	}
	return total
}

// consume marks an input as done in a record.
func (p *Partition) consume(r *msg.Record, in *input, o *msg.Outcome) {
	in.settled = true
	p.aging.remove(in)
	p.timers.disarm(in.timer)
	m := in.message
	switch {
	case in.external:
		p.land(in)
	case in.inbox > 0:
		r.Finished = append(r.Finished, in.inbox)
	case in.task != (msg.TaskName{}):
		r.TasksEnded = append(r.TasksEnded, in.task)
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
	p.keepChanges(r, in.target, o)
	for n := range o.Sends {
		out := &o.Sends[n]
		p.post(r, messageTo(in.target.ref, out, kindOf(out), msg.ReplyTo{}, in.message.Traceparent), out)
	}
	p.addOwnTasks(r, o.Tasks)
	p.writeLate(r, in.target.ref, o.Replies)
}

// kindOf is the kind of a message that nobody waits for.
func kindOf(out *msg.Outgoing) msg.MessageKind {
	if out.Kind == msg.MessageEventPrepare {
		return out.Kind
	}
	return msg.MessageSend
}

// keepChanges writes what a turn changed into a record.
func (p *Partition) keepChanges(r *msg.Record, i *instance, o *msg.Outcome) {
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
}

func (p *Partition) sendOutgoing(r *msg.Record, sender msg.Ref, out *msg.Outgoing, kind msg.MessageKind, to msg.ReplyTo, traceparent string) {
	p.send(r, messageTo(sender, out, kind, to, traceparent), p.place(out.Target, out.Affinity))
}

// messageTo makes a message of what a program hands over.
func messageTo(sender msg.Ref, out *msg.Outgoing, kind msg.MessageKind, to msg.ReplyTo, traceparent string) *msg.Message {
	return &msg.Message{
		Kind: kind, Sender: sender, Target: out.Target, Handler: out.Handler, Payload: out.Payload,
		Headers: out.Headers, Traceparent: traceparent, Deadline: out.Deadline,
		NotBefore: out.NotBefore, ReplyTo: to, Identity: out.Identity, OnConflict: out.OnConflict,
	}
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
	later := o.Later && o.Err == nil && (answerable(in.message) || known != nil && known.pending())
	switch {
	case tail:
		p.handOver(r, in, o.Tail, known)
	case later:
		p.owe(r, in, known)
	case in.external:
		answer.Body = in.body
		p.remember(r, answer, in.identity)
	case answerable(in.message):
		p.sendReply(r, in.target.ref, &in.message.ReplyTo, &answer, in.message.Traceparent)
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
	case (tail || later) && in.external:
		p.passOn(in)
	case tail, later:
	case in.external:
		p.reply(in.waiters, index, replyOf(&answer))
	default:
		p.answered(id, index, replyOf(&answer))
	}
	if o.Err == nil || o.Keep {
		p.tellLate(o.Replies, index)
	}
}

// answerable says that a message wants an answer. Who asked for an activity is
// named in its outcome, and wants none.
func answerable(m *msg.Message) bool {
	return !m.ReplyTo.IsZero() && m.Kind != msg.MessageActivityOutcome
}

// owe remembers in a record that an input will be answered later. It gives who
// is to be answered.
func (p *Partition) owe(r *msg.Record, in *input, known *answer) msg.ReplyTo {
	switch {
	case known != nil && known.pending():
		return p.hereFor(known.Invocation)
	case in.external:
		p.remember(r, msg.Answer{Invocation: in.message.Invocation, Status: msg.StatusPending, Body: in.body}, in.identity)
	}
	return in.message.ReplyTo
}

// hereFor is the obligation to those who wait in this partition for an
// invocation.
func (p *Partition) hereFor(id msg.InvocationID) msg.ReplyTo {
	return msg.ReplyTo{Origin: p.config.Partition, Invocation: id}
}

// waitsHere says that who waits is known to this partition.
func (p *Partition) waitsHere(to *msg.ReplyTo) bool {
	return !to.Workflow() && to.Origin == p.config.Partition
}

// writeLate writes the answers to inputs of before into a record.
func (p *Partition) writeLate(r *msg.Record, sender msg.Ref, replies []msg.LateReply) {
	for n := range replies {
		to, a := &replies[n].To, lateAnswer(&replies[n])
		invariant.Check(int(to.Origin) < p.config.Partitions, "%s answers to partition %d", sender, to.Origin)
		switch known := p.answers.byInvocation[to.Invocation]; {
		case to.IsZero():
		case !p.waitsHere(to):
			p.sendReply(r, sender, to, &a, "")
		case known != nil && known.pending():
			r.Answers = append(r.Answers, ended(known, a))
		}
	}
}

// tellLate tells those answers to who waits in this partition.
func (p *Partition) tellLate(replies []msg.LateReply, index msg.Index) {
	for n := range replies {
		if to := &replies[n].To; !to.IsZero() && p.waitsHere(to) {
			a := lateAnswer(&replies[n])
			p.answered(to.Invocation, index, replyOf(&a))
		}
	}
}

func lateAnswer(late *msg.LateReply) msg.Answer {
	a := msg.Answer{Invocation: late.To.Invocation, Status: msg.StatusCompleted, Payload: late.Payload, Err: late.Err}
	if a.Err != nil {
		a.Status, a.Payload = msg.StatusFailed, msg.Payload{}
	}
	return a
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
		len(r.DeadLetters) == 0 && len(r.Discarded) == 0 && r.Workflow == nil && len(r.Tasks) == 0 && len(r.TasksEnded) == 0 &&
		len(r.Locks) == 0 && r.Prepared == nil && r.Decided == (msg.InvocationID{})
}

// handOver passes the obligation to answer to a tail call.
func (p *Partition) handOver(r *msg.Record, in *input, tail *msg.Outgoing, known *answer) {
	to := p.owe(r, in, known)
	if tail.Deadline == 0 {
		tail.Deadline = in.message.Deadline
	}
	if len(tail.Headers) == 0 {
		tail.Headers = in.message.Headers
	}
	m := messageTo(in.target.ref, tail, msg.MessageTailCall, to, in.message.Traceparent)
	m.Chain = in.message.Chain
	p.send(r, m, p.place(tail.Target, tail.Affinity))
}

// sendReply sends an outcome to the partition where its caller is known.
func (p *Partition) sendReply(r *msg.Record, sender msg.Ref, to *msg.ReplyTo, a *msg.Answer, traceparent string) {
	p.send(r, &msg.Message{
		Kind: msg.MessageReply, Sender: sender, Target: to.Target, Payload: a.Payload, Err: a.Err, ReplyTo: *to,
		Traceparent: traceparent,
	}, to.Origin)
}

package engine

import (
	"slices"

	"github.com/holdfast-io/holdfast/internal/invariant"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// requests holds a method for each operation.
var requests = [...]func(*Partition, *msg.Request, msg.Waiter){
	msg.OperationCall:        (*Partition).requestCall,
	msg.OperationSubmit:      (*Partition).requestSubmit,
	msg.OperationPeek:        (*Partition).requestRead,
	msg.OperationInspect:     (*Partition).requestInspect,
	msg.OperationExists:      (*Partition).requestExists,
	msg.OperationDelete:      (*Partition).requestCall,
	msg.OperationReminders:   (*Partition).requestReminders,
	msg.OperationList:        (*Partition).requestList,
	msg.OperationResult:      (*Partition).requestResult,
	msg.OperationParked:      (*Partition).requestParked,
	msg.OperationResume:      (*Partition).requestResume,
	msg.OperationSkip:        (*Partition).requestSkip,
	msg.OperationDeadLetters: (*Partition).requestDeadLetters,
	msg.OperationRedeliver:   (*Partition).requestRedeliver,
	msg.OperationDiscard:     (*Partition).requestDiscard,
	msg.OperationDescribe:    (*Partition).requestDescribe,
	msg.OperationHistory:     (*Partition).requestHistory,
	msg.OperationCancel:      (*Partition).requestCancel,
	msg.OperationTerminate:   (*Partition).requestTerminate,
	msg.OperationPause:       (*Partition).requestPause,
	msg.OperationRestart:     (*Partition).requestRestart,
	msg.OperationResolve:     (*Partition).requestResolve,
	msg.OperationRaise:       (*Partition).requestRaise,
	msg.OperationLocks:       (*Partition).requestLocks,
	msg.OperationRelease:     (*Partition).requestRelease,
}

func (p *Partition) stepRequest(c *msg.Command) {
	requests[c.Request.Operation](p, c.Request, c.Waiter)
}

// refuse answers without having looked at anything that might not be durable.
func (p *Partition) refuse(w msg.Waiter, code string, class msg.Class, format string, args ...any) {
	p.answer(w, 0, msg.Reply{Err: msg.Errorf(code, class, format, args...)})
}

// identityOf gives what a repeat of a request has in common with it. The name
// of the handler is part of it, so it must not be an alias.
func identityOf(r *msg.Request, handler string) identity {
	if r.Identity.IdempotencyKey != "" {
		return identity{id: msg.FingerprintOf(r.Target.Namespace, r.Target.Kind, r.Target.Key, handler, r.Identity.IdempotencyKey)}
	}
	if r.Identity.Session.IsZero() || r.Identity.SessionNumber == 0 {
		return identity{}
	}
	return identity{id: r.Identity.Session, number: r.Identity.SessionNumber}
}

// identify is identityOf for a handler, which may have had another name when the
// request was first made.
func (p *Partition) identify(r *msg.Request, h *handler) identity {
	id := identityOf(r, nameOf(h))
	if h == nil || r.Identity.IdempotencyKey == "" || p.answers.find(id) != nil {
		return id
	}
	for _, name := range h.Aliases {
		if old := identityOf(r, name); p.answers.find(old) != nil {
			return old
		}
	}
	return id
}

// requestCall takes an update, a read or a delete from outside.
func (p *Partition) requestCall(r *msg.Request, w msg.Waiter) {
	h := p.handler(r.Target.Kind, r.Handler)
	switch {
	case h == nil && r.Operation != msg.OperationDelete:
		p.refuse(w, msg.CodeNotFound, msg.ClassNotFound, "nothing serves %s of kind %s", r.Handler, r.Target.Kind)
		return
	case r.Operation == msg.OperationDelete && p.kinds[r.Target.Kind].isWorkflow():
		p.refuse(w, msg.CodeInvalidArgument, msg.ClassInvalidArgument, "%s is a workflow; terminate it", r.Target)
		return
	case r.Operation == msg.OperationDelete:
		h = nil
	case h.Mode == msg.ModeRead:
		p.requestRead(r, w)
		return
	case h.Mode == msg.ModeQuery:
		p.queueRead(r, h, w)
		return
	case h.Mode == msg.ModeSignal:
		p.refuse(w, msg.CodeInvalidArgument, msg.ClassInvalidArgument, "%s of %s is a signal, which nobody answers; submit it", h.Name, r.Target.Kind)
		return
	}
	id, body := p.identify(r, h), bodyOf(r)
	if p.repeated(r, id, body, w) || !p.admit(r, id, w) {
		return
	}
	in := p.externalInput(r, h)
	in.operation, in.external, in.identity, in.body = r.Operation, true, id, body
	in.waiters = append(in.first[:0], waiting{w, r.Invocation})
	if id != (identity{}) {
		p.inflight[id] = in
	}
	p.enqueue(in)
}

// nameOf is the name of a handler; empty for a delete.
func nameOf(h *handler) string {
	if h == nil {
		return ""
	}
	return h.Name
}

// bodyOf is the fingerprint that recognises another body under one key. A
// session needs none: its number is given out once.
func bodyOf(r *msg.Request) msg.Fingerprint {
	if r.Identity.IdempotencyKey == "" {
		return msg.Fingerprint{}
	}
	parts := [][]byte{[]byte(r.Payload.ContentType), r.Payload.Body}
	for n := range r.Refs {
		parts = append(parts, msg.AppendRefField(nil, 1, &r.Refs[n]))
	}
	return msg.FingerprintOf(parts...)
}

func messageOf(r *msg.Request, h *handler, kind msg.MessageKind) msg.Message {
	return msg.Message{
		Kind: kind, Target: r.Target, Handler: nameOf(h), Payload: r.Payload, Headers: r.Headers,
		Traceparent: r.Traceparent, Deadline: r.Deadline, NotBefore: r.NotBefore,
		Identity: r.Identity, Invocation: r.Invocation, OnConflict: r.OnConflict,
	}
}

// repeated recognises a request that has been made before, and attaches the
// waiter to it or answers.
func (p *Partition) repeated(r *msg.Request, id identity, body msg.Fingerprint, w msg.Waiter) bool {
	if id == (identity{}) {
		return false
	}
	if in := p.inflight[id]; in != nil {
		p.attach(in, r, body, w)
		return true
	}
	known := p.answers.find(id)
	if known == nil {
		return false
	}
	switch {
	case known.SessionNumber > id.number && id.number > 0:
		p.refuse(w, msg.CodeConflict, msg.ClassConflict,
			"request %d of the session was answered, and the session went on to %d; begin a new session", id.number, known.SessionNumber)
	case known.SessionNumber < id.number:
		return false
	case id.number == 0 && known.Body != body:
		p.refuse(w, msg.CodeUnprocessable, msg.ClassInvalidArgument,
			"the idempotency key was used with another body; use a new key for a new request")
	case r.Operation == msg.OperationSubmit || r.Operation == msg.OperationRaise && !r.Wait:
		p.answer(w, known.index, msg.Reply{Invocation: known.Invocation})
	case known.pending():
		p.wait(known.Invocation, r, w)
	default:
		p.answer(w, known.index, replyOf(&known.Answer))
	}
	return true
}

// attach lets a repeat wait with the first.
func (p *Partition) attach(in *input, r *msg.Request, body msg.Fingerprint, w msg.Waiter) {
	switch {
	case in.body != body:
		p.refuse(w, msg.CodeUnprocessable, msg.ClassInvalidArgument,
			"the idempotency key is in use with another body; use a new key for a new request")
	case len(in.waiters) >= p.config.Limits.WaitersMax:
		p.refuse(w, msg.CodeResourceExhausted, msg.ClassExhausted,
			"%d requests wait for this one already", len(in.waiters))
	default:
		in.waiters = append(in.waiters, waiting{w, r.Invocation})
		p.attached[r.Invocation] = attachment{input: in}
	}
}

// wait lets a waiter wait for an obligation that is in a record.
func (p *Partition) wait(id msg.InvocationID, r *msg.Request, w msg.Waiter) {
	if len(p.waiters[id]) >= p.config.Limits.WaitersMax {
		p.refuse(w, msg.CodeResourceExhausted, msg.ClassExhausted, "%d requests wait for this invocation already", len(p.waiters[id]))
		return
	}
	p.waiters[id] = append(p.waiters[id], waiting{w, r.Invocation})
	if r.Invocation != id {
		p.attached[r.Invocation] = attachment{id: id}
	}
}

// stepLeave forgets a waiter of a request that is to wait no longer. The first
// of an input stays with it.
func (p *Partition) stepLeave(c *msg.Command) {
	id := c.Request.Invocation
	if a, ok := p.attached[id]; ok {
		delete(p.attached, id)
		if a.input != nil {
			a.input.waiters = without(a.input.waiters, c.Waiter)
			return
		}
		id = a.id
	}
	list := without(p.waiters[id], c.Waiter)
	if len(list) == 0 {
		delete(p.waiters, id)
		return
	}
	p.waiters[id] = list
}

// without takes a waiter out of a list.
func without(list []waiting, w msg.Waiter) []waiting {
	for n := range list {
		if list[n].waiter == w {
			return slices.Delete(list, n, n+1)
		}
	}
	return list
}

func replyOf(a *msg.Answer) msg.Reply {
	return msg.Reply{Invocation: a.Invocation, Status: a.Status, Payload: a.Payload, Err: a.Err, Found: true}
}

// admit refuses new work for which there is no room.
func (p *Partition) admit(r *msg.Request, id identity, w msg.Waiter) bool {
	limits := &p.config.Limits
	i := p.find(r.Target)
	switch {
	case p.outboxBytes > limits.OutboxBytesMax:
		p.refuse(w, msg.CodeResourceExhausted, msg.ClassExhausted,
			"%d bytes of messages wait to be delivered, the limit is %d; try again later", p.outboxBytes, limits.OutboxBytesMax)
	case i != nil && i.live != nil && i.live.waiting() >= limits.QueueMax:
		p.refuse(w, msg.CodeResourceExhausted, msg.ClassExhausted,
			"%d requests wait for %s already; try again later", i.live.waiting(), r.Target)
	case i != nil && i.live != nil && i.live.parked != nil && r.Operation == msg.OperationCall:
		p.refuse(w, msg.CodeUnavailable, msg.ClassUnavailable, "%s is parked and takes no calls until it is resumed, by an operator or by code that can deal with it: %s", r.Target, i.live.parked.Reason)
	case id != (identity{}) && p.answers.full(id, p.now, limits):
		p.refuse(w, msg.CodeResourceExhausted, msg.ClassExhausted,
			"the answers of the last %s use up their %d bytes; try again later", limits.RetentionMin, limits.AnswerBytesMax)
	case id != (identity{}) && p.answers.pending.len >= limits.SubmissionsMax:
		p.refuse(w, msg.CodeResourceExhausted, msg.ClassExhausted,
			"%d invocations have not ended; try again later", p.answers.pending.len)
	default:
		return true
	}
	return false
}

// requestSubmit makes a request durable and answers with its invocation.
func (p *Partition) requestSubmit(r *msg.Request, w msg.Waiter) {
	h := p.handler(r.Target.Kind, r.Handler)
	switch {
	case h == nil:
		p.refuse(w, msg.CodeNotFound, msg.ClassNotFound, "nothing serves %s of kind %s", r.Handler, r.Target.Kind)
		return
	case h.Mode == msg.ModeRead || h.Mode == msg.ModeQuery:
		p.refuse(w, msg.CodeInvalidArgument, msg.ClassInvalidArgument,
			"%s of kind %s is a read: nobody would see its answer; call it", r.Handler, r.Target.Kind)
		return
	}
	id, body := p.identify(r, h), bodyOf(r)
	if p.repeated(r, id, body, w) || p.refuseForWorkflow(r, h, w) || !p.admit(r, id, w) || !p.admitSubmission(w) {
		return
	}
	p.makeWay(r, h)
	record := p.record(msg.RecordAccept)
	m := messageOf(r, h, msg.MessageSend)
	record.Accepted = &m
	record.Answers = append(record.Answers, identified(msg.Answer{
		Invocation: r.Invocation, Status: msg.StatusPending, Submitted: true, Body: body}, id))
	p.commit(record)
	if h.Mode == msg.ModeWorkflow {
		p.takeUp(p.lastAccepted(record))
		p.answer(w, p.index, p.started(r))
		return
	}
	p.answer(w, record.Index, msg.Reply{Invocation: r.Invocation})
	p.takeUp(p.lastAccepted(record))
}

// admitSubmission refuses what would have to be kept where much is kept.
func (p *Partition) admitSubmission(w msg.Waiter) bool {
	limits := &p.config.Limits
	switch {
	case p.answers.pending.len >= limits.SubmissionsMax:
		p.refuse(w, msg.CodeResourceExhausted, msg.ClassExhausted,
			"%d submitted invocations have not ended; try again later", p.answers.pending.len)
	case p.inboxBytes >= limits.SubmissionBytes:
		p.refuse(w, msg.CodeResourceExhausted, msg.ClassExhausted,
			"%d bytes of messages wait in inboxes, the limit is %d; try again later", p.inboxBytes, limits.SubmissionBytes)
	default:
		return true
	}
	return false
}

// identified writes an identity into an answer.
func identified(a msg.Answer, id identity) msg.Answer {
	if id.number > 0 {
		a.Session, a.SessionNumber = id.id, id.number
	} else {
		a.Idempotency = id.id
	}
	return a
}

// requestRead runs a read on the state as it is now.
func (p *Partition) requestRead(r *msg.Request, w msg.Waiter) {
	h := p.handler(r.Target.Kind, r.Handler)
	switch {
	case h == nil:
		p.refuse(w, msg.CodeNotFound, msg.ClassNotFound, "nothing serves %s of kind %s", r.Handler, r.Target.Kind)
		return
	case h.Mode != msg.ModeRead:
		p.refuse(w, msg.CodeInvalidArgument, msg.ClassInvalidArgument,
			"%s of kind %s is an update: only reads can be peeked", r.Handler, r.Target.Kind)
		return
	case r.Deadline > 0 && p.now > r.Deadline:
		p.refuse(w, msg.CodeDeadlineExceeded, msg.ClassUnavailable, "the deadline passed before the read began")
		return
	}
	target := p.find(r.Target)
	if target == nil {
		target = &instance{ref: r.Target, kind: p.kinds[r.Target.Kind]}
	}
	if r.Operation == msg.OperationCall && p.isClosed(target) {
		p.queueRead(r, h, w)
		return
	}
	if k := target.kind; (k.Strict || k.Initialised) && !target.exists {
		p.answer(w, p.seen(target), msg.Reply{Err: notCreated(r.Target)})
		return
	}
	read := &reading{message: messageOf(r, h, msg.MessageCall)}
	if count := p.attemptsOf(&read.message); count >= p.config.Limits.AttemptsMax {
		p.refuse(w, msg.CodeQuarantined, msg.ClassFailed, "%s of %s ended the process %d times", h.Name, r.Target, count)
		return
	}
	p.stats.Reads++
	target.use(p.now)
	// Where attempts are counted, the partition has to hear that it returned.
	read.turn = msg.Turn{Mode: msg.ModeRead, Message: &read.message, State: target.snapshot(), Now: p.now, Attempt: 1,
		Waiter: w, Seen: p.seen(target), Direct: p.attempts.Len() == 0}
	p.dispatch(&read.turn)
}

// reading is what a read needs, in one piece of memory.
type reading struct {
	turn    msg.Turn
	message msg.Message
}

// attemptsOf is how often the process has ended while a read ran.
func (p *Partition) attemptsOf(m *msg.Message) uint32 {
	if p.attempts.Len() == 0 {
		return 0 // nothing needs to be hashed
	}
	return p.readAttempts(m.Asked())
}

// readAttempts is how often the process has ended while an input ran that
// nobody else counts.
func (p *Partition) readAttempts(f msg.Fingerprint) uint32 {
	known, _ := p.attempts.Get(string(f[:]))
	if p.isOver(known) {
		return 0
	}
	return known.count
}

func notCreated(ref msg.Ref) *msg.Error {
	return msg.Errorf(msg.CodeNotFound, msg.ClassNotFound, "there is no %s", ref)
}

// dispatch asks for a run.
func (p *Partition) dispatch(t *msg.Turn) {
	p.out.Effects = append(p.out.Effects, msg.Effect{Kind: msg.EffectRun, Turn: t})
}

func (p *Partition) handler(kind, name string) *handler {
	if k := p.kinds[kind]; k != nil {
		return k.handlers[name]
	}
	return nil
}

// requestInspect answers the state of an entity.
func (p *Partition) requestInspect(r *msg.Request, w msg.Waiter) {
	i := p.find(r.Target)
	if i == nil || !i.exists {
		p.answer(w, p.index, msg.Reply{})
		return
	}
	s := i.snapshot()
	p.answer(w, i.index, msg.Reply{Found: true, Version: i.version, State: &s})
}

func (p *Partition) requestExists(r *msg.Request, w msg.Waiter) {
	i := p.find(r.Target)
	p.answer(w, p.index, msg.Reply{Found: i != nil && i.exists})
}

func (p *Partition) requestReminders(r *msg.Request, w msg.Waiter) {
	var list []msg.Reminder
	if i := p.find(r.Target); i != nil && i.owned != nil {
		for _, entry := range i.owned.reminders {
			list = append(list, entry.Reminder)
		}
	}
	p.answer(w, p.index, msg.Reply{Found: true, Reminders: list})
}

// requestList answers the keys of a kind that come after a key.
func (p *Partition) requestList(r *msg.Request, w msg.Waiter) {
	if p.kinds[r.Target.Kind].isWorkflow() {
		p.listWorkflows(r, w)
		return
	}
	var keys []string
	from := &instance{ref: msg.Ref{Namespace: r.Target.Namespace, Kind: r.Target.Kind, Key: r.After}}
	p.order.Ascend(from, func(i *instance) bool {
		if i.ref.Kind != r.Target.Kind || i.ref.Namespace != r.Target.Namespace || len(keys) >= r.Limit {
			return false
		}
		if i.exists && i.ref.Key > r.After {
			keys = append(keys, i.ref.Key)
		}
		return true
	})
	p.answer(w, p.index, msg.Reply{Found: true, Keys: keys})
}

// requestResult answers how an invocation stands, or waits for its end.
func (p *Partition) requestResult(r *msg.Request, w msg.Waiter) {
	known := p.answers.byInvocation[r.Invocation]
	switch {
	case known == nil:
		p.answer(w, p.index, msg.Reply{Err: msg.Errorf(msg.CodeNotFound, msg.ClassNotFound,
			"invocation %s is not known: it was never submitted, or its result has been forgotten", r.Invocation)})
	case known.pending() && r.Wait:
		p.wait(r.Invocation, r, w)
	default:
		p.answer(w, known.index, replyOf(&known.Answer))
	}
}

func (p *Partition) requestParked(r *msg.Request, w msg.Waiter) {
	var list []msg.Parked
	page(&p.parked, r, func(i *instance) {
		entry := *i.live.parked
		entry.Waiting = i.live.waiting()
		list = append(list, entry)
	})
	p.answer(w, 0, msg.Reply{Found: true, Parked: list})
}

// requestResume lets a parked instance try again.
func (p *Partition) requestResume(r *msg.Request, w msg.Waiter) {
	if p.kinds[r.Target.Kind].isWorkflow() {
		p.resumeWorkflow(r, w)
		return
	}
	if i := p.parkedInstance(r.Target, w); i != nil {
		p.unpark(i)
		p.start(i)
		p.answer(w, p.index, msg.Reply{Found: true})
	}
}

// requestSkip gives up the input that an instance is parked on. If that was a
// request from outside, it was answered, and the others are tried.
func (p *Partition) requestSkip(r *msg.Request, w msg.Waiter) {
	i := p.parkedInstance(r.Target, w)
	if i == nil {
		return
	}
	reason, culprit := "skipped by an operator: "+i.live.parked.Reason, i.live.culprit
	p.unpark(i)
	if culprit != nil {
		first := p.dequeue(i)
		invariant.Check(first == culprit, "%s is parked on an input that is not its first", i.ref)
		p.giveUp(first, msg.CodeFailed, reason)
	}
	p.start(i)
	p.answer(w, p.index, msg.Reply{Found: true})
}

func (p *Partition) parkedInstance(ref msg.Ref, w msg.Waiter) *instance {
	i := p.find(ref)
	if i == nil || i.live == nil || i.live.parked == nil {
		p.refuse(w, msg.CodeNotFound, msg.ClassNotFound, "%s is not parked", ref)
		return nil
	}
	return i
}

func (p *Partition) requestDeadLetters(r *msg.Request, w msg.Waiter) {
	var list []msg.DeadLetter
	page(&p.deadLetters, r, func(d *msg.DeadLetter) { list = append(list, *d) })
	p.answer(w, p.index, msg.Reply{Found: true, DeadLetters: list})
}

// requestRedeliver puts a dead letter back into the inbox of its target.
func (p *Partition) requestRedeliver(r *msg.Request, w msg.Waiter) {
	d := p.deadLetter(r.Invocation, w)
	if d == nil {
		return
	}
	m := d.Message
	m.NotBefore, m.Deadline, m.ID, m.Reminder = 0, 0, msg.MessageID{}, ""
	m.ReplyTo, m.Hold, m.Chain = msg.ReplyTo{}, msg.Holder{}, nil // who waited has been answered
	if m.Kind == msg.MessageActivityTask {
		p.askAgain(d, w)
		return
	}
	if m.Kind == msg.MessageTimer {
		m.Kind = msg.MessageSend
	}
	record := p.record(msg.RecordAccept)
	record.Accepted = &m
	record.Discarded = []msg.InvocationID{d.ID}
	p.commit(record)
	p.answer(w, record.Index, msg.Reply{Found: true, Invocation: d.ID})
	p.takeUp(p.lastAccepted(record))
}

func (p *Partition) requestDiscard(r *msg.Request, w msg.Waiter) {
	d := p.deadLetter(r.Invocation, w)
	if d == nil {
		return
	}
	record := p.record(msg.RecordStep)
	record.Discarded = []msg.InvocationID{d.ID}
	p.commit(record)
	p.answer(w, record.Index, msg.Reply{Found: true, Invocation: d.ID})
}

func (p *Partition) deadLetter(id msg.InvocationID, w msg.Waiter) *msg.DeadLetter {
	d, ok := p.deadLetters.Get(string(id[:]))
	if !ok {
		p.refuse(w, msg.CodeNotFound, msg.ClassNotFound, "there is no dead letter %s", id)
		return nil
	}
	return d
}

// lastAccepted finds the inbox entry that a record has just made.
func (p *Partition) lastAccepted(r *msg.Record) *accepted {
	inbox := p.find(r.Accepted.Target).owned.inbox
	last := inbox[len(inbox)-1]
	if last.id != r.Index {
		invariant.Check(false, "inbox of %s ends with %d, want %d", r.Accepted.Target, last.id, r.Index)
	}
	return last
}

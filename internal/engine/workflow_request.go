package engine

import (
	"fmt"
	"slices"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// This file answers requests about workflows.

// queueRead lets a read wait for its turn: a query looks at a workflow between two
// of its turns, and a read of an entity waits for a lock.
func (p *Partition) queueRead(r *msg.Request, h *handler, w msg.Waiter) {
	if !p.admit(r, identity{}, w) {
		return
	}
	in := p.externalInput(r, h)
	in.operation = msg.OperationCall
	in.waiters = append(in.first[:0], waiting{w, r.Invocation})
	p.enqueue(in)
}

// runningWorkflow finds a workflow that has not ended; nil: it has answered. To
// one that has ended as was asked the request has been made before.
func (p *Partition) runningWorkflow(ref msg.Ref, asked msg.WorkflowStatus, w msg.Waiter) *instance {
	i := p.find(ref)
	switch {
	case i == nil || i.workflow() == nil:
		p.answer(w, p.index, msg.Reply{Err: notBegun(ref)})
		return nil
	case i.workflow().Status == asked:
		p.answer(w, i.index, msg.Reply{Found: true})
		return nil
	case i.workflow().Status.Ended():
		p.answer(w, i.index, msg.Reply{Err: msg.Errorf(msg.CodeConflict, msg.ClassConflict,
			"%s has ended; it is %s", ref, i.workflow().Status)})
		return nil
	}
	return i
}

// refuseForWorkflow refuses a submission that would come to nothing; nothing is
// refused that may begin a workflow or reach one.
func (p *Partition) refuseForWorkflow(r *msg.Request, h *handler, w msg.Waiter) bool {
	i := p.find(r.Target)
	if i == nil || i.workflow() == nil {
		return false
	}
	switch known := i.workflow(); {
	case h.Mode == msg.ModeSignal && known.Status.Ended():
		p.answer(w, i.index, msg.Reply{Err: msg.Errorf(msg.CodeConflict, msg.ClassConflict,
			"%s has ended; it is %s and takes no signals", r.Target, known.Status)})
	case h.Mode == msg.ModeWorkflow:
		same := known.Input == bodyFingerprint(r.Payload)
		if r.OnConflict == msg.ConflictReplace || r.OnConflict == msg.ConflictAttach && same && !known.Tombstone {
			return false
		}
		p.answer(w, i.index, msg.Reply{Err: conflicts(r.Target, known, same)})
	default:
		return false
	}
	return true
}

// makeWay ends the run that a start replaces, which may be parked or in the
// middle of a turn: who replaces a run does not wait for it.
func (p *Partition) makeWay(r *msg.Request, h *handler) {
	i := p.find(r.Target)
	if h.Mode != msg.ModeWorkflow || r.OnConflict != msg.ConflictReplace || r.NotBefore > p.now || i == nil || i.workflow() == nil {
		return
	}
	if known := i.workflow(); !known.Status.Ended() && known.Input != bodyFingerprint(r.Payload) {
		p.terminate(i, "another run replaces it", nil)
	}
}

// started answers a start that was accepted: how the workflow stands, unless it
// is to begin later.
func (p *Partition) started(r *msg.Request) msg.Reply {
	reply := msg.Reply{Invocation: r.Invocation}
	if i := p.find(r.Target); i != nil {
		reply.Workflow = i.workflow()
	}
	return reply
}

func (p *Partition) requestDescribe(r *msg.Request, w msg.Waiter) {
	i := p.find(r.Target)
	switch {
	case i == nil || i.workflow() == nil:
		p.answer(w, p.index, msg.Reply{})
	case r.Wait && i.workflow().Tombstone:
		p.answer(w, i.index, msg.Reply{Err: msg.Errorf(msg.CodeNotFound, msg.ClassNotFound, "%s", conflicts(i.ref, i.workflow(), true).Message)})
	case r.Wait && !i.workflow().Status.Ended():
		p.wait(p.endOf(i.ref), r, w)
	default:
		p.answer(w, i.index, describe(i))
	}
}

func describe(i *instance) msg.Reply {
	reply := msg.Reply{Found: true, Version: i.version, Workflow: i.workflow()}
	if l := i.live; l != nil && l.parked != nil {
		reply.Parked = []msg.Parked{*l.parked}
		reply.Parked[0].Waiting = l.queue.Len()
	}
	return reply
}

func (p *Partition) requestHistory(r *msg.Request, w msg.Waiter) {
	i := p.find(r.Target)
	if i == nil || i.workflow() == nil {
		p.answer(w, p.index, msg.Reply{})
		return
	}
	reply, state := describe(i), i.snapshot()
	reply.State = &state
	p.answer(w, i.index, reply)
}

// requestCancel asks a workflow to stop, which it learns when it is told the
// next time.
func (p *Partition) requestCancel(r *msg.Request, w msg.Waiter) {
	id := identityOf(r, " cancel") // no handler has such a name
	if p.repeated(r, id, msg.Fingerprint{}, w) {
		return
	}
	i := p.runningWorkflow(r.Target, msg.WorkflowCancelled, w)
	if i == nil {
		return
	}
	known := *i.workflow()
	if known.Cancelling {
		p.answer(w, p.noteDone(i, r, id), msg.Reply{Found: true})
		return
	}
	known.Cancelling = true
	record := p.record(msg.RecordAccept)
	record.Instance, record.Workflow = i.ref, &known
	record.Accepted = &msg.Message{Kind: msg.MessageCancel, Target: r.Target, Traceparent: r.Traceparent, Invocation: r.Invocation}
	p.done(record, r, id, msg.Fingerprint{})
	p.commit(record)
	p.answer(w, record.Index, msg.Reply{Found: true})
	p.takeUp(p.lastAccepted(record))
}

// noteDone remembers an operation that changed nothing. It says which record a
// caller has to wait for.
func (p *Partition) noteDone(i *instance, r *msg.Request, id identity) msg.Index {
	record := p.recordOf(i)
	if p.done(record, r, id, msg.Fingerprint{}); empty(record) {
		return i.index
	}
	p.commit(record)
	return record.Index
}

func (p *Partition) requestTerminate(r *msg.Request, w msg.Waiter) {
	id := identityOf(r, " terminate") // no handler has such a name
	if p.repeated(r, id, msg.Fingerprint{}, w) {
		return
	}
	if i := p.runningWorkflow(r.Target, msg.WorkflowTerminated, w); i != nil {
		index := p.terminate(i, "by an operator", func(record *msg.Record) { p.done(record, r, id, msg.Fingerprint{}) })
		p.answer(w, index, msg.Reply{Found: true})
		p.start(i)
	}
}

func (p *Partition) requestPause(r *msg.Request, w msg.Waiter) {
	id := identityOf(r, " pause") // no handler has such a name
	if p.repeated(r, id, msg.Fingerprint{}, w) {
		return
	}
	if i := p.runningWorkflow(r.Target, msg.WorkflowNone, w); i != nil {
		p.answer(w, p.setPaused(i, true, r, id), msg.Reply{Found: true})
	}
}

// setPaused says whether a workflow takes steps. That it was said is remembered: a
// repeat must not undo what was said after it.
func (p *Partition) setPaused(i *instance, paused bool, r *msg.Request, id identity) msg.Index {
	w, record := *i.workflow(), p.recordOf(i)
	if w.Paused != paused {
		w.Paused, record.Workflow = paused, &w
	}
	if p.done(record, r, id, msg.Fingerprint{}); empty(record) {
		return i.index
	}
	p.commit(record)
	return record.Index
}

// resumeWorkflow lets a workflow go on that is paused, parked or both. One that
// goes on anyway may have been resumed by this very request.
func (p *Partition) resumeWorkflow(r *msg.Request, w msg.Waiter) {
	id := identityOf(r, " resume") // no handler has such a name
	if p.repeated(r, id, msg.Fingerprint{}, w) {
		return
	}
	i := p.find(r.Target)
	parked := i != nil && i.live != nil && i.live.parked != nil
	if !parked {
		if i = p.runningWorkflow(r.Target, msg.WorkflowNone, w); i == nil {
			return
		}
	}
	index := i.index
	if i.workflow() != nil {
		index = p.setPaused(i, false, r, id)
	}
	if parked {
		p.unpark(i)
	}
	p.start(i)
	p.answer(w, index, msg.Reply{Found: true})
}

// done remembers in a record that an operation was done, which a repeat must not
// do again. The others need no memory: what they ask for stays so.
func (p *Partition) done(record *msg.Record, r *msg.Request, id identity, body msg.Fingerprint) {
	p.remember(record, msg.Answer{Invocation: r.Invocation, Status: msg.StatusCompleted, Body: body}, id)
}

// requestRestart ends the run of a workflow and begins another with the same
// input. Who waits for the workflow goes on waiting.
func (p *Partition) requestRestart(r *msg.Request, w msg.Waiter) {
	id, body := identityOf(r, " restart"), bodyOf(r) // no handler has such a name
	if p.repeated(r, id, body, w) || !p.admit(r, id, w) {
		return
	}
	i := p.find(r.Target)
	if i == nil || i.workflow() == nil {
		p.answer(w, p.index, msg.Reply{Err: notBegun(r.Target)})
		return
	}
	begin, ok := i.begin()
	if !ok {
		p.answer(w, i.index, msg.Reply{Err: msg.Errorf(msg.CodeConflict, msg.ClassConflict, "the journal of %s does not hold its input", r.Target)})
		return
	}
	p.giveTurnUp(i)
	known := *i.workflow()
	record := p.recordOf(i)
	p.cancelChildren(record, i)
	p.returnLocks(record, i, &known)
	p.dropOutstanding(record, i)
	if i.entries() > 0 {
		record.Changes = append(record.Changes, msg.Change{Kind: msg.ChangeClear, Field: msg.JournalField})
	}
	record.Workflow = &msg.Workflow{
		Run: p.index + 1, Status: msg.WorkflowRunning, Input: known.Input, Begin: []msg.Delivery{begin},
		Callers: known.Callers, CodeVersion: p.config.CodeVersion, StartedAt: p.now,
		Chain: known.Chain, Hold: known.Hold,
	}
	p.done(record, r, id, body)
	p.commit(record)
	p.answer(w, record.Index, msg.Reply{Found: true})
	p.start(i)
}

// begin is the first thing that the run of a workflow was told: its input.
func (i *instance) begin() (d msg.Delivery, ok bool) {
	if list := i.workflow().Begin; len(list) > 0 {
		return list[0], true
	}
	_, f := i.field(msg.JournalField)
	if f == nil {
		return d, false
	}
	entry, err := msg.DecodeEntry(f.Items[0])
	if err != nil || len(entry.Deliveries) == 0 || entry.Deliveries[0].Kind != msg.DeliveryStart {
		return d, false
	}
	return entry.Deliveries[0], true
}

// completionOf is the fingerprint of what completes a promise, as bodyOf is that
// of a body.
func completionOf(r *msg.Request) msg.Fingerprint {
	if r.Err == nil || r.Identity.IdempotencyKey == "" {
		return bodyOf(r)
	}
	return msg.FingerprintOf(r.Err.Code, fmt.Sprint(r.Err.Class), r.Err.Message, string(r.Err.Detail))
}

// requestResolve completes a promise of a workflow.
func (p *Partition) requestResolve(r *msg.Request, w msg.Waiter) {
	id, body := identityOf(r, fmt.Sprint(" promise ", r.Promise.Run, r.Promise.Step)), completionOf(r)
	if p.repeated(r, id, body, w) || !p.admit(r, id, w) {
		return
	}
	i := p.find(r.Target)
	if i == nil || i.workflow() == nil {
		p.answer(w, p.index, msg.Reply{Err: notBegun(r.Target)})
		return
	}
	known := *i.workflow()
	place := slices.Index(known.Promises, r.Promise.Step)
	switch {
	case known.Run != r.Promise.Run || known.Status.Ended():
		p.answer(w, i.index, msg.Reply{Err: msg.Errorf(msg.CodeConflict, msg.ClassConflict, "the run of %s that made the promise has ended", r.Target)})
		return
	case place < 0:
		p.answer(w, i.index, msg.Reply{Err: msg.Errorf(msg.CodeAlreadyExists, msg.ClassConflict, "the promise was completed before")})
		return
	}
	known.Promises = slices.Delete(slices.Clone(known.Promises), place, place+1)
	record := p.record(msg.RecordAccept)
	record.Instance, record.Workflow = i.ref, &known
	record.Accepted = &msg.Message{
		Kind: msg.MessageReply, Target: r.Target, Payload: r.Payload, Err: r.Err, Traceparent: r.Traceparent,
		ReplyTo: msg.ReplyTo{Target: r.Target, Run: known.Run, Step: r.Promise.Step}, Invocation: r.Invocation,
	}
	p.done(record, r, id, body)
	p.commit(record)
	p.answer(w, record.Index, msg.Reply{Found: true})
	p.takeUp(p.lastAccepted(record))
}

// listWorkflows answers the ids of workflows that come after an id.
func (p *Partition) listWorkflows(r *msg.Request, w msg.Waiter) {
	reply := msg.Reply{Found: true}
	from := &instance{ref: msg.Ref{Namespace: r.Target.Namespace, Kind: r.Target.Kind, Key: r.After}}
	p.order.Ascend(from, func(i *instance) bool {
		if i.ref.Kind != r.Target.Kind || i.ref.Namespace != r.Target.Namespace || len(reply.Keys) >= r.Limit {
			return false
		}
		known := i.workflow()
		if known != nil && i.ref.Key > r.After && (r.Status == msg.WorkflowNone || r.Status == known.Status) {
			reply.Keys, reply.Workflows = append(reply.Keys, i.ref.Key), append(reply.Workflows, known)
		}
		return true
	})
	p.answer(w, p.index, reply)
}

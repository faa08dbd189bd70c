package engine

import (
	"slices"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// This file begins and ends the runs of workflows.

// meet takes a message that begins a workflow.
func (p *Partition) meet(in *input, w *msg.Workflow) {
	m := in.message
	switch same := w != nil && w.Input == bodyFingerprint(m.Payload); {
	case w == nil:
		p.beginRun(in)
	case m.OnConflict == msg.ConflictReplace && !same:
		if !w.Status.Ended() {
			p.terminate(in.target, "another run replaces it", nil)
		}
		p.beginRun(in)
	case m.OnConflict == msg.ConflictReject || !same || w.Tombstone:
		p.complete(in, &msg.Outcome{Err: conflicts(in.target.ref, w, same)})
	case w.Status.Ended():
		p.complete(in, &msg.Outcome{Output: w.Output, Err: w.Err})
	case len(w.Callers) >= p.config.Limits.WaitersMax:
		p.complete(in, &msg.Outcome{Err: msg.Errorf(msg.CodeResourceExhausted, msg.ClassExhausted,
			"%d callers wait for %s already", len(w.Callers), in.target.ref)})
	default:
		p.attachCaller(in, w)
	}
}

func bodyFingerprint(b msg.Payload) msg.Fingerprint {
	return msg.FingerprintOf([]byte(b.ContentType), b.Body)
}

func conflicts(ref msg.Ref, w *msg.Workflow, same bool) *msg.Error {
	if w.Tombstone {
		return msg.Errorf(msg.CodeAlreadyExists, msg.ClassConflict,
			"%s was %s at %s, and its result is not kept any more; use another id", ref, w.Status, w.EndedAt.Std().Format(time.RFC3339))
	}
	if same {
		return msg.Errorf(msg.CodeAlreadyExists, msg.ClassConflict, "%s exists already and is %s", ref, w.Status)
	}
	return msg.Errorf(msg.CodeConflict, msg.ClassConflict,
		"%s exists already, was begun with another input and is %s; use another id", ref, w.Status)
}

// beginRun writes down that a run begins. Its first turn comes after that.
func (p *Partition) beginRun(in *input) {
	i, m := in.target, in.message
	r := p.recordOf(i)
	p.consume(r, in, &msg.Outcome{})
	if i.entries() > 0 {
		r.Changes = append(r.Changes, msg.Change{Kind: msg.ChangeClear, Field: msg.JournalField})
	}
	w := &msg.Workflow{
		Run: p.index + 1, Status: msg.WorkflowRunning, Input: bodyFingerprint(m.Payload),
		Begin:       []msg.Delivery{{Kind: msg.DeliveryStart, Payload: m.Payload}},
		CodeVersion: p.config.CodeVersion, StartedAt: p.now, Chain: m.Chain, Hold: m.Hold,
	}
	p.addCaller(r, in, w)
	r.Workflow = w
	p.commit(r)
	p.passOnExternal(in)
}

// attachCaller lets the sender of a message that repeats the beginning of a
// workflow hear of its end.
func (p *Partition) attachCaller(in *input, w *msg.Workflow) {
	attached := *w
	attached.Callers = slices.Clip(w.Callers)
	r := p.recordOf(in.target)
	p.consume(r, in, &msg.Outcome{})
	if p.addCaller(r, in, &attached) {
		r.Workflow = &attached
	}
	if !empty(r) {
		p.commit(r)
	}
	p.passOnExternal(in)
}

// addCaller remembers who is told how a workflow ends; false: nobody.
func (p *Partition) addCaller(r *msg.Record, in *input, w *msg.Workflow) bool {
	to := p.owe(r, in, p.answers.byInvocation[in.message.Invocation])
	if to.IsZero() {
		return false
	}
	w.Callers = append(w.Callers, to)
	return true
}

// passOnExternal lets those who wait for an input wait for the workflow.
func (p *Partition) passOnExternal(in *input) {
	if in.external {
		p.passOn(in)
	}
}

// ending is who is told, in this partition, how a workflow ended.
type ending struct {
	workflow *msg.Workflow
	local    []msg.InvocationID
	reply    msg.Reply
}

// concludeRun ends the run of a workflow that has returned. It gives nil if the
// workflow goes on, or others answer its callers.
func (p *Partition) concludeRun(r *msg.Record, i *instance, w *msg.Workflow, o *msg.Outcome) *ending {
	p.dropOutstanding(r, i)
	switch {
	case o.Tail != nil && o.Err == nil && o.Tail.Target == i.ref:
		p.returnLocks(r, i, w)
		p.beginAgain(r, w, o)
		return nil
	case o.Tail != nil && o.Err == nil:
		p.handCallersOver(r, i, w, o.Tail)
		p.returnLocks(r, i, w)
		w.Status, w.EndedAt, w.Chain, w.Hold = msg.WorkflowCompleted, p.now, nil, msg.Holder{}
		return &ending{workflow: w}
	}
	status := msg.WorkflowCompleted
	switch {
	case o.Err != nil && o.Err.Code == msg.CodeCancelled && w.Cancelling:
		status = msg.WorkflowCancelled
	case o.Err != nil:
		status = msg.WorkflowFailed
	}
	return p.endRun(r, i, w, status, o.Output, o.Err)
}

// dropOutstanding ends the activities and timers that a workflow waits for.
func (p *Partition) dropOutstanding(r *msg.Record, i *instance) {
	r.Tasks = slices.DeleteFunc(r.Tasks, func(t msg.Task) bool { return ofRun(&t) })
	for _, t := range i.owned.tasks {
		if name := t.Name(); ofRun(&t.Task) && !slices.Contains(r.TasksEnded, name) {
			r.TasksEnded = append(r.TasksEnded, name)
		}
	}
	for _, reminder := range i.owned.reminders {
		if !slices.Contains(r.Forget, reminder.Name) {
			r.Forget = append(r.Forget, reminder.Name)
		}
	}
}

// beginAgain makes a workflow begin anew, with another input and an empty
// journal. Who waits for it goes on waiting.
func (p *Partition) beginAgain(r *msg.Record, w *msg.Workflow, o *msg.Outcome) {
	r.Changes = []msg.Change{{Kind: msg.ChangeClear, Field: msg.JournalField}}
	w.Run, w.Promises, w.CodeVersion = p.index+1, nil, p.config.CodeVersion
	w.Begin = append([]msg.Delivery{{Kind: msg.DeliveryStart, Payload: o.Tail.Payload}}, o.Begin...)
}

// handCallersOver lets a tail call answer those who wait for a workflow.
func (p *Partition) handCallersOver(r *msg.Record, i *instance, w *msg.Workflow, tail *msg.Outgoing) {
	for _, to := range w.Callers {
		m := messageTo(i.ref, tail, msg.MessageTailCall, to, "")
		m.Chain = w.Chain
		p.send(r, m, p.place(tail.Target, tail.Affinity))
	}
	if len(w.Callers) == 0 {
		p.sendOutgoing(r, i.ref, tail, msg.MessageSend, msg.ReplyTo{}, "")
	}
	w.Callers = nil
}

// endRun writes down how a run has ended, and answers whoever waits for it.
func (p *Partition) endRun(r *msg.Record, i *instance, w *msg.Workflow, status msg.WorkflowStatus, output msg.Payload, err *msg.Error) *ending {
	answer := msg.Answer{Status: msg.StatusCompleted, Payload: output, Err: err}
	if err != nil {
		answer.Status, answer.Payload = msg.StatusFailed, msg.Payload{}
	}
	told := &ending{workflow: w, reply: replyOf(&answer)}
	for n := range w.Callers {
		to := &w.Callers[n]
		answer.Invocation = to.Invocation
		switch known := p.answers.byInvocation[to.Invocation]; {
		case to.Workflow() || to.Origin != p.config.Partition:
			p.sendReply(r, i.ref, to, &answer, "")
			continue
		case known != nil && known.pending():
			r.Answers = append(r.Answers, ended(known, answer))
		}
		told.local = append(told.local, to.Invocation)
	}
	p.returnLocks(r, i, w)
	w.Status, w.Output, w.Err, w.EndedAt = status, answer.Payload, err, p.now
	w.Callers, w.Promises, w.Paused = nil, nil, false
	w.Begin = w.Begin[:min(len(w.Begin), 1)] // the input of a run that has taken no step: a restart needs it
	w.Chain, w.Hold = nil, msg.Holder{}
	return told
}

// tellEnd answers who waits in this partition; nil: nobody does.
func (p *Partition) tellEnd(i *instance, told *ending, index msg.Index) {
	if told == nil {
		return
	}
	for _, id := range told.local {
		reply := told.reply
		reply.Invocation, reply.Workflow = id, told.workflow
		p.answered(id, index, reply)
	}
	p.answered(p.endOf(i.ref), index, msg.Reply{Found: true, Workflow: told.workflow})
}

// endOf is what requests wait for that want to know how a workflow ended.
func (p *Partition) endOf(ref msg.Ref) msg.InvocationID {
	return p.derivedInvocation(msg.FingerprintOf("end", ref.Namespace, ref.Kind, ref.Key))
}

// terminate ends the run of a workflow, whatever it is doing.
func (p *Partition) terminate(i *instance, why string, note func(*msg.Record)) msg.Index {
	p.giveTurnUp(i)
	w := *i.workflow()
	r := p.recordOf(i)
	p.cancelChildren(r, i)
	p.dropOutstanding(r, i)
	told := p.endRun(r, i, &w, msg.WorkflowTerminated, msg.Payload{}, msg.Errorf(msg.CodeCancelled, msg.ClassConflict, "%s was terminated: %s", i.ref, why))
	r.Workflow = &w
	if note != nil {
		note(r)
	}
	p.commit(r)
	p.tellEnd(i, told, r.Index)
	return r.Index
}

// giveTurnUp takes back what a workflow is being told, and lets it go on if it
// is parked.
func (p *Partition) giveTurnUp(i *instance) {
	if i.live == nil {
		return
	}
	if entry := i.live.running; entry != nil {
		p.runs.take(entry.id)
		i.live.running = nil
		p.putGroupBack(entry)
	}
	if i.live.parked != nil {
		p.unpark(i)
	}
	i.live.retryAt = 0
}

func (p *Partition) putGroupBack(entry *run) {
	if entry.group == nil { // a query
		p.putBack(entry.input)
		return
	}
	for n := len(entry.group.inputs) - 1; n >= 0; n-- {
		p.putBack(entry.group.inputs[n])
	}
}

// childAbandoned is the output of a child's step if the child goes on when its
// parent ends.
const childAbandoned = "abandon"

// cancelChildren asks the workflows to stop that a workflow has begun and waits
// for. They are found in its journal: this is rare.
func (p *Partition) cancelChildren(r *msg.Record, i *instance) {
	_, f := i.field(msg.JournalField)
	if f == nil {
		return
	}
	var children []msg.Ref // by step; zero: another step, or it has ended
	for _, item := range f.Items {
		entry, err := msg.DecodeEntry(item)
		if err != nil {
			return // of a newer version: nobody here can know
		}
		for n := range entry.Deliveries {
			if d := &entry.Deliveries[n]; d.Kind == msg.DeliveryOutcome && d.Step > 0 && int(d.Step) <= len(children) {
				children[d.Step-1] = msg.Ref{}
			}
		}
		for n := range entry.Steps {
			children = append(children, childOf(&entry.Steps[n]))
		}
	}
	for _, child := range children {
		if child.Kind != "" {
			p.sendOutgoing(r, i.ref, &msg.Outgoing{Target: child}, msg.MessageCancel, msg.ReplyTo{}, "")
		}
	}
}

// childOf is the workflow that a step has begun and that ends with its parent.
func childOf(s *msg.Step) msg.Ref {
	if s.Kind != msg.StepChild || string(s.Output.Body) == childAbandoned {
		return msg.Ref{}
	}
	return msg.ParseRef(s.Name)
}

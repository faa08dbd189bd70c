package engine

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// This file takes a workflow through its turns. A workflow is an instance whose
// inputs are not run one by one: what has arrived is told to it together, and
// it goes on until it waits again. What it was told and what it asked for is one
// entry of its journal, in the same record as everything that follows from it.

// groupMax bounds how much one turn is told, and so what it writes; the rest is
// told in the next.
const groupMax = 256

// group is what one turn of a workflow is told.
type group struct {
	inputs      []*input // none: the run has just begun
	deliveries  []msg.Delivery
	now         msg.Time
	fingerprint msg.Fingerprint

	// What most groups need is in the same piece of memory.
	input    [1]*input
	delivery [1]msg.Delivery
}

// workflow is how an instance stands as a workflow; nil if none has begun.
func (i *instance) workflow() *msg.Workflow {
	if i.owned == nil {
		return nil
	}
	return i.owned.workflow
}

func (i *instance) isWorkflow() bool {
	return i.kind != nil && i.kind.Form == msg.FormWorkflow || i.workflow() != nil
}

// entries counts the entries of the journal.
func (i *instance) entries() int {
	if _, f := i.field(msg.JournalField); f != nil {
		return f.Len()
	}
	return 0
}

func (in *input) mode() msg.Mode {
	if in.handler == nil {
		return 0
	}
	return in.handler.Mode
}

// advance does what can be done at a workflow now: it settles inputs that need
// no turn, and asks for a turn for the others.
func (p *Partition) advance(i *instance) {
	if i.live == nil {
		i.live = p.newLive()
	}
	for count := 0; i.live.running == nil && i.live.parked == nil && p.now >= i.live.retryAt; count++ {
		if count >= startBatch {
			p.startLater(i, p.now)
			return
		}
		if !p.advanceOnce(i) {
			break
		}
	}
	p.release(i)
}

// advanceOnce does the next thing; false says that there is nothing to do.
func (p *Partition) advanceOnce(i *instance) bool {
	w := i.workflow()
	if w == nil || w.Status.Ended() {
		return p.settleIdle(i, w)
	}
	g := newGroup(w)
	for n := 0; n < i.live.queue.Len() && len(g.inputs) < groupMax; {
		in := *i.live.queue.At(n)
		told := in.mode() != msg.ModeWorkflow && in.mode() != msg.ModeQuery && !p.isStale(in, w)
		switch {
		case told && w.Paused, i.initialising() && in.message.Kind != msg.MessageReply && !forWorkflow(in.message):
			n++ // it stays until the workflow is resumed, or has created the entity
		case told:
			g.inputs = append(g.inputs, p.take(i, n))
			g.deliveries = append(g.deliveries, deliveryOf(in))
		case len(g.inputs) > 0 || len(w.Begin) > 0 && !w.Paused && in.mode() == msg.ModeQuery:
			p.tell(i, g) // in its order: what it is told first comes first
			return true
		default:
			p.settle(p.take(i, n))
			return true
		}
	}
	if w.Paused || len(g.deliveries) == 0 {
		return false
	}
	p.tell(i, g)
	return true
}

// newGroup makes a group that begins with what a run is told first.
func newGroup(w *msg.Workflow) *group {
	g := new(group)
	if g.inputs, g.deliveries = g.input[:0], g.delivery[:0]; len(w.Begin) > 0 {
		g.deliveries = slices.Clip(w.Begin)
	}
	return g
}

// take takes an input out of the queue of an instance.
func (p *Partition) take(i *instance, n int) *input {
	in := i.live.queue.Take(n)
	p.countQueued(in, -1)
	i.live.passed = 0
	return in
}

// settleIdle settles the first input of a workflow that does not run. Signals
// that come before its beginning are kept for it.
func (p *Partition) settleIdle(i *instance, w *msg.Workflow) bool {
	for n := range i.live.queue.Len() {
		if in := *i.live.queue.At(n); w != nil || in.mode() != msg.ModeSignal {
			p.settle(p.take(i, n))
			return true
		}
	}
	return false
}

// settle deals with an input that is not told to the workflow.
func (p *Partition) settle(in *input) {
	m, w := in.message, in.target.workflow()
	switch mode := in.mode(); {
	case m.Deadline > 0 && p.now > m.Deadline && (mode == msg.ModeWorkflow || mode == msg.ModeQuery):
		p.complete(in, &msg.Outcome{Err: msg.Errorf(msg.CodeDeadlineExceeded, msg.ClassUnavailable,
			"the deadline passed before %s of %s began", m.Handler, m.Target)})
	case mode == msg.ModeWorkflow:
		p.meet(in, w)
	case mode == msg.ModeQuery && w == nil:
		p.complete(in, &msg.Outcome{Err: notBegun(m.Target)})
	case mode == msg.ModeQuery:
		p.run(in)
	case mode == msg.ModeSignal:
		p.giveUp(in, msg.CodeConflict, "the workflow has ended")
	case m.Kind == msg.MessageCall || m.Kind == msg.MessageSend || m.Kind == msg.MessageTailCall || m.Kind == msg.MessageSignal:
		p.giveUp(in, msg.CodeNotFound, "the workflow has no such handler")
	default:
		p.dismiss(in)
	}
}

func notBegun(ref msg.Ref) *msg.Error {
	return msg.Errorf(msg.CodeNotFound, msg.ClassNotFound, "there is no workflow %s", ref)
}

// dismiss consumes what comes too late to be told.
func (p *Partition) dismiss(in *input) {
	r := p.record(msg.RecordStep)
	r.Instance = in.message.Target // whose inbox it may be in
	p.consume(r, in, &msg.Outcome{})
	if !empty(r) {
		p.commit(r)
	}
}

// isStale says that nothing waits for an input: it answers another run, or a
// timer that was taken back.
func (p *Partition) isStale(in *input, w *msg.Workflow) bool {
	switch m := in.message; m.Kind {
	case msg.MessageReply, msg.MessageActivityOutcome:
		return m.ReplyTo.Run != w.Run
	case msg.MessageTimer:
		return !p.stillSet(in)
	case msg.MessageCancel:
		return false
	}
	return in.mode() != msg.ModeSignal
}

// forWorkflow says that the outcome of an activity is for a workflow, or for what
// creates an entity, and not for a handler.
func forWorkflow(m *msg.Message) bool {
	return m.Kind == msg.MessageActivityOutcome && m.Handler == msg.HandlerRun
}

func deliveryOf(in *input) msg.Delivery {
	switch m := in.message; m.Kind {
	case msg.MessageReply, msg.MessageActivityOutcome:
		return msg.Delivery{Kind: msg.DeliveryOutcome, Step: m.ReplyTo.Step, Payload: m.Payload, Err: m.Err}
	case msg.MessageTimer:
		step, _ := strconv.ParseUint(m.Reminder, 10, 64) // step 0 is no step: nobody waits for it
		return msg.Delivery{Kind: msg.DeliveryOutcome, Step: msg.StepNumber(step)}
	case msg.MessageCancel:
		return msg.Delivery{Kind: msg.DeliveryCancel}
	default:
		return msg.Delivery{Kind: msg.DeliverySignal, Name: in.handler.Name, Payload: m.Payload}
	}
}

// tell asks for a turn.
func (p *Partition) tell(i *instance, g *group) {
	w := i.workflow()
	g.now, g.fingerprint = p.now, turnFingerprint(i, w)
	attempts := p.readAttempts(g.fingerprint)
	switch {
	case i.kind == nil || i.kind.Form != msg.FormWorkflow && !i.kind.Initialised:
		p.faultTurn(i, g, "no workflow "+i.ref.Kind+" is served", false)
		return
	case attempts >= p.config.Limits.AttemptsMax:
		p.faultTurn(i, g, fmt.Sprintf("the process ended in each of %d attempts at this turn", attempts), true)
		return
	}
	entry, turn := g.room()
	*entry = run{target: i, group: g}
	p.runs.add(entry)
	i.live.running = entry
	p.stats.Turns++
	*turn = msg.Turn{
		Run: entry.id, Mode: msg.ModeWorkflow, Message: g.message(i), State: i.snapshot(), Now: p.now,
		Attempt: attempts + i.live.faults + 1, Input: g.fingerprint,
		Workflow: w, Deliveries: g.deliveries, Previous: i.owned.previous,
	}
	p.dispatch(turn)
}

// room is memory for a turn: that of the first input, unless an executor may
// still hold what was there before.
func (g *group) room() (*run, *msg.Turn) {
	if len(g.inputs) == 0 || g.inputs[0].attempted {
		return new(run), new(msg.Turn)
	}
	first := g.inputs[0]
	first.attempted = true
	return &first.run, &first.turn
}

// message is what logs and interceptors see of a turn.
func (g *group) message(i *instance) *msg.Message {
	handler := msg.HandlerRun
	if i.initialising() {
		handler = msg.HandlerCreate
	}
	m := &msg.Message{Kind: msg.MessageSend}
	if len(g.inputs) > 0 {
		first := g.inputs[0].message
		if first.Target == i.ref && first.Handler == handler { // the outcome of an activity
			return first
		}
		*m = *first
	}
	m.Target, m.Handler = i.ref, handler
	return m
}

// turnFingerprint recognises a turn after a crash: the next of its run.
func turnFingerprint(i *instance, w *msg.Workflow) msg.Fingerprint {
	var run, entries [20]byte
	return msg.FingerprintOf([]byte("turn"), []byte(i.ref.Namespace), []byte(i.ref.Kind), []byte(i.ref.Key),
		strconv.AppendUint(run[:0], uint64(w.Run), 10), strconv.AppendInt(entries[:0], int64(i.entries()), 10))
}

// finishTurn takes what a turn of a workflow came to.
func (p *Partition) finishTurn(entry *run, o *msg.Outcome) {
	i, g := entry.target, entry.group
	i.live.running = nil
	switch bytes := outcomeBytes(o) + g.bytes(); {
	case o.Fault != "":
		p.faultTurn(i, g, o.Fault, o.Park)
	case o.Panicked:
		p.stats.Panics++
		p.faultTurn(i, g, o.Err.Message, true)
	case bytes > p.config.Limits.RecordBytesMax:
		p.faultTurn(i, g, fmt.Sprintf("a turn would write %d bytes, the limit is %d; ask for less before waiting",
			bytes, p.config.Limits.RecordBytesMax), true)
	case p.refuseRaise(o.Sends) != nil:
		p.faultTurn(i, g, p.refuseRaise(o.Sends).Message, true)
	default:
		i.live.faults = 0
		p.completeTurn(entry, o)
	}
	p.start(i)
	p.startOwner(i) // what has created an entity may have ended
}

func (g *group) bytes() (total int) {
	for n := range g.deliveries {
		total += changeBytes + len(g.deliveries[n].Payload.Body) + errorBytes(g.deliveries[n].Err)
	}
	return total
}

// faultTurn puts back what a turn was told that consumed nothing.
func (p *Partition) faultTurn(i *instance, g *group, reason string, park bool) {
	l := i.live
	l.faults++
	p.stats.Faults++
	for n := len(g.inputs) - 1; n >= 0; n-- {
		p.putBack(g.inputs[n])
	}
	if park || l.faults >= p.config.Limits.AttemptsMax {
		p.park(i, nil, reason)
		p.keepOutcomes(i)
		return
	}
	p.retry(i, l.faults)
}

// completeTurn writes down a turn together with everything it caused.
func (p *Partition) completeTurn(entry *run, o *msg.Outcome) {
	i, g := entry.target, entry.group
	r := p.recordOf(i)
	for _, in := range g.inputs {
		p.consume(r, in, o)
	}
	if p.readAttempts(g.fingerprint) > 0 {
		r.Attempts = append(r.Attempts, msg.AttemptCount{Input: g.fingerprint})
	}
	w, changed := g.standing(i.workflow(), o)
	journal := msg.Entry{Time: g.now, Deliveries: g.deliveries, Steps: o.Steps}
	p.scratch = msg.AppendEntry(p.scratch[:0], &journal)
	r.Changes = append(r.Changes, msg.Change{Kind: msg.ChangeAppend, Field: msg.JournalField, Value: bytes.Clone(p.scratch)})
	for n := range o.Sends {
		p.sendStep(r, i, w, &o.Sends[n], g.message(i).Traceparent)
	}
	if o.Lock != nil {
		changed = p.askLocks(r, i, w, o.Lock, g.message(i).Traceparent) || changed
	}
	if changed {
		r.Workflow = w
	}
	if o.Ended && i.initialising() {
		p.initialised(r, i, o)
		return
	}
	p.addTasks(r, w.Run, o.Tasks)
	var told *ending
	if o.Ended {
		told = p.concludeRun(r, i, w, o)
	} else {
		for _, step := range o.Stop {
			r.TasksEnded = append(r.TasksEnded, msg.TaskName{Run: w.Run, Step: step})
		}
		r.Remind, r.Forget = append(r.Remind, o.Remind...), append(r.Forget, o.Forget...)
	}
	p.commit(r)
	i.owned.previous = entry.id
	p.tellEnd(i, told, r.Index)
}

// standing is how a workflow stands after a turn, a copy if it has changed or
// will: headers are replaced, never changed.
func (g *group) standing(w *msg.Workflow, o *msg.Outcome) (after *msg.Workflow, changed bool) {
	cancelling := w.Cancelling || slices.ContainsFunc(g.deliveries, func(d msg.Delivery) bool { return d.Kind == msg.DeliveryCancel })
	changed = len(w.Begin) > 0 || len(o.Promises) > 0 || o.Ended || cancelling != w.Cancelling
	if !changed && o.Lock == nil {
		return w, false
	}
	next := *w
	next.Begin, next.Cancelling = nil, cancelling
	next.Promises = append(slices.Clip(w.Promises), o.Promises...)
	return &next, changed
}

// sendStep sends a message that a workflow asked for. What a step waits for is
// answered to the step.
func (p *Partition) sendStep(r *msg.Record, i *instance, w *msg.Workflow, out *msg.Outgoing, traceparent string) {
	kind, to := out.Kind, msg.ReplyTo{}
	if out.Step > 0 {
		to = msg.ReplyTo{Origin: p.config.Partition, Target: i.ref, Run: w.Run, Step: out.Step}
	}
	switch {
	case kind == 0 && out.Step > 0:
		kind = msg.MessageCall
	case kind == 0:
		kind = msg.MessageSend
	}
	m := messageTo(i.ref, out, kind, to, traceparent)
	underLocks(m, i, w, out.Hold)
	p.post(r, m, out)
}

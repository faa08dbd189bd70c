// Package workflowtest is an ideal engine for tests: workflows, their messages,
// activities and timers in memory, one thing at a time, in an order that the
// test chooses.
//
// Invariants:
//
//  1. What happens is a function of the choices; there is no clock and no
//     goroutine.
//  2. What one turn asks for is done exactly once, unless the turn is lost: then
//     nothing of it is left, and its deliveries come again.
//
// It has neither records nor recovery: that is the engine's.
package workflowtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/program"
)

// Engine runs the workflows of a program.
type Engine struct {
	Program program.Program
	Context context.Context // of turns and attempts; nil: the background

	Choose    func(n int) int                                 // which of n things comes next; nil: the first
	Lose      func() bool                                     // whether the turn that ran is lost; nil: never
	Before    func()                                          // runs before each turn, to throw runs out of memory; nil: nothing
	Entity    func(m *msg.Outgoing) (msg.Payload, *msg.Error) // answers messages that are not for workflows; nil: nothing, no error
	Performed func(t *msg.Task)                               // is told of each attempt of an activity; nil: nothing
	Now       msg.Time
	Turns     int

	instances map[msg.Ref]*Instance
	messages  []message
	runs      uint64 // of turns
	indexes   msg.Index
}

// Instance is one workflow.
type Instance struct {
	Ref      msg.Ref
	Header   msg.Workflow
	Journal  Journal
	Parked   string // why it does not go on
	Arrived  []msg.Delivery
	Tasks    []msg.Task
	Stopped  []msg.StepNumber // activities that were called off
	timers   []msg.Reminder
	previous uint64
}

type message struct {
	out    msg.Outgoing
	origin msg.ReplyTo
}

// Journal is the journal of a run.
type Journal [][]byte

// Steps gives the names of all steps of the journal.
func (j Journal) Steps() (names []string) {
	for _, item := range j {
		entry, err := msg.DecodeEntry(item)
		if err != nil {
			panic(err)
		}
		for i := range entry.Steps {
			names = append(names, entry.Steps[i].Name)
		}
	}
	return names
}

func (e *Engine) context() context.Context {
	if e.Context == nil {
		return context.Background()
	}
	return e.Context
}

// Of gives an instance; it is made if it is not there.
func (e *Engine) Of(kind, key string) *Instance {
	ref := msg.Ref{Kind: kind, Key: key}
	if e.instances == nil {
		e.instances = map[msg.Ref]*Instance{}
	}
	if e.instances[ref] == nil {
		e.instances[ref] = &Instance{Ref: ref}
	}
	return e.instances[ref]
}

// Start begins a workflow. body is its input as JSON.
func (e *Engine) Start(kind, key, body string) *Instance {
	e.begin(e.Of(kind, key), msg.Payload{Body: []byte(body)}, nil, msg.ReplyTo{})
	return e.Of(kind, key)
}

func (e *Engine) begin(i *Instance, input msg.Payload, carried []msg.Delivery, caller msg.ReplyTo) {
	if i.Header.Run > 0 && i.Header.Status == msg.WorkflowRunning {
		i.Header.Callers = append(i.Header.Callers, caller)
		return
	}
	e.indexes++
	callers := []msg.ReplyTo{caller}
	i.Header = msg.Workflow{Run: e.indexes, Status: msg.WorkflowRunning, Callers: callers, StartedAt: e.Now}
	i.Journal, i.previous, i.Tasks, i.timers = nil, 0, nil, nil
	i.Arrived = slices.Concat([]msg.Delivery{{Kind: msg.DeliveryStart, Payload: input}}, carried, i.Arrived)
}

// Signal sends a signal. body is its payload as JSON.
func (e *Engine) Signal(i *Instance, name, body string) {
	i.Arrived = append(i.Arrived, msg.Delivery{Kind: msg.DeliverySignal, Name: name, Payload: msg.Payload{Body: []byte(body)}})
}

// Cancel asks a workflow to stop.
func (e *Engine) Cancel(i *Instance) {
	if !i.Header.Cancelling && !i.Header.Status.Ended() {
		i.Header.Cancelling = true
		i.Arrived = append(i.Arrived, msg.Delivery{Kind: msg.DeliveryCancel})
	}
}

// Resolve completes a promise.
func (e *Engine) Resolve(id, body string) {
	p, err := msg.ParsePromiseID(id)
	if err != nil {
		panic(err)
	}
	e.settle(msg.ReplyTo{Target: p.Target, Run: p.Run, Step: p.Step}, msg.Payload{Body: []byte(body)}, nil)
}

// Settle gives a step of a workflow its outcome.
func (e *Engine) Settle(i *Instance, step msg.StepNumber, body string, err *msg.Error) {
	i.Tasks = slices.DeleteFunc(i.Tasks, func(t msg.Task) bool { return t.Step == step })
	e.settle(msg.ReplyTo{Target: i.Ref, Run: i.Header.Run, Step: step}, msg.Payload{Body: []byte(body)}, err)
}

func (e *Engine) settle(to msg.ReplyTo, payload msg.Payload, err *msg.Error) {
	if i := e.instances[to.Target]; i != nil && i.Header.Run == to.Run && !i.Header.Status.Ended() {
		i.Arrived = append(i.Arrived, msg.Delivery{Kind: msg.DeliveryOutcome, Step: to.Step, Payload: payload, Err: err})
	}
}

// Query asks a workflow something.
func (e *Engine) Query(i *Instance, query, body string) *msg.Outcome {
	t := e.turn(i, msg.ModeQuery, query)
	t.Message.Payload.Body = []byte(body)
	return e.Program.Turn(e.context(), t)
}

// Check executes the journal with a program, and says what does not fit.
func (e *Engine) Check(i *Instance, with program.Program) error {
	if o := with.Turn(e.context(), e.turn(i, msg.ModeQuery, "")); o.Fault != "" {
		return errors.New(o.Fault)
	}
	return nil
}

func (e *Engine) turn(i *Instance, mode msg.Mode, handler string) *msg.Turn {
	e.runs++
	header := i.Header
	return &msg.Turn{Run: e.runs, Mode: mode, Message: &msg.Message{Target: i.Ref, Handler: handler}, Now: e.Now, Attempt: 1,
		State: msg.Snapshot{Exists: true, Fields: msg.Journal(i.Journal)}, Workflow: &header, Previous: i.previous}
}

// Run does what there is to do, until there is nothing left.
func (e *Engine) Run() {
	for e.Do() {
	}
}

// Do does one thing, and says whether there was one.
func (e *Engine) Do() bool {
	var actions []func()
	for n := range e.messages {
		if e.first(n) {
			actions = append(actions, func() { e.receive(n) })
		}
	}
	for _, i := range e.sorted() {
		if i.Parked == "" && len(i.Arrived) > 0 && i.Header.Status == msg.WorkflowRunning && !i.Header.Paused {
			actions = append(actions, func() { e.step(i) })
		}
		for n := range i.Tasks {
			actions = append(actions, func() { e.perform(i, n) })
		}
	}
	if len(actions) == 0 {
		return e.fire()
	}
	actions[e.choose(len(actions))]()
	return true
}

func (e *Engine) choose(n int) int {
	if e.Choose == nil {
		return 0
	}
	return e.Choose(n)
}

func (e *Engine) sorted() (list []*Instance) {
	for _, i := range e.instances {
		list = append(list, i)
	}
	slices.SortFunc(list, func(a, b *Instance) int { return a.Ref.Compare(b.Ref) })
	return list
}

// first says whether no other message of the same sender for the same target
// was sent before.
func (e *Engine) first(n int) bool {
	for _, m := range e.messages[:n] {
		if m.out.Target == e.messages[n].out.Target && m.origin.Target == e.messages[n].origin.Target {
			return false
		}
	}
	return true
}

// step runs a turn of a workflow, with some of what has arrived.
func (e *Engine) step(i *Instance) {
	group := len(i.Arrived)
	if e.Choose != nil {
		group = 1 + e.Choose(group)
	}
	e.Tell(i, group)
}

// Tell runs a turn of a workflow with so much of what has arrived.
func (e *Engine) Tell(i *Instance, group int) {
	if e.Before != nil {
		e.Before()
	}
	t := e.Next(i)
	t.Deliveries = t.Deliveries[:group]
	e.Turns++
	o := e.Program.Turn(e.context(), t)
	switch {
	case e.Lose != nil && e.Lose():
		return
	case o.Fault != "":
		i.Parked = o.Fault
		return
	}
	i.Arrived = slices.Clone(i.Arrived[group:])
	entry := msg.Entry{Time: t.Now, Deliveries: t.Deliveries, Steps: o.Steps}
	i.Journal = append(i.Journal, msg.AppendEntry(nil, &entry))
	i.previous = t.Run
	e.apply(i, o)
}

// Next is the next turn of a workflow, with all that has arrived.
func (e *Engine) Next(i *Instance) *msg.Turn {
	t := e.turn(i, msg.ModeWorkflow, msg.HandlerRun)
	t.Deliveries = slices.Clone(i.Arrived)
	return t
}

// apply does what an outcome asks for.
func (e *Engine) apply(i *Instance, o *msg.Outcome) {
	for _, out := range o.Sends {
		e.messages = append(e.messages, message{out, msg.ReplyTo{Target: i.Ref, Run: i.Header.Run, Step: out.Step}})
	}
	i.Tasks = append(i.Tasks, o.Tasks...)
	i.Tasks = slices.DeleteFunc(i.Tasks, func(t msg.Task) bool { return slices.Contains(o.Stop, t.Step) })
	i.Stopped = append(i.Stopped, o.Stop...)
	i.timers = append(i.timers, o.Remind...)
	i.timers = slices.DeleteFunc(i.timers, func(r msg.Reminder) bool { return slices.Contains(o.Forget, r.Name) })
	if o.Ended {
		e.end(i, o)
	}
}

func (e *Engine) end(i *Instance, o *msg.Outcome) {
	callers := i.Header.Callers
	if o.Tail != nil && o.Tail.Target == i.Ref {
		i.Header.Status = msg.WorkflowNone
		e.begin(i, o.Tail.Payload, o.Begin, msg.ReplyTo{})
		i.Header.Callers = callers
		return
	}
	h := &i.Header
	h.Output, h.Err, h.Status, h.EndedAt = o.Output, o.Err, msg.WorkflowCompleted, e.Now
	i.timers = nil
	i.Tasks = slices.DeleteFunc(i.Tasks, func(t msg.Task) bool { return !t.Silent })
	if o.Err != nil {
		h.Status = msg.WorkflowFailed
		if o.Err.Code == msg.CodeCancelled && h.Cancelling {
			h.Status = msg.WorkflowCancelled
		}
	}
	for _, caller := range callers {
		if o.Tail != nil {
			e.messages = append(e.messages, message{*o.Tail, caller})
			continue
		}
		e.settle(caller, o.Output, o.Err)
	}
	if o.Tail != nil && len(callers) == 0 {
		e.messages = append(e.messages, message{*o.Tail, msg.ReplyTo{}})
	}
}

// receive does what a message asks for.
func (e *Engine) receive(n int) {
	m := e.messages[n]
	e.messages = slices.Delete(e.messages, n, n+1)
	out := &m.out
	to := e.instances[out.Target]
	switch {
	case out.Kind == msg.MessageCancel:
		if to != nil {
			e.Cancel(to)
		}
	case out.Kind == msg.MessageSignal:
		e.Signal(e.Of(out.Target.Kind, out.Target.Key), out.Handler, string(out.Payload.Body))
	case out.Handler == msg.HandlerRun:
		i := e.Of(out.Target.Kind, out.Target.Key)
		if i.Header.Status.Ended() {
			e.settle(m.origin, i.Header.Output, i.Header.Err)
			return
		}
		e.begin(i, out.Payload, nil, m.origin)
	case e.Entity == nil:
		e.settle(m.origin, msg.Payload{}, nil)
	default:
		output, err := e.Entity(out)
		e.settle(m.origin, output, err)
	}
}

// perform runs an attempt of an activity.
func (e *Engine) perform(i *Instance, n int) {
	task := i.Tasks[n]
	task.Run = i.Header.Run
	task.Attempt++
	if e.Performed != nil {
		e.Performed(&task)
	}
	o := e.Program.Perform(e.context(), &msg.TaskRun{Target: i.Ref, Task: task}, func(detail msg.Payload) { task.Detail = detail })
	tired := task.Retry.Attempts > 0 && task.Attempt >= task.Retry.Attempts
	if o.Fault == "" && o.Err != nil && o.Retryable && !tired && !slices.Contains(task.Retry.Never, o.Err.Code) {
		i.Tasks[n] = task
		return
	}
	i.Tasks = slices.Delete(i.Tasks, n, n+1)
	if !task.Silent {
		e.settle(msg.ReplyTo{Target: i.Ref, Run: task.Run, Step: task.Step}, o.Output, o.Err)
	}
}

// fire lets time pass until the next timer is due.
func (e *Engine) fire() bool {
	var next *Instance
	at := 0
	for _, i := range e.sorted() {
		if i.Parked != "" || i.Header.Paused {
			continue
		}
		for n := range i.timers {
			if next == nil || i.timers[n].Due < next.timers[at].Due {
				next, at = i, n
			}
		}
	}
	if next == nil {
		return false
	}
	timer := next.timers[at]
	next.timers = slices.Delete(next.timers, at, at+1)
	e.Now = max(e.Now, timer.Due)
	step, err := strconv.ParseUint(timer.Name, 10, 64)
	if err != nil {
		panic(fmt.Errorf("timer %q of a workflow is not named by its step: %w", timer.Name, err))
	}
	e.settle(msg.ReplyTo{Target: next.Ref, Run: next.Header.Run, Step: msg.StepNumber(step)}, msg.Payload{}, nil)
	return true
}

// String says how an instance stands, for messages of tests.
func (i *Instance) String() string {
	text := fmt.Sprintf("%v: %v, %s", i.Ref, i.Header.Status, i.Header.Output.Body)
	if i.Header.Err != nil {
		text += i.Header.Err.Error()
	}
	if i.Parked != "" {
		text += " parked: " + i.Parked
	}
	return strings.TrimSpace(text)
}

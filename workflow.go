package holdfast

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/holdfast-io/holdfast/client"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/program"
	"github.com/holdfast-io/holdfast/internal/workflow"
)

// Workflow is a declared durable function. One run of it is named by an id.
type Workflow[In, Out any] struct{ declaration *handlerDeclaration }

// NewWorkflow declares a workflow. Bind it with Handle.
func NewWorkflow[In, Out any](name string, opts ...HandleOption) Workflow[In, Out] {
	return Workflow[In, Out]{newWorkflow(name, position(), reflect.TypeFor[In](), reflect.TypeFor[Out](), opts)}
}

func newWorkflow(name, at string, in, out reflect.Type, opts []HandleOption) *handlerDeclaration {
	k := &kindDeclaration{contract: newContract(opts), name: name, at: at, form: msg.FormWorkflow}
	return newHandler(k, msg.ModeWorkflow, msg.HandlerRun, at, in, out, opts)
}

// Runnable is a Workflow or a Loop.
type Runnable interface{ runnable() *kindDeclaration }

func (w Workflow[In, Out]) runnable() *kindDeclaration {
	if w.declaration == nil {
		return nil
	}
	return w.declaration.kind
}

// Ref names one run.
func (w Workflow[In, Out]) Ref(id string) Ref { return Ref{Kind: w.declaration.kind.name, Key: id} }

// Handle binds the function. It must be deterministic: everything that may come
// out differently another time goes through ctx. What fn returns as an error is
// the outcome of the run.
func (w Workflow[In, Out]) Handle(fn func(ctx *WorkflowContext, in In) (Out, error)) *WorkflowBinding[In] {
	return bindWorkflow[In](w.declaration, position(), fn)
}

func bindWorkflow[In, Out any](d *handlerDeclaration, at string, fn func(*WorkflowContext, In) (Out, error)) *WorkflowBinding[In] {
	if d == nil { // the zero Workflow: Validate says so
		d = newHandler(nil, msg.ModeWorkflow, msg.HandlerRun, at, reflect.TypeFor[In](), reflect.TypeFor[Out](), nil)
	}
	o := &workflowOptions{}
	o.run = func(p *appProgram, x *workflow.Context, input msg.Payload) (output msg.Payload, failure *msg.Error) {
		ctx := &WorkflowContext{inner: x, program: p}
		var in In
		if err := d.input.decode(input, &in); err != nil {
			return output, msg.Errorf(msg.CodeInvalidArgument, msg.ClassInvalidArgument, "%s expects %s as input: %v", d, describe(&d.input), err)
		}
		takes, needs, failure := o.lockKeys(p, input)
		if failure == nil {
			failure = x.TakeLocks(takes, needs)
		}
		if failure != nil {
			return output, failure
		}
		out, err := fn(ctx, in)
		return ctx.conclude(&d.output, &out, err)
	}
	return &WorkflowBinding[In]{&handlerBinding{declaration: d, at: at, unset: fn == nil, workflow: o}}
}

// workflowOptions is the implementation side of a workflow.
type workflowOptions struct {
	run func(p *appProgram, x *workflow.Context, input msg.Payload) (msg.Payload, *msg.Error)
	lockOptions
	retain     time.Duration
	tombstones bool
	panicFails bool
	schedules  []*workflowSchedule
}

// WorkflowBinding is the part that Handle makes; its methods set options.
type WorkflowBinding[In any] struct{ binding *handlerBinding }

func (b *WorkflowBinding[In]) addTo(a *App) { b.binding.addTo(a) }

// Retain says how long result and history of a run are kept after its end; the
// default is the server's, seven days unless configured.
func (b *WorkflowBinding[In]) Retain(d time.Duration) *WorkflowBinding[In] {
	b.binding.workflow.retain = d
	return b
}

// Tombstones keeps the ids of runs taken when their retention is over.
func (b *WorkflowBinding[In]) Tombstones() *WorkflowBinding[In] {
	b.binding.workflow.tombstones = true
	return b
}

// PanicFails makes a panic the outcome of the run, with the code "panic".
// Without it a panic parks the run until there is code that does not panic.
func (b *WorkflowBinding[In]) PanicFails() *WorkflowBinding[In] {
	b.binding.workflow.panicFails = true
	return b
}

// Call runs the workflow with this id and waits for its outcome. The same id and
// input again is the same run; an empty id is a new one. In a workflow it is a
// child, see OnParentClose.
func (w Workflow[In, Out]) Call(c Caller, id string, in In, opts ...CallOption) (out Out, err error) {
	if outside, ok := c.(*ClientContext); ok {
		run, err := w.submit(outside, id, &in, func(r *client.Request) {
			r.Wait = true
			for _, o := range opts {
				o.forCall(r)
			}
		})
		if err != nil {
			return out, err
		}
		return run.Await(outside)
	}
	err = w.declaration.call(c, client.Start, id, &in, &out, opts)
	return out, err
}

// Start begins a child of a workflow. An empty id is a new one.
func (w Workflow[In, Out]) Start(ctx *WorkflowContext, id string, in In, opts ...CallOption) *Future[Out] {
	return start[Out](ctx, w.declaration, client.Start, id, &in, opts)
}

// Send begins a run that nobody waits for. An empty id is a new one.
func (w Workflow[In, Out]) Send(s Sender, id string, in In, opts ...SendOption) {
	r, err := w.request(idFor(s, id), &in)
	send(s, r, err, opts)
}

func (w Workflow[In, Out]) request(id string, in *In) (client.Request, error) {
	r, err := w.declaration.request(id, in)
	r.Operation = client.Start
	return r, err
}

// Submit begins a run from outside. It is durable when Submit returns without
// an error. An empty id is a new one: the invocation has it.
func (w Workflow[In, Out]) Submit(c *ClientContext, id string, in In, opts ...SendOption) (Invocation[Out], error) {
	return w.submit(c, id, &in, func(r *client.Request) {
		for _, o := range opts {
			o.forSend(r)
		}
	})
}

func (w Workflow[In, Out]) submit(c *ClientContext, id string, in *In, options func(*client.Request)) (run Invocation[Out], err error) {
	if id == "" {
		id = program.NewID(c)
	}
	r, err := w.request(id, in)
	if err != nil {
		return run, err
	}
	options(&r)
	reply, err := c.invoke(r)
	if err != nil {
		return run, err
	}
	run = w.invocation(id)
	run.answer = reply.Body
	return run, nil
}

func (w Workflow[In, Out]) invocation(id string) Invocation[Out] {
	return Invocation[Out]{ID: id, workflow: w.declaration.kind.name, output: &w.declaration.output}
}

// Tail ends this handler or run and passes its caller on: return w.Tail(ctx, id,
// in). A run of the same workflow with its own id begins anew: its journal is
// dropped, and signals that it has not received stay. An empty id is a new one.
func (w Workflow[In, Out]) Tail(s Sender, id string, in In) (out Out, err error) {
	r, err := w.request(idFor(s, id), &in)
	return out, tail(s, r, err)
}

// Result waits for the outcome of a run. ErrNotFound if nobody has begun it.
func (w Workflow[In, Out]) Result(c *ClientContext, id string) (Out, error) {
	return w.invocation(id).Await(c)
}

// Cancel asks a run to stop: its waits end with ErrCancelled, and its children
// are asked, too. What it does then is its own matter.
func (w Workflow[In, Out]) Cancel(c *ClientContext, id string) error {
	return w.control(c, client.Cancel, id)
}

// Terminate ends a run at once: no clean-up and no compensation.
func (w Workflow[In, Out]) Terminate(c *ClientContext, id string) error {
	return w.control(c, client.Terminate, id)
}

// Pause lets a run take no step until Resume.
func (w Workflow[In, Out]) Pause(c *ClientContext, id string) error {
	return w.control(c, client.Pause, id)
}

// Resume lets a run go on that is paused or parked.
func (w Workflow[In, Out]) Resume(c *ClientContext, id string) error {
	return w.control(c, client.Resume, id)
}

// Restart ends a run at once and begins another with the same input.
func (w Workflow[In, Out]) Restart(c *ClientContext, id string) error {
	return w.control(c, client.Restart, id)
}

func (w Workflow[In, Out]) control(c *ClientContext, op client.Operation, id string) error {
	_, err := c.invoke(client.Request{Operation: op, Kind: w.declaration.kind.name, Key: id})
	return err
}

// WorkflowStatus says how a run stands.
type WorkflowStatus struct {
	ID, Name  string
	Status    string // running, completed, failed, cancelled or terminated
	Error     error  // that it has ended with
	StartedAt time.Time
	EndedAt   time.Time // zero while it runs
}

// Status says how a run stands. ErrNotFound if nobody has begun it.
func (w Workflow[In, Out]) Status(c *ClientContext, id string) (s WorkflowStatus, err error) {
	reply, err := c.invoke(client.Request{Operation: client.Describe, Kind: w.declaration.kind.name, Key: id})
	if err != nil {
		return s, err
	}
	var answer struct {
		invocationAnswer
		ID, Name  string
		StartedAt time.Time `json:"started_at"`
		EndedAt   time.Time `json:"ended_at"`
	}
	if err := json.Unmarshal(reply.Body, &answer); err != nil {
		return s, fmt.Errorf("decode the status of workflow %s/%s: %w", w.declaration.kind.name, id, err)
	}
	s = WorkflowStatus{ID: answer.ID, Name: answer.Name, Status: answer.Status, StartedAt: answer.StartedAt, EndedAt: answer.EndedAt}
	if answer.invocationAnswer.Error != nil {
		s.Error = answer.failure()
	}
	return s, nil
}

// ConflictPolicy says what a second start with the same id does.
type ConflictPolicy string

// The conflict policies.
const (
	Attach  ConflictPolicy = "attach"  // the same input is the same request, another one is ErrConflict; the default
	Reject  ConflictPolicy = "reject"  // ErrConflict, whatever the input
	Replace ConflictPolicy = "replace" // the present run is terminated and a new one begins
)

// OnConflict is an option of Workflow.Call, Start, Send and Submit.
func OnConflict(p ConflictPolicy) Option {
	return option(func(r *client.Request) { r.OnConflict = string(p) })
}

// ClosePolicy says what becomes of a child when its parent ends.
type ClosePolicy string

// The close policies.
const (
	CancelChild  ClosePolicy = "cancel"  // it is asked to stop; the default
	AbandonChild ClosePolicy = "abandon" // it goes on
	WaitForChild ClosePolicy = "wait"    // the parent ends after it
)

// OnParentClose is an option of Workflow.Call and Start in a workflow.
func OnParentClose(p ClosePolicy) CallOption {
	return option(func(r *client.Request) { r.ParentClose = string(p) })
}

// Loop is a workflow that goes on for ever: each turn begins with the state that
// the one before has left, and with a journal of its own.
type Loop[S any] struct{ Workflow[S, S] }

// NewLoop declares a loop. Bind it with Handle.
func NewLoop[S any](name string, opts ...HandleOption) Loop[S] {
	return Loop[S]{Workflow[S, S]{newWorkflow(name, position(), reflect.TypeFor[S](), reflect.TypeFor[S](), opts)}}
}

// Handle binds one turn of the loop. When it has returned with done, the loop
// ends with the state as its result. At its end nothing that was begun may be
// outstanding; signals that were not received are there in the next turn.
func (l Loop[S]) Handle(turn func(ctx *WorkflowContext, state *S) (done bool, err error)) *WorkflowBinding[S] {
	d := l.declaration
	b := bindWorkflow[S](d, position(), func(ctx *WorkflowContext, state S) (S, error) {
		done, err := turn(ctx, &state)
		if done || err != nil {
			return state, err
		}
		if left := ctx.inner.Outstanding(); len(left) > 0 {
			ctx.inner.Fail(fmt.Errorf("a turn of the loop ended while this was outstanding: %s; await it", strings.Join(left, ", ")))
		}
		return l.Tail(ctx, ctx.ID(), state)
	})
	b.binding.unset = turn == nil
	return b
}

// conclude gives what the function returned the form of the engine.
func (c *WorkflowContext) conclude(output *shape, out any, err error) (p msg.Payload, failure *msg.Error) {
	tailed := c.inner.Tailed()
	switch {
	case tailed && err == errTailed:
		return p, nil
	case tailed && (err == nil || errors.Is(err, errTailed)):
		c.inner.Fail(fmt.Errorf("Tail was used and its result was not returned as it is; write: return w.Tail(ctx, id, in)"))
	case err != nil:
		return p, outcomeOf(err)
	}
	p, err = output.encode(out)
	if err != nil {
		c.inner.Fail(fmt.Errorf("encode the output, a %v: %w", output.value, err))
	}
	return p, nil
}

// Signal is a typed message to a workflow, kept until it is received.
type Signal[T any] struct{ declaration *handlerDeclaration }

// NewSignal declares a signal of a workflow.
func NewSignal[T any](w Runnable, name string, opts ...HandleOption) Signal[T] {
	return Signal[T]{newHandler(w.runnable(), msg.ModeSignal, name, position(), reflect.TypeFor[T](), voidType, opts)}
}

// Receive is the next signal that nobody else receives. It takes one when it is
// awaited or selected, not before.
func (s Signal[T]) Receive(ctx *WorkflowContext) *Future[T] {
	return &Future[T]{inner: ctx.inner.Receive(s.declaration.name), output: &s.declaration.input}
}

func (s Signal[T]) request(id string, v *T) (client.Request, error) {
	r, err := s.declaration.request(id, v)
	r.Operation = client.Signal
	return r, err
}

// Send signals a run from a turn or a workflow. It is kept if nobody has begun
// the run yet.
func (s Signal[T]) Send(from Sender, id string, v T, opts ...SendOption) {
	r, err := s.request(id, &v)
	send(from, r, err, opts)
}

// Submit signals a run from outside; durable when Submit returns without an
// error. It is kept if nobody has begun the run yet, and is ErrConflict if the
// run has ended.
func (s Signal[T]) Submit(c *ClientContext, id string, v T, opts ...SendOption) error {
	r, err := s.request(id, &v)
	_, err = submit(c, r, err, opts)
	return err
}

// Query is a typed question to a workflow, running or ended.
type Query[In, Out any] struct{ declaration *handlerDeclaration }

// NewQuery declares a query of a workflow.
func NewQuery[In, Out any](w Runnable, name string, opts ...HandleOption) Query[In, Out] {
	return Query[In, Out]{newHandler(w.runnable(), msg.ModeQuery, name, position(), reflect.TypeFor[In](), reflect.TypeFor[Out](), opts)}
}

// Answer installs the answer, first thing in the workflow. fn may look at the
// workflow's variables, and must neither change them nor use a context.
func (q Query[In, Out]) Answer(ctx *WorkflowContext, fn func(in In) (Out, error)) {
	d := q.declaration
	ctx.inner.Answer(d.name, func(input msg.Payload) (output msg.Payload, failure *msg.Error) {
		var in In
		if err := d.input.decode(input, &in); err != nil {
			return output, msg.Errorf(msg.CodeInvalidArgument, msg.ClassInvalidArgument, "%s expects %s as input: %v", d, describe(&d.input), err)
		}
		out, err := fn(in)
		if err == nil {
			output, err = d.output.encode(&out)
		}
		if err != nil {
			return msg.Payload{}, outcomeOf(err)
		}
		return output, nil
	})
}

// Call asks a run. ErrNotFound if nobody has begun it, or if it has installed no
// answer.
func (q Query[In, Out]) Call(c *ClientContext, id string, in In) (out Out, err error) {
	err = q.declaration.call(c, client.Query, id, &in, &out, nil)
	return out, err
}

// workflowProgram is a workflow as the runtime runs it.
func (p *appProgram) workflow(k *servedKind) *workflow.Definition {
	o := k.bindings[0].workflow
	return &workflow.Definition{Name: k.declaration.name, PanicFails: o.panicFails,
		Run: func(x *workflow.Context, input msg.Payload) (msg.Payload, *msg.Error) { return o.run(p, x, input) }}
}

func (p *appProgram) workflowTurn(ctx context.Context, k *servedKind, t *msg.Turn) *msg.Outcome {
	if t.Mode != msg.ModeWorkflow && t.Mode != msg.ModeQuery {
		return &msg.Outcome{Run: t.Run, Err: msg.Errorf(msg.CodeInvalidArgument, msg.ClassInvalidArgument,
			"%s is a workflow; start it, signal it or query it", k.declaration.name)}
	}
	return p.runtime.Turn(ctx, k.definition, t)
}

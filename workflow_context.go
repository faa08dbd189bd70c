package holdfast

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"time"

	"github.com/holdfast-io/holdfast/client"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/workflow"
)

// WorkflowContext is the context of a workflow: what comes from it is recorded,
// so that it is the same when the workflow is executed again. It belongs to the
// function that got it and to what Go, OnFailure and Cleanup give on.
type WorkflowContext struct {
	inner   *workflow.Context
	program *appProgram
}

var (
	_ Caller     = (*WorkflowContext)(nil)
	_ Sender     = (*WorkflowContext)(nil)
	_ turnSender = (*WorkflowContext)(nil)
	_ Performer  = (*WorkflowContext)(nil)
)

func (c *WorkflowContext) canPerform() *WorkflowContext { return c }

// on gives the context for another coroutine, or for the end of the run.
func (c *WorkflowContext) on(x *workflow.Context) *WorkflowContext {
	return &WorkflowContext{inner: x, program: c.program}
}

// ID is the workflow's id.
func (c *WorkflowContext) ID() string { return c.inner.Target().Key }

// Now is the time at which what the workflow knows last had happened. It does
// not advance while the workflow does not wait.
func (c *WorkflowContext) Now() time.Time { return c.inner.Now().Std() }

// NewID makes an id that nothing else has: 32 hexadecimal digits.
func (c *WorkflowContext) NewID() string { return c.inner.NewID() }

// Rand gives random numbers.
func (c *WorkflowContext) Rand() *mathrand.Rand { return c.inner.Rand() }

// Log is a logger that is silent while the workflow is executed again.
func (c *WorkflowContext) Log() *slog.Logger {
	target := c.inner.Target()
	return c.inner.Log().With("kind", target.Kind, "key", target.Key)
}

// Value gives what WithValue has put there; nil if nothing.
func (c *WorkflowContext) Value(key any) any { return c.inner.Value(key) }

// WithValue gives a context that carries a value as well, for code that it is
// handed to. The value must be the same in every execution.
func (c *WorkflowContext) WithValue(key, value any) *WorkflowContext {
	return c.on(c.inner.WithValue(key, value))
}

// Sleep waits. It survives everything; a millisecond or a year costs the same.
func (c *WorkflowContext) Sleep(d time.Duration) error {
	_, err := c.Timer(d).Await(c)
	return err
}

// Until waits for a time.
func (c *WorkflowContext) Until(t time.Time) error {
	_, err := c.timer(0, t).Await(c)
	return err
}

// Timer is ready when d has passed.
func (c *WorkflowContext) Timer(d time.Duration) *Future[Void] {
	return c.timer(max(d, 0), time.Time{})
}

func (c *WorkflowContext) timer(after time.Duration, at time.Time) *Future[Void] {
	due, err := dueAt(c.inner.Now(), after, at)
	if err != nil {
		c.inner.Fail(err)
	}
	return &Future[Void]{inner: c.inner.Timer(due), output: &voidShape}
}

var voidShape = shapeOf[Void]()

// Finish waits until everything that this workflow has sent has been done:
// handlers have returned, and workflows have ended. What they came to does not
// matter. Activities that were sent are not waited for.
func (c *WorkflowContext) Finish() error { return received(c.inner.Finish()) }

// Patch says which way to go where the code was changed: true for runs that come
// here for the first time with the new code, false for those that went the old
// way. The answer is part of the run.
func (c *WorkflowContext) Patch(name string) bool { return c.inner.Patch(name) }

// OnFailure registers a compensation. If the workflow ends with an error,
// compensations run, the last registered first, and cancellation does not reach
// them. Register it before what it undoes: what was waited for when ErrCancelled
// ended the wait may have been done.
func (c *WorkflowContext) OnFailure(undo func(ctx *WorkflowContext) error) {
	c.inner.OnFailure(c.closing(undo))
}

// Cleanup registers what is done when the workflow ends, however it ends, except
// by Terminate; cancellation does not reach it. The last registered comes first.
// An error fails a workflow that has not failed.
func (c *WorkflowContext) Cleanup(fn func(ctx *WorkflowContext) error) {
	c.inner.Cleanup(c.closing(fn))
}

func (c *WorkflowContext) closing(fn func(*WorkflowContext) error) func(*workflow.Context) *msg.Error {
	return func(x *workflow.Context) *msg.Error {
		if err := fn(c.on(x)); err != nil {
			return outcomeOf(err)
		}
		return nil
	}
}

// received makes an error as data one that callers compare.
func received(e *msg.Error) error {
	if e == nil {
		return nil
	}
	return &Error{Code: e.Code, Class: Class(e.Class), Message: e.Message, Detail: e.Detail}
}

// outgoing gives a request the form of the engine.
func (c *WorkflowContext) outgoing(r client.Request) (msg.Outgoing, error) {
	if r.Operation == client.Start && r.Key == "" {
		r.Key = c.inner.NewID()
	}
	return outgoing(c.inner.Now(), r)
}

func (c *WorkflowContext) begin(r client.Request) (*workflow.Future, error) {
	out, err := c.outgoing(r)
	if err != nil {
		return nil, err
	}
	switch r.Operation {
	case client.Call, client.Peek: // a workflow waits anyway, so it is given the newest state
		return c.inner.Call(out), nil
	case client.Exists:
		out.Kind = msg.MessageExists
		return c.inner.Call(out), nil
	case client.Delete:
		out.Kind = msg.MessageDelete
		return c.inner.Call(out), nil
	case client.Raise:
		return c.raise(out), nil
	case client.Start:
		policy, err := closePolicy(r.ParentClose)
		if err != nil {
			return nil, err
		}
		if failure := c.underLocks(&out); failure != nil {
			return workflow.Completed(failure), nil
		}
		return c.inner.Child(out, policy), nil
	}
	return nil, ErrInvalidArgument.Withf("a workflow cannot ask for %q; a client can", r.Operation)
}

func closePolicy(name string) (workflow.ParentClose, error) {
	switch ClosePolicy(name) {
	case "", CancelChild:
		return workflow.CloseCancel, nil
	case AbandonChild:
		return workflow.CloseAbandon, nil
	case WaitForChild:
		return workflow.CloseWait, nil
	}
	return 0, ErrInvalidArgument.Withf("%q is no ClosePolicy", name)
}

func (c *WorkflowContext) canWait(r client.Request) ([]byte, error) {
	f, err := c.begin(r)
	if err != nil {
		return nil, err
	}
	if err := c.inner.Await(f); err != nil {
		return nil, received(err)
	}
	payload, failure := f.Outcome()
	return payload.Body, received(failure)
}

func (c *WorkflowContext) canSend(r client.Request) {
	out, err := c.outgoing(r)
	if err != nil {
		c.fail(fmt.Errorf("send to %s/%s %s: %w", r.Kind, r.Key, r.Handler, err))
	}
	c.inner.Send(out)
}

func (c *WorkflowContext) tail(r client.Request) {
	out, err := c.outgoing(r)
	if err != nil {
		c.fail(fmt.Errorf("tail call of %s/%s %s: %w", r.Kind, r.Key, r.Handler, err))
	}
	c.inner.Tail(out)
}

// fail parks the run: its code asks for what cannot be.
func (c *WorkflowContext) fail(err error) { c.inner.Fail(err) }

// idFor makes up an id where a run is begun without one.
func idFor(s Sender, id string) string {
	if id == "" {
		return s.newID()
	}
	return id
}

func (c *WorkflowContext) newID() string { return c.NewID() }

// Performer may run activities and wait for them. Implemented by WorkflowContext
// and InitContext only.
type Performer interface{ canPerform() *WorkflowContext }

// Awaitable is any *Future or *Promise.
type Awaitable interface{ awaitable() *workflow.Future }

// Future is the result of something that a workflow has started.
type Future[T any] struct {
	inner  *workflow.Future
	output *shape // how the outcome travels; nil: value and err are it
	value  T
	err    error
}

func (f *Future[T]) awaitable() *workflow.Future { return f.inner }

// Await waits for the outcome. ErrCancelled if the workflow is asked to stop
// before it is there.
func (f *Future[T]) Await(ctx Performer) (v T, err error) {
	if err := ctx.canPerform().inner.Await(f.inner); err != nil {
		return v, received(err)
	}
	return f.outcome()
}

func (f *Future[T]) outcome() (v T, err error) {
	if f.output == nil {
		return f.value, f.err
	}
	payload, failure := f.inner.Outcome()
	if failure != nil {
		return v, received(failure)
	}
	if err := f.output.decode(payload, &v); err != nil {
		return v, fmt.Errorf("decode an outcome as %v: %w", f.output.value, err)
	}
	return v, nil
}

// settled is a future whose outcome is there.
func settled[T any](v T, err error) *Future[T] {
	f := &Future[T]{value: v, err: err}
	if err != nil {
		f.inner = workflow.Completed(outcomeOf(err))
		return f
	}
	f.inner = workflow.Completed(nil)
	return f
}

// start begins a call in a workflow.
func start[T any](ctx *WorkflowContext, d *handlerDeclaration, op client.Operation, key string, input any, opts []CallOption) *Future[T] {
	r, err := d.request(key, input)
	r.Operation = op
	for _, o := range opts {
		o.forCall(&r)
	}
	var none T
	if err != nil {
		return settled(none, err)
	}
	inner, err := ctx.begin(r)
	if err != nil {
		return settled(none, err)
	}
	return &Future[T]{inner: inner, output: &d.output}
}

func awaitables[A Awaitable](of []A) []*workflow.Future {
	list := make([]*workflow.Future, len(of))
	for i, a := range of {
		list[i] = a.awaitable()
	}
	return list
}

// Select waits until one of several is ready and returns it, to be compared in a
// switch: the first in argument order, if more than one is. ErrCancelled if the
// workflow is asked to stop before.
func Select(ctx *WorkflowContext, of ...Awaitable) (Awaitable, error) {
	i, err := ctx.inner.Select(awaitables(of))
	if err != nil {
		return nil, received(err)
	}
	return of[i], nil
}

// All waits for all results. The first error ends it.
func All[T any](ctx *WorkflowContext, of ...*Future[T]) ([]T, error) {
	failed, err := ctx.inner.All(awaitables(of))
	if err != nil {
		return nil, received(err)
	}
	if failed >= 0 {
		_, err := of[failed].outcome()
		return nil, err
	}
	results := make([]T, len(of))
	for i, f := range of {
		var err error
		if results[i], err = f.outcome(); err != nil {
			return nil, err
		}
	}
	return results, nil
}

// Any waits for the first success. If there is none, the error is the last
// one's in argument order.
func Any[T any](ctx *WorkflowContext, of ...*Future[T]) (v T, err error) {
	first, failure := ctx.inner.Any(awaitables(of))
	switch {
	case failure != nil:
		return v, received(failure)
	case first >= 0:
		return of[first].outcome()
	case len(of) == 0:
		return v, ErrInvalidArgument.Withf("Any of nothing")
	}
	return of[len(of)-1].outcome()
}

// Go runs fn beside the rest of the workflow. Strands run one at a time, each
// until it waits.
func Go[T any](ctx *WorkflowContext, fn func(ctx *WorkflowContext) (T, error)) *Future[T] {
	f := &Future[T]{}
	f.inner = ctx.inner.Go(func(x *workflow.Context) *msg.Error {
		if f.value, f.err = fn(ctx.on(x)); f.err != nil {
			return outcomeOf(f.err)
		}
		return nil
	})
	return f
}

// Promise is completed from outside through its reference.
type Promise[T any] struct {
	Future[T]
	id string
}

// NewPromise makes a promise.
func NewPromise[T any](ctx *WorkflowContext) *Promise[T] {
	form := shapeOf[T]()
	inner, id := ctx.inner.Promise()
	return &Promise[T]{Future[T]{inner: inner, output: &form}, id}
}

// Ref is the promise's address, for any message.
func (p *Promise[T]) Ref() PromiseRef[T] { return PromiseRef[T]{p.id} }

// PromiseRef names a promise. It can be stored and sent.
type PromiseRef[T any] struct{ ID string }

// Resolve completes the promise; durable when Resolve returns without an error.
// The second time is ErrAlreadyExists.
func (r PromiseRef[T]) Resolve(c *ClientContext, v T) error {
	form := shapeOf[T]()
	payload, err := form.encode(&v)
	if err != nil {
		return fmt.Errorf("encode the value of a promise, a %v: %w", form.value, err)
	}
	_, err = c.invoke(client.Request{Operation: client.Resolve, Promise: r.ID, Body: payload.Body})
	return err
}

// Reject fails the promise: the workflow gets err. The second time is
// ErrAlreadyExists.
func (r PromiseRef[T]) Reject(c *ClientContext, err error) error {
	e := outcomeOf(err)
	answer := failureAnswer{Code: e.Code, Class: Class(e.Class), Message: e.Message}
	if answer.Detail = e.Detail; !json.Valid(e.Detail) {
		answer.Detail, answer.DetailBase64 = nil, e.Detail
	}
	body, err := json.Marshal(answer)
	if err != nil {
		return fmt.Errorf("encode why a promise is rejected: %w", err)
	}
	_, err = c.invoke(client.Request{Operation: client.Reject, Promise: r.ID, Body: body})
	return err
}

// Context is for libraries that ask for one. It carries values and must not be
// waited for.
func (c *WorkflowContext) Context() context.Context { return context.WithoutCancel(c.inner.Std()) }

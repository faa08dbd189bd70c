// Package holdfast declares what the analyzer looks at. Its bodies do nothing.
package holdfast

import (
	"context"
	"log/slog"
	"math/rand"
	"time"
)

type Void struct{}

var None Void

type Ref struct{ Kind, Key string }

type Sender interface{ canSend() }

type Caller interface{ canWait() }

type Performer interface{ canPerform() }

type Part interface{ addTo() }

type turn struct{}

func (*turn) Key() string    { return "" }
func (*turn) Now() time.Time { return time.Time{} }

type sends struct{}

func (*sends) canSend() {}

type UpdateContext[S any] struct {
	turn
	sends
	State S
}

type EventContext[S any] struct {
	turn
	sends
	State S
}

type ReadContext[S any] struct {
	turn
	State S
}

type MachineContext[S any] struct {
	turn
	sends
	Data S
}

type InitContext struct{}

type WorkflowContext struct{ sends }

func (*WorkflowContext) canWait()                                        {}
func (*WorkflowContext) canPerform()                                     {}
func (*WorkflowContext) ID() string                                      { return "" }
func (*WorkflowContext) Now() time.Time                                  { return time.Time{} }
func (*WorkflowContext) NewID() string                                   { return "" }
func (*WorkflowContext) Rand() *rand.Rand                                { return nil }
func (*WorkflowContext) Log() *slog.Logger                               { return nil }
func (*WorkflowContext) Sleep(time.Duration) error                       { return nil }
func (*WorkflowContext) Until(time.Time) error                           { return nil }
func (*WorkflowContext) Timer(time.Duration) *Future[Void]               { return nil }
func (*WorkflowContext) OnFailure(undo func(ctx *WorkflowContext) error) {}
func (*WorkflowContext) Cleanup(fn func(ctx *WorkflowContext) error)     {}

type Client struct{}

func Dial(url string) *Client                             { return nil }
func (c *Client) With(ctx context.Context) *ClientContext { return nil }

type ClientContext struct{ context.Context }

func (*ClientContext) canWait() {}

type Future[T any] struct{}

func (f *Future[T]) awaitable()                           {}
func (f *Future[T]) Await(ctx Performer) (v T, err error) { return v, nil }

type Awaitable interface{ awaitable() }

func Select(ctx *WorkflowContext, of ...Awaitable) (Awaitable, error) { return nil, nil }
func All[T any](ctx *WorkflowContext, of ...*Future[T]) ([]T, error)  { return nil, nil }
func Go[T any](ctx *WorkflowContext, fn func(ctx *WorkflowContext) (T, error)) *Future[T] {
	return nil
}
func Step[T any](ctx *WorkflowContext, label string, fn func(ctx context.Context) (T, error)) (v T, err error) {
	return v, nil
}

type Entity[K ~string, S any] struct{}

func NewEntity[S any](kind string) Entity[string, S] { return Entity[string, S]{} }

type Update[K ~string, S, In, Out any] struct{}

func NewUpdate[In, Out, S any, K ~string](e Entity[K, S], name string) Update[K, S, In, Out] {
	return Update[K, S, In, Out]{}
}
func (u Update[K, S, In, Out]) Handle(fn func(ctx *UpdateContext[S], in In) (Out, error)) Part {
	return nil
}
func (u Update[K, S, In, Out]) Call(c Caller, key K, in In) (out Out, err error)      { return out, nil }
func (u Update[K, S, In, Out]) Start(ctx *WorkflowContext, key K, in In) *Future[Out] { return nil }
func (u Update[K, S, In, Out]) Send(s Sender, key K, in In)                           {}

type Workflow[In, Out any] struct{}

func NewWorkflow[In, Out any](name string) Workflow[In, Out]                              { return Workflow[In, Out]{} }
func (w Workflow[In, Out]) Handle(fn func(ctx *WorkflowContext, in In) (Out, error)) Part { return nil }
func (w Workflow[In, Out]) Call(c Caller, id string, in In) (out Out, err error)          { return out, nil }

type Loop[S any] struct{ Workflow[S, S] }

func NewLoop[S any](name string) Loop[S] { return Loop[S]{} }
func (l Loop[S]) Handle(turn func(ctx *WorkflowContext, state *S) (done bool, err error)) Part {
	return nil
}

type Query[In, Out any] struct{}

func NewQuery[In, Out, A, B any](w Workflow[A, B], name string) Query[In, Out] {
	return Query[In, Out]{}
}
func (q Query[In, Out]) Answer(ctx *WorkflowContext, fn func(In) (Out, error)) {}

type Activity[In, Out any] struct{}

func NewActivity[In, Out any](name string) Activity[In, Out]                             { return Activity[In, Out]{} }
func (a Activity[In, Out]) Handle(fn func(ctx context.Context, in In) (Out, error)) Part { return nil }
func (a Activity[In, Out]) Call(ctx Performer, in In) (out Out, err error)               { return out, nil }

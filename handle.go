package holdfast

import (
	"context"
	"reflect"

	"github.com/holdfast-io/holdfast/client"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// Sender may hand over messages that leave with the current turn. Only contexts
// of handlers that may change something implement it; from outside, use Submit.
type Sender interface {
	canSend(client.Request)
	newID() string
}

// Caller may wait for an answer. A turn cannot: it would hold its entity
// meanwhile. Implemented by WorkflowContext and ClientContext only.
type Caller interface {
	canWait(client.Request) ([]byte, error)
}

// turnSender is what the contexts of turns can do beyond Sender.
type turnSender interface {
	fail(error)
	tail(client.Request)
}

// Update is a declared handler that may change the state of an entity.
type Update[K ~string, S, In, Out any] struct{ declaration *handlerDeclaration }

// NewUpdate declares an update. Bind it with Handle.
func NewUpdate[In, Out, S any, K ~string](e Entity[K, S], name string, opts ...HandleOption) Update[K, S, In, Out] {
	return Update[K, S, In, Out]{newHandler(e.declaration, msg.ModeUpdate, name, position(),
		reflect.TypeFor[In](), reflect.TypeFor[Out](), opts)}
}

// Handle binds the function. What fn returns as an error is the outcome at the
// caller, and undoes the turn; see Keep.
func (u Update[K, S, In, Out]) Handle(fn func(ctx *UpdateContext[S], in In) (Out, error)) Part {
	declaration := u.declaration
	return &handlerBinding{declaration: declaration, at: position(), unset: fn == nil,
		prepare: func(state any) func(*servedHandler, context.Context, *msg.Turn) *msg.Outcome {
			codec := state.(*stateCodec[S])
			return func(h *servedHandler, ctx context.Context, t *msg.Turn) *msg.Outcome {
				r := &updateRun[S, In, Out]{codec: codec, fn: fn}
				r.ctx.turn.scope, r.ctx.sends.scope = &r.scope, &r.scope
				r.scope.begin(h, ctx, t)
				return r.scope.run(r)
			}
		}}
}

// Call runs the update and waits for its answer, which is durable then. An
// error that is not a context's says what became of the request: see Error.
// The request is repeated by itself after a lost answer and is done once.
func (u Update[K, S, In, Out]) Call(c Caller, key K, in In, opts ...CallOption) (out Out, err error) {
	err = u.declaration.call(c, client.Call, string(key), &in, &out, opts)
	return out, err
}

// Start begins a call in a workflow and returns at once.
func (u Update[K, S, In, Out]) Start(ctx *WorkflowContext, key K, in In, opts ...CallOption) *Future[Out] {
	return start[Out](ctx, u.declaration, client.Call, string(key), &in, opts)
}

// Send hands a message over when the current turn commits, and not at all if
// it does not. It cannot fail: what cannot be sent fails the turn.
func (u Update[K, S, In, Out]) Send(s Sender, key K, in In, opts ...SendOption) {
	r, err := u.declaration.request(string(key), &in)
	send(s, r, err, opts)
}

func send(s Sender, r client.Request, err error, opts []SendOption) {
	for _, o := range opts {
		o.forSend(&r)
	}
	if err == nil {
		s.canSend(r)
		return
	}
	if t, ok := s.(turnSender); ok {
		t.fail(err)
		return
	}
	panic(err)
}

// Submit hands a request over from outside. It is durable when Submit returns
// without an error, and runs some time after that.
func (u Update[K, S, In, Out]) Submit(c *ClientContext, key K, in In, opts ...SendOption) (Invocation[Out], error) {
	reply, err := u.declaration.submit(c, string(key), &in, opts)
	return Invocation[Out]{ID: reply.InvocationID, output: &u.declaration.output}, err
}

// Tail completes this handler and passes its caller on to another: return
// u.Tail(ctx, key, in). The caller gets the answer of the other handler.
func (u Update[K, S, In, Out]) Tail(s Sender, key K, in In) (out Out, err error) {
	r, err := u.declaration.request(string(key), &in)
	return out, tail(s, r, err)
}

// tail passes the caller on; the result is what the handler returns.
func tail(s Sender, r client.Request, err error) error {
	t, ok := s.(turnSender)
	if !ok {
		panic("holdfast: Tail of " + r.Kind + "/" + r.Handler + " outside of a turn")
	}
	if err != nil {
		t.fail(err)
		return err
	}
	t.tail(r)
	return errTailed
}

// Remind sets a named timer on the entity itself: when it fires, the entity
// gets the message. A reminder of the same name is replaced.
func (u Update[K, S, In, Out]) Remind(ctx *UpdateContext[S], name string, when Schedule, in In) {
	r, err := u.declaration.request("", &in)
	ctx.turn.scope.live().remind(u.declaration, name, when, r, err)
}

// To gives an address that can be stored and sent: whoever has it can send In.
func (u Update[K, S, In, Out]) To(key K) Address[In] {
	return addressOf[In](u.declaration, string(key))
}

func addressOf[In any](d *handlerDeclaration, key string) Address[In] {
	return Address[In]{Kind: d.kind.name, Key: key, Handler: d.name, Affinity: d.kind.affinityName()}
}

// Address is a typed destination that can be stored and sent. What is sent to
// it travels as JSON.
type Address[In any] struct {
	Kind, Key, Handler string
	Affinity           string `json:",omitempty"` // of the kind, if it declares one
}

// Send sends to whoever gave the address. It cannot fail: what cannot be sent
// fails the turn.
func (a Address[In]) Send(s Sender, in In, opts ...SendOption) {
	shape := shapeOf[In]()
	payload, err := shape.encode(&in)
	r := client.Request{Kind: a.Kind, Affinity: a.Affinity, Key: a.Key, Handler: a.Handler, Body: payload.Body}
	send(s, r, err, opts)
}

// Read is a declared handler that only looks.
type Read[K ~string, S, In, Out any] struct{ declaration *handlerDeclaration }

// NewRead declares a read. Bind it with Handle.
func NewRead[In, Out, S any, K ~string](e Entity[K, S], name string, opts ...HandleOption) Read[K, S, In, Out] {
	return Read[K, S, In, Out]{newHandler(e.declaration, msg.ModeRead, name, position(),
		reflect.TypeFor[In](), reflect.TypeFor[Out](), opts)}
}

// Handle binds the function. It works on a copy of the state.
func (r Read[K, S, In, Out]) Handle(fn func(ctx *ReadContext[S], in In) (Out, error)) Part {
	declaration := r.declaration
	return &handlerBinding{declaration: declaration, at: position(), unset: fn == nil,
		prepare: func(state any) func(*servedHandler, context.Context, *msg.Turn) *msg.Outcome {
			codec := state.(*stateCodec[S])
			return func(h *servedHandler, ctx context.Context, t *msg.Turn) *msg.Outcome {
				r := &readRun[S, In, Out]{codec: codec, fn: fn}
				r.ctx.turn.scope = &r.scope
				r.scope.begin(h, ctx, t)
				return r.scope.run(r)
			}
		}}
}

// Call runs the read and waits for its answer. Everything that the answer rests
// on is durable then.
func (r Read[K, S, In, Out]) Call(c Caller, key K, in In, opts ...CallOption) (out Out, err error) {
	err = r.declaration.call(c, client.Call, string(key), &in, &out, opts)
	return out, err
}

// Start begins a call in a workflow and returns at once.
func (r Read[K, S, In, Out]) Start(ctx *WorkflowContext, key K, in In, opts ...CallOption) *Future[Out] {
	return start[Out](ctx, r.declaration, client.Call, string(key), &in, opts)
}

// Peek answers from the last committed state and waits for no lock or event, so
// it may be older than what Call would see. In a workflow it is Call.
func (r Read[K, S, In, Out]) Peek(c Caller, key K, in In, opts ...CallOption) (out Out, err error) {
	err = r.declaration.call(c, client.Peek, string(key), &in, &out, opts)
	return out, err
}

// NoResult adapts a handler without a result.
func NoResult[C, In any](fn func(ctx C, in In) error) func(C, In) (Void, error) {
	return func(ctx C, in In) (Void, error) { return None, fn(ctx, in) }
}

// NoInput adapts a handler without an input.
func NoInput[C, Out any](fn func(ctx C) (Out, error)) func(C, Void) (Out, error) {
	return func(ctx C, _ Void) (Out, error) { return fn(ctx) }
}

// Plain adapts a handler with neither input nor result.
func Plain[C any](fn func(ctx C) error) func(C, Void) (Void, error) {
	return func(ctx C, _ Void) (Void, error) { return None, fn(ctx) }
}

package holdfast

import (
	"context"
	"log/slog"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/workflow"
)

// InitContext is the context of an initialiser, EntityOptions.OnCreate: what
// comes from it is recorded, as that of a workflow is. It runs activities and
// steps, and talks to no other entity.
type InitContext struct{ inner *WorkflowContext }

var _ Performer = (*InitContext)(nil)

func (c *InitContext) canPerform() *WorkflowContext { return c.inner }

// Key is the key of the entity that is being created.
func (c *InitContext) Key() string { return c.inner.ID() }

// Now is the time at which what the initialiser knows last had happened.
func (c *InitContext) Now() time.Time { return c.inner.Now() }

// NewID makes an id that nothing else has: 32 hexadecimal digits.
func (c *InitContext) NewID() string { return c.inner.NewID() }

// Log is a logger that is silent while the initialiser is executed again.
func (c *InitContext) Log() *slog.Logger { return c.inner.Log() }

// initialiser creates entities of a kind: a *stateCodec[S].
type initialiser interface {
	create(ctx *InitContext) (root msg.Payload, failure *msg.Error)
}

// create runs OnCreate. Maps and lists that it fills are in the root; the first
// update stores their entries one by one.
func (c *stateCodec[S]) create(ctx *InitContext) (root msg.Payload, failure *msg.Error) {
	state, err := c.options.OnCreate(ctx)
	if err != nil {
		return root, outcomeOf(err)
	}
	root, err = c.encode(&state)
	if err != nil {
		return root, msg.Errorf(msg.CodeFailed, msg.ClassFailed, "encode the first state of %v: %v", ctx.inner.inner.Target(), err)
	}
	return root, nil
}

// initialiser is an initialiser as the runtime runs it. A panic is the outcome
// of who wanted the entity, as that of an update is.
func (p *appProgram) initialiser(k *servedKind, of initialiser) *workflow.Definition {
	return &workflow.Definition{Name: k.declaration.name, PanicFails: true,
		Run: func(x *workflow.Context, _ msg.Payload) (msg.Payload, *msg.Error) {
			return of.create(&InitContext{&WorkflowContext{inner: x, program: p}})
		}}
}

// initialise takes an initialiser through a turn.
func (p *appProgram) initialise(ctx context.Context, k *servedKind, t *msg.Turn) *msg.Outcome {
	o := p.runtime.Turn(ctx, k.definition, t)
	if o.Ended && o.Err == nil {
		o.Version = uint32(k.stateVersion)
	}
	return o
}

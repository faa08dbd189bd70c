package holdfast

import (
	"github.com/holdfast-io/holdfast/client"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/workflow"
)

// lockOptions are the keys that a workflow names.
type lockOptions struct {
	locks, shares, requires func(input msg.Payload) ([]Ref, error)
}

// Locks names the keys that a run holds alone from its beginning to its end: a
// key is held for every kind of its affinity. Whoever else comes there waits. In
// the run, what is asked of another key is ErrConflict, and what could only wait
// for the run itself is ErrWouldDeadlock.
func (b *WorkflowBinding[In]) Locks(keys func(In) []Ref) *WorkflowBinding[In] {
	b.binding.workflow.locks = namedBy(b, keys)
	return b
}

// Shares names keys that a run holds shared: reads may begin there, also those of
// others, and updates wait.
func (b *WorkflowBinding[In]) Shares(keys func(In) []Ref) *WorkflowBinding[In] {
	b.binding.workflow.shares = namedBy(b, keys)
	return b
}

// Requires names the keys that whoever begins a run must hold already; the run
// works under those locks. Only a workflow that holds them can begin it.
func (b *WorkflowBinding[In]) Requires(keys func(In) []Ref) *WorkflowBinding[In] {
	b.binding.workflow.requires = namedBy(b, keys)
	return b
}

func namedBy[In any](b *WorkflowBinding[In], keys func(In) []Ref) func(msg.Payload) ([]Ref, error) {
	d := b.binding.declaration
	if keys == nil {
		return nil
	}
	return func(input msg.Payload) ([]Ref, error) {
		var in In
		if err := d.input.decode(input, &in); err != nil {
			return nil, err
		}
		return keys(in), nil
	}
}

// lockKeys gives the keys of a run with this input: those that it takes, and those
// that whoever begins it must hold.
func (o *workflowOptions) lockKeys(p *appProgram, input msg.Payload) (takes, needs []msg.LockKey, failure *msg.Error) {
	for _, named := range []struct {
		by     func(msg.Payload) ([]Ref, error)
		to     *[]msg.LockKey
		shared bool
	}{{o.locks, &takes, false}, {o.shares, &takes, true}, {o.requires, &needs, false}} {
		if named.by == nil {
			continue
		}
		refs, err := named.by(input)
		if err != nil {
			return nil, nil, msg.Errorf(msg.CodeInvalidArgument, msg.ClassInvalidArgument, "the keys of a workflow: %v", err)
		}
		for _, ref := range refs {
			*named.to = append(*named.to, msg.LockKey{Ref: p.space(ref), Shared: named.shared})
		}
	}
	return takes, needs, nil
}

// space is what is locked when a ref is.
func (p *appProgram) space(ref Ref) msg.Ref {
	space := msg.Ref{Kind: ref.Kind, Key: ref.Key}
	if k := p.kinds[ref.Kind]; k != nil && k.declaration.affinity != nil {
		space.Kind = k.declaration.affinity.name
	}
	return space
}

// underLocks lets a child work under the locks of its parent, if it names keys
// and the parent holds them. Otherwise it could only wait for its parent.
func (c *WorkflowContext) underLocks(out *msg.Outgoing) *msg.Error {
	k := c.program.kinds[out.Target.Kind]
	if !c.inner.Locked() || k == nil || len(k.bindings) == 0 || k.bindings[0].workflow == nil {
		return nil
	}
	takes, needs, failure := k.bindings[0].workflow.lockKeys(c.program, out.Payload)
	if failure != nil || len(takes)+len(needs) == 0 {
		return failure
	}
	if out.Hold = c.inner.Holds(append(takes, needs...)); !out.Hold {
		return msg.Errorf(msg.CodeWouldDeadlock, msg.ClassConflict, "%s works with keys that this run, which works under locks, does not hold", out.Target)
	}
	return nil
}

// raise gives the request of an event the form of the engine.
func raise(out *msg.Outgoing, r *client.Request) {
	out.Kind, out.Target, out.Affinity = msg.MessageEventPrepare, msg.Ref{}, ""
	for _, ref := range r.Refs {
		out.Refs = append(out.Refs, msg.Ref{Kind: ref.Kind, Key: ref.Key})
	}
}

// raise begins an event in a workflow.
func (c *WorkflowContext) raise(out msg.Outgoing) *workflow.Future {
	var keys []msg.LockKey
	for _, ref := range out.Refs {
		keys = append(keys, msg.LockKey{Ref: c.program.space(Ref{Kind: ref.Kind, Key: ref.Key})})
	}
	return c.inner.Raise(out, keys)
}

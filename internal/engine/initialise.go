package engine

import (
	"github.com/holdfast-io/holdfast/internal/msg"
)

// This file creates entities whose first state takes more than a function. The
// initialiser is taken through its turns as a workflow is, at the key that it
// creates: the instance has a journal and a header until it has ended, and what
// else comes for the key waits in the queue.

// initialising says that the entity is being created.
func (i *instance) initialising() bool {
	return i.workflow() != nil && i.kind != nil && i.kind.Form == msg.FormEntity
}

// initialise begins to create an entity. The input that wants it stays first in
// the queue.
func (p *Partition) initialise(in *input) {
	p.putBack(in)
	r := p.recordOf(in.target)
	r.Workflow = &msg.Workflow{
		Run: p.index + 1, Status: msg.WorkflowRunning, Begin: []msg.Delivery{{Kind: msg.DeliveryStart}},
		CodeVersion: p.config.CodeVersion, StartedAt: p.now,
	}
	p.commit(r)
}

// initialised ends the creation: the entity exists with its first state, or who
// wanted it hears why it does not. The next in the queue may try again.
func (p *Partition) initialised(r *msg.Record, i *instance, o *msg.Outcome) {
	p.dropOutstanding(r, i)
	r.Workflow = &msg.Workflow{} // there is none any more
	r.Changes = []msg.Change{{Kind: msg.ChangeClear, Field: msg.JournalField}}
	err := o.Err
	if limit := p.stateBytesMax(i); err == nil && len(o.Output.Body) > limit {
		err = stateTooLarge(i, len(o.Output.Body), limit)
	}
	if err == nil {
		r.Changes = append(r.Changes, msg.Change{
			Kind: msg.ChangeRoot, Value: o.Output.Body, ContentType: o.Output.ContentType, StateVersion: o.Version})
	}
	p.commit(r)
	i.owned.previous = 0
	if err == nil {
		return
	}
	for n := range i.live.queue.Len() {
		if in := *i.live.queue.At(n); in.mode() == msg.ModeUpdate {
			p.complete(p.take(i, n), &msg.Outcome{Err: err})
			return
		}
	}
}

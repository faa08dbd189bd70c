package workflow

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// ParentClose says what becomes of a child when its parent ends.
type ParentClose uint8

// What becomes of a child when its parent ends.
const (
	CloseCancel  ParentClose = iota // it is asked to stop
	CloseAbandon                    // nothing
	CloseWait                       // its parent ends after it
)

// abandoned is the output of a child's step if nothing becomes of it: the engine
// ends children when it ends their parent.
const abandoned = "abandon"

// child is a workflow that another has begun and that has not ended.
type child struct {
	target   msg.Ref
	affinity string
	policy   ParentClose
	told     bool // it was asked to stop
}

// Child begins another workflow.
func (x *Context) Child(o msg.Outgoing, policy ParentClose) *Future {
	r := x.live()
	if x.refused(r) {
		return Completed(errCancelled())
	}
	f := x.message(msg.StepChild, o)
	r.emit(func(to *msg.Outcome) {
		if policy == CloseAbandon {
			to.Steps[len(to.Steps)-1].Output.Body = []byte(abandoned)
		}
	})
	if r.children == nil {
		r.children = map[msg.StepNumber]*child{}
	}
	r.children[r.steps] = &child{target: o.Target, affinity: o.Affinity, policy: policy}
	return f
}

// cancelChild asks a child to stop, unless it is to outlive its parent.
func (r *run) cancelChild(step msg.StepNumber) {
	c := r.children[step]
	if c == nil || c.policy == CloseAbandon || c.told {
		return
	}
	c.told = true
	r.emit(func(o *msg.Outcome) {
		o.Sends = append(o.Sends, msg.Outgoing{Target: c.target, Affinity: c.affinity, Kind: msg.MessageCancel})
	})
}

// OnFailure registers what undoes something if the workflow fails.
func (x *Context) OnFailure(undo func(*Context) *msg.Error) {
	r := x.live()
	r.compensations = append(r.compensations, x.atEnd(undo))
}

// Cleanup registers what is done when the workflow ends, in any way.
func (x *Context) Cleanup(fn func(*Context) *msg.Error) {
	r := x.live()
	r.cleanups = append(r.cleanups, x.atEnd(fn))
}

// atEnd is a function that runs when the workflow ends, with the values of the
// context that it was registered with.
func (x *Context) atEnd(fn func(*Context) *msg.Error) func() *msg.Error {
	own := &Context{run: x.run, shielded: true, values: x.values}
	return func() *msg.Error { return fn(own) }
}

// Tail makes a message the end of the run: whoever waits for the run is told
// what that comes to.
func (x *Context) Tail(o msg.Outgoing) {
	r := x.live()
	if r.tail != nil {
		x.Fail(fmt.Errorf("Tail was used twice; a run passes its callers on once"))
	}
	r.tail = &o
}

// Tailed says whether Tail was used.
func (x *Context) Tailed() bool { return x.live().tail != nil }

// Outstanding says what was asked for and has not come: calls, activities,
// workflows, promises and coroutines, but neither timers nor messages.
func (x *Context) Outstanding() (list []string) {
	r := x.live()
	for _, step := range sorted(r.open) {
		switch f := r.open[step]; f.kind {
		case msg.StepTimer, msg.StepSend:
		default:
			list = append(list, fmt.Sprintf("step %d (%s)", step, words[f.kind]))
		}
	}
	running := 0
	for _, c := range r.coroutines {
		if !c.done && !c.held && c != r.current {
			running++
		}
	}
	if running > 0 {
		list = append(list, fmt.Sprintf("%d of what Go began", running))
	}
	return list
}

// conclude is what comes after the function of a workflow, on its coroutine:
// compensation if it has failed, clean-up, and the wait for children.
func (r *run) conclude(output msg.Payload, err *msg.Error) {
	if r.closing {
		return // a panic elsewhere has ended the workflow
	}
	r.closing = true
	if err != nil {
		err = r.compensate(err)
	}
	for len(r.cleanups) > 0 {
		cleanup := r.cleanups[len(r.cleanups)-1]
		r.cleanups = r.cleanups[:len(r.cleanups)-1]
		if failure := cleanup(); failure != nil && err == nil {
			err = failure
		}
	}
	r.awaitChildren(&Context{run: r, shielded: true})
	r.awaitHeld()
	r.finish(output, err)
}

// compensate undoes what was done, the last first. What cannot be undone is
// added to the error.
func (r *run) compensate(err *msg.Error) *msg.Error {
	for len(r.compensations) > 0 {
		undo := r.compensations[len(r.compensations)-1]
		r.compensations = r.compensations[:len(r.compensations)-1]
		if failure := undo(); failure != nil {
			with := *err
			with.Message += "; compensation: " + failure.Error()
			err = &with
		}
	}
	return err
}

func (r *run) awaitChildren(x *Context) {
	for _, step := range sorted(r.children) {
		if r.children[step].policy == CloseWait {
			_ = x.Await(r.open[step]) // it is shielded, and what the child came to is its own business
		}
	}
}

// finish ends the run.
func (r *run) finish(output msg.Payload, err *msg.Error) {
	r.ended = true
	for _, step := range sorted(r.children) {
		r.cancelChild(step)
	}
	r.emit(func(o *msg.Outcome) {
		o.Ended = true
		switch {
		case err != nil:
			o.Err = err
		case r.tail == nil:
			o.Output = output
		default:
			o.Tail = r.tail
			if r.tail.Target == r.target {
				o.Begin = r.unreceived()
			}
		}
	})
}

// unreceived gives the signals that nobody has received, in the order in which
// they came.
func (r *run) unreceived() (list []msg.Delivery) {
	type arrived struct {
		name string
		queued
	}
	var all []arrived
	for name, s := range r.signals {
		for _, q := range s.queue {
			all = append(all, arrived{name, q})
		}
	}
	slices.SortFunc(all, func(a, b arrived) int { return cmp.Compare(a.order, b.order) })
	for _, a := range all {
		list = append(list, msg.Delivery{Kind: msg.DeliverySignal, Name: a.name, Payload: a.payload})
	}
	return list
}

package workflow

import (
	"fmt"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// holding is what a run knows of the locks that it works under: which keys, by
// their space, and whether they are shared.
type holding struct{ shared map[msg.Ref]bool }

// TakeLocks makes the run work under locks: of those that it takes and, if it was
// begun under the locks of another, of those that it needs. Who began it has seen
// that it holds all of them.
func (x *Context) TakeLocks(takes, needs []msg.LockKey) *msg.Error {
	switch {
	case len(takes)+len(needs) == 0:
		return nil
	case x.live().inherits:
		x.workUnder(append(takes, needs...))
		return nil
	case len(needs) > 0:
		return msg.Errorf(msg.CodeConflict, msg.ClassConflict,
			"the workflow requires keys that whoever begins it holds: begin it from a workflow that names them in Locks")
	}
	return x.lock(takes)
}

// lock asks for keys and waits until the run holds them all.
func (x *Context) lock(keys []msg.LockKey) *msg.Error {
	r := x.live()
	if x.refused(r) {
		return errCancelled()
	}
	h := hashing(nil).number(uint64(msg.StepLock))
	for _, k := range keys {
		shared := uint64(0)
		if k.Shared {
			shared = 1
		}
		h = h.text(k.Ref.Kind).text(k.Ref.Key).number(shared)
	}
	step, f := x.begin(r, wish{kind: msg.StepLock, name: [3]string{fmt.Sprintf("%d keys", len(keys))}, hash: h.sum()})
	r.emit(func(o *msg.Outcome) { o.Lock = &msg.LockKeys{Step: step, Keys: keys} })
	if err := x.Await(f); err != nil {
		return err
	}
	if _, err := f.Outcome(); err != nil {
		return err
	}
	x.workUnder(keys)
	return nil
}

// workUnder says which keys are held for the run, by itself or by who began it.
func (x *Context) workUnder(keys []msg.LockKey) {
	r := x.live()
	r.held = &holding{shared: map[msg.Ref]bool{}}
	for _, k := range keys {
		shared, twice := r.held.shared[k.Ref]
		r.held.shared[k.Ref] = k.Shared && (shared || !twice)
	}
}

// Holds says whether the run works under the lock of each key, as it is wanted.
func (x *Context) Holds(keys []msg.LockKey) bool {
	held := x.live().held
	for _, k := range keys {
		shared, ok := false, false
		if held != nil {
			shared, ok = held.shared[k.Ref]
		}
		if !ok || shared && !k.Shared {
			return false
		}
	}
	return true
}

// Locked says whether the run works under locks.
func (x *Context) Locked() bool { return x.live().held != nil }

// refuseUnheld says that a run under locks does nothing at a key that it does not
// hold: it would wait there while others wait for it.
func (r *run) refuseUnheld(key msg.Ref) *msg.Error {
	if r.held == nil {
		return nil
	}
	if _, ok := r.held.shared[key]; ok {
		return nil
	}
	return msg.Errorf(msg.CodeConflict, msg.ClassConflict,
		"%s works under locks, and %s is not among its keys; name it in Locks", r.target, key)
}

// space is what is locked when a message is for an entity.
func space(o *msg.Outgoing) msg.Ref {
	if o.Affinity != "" {
		return msg.Ref{Kind: o.Affinity, Key: o.Target.Key}
	}
	return o.Target
}

// Raise raises an event; the future is ready when it is applied everywhere. The
// keys are those that it names, by their space.
func (x *Context) Raise(o msg.Outgoing, keys []msg.LockKey) *Future {
	r := x.live()
	if r.held != nil {
		for _, k := range keys {
			if err := r.refuseUnheld(k.Ref); err != nil {
				return Completed(err)
			}
		}
		o.Hold = true
	}
	return x.message(msg.StepEvent, o)
}

// errUnderLocks says what a run under locks could only wait for in vain.
func errUnderLocks(what string) *msg.Error {
	return msg.Errorf(msg.CodeWouldDeadlock, msg.ClassConflict, "%s under locks could wait for a key that the run itself holds", what)
}

// awaitHeld waits for everything that was asked for under locks, so that nothing
// of it comes after they are given back: by this run, or by the one that waits for
// it.
func (r *run) awaitHeld() {
	if r.held == nil {
		return
	}
	x := &Context{run: r, shielded: true}
	for _, step := range sorted(r.open) {
		f := r.open[step]
		if f == nil || r.children[step] != nil && r.children[step].policy == CloseAbandon {
			continue
		}
		switch f.kind {
		case msg.StepCall, msg.StepEvent, msg.StepChild, msg.StepActivity:
			f.shielded = true
			_ = x.Await(f) // what it comes to is not asked for any more
		}
	}
}

package engine

import (
	"slices"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// This file says what may begin at a key that is locked. What is locked is a key
// in a space: the affinity of its kind, or where that has none, the kind. Who
// holds it is kept by the instance that has the space's name for a kind, the
// owner; instances of other kinds of the space with the same key are beside it.

// space is what is locked when a ref is.
func (p *Partition) space(ref msg.Ref) msg.Ref {
	if k := p.kinds[ref.Kind]; k != nil && k.Affinity != "" {
		ref.Kind = k.Affinity
	}
	return ref
}

// beside calls do for every instance of a space.
func (p *Partition) beside(space msg.Ref, do func(*instance)) {
	for _, kind := range p.spaces[space.Kind] {
		if i := p.find(msg.Ref{Namespace: space.Namespace, Kind: kind, Key: space.Key}); i != nil {
			do(i)
		}
	}
}

// locks are the holders of the lock that the instance owns.
func (i *instance) locks() []msg.LockHolder {
	if i.owned == nil {
		return nil
	}
	return i.owned.locks
}

func findHolder(list []msg.LockHolder, h msg.Holder) *msg.LockHolder {
	for n := range list {
		if list[n].Holder == h {
			return &list[n]
		}
	}
	return nil
}

func isExclusive(list []msg.LockHolder) bool { return len(list) > 0 && !list[0].Shared }

// foldLock folds one change of a lock.
func (p *Partition) foldLock(i *instance, c *msg.LockChange, at msg.Time) {
	o := i.own()
	place := slices.IndexFunc(o.locks, func(h msg.LockHolder) bool { return h.Holder == c.Holder })
	switch {
	case c.Released && place >= 0:
		o.locks = slices.Delete(o.locks, place, place+1)
	case !c.Released && place < 0:
		o.locks = append(o.locks, msg.LockHolder{Holder: c.Holder, Shared: c.Shared, Since: at})
	}
	p.listLock(i)
}

// listLock keeps the list of what is locked.
func (p *Partition) listLock(i *instance) {
	place := (&msg.Lock{Key: i.ref}).Place()
	if len(i.locks()) > 0 {
		p.locked.Set(place, i)
	} else {
		p.locked.Delete(place)
	}
}

// isFenced says that something may have to wait for a lock, somewhere.
func (p *Partition) isFenced() bool { return p.locked.Len()+p.requests+p.prepared > 0 }

// fence is what inputs of an instance may have to wait for.
type fence struct {
	holders []msg.LockHolder
	request *input // for the lock: first in the queue of its owner, which is another instance; nil: none
}

func (p *Partition) fence(i *instance) (f fence) {
	if i.kind == nil || i.kind.Affinity == "" || i.kind.Affinity == i.ref.Kind {
		f.holders = i.locks()
		return f
	}
	owner := p.find(p.space(i.ref))
	if owner == nil {
		return f
	}
	f.holders = owner.locks()
	if l := owner.live; l != nil && l.queue.Len() > 0 {
		if first := *l.queue.At(0); first.message.Kind == msg.MessageLockRequest {
			f.request = first
		}
	}
	return f
}

// isClosed says that even reads have to wait at an instance, unless they are
// done under its lock: it is locked, or an event is prepared.
func (p *Partition) isClosed(i *instance) bool {
	if !p.isFenced() {
		return false
	}
	f := p.fence(i)
	return isExclusive(f.holders) || i.prepared() != nil
}

// verdict says whether an input may begin.
type verdict int

const (
	waits  verdict = iota
	begins         // if nothing is before it that waits
	passes         // whatever is before it
)

// next takes the first input out of a queue that may begin; nil if all have to
// wait. The order of those that wait stays.
func (p *Partition) next(i *instance) *input {
	l := i.live
	if !p.isFenced() {
		l.passed = 0
		in := p.dequeue(i)
		in.refused = lost(in, &fence{})
		return in
	}
	f := p.fence(i)
	for ; l.passed < l.queue.Len(); l.passed++ {
		in := *l.queue.At(l.passed)
		switch verdict := p.judge(in, &f); {
		case verdict == passes, verdict == begins && l.passed == 0:
		case deadlocks(in, &f):
			in.refused = msg.Errorf(msg.CodeWouldDeadlock, msg.ClassConflict,
				"%s is locked by a workflow that waits for this: it would wait for itself", i.ref)
		default:
			continue
		}
		passed := l.passed
		in = p.take(i, passed)
		l.passed = passed
		return in
	}
	return nil
}

// judge says whether an input may begin as far as locks are concerned.
func (p *Partition) judge(in *input, f *fence) verdict {
	m := in.message
	switch {
	case m.Kind == msg.MessageLockRequest:
		return p.judgeRequest(in)
	case isPrepared(in.target, m):
		return passes // again, after a crash
	}
	in.refused = lost(in, f)
	switch {
	case in.refused != nil:
		return passes
	case in.target.prepared() != nil:
		return waits
	case !m.Hold.IsZero():
		return passes
	case p.isPreparedBeside(in):
		return passes
	case len(f.holders) > 0 && (isExclusive(f.holders) || !in.reads()):
		return waits
	case f.request != nil && f.request.order < in.order:
		return waits
	}
	return begins
}

// lost says why an operation under a lock is not done; nil if it is.
func lost(in *input, f *fence) *msg.Error {
	switch h := findHolder(f.holders, in.message.Hold); {
	case in.message.Hold.IsZero():
		return nil
	case h == nil:
		return msg.Errorf(msg.CodeConflict, msg.ClassConflict, "%s does not hold the lock of %s, or has lost it",
			in.message.Hold.Workflow, in.target.ref)
	case h.Shared && !in.reads():
		return msg.Errorf(msg.CodeConflict, msg.ClassConflict, "%s holds the lock of %s shared, which allows only reads",
			in.message.Hold.Workflow, in.target.ref)
	}
	return nil
}

// deadlocks says that an input waits for a holder who waits for the input.
func deadlocks(in *input, f *fence) bool {
	return slices.ContainsFunc(in.message.Chain, func(h msg.Holder) bool { return findHolder(f.holders, h) != nil })
}

// reads says that an input changes nothing.
func (in *input) reads() bool {
	return in.operation == msg.OperationExists || in.mode() == msg.ModeRead
}

// judgeRequest says whether a lock may be given.
func (p *Partition) judgeRequest(in *input) verdict {
	i, m := in.target, in.message
	held := i.locks()
	switch {
	case findHolder(held, m.Hold) != nil:
		return passes // given before a crash
	case len(held) >= p.config.Limits.WaitersMax, isExclusive(held), len(held) > 0 && !m.Keys[placeOf(m, i.ref)].Shared, p.isBusy(i):
		return waits
	}
	return begins
}

// isBusy says that something goes on at the key of an owner.
func (p *Partition) isBusy(owner *instance) (busy bool) {
	p.beside(owner.ref, func(i *instance) {
		busy = busy || i.live != nil && i.live.running != nil || i.initialising() || i.prepared() != nil
	})
	return busy
}

// unfence lets what waits at a key go on, since what it waits for has changed.
// What came before a request for the lock begins before it.
func (p *Partition) unfence(space msg.Ref) {
	p.beside(space, func(i *instance) {
		if i.ref != space {
			p.startAgain(i)
		}
	})
	if owner := p.find(space); owner != nil {
		p.startAgain(owner)
	}
}

func (p *Partition) startAgain(i *instance) {
	if i.live != nil {
		i.live.passed = 0
		p.start(i)
	}
}

// startOwner lets a request for a lock go on that waits for what has ended at an
// instance.
func (p *Partition) startOwner(i *instance) {
	if p.requests == 0 || i.kind == nil || i.kind.Affinity == "" {
		return
	}
	if owner := p.find(p.space(i.ref)); owner != nil && owner != i {
		p.startAgain(owner)
	}
}

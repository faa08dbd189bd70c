package engine

import (
	"slices"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// This file takes locks for workflows, and gives them back. One message takes
// all keys of a run, in their order; when the run ends another follows it on the
// same way, and cannot overtake it.

// askLocks lets a record ask for the locks that a run wants to hold. It reports
// whether that changes how the workflow stands.
func (p *Partition) askLocks(r *msg.Record, i *instance, w *msg.Workflow, want *msg.LockKeys, traceparent string) bool {
	to := msg.ReplyTo{Origin: p.config.Partition, Target: i.ref, Run: w.Run, Step: want.Step}
	keys := make([]msg.LockKey, len(want.Keys))
	for n, k := range want.Keys {
		keys[n] = msg.LockKey{Ref: p.space(k.Ref), Shared: k.Shared}
	}
	keys = p.inOrder(keys)
	if err := p.refuseLocks(w, keys); err != nil || len(keys) == 0 {
		p.sendReply(r, i.ref, &to, &msg.Answer{Err: err}, traceparent)
		return false
	}
	w.Locks = keys
	p.forward(r, &msg.Message{
		Kind: msg.MessageLockRequest, Sender: i.ref, Hold: msg.Holder{Workflow: i.ref, Run: w.Run}, Keys: keys,
		ReplyTo: to, Deadline: want.Deadline, Traceparent: traceparent,
	}, 0)
	return true
}

// refuseLocks says why a run cannot have locks; nil if it can.
func (p *Partition) refuseLocks(w *msg.Workflow, keys []msg.LockKey) *msg.Error {
	switch {
	case len(keys) > msg.KeysMax:
		return msg.Errorf(msg.CodeResourceExhausted, msg.ClassExhausted, "%d keys are to be locked, the limit is %d", len(keys), msg.KeysMax)
	case len(w.Locks) > 0:
		return msg.Errorf(msg.CodeWouldDeadlock, msg.ClassConflict,
			"the run has locks already, and two runs that take theirs one after another can wait for each other; name all keys together")
	case len(w.Chain) > 0:
		return msg.Errorf(msg.CodeWouldDeadlock, msg.ClassConflict,
			"%s holds locks and waits for this run; let it hold these keys, too", w.Chain[len(w.Chain)-1].Workflow)
	}
	for n := range keys {
		if p.kinds[keys[n].Ref.Kind].isWorkflow() {
			return msg.Errorf(msg.CodeInvalidArgument, msg.ClassInvalidArgument, "%s is a workflow; only keys of entities can be locked", keys[n].Ref)
		}
	}
	return nil
}

// underLocks says in a message of a workflow under whose locks it is done, and
// who waits for it.
func underLocks(m *msg.Message, i *instance, w *msg.Workflow, hold bool) {
	own := msg.Holder{Workflow: i.ref, Run: w.Run}
	switch {
	case hold && len(w.Locks) > 0:
		m.Hold = own
	case hold:
		m.Hold = w.Hold
	}
	if m.ReplyTo.IsZero() || m.Kind == msg.MessageSend {
		return // nothing waits for it, even if a step hears of its end
	}
	if m.Chain = w.Chain; len(w.Locks) > 0 {
		m.Chain = append(m.Chain[:len(m.Chain):len(m.Chain)], own)
	}
}

// grant gives a lock to a request whose turn it is.
func (p *Partition) grant(in *input) {
	m, i := in.message, in.target
	if m.Deadline > 0 && p.now > m.Deadline {
		p.failVisit(in, tooLate(in))
		return
	}
	r := p.recordOf(i)
	shared := m.Keys[placeOf(m, i.ref)].Shared
	if findHolder(i.locks(), m.Hold) == nil {
		r.Locks = append(r.Locks, msg.LockChange{Holder: m.Hold, Shared: shared})
	}
	p.goOn(r, in)
	if shared {
		p.unfence(i.ref) // others may look
	}
}

// returnLocks lets a record give back what a run holds, and take back its
// request.
func (p *Partition) returnLocks(r *msg.Record, i *instance, w *msg.Workflow) {
	if len(w.Locks) == 0 {
		return
	}
	p.forward(r, &msg.Message{
		Kind: msg.MessageLockRelease, Sender: i.ref, Hold: msg.Holder{Workflow: i.ref, Run: w.Run}, Keys: w.Locks}, 0)
	w.Locks = nil
}

// takeRelease gives back what a holder has in this partition.
func (p *Partition) takeRelease(m *msg.Message) {
	place := placeOf(m, m.Target)
	for ; p.isHere(m, place); place++ {
		p.giveBack(m.Keys[place].Ref, m.Hold)
	}
	r := p.record(msg.RecordStep)
	r.Consumed = append(r.Consumed, m.ID)
	if place < len(m.Keys) {
		p.forward(r, m, place)
	}
	p.commit(r)
}

// giveBack ends that a holder has a key or waits for it.
func (p *Partition) giveBack(key msg.Ref, h msg.Holder) {
	i := p.find(key)
	if i == nil {
		return
	}
	p.wake(i)
	for n := 0; i.live != nil && n < i.live.queue.Len(); n++ {
		if m := (*i.live.queue.At(n)).message; m.Kind == msg.MessageLockRequest && m.Hold == h {
			p.dismiss(p.take(i, n))
			n--
		}
	}
	if findHolder(i.locks(), h) != nil {
		r := p.record(msg.RecordStep)
		r.Instance = key
		r.Locks = append(r.Locks, msg.LockChange{Holder: h, Released: true})
		p.commit(r)
	}
	p.unfence(key)
}

// requestLocks answers which keys are locked.
func (p *Partition) requestLocks(r *msg.Request, w msg.Waiter) {
	var list []msg.Lock
	page(&p.locked, r, func(i *instance) {
		list = append(list, msg.Lock{Key: i.ref, Holders: slices.Clone(i.locks()), Waiting: i.requests()})
	})
	p.answer(w, p.index, msg.Reply{Found: true, Locks: list})
}

// requests counts those who wait for the lock of an instance.
func (i *instance) requests() (count int) {
	for n := 0; i.live != nil && n < i.live.queue.Len(); n++ {
		if (*i.live.queue.At(n)).message.Kind == msg.MessageLockRequest {
			count++
		}
	}
	return count
}

// requestRelease takes a lock from its holder, whose operations are refused from
// here on. Who waits goes on.
func (p *Partition) requestRelease(r *msg.Request, w msg.Waiter) {
	key := p.space(r.Target)
	record := p.record(msg.RecordStep)
	record.Instance = key
	if i := p.find(key); i != nil {
		for _, h := range i.locks() {
			if r.Holder.IsZero() || r.Holder == h.Holder {
				record.Locks = append(record.Locks, msg.LockChange{Holder: h.Holder, Released: true})
			}
		}
	}
	if len(record.Locks) == 0 {
		p.answer(w, p.index, msg.Reply{Err: msg.Errorf(msg.CodeNotFound, msg.ClassNotFound, "%s is not locked by whom you name", r.Target)})
		return
	}
	p.commit(record)
	p.answer(w, record.Index, msg.Reply{Found: true})
	p.unfence(key)
}

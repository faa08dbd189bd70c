package engine

import (
	"github.com/holdfast-io/holdfast/internal/invariant"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// verifyEvery is after how many records for each instance verifySome looks at
// everything: the check costs each step a small part of itself.
const verifyEvery = 4

// verifySome calls verify often enough.
func (p *Partition) verifySome() {
	if p.index-p.verified > msg.Index(len(p.instances)+p.answers.ended.len+64)/verifyEvery {
		p.verified = p.index
		p.verify()
	}
}

// verify checks that what is kept beside the durable state agrees with it, and
// that nothing holds on to what is over. It looks at everything and is for
// tests and the build tag "invariants".
func (p *Partition) verify() {
	p.verifyChannels()
	p.verifyInstances()
	p.verifyAnswers()
	p.verifyRuns()
}

func (p *Partition) verifyChannels() {
	total := 0
	for n := range p.outboxes {
		box := &p.outboxes[n]
		bytes, count := 0, 0
		for at := range box.messages.Len() {
			if m := *box.messages.At(at); m != nil {
				bytes, count = bytes+messageBytes(m), count+1
				invariant.Check(m.ID.Number == box.base+1+msg.Number(at), "message %d is at the place of %d", m.ID.Number, box.base+1+msg.Number(at))
			}
		}
		total += box.bytes
		invariant.Check(bytes == box.bytes && count == box.count, "the outbox to %d counts %d bytes in %d messages and holds %d in %d",
			n, box.bytes, box.count, bytes, count)
		invariant.Check(box.base+msg.Number(box.messages.Len()) == box.next, "the outbox to %d ends at %d of %d", n,
			box.base+msg.Number(box.messages.Len()), box.next)
		invariant.Check(box.delivered >= box.base && box.delivered-box.base <= window, "the outbox to %d has delivered %d above %d", n, box.delivered, box.base)
	}
	invariant.Check(total == p.outboxBytes, "outboxes count %d bytes, together %d", total, p.outboxBytes)
	for n := range p.inlets {
		c, inlet := &p.consumed[n], &p.inlets[n]
		invariant.Check(c.low <= c.high && c.high-c.low <= window, "consumed of %d is from %d to %d", n, c.low, c.high)
		invariant.Check(c.low <= inlet.arrived, "all up to %d of %d is consumed, up to %d has arrived", c.low, n, inlet.arrived)
		invariant.Check(inlet.arrived-c.low <= window && len(inlet.early) <= window, "%d of %d has arrived above %d", inlet.arrived, n, c.low)
	}
	p.verifyAging()
}

// verifyAging checks I1 for what waits: all that has arrived, is not consumed
// and not in an inbox.
func (p *Partition) verifyAging() {
	arrived := 0
	for n := range p.inlets {
		for number := p.consumed[n].low + 1; number <= p.inlets[n].arrived; number++ {
			if !p.consumed[n].has(number) {
				arrived++
			}
		}
	}
	var last *input
	for in := p.aging.first; in != nil; in = in.younger {
		id := in.message.ID
		invariant.Check(in.aging && !in.settled && in.inbox == 0, "an input of %s ages that is settled or accepted", in.message.Target)
		invariant.Check(!p.consumed[id.Source].has(id.Number), "message %d of %d waits and is consumed", id.Number, id.Source)
		invariant.Check(in.older == last, "the list of aging inputs is broken at message %d of %d", id.Number, id.Source)
		last = in
		arrived--
	}
	invariant.Check(p.aging.last == last && arrived == 0, "%d messages have arrived and neither wait nor are consumed", arrived)
}

func (p *Partition) verifyInstances() {
	inbox, queued, aside, parked, entities, reminders := 0, 0, 0, 0, 0, 0
	workflows, tasks, locked, requests, prepared := 0, 0, 0, 0, 0
	p.order.Scan(func(i *instance) bool {
		invariant.Check(p.instances[i.ref] == i, "%s is in the order and not in the map", i.ref)
		invariant.Check(i.index <= p.index && i.version <= i.index && i.rootIndex <= i.version, "%s has index %d, version %d, root %d of %d",
			i.ref, i.index, i.version, i.rootIndex, p.index)
		if i.exists {
			entities++
		}
		invariant.Check(i.exists || len(i.fields) == 0 || len(i.fields) == 1 && i.workflow() != nil, "%s does not exist and has fields", i.ref)
		for _, f := range i.fields {
			invariant.Check(f.Len() > 0, "field %s of %s is empty", f.Name, i.ref)
		}
		if i.owned != nil {
			for _, a := range i.owned.inbox {
				inbox += messageBytes(a.message)
			}
			reminders += len(i.owned.reminders)
			tasks += len(i.owned.tasks)
			if w := i.owned.workflow; w != nil && !w.Status.Ended() {
				workflows++
			}
			verifyWorkflow(i)
			if len(i.owned.locks) > 0 {
				locked++
			}
			verifyLock(i)
			if i.owned.prepared != nil {
				prepared++
			}
		}
		q, isParked := p.verifyLive(i, &requests)
		queued += q
		aside += p.verifyAside(i)
		if isParked {
			parked++
		}
		return true
	})
	invariant.Check(p.order.Len() == len(p.instances), "%d instances are in the order, %d in the map", p.order.Len(), len(p.instances))
	invariant.Check(inbox == p.inboxBytes, "inboxes hold %d bytes and count %d", inbox, p.inboxBytes)
	invariant.Check(locked == p.locked.Len() && requests == p.requests, "%d keys are locked and %d requests wait, %d and %d are counted",
		locked, requests, p.locked.Len(), p.requests)
	invariant.Check(prepared == p.prepared, "an event is prepared at %d instances, %d are counted", prepared, p.prepared)
	invariant.Check(queued == p.queued, "%d inputs are queued, %d counted", queued, p.queued)
	invariant.Check(aside == p.aside, "%d inputs wait aside, %d counted", aside, p.aside)
	invariant.Check(parked == p.parked.Len(), "%d instances are parked, %d listed", parked, p.parked.Len())
	invariant.Check(workflows == p.stats.Workflows && tasks == p.stats.Tasks, "%d workflows run with %d tasks, %d and %d are counted",
		workflows, tasks, p.stats.Workflows, p.stats.Tasks)
	invariant.Check(entities == p.stats.Entities, "%d entities exist, %d counted", entities, p.stats.Entities)
}

// verifyWorkflow checks that what a workflow waits for belongs to its run, and
// that nothing is left of one that has ended.
func verifyWorkflow(i *instance) {
	w := i.owned.workflow
	if w == nil {
		return
	}
	invariant.Check(!w.Status.Ended() || len(i.owned.tasks) == 0 && len(w.Callers) == 0 && (len(w.Begin) == 0 || w.Status == msg.WorkflowTerminated && len(w.Begin) == 1 && i.entries() == 0),
		"%s is %s and has %d tasks and %d callers", i.ref, w.Status, len(i.owned.tasks), len(w.Callers))
	for _, t := range i.owned.tasks {
		invariant.Check(t.Run == w.Run, "%s has a task of run %d in run %d", i.ref, t.Run, w.Run)
		invariant.Check(t.asked || t.timer != nil || i.live != nil, "activity %s of %s is neither asked for nor due", t.Activity, i.ref)
	}
}

// verifyLock checks that a lock is held by one, or shared by all, and by each
// once.
func verifyLock(i *instance) {
	held := i.owned.locks
	for n := range held {
		invariant.Check(len(held) == 1 || held[n].Shared, "the lock of %s is held by %d, and not shared by %s", i.ref, len(held), held[n].Holder.Workflow)
		invariant.Check(findHolder(held, held[n].Holder) == &held[n], "%s holds the lock of %s twice", held[n].Holder.Workflow, i.ref)
	}
}

// waitsAtFence says that what is queued at an instance waits for a lock or
// an event, or for what goes on beside it before it can have a lock.
func (p *Partition) waitsAtFence(i *instance) bool {
	f := p.fence(i)
	first := *i.live.queue.At(0)
	return len(f.holders) > 0 || f.request != nil || i.prepared() != nil || first.message.Kind == msg.MessageLockRequest && p.isBusy(i)
}

// waitsForOthers says that what is queued at a workflow need not go on by
// itself: it has not begun, was paused, or creates an entity.
func waitsForOthers(i *instance) bool {
	w := i.workflow()
	return i.isWorkflow() && (w == nil || w.Paused || i.initialising())
}

// verifyLive checks the volatile side of an instance: something is to happen
// there, and what it waits for can come.
func (p *Partition) verifyLive(i *instance, requests *int) (queued int, parked bool) {
	l := i.live
	if l == nil {
		invariant.Check(i.index > 0, "%s never came to be and nothing waits there", i.ref)
		return 0, false
	}
	invariant.Check(!l.idle() || l.faults > 0 && i.index > 0, "%s is idle and holds on to its queue", i.ref)
	if r := l.running; r != nil {
		invariant.Check(p.runs.slots[r.id&(1<<slotBits-1)] == r && r.target == i && (r.input != nil || r.group != nil), "%s runs %d, which is not known", i.ref, r.id)
	}
	invariant.Check(l.queue.Len() == 0 || l.running != nil || l.parked != nil || p.timers.set.Len() > 0 || waitsForOthers(i) || p.waitsAtFence(i),
		"%d inputs wait at %s and nothing will start them", l.queue.Len(), i.ref)
	invariant.Check(l.culprit == nil || l.queue.Len() > 0 && *l.queue.At(0) == l.culprit, "%s is parked on an input that is not its first", i.ref)
	for n := range l.queue.Len() {
		in := *l.queue.At(n)
		invariant.Check(!in.settled && in.target == i, "a settled input waits at %s", i.ref)
		if in.message.Kind == msg.MessageLockRequest {
			*requests++
		}
	}
	return l.queue.Len(), l.parked != nil
}

// verifyAside checks that what waits aside is durable, unless it came from
// outside, and has something to wait for.
func (p *Partition) verifyAside(i *instance) int {
	if i.live == nil {
		return 0
	}
	for _, in := range i.live.aside {
		invariant.Check(!in.settled && in.target == i && !in.aging, "an input that waits aside at %s is settled or ages", i.ref)
		invariant.Check(in.inbox > 0 || in.external || in.message.Kind == msg.MessageTimer, "an input waits aside at %s and is not durable", i.ref)
	}
	return len(i.live.aside)
}

func (p *Partition) verifyAnswers() {
	for _, list := range []*answerList{&p.answers.ended, &p.answers.pending} {
		count, bytes, last := 0, 0, msg.Index(0)
		for a := list.front(); a != nil; a = list.after(a) {
			count, bytes = count+1, bytes+a.bytes
			invariant.Check(a.index >= last && a.index <= p.index, "the answer of record %d is after that of %d", a.index, last)
			invariant.Check(p.answers.listOf(a) == list, "the answer to %s is in the wrong list", a.Invocation)
			reachable := p.answers.bySession[a.Session] == a || p.answers.byIdempotency[a.Idempotency] == a || p.answers.byInvocation[a.Invocation] == a
			invariant.Check(reachable, "nobody can find the answer to %s", a.Invocation)
			last = a.index
		}
		invariant.Check(count == list.len && bytes == list.bytes, "%d answers with %d bytes are counted as %d with %d", count, bytes, list.len, list.bytes)
	}
	known := p.answers.ended.len + p.answers.pending.len
	invariant.Check(len(p.answers.bySession) <= known && len(p.answers.byIdempotency) <= known && len(p.answers.byInvocation) <= known,
		"%d answers are in maps of %d, %d and %d", known, len(p.answers.bySession), len(p.answers.byIdempotency), len(p.answers.byInvocation))
}

// verifyRuns checks that requests in flight and the backlog are what runs or
// waits.
func (p *Partition) verifyRuns() {
	backlog := 0
	count := 0
	for slot, r := range p.runs.slots {
		if r == nil {
			continue
		}
		count++
		if r.backlog {
			backlog++
		}
		invariant.Check(int(r.id&(1<<slotBits-1)) == slot, "run %d is at place %d", r.id, slot)
		invariant.Check(r.target.live != nil && r.target.live.running == r, "run %d of %s is not the one of its instance", r.id, r.target.ref)
	}
	invariant.Check(count == p.runs.len && count+len(p.runs.free) == len(p.runs.slots), "%d runs are counted as %d", count, p.runs.len)
	invariant.Check(backlog == p.backlog, "%d runs of the backlog are counted as %d", backlog, p.backlog)
	invariant.Check(len(p.inflight) <= p.queued+p.aside+count, "%d requests are in flight, %d wait and %d run", len(p.inflight), p.queued+p.aside, count)
	invariant.Check(p.attempts.Len() <= 2*attemptsMax, "%d counts of attempts", p.attempts.Len())
}

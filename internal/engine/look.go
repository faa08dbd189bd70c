package engine

import (
	"fmt"
	"strings"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// Dump writes the durable state of a partition as text, the same for equal
// states however they came to be. Tombstones that own nothing are left out: a
// checkpoint may forget them. It does not use what checkpoints are written with.
func (p *Partition) Dump() string {
	var b strings.Builder
	line := func(format string, args ...any) bool {
		fmt.Fprintf(&b, format+"\n", args...)
		return true
	}
	line("index %d time %d epoch %d", p.index, p.time, p.epoch)
	for n := range p.consumed {
		line("consumed of %d: up to %d, and %v", n, p.consumed[n].low, p.consumed[n].above())
	}
	for n := range p.outboxes {
		line("outbox to %d: %d given out, %d bytes", n, p.outboxes[n].next, p.outboxes[n].bytes)
	}
	p.Messages(func(m *msg.Message, waits bool) {
		line("message %v, waits %v: %x", m.ID, waits, msg.AppendMessage(nil, m))
	})
	for _, list := range []*answerList{&p.answers.ended, &p.answers.pending} {
		line("answers: %d, %d bytes", list.len, list.bytes)
		for a := list.front(); a != nil; a = list.after(a) {
			line("  %d at %d: %x", a.index, a.time, msg.AppendAnswer(nil, &a.Answer))
		}
	}
	p.attempts.Scan(func(f string, a attempt) bool { return line("attempts %x %+v", f, a) })
	p.deadLetters.Scan(func(id string, d *msg.DeadLetter) bool {
		return line("dead letter %x %s %d %x", id, d.Reason, d.Time, msg.AppendMessage(nil, &d.Message))
	})
	p.rules.Scan(func(_ string, r msg.KindRule) bool { return line("rule %+v", r) })
	p.order.Scan(func(i *instance) bool { i.dump(line); return true })
	return b.String()
}

func (i *instance) dump(line func(string, ...any) bool) {
	if i.exists {
		line("%s: index %d version %d touched %d state version %d root %d %q %q", i.ref, i.index, i.version, i.touched,
			i.stateVersion, i.rootIndex, i.root.ContentType, i.root.Body)
	}
	for _, f := range i.fields {
		if line("  %s of %s, %d: %q", f.Name, i.ref, f.Len(), f.Items); !f.List {
			f.Entries.Scan(func(key string, value []byte) bool { return line("    %s=%q", key, value) })
		}
	}
	if i.owned == nil {
		return
	}
	for _, r := range i.owned.reminders {
		line("  reminder of %s %x", i.ref, msg.AppendReminder(nil, &r.Reminder))
	}
	for _, a := range i.owned.inbox {
		line("  inbox of %s: %d", i.ref, a.id)
	}
	for _, t := range i.owned.tasks {
		line("  task of %s %x", i.ref, msg.AppendTask(nil, &t.Task))
	}
	if i.owned.prepared != nil {
		line("  prepared of %s %x", i.ref, msg.AppendPrepared(nil, i.owned.prepared))
	}
	for _, h := range i.owned.locks {
		line("  lock of %s %s %d shared %v since %d", i.ref, h.Holder.Workflow, h.Holder.Run, h.Shared, h.Since)
	}
	if w := i.owned.workflow; w != nil {
		line("  workflow of %s %x", i.ref, msg.AppendWorkflow(nil, w))
	}
}

// Messages yields those of the outboxes, which have not been acknowledged, by
// destination and number, and then those that wait in inboxes.
func (p *Partition) Messages(yield func(m *msg.Message, waits bool)) {
	for n := range p.outboxes {
		for place := range p.outboxes[n].messages.Len() {
			if m := *p.outboxes[n].messages.At(place); m != nil {
				yield(m, false)
			}
		}
	}
	p.order.Scan(func(i *instance) bool {
		for n := 0; i.owned != nil && n < len(i.owned.inbox); n++ {
			yield(i.owned.inbox[n].message, true)
		}
		return true
	})
}

// HasConsumed says whether the partition has consumed or accepted a message.
func (p *Partition) HasConsumed(id msg.MessageID) bool {
	return p.consumed[id.Source].has(id.Number)
}

// Entities yields the refs of all entities that exist, in order.
func (p *Partition) Entities(yield func(msg.Ref) bool) {
	p.order.Scan(func(i *instance) bool { return !i.exists || yield(i.ref) })
}

// State is what an entity holds. It is safe to use while the partition goes on.
func (p *Partition) State(ref msg.Ref) msg.Snapshot {
	if i := p.instances[ref]; i != nil {
		return i.snapshot()
	}
	return msg.Snapshot{}
}

// Look is how an instance stands, with its state.
func (p *Partition) Look(ref msg.Ref) (reply msg.Reply) {
	if i := p.instances[ref]; i != nil {
		state := i.snapshot()
		reply = describe(i)
		reply.State, reply.Found = &state, i.exists || reply.Workflow != nil
	}
	return reply
}

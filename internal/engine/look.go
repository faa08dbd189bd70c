package engine

import (
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// Dump writes the durable state of a partition as text, the same for equal
// states however they came to be. Tombstones that own nothing are left out: a
// checkpoint may forget them.
func (p *Partition) Dump() string {
	var b strings.Builder
	fmt.Fprintf(&b, "index %d time %d epoch %d\n", p.index, p.time, p.epoch)
	for source := range p.consumed {
		dumpConsumed(&b, source, &p.consumed[source])
	}
	for destination := range p.outboxes {
		dumpOutbox(&b, destination, &p.outboxes[destination])
	}
	dumpAnswers(&b, "ended", &p.answers.ended)
	dumpAnswers(&b, "pending", &p.answers.pending)
	p.attempts.Scan(func(f string, a attempt) bool {
		fmt.Fprintf(&b, "attempts %x %d at %d\n", f, a.count, a.time)
		return true
	})
	p.deadLetters.Scan(func(id string, d *msg.DeadLetter) bool {
		fmt.Fprintf(&b, "dead letter %x %s %d %x\n", id, d.Reason, d.Time, msg.AppendMessage(nil, &d.Message))
		return true
	})
	p.rules.Scan(func(_ string, r msg.KindRule) bool {
		fmt.Fprintf(&b, "rule %+v\n", r)
		return true
	})
	p.order.Scan(func(i *instance) bool {
		dumpInstance(&b, i)
		return true
	})
	return b.String()
}

func dumpConsumed(b *strings.Builder, source int, c *consumed) {
	var above []msg.Number
	for n := c.low + 1; n <= c.high; n++ {
		if c.has(n) {
			above = append(above, n)
		}
	}
	fmt.Fprintf(b, "consumed of %d: up to %d, and %v\n", source, c.low, above)
}

func dumpOutbox(b *strings.Builder, destination int, o *outbox) {
	fmt.Fprintf(b, "outbox to %d: %d given out, %d bytes\n", destination, o.next, o.bytes)
	for n := range o.messages.len() {
		if m := *o.messages.at(n); m != nil {
			fmt.Fprintf(b, "  %d %x\n", o.base+1+msg.Number(n), msg.AppendMessage(nil, m))
		}
	}
}

func dumpAnswers(b *strings.Builder, name string, list *answerList) {
	fmt.Fprintf(b, "answers %s: %d, %d bytes\n", name, list.len, list.bytes)
	for a := list.front(); a != nil; a = list.after(a) {
		fmt.Fprintf(b, "  %d at %d: %x\n", a.index, a.time, msg.AppendAnswer(nil, &a.Answer))
	}
}

func dumpInstance(b *strings.Builder, i *instance) {
	var reminders, inbox []string
	if i.owned != nil {
		for _, r := range i.owned.reminders {
			reminders = append(reminders, fmt.Sprintf("  reminder %x", msg.AppendReminder(nil, &r.Reminder)))
		}
		for _, a := range i.owned.inbox {
			inbox = append(inbox, fmt.Sprintf("  inbox %d %x", a.id, msg.AppendMessage(nil, a.message)))
		}
		for _, t := range i.owned.tasks {
			inbox = append(inbox, fmt.Sprintf("  task %x", msg.AppendTask(nil, &t.Task)))
		}
		if i.owned.workflow != nil {
			inbox = append(inbox, fmt.Sprintf("  workflow %x", msg.AppendWorkflow(nil, i.owned.workflow)))
		}
	}
	if !i.exists && len(reminders)+len(inbox)+len(i.fields) == 0 {
		return
	}
	if !i.exists { // what was may be forgotten
		fmt.Fprintf(b, "%s: index %d does not exist\n", i.ref, i.index)
	} else {
		fmt.Fprintf(b, "%s: index %d version %d touched %d state version %d root %d %q %q\n", i.ref, i.index, i.version,
			i.touched, i.stateVersion, i.rootIndex, i.root.ContentType, i.root.Body)
	}
	for _, line := range slices.Concat(reminders, inbox) {
		fmt.Fprintln(b, line)
	}
	for _, f := range i.fields {
		dumpField(b, f)
	}
}

func dumpField(b *strings.Builder, f *field) {
	if f.list {
		fmt.Fprintf(b, "  list %s %q\n", f.name, f.items)
		return
	}
	fmt.Fprintf(b, "  map %s", f.name)
	f.entries.Scan(func(key string, value []byte) bool {
		fmt.Fprintf(b, " %s=%q", key, value)
		return true
	})
	fmt.Fprintln(b)
}

// Outgoing yields the messages that have not been acknowledged, by destination
// and number.
func (p *Partition) Outgoing(yield func(*msg.Message) bool) {
	for destination := range p.outboxes {
		o := &p.outboxes[destination]
		for n := range o.messages.len() {
			if m := *o.messages.at(n); m != nil && !yield(m) {
				return
			}
		}
	}
}

// Waiting yields the messages in inboxes, by key and age.
func (p *Partition) Waiting(yield func(*msg.Message) bool) {
	p.order.Scan(func(i *instance) bool {
		if i.owned == nil {
			return true
		}
		for _, a := range i.owned.inbox {
			if !yield(a.message) {
				return false
			}
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

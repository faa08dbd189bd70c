package world

import (
	"bytes"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/partition"
)

// watch follows the log and checks what every record must keep, whatever the
// program does:
//
//   - the records of a partition are dense, and their time does not go back;
//   - (I1) a message is consumed once, after it was sent;
//   - (I2) it leaves the outbox only after its consumption is in the log;
//   - what is in an inbox is finished once;
//   - nothing leaves a loop before its record is in the buffer;
//   - reminders fire while they are set, never before they are due, and delayed
//     messages run no earlier than they may;
//   - what was durable is durable for ever, and a checkpoint has seen nothing
//     that is not.
type watch struct {
	world     *World
	sent      map[msg.MessageID]msg.Position
	consumed  map[msg.MessageID]msg.Position
	inbox     map[inboxID]bool
	reminders map[reminderID]msg.Time // when they are due
	last      []recorded              // by partition
	hashes    []uint64                // by partition: of its records, if worlds are explored
	open      []*entry                // records that are not durable
	stored    msg.Position            // the log is durable up to it
	base      msg.Position            // what the process found in the log
}

// inboxID names a message in an inbox.
type inboxID struct {
	partition msg.Partition
	index     msg.Index
}

// reminderID names a reminder.
type reminderID struct {
	target msg.Ref
	name   string
}

// recorded is the newest record of a partition.
type recorded struct {
	index msg.Index
	time  msg.Time
}

// entry is a record with what it takes to forget it.
type entry struct {
	position msg.Position
	record   *msg.Record
	before   recorded
	undo     []func()
}

func (o *watch) init(w *World) {
	*o = watch{
		world: w, sent: map[msg.MessageID]msg.Position{}, consumed: map[msg.MessageID]msg.Position{},
		inbox: map[inboxID]bool{}, reminders: map[reminderID]msg.Time{}, last: make([]recorded, w.config.Partitions),
		hashes: make([]uint64, w.config.Partitions),
	}
}

// append sees a record that a loop appends.
func (o *watch) append(position msg.Position, encoded []byte) {
	w := o.world
	r, err := msg.DecodeRecord(bytes.Clone(encoded))
	if err != nil {
		w.fail(ByLog, "decode a record that was just encoded: %v", err)
	}
	o.count(r, len(encoded))
	if w.trace.on() {
		w.trace.line(w.clock, "record %d is %s", position, describe(r))
	}
	e := &entry{position: position, record: r, before: o.last[r.Partition]}
	o.open = append(o.open, e)
	if before := e.before; r.Index != before.index+1 || r.Time < before.time {
		w.fail(ByLog, "record %d of partition %d at %d follows record %d at %d", r.Index, r.Partition, r.Time, before.index, before.time)
	}
	o.last[r.Partition] = recorded{r.Index, r.Time}
	if hash := &o.hashes[r.Partition]; w.config.script != nil {
		before := *hash
		*hash = mix(before, hashOf(r))
		e.undo = append(e.undo, func() { *hash = before })
	}
	o.messages(e)
	o.inboxes(e)
	o.timers(e)
}

// count counts what kinds of records there are.
func (o *watch) count(r *msg.Record, bytes int) {
	c := &o.world.result
	c.Records++
	c.Attempts += len(r.Attempts)
	if bytes > frameBytes {
		c.Split++
	}
	if r.Accepted != nil {
		c.Accepted++
	}
	for i := range r.Changes {
		if r.Changes[i].Kind == msg.ChangeDelete {
			c.Deleted++
		}
	}
}

// messages keeps the books of what is sent and consumed.
func (o *watch) messages(e *entry) {
	w, r := o.world, e.record
	for _, m := range r.Outbox {
		if _, known := o.sent[m.ID]; known {
			w.fail(ByMessages, "message %s is sent twice", describeID(m.ID))
		}
		note(e, o.sent, m.ID, e.position)
	}
	for _, id := range r.Consumed {
		sent, known := o.sent[id]
		if !known || sent >= e.position {
			w.fail(ByMessages, "message %s is consumed at %d and was sent at %d", describeID(id), e.position, sent)
		}
		if at, twice := o.consumed[id]; twice {
			w.fail(ByMessages, "message %s is consumed twice, at %d and %d", describeID(id), at, e.position)
		}
		note(e, o.consumed, id, e.position)
	}
	for _, id := range r.Acked {
		if _, done := o.consumed[id]; !done {
			w.fail(ByMessages, "message %s leaves the outbox at %d and nobody has it", describeID(id), e.position)
		}
	}
}

// inboxes keeps the books of what was accepted and waits.
func (o *watch) inboxes(e *entry) {
	r := e.record
	if r.Accepted != nil {
		note(e, o.inbox, inboxID{r.Partition, r.Index}, true)
	}
	for _, index := range r.Finished {
		id := inboxID{r.Partition, index}
		if !o.inbox[id] {
			o.world.fail(ByInboxes, "inbox message %d of partition %d is finished and is not there", index, r.Partition)
		}
		forget(e, o.inbox, id)
	}
}

// timers keeps the books of reminders.
func (o *watch) timers(e *entry) {
	r := e.record
	for i := range r.Changes {
		if r.Changes[i].Kind == msg.ChangeDelete {
			o.deleted(e)
		}
	}
	for _, name := range r.Forget {
		forget(e, o.reminders, reminderID{r.Instance, name})
	}
	for i := range r.Remind {
		note(e, o.reminders, reminderID{r.Instance, r.Remind[i].Name}, r.Remind[i].Due)
	}
}

// deleted forgets the reminders of an entity.
func (o *watch) deleted(e *entry) {
	for id := range o.reminders {
		if id.target == e.record.Instance {
			forget(e, o.reminders, id)
		}
	}
}

// note sets an entry of a map in a way that can be undone.
func note[K comparable, V any](e *entry, to map[K]V, key K, value V) {
	before, had := to[key]
	to[key] = value
	e.undo = append(e.undo, func() {
		if delete(to, key); had {
			to[key] = before
		}
	})
}

// forget deletes an entry of a map in a way that can be undone.
func forget[K comparable, V any](e *entry, from map[K]V, key K) {
	before, had := from[key]
	if had {
		delete(from, key)
		e.undo = append(e.undo, func() { from[key] = before })
	}
}

// turn sees a run that a program is asked for.
func (o *watch) turn(t *partition.Turn) {
	m, w := t.Turn.Message, o.world
	if t.Turn.Direct {
		o.seen(t.Partition, t.Turn.Seen)
	}
	if m == nil {
		return
	}
	if id := m.ID; id.Number > 0 && o.sent[id] == 0 {
		w.fail(ByOrder, "message %s runs and is not in the log", describeID(id))
	}
	if m.NotBefore > t.Turn.Now {
		w.fail(ByTimers, "%s for %s runs at %v, which is before %v", m.Handler, m.Target, t.Turn.Now.Std(), m.NotBefore.Std())
	}
	if m.Kind != msg.MessageTimer {
		return
	}
	due, set := o.reminders[reminderID{m.Target, m.Reminder}]
	switch {
	case !set:
		w.fail(ByTimers, "reminder %s of %s fires and is not set", m.Reminder, m.Target)
	case due > t.Turn.Now:
		w.fail(ByTimers, "reminder %s of %s fires at %v, which is before %v", m.Reminder, m.Target, t.Turn.Now.Std(), due.Std())
	}
}

// seen checks that what somebody may be told now is durable.
func (o *watch) seen(p msg.Partition, index msg.Index) {
	for _, e := range o.open {
		if e.record.Partition == p && e.record.Index <= index {
			o.world.fail(ByDurability, "record %d of partition %d is seen from outside and is not durable", e.record.Index, p)
		}
	}
}

// task sees an attempt of an activity that is to begin: what asks for it is
// durable, because what an activity does cannot be taken back.
func (o *watch) task(t *partition.Task) {
	for _, e := range o.open {
		for i := range e.record.Tasks {
			asked := &e.record.Tasks[i]
			if e.record.Instance == t.Run.Target && asked.Step == t.Run.Task.Step && asked.Attempt == t.Run.Task.Attempt {
				o.world.fail(ByDurability, "attempt %d of activity %s of %s begins and is not durable", asked.Attempt, asked.Activity, t.Run.Target)
			}
		}
	}
}

// routed sees what leaves a loop for another.
func (o *watch) routed(r *partition.Routed) {
	cause := max(r.Cause, o.base)
	switch r.Command.Kind {
	case msg.CommandDeliver:
		if at := o.sent[r.Command.Message.ID]; at == 0 || at > cause {
			o.world.fail(ByOrder, "message %s leaves its loop at %d and is in the log at %d", describeID(r.Command.Message.ID), r.Cause, at)
		}
	case msg.CommandAck:
		if at := o.consumed[r.Command.Ack]; at == 0 || at > cause {
			o.world.fail(ByOrder, "the acknowledgement of %s leaves its loop at %d and is in the log at %d", describeID(r.Command.Ack), r.Cause, at)
		}
	}
}

// complete sees a checkpoint that is to be published.
func (o *watch) complete(c *host.Checkpoint) {
	for _, e := range o.open {
		if e.record.Partition == c.Partition && e.record.Index <= c.End {
			o.world.fail(ByCheckpoint, "a checkpoint of partition %d is complete that has seen record %d, which is not durable", c.Partition, e.record.Index)
		}
	}
}

// durable sees that the log is durable up to a position.
func (o *watch) durable(position msg.Position) {
	o.settle(position)
	if o.world.trace.on() {
		o.world.trace.line(o.world.clock, "the log is durable up to %d", position)
	}
	o.world.checkAlways()
}

// settle gives records that are durable to the twins.
func (o *watch) settle(position msg.Position) {
	n := 0
	for ; n < len(o.open) && o.open[n].position <= position; n++ {
		if !o.world.config.Blind {
			o.world.twins[o.open[n].record.Partition].fold(o.open[n].record)
		}
	}
	o.open = o.open[n:]
	o.stored = position
}

// recovered sees where the log ends after a start: what is behind was lost.
func (o *watch) recovered(position msg.Position) {
	if position < o.stored {
		o.world.fail(ByDurability, "the log was durable up to %d and ends at %d", o.stored, position)
	}
	o.settle(position)
	for n := len(o.open) - 1; n >= 0; n-- {
		e := o.open[n]
		for u := len(e.undo) - 1; u >= 0; u-- {
			e.undo[u]()
		}
		o.last[e.record.Partition] = e.before
	}
	o.open = nil
	o.base = position
}

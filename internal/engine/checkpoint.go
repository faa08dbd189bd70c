package engine

import (
	"slices"

	"github.com/holdfast-io/holdfast/internal/field"
	"github.com/holdfast-io/holdfast/internal/invariant"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// checkpoint is one being taken: where the walk over the partition is. Slices
// are taken between steps, so a checkpoint is no picture of one moment. It
// becomes one by the records after its start: each instance carries the index
// up to which it has seen them, and everything else is absolute.
type checkpoint struct {
	start   msg.Index
	stage   int
	key     string       // the last that was written of a table
	box     int          // outbox that is being written
	number  msg.Number   // the last that was written of it
	limits  []msg.Number // by outbox: numbers given out at the start
	last    msg.Ref      // the last instance that was written
	partial *partial     // nil: no instance is half written
	stages  []func([]byte, int) ([]byte, bool)
}

// partial is an instance whose inbox, maps and lists are being written, as they
// were when the instance was.
type partial struct {
	inbox []*accepted // what is left
	tasks []*task     // what is left
	view  *field.View // nil: nothing
	field int
	key   string // the last that was written of a map
	begun bool
	item  int // the next of a list
}

// Numbers of the fields of a slice, which is a message of repeated fields.
const (
	sliceHeader msg.FieldNumber = iota + 1
	sliceConsumed
	sliceOutbox
	sliceMessage
	sliceRule
	sliceAttempt
	sliceDeadLetter
	sliceAnswer
	sliceInstance
	sliceEntry
	sliceItem
	sliceAccepted
	sliceTask
)

// skipBytes is what passing over an instance counts for in a slice: a slice
// takes a bounded time also where there is little to write.
const skipBytes = 16

// BeginCheckpoint begins a checkpoint that holds everything up to the index it
// returns. One that was being taken is dropped.
func (p *Partition) BeginCheckpoint() msg.Index {
	c := &checkpoint{start: p.index}
	for i := range p.outboxes {
		c.limits = append(c.limits, p.outboxes[i].next)
	}
	c.stages = []func([]byte, int) ([]byte, bool){
		p.saveHead, p.saveOutboxes, p.saveAttempts, p.saveDeadLetters,
		func(b []byte, budget int) ([]byte, bool) { return p.saveAnswers(&p.answers.ended, b, budget) },
		func(b []byte, budget int) ([]byte, bool) { return p.saveAnswers(&p.answers.pending, b, budget) },
		p.saveInstances,
	}
	p.answers.ended.begin()
	p.answers.pending.begin()
	p.checkpoint = c
	return c.start
}

// Slice appends about budget bytes of the checkpoint to b and says whether
// that was the last. No slice has seen a record above Index.
func (p *Partition) Slice(b []byte, budget int) ([]byte, bool) {
	c := p.checkpoint
	invariant.Check(c != nil, "slice of a checkpoint that was not begun")
	limit := len(b) + budget
	for c.stage < len(c.stages) {
		var done bool
		if b, done = c.stages[c.stage](b, limit); !done {
			return b, false
		}
		c.stage, c.key = c.stage+1, ""
	}
	p.checkpoint = nil
	return b, true
}

// saveHead writes what is small. Everything in it is absolute, so it may be
// newer than the start.
func (p *Partition) saveHead(b []byte, _ int) ([]byte, bool) {
	b, mark := msg.OpenMessage(b, sliceHeader, 32)
	b = msg.AppendUvarintField(b, 1, uint64(p.config.Partition))
	b = msg.AppendUvarintField(b, 2, uint64(p.checkpoint.start))
	b = msg.AppendTimeField(b, 3, p.time)
	b = msg.AppendUvarintField(b, 4, uint64(p.epoch))
	b = msg.AppendUvarintField(b, 5, uint64(p.config.Partitions))
	b = msg.CloseMessage(b, mark)
	for source := range p.consumed {
		b = p.saveConsumed(b, source)
	}
	for destination := range p.outboxes {
		if box := &p.outboxes[destination]; box.next > 0 {
			b, mark = msg.OpenMessage(b, sliceOutbox, 16)
			b = msg.AppendUvarintField(b, 1, uint64(destination))
			b = msg.AppendUvarintField(b, 2, uint64(box.base))
			b = msg.AppendUvarintField(b, 3, uint64(box.next))
			b = msg.CloseMessage(b, mark)
		}
	}
	p.rules.Scan(func(_ string, r msg.KindRule) bool {
		b = msg.AppendKindRuleField(b, sliceRule, &r)
		return true
	})
	return b, true
}

func (p *Partition) saveAttempts(b []byte, limit int) ([]byte, bool) {
	c, done := p.checkpoint, true
	p.attempts.Ascend(c.key, func(f string, known attempt) bool {
		if f == c.key {
			return true
		}
		if done = len(b) < limit; !done {
			return false
		}
		var mark msg.Mark
		b, mark = msg.OpenMessage(b, sliceAttempt, 32)
		b = msg.AppendBytesField(b, 1, []byte(f))
		b = msg.AppendUvarintField(b, 2, uint64(known.count))
		b = msg.AppendTimeField(b, 3, known.time)
		b = msg.CloseMessage(b, mark)
		c.key = f
		return true
	})
	return b, done
}

func (p *Partition) saveDeadLetters(b []byte, limit int) ([]byte, bool) {
	c, done := p.checkpoint, true
	p.deadLetters.Ascend(c.key, func(id string, d *msg.DeadLetter) bool {
		if id == c.key {
			return true
		}
		if done = len(b) < limit; done {
			b = msg.AppendDeadLetterField(b, sliceDeadLetter, d)
			c.key = id
		}
		return done
	})
	return b, done
}

func (p *Partition) saveConsumed(b []byte, source int) []byte {
	c := &p.consumed[source]
	if c.high == 0 {
		return b
	}
	b, mark := msg.OpenMessage(b, sliceConsumed, 32)
	b = msg.AppendUvarintField(b, 1, uint64(source))
	b = msg.AppendUvarintField(b, 2, uint64(c.low))
	b = msg.AppendPackedField(b, 3, c.above())
	return msg.CloseMessage(b, mark)
}

func (p *Partition) saveOutboxes(b []byte, limit int) ([]byte, bool) {
	c := p.checkpoint
	for ; c.box < len(p.outboxes); c.box, c.number = c.box+1, 0 {
		box := &p.outboxes[c.box]
		for n := max(c.number, box.base) + 1; n <= c.limits[c.box]; n++ {
			if len(b) >= limit {
				return b, false
			}
			if m := *box.messages.At(int(n - box.base - 1)); m != nil {
				b = msg.AppendMessageField(b, sliceMessage, m)
			}
			c.number = n
		}
	}
	return b, true
}

// saveAnswers writes the entries of before the start; later ones are in
// records that will be replayed.
func (p *Partition) saveAnswers(list *answerList, b []byte, limit int) ([]byte, bool) {
	for len(b) < limit {
		a := list.advance()
		if a == nil || a.index > p.checkpoint.start {
			list.cursor = nil
			return b, true
		}
		var mark msg.Mark
		b, mark = msg.OpenMessage(b, sliceAnswer, 128)
		b = msg.AppendAnswerField(b, 1, &a.Answer)
		b = msg.AppendUvarintField(b, 2, uint64(a.index))
		b = msg.AppendTimeField(b, 3, a.time)
		b = msg.CloseMessage(b, mark)
	}
	return b, false
}

func (p *Partition) saveInstances(b []byte, limit int) ([]byte, bool) {
	c := p.checkpoint
	if c.partial != nil {
		var done bool
		if b, done = c.partial.save(b, limit); !done {
			return b, false
		}
		c.partial = nil
	}
	var forgotten []*instance
	done := true
	p.order.Ascend(&instance{ref: c.last}, func(i *instance) bool {
		if i.ref == c.last && c.last.Kind != "" {
			return true
		}
		if done = len(b) < limit; !done {
			return false
		}
		c.last = i.ref
		switch {
		case i.index == 0:
			limit -= skipBytes
		case p.forgettable(i):
			limit -= skipBytes
			forgotten = append(forgotten, i)
		default:
			b = saveInstance(b, i)
			b, done = p.savePartial(b, i, limit)
		}
		return done
	})
	for _, i := range forgotten {
		p.drop(i)
	}
	return b, done
}

// savePartial begins to write what may be much of an instance.
func (p *Partition) savePartial(b []byte, i *instance, limit int) ([]byte, bool) {
	if len(i.fields) == 0 && (i.owned == nil || len(i.owned.inbox) == 0 && len(i.owned.tasks) == 0) {
		return b, true
	}
	rest := &partial{}
	if i.owned != nil {
		rest.inbox, rest.tasks = slices.Clone(i.owned.inbox), slices.Clone(i.owned.tasks)
	}
	if len(i.fields) > 0 {
		i.snapshot()
		rest.view = i.view
	}
	b, done := rest.save(b, limit)
	if !done {
		p.checkpoint.partial = rest
	}
	return b, done
}

// forgettable says that an instance is a tombstone that nobody needs: the
// record that deleted it will not be replayed onto this checkpoint.
func (p *Partition) forgettable(i *instance) bool {
	return !i.exists && i.index <= p.checkpoint.start && i.live == nil && len(i.fields) == 0 &&
		(i.owned == nil || len(i.owned.inbox) == 0 && len(i.owned.reminders) == 0 && i.owned.ttl == nil &&
			i.owned.workflow == nil && len(i.owned.tasks) == 0 && len(i.owned.locks) == 0 && i.owned.prepared == nil)
}

func saveInstance(b []byte, i *instance) []byte {
	b, mark := msg.OpenMessage(b, sliceInstance, 64+len(i.ref.Key)+len(i.root.Body))
	b = msg.AppendRefField(b, 1, &i.ref)
	b = msg.AppendUvarintField(b, 2, uint64(i.index))
	b = msg.AppendUvarintField(b, 3, uint64(i.version))
	b = msg.AppendTimeField(b, 4, i.touched)
	b = msg.AppendBoolField(b, 5, i.exists)
	b = msg.AppendUvarintField(b, 6, uint64(i.stateVersion))
	b = msg.AppendPayloadField(b, 7, &i.root)
	b = msg.AppendUvarintField(b, 8, uint64(i.rootIndex))
	if i.owned != nil {
		for _, r := range i.owned.reminders {
			b = msg.AppendReminderField(b, 9, &r.Reminder)
		}
		if i.owned.workflow != nil {
			b = msg.AppendWorkflowField(b, 10, i.owned.workflow)
		}
		for n := range i.owned.locks {
			b = msg.AppendLockHolderField(b, 11, &i.owned.locks[n])
		}
		if i.owned.prepared != nil {
			b = msg.AppendPreparedField(b, 12, i.owned.prepared)
		}
	}
	return msg.CloseMessage(b, mark)
}

// save writes on until the limit, and reports whether that was all.
func (s *partial) save(b []byte, limit int) ([]byte, bool) {
	for ; len(s.inbox) > 0; s.inbox = s.inbox[1:] {
		if len(b) >= limit {
			return b, false
		}
		b = saveAccepted(b, s.inbox[0])
	}
	for ; len(s.tasks) > 0; s.tasks = s.tasks[1:] {
		if len(b) >= limit {
			return b, false
		}
		b = msg.AppendTaskField(b, sliceTask, &s.tasks[0].Task)
	}
	if s.view == nil {
		return b, true
	}
	for ; s.field < len(s.view.Fields); s.field, s.key, s.begun, s.item = s.field+1, "", false, 0 {
		var done bool
		if f := s.view.Fields[s.field]; f.List {
			b, done = s.saveList(b, f, limit)
		} else {
			b, done = s.saveMap(b, f, limit)
		}
		if !done {
			return b, false
		}
	}
	return b, true
}

func (s *partial) saveList(b []byte, f *field.Field, limit int) ([]byte, bool) {
	for ; s.item < len(f.Items); s.item++ {
		if len(b) >= limit {
			return b, false
		}
		b = saveEntry(b, sliceItem, f.Name, "", f.Items[s.item])
	}
	return b, true
}

func (s *partial) saveMap(b []byte, f *field.Field, limit int) ([]byte, bool) {
	done := true
	f.Entries.Ascend(s.key, func(key string, value []byte) bool {
		if s.begun && key == s.key {
			return true
		}
		if done = len(b) < limit; done {
			b = saveEntry(b, sliceEntry, f.Name, key, value)
			s.key, s.begun = key, true
		}
		return done
	})
	return b, done
}

func saveAccepted(b []byte, a *accepted) []byte {
	b, mark := msg.OpenMessage(b, sliceAccepted, 64+len(a.message.Payload.Body))
	b = msg.AppendUvarintField(b, 1, uint64(a.id))
	b = msg.AppendMessageField(b, 2, a.message)
	return msg.CloseMessage(b, mark)
}

func saveEntry(b []byte, kind msg.FieldNumber, field, key string, value []byte) []byte {
	b, mark := msg.OpenMessage(b, kind, 16+len(field)+len(key)+len(value))
	b = msg.AppendStringField(b, 1, field)
	b = msg.AppendStringField(b, 2, key)
	b = msg.AppendBytesField(b, 3, value)
	return msg.CloseMessage(b, mark)
}

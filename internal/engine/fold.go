package engine

import (
	"fmt"

	"github.com/holdfast-io/holdfast/internal/delta"
	"github.com/holdfast-io/holdfast/internal/invariant"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// Apply folds a record that was read back. It is called between Load and
// Recover, with records in order, from the one after the checkpoint's start on.
func (p *Partition) Apply(r *msg.Record) error {
	if r.Partition != p.config.Partition {
		return fmt.Errorf("record of partition %d applied to %d", r.Partition, p.config.Partition)
	}
	if r.Index != p.index+1 && !invariant.Mutated(invariant.ApplyPastHole) {
		return fmt.Errorf("partition %d: record %d follows %d", r.Partition, r.Index, p.index)
	}
	if err := p.check(r); err != nil {
		return fmt.Errorf("partition %d record %d: %w", r.Partition, r.Index, err)
	}
	p.fold(r)
	return nil
}

// check refuses a record that names what cannot be: fold relies on it.
func (p *Partition) check(r *msg.Record) error {
	for _, id := range r.Consumed {
		switch {
		case int(id.Source) >= p.config.Partitions || id.Destination != p.config.Partition:
			return fmt.Errorf("consumes a message from %d to %d", id.Source, id.Destination)
		case !p.consumed[id.Source].inWindow(id.Number):
			return fmt.Errorf("consumes message %d from %d, all up to %d are consumed", id.Number, id.Source, p.consumed[id.Source].low)
		}
	}
	for _, m := range r.Outbox {
		switch {
		case int(m.ID.Destination) >= p.config.Partitions || m.ID.Source != p.config.Partition || m.ID.Number == 0:
			return fmt.Errorf("sends a message from %d to %d", m.ID.Source, m.ID.Destination)
		case m.ID.Number > p.outboxes[m.ID.Destination].next+msg.Number(len(r.Outbox)):
			return fmt.Errorf("sends message %d to %d after %d", m.ID.Number, m.ID.Destination, p.outboxes[m.ID.Destination].next)
		}
	}
	for _, id := range r.Acked {
		if int(id.Destination) >= p.config.Partitions {
			return fmt.Errorf("acknowledges a message to %d", id.Destination)
		}
	}
	for n := range r.Changes {
		if kind := r.Changes[n].Kind; kind < msg.ChangeRoot || kind > msg.ChangeDelete {
			return fmt.Errorf("has a change of unknown kind %d", kind)
		}
	}
	return nil
}

// fold applies a record to durable state. Everything but what instances own is
// absolute (a number put, a number removed), so that it may be folded onto a
// checkpoint that has seen it already; instances remember how far they are.
func (p *Partition) fold(r *msg.Record) {
	p.index = r.Index
	p.time = max(p.time, r.Time)
	if r.Epoch > 0 {
		p.epoch = r.Epoch
	}
	for _, id := range r.Consumed {
		p.consumed[id.Source].add(id.Number)
	}
	p.foldOwned(r)
	for _, m := range r.Outbox {
		box := &p.outboxes[m.ID.Destination]
		p.outboxBytes -= box.bytes
		box.put(m)
		p.outboxBytes += box.bytes
	}
	for _, id := range r.Acked {
		box := &p.outboxes[id.Destination]
		p.outboxBytes -= box.bytes
		box.remove(id.Number)
		p.outboxBytes += box.bytes
	}
	for _, a := range r.Answers {
		p.answers.put(a, r.Index, r.Time)
	}
	if r.Pruned > 0 {
		p.answers.prune(r.Pruned)
	}
	p.foldTables(r)
}

// foldTables folds what few records have.
func (p *Partition) foldTables(r *msg.Record) {
	for _, a := range r.Attempts {
		if a.Count == 0 {
			p.attempts.Delete(string(a.Input[:]))
		} else {
			p.attempts.Set(string(a.Input[:]), attempt{a.Count, r.Time})
		}
	}
	for i := range r.DeadLetters {
		p.bury(r.DeadLetters[i])
	}
	for _, id := range r.Discarded {
		if old, ok := p.deadLetters.Delete(string(id[:])); ok {
			p.deadLetterBytes -= deadLetterBytes(old)
		}
	}
	for _, rule := range r.Kinds {
		p.rules.Set(rule.Kind, rule)
	}
}

// bury stores a dead letter.
func (p *Partition) bury(d msg.DeadLetter) {
	if old, ok := p.deadLetters.Set(string(d.ID[:]), &d); ok {
		p.deadLetterBytes -= deadLetterBytes(old)
	}
	p.deadLetterBytes += deadLetterBytes(&d)
}

// foldOwned folds what instances own, for each that has not seen the record.
func (p *Partition) foldOwned(r *msg.Record) {
	var target, own *instance
	if r.Accepted != nil {
		if target = p.instance(r.Accepted.Target); target.index >= r.Index {
			target = nil
		}
	}
	if r.Instance.Kind != "" && ownsAny(r) {
		if own = p.instance(r.Instance); own.index >= r.Index {
			own = nil
		}
	}
	p.touch(own, r)
	if own != nil {
		p.foldInstance(own, r)
	}
	if target != nil {
		target.own().accept(r.Index, r.Accepted)
		target.index = r.Index
		p.inboxBytes += messageBytes(r.Accepted)
	}
	if own != nil {
		own.index = r.Index
	}
}

// touch notes the time of a turn, for the TTL. It needs no index: the newest
// time counts, however often it is folded.
func (p *Partition) touch(own *instance, r *msg.Record) {
	if r.Kind != msg.RecordStep || r.Instance.Kind == "" {
		return
	}
	if own == nil {
		own = p.find(r.Instance)
	}
	if own != nil {
		own.touched = max(own.touched, r.Time)
	}
}

func ownsAny(r *msg.Record) bool {
	return len(r.Changes) > 0 || len(r.Finished) > 0 || len(r.Remind) > 0 || len(r.Forget) > 0 ||
		r.Workflow != nil || len(r.Tasks) > 0 || len(r.TasksEnded) > 0 || len(r.Locks) > 0 ||
		r.Prepared != nil || r.Decided != (msg.InvocationID{})
}

func (p *Partition) foldInstance(i *instance, r *msg.Record) {
	for _, id := range r.Finished {
		if i.owned == nil {
			break
		}
		if done := i.owned.finish(id); done != nil {
			p.inboxBytes -= messageBytes(done.message)
		}
	}
	for n := range r.Changes {
		p.foldChange(i, &r.Changes[n], r)
	}
	if len(r.Changes) > 0 {
		i.version, i.view = r.Index, nil
	}
	for _, name := range r.Forget {
		p.forget(i, name)
	}
	for _, entry := range r.Remind {
		p.forget(i, entry.Name)
		set := i.own().remind(entry)
		if p.out != nil { // stepping; Recover arms those that were replayed
			p.armReminder(i, set)
		}
	}
	switch {
	case r.Workflow == nil:
	case r.Workflow.Status == msg.WorkflowNone: // what created an entity has ended
		p.setWorkflow(i, nil)
	default:
		p.setWorkflow(i, r.Workflow)
	}
	p.foldTasks(i, r)
	for n := range r.Locks {
		p.foldLock(i, &r.Locks[n], r.Time)
	}
	p.foldPrepared(i, r)
	if p.out != nil {
		p.armTTL(i)
	}
}

// setWorkflow notes how a workflow stands; nil: there is none any more.
func (p *Partition) setWorkflow(i *instance, w *msg.Workflow) {
	if known := i.workflow(); known != nil && !known.Status.Ended() {
		p.stats.Workflows--
	}
	if w != nil && !w.Status.Ended() {
		p.stats.Workflows++
	}
	i.own().workflow = w
}

// forget clears a reminder and its timer.
func (p *Partition) forget(i *instance, name string) {
	if r := i.reminder(name); r != nil {
		p.timers.disarm(r.timer)
		i.owned.forget(name)
	}
}

// changes holds a method for each kind of change.
var changes = [...]func(*Partition, *instance, *msg.Change, *msg.Record){
	msg.ChangeRoot: func(p *Partition, i *instance, c *msg.Change, r *msg.Record) {
		p.exist(i)
		i.root = msg.Payload{ContentType: c.ContentType, Body: c.Value}
		i.rootIndex, i.stateVersion = r.Index, c.StateVersion
	},
	msg.ChangePatch: func(_ *Partition, i *instance, c *msg.Change, r *msg.Record) {
		if c.Base != i.rootIndex {
			invariant.Check(false, "%s: patch of the root of record %d, which is of %d", i.ref, c.Base, i.rootIndex)
		}
		body, err := delta.Apply(i.root.Body, delta.Region{Offset: c.Offset, Remove: c.Remove, Insert: c.Value})
		if err != nil {
			invariant.Check(false, "%s: %v", i.ref, err)
		}
		i.root.Body = body
		i.rootIndex, i.stateVersion = r.Index, c.StateVersion
	},
	msg.ChangePut: func(p *Partition, i *instance, c *msg.Change, _ *msg.Record) {
		p.exist(i)
		i.mapField(c.Field).Entries.Set(c.Key, c.Value)
	},
	msg.ChangeRemove: func(_ *Partition, i *instance, c *msg.Change, _ *msg.Record) {
		if _, f := i.field(c.Field); f != nil && !f.List {
			f.Entries.Delete(c.Key)
			i.dropEmpty(c.Field)
		}
	},
	msg.ChangeClear: func(_ *Partition, i *instance, c *msg.Change, _ *msg.Record) {
		i.clear(c.Field)
	},
	msg.ChangeAppend: func(p *Partition, i *instance, c *msg.Change, _ *msg.Record) {
		if c.Field != msg.JournalField { // a journal is not the state of an entity
			p.exist(i)
		}
		f := i.listField(c.Field)
		f.Items = append(f.Items, c.Value)
	},
	msg.ChangeDelete: func(p *Partition, i *instance, _ *msg.Change, _ *msg.Record) { p.foldDelete(i) },
}

func (p *Partition) foldChange(i *instance, c *msg.Change, r *msg.Record) {
	changes[c.Kind](p, i, c, r)
}

func (p *Partition) exist(i *instance) {
	if !i.exists {
		i.exists = true
		p.stats.Entities++
	}
}

// foldDelete clears state, sub-state and reminders. The inbox belongs to the
// key and stays.
func (p *Partition) foldDelete(i *instance) {
	if i.exists {
		i.exists = false
		p.stats.Entities--
	}
	i.root, i.rootIndex, i.stateVersion, i.fields = msg.Payload{}, 0, 0, nil
	if i.owned == nil {
		return
	}
	for _, r := range i.owned.reminders {
		p.timers.disarm(r.timer)
	}
	i.owned.reminders = nil
	p.setWorkflow(i, nil)
}

func (i *instance) clear(name string) {
	if place, f := i.field(name); f != nil {
		i.fields = append(i.fields[:place:place], i.fields[place+1:]...)
	}
}

func (i *instance) dropEmpty(name string) {
	if _, f := i.field(name); f.Len() == 0 {
		i.clear(name)
	}
}

// CheckKinds compares what is to be served with the kind table and returns the
// rules that are new; an error says what must not have changed.
func (p *Partition) CheckKinds(kinds []msg.Kind) ([]msg.KindRule, error) {
	var added []msg.KindRule
	for _, k := range kinds {
		rule := msg.KindRule{Kind: k.Name, Affinity: k.Affinity, HashKind: hashKind, Partition: uint32(p.config.Partitions), Form: k.Form}
		known, ok := p.rules.Get(k.Name)
		if err := checkSpace(&k, kinds); err != nil {
			return nil, err
		}
		switch {
		case !ok:
			added = append(added, rule)
		case known.Form != rule.Form:
			return nil, fmt.Errorf("kind %s was %s and is now %s, which cannot take the other's place; give it a new name",
				k.Name, formName(known.Form), formName(rule.Form))
		case known.Affinity != rule.Affinity:
			return nil, fmt.Errorf("kind %s was placed by %s and is now placed by %s: its entities would not be found; "+
				"give it its old affinity, or a new name", k.Name, placement(known.Affinity), placement(rule.Affinity))
		case known.HashKind != rule.HashKind || known.Partition != rule.Partition:
			return nil, fmt.Errorf("kind %s was placed by hash %d over %d partitions, this program places by hash %d over %d",
				k.Name, known.HashKind, known.Partition, rule.HashKind, rule.Partition)
		}
	}
	return added, nil
}

// checkSpace refuses an affinity with the name of a kind that is locked as
// something else: the lock of a space is kept at the instance of that name.
func checkSpace(k *msg.Kind, kinds []msg.Kind) error {
	for n := range kinds {
		other := &kinds[n]
		if k.Affinity != other.Name || k.Affinity == "" || k.Affinity == k.Name {
			continue
		}
		if other.Form == msg.FormWorkflow || other.Affinity != "" && other.Affinity != k.Affinity {
			return fmt.Errorf("the affinity of kind %s has the name of kind %s, which does not belong to it; give it another name", k.Name, other.Name)
		}
	}
	return nil
}

func formName(f msg.Form) string {
	return [...]string{"an entity", "a workflow", "a machine"}[f]
}

// hashKind is the version of msg.PartitionOf.
const hashKind = 1

func placement(affinity string) string {
	if affinity == "" {
		return "its own key"
	}
	return "affinity " + affinity
}

// AddKinds puts rules into the kind table.
func (p *Partition) AddKinds(now msg.Time, rules []msg.KindRule, out *Output) {
	p.begin(now, out)
	r := p.record(msg.RecordKinds)
	r.Kinds = rules
	p.commit(r)
	p.out = nil
}

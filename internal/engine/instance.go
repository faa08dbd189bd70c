package engine

import (
	"cmp"
	"slices"
	"strings"

	"github.com/holdfast-io/holdfast/internal/field"
	"github.com/holdfast-io/holdfast/internal/fifo"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// instance is everything that belongs to one key of a kind. Fields above the
// line are durable.
type instance struct {
	ref          msg.Ref
	index        msg.Index // of the last record that changed anything here
	version      msg.Index // of the last change of the state
	touched      msg.Time  // of the last record of a turn, for the TTL
	exists       bool
	stateVersion uint32
	root         msg.Payload
	rootIndex    msg.Index      // of the change that made root: what a patch is based on
	fields       []*field.Field // maps and lists that are not empty, sorted by name
	owned        *owned         // nil: nothing
	// ---- volatile from here on

	kind *kind       // what is served under its name; nil: nothing
	live *live       // nil: nothing runs or waits
	view *field.View // of fields, until they change; nil: not made
}

// owned is what few instances have. It is durable.
type owned struct {
	reminders []*reminder      // sorted by name
	inbox     []*accepted      // sorted by id
	workflow  *msg.Workflow    // replaced, never changed; nil: none has begun
	tasks     []*task          // sorted by name
	locks     []msg.LockHolder // of the key; all shared, or one
	prepared  *msg.Prepared    // what an event comes to here that is not decided; nil: there is none
	// ---- volatile from here on

	ttl      *timer   // armed
	used     msg.Time // of the last turn that wrote nothing, for the TTL
	asleep   bool     // the inbox has not been taken up since the start
	previous uint64   // the run that made the last entry of the journal; 0: not in this process
}

// reminder is a reminder with what is known about its firing.
type reminder struct {
	msg.Reminder
	queued bool   // volatile: its input is in the queue
	timer  *timer // volatile
}

// accepted is a message in the inbox.
type accepted struct {
	id      msg.Index // of the record that accepted it
	message *msg.Message
}

// live is the volatile side of an instance.
type live struct {
	queue   fifo.Queue[*input]
	aside   []*input // that turns have deferred, in order
	passed  int      // inputs at the front of the queue that have to wait for a lock; see next
	running *run
	faults  uint32   // in a row
	retryAt msg.Time // nothing runs before
	parked  *msg.Parked
	culprit *input // that the instance is parked on; nil: it was answered
}

func (l *live) idle() bool {
	return l.queue.Len() == 0 && len(l.aside) == 0 && l.running == nil && l.parked == nil
}

// waiting is how many inputs wait, in the queue and aside.
func (l *live) waiting() int { return l.queue.Len() + len(l.aside) }

// input is a message on its way through an instance.
type input struct {
	message   *msg.Message
	target    *instance
	operation msg.Operation // call or delete; messages are calls
	handler   *handler      // nil: not served
	waiters   []waiting
	identity  identity // of a request from outside; zero: none
	body      msg.Fingerprint
	external  bool         // it exists only here: nobody would send it again
	inbox     msg.Index    // > 0: durable here
	task      msg.TaskName // of the activity whose outcome it is; zero: none
	arrived   msg.Time
	order     uint64     // of its arrival in a queue
	timer     *timer     // when a visit is given up
	refused   *msg.Error // not nil: it is not done, for this reason
	attempts  uint32     // begun so far
	recorded  bool       // attempts are in a record
	settled   bool
	attempted bool // it has begun to run in this process

	older, younger *input // in Partition.aging
	aging          bool   // it is there

	// What most inputs need once is in the same piece of memory.
	first [1]waiting
	run   run
	turn  msg.Turn
}

// external is an input of something from outside, a request or the outcome of an
// activity, with its message.
type external struct {
	input   input
	message msg.Message
}

// waiting is somebody who waits, and the request with which he does.
type waiting struct {
	waiter  msg.Waiter
	request msg.InvocationID
}

// attachment says what a request waits for that repeats another: an input, or
// if that is nil, an obligation.
type attachment struct {
	input *input
	id    msg.InvocationID
}

// run is an attempt in progress. A read is none: whoever runs it answers.
type run struct {
	id      uint64
	target  *instance
	input   *input // nil: a turn of a workflow
	group   *group // of a turn of a workflow
	backlog bool   // it came from the inbox or a timer: see backlogMax
}

// runTable finds runs by their numbers. A number says where its run is, and is
// not given out again.
type runTable struct {
	slots      []*run // nil: free
	free       []int
	generation uint64
	len        int
}

// slotBits are the low bits of a number that say where its run is: far more
// runs at once than there can be, and generations for a thousand years.
const slotBits = 24

func (t *runTable) add(r *run) {
	t.generation++
	t.len++
	slot := len(t.slots)
	if last := len(t.free) - 1; last >= 0 {
		slot, t.free = t.free[last], t.free[:last]
		t.slots[slot] = r
	} else {
		t.slots = append(t.slots, r)
	}
	r.id = t.generation<<slotBits | uint64(slot)
}

// take takes a run out; nil if it is not there.
func (t *runTable) take(id uint64) *run {
	slot := int(id & (1<<slotBits - 1))
	if slot >= len(t.slots) || t.slots[slot] == nil || t.slots[slot].id != id {
		return nil
	}
	r := t.slots[slot]
	t.slots[slot] = nil
	t.free = append(t.free, slot)
	t.len--
	return r
}

func (i *instance) own() *owned {
	if i.owned == nil {
		i.owned = &owned{}
	}
	return i.owned
}

func (i *instance) reminder(name string) *reminder {
	if i.owned == nil {
		return nil
	}
	place, found := i.owned.find(name)
	if !found {
		return nil
	}
	return i.owned.reminders[place]
}

func (o *owned) find(name string) (int, bool) {
	return slices.BinarySearchFunc(o.reminders, name, func(r *reminder, name string) int {
		return strings.Compare(r.Name, name)
	})
}

func (o *owned) remind(r msg.Reminder) *reminder {
	entry := &reminder{Reminder: r}
	place, found := o.find(r.Name)
	if found {
		o.reminders[place] = entry
	} else {
		o.reminders = slices.Insert(o.reminders, place, entry)
	}
	return entry
}

func (o *owned) forget(name string) {
	if place, found := o.find(name); found {
		o.reminders = slices.Delete(o.reminders, place, place+1)
	}
}

func (o *owned) accept(id msg.Index, m *msg.Message) {
	o.inbox = append(o.inbox, &accepted{id: id, message: m}) // ids grow
}

func (o *owned) finish(id msg.Index) *accepted {
	place, found := slices.BinarySearchFunc(o.inbox, id, func(a *accepted, id msg.Index) int {
		return cmp.Compare(a.id, id)
	})
	if !found {
		return nil
	}
	entry := o.inbox[place]
	switch {
	case len(o.inbox) == 1:
		o.inbox = nil
	case place == 0:
		o.inbox[0] = nil
		o.inbox = o.inbox[1:] // the usual case: the oldest is done
	default:
		o.inbox = slices.Delete(o.inbox, place, place+1)
	}
	return entry
}

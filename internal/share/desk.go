package share

import (
	"sync"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// Desk is a mailbox with the work that what comes there makes. The work is done
// in turns, by one goroutine at a time: mostly the desk's own, which waits at
// the mailbox, but whoever brings something and finds nobody at work may give
// the turn. It is safe for concurrent use. Make it with NewDesk.
type Desk[T any] struct {
	*Mailbox[T]

	now  func() msg.Time
	turn func(now msg.Time) (ready bool, wait time.Duration)

	working sync.Mutex // held during a turn
	due     msg.Time   // when the desk's own goroutine looks again by itself; 0: never
}

// NewDesk makes a desk. A turn takes what is in the mailbox. It says whether
// there is more to do at once, and otherwise after what time; 0 is never.
func NewDesk[T any](now func() msg.Time, turn func(now msg.Time) (ready bool, wait time.Duration)) *Desk[T] {
	return &Desk[T]{Mailbox: NewMailbox[T](), now: now, turn: turn}
}

// Begin does something before the first turn: nobody gives one meanwhile.
func (d *Desk[T]) Begin(do func()) {
	d.working.Lock()
	defer d.working.Unlock()
	do()
}

// Turn gives a turn, on the goroutine of the desk. It waits until others have
// done theirs.
func (d *Desk[T]) Turn() (ready bool, wait time.Duration) {
	d.working.Lock()
	defer d.working.Unlock()
	now := d.now()
	ready, wait = d.turn(now)
	d.due = after(now, wait)
	return ready, wait
}

// drivenMax is how many turns Drive gives while there is something to do: a turn
// that leaves the desk an item has its sequel.
const drivenMax = 4

// Drive adds an item and gives a turn, unless somebody does. What is left to be
// done then, or is due before the desk's own goroutine looks again, wakes that.
func (d *Desk[T]) Drive(item T) {
	d.mu.Lock()
	d.items = append(d.items, item) // wakes nobody: it is taken here, or the signal is set
	d.mu.Unlock()
	if !d.working.TryLock() {
		d.Set()
		return
	}
	defer d.working.Unlock()
	now := d.now()
	ready, wait := d.turn(now)
	for n := 1; ready && n < drivenMax; n++ {
		ready, wait = d.turn(now)
	}
	if due := after(now, wait); ready || due > 0 && (d.due == 0 || due < d.due) {
		d.Set()
	}
}

// after is when a wait is over; 0 for one that has no end.
func after(now msg.Time, wait time.Duration) msg.Time {
	if wait == 0 {
		return 0
	}
	return now + msg.Time(wait)
}

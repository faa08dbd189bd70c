package driver

import (
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/partition"
	"github.com/holdfast-io/holdfast/internal/share"
)

// Config is what a driver runs, and whom it tells.
type Config struct {
	Partitions int
	Loops      []*partition.Loop
	Buffer     *share.Buffer[*partition.Committer]
	Log        host.Log
	Now        func() msg.Time
	First      []*partition.Output // by loop: what it gave before its first turn
	Take       func(loop int, o *partition.Output)
	Failed     func(error) // the log is poisoned
}

// Driver runs loops and a committer until it is stopped.
type Driver struct {
	config Config
	desks  []*share.Desk[partition.Input] // by loop
	owner  []int                          // loop by partition

	running context.Context // until Stop
	stop    context.CancelFunc
	ended   sync.WaitGroup
}

const (
	turnBudget = 256                    // commands between two looks at the mailbox
	spinBelow  = 100 * time.Microsecond // timers are coarser than this
)

// New makes a driver, which takes commands before it is started.
func New(c Config) *Driver {
	d := &Driver{config: c, owner: make([]int, c.Partitions)}
	d.running, d.stop = context.WithCancel(context.Background())
	for i, l := range c.Loops {
		d.desks = append(d.desks, share.NewDesk[partition.Input](c.Now, func(now msg.Time) (bool, time.Duration) { return d.turn(i, now) }))
		for p := range d.owner {
			if l.Owns(msg.Partition(p)) {
				d.owner[p] = i
			}
		}
	}
	return d
}

// Start starts the goroutines.
func (d *Driver) Start() {
	d.ended.Add(len(d.config.Loops) + 1)
	for i := range d.config.Loops {
		go d.runLoop(i)
	}
	go d.runCommitter()
}

// Stop ends the goroutines and waits for them, and for turns that others give.
// What is not durable is lost.
func (d *Driver) Stop() {
	d.stop()
	d.ended.Wait()
	for _, desk := range d.desks {
		desk.Turn() // does nothing, after those that began before
	}
}

func (d *Driver) stopped() bool { return d.running.Err() != nil }

// Command gives a command to the loop of its partition.
func (d *Driver) Command(p msg.Partition, c msg.Command) {
	d.route(partition.Routed{Partition: p, Command: c})
}

func (d *Driver) route(r partition.Routed) {
	d.desks[d.owner[r.Partition]].Put(partition.Input{
		Kind: partition.InputCommand, Partition: r.Partition, Command: r.Command, Cause: r.Cause})
}

// Drive is Command for a goroutine that would have nothing else to do: if the
// loop is at rest, it gets a turn at once, and its own goroutine sleeps on.
func (d *Driver) Drive(p msg.Partition, c msg.Command) {
	d.desks[d.owner[p]].Drive(partition.Input{Kind: partition.InputCommand, Partition: p, Command: c})
}

// Tell gives an input to a loop.
func (d *Driver) Tell(loop int, in partition.Input) { d.desks[loop].Put(in) }

func (d *Driver) tellAll(in partition.Input) {
	for i := range d.desks {
		d.Tell(i, in)
	}
}

func (d *Driver) runLoop(i int) {
	defer d.ended.Done()
	desk, timer := d.desks[i], time.NewTimer(time.Hour)
	desk.Begin(func() { d.carry(i, d.config.First[i]) })
	for !d.stopped() {
		if ready, wait := desk.Turn(); !ready {
			desk.Wait(d.running.Done(), timer, wait)
		}
	}
}

// turn gives a loop what has come for it, and a turn if that makes it ready. It
// says whether another would do anything, or when it may.
func (d *Driver) turn(i int, now msg.Time) (ready bool, wait time.Duration) {
	l := d.config.Loops[i]
	if d.stopped() {
		return false, 0
	}
	d.desks[i].Take(l.Push)
	if ready, wait = l.Ready(now); ready {
		d.carry(i, l.Turn(now, turnBudget))
		ready, wait = l.Ready(now)
	}
	return ready, wait
}

func (d *Driver) carry(i int, out *partition.Output) {
	if out.Appended {
		d.config.Buffer.Set()
	}
	for _, r := range out.Routed {
		d.route(r)
	}
	d.config.Take(i, out)
	for _, a := range out.Answers {
		a.Waiter.Answer(a.Reply)
	}
}

func (d *Driver) runCommitter() {
	defer d.ended.Done()
	timer := time.NewTimer(time.Hour)
	for !d.stopped() {
		var next partition.Work
		d.config.Buffer.With(func(c *partition.Committer) { next = c.Next(d.config.Now()) })
		switch {
		case next.Frame != nil || next.Seal:
			if err := Write(d.config.Buffer, d.config.Log, d.config.Now, next, d.durable); err != nil {
				d.tellAll(partition.Input{Kind: partition.InputPoisoned, Err: err})
				d.config.Failed(err)
				return
			}
		case next.Wait > 0 && next.Wait < spinBelow:
			runtime.Gosched()
		default:
			d.config.Buffer.Wait(d.running.Done(), timer, next.Wait)
		}
	}
}

func (d *Driver) durable(position msg.Position) {
	d.tellAll(partition.Input{Kind: partition.InputDurable, Position: position})
}

// Write does a committer's work on a log. Durable is told up to where the log
// is durable before the frame is hashed, which the next one needs.
func Write(b *share.Buffer[*partition.Committer], l host.Log, now func() msg.Time, w partition.Work, durable func(msg.Position)) error {
	if w.Seal {
		b.With((*partition.Committer).Sealed)
		return l.Seal()
	}
	begun := time.Now()
	if err := l.Append(w.Frame); err != nil {
		return err
	}
	took := time.Since(begun)
	durable(w.Frame.First + msg.Position(w.Frame.Count) - 1)
	hash := w.Frame.Hash()
	b.With(func(c *partition.Committer) { c.Written(now(), took, hash) })
	return nil
}

package driver

import (
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
	boxes  []*share.Mailbox[partition.Input]
	owner  []int // loop by partition
	done   chan struct{}
	ended  sync.WaitGroup
}

const (
	turnBudget = 256                    // commands between two looks at the mailbox
	spinBelow  = 100 * time.Microsecond // timers are coarser than this
)

// New makes a driver, which takes commands before it is started.
func New(c Config) *Driver {
	d := &Driver{config: c, done: make(chan struct{}), owner: make([]int, c.Partitions)}
	for i, l := range c.Loops {
		d.boxes = append(d.boxes, share.NewMailbox[partition.Input]())
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

// Stop ends the goroutines and waits for them. What is not durable is lost.
func (d *Driver) Stop() {
	close(d.done)
	d.ended.Wait()
}

func (d *Driver) stopped() bool {
	select {
	case <-d.done:
		return true
	default:
		return false
	}
}

// Command gives a command to the loop of its partition.
func (d *Driver) Command(p msg.Partition, c msg.Command) {
	d.route(partition.Routed{Partition: p, Command: c})
}

func (d *Driver) route(r partition.Routed) {
	d.boxes[d.owner[r.Partition]].Put(partition.Input{
		Kind: partition.InputCommand, Partition: r.Partition, Command: r.Command, Cause: r.Cause})
}

// Tell gives an input to a loop.
func (d *Driver) Tell(loop int, in partition.Input) { d.boxes[loop].Put(in) }

func (d *Driver) tellAll(in partition.Input) {
	for i := range d.boxes {
		d.Tell(i, in)
	}
}

func (d *Driver) runLoop(i int) {
	defer d.ended.Done()
	l, box, timer := d.config.Loops[i], d.boxes[i], time.NewTimer(time.Hour)
	d.carry(i, d.config.First[i])
	for !d.stopped() {
		box.Take(l.Push)
		now := d.config.Now()
		ready, wait := l.Ready(now)
		if ready {
			d.carry(i, l.Turn(now, turnBudget))
			continue
		}
		box.Wait(d.done, timer, wait)
	}
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
			if err := d.write(next); err != nil {
				d.tellAll(partition.Input{Kind: partition.InputPoisoned, Err: err})
				d.config.Failed(err)
				return
			}
		case next.Wait > 0 && next.Wait < spinBelow:
			runtime.Gosched()
		default:
			d.config.Buffer.Wait(d.done, timer, next.Wait)
		}
	}
}

func (d *Driver) write(w partition.Work) error {
	return Write(d.config.Buffer, d.config.Log, d.config.Now, w, func(position msg.Position) {
		d.tellAll(partition.Input{Kind: partition.InputDurable, Position: position})
	})
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

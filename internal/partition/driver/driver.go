package driver

import (
	"runtime"
	"sync"
	"time"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/partition"
)

// Config is what a driver runs, and whom it tells.
type Config struct {
	Loops  []*partition.Loop
	Buffer *Buffer
	Log    host.Log
	Now    func() msg.Time
	First  func(loop int) *partition.Output // before the first turn of a loop
	Take   func(loop int, o *partition.Output)
	Failed func(error) // the log is poisoned
}

// Driver runs loops and a committer until it is stopped.
type Driver struct {
	config Config
	boxes  []*mailbox
	owner  []int // loop by partition
	done   chan struct{}
	ended  sync.WaitGroup
}

const (
	turnBudget = 256 // inputs between two looks at the mailbox
	sealAfter  = time.Second
	spinBelow  = 100 * time.Microsecond // timers are coarser than this
)

// Start starts the goroutines.
func Start(c Config, partitions int) *Driver {
	d := &Driver{config: c, done: make(chan struct{}), owner: make([]int, partitions)}
	for i, l := range c.Loops {
		d.boxes = append(d.boxes, &mailbox{signal: make(chan struct{}, 1)})
		for p := range partitions {
			if l.Owns(msg.Partition(p)) {
				d.owner[p] = i
			}
		}
	}
	d.ended.Add(len(c.Loops) + 1)
	for i := range c.Loops {
		go d.runLoop(i)
	}
	go d.runCommitter()
	return d
}

// Stop ends the goroutines and waits for them. What is not durable is lost.
func (d *Driver) Stop() {
	close(d.done)
	d.ended.Wait()
}

// Command gives a command to the loop of its partition.
func (d *Driver) Command(p msg.Partition, c msg.Command) {
	d.boxes[d.owner[p]].push(partition.Input{Kind: partition.InputCommand, Partition: p, Command: c})
}

// Tell gives an input to a loop; Owner says which has a partition.
func (d *Driver) Tell(loop int, in partition.Input) { d.boxes[loop].push(in) }

// Owner is the loop that owns a partition.
func (d *Driver) Owner(p msg.Partition) int { return d.owner[p] }

func (d *Driver) tellAll(in partition.Input) {
	for _, b := range d.boxes {
		b.push(in)
	}
}

func (d *Driver) runLoop(i int) {
	defer d.ended.Done()
	l, box := d.config.Loops[i], d.boxes[i]
	timer := time.NewTimer(time.Hour)
	out := d.config.First(i)
	d.carry(i, out)
	for due := out.Due; ; {
		box.drain(l)
		now := d.config.Now()
		if !l.Ready(now) {
			if !box.wait(d.done, timer, due, now) {
				return
			}
			continue
		}
		out := l.Turn(now, turnBudget)
		due = out.Due
		d.carry(i, out)
	}
}

func (d *Driver) carry(i int, out *partition.Output) {
	if out.Appended {
		d.config.Buffer.wake()
	}
	for _, r := range out.Routed {
		d.Command(r.Partition, r.Command)
	}
	d.config.Take(i, out)
	for _, a := range out.Answers {
		a.Waiter.Answer(a.Reply)
	}
}

func (d *Driver) runCommitter() {
	defer d.ended.Done()
	timer := time.NewTimer(time.Hour)
	sealed := true
	for {
		frame, wait := d.config.Buffer.next(d.config.Now())
		switch {
		case frame != nil:
			begun := time.Now()
			if err := d.config.Log.Append(frame); err != nil {
				d.tellAll(partition.Input{Kind: partition.InputPoisoned, Err: err})
				d.config.Failed(err)
				return
			}
			position := d.config.Buffer.written(d.config.Now(), time.Since(begun), frame.Hash(), len(frame.Payload))
			d.tellAll(partition.Input{Kind: partition.InputDurable, Position: position})
			sealed = false
		case wait > 0 && wait < spinBelow:
			runtime.Gosched()
		case wait == 0 && !sealed:
			wait = sealAfter
			fallthrough
		default:
			idle, running := d.config.Buffer.sleep(d.done, timer, wait)
			if !running {
				return
			}
			if idle && wait == sealAfter && d.config.Log.Seal() == nil {
				sealed = true
			}
		}
	}
}

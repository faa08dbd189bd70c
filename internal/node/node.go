package node

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/activity"
	"github.com/holdfast-io/holdfast/internal/engine"
	"github.com/holdfast-io/holdfast/internal/executor"
	"github.com/holdfast-io/holdfast/internal/ingress"
	"github.com/holdfast-io/holdfast/internal/marks"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/partition"
	"github.com/holdfast-io/holdfast/internal/partition/driver"
	"github.com/holdfast-io/holdfast/internal/program"
	"github.com/holdfast-io/holdfast/internal/recovery"
	"github.com/holdfast-io/holdfast/internal/share"
)

// Config is what a node is made from.
type Config struct {
	Host            host.Host
	Program         program.Program
	Logger          *slog.Logger
	Limits          engine.Limits
	Loops           int           // default half of GOMAXPROCS
	Executors       int           // default GOMAXPROCS
	WrittenOffMax   int           // handlers that may be out at once; default 1,000
	AbandonAfter    time.Duration // a handler's time; default 1 min
	ActivitiesMax   int           // attempts of activities that run at once; default 10,000
	LeaveAfter      time.Duration // an activity's time to return when its context has ended; default 1 s
	CheckpointBytes int64         // of log, at most, between two checkpoints of a partition; default 128 MiB
	BodyBytesMax    int           // default 8 MiB
	Now             func() time.Time
}

func (c Config) withDefaults() Config {
	partitions := c.Host.Identity().Partitions
	if c.Loops == 0 {
		c.Loops = (runtime.GOMAXPROCS(0) + 1) / 2 // the other half is for handlers, callers and the committer
	}
	c.Loops = min(c.Loops, partitions)
	if c.Executors == 0 {
		c.Executors = runtime.GOMAXPROCS(0)
	}
	if c.CheckpointBytes == 0 {
		c.CheckpointBytes = 128 << 20
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// Node runs one log group.
type Node struct {
	config     Config
	ingress    *ingress.Ingress
	loops      []*partition.Loop
	buffer     *share.Buffer[*partition.Committer]
	driver     *driver.Driver
	executors  *executor.Pool
	activities *activity.Pool
	saver      *saver
	observed   []observed // by loop
	batches    []batches  // by loop
	told       []told     // by loop
	recovery   Recovery
	prompt     map[string]bool // kinds whose turns run on the loop

	failed  chan error    // yields why the log has failed, once
	broken  chan struct{} // closed when the log has failed
	failure error         // why; set before broken is closed
	flushed chan int      // yields each loop that has taken its last checkpoints
	stopped chan struct{} // closed when the loops have ended
	closing sync.Once
	result  error // of Close
}

// batches are memory that take uses again.
type batches struct {
	turns []executor.Task
	tasks []activity.Task
}

// Recovery says what recovery did.
type Recovery struct {
	Took                       time.Duration
	Checkpoints, CheckpointMiB int
	Frames, Records            uint64
	Entities                   int
	Interrupted                int
}

// Start recovers the partitions and begins to serve. The host stays the
// caller's, to be closed after Close, or after an error.
func Start(ctx context.Context, c Config) (*Node, error) {
	c = c.withDefaults()
	n := &Node{
		config: c, failed: make(chan error, 1), broken: make(chan struct{}),
		flushed: make(chan int, c.Loops), stopped: make(chan struct{}), prompt: map[string]bool{},
	}
	for _, k := range c.Program.Describe().Kinds {
		n.prompt[k.Name] = k.Prompt
	}
	begun := time.Now()
	epoch, last, err := c.Host.Log().Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("acquire the log: %w", err)
	}
	recovered, err := n.recover(ctx, last.Number)
	if err != nil {
		return nil, err
	}
	rules, err := recovered[0].Engine.CheckKinds(c.Program.Describe().Kinds)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", host.ErrIncompatible, err)
	}
	n.assemble(epoch, last, recovered)
	first, err := n.takeUp(epoch, rules)
	if err != nil {
		return nil, err
	}
	n.recovery.Took = time.Since(begun)
	n.run(first)
	if err := n.ingress.Begin(ctx); err != nil {
		return nil, errors.Join(err, n.Close(ctx))
	}
	n.ingress.Open()
	return n, nil
}

// assemble makes the passive parts.
func (n *Node) assemble(epoch msg.Epoch, last host.Frame, recovered []partition.Recovered) {
	c := n.config
	n.buffer = share.NewBuffer(partition.NewCommitter(epoch, last, c.Host.Capabilities().FrameBytesMax))
	n.loops = partition.NewLoops(partition.Config{Buffer: n.buffer, CheckpointBytes: c.CheckpointBytes}, c.Loops, recovered)
	n.observed = make([]observed, c.Loops)
	n.batches = make([]batches, c.Loops)
	n.told = make([]told, c.Loops)
	n.ingress = ingress.New(ingress.Config{
		Description: c.Program.Describe(), Partitions: len(recovered), Room: c.Host.Log().Room,
		Command: func(p msg.Partition, cmd msg.Command) { n.driver.Command(p, cmd) },
		Now:     n.now, Nonce: nonce(), BodyBytesMax: c.BodyBytesMax,
	})
}

// run starts the goroutines: executors and activities before the loops, which
// give them work at once.
func (n *Node) run(first []*partition.Output) {
	c := n.config
	n.driver = driver.New(driver.Config{
		Partitions: c.Host.Identity().Partitions, Loops: n.loops, Buffer: n.buffer, Log: c.Host.Log(),
		Now: n.now, First: first, Take: n.take, Failed: n.fail,
	})
	handlers, activities := divide(c.Host.Marks())
	n.saver = newSaver(recovery.NewSaver(c.Host, c.Loops, n.driver.Tell, c.Logger))
	n.executors = executor.New(executor.Config{
		Program: c.Program, Executors: c.Executors, WrittenOffMax: c.WrittenOffMax, AbandonAfter: c.AbandonAfter,
		Marks: marks.New(handlers), Logger: c.Logger,
		Done: n.done, Abandon: func(t executor.Task) { n.driver.Command(t.Partition, t.Turn.GivenUp()) },
	})
	n.activities = activity.New(activity.Config{
		Program: c.Program, Marks: marks.New(activities), RunningMax: c.ActivitiesMax, LeaveAfter: c.LeaveAfter, Now: c.Now, Logger: c.Logger,
		Done: func(p msg.Partition, o *msg.TaskOutcome) {
			n.driver.Command(p, msg.Command{Kind: msg.CommandTask, Task: o})
		},
		Heartbeat: func(p msg.Partition, o *msg.TaskOutcome) {
			n.driver.Command(p, msg.Command{Kind: msg.CommandHeartbeat, Task: o})
		},
	})
	n.driver.Start()
}

// divide gives handlers and activities a half each of the memory for marks, so
// that many of one leave the others theirs.
func divide(memory []byte) (handlers, activities []byte) {
	half := len(memory) / 2 / marks.Bytes * marks.Bytes
	return memory[:half], memory[half:]
}

// done takes what a handler came to, on the goroutine of its executor. What a
// read has seen is durable in most cases, and its waiter is told at once. A
// waiter is told once: not by a read that was given up before it returned.
func (n *Node) done(t executor.Task, o *msg.Outcome, late bool) {
	switch r := t.Turn; {
	case r.Direct && o.Fault == "" && !o.Panicked && !late:
		r.Waiter.Answer(r.Answer(o))
	case r.Waiter != nil && late:
	case n.executors.HasWork():
		n.driver.Command(t.Partition, r.Ended(o))
	default:
		n.driver.Drive(t.Partition, r.Ended(o)) // the executor would sleep: it goes on with what comes of this
	}
}

func nonce() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint64(b[:])
}

func (n *Node) now() msg.Time { return msg.TimeOf(n.config.Now()) }

// take carries out what a turn of a loop asks for, before the next one.
func (n *Node) take(loop int, o *partition.Output) {
	if len(o.Turns) > 0 {
		n.takeTurns(loop, o.Turns)
	}
	if len(o.Tasks) > 0 {
		n.takeTasks(loop, o.Tasks)
	}
	for _, t := range o.Interrupts {
		n.activities.Interrupt(t.Partition, t.Run.Target, t.Run.Task.Name())
	}
	for _, s := range o.Slices {
		n.saver.slice(loop, s)
	}
	for _, c := range o.Published {
		n.saver.publish(loop, c)
	}
	for i := range o.Reports {
		n.tell(loop, &o.Reports[i])
	}
	if o.Flushed {
		n.flushed <- loop
	}
	n.saver.Report(loop, n.loops[loop])
	n.observe(loop)
}

func (n *Node) takeTurns(loop int, turns []partition.Turn) {
	batch := n.batches[loop].turns[:0]
	for _, t := range turns {
		if n.prompt[t.Turn.Message.Target.Kind] {
			n.runHere(t)
			continue
		}
		batch = append(batch, executor.Task{Partition: t.Partition, Turn: t.Turn})
	}
	n.executors.SubmitAll(batch)
	clear(batch)
	n.batches[loop].turns = batch
}

// runHere runs a prompt turn. What it came to is the loop's next command.
func (n *Node) runHere(t partition.Turn) {
	o, r := n.config.Program.Turn(context.Background(), t.Turn), t.Turn
	if r.Direct && o.Fault == "" && !o.Panicked {
		r.Waiter.Answer(r.Answer(o))
		return
	}
	n.driver.Command(t.Partition, r.Ended(o))
}

func (n *Node) takeTasks(loop int, tasks []partition.Task) {
	batch := n.batches[loop].tasks[:0]
	for _, t := range tasks {
		batch = append(batch, activity.Task{Partition: t.Partition, Run: t.Run})
	}
	n.activities.SubmitAll(batch)
	clear(batch)
	n.batches[loop].tasks = batch
}

// fail is told, once, that the log has failed: whoever waits hears it now.
func (n *Node) fail(err error) {
	n.failure = err
	close(n.broken)
	n.ingress.Fail(fmt.Errorf("the node's log has failed: %w", err))
	n.failed <- err
}

// Door is where frontends bring requests.
func (n *Node) Door() *ingress.Ingress { return n.ingress }

// Failed yields the error that ended the node's work, if one does.
func (n *Node) Failed() <-chan error { return n.failed }

// Recovery says what recovery did.
func (n *Node) Recovery() Recovery { return n.recovery }

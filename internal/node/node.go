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
	"github.com/holdfast-io/holdfast/internal/engine"
	"github.com/holdfast-io/holdfast/internal/executor"
	"github.com/holdfast-io/holdfast/internal/ingress"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/partition"
	"github.com/holdfast-io/holdfast/internal/partition/driver"
	"github.com/holdfast-io/holdfast/internal/program"
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
	config    Config
	ingress   *ingress.Ingress
	loops     []*partition.Loop
	buffer    *share.Buffer[*partition.Committer]
	driver    *driver.Driver
	executors *executor.Pool
	saver     *saver
	observed  []observed        // by loop
	tasks     [][]executor.Task // by loop: memory of take
	told      []told            // by loop
	recovery  Recovery

	failed  chan error    // yields why the log has failed, once
	broken  chan struct{} // closed when the log has failed
	failure error         // why; set before broken is closed
	flushed chan int      // yields each loop that has taken its last checkpoints
	stopped chan struct{} // closed when the loops have ended
	closing sync.Once
	result  error // of Close
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
		flushed: make(chan int, c.Loops), stopped: make(chan struct{}),
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
	n.ingress.Open()
	return n, nil
}

// assemble makes the passive parts.
func (n *Node) assemble(epoch msg.Epoch, last host.Frame, recovered []partition.Recovered) {
	c := n.config
	n.buffer = share.NewBuffer(partition.NewCommitter(epoch, last, c.Host.Capabilities().FrameBytesMax))
	for i := range c.Loops {
		var owned []partition.Recovered
		for p := i; p < len(recovered); p += c.Loops {
			owned = append(owned, recovered[p])
		}
		n.loops = append(n.loops, partition.New(
			partition.Config{Buffer: n.buffer, CheckpointBytes: c.CheckpointBytes / int64(c.Loops)}, len(recovered), owned))
	}
	n.observed = make([]observed, c.Loops)
	n.tasks = make([][]executor.Task, c.Loops)
	n.told = make([]told, c.Loops)
	n.ingress = ingress.New(ingress.Config{
		Description: c.Program.Describe(), Partitions: len(recovered), Room: c.Host.Log().Room,
		Command: func(p msg.Partition, cmd msg.Command) { n.driver.Command(p, cmd) },
		Now:     n.now, Nonce: nonce(), BodyBytesMax: c.BodyBytesMax,
	})
}

// run starts the goroutines: the executors before the loops, which give them
// work at once.
func (n *Node) run(first []*partition.Output) {
	c := n.config
	n.driver = driver.New(driver.Config{
		Partitions: c.Host.Identity().Partitions, Loops: n.loops, Buffer: n.buffer, Log: c.Host.Log(),
		Now: n.now, First: first, Take: n.take, Failed: n.fail,
	})
	n.saver = newSaver(c.Host, c.Loops, n.driver.Tell, c.Logger)
	n.executors = executor.New(executor.Config{
		Program: c.Program, Executors: c.Executors, WrittenOffMax: c.WrittenOffMax, AbandonAfter: c.AbandonAfter,
		Marks: executor.NewMarks(c.Host.Marks()), Logger: c.Logger,
		Done: func(p msg.Partition, o *msg.Outcome) {
			n.driver.Command(p, msg.Command{Kind: msg.CommandOutcome, Outcome: o})
		},
		Abandon: func(p msg.Partition, run uint64) {
			n.driver.Command(p, msg.Command{Kind: msg.CommandAbandon, Run: run})
		},
	})
	n.driver.Start()
}

func nonce() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint64(b[:])
}

func (n *Node) now() msg.Time { return msg.TimeOf(n.config.Now()) }

// take carries out what a turn of a loop asks for, on the loop's goroutine.
func (n *Node) take(loop int, o *partition.Output) {
	if len(o.Turns) > 0 {
		tasks := n.tasks[loop][:0]
		for _, t := range o.Turns {
			tasks = append(tasks, executor.Task{Partition: t.Partition, Turn: t.Turn})
		}
		n.executors.SubmitAll(tasks)
		clear(tasks)
		n.tasks[loop] = tasks
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
	n.saver.report(loop, n.loops[loop])
	n.observe(loop)
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

// Close ends the node: no new requests, then those admitted are answered, then
// every partition gets a checkpoint, as far as ctx allows. What was
// acknowledged is durable in any case. The error says what the log has failed
// of, or what was not finished.
func (n *Node) Close(ctx context.Context) error {
	n.closing.Do(func() { n.result = n.close(ctx) })
	return n.result
}

func (n *Node) close(ctx context.Context) error {
	n.ingress.Stop()
	unfinished := n.drain(ctx)
	n.settle(ctx)
	unfinished = errors.Join(unfinished, n.executors.Close(ctx))
	if err := n.flush(ctx); unfinished == nil {
		unfinished = err
	}
	n.driver.Stop()
	for i := range n.loops {
		n.speak(i) // for who asks later
	}
	close(n.stopped)
	n.saver.close()
	if n.hasFailed() {
		return n.failure
	}
	n.saver.last(n.loops)
	n.ingress.Fail(errStopped)
	return unfinished
}

// errStopped is why a request has no answer that was not finished in time.
var errStopped = errors.New("the node stopped before the request was answered")

func (n *Node) hasFailed() bool {
	select {
	case <-n.broken:
		return true
	default:
		return false
	}
}

const (
	// pollFirst and pollMax are the times between two looks at whether all is
	// done.
	pollFirst = time.Millisecond
	pollMax   = 16 * time.Millisecond
	// settleMax is how long what was sent before the end may go on after the
	// last request was answered. What has not ended then is durable and goes on
	// at the next start: there may always be more, of entities that send to
	// each other without end.
	settleMax = time.Second
)

// drain waits until no request waits for its answer.
func (n *Node) drain(ctx context.Context) error {
	if n.until(ctx, func() bool { return n.ingress.Inflight() == 0 }) || n.hasFailed() {
		return nil
	}
	return fmt.Errorf("stop with %d requests that were not answered in time: %w", n.ingress.Inflight(), ctx.Err())
}

// settle gives messages and timers that are under way some time to come to
// rest.
func (n *Node) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, settleMax)
	defer cancel()
	n.until(ctx, func() bool { return n.idle(ctx) })
}

// until polls a condition. It reports false if ctx ended or the log failed
// before it held.
func (n *Node) until(ctx context.Context, holds func() bool) bool {
	for pause := pollFirst; !holds(); pause = min(2*pause, pollMax) {
		select {
		case <-ctx.Done():
			return false
		case <-n.broken:
			return false
		case <-time.After(pause):
		}
	}
	return true
}

// idle says that nothing runs, nothing is due, and all is durable. The loops
// are looked at twice: one may have given another something to do.
func (n *Node) idle(ctx context.Context) bool {
	before, idle := n.lookAll(ctx)
	if !idle {
		return false
	}
	after, idle := n.lookAll(ctx)
	return idle && before == after && n.durable()
}

// durable says that everything that was appended is durable.
func (n *Node) durable() (empty bool) {
	n.buffer.With(func(c *partition.Committer) { empty = c.Empty() })
	return empty
}

// flush takes a checkpoint of every partition that has changed or has none.
func (n *Node) flush(ctx context.Context) error {
	for i := range n.loops {
		n.driver.Tell(i, partition.Input{Kind: partition.InputFlush})
	}
	for range n.loops {
		select {
		case <-n.flushed:
		case <-n.broken:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("stop before the last checkpoint, the next start reads more of the log: %w", ctx.Err())
		}
	}
	return nil
}

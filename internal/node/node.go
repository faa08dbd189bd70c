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
	"sync/atomic"
	"time"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/engine"
	"github.com/holdfast-io/holdfast/internal/executor"
	"github.com/holdfast-io/holdfast/internal/ingress"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/partition"
	"github.com/holdfast-io/holdfast/internal/partition/driver"
	"github.com/holdfast-io/holdfast/internal/program"
)

// Config is what a node is made from.
type Config struct {
	Host            host.Host
	Program         program.Program
	Logger          *slog.Logger
	Limits          engine.Limits
	Loops           int           // default GOMAXPROCS
	Executors       int           // default GOMAXPROCS
	WrittenOffMax   int           // handlers that may be out at once; default 1,000
	AbandonAfter    time.Duration // a handler's time; default 1 min
	CheckpointBytes int64         // of log between two checkpoints of a partition; default 256 MiB
	BodyBytesMax    int           // default 8 MiB
	Now             func() time.Time
}

func (c Config) withDefaults() Config {
	partitions := c.Host.Identity().Partitions
	if c.Loops == 0 {
		c.Loops = runtime.GOMAXPROCS(0)
	}
	c.Loops = min(c.Loops, partitions)
	if c.Executors == 0 {
		c.Executors = runtime.GOMAXPROCS(0)
	}
	if c.CheckpointBytes == 0 {
		c.CheckpointBytes = 256 << 20
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
	buffer    *driver.Buffer
	driver    *driver.Driver
	executors *executor.Pool
	saver     *saver
	failed    chan error
	flushed   chan int
	recovery  Recovery
	closing   sync.Once
	failure   atomic.Pointer[error]
	observed  []observed // by loop
}

// observed is what a loop's goroutine last said of it.
type observed struct {
	mu         sync.Mutex
	loop       partition.Stats
	partitions engine.Stats
	idle       bool
	wanted     atomic.Bool
	ready      chan struct{}
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
// caller's, to be closed after Close.
func Start(ctx context.Context, c Config) (*Node, error) {
	c = c.withDefaults()
	n := &Node{config: c, failed: make(chan error, 1), flushed: make(chan int, c.Loops)}
	begun := time.Now()
	epoch, last, err := c.Host.Log().Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("acquire the log: %w", err)
	}
	recovered, err := n.recover(ctx)
	if err != nil {
		return nil, err
	}
	rules, err := recovered[0].Engine.CheckKinds(c.Program.Describe().Kinds)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", host.ErrIncompatible, err)
	}
	interrupted := executor.ReadMarks(c.Host.Marks())
	for _, inputs := range interrupted {
		n.recovery.Interrupted += len(inputs)
	}
	n.recovery.Took = time.Since(begun)
	n.assemble(epoch, last, recovered)
	n.run(epoch, rules, interrupted)
	n.ingress.Open()
	return n, nil
}

// assemble makes the parts.
func (n *Node) assemble(epoch msg.Epoch, last host.Frame, recovered []partition.Recovered) {
	c := n.config
	n.buffer = driver.NewBuffer(partition.NewCommitter(epoch, last, c.Host.Capabilities().FrameBytesMax))
	for i := range c.Loops {
		var owned []partition.Recovered
		for p := i; p < len(recovered); p += c.Loops {
			owned = append(owned, recovered[p])
		}
		n.loops = append(n.loops, partition.New(
			partition.Config{Buffer: n.buffer, CheckpointBytes: c.CheckpointBytes / int64(c.Loops)}, len(recovered), owned))
	}
	n.observed = make([]observed, c.Loops)
	for i := range n.observed {
		n.observed[i].ready = make(chan struct{}, 1)
	}
	n.ingress = ingress.New(ingress.Config{
		Description: c.Program.Describe(), Partitions: len(recovered), Room: c.Host.Log().Room,
		Command: func(p msg.Partition, cmd msg.Command) { n.driver.Command(p, cmd) },
		Now:     n.now, Nonce: nonce(), BodyBytesMax: c.BodyBytesMax,
	})
}

// run starts the goroutines: the executors first, since the loops give them
// work at once.
func (n *Node) run(epoch msg.Epoch, rules []msg.KindRule, interrupted map[msg.Partition][]msg.Fingerprint) {
	c := n.config
	n.saver = newSaver(c.Host, c.Loops, n.tell, c.Logger)
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
	hold := make(chan struct{})
	n.driver = driver.Start(driver.Config{
		Loops: n.loops, Buffer: n.buffer, Log: c.Host.Log(), Now: n.now, Take: n.take, Failed: n.fail,
		First: func(loop int) *partition.Output {
			<-hold
			added := loop == 0 && len(rules) > 0 && n.loops[0].AddKinds(0, n.now(), rules).Appended
			out := n.loops[loop].Recover(n.now(), epoch, interrupted)
			out.Appended = out.Appended || added
			return out
		},
	}, c.Host.Identity().Partitions)
	close(hold)
}

func nonce() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint64(b[:])
}

func (n *Node) now() msg.Time { return msg.TimeOf(n.config.Now()) }

func (n *Node) tell(loop int, in partition.Input) { n.driver.Tell(loop, in) }

// take carries out what a turn of a loop asks for, on the loop's goroutine.
func (n *Node) take(loop int, o *partition.Output) {
	for _, t := range o.Turns {
		n.executors.Submit(t.Partition, t.Turn)
	}
	for _, s := range o.Slices {
		n.saver.slice(loop, s)
	}
	for _, c := range o.Published {
		n.saver.publish(loop, c)
	}
	if o.Flushed {
		n.flushed <- loop
	}
	n.saver.report(loop, n.loops[loop])
	n.observe(loop)
}

// fail is told that the log is poisoned.
func (n *Node) fail(err error) {
	n.failure.Store(&err)
	n.ingress.Stop()
	n.failed <- err
}

// Door is where frontends bring requests.
func (n *Node) Door() *ingress.Ingress { return n.ingress }

// Failed yields the error that ended the node's work, if one does.
func (n *Node) Failed() <-chan error { return n.failed }

// Recovery says what recovery did.
func (n *Node) Recovery() Recovery { return n.recovery }

// Close ends the node: no new requests, then those admitted are finished, then
// every partition gets a checkpoint, as far as ctx allows. What was
// acknowledged is durable in any case.
func (n *Node) Close(ctx context.Context) (err error) {
	n.closing.Do(func() { err = n.close(ctx) })
	return err
}

func (n *Node) close(ctx context.Context) error {
	n.ingress.Stop()
	unfinished := n.drain(ctx)
	if n.failure.Load() == nil && unfinished == nil {
		unfinished = n.flush(ctx)
	}
	n.executors.Close()
	n.driver.Stop()
	n.saver.close()
	if failure := n.failure.Load(); failure != nil {
		return *failure
	}
	return unfinished
}

// drain waits until no request waits, no handler runs, and all is durable.
func (n *Node) drain(ctx context.Context) error {
	for n.failure.Load() == nil && !n.idle(ctx) {
		select {
		case <-ctx.Done():
			return errors.New("the time to stop was over before all that was admitted had finished; it goes on at the next start")
		case <-time.After(time.Millisecond):
		}
	}
	return nil
}

func (n *Node) idle(ctx context.Context) bool {
	if n.ingress.Inflight() > 0 || !n.buffer.Empty() {
		return false
	}
	for i := range n.observed {
		n.look(ctx, i)
		n.observed[i].mu.Lock()
		idle := n.observed[i].idle
		n.observed[i].mu.Unlock()
		if !idle {
			return false
		}
	}
	return true
}

// flush takes a checkpoint of every partition that has changed.
func (n *Node) flush(ctx context.Context) error {
	for i := range n.loops {
		n.tell(i, partition.Input{Kind: partition.InputFlush})
	}
	for range n.loops {
		select {
		case <-n.flushed:
		case err := <-n.failed:
			n.failed <- err
			return err
		case <-ctx.Done():
			return errors.New("the time to stop was over before the last checkpoint; the next start reads more of the log")
		}
	}
	return nil
}

package driver_test

// Goal: goroutines change nothing of what loops and committer promise, and all
// of them end. Method: production loops on a host in memory, with handlers that
// the test runs, under the race detector.

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/host/memory"
	"github.com/holdfast-io/holdfast/internal/engine"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/partition"
	"github.com/holdfast-io/holdfast/internal/partition/driver"
	"github.com/holdfast-io/holdfast/internal/share"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const partitions = 6

var kinds = []msg.Kind{{Name: "counter", Handlers: []msg.Handler{{Name: "add", Mode: msg.ModeUpdate}}}}

// rig is a driver with what is around it.
type rig struct {
	*driver.Driver
	store  *memory.Store
	buffer *share.Buffer[*partition.Committer]
	failed chan error
	now    func() msg.Time
	log    func(host.Log) host.Log
	took   func(loop int)
	last   atomic.Uint64
	apart  sync.WaitGroup // handlers that run on goroutines of their own
	drive  bool           // they give the turns
}

// run starts a rig, whose fields may be set before.
func (r *rig) run(t *testing.T, loops int) {
	t.Helper()
	r.store = memory.New(memory.Config{Identity: host.Identity{Partitions: partitions}})
	h, err := r.store.Open()
	if err != nil {
		t.Fatal(err)
	}
	epoch, last, err := h.Log().Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r.failed = make(chan error, 1)
	r.buffer = share.NewBuffer(partition.NewCommitter(epoch, last, 1<<20))
	if r.now == nil {
		r.now = func() msg.Time { return msg.TimeOf(time.Now()) }
	}
	c := driver.Config{
		Partitions: partitions, Buffer: r.buffer, Log: h.Log(), Now: r.now, Take: r.take,
		Failed: func(err error) { r.failed <- err },
	}
	if r.log != nil {
		c.Log = r.log(c.Log)
	}
	for i := range loops {
		var owned []partition.Recovered
		for p := i; p < partitions; p += loops {
			owned = append(owned, partition.Recovered{ID: msg.Partition(p), Engine: engine.New(engine.Config{
				Partition: msg.Partition(p), Partitions: partitions, Kinds: kinds})})
		}
		l := partition.New(partition.Config{Buffer: r.buffer, CheckpointBytes: 1 << 40}, partitions, owned)
		c.Loops = append(c.Loops, l)
		c.First = append(c.First, l.Recover(r.now(), epoch, nil))
	}
	r.Driver = driver.New(c)
	r.Start()
}

// take runs handlers at once: each adds one to its root and sends the rest of
// its payload on, one key further.
func (r *rig) take(loop int, o *partition.Output) {
	for _, t := range o.Turns {
		hops := t.Turn.Message.Payload.Body
		out := &msg.Outcome{Run: t.Turn.Run, Root: &msg.Payload{Body: append(t.Turn.State.Root.Body[:len(t.Turn.State.Root.Body):len(t.Turn.State.Root.Body)], 'x')}}
		if len(hops) > 0 {
			out.Tail = &msg.Outgoing{Target: msg.Ref{Kind: "counter", Key: fmt.Sprint("hop-", len(hops))}, Handler: "add", Payload: msg.Payload{Body: hops[1:]}}
		}
		ended := t.Turn.Ended(out)
		if r.drive {
			r.apart.Go(func() { r.Drive(t.Partition, ended) })
			continue
		}
		r.Command(t.Partition, ended)
	}
	if r.took != nil {
		r.took(loop)
	}
}

type waiter chan msg.Reply

func (w waiter) Answer(r msg.Reply) { w <- r }

// add asks for an update that goes over a number of other keys.
func (r *rig) add(key string, hops int) msg.Reply {
	target := msg.Ref{Kind: "counter", Key: key}
	p := msg.PartitionOf(target, "", partitions)
	w := make(waiter, 1)
	r.Command(p, msg.Command{Kind: msg.CommandRequest, Waiter: w, Request: &msg.Request{
		Target: target, Handler: "add", Payload: msg.Payload{Body: make([]byte, hops)},
		Invocation: msg.NewInvocationID(p, 1<<40, r.last.Add(1)),
	}})
	return <-w
}

func TestEveryRequestIsAnsweredOnceItIsDurable(t *testing.T) {
	for n, loops := range []int{1, 3, 1, 3} {
		var r rig
		r.drive = n >= 2
		r.run(t, loops)
		var wait sync.WaitGroup
		for n := range 16 {
			wait.Go(func() {
				for range 20 {
					if reply := r.add(fmt.Sprint("key-", n), n%4); reply.Err != nil {
						t.Error(reply.Err)
					}
				}
			})
		}
		wait.Wait()
		var stats partition.CommitterStats
		r.buffer.With(func(c *partition.Committer) { stats = c.Stats() })
		if stats.Frames == 0 || stats.Durable == 0 || stats.SyncSeconds <= 0 {
			t.Errorf("got %+v, want something durable", stats)
		}
		r.Stop()
		r.apart.Wait()
	}
}

// TestNobodyGivesATurnAfterStop: what comes too late is left lying.
func TestNobodyGivesATurnAfterStop(t *testing.T) {
	var r rig
	turns := 0 // without a lock: the race detector sees a turn that Stop does not wait for
	r.took, r.drive = func(int) { turns++ }, true
	r.run(t, 1)
	for n := range 50 {
		r.add(fmt.Sprint("key-", n), 3)
	}
	r.Stop()
	before := turns
	r.Drive(0, msg.Command{Kind: msg.CommandTick})
	r.apart.Wait()
	if turns != before {
		t.Errorf("%d turns after the driver was stopped", turns-before)
	}
}

func TestAFailedWriteIsToldOnceAndToEverybody(t *testing.T) {
	var r rig
	r.run(t, 2)
	cause := errors.New("the cable is out")
	r.store.FailAppend(cause, false)
	if reply := r.add("a", 0); reply.Err == nil || reply.Err.Code != msg.CodeUnavailable {
		t.Errorf("got %+v, want unavailable", reply)
	}
	if err := <-r.failed; !errors.Is(err, host.ErrPoisoned) || !errors.Is(err, cause) {
		t.Errorf("got %v, want ErrPoisoned because %v", err, cause)
	}
	for _, key := range []string{"a", "b", "c", "d"} {
		if reply := r.add(key, 0); reply.Err == nil || reply.Err.Code != msg.CodeUnavailable {
			t.Errorf("got %+v after the log has failed, want unavailable", reply)
		}
	}
	r.Stop()
	select {
	case err := <-r.failed:
		t.Errorf("got another error: %v", err)
	default:
	}
}

func TestStopEndsLoopsThatAlwaysHaveSomethingToDo(t *testing.T) {
	var r rig
	busy := make(chan struct{}, 1000)
	r.took = func(loop int) {
		r.Tell(loop, partition.Input{Kind: partition.InputNudge})
		select {
		case busy <- struct{}{}:
		default:
		}
	}
	ready := make(chan struct{})
	first := r.took
	r.took = func(loop int) { <-ready; first(loop) }
	r.run(t, 2)
	close(ready)
	for range 100 {
		<-busy
	}
	ended := make(chan struct{})
	go func() {
		r.Stop()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatal("Stop does not return")
	}
}

// sealing is a log that says when it is sealed.
type sealing struct {
	host.Log
	sealed chan struct{}
	err    error
}

func (s sealing) Seal() error {
	s.sealed <- struct{}{}
	return s.err
}

// hurry is a clock on which a second passes whenever somebody looks.
func hurry() func() msg.Time {
	var looks atomic.Int64
	return func() msg.Time { return msg.Time(looks.Add(1)) * msg.Time(time.Second) }
}

func TestALogAtRestIsSealed(t *testing.T) {
	sealed := make(chan struct{}, 10)
	r := rig{now: hurry(), log: func(l host.Log) host.Log { return sealing{l, sealed, nil} }}
	r.run(t, 1)
	for range 3 {
		r.add("a", 0)
		<-sealed
	}
	r.Stop()
	if len(sealed) > 0 {
		t.Error("a log was sealed that was sealed already")
	}
}

func TestALogThatCannotBeSealedHasFailed(t *testing.T) {
	sealed := make(chan struct{}, 10)
	r := rig{now: hurry(), log: func(l host.Log) host.Log { return sealing{l, sealed, host.ErrPoisoned} }}
	r.run(t, 1)
	r.add("a", 0)
	if err := <-r.failed; !errors.Is(err, host.ErrPoisoned) {
		t.Errorf("got %v, want ErrPoisoned", err)
	}
	r.Stop()
}

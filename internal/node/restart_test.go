package node_test

// Goal: what was answered is there after any end of a process, and nothing was
// done twice. Method: real concurrency on a host in memory that crashes, with
// clients that repeat what was not answered; and on processes that are killed
// (process_test.go).

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/ingress"
	"github.com/holdfast-io/holdfast/internal/msg"
)

func TestAfterAnOrderlyStopNothingHasToBeReplayed(t *testing.T) {
	r := newRig(t).start()
	for n := range 100 {
		r.must(r.do(fmt.Sprint("cell-", n%10), order{Write: fmt.Sprint(n), Send: map[string]string{fmt.Sprint("other-", n%7): "sent"}}))
	}
	r.stop()
	r.start()
	if got := r.Recovery(); got.Records > 0 || got.Interrupted > 0 || got.Entities != 17 || got.Checkpoints != rigPartitions {
		t.Errorf("got %+v, want 17 entities of checkpoints and no records", got)
	}
	sent := 0
	for n := range 10 {
		if got := r.look(fmt.Sprint("cell-", n)); len(got) != 10 {
			t.Errorf("cell %d has %v", n, got)
		}
		sent += len(r.look(fmt.Sprint("other-", n)))
	}
	if sent != 100 {
		t.Errorf("%d of 100 messages arrived", sent)
	}
	r.stop()
}

func TestAfterAnOrderlyStopNothingHasToBeReplayedOfAFewPartitionsEither(t *testing.T) {
	r := newRig(t)
	r.wrap = func(h host.Host) host.Host { return noTrim{h} }
	for range 3 {
		r.start()
		if got := r.Recovery(); got.Records > 0 {
			t.Errorf("got %+v, want no records", got)
		}
		for range 100 {
			r.must(r.do("the only one", order{Write: "x"}))
		}
		r.stop()
	}
}

// worker writes into cells, one write after the other, and repeats each until
// it is answered.
type worker struct {
	id     int
	door   *atomic.Pointer[ingress.Ingress]
	acked  *atomic.Int64
	random *rand.Rand
	keys   int
	pad    string
}

// work does a number of writes, each of which sends another one.
func (w *worker) work(count int) error {
	for n := range count {
		d := order{Write: fmt.Sprintf("%d:%d", w.id, n), Pad: w.pad}
		d.Send = map[string]string{fmt.Sprint("copy-", w.random.IntN(w.keys)): d.Write}
		r := msg.Request{Target: msg.Ref{Kind: "cell", Key: fmt.Sprint("cell-", w.random.IntN(w.keys))}, Handler: "do", Payload: payload(d)}
		r.Identity.Session, r.Identity.SessionNumber = msg.SessionID{9, byte(w.id)}, uint64(n+1)
		for began := time.Now(); ; {
			attempt := r
			reply := w.door.Load().Do(context.Background(), &attempt)
			if reply.Err == nil {
				break
			}
			if reply.Err.Code != msg.CodeUnavailable || time.Since(began) > patience {
				return fmt.Errorf("write %s: %w", d.Write, reply.Err)
			}
			time.Sleep(100 * time.Microsecond) // the node is down
		}
		w.acked.Add(1)
	}
	return nil
}

func TestCrashesLoseNothingThatWasAnsweredAndDoNothingTwice(t *testing.T) {
	t.Run("and the log is trimmed", func(t *testing.T) { crashes(t, newRig(t)) })
	t.Run("and the log is kept", func(t *testing.T) {
		r := newRig(t)
		r.wrap = func(h host.Host) host.Host { return noTrim{h} }
		crashes(t, r)
	})
}

func crashes(t *testing.T, r *rig) {
	const workers, each, keys, crashes = 8, 250, 20, 12
	r.config.CheckpointBytes = 1      // as often as may be
	pad := strings.Repeat("x", 8<<10) // so that the log grows fast enough for checkpoints
	var door atomic.Pointer[ingress.Ingress]
	var acked atomic.Int64
	var taken uint64
	door.Store(r.start().Door())
	var wait sync.WaitGroup
	for id := range workers {
		wait.Go(func() {
			w := &worker{id, &door, &acked, rand.New(rand.NewPCG(uint64(id), 1)), keys, pad}
			if err := w.work(each); err != nil {
				t.Error(err)
			}
		})
	}
	for n := range crashes {
		r.until("work goes on", func() bool { return acked.Load() >= int64((n+1)*workers*each/(crashes+2)) || t.Failed() })
		taken += r.Stats(context.Background()).Loops.Checkpoints
		r.crash()
		door.Store(r.start().Door())
		if n%3 == 0 {
			r.stop()
			door.Store(r.start().Door())
		}
	}
	wait.Wait()
	if taken == 0 {
		t.Error("no checkpoints were taken between crashes: nothing is shown about them")
	}
	t.Logf("%d checkpoints", taken)
	checkWritten(t, r, workers, each, keys)
	r.stop()
	r.start()
	checkWritten(t, r, workers, each, keys)
	r.stop()
}

// checkWritten checks that every write and its copy are there once.
func checkWritten(t *testing.T, r *rig, workers, each, keys int) {
	t.Helper()
	for _, kind := range []string{"cell-", "copy-"} {
		found := func() map[string]int {
			counts := map[string]int{}
			for k := range keys {
				for _, w := range r.look(fmt.Sprint(kind, k)) {
					counts[w]++
				}
			}
			return counts
		}
		r.until("messages arrive", func() bool { return len(found()) >= workers*each })
		for w, n := range found() {
			if n != 1 {
				t.Errorf("%s: %s was written %d times", kind, w, n)
			}
		}
	}
}

func TestADelayedSendArrivesOnceAndNotEarly(t *testing.T) {
	r := newRig(t)
	clock := newClock()
	r.config.Now = clock.now
	r.start()
	r.must(r.do("sender", order{Send: map[string]string{"late": "x"}, Delay: time.Hour}))
	r.must(r.ask(&msg.Request{Operation: msg.OperationSubmit, Target: msg.Ref{Kind: "cell", Key: "late"}, Handler: "do",
		Payload: payload(order{Write: "y"}), NotBefore: msg.TimeOf(clock.now().Add(time.Hour))}))
	r.crash()
	clock.add(59 * time.Minute)
	r.start()
	r.settled()
	if got := r.look("late"); len(got) > 0 {
		t.Fatalf("%v came early", got)
	}
	r.stop()
	clock.add(2 * time.Hour) // it falls due while nothing runs
	r.start()
	r.written("late", 2)
	r.crash()
	r.start()
	r.settled()
	got := r.look("late")
	if slices.Sort(got); !slices.Equal(got, []string{"x", "y"}) {
		t.Fatalf("got %v, want each once", got)
	}
	r.stop()
}

func TestRemindersFireOnceEachAndSurviveRestarts(t *testing.T) {
	r := newRig(t)
	clock := newClock()
	r.config.Now = clock.now
	r.start()
	r.must(r.do("once", order{Remind: "wake", In: time.Hour}))
	r.must(r.do("often", order{Remind: "tick", In: time.Hour, Every: time.Hour}))
	r.must(r.do("never", order{Remind: "cancelled", In: time.Hour}))
	r.must(r.do("never", order{Forget: "cancelled"}))
	list := r.ask(&msg.Request{Operation: msg.OperationReminders, Target: msg.Ref{Kind: "cell", Key: "often"}})
	if len(list.Reminders) != 1 || list.Reminders[0].Name != "tick" {
		t.Errorf("got %+v, want the reminder", list.Reminders)
	}
	for hour := 1; hour <= 3; hour++ {
		if hour%2 == 0 {
			r.stop()
			r.start()
		} else {
			r.crash()
			r.start()
		}
		clock.add(time.Hour)
		r.written("often", hour)
		r.written("once", 1)
	}
	r.settled()
	for key, want := range map[string]int{"once": 1, "often": 3, "never": 0} {
		if got := r.look(key); len(got) != want {
			t.Errorf("%s was written %v, want %d", key, got, want)
		}
	}
	r.stop()
}

// clock is a clock that a test moves; between that it stands still.
type clock struct{ at atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.at.Store(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time { return time.Unix(0, c.at.Add(int64(time.Microsecond))) }

func (c *clock) add(d time.Duration) { c.at.Add(int64(d)) }

// settled waits until nothing runs and nothing is under way.
func (r *rig) settled() {
	r.t.Helper()
	r.until("it comes to rest", func() bool {
		s := r.Stats(context.Background())
		return s.Partitions.Queued+s.Partitions.Running+s.Partitions.OutboxMessages+s.Loops.Held+s.Loops.Pending+s.Loops.Inputs == 0
	})
}

func TestAKindThatIsPlacedOtherwiseIsRefused(t *testing.T) {
	r := newRig(t).start()
	r.must(r.do("a", order{Write: "x"}))
	r.stop()
	err := r.startAs(affine{r.script})
	if !errors.Is(err, host.ErrIncompatible) || !strings.Contains(err.Error(), "affinity") || !strings.Contains(err.Error(), "cell") {
		t.Errorf("got %v, want ErrIncompatible and what changed", err)
	}
	r.start()
	if got := r.look("a"); len(got) != 1 {
		t.Errorf("got %v after the refusal, want what was there", got)
	}
	r.stop()
}

func TestDataOfAnotherPartitionCountIsRefused(t *testing.T) {
	r := newRig(t).start()
	r.must(r.do("a", order{Write: "x"}))
	r.stop()
	r.wrap = func(h host.Host) host.Host { return counting{h, 2 * rigPartitions} }
	if err := r.tryStart(); err == nil || !strings.Contains(err.Error(), "partitions") {
		t.Errorf("got %v, want to hear of the partitions", err)
	}
	r.wrap = func(h host.Host) host.Host { return counting{h, 1} }
	if err := r.tryStart(); !errors.Is(err, host.ErrCorrupt) {
		t.Errorf("got %v, want ErrCorrupt", err)
	}
}

// counting is a host that says that it has another number of partitions, as one
// would that does not look.
type counting struct {
	host.Host
	partitions int
}

func (c counting) Identity() host.Identity { return host.Identity{Partitions: c.partitions} }

// cutting is a host whose log has lost what comes after a frame.
type cutting struct {
	host.Host
	last msg.FrameNumber
}

func (c cutting) Log() host.Log { return cutLog{c.Host.Log(), c.last} }

type cutLog struct {
	host.Log
	last msg.FrameNumber
}

func (l cutLog) Acquire(ctx context.Context) (msg.Epoch, host.Frame, error) {
	epoch, last, err := l.Log.Acquire(ctx)
	for f := range l.Log.Frames(0) {
		if f.Number == l.last {
			last = f
		}
	}
	if last.Number != l.last {
		last = host.Frame{}
	}
	return epoch, last, err
}

func (l cutLog) Frames(from msg.FrameNumber) iter.Seq2[host.Frame, error] {
	return func(yield func(host.Frame, error) bool) {
		for f, err := range l.Log.Frames(from) {
			if f.Number > l.last || !yield(f, err) {
				return
			}
		}
	}
}

// noTrim is a host that keeps its log.
type noTrim struct{ host.Host }

func (h noTrim) Log() host.Log { return noTrimLog{h.Host.Log()} }

type noTrimLog struct{ host.Log }

func (noTrimLog) Trim(msg.FrameNumber) error { return nil }

func TestALogThatEndsBeforeItsCheckpointsIsRefused(t *testing.T) {
	r := newRig(t)
	r.wrap = func(h host.Host) host.Host { return noTrim{h} }
	r.start()
	for n := range 20 {
		r.must(r.do(fmt.Sprint(n), order{Write: "x"}))
	}
	r.stop()
	h, err := r.store.Open()
	if err != nil {
		t.Fatal(err)
	}
	_, last, err := h.Log().Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_ = h.Close()
	for cut := range last.Number {
		r.wrap = func(h host.Host) host.Host { return cutting{noTrim{h}, cut} }
		if err := r.tryStart(); !errors.Is(err, host.ErrCorrupt) || !strings.Contains(err.Error(), "log ends") {
			t.Fatalf("log cut after frame %d of %d: got %v, want ErrCorrupt", cut, last.Number, err)
		}
	}
	r.wrap = func(h host.Host) host.Host { return cutting{noTrim{h}, last.Number} }
	r.start()
	r.stop()
}

func TestACheckpointThatIsNotWhatItIsSaidToBeIsRefused(t *testing.T) {
	r := newRig(t).start()
	for range 2 {
		r.must(r.do("a", order{Write: "x"}))
	}
	r.stop()
	h, err := r.store.Open()
	if err != nil {
		t.Fatal(err)
	}
	list, err := h.Snapshots().Current()
	if err != nil {
		t.Fatal(err)
	}
	c := &list[msg.PartitionOf(msg.Ref{Kind: "cell", Key: "a"}, "", rigPartitions)]
	c.Start--
	if err := h.Snapshots().Publish([]host.Published{{Checkpoint: *c}}); err != nil {
		t.Fatal(err)
	}
	_ = h.Close()
	if err := r.tryStart(); !errors.Is(err, host.ErrCorrupt) || !strings.Contains(err.Error(), "manifest") {
		t.Errorf("got %v, want ErrCorrupt", err)
	}
}

func TestACheckpointThatHasSeenMoreThanTheLogHoldsIsRefused(t *testing.T) {
	r := newRig(t).start()
	r.must(r.do("a", order{Write: "x"}))
	r.stop()
	h, err := r.store.Open()
	if err != nil {
		t.Fatal(err)
	}
	list, err := h.Snapshots().Current()
	if err != nil || len(list) == 0 {
		t.Fatal(list, err)
	}
	list[0].End++
	if err := h.Snapshots().Publish([]host.Published{{Checkpoint: list[0]}}); err != nil {
		t.Fatal(err)
	}
	_ = h.Close()
	if err := r.tryStart(); !errors.Is(err, host.ErrCorrupt) || !strings.Contains(err.Error(), fmt.Sprint("partition ", list[0].Partition)) {
		t.Errorf("got %v, want ErrCorrupt and of which partition", err)
	}
}

func TestALogThatBeginsBehindACheckpointIsRefused(t *testing.T) {
	r := newRig(t).start()
	for n := range 20 {
		r.must(r.do(fmt.Sprint(n), order{Write: "x"}))
	}
	r.stop()
	h, err := r.store.Open()
	if err != nil {
		t.Fatal(err)
	}
	epoch, last, err := h.Log().Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		next := host.Frame{Epoch: epoch, Number: last.Number + 1, First: last.First + msg.Position(last.Count), Previous: last.Hash()}
		if err := h.Log().Append(&next); err != nil {
			t.Fatal(err)
		}
		last = next
	}
	if err := h.Log().Trim(last.Number); err != nil {
		t.Fatal(err)
	}
	_ = h.Close()
	if err := r.tryStart(); !errors.Is(err, host.ErrCorrupt) {
		t.Errorf("got %v, want ErrCorrupt", err)
	}
}

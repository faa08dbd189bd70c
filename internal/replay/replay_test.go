package replay_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/host/embedded"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/replay"
	"github.com/holdfast-io/holdfast/server"
)

// Goal: what is shown at a position is what was there. Method: servers that have
// run here, whose entities count, so that what must be there is known.

type tally struct{ N int }

var (
	tallies = holdfast.NewEntity[tally]("tally")
	add     = holdfast.NewUpdate[int, int](tallies, "add")
	twice   = holdfast.NewWorkflow[string, int]("twice")
)

func app() *holdfast.App {
	return holdfast.NewApp("tally", add.Handle(func(ctx *holdfast.UpdateContext[tally], n int) (int, error) {
		ctx.State.N += n
		return ctx.State.N, nil
	}), twice.Handle(func(ctx *holdfast.WorkflowContext, key string) (int, error) {
		if _, err := add.Call(ctx, key, 1); err != nil {
			return 0, err
		}
		return add.Call(ctx, key, 1)
	}))
}

// serve runs a server on a directory while do does something.
func serve(t *testing.T, dir string, do func(c *holdfast.ClientContext)) {
	t.Helper()
	h, err := embedded.Open(embedded.Config{Dir: dir, Identity: host.Identity{Partitions: 2},
		FrameBytesMax: 64 << 10, SegmentBytes: 256 << 10, FirstSegmentBytes: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(server.Config{App: app(), Host: h, Listen: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	<-s.Ready()
	do(s.Client().With(t.Context()))
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

func increase(t *testing.T, c *holdfast.ClientContext, key string, times int) {
	t.Helper()
	for range times {
		if _, err := add.Call(c, key, 1); err != nil {
			t.Fatal(err)
		}
	}
}

func open(t *testing.T, dir string) *replay.Replay {
	t.Helper()
	r, err := replay.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// valueOf is what a tally has, -1 if it does not exist.
func valueOf(t *testing.T, r *replay.Replay, key string) int {
	t.Helper()
	reply := r.Look(msg.Ref{Kind: "tally", Key: key})
	if !reply.Found {
		return -1
	}
	var state tally
	if err := json.Unmarshal(reply.State.Root.Body, &state); err != nil {
		t.Fatal(err)
	}
	return state.N
}

// TestEachRecordIsSteppedOverBothWays: each that changes an entity changes what is
// shown by what it did, and backwards the same is shown in the other order.
func TestEachRecordIsSteppedOverBothWays(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	serve(t, dir, func(c *holdfast.ClientContext) {
		increase(t, c, "a", 5)
		if _, err := twice.Call(c, "w", "b"); err != nil {
			t.Fatal(err)
		}
		increase(t, c, "a", 2)
	})
	r := open(t, dir)
	first, last := r.Range()
	if first != 0 || r.Position() != last || valueOf(t, r, "a") != 7 || valueOf(t, r, "b") != 2 {
		t.Fatalf("at %d of %d to %d a is %d and b %d, want all of it", r.Position(), first, last, valueOf(t, r, "a"), valueOf(t, r, "b"))
	}
	if err := r.Go(0); err != nil || valueOf(t, r, "a") != -1 {
		t.Fatalf("before everything: %v, a is %d", err, valueOf(t, r, "a"))
	}
	var seen []string
	for r.Position() < last {
		if err := r.Step(1); err != nil {
			t.Fatal(err)
		}
		seen = append(seen, fmt.Sprint(r.Position(), valueOf(t, r, "a"), valueOf(t, r, "b"), r.Look(msg.Ref{Kind: "twice", Key: "w"}).Found))
		if record, ok := r.Record(); !ok || record.Position != r.Position() {
			t.Fatalf("stands at %d, and the record is of %d", r.Position(), record.Position)
		}
	}
	for n := len(seen) - 1; n >= 0; n-- {
		if got := fmt.Sprint(r.Position(), valueOf(t, r, "a"), valueOf(t, r, "b"), r.Look(msg.Ref{Kind: "twice", Key: "w"}).Found); got != seen[n] {
			t.Fatalf("backwards: got %s, want %s", got, seen[n])
		}
		if err := r.Step(-1); err != nil {
			t.Fatal(err)
		}
	}
	for want := range 7 {
		found, err := r.Find(true, func(record *replay.Record) bool {
			return len(record.Changes) > 0 && record.Touches(msg.Ref{Kind: "tally", Key: "a"})
		})
		if !found || err != nil || valueOf(t, r, "a") != want+1 {
			t.Fatalf("change %d of a: found %t, %v, a is %d", want+1, found, err, valueOf(t, r, "a"))
		}
	}
	if found, _ := r.Find(true, func(record *replay.Record) bool {
		return len(record.Changes) > 0 && record.Touches(msg.Ref{Kind: "tally", Key: "a"})
	}); found {
		t.Error("found an eighth change of a")
	}
}

func TestAFrameAndATimeCanBeStoodAt(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	var between time.Time
	serve(t, dir, func(c *holdfast.ClientContext) {
		increase(t, c, "a", 3)
		<-time.After(5 * time.Millisecond)
		between = time.Now()
		<-time.After(5 * time.Millisecond)
		increase(t, c, "a", 4)
	})
	r := open(t, dir)
	if err := r.GoTime(msg.TimeOf(between)); err != nil || valueOf(t, r, "a") != 3 {
		t.Errorf("in between: %v, a is %d, want 3", err, valueOf(t, r, "a"))
	}
	record, _ := r.Record()
	if err := r.GoFrame(record.Frame); err != nil || valueOf(t, r, "a") != 3 {
		t.Errorf("the frame of then: %v, a is %d, want 3", err, valueOf(t, r, "a"))
	}
	_, last := r.Range()
	for name, err := range map[string]error{"after the end": r.Go(last + 1), "a frame that is not there": r.GoFrame(1 << 40)} {
		if !errors.Is(err, replay.ErrRange) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestWhatCheckpointsHaveTakenIsSaid: a log that was trimmed begins with what they
// hold, and nothing before their end is shown.
func TestWhatCheckpointsHaveTakenIsSaid(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	total := 0
	for range 4 {
		serve(t, dir, func(c *holdfast.ClientContext) { increase(t, c, "a", 1500) })
		total += 1500
	}
	r := open(t, dir)
	first, last := r.Range()
	if first == 0 || valueOf(t, r, "a") != total {
		t.Fatalf("the log is known from %d to %d, a is %d, want a log that was trimmed and %d", first, last, valueOf(t, r, "a"), total)
	}
	if err := r.Go(first); err != nil {
		t.Fatal(err)
	}
	for want := valueOf(t, r, "a"); r.Position() < last; {
		record, _ := r.Record()
		if record.Position > first && len(record.Changes) > 0 && record.Instance.Key == "a" {
			want++
		}
		if got := valueOf(t, r, "a"); got != want {
			t.Fatalf("at %d a is %d, want %d", r.Position(), got, want)
		}
		if err := r.Step(1); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Go(first - 1); !errors.Is(err, replay.ErrRange) {
		t.Errorf("before what is known: got %v", err)
	}
	if err := r.GoTime(1); !errors.Is(err, replay.ErrRange) {
		t.Errorf("at a time before what is known: got %v", err)
	}
}

// TestAServerMayGoOn: the copy is of one moment, and nothing in the directory is
// touched.
func TestAServerMayGoOn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	serve(t, dir, func(c *holdfast.ClientContext) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			increase(t, c, "a", 500)
		}()
		last := 0
		for range 5 {
			r, err := replay.Open(dir)
			if err != nil {
				t.Error(err)
				break
			}
			if value := max(0, valueOf(t, r, "a")); value < last || value > 500 {
				t.Errorf("a is %d, and was %d before", value, last)
			} else {
				last = value
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
		<-done
	})
	if r := open(t, dir); valueOf(t, r, "a") != 500 {
		t.Errorf("in the end a is %d, want 500", valueOf(t, r, "a"))
	}
}

func TestWhatIsNoDataDirectoryIsRefused(t *testing.T) {
	empty := t.TempDir()
	for _, dir := range []string{empty, filepath.Join(empty, "nowhere")} {
		if r, err := replay.Open(dir); err == nil {
			t.Errorf("%s was opened", dir)
			_ = r.Close()
		}
	}
	left, err := filepath.Glob(filepath.Join(os.TempDir(), "holdfast-replay-*"))
	if err != nil || len(left) > 0 {
		t.Logf("copies that others may be using: %v, %v", left, err)
	}
}

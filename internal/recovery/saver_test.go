package recovery

// Goal: what is published and trimmed is what loops have said, however old, and
// never more. Method: a saver on a host in memory, told by hand.

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/host/memory"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/partition"
)

// saverRig is a saver on a log of twenty frames.
type saverRig struct {
	*Saver
	t    *testing.T
	host *memory.Host
	told []partition.Input
	last host.Frame
}

func newSaverRig(t *testing.T, loops int) *saverRig {
	h, err := memory.New(memory.Config{Identity: host.Identity{Partitions: 4}}).Open()
	if err != nil {
		t.Fatal(err)
	}
	r := &saverRig{t: t, host: h}
	r.Saver = NewSaver(h, loops, func(_ int, in partition.Input) {
		if in.Kind != partition.InputNudge {
			r.told = append(r.told, in)
		}
	}, slog.New(slog.DiscardHandler))
	epoch, _, err := h.Log().Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for n := range 20 {
		f := host.Frame{Epoch: epoch, Number: msg.FrameNumber(n + 1), First: msg.Position(n + 1), Count: 1}
		if n > 0 {
			f.Previous = r.last.Hash()
		}
		if err := h.Log().Append(&f); err != nil {
			t.Fatal(err)
		}
		r.last = f
	}
	return r
}

// save writes a checkpoint and returns what the loop was told of it.
func (r *saverRig) save(c host.Checkpoint) error {
	r.t.Helper()
	if err := r.write(partition.Slice{Partition: c.Partition, Bytes: []byte("slice"), First: true, Last: true}); err != nil {
		return err
	}
	r.told = nil
	r.Publish(0, c)
	if len(r.told) != 1 || r.told[0].Kind != partition.InputPublished || r.told[0].Partition != c.Partition {
		r.t.Fatalf("the loop was told %+v", r.told)
	}
	return r.told[0].Err
}

func (r *saverRig) said(loop int, oldest msg.FrameNumber, unchanged ...host.Checkpoint) {
	r.needs[loop].oldest, r.needs[loop].unchanged = oldest, unchanged
}

// published is what recovery would find of a partition.
func (r *saverRig) published(p msg.Partition) host.Checkpoint {
	r.t.Helper()
	list, err := r.host.Snapshots().Current()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, c := range list {
		if c.Partition == p {
			return c
		}
	}
	r.t.Fatalf("partition %d has no checkpoint", p)
	return host.Checkpoint{}
}

func TestTheLogIsTrimmedToWhatTheNeediestLoopNeeds(t *testing.T) {
	r := newSaverRig(t, 3)
	if err := r.save(host.Checkpoint{Partition: 0, Start: 1, End: 1, Frame: 9}); err != nil {
		t.Fatal(err)
	}
	if got := r.host.Log().Oldest(); got != 1 {
		t.Errorf("the log begins at frame %d before any loop has said what it needs", got)
	}
	r.said(0, 9)
	r.said(1, 5)
	r.said(2, 7)
	if err := r.save(host.Checkpoint{Partition: 0, Start: 2, End: 2, Frame: 12}); err != nil {
		t.Fatal(err)
	}
	if got := r.host.Log().Oldest(); got != 5 {
		t.Errorf("the log begins at frame %d, want 5", got)
	}
}

func TestWhatHasNotChangedIsPublishedAsOfLater(t *testing.T) {
	r := newSaverRig(t, 1)
	for p := range msg.Partition(2) {
		if err := r.save(host.Checkpoint{Partition: p, Start: 1, End: 1, Frame: 3}); err != nil {
			t.Fatal(err)
		}
	}
	r.said(0, 8, host.Checkpoint{Partition: 0, Start: 1, End: 1, Frame: 8}, host.Checkpoint{Partition: 1, Start: 1, End: 1, Frame: 8})
	if err := r.save(host.Checkpoint{Partition: 1, Start: 4, End: 5, Frame: 10}); err != nil {
		t.Fatal(err)
	}
	if got := r.published(0); got.Frame != 8 || got.Bytes != 5 {
		t.Errorf("got %+v, want it as of frame 8", got)
	}
	if got := r.published(1); got.Start != 4 || got.Frame != 10 {
		t.Errorf("got %+v, want the new one", got)
	}
	// What was said is old now: it must not undo what was published since.
	if err := r.save(host.Checkpoint{Partition: 2, Start: 1, End: 1, Frame: 12}); err != nil {
		t.Fatal(err)
	}
	if got := r.published(1); got.Start != 4 || got.Frame != 10 {
		t.Errorf("got %+v, want what is newer than what the loop had said", got)
	}
}

func TestNothingIsTrimmedThatWasNotPublished(t *testing.T) {
	r := newSaverRig(t, 1)
	r.said(0, 15, host.Checkpoint{Partition: 3, Start: 1, End: 1, Frame: 15}) // it has none: the host refuses
	if err := r.save(host.Checkpoint{Partition: 0, Start: 1, End: 1, Frame: 9}); err == nil {
		t.Fatal("it was published")
	}
	if got := r.host.Log().Oldest(); got != 1 {
		t.Errorf("the log begins at frame %d though nothing was published", got)
	}
}

func TestACheckpointThatBreaksIsRefusedToItsEndAndTheNextIsNot(t *testing.T) {
	r := newSaverRig(t, 1)
	slice := partition.Slice{Partition: 1, Bytes: []byte("slice"), First: true}
	if err := r.write(slice); err != nil {
		t.Fatal(err)
	}
	_ = r.broken(1, errors.New("no"))
	slice.First = false
	if err := r.write(slice); err == nil {
		t.Error("a slice was taken behind one that is missing")
	}
	if err := r.save(host.Checkpoint{Partition: 1, Start: 1, End: 1, Frame: 1}); err != nil {
		t.Errorf("the next checkpoint: %v", err)
	}
}

func TestTheEndSaysWhereRecoveryBegins(t *testing.T) {
	r := newSaverRig(t, 1)
	r.Last(nil) // nothing was ever published
	if err := r.save(host.Checkpoint{Partition: 0, Start: 1, End: 1, Frame: 3}); err != nil {
		t.Fatal(err)
	}
	r.said(0, 21, host.Checkpoint{Partition: 0, Start: 1, End: 1, Frame: 21})
	r.Last(nil)
	if got := r.published(0); got.Frame != 21 || r.host.Log().Oldest() != 21 {
		t.Errorf("got %+v and a log from frame %d on, want 21", got, r.host.Log().Oldest())
	}
}

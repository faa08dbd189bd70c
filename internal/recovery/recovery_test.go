package recovery

// Goal: what cannot be built right is refused, with the reason. That what is
// built is right is shown by packages node and world.

import (
	"errors"
	"strings"
	"testing"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// begin lists what the rig's host holds.
func (r *saverRig) begin() *Recovery {
	r.t.Helper()
	recovery, err := Begin(Config{Host: r.host})
	if err != nil {
		r.t.Fatal(err)
	}
	return recovery
}

// refused checks that an error says corrupt, and why.
func refused(t *testing.T, err error, why string) {
	t.Helper()
	if !errors.Is(err, host.ErrCorrupt) || !strings.Contains(err.Error(), why) {
		t.Errorf("got %v, want it refused because %q", err, why)
	}
}

func TestReadingBeginsAtTheOldestCheckpointOrWithTheLog(t *testing.T) {
	r := newSaverRig(t, 1)
	for p, frame := range []msg.FrameNumber{9, 7, 12, 8} {
		if err := r.save(host.Checkpoint{Partition: msg.Partition(p), Frame: frame}); err != nil {
			t.Fatal(err)
		}
		from, err := r.begin().From(20)
		want := msg.FrameNumber(1) // some partition has no checkpoint
		if p == 3 {
			want = 7
		}
		if err != nil || from != want {
			t.Errorf("with %d checkpoints: got frame %d, %v, want %d", p+1, from, err, want)
		}
	}
}

func TestALogThatLacksWhatCheckpointsNeedIsRefused(t *testing.T) {
	r := newSaverRig(t, 1)
	if err := r.save(host.Checkpoint{Partition: 1, Start: 1, End: 1, Frame: 5}); err != nil {
		t.Fatal(err)
	}
	_, err := r.begin().From(3)
	refused(t, err, "the log ends at frame 3")
	if err := r.host.Log().Trim(6); err != nil {
		t.Fatal(err)
	}
	_, err = r.begin().From(20)
	refused(t, err, "it begins at frame 6")
	_, err = r.begin().Done()
	refused(t, err, "has seen record 1, the log ends at 0")
}

func TestBytesThatAreNoCheckpointAndNoRecordAreRefused(t *testing.T) {
	r := newSaverRig(t, 1)
	if err := r.save(host.Checkpoint{Partition: 1, Start: 1, End: 1, Frame: 5}); err != nil {
		t.Fatal(err) // its one slice is a word
	}
	recovery := r.begin()
	refused(t, recovery.Load(1), "")
	if err := recovery.Load(2); err != nil {
		t.Errorf("a partition without a checkpoint: %v", err)
	}
	refused(t, recovery.Fold([]byte("record")), "")
	_, err := recovery.PartitionOf([]byte("record"))
	refused(t, err, "")
	_, err = recovery.PartitionOf(msg.AppendRecord(nil, &msg.Record{Kind: msg.RecordAck, Partition: 9, Index: 1}))
	refused(t, err, "partition 9 of 4")
	hole := msg.AppendRecord(nil, &msg.Record{Kind: msg.RecordAck, Partition: 3, Index: 2})
	refused(t, recovery.Fold(hole), "")
}

func TestAFrameThatDoesNotHoldWhatItsHeadSaysIsRefused(t *testing.T) {
	r := newSaverRig(t, 1) // its frames are empty
	err := r.begin().Read(4, nil, func(*host.Frame) error {
		t.Error("the frame was taken")
		return nil
	})
	refused(t, err, "frame 4")
}

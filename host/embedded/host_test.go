package embedded

import (
	"fmt"
	"testing"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// appendFrames appends frames of the size until the log has the number.
func appendFrames(t testing.TB, h *Host, until msg.FrameNumber, bytes int) {
	t.Helper()
	epoch, last, err := h.Log().Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for last.Number < until {
		next := host.Frame{Epoch: epoch, Number: last.Number + 1, First: last.First + msg.Position(last.Count), Count: 1, Payload: make([]byte, bytes)}
		copy(next.Payload, fmt.Sprint(next.Number))
		if last.Number > 0 {
			next.Previous = last.Hash()
		}
		if err := h.Log().Append(&next); err != nil {
			t.Fatal(err)
		}
		last = next
	}
}

// TestARealDirectoryKeepsItsFrames does the whole life of a data directory on
// the machine's disk: everything else is tested on a simulated one.
func TestARealDirectoryKeepsItsFrames(t *testing.T) {
	config := Config{Dir: t.TempDir() + "/data", Identity: host.Identity{Partitions: 4}, SegmentBytes: 256 << 10, FrameBytesMax: 64 << 10}
	for round := 1; round <= 5; round++ {
		h, err := Open(config)
		if err != nil {
			t.Fatal(err)
		}
		count := 0
		for f, err := range h.Log().Frames(1) {
			if err != nil {
				t.Fatal(err)
			}
			count++
			if int(f.Number) != count {
				t.Fatalf("got frame %d, want %d", f.Number, count)
			}
		}
		if want := (round - 1) * 50; count != want {
			t.Fatalf("round %d: got %d frames, want %d", round, count, want)
		}
		appendFrames(t, h, msg.FrameNumber(round*50), 20<<10)
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

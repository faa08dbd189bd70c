package embedded

// Goal: the log never waits for a file to be made, unless the disk is so slow
// that it must, and then it waits instead of failing.

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/world/sim"
)

// stalling stops operations on names with a suffix until it is released.
type stalling struct {
	kind   sim.OpKind
	suffix string
	gate   chan struct{}
}

func stall(disk *sim.Disk, kind sim.OpKind, suffix string) *stalling {
	s := &stalling{kind, suffix, make(chan struct{})}
	disk.Intercept(func(op sim.Op) sim.Fault {
		if op.Kind == s.kind && strings.HasSuffix(op.Name, s.suffix) {
			<-s.gate
		}
		return sim.Fault{}
	})
	return s
}

// backgroundConfig is simulatedConfig with goroutines.
func backgroundConfig(disk *sim.Disk) Config {
	config := simulatedConfig(disk)
	config.Background = nil
	config.FrameBytesMax, config.SegmentBytes = 4<<10, 16<<10
	return config
}

func TestAppendWaitsAtHalfASegmentForTheRoomOfTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := sim.NewDisk(1)
		h := mustOpenHost(t, backgroundConfig(disk))
		synctest.Wait()
		stalled := stall(disk, sim.OpAllocate, spareSuffix+newSuffix)
		done := 0
		go func() {
			for range 40 {
				appendOne(t, h, 1000)
				done++
			}
		}()
		synctest.Wait()
		half := h.log.segments[len(h.log.segments)-1].bytes / 2
		if h.log.offset > half || h.log.offset+1100 < half {
			t.Errorf("the log waits at byte %d, want just below %d", h.log.offset, half)
		}
		if err := h.log.Room(); err != nil {
			t.Errorf("room while the disk is slow: %v", err)
		}
		close(stalled.gate)
		synctest.Wait()
		if done != 40 {
			t.Errorf("got %d appends, want 40", done)
		}
		mustClose(t, h)
	})
}

// The room is what matters: zeros may be missing until the file is needed.
func TestAppendDoesNotWaitForZeros(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := sim.NewDisk(1)
		h := mustOpenHost(t, backgroundConfig(disk))
		synctest.Wait()
		stalled := stall(disk, sim.OpWrite, spareSuffix+newSuffix)
		done := 0
		go func() {
			for range 40 {
				appendOne(t, h, 1000)
				done++
			}
		}()
		synctest.Wait()
		if end := h.log.segments[len(h.log.segments)-1].bytes; h.log.offset+1100+itemHeaderBytes < end {
			t.Errorf("the log waits at byte %d of %d, want it full", h.log.offset, end)
		}
		close(stalled.gate)
		synctest.Wait()
		if done != 40 {
			t.Errorf("got %d appends, want 40", done)
		}
		mustClose(t, h)
	})
}

func TestCloseWaitsForBackgroundWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := sim.NewDisk(1)
		h := mustOpenHost(t, backgroundConfig(disk))
		synctest.Wait()
		stalled := stall(disk, sim.OpAllocate, spareSuffix+newSuffix)
		go func() {
			for len(h.log.segments) < 2 {
				appendOne(t, h, 1000)
			}
		}()
		synctest.Wait()
		closed := false
		go func() {
			if err := h.Close(); err != nil {
				t.Error(err)
			}
			closed = true
		}()
		synctest.Wait()
		if closed {
			t.Error("it is closed while a file is being made")
		}
		close(stalled.gate)
		synctest.Wait()
		if !closed {
			t.Error("it is not closed")
		}
	})
}

func TestTrimmedSegmentsAreUsedAgain(t *testing.T) {
	disk := sim.NewDisk(1)
	h := mustOpenHost(t, simulatedConfig(disk))
	made := 0
	for number := msg.FrameNumber(1); number < 400; number++ {
		appendOne(t, h, 1000)
		if err := h.log.Trim(number); err != nil {
			t.Fatal(err)
		}
		if number == 100 {
			disk.Intercept(func(op sim.Op) sim.Fault {
				if op.Kind == sim.OpCreate {
					made++
				}
				return sim.Fault{}
			})
		}
	}
	if made > 0 {
		t.Errorf("%d files were made in 300 frames, want none", made)
	}
	if used := disk.Used(); used > 8*16<<10 {
		t.Errorf("%d bytes are used", used)
	}
	mustClose(t, h)
}

func TestRoomIsAskedForOnceASecond(t *testing.T) {
	disk := sim.NewDisk(1)
	now := time.Unix(1, 0)
	config := simulatedConfig(disk)
	config.Now = func() time.Time { return now }
	h := mustOpenHost(t, config)
	disk.SetCapacity(disk.Used())
	for h.log.Room() == nil {
		appendOne(t, h, 500)
	}
	asked := 0
	disk.Intercept(func(op sim.Op) sim.Fault {
		if op.Kind == sim.OpAllocate {
			asked++
		}
		return sim.Fault{}
	})
	for range 10 {
		for range 100 {
			if err := h.log.Room(); !errors.Is(err, host.ErrFull) {
				t.Fatalf("got %v, want ErrFull", err)
			}
		}
		now = now.Add(time.Second)
	}
	if asked < 9 || asked > 10 {
		t.Errorf("asked %d times in 10 s, want 10", asked)
	}
	disk.SetCapacity(0)
	if err := h.log.Room(); err != nil {
		t.Errorf("with room: %v", err)
	}
	mustClose(t, h)
}

// A frame over bufferBytes is two writes. It is as atomic as any.
func TestLargeFramesAreWholeOrAbsent(t *testing.T) {
	disk := sim.NewDisk(1)
	config := simulatedConfig(disk)
	config.FrameBytesMax, config.SegmentBytes, config.FirstSegmentBytes = 3<<20, 7<<20, 64<<10
	h := mustOpenHost(t, config)
	for range 5 {
		appendOne(t, h, 2<<20)
	}
	appendOne(t, h, 3<<20)
	mustClose(t, h)
	config.FirstSegmentBytes = 7 << 20
	h = mustOpenHost(t, config)
	appendOne(t, h, 10)
	f := host.Frame{Epoch: h.log.epochNow(), Number: 8, Count: 1, Previous: h.log.hash.wait(), Payload: make([]byte, 2<<20)}
	for i := range f.Payload {
		f.Payload[i] = byte(i>>12) | 1
	}
	before := disk.Operations()
	disk.StopAfter(2) // both writes, no sync
	if err := h.log.Append(&f); err == nil {
		t.Fatal("got nil, want an error")
	}
	if done := disk.Operations() - before; done != 2 {
		t.Fatalf("a large frame was %d operations before its sync, want 2 writes", done)
	}
	for seed := range uint64(20) {
		cut := disk.Clone()
		cut.PowerCut(sim.KeepSome(seed))
		if seed == 0 {
			cut = disk.Clone() // all of it can be read
		}
		config.FS = simulated{cut}
		h := mustOpenHost(t, config)
		last := msg.FrameNumber(0)
		for f, err := range h.log.Frames(1) {
			if err != nil {
				t.Fatal(err)
			}
			last = f.Number
		}
		want := msg.FrameNumber(7)
		if seed == 0 {
			want = 8
		}
		if last != want {
			t.Errorf("seed %d: got last frame %d, want %d", seed, last, want)
		}
		mustClose(t, h)
	}
}

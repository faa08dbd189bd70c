package embedded

// Goal: looking at a data directory without opening it finds all that opening
// it would refuse, and changes nothing.

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/world/sim"
)

// simulatedConfig is a small host on a simulated disk, all inline.
func simulatedConfig(disk *sim.Disk) Config {
	return Config{
		Dir: "/data", Identity: host.Identity{Partitions: 4}, FS: simulated{disk},
		Random:        rand.NewChaCha8([32]byte{1}),
		FrameBytesMax: 2 << 10, SegmentBytes: 12 << 10, LockWait: -1,
		Background: func(work func()) { work() },
	}
}

// mustOpenHost opens a host, or fails the test.
func mustOpenHost(t testing.TB, config Config) *Host {
	t.Helper()
	h, err := Open(config)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// mustClose closes a host, or fails the test.
func mustClose(t testing.TB, h *Host) {
	t.Helper()
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
}

// publishSome makes a checkpoint of two partitions.
func publishSome(t testing.TB, h *Host, version msg.Index, frame msg.FrameNumber) {
	t.Helper()
	var list []host.Published
	for p := range msg.Partition(2) {
		w, err := h.Snapshots().Create(p)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			if err := w.Write(bytes.Repeat([]byte{byte(version)}, 100*i)); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Sync(); err != nil {
			t.Fatal(err)
		}
		list = append(list, host.Published{Checkpoint: host.Checkpoint{Partition: p, Start: version, End: version, Frame: frame}, Writer: w})
	}
	if err := h.Snapshots().Publish(list); err != nil {
		t.Fatal(err)
	}
}

// simulatedDirectory makes a directory with several segments and checkpoints.
// The process has died, or closed it.
func simulatedDirectory(t testing.TB, closed bool) *sim.Disk {
	disk := sim.NewDisk(1)
	h := mustOpenHost(t, simulatedConfig(disk))
	appendFrames(t, h, 12, 1000)
	publishSome(t, h, 1, 3)
	mustClose(t, h)
	h = mustOpenHost(t, simulatedConfig(disk))
	appendFrames(t, h, 20, 700)
	if closed {
		mustClose(t, h)
	} else {
		disk.Crash()
	}
	return disk
}

func TestVerifyDescribesADirectory(t *testing.T) {
	disk := simulatedDirectory(t, true)
	report, err := verify(simulated{disk}, "/data")
	if err != nil {
		t.Fatal(err)
	}
	if report.FirstFrame != 1 || report.LastFrame != 20 || report.Frames != 20 || report.Records != 20 ||
		report.FrameBytes != 12*1000+8*700 || !report.Sealed || report.Running || report.TornFile != "" ||
		report.Identity.Partitions != 4 || report.Epoch != 2 || len(report.Checkpoints) != 2 {
		t.Errorf("got %+v", report)
	}
	if c := report.Checkpoints[1]; c.Partition != 1 || c.Slices != 3 || c.Bytes != 300 {
		t.Errorf("checkpoint: got %+v", c)
	}
	next := msg.FrameNumber(1)
	for _, s := range report.Segments {
		if s.FirstFrame != next {
			t.Errorf("segment %s begins with frame %d, want %d", s.Name, s.FirstFrame, next)
		}
		next = s.LastFrame + 1
	}
}

func TestVerifyAndFramesChangeNothing(t *testing.T) {
	for _, closed := range []bool{true, false} {
		disk := simulatedDirectory(t, closed)
		var before, after bytes.Buffer
		if err := disk.Dump(&before); err != nil {
			t.Fatal(err)
		}
		operations := disk.Operations()
		if _, err := verify(simulated{disk}, "/data"); err != nil {
			t.Fatal(err)
		}
		count := 0
		for f, err := range offlineFrames(simulated{disk}, "/data") {
			if count++; err != nil || int(f.Number) != count {
				t.Fatalf("got frame %d, %v, want %d", f.Number, err, count)
			}
		}
		if err := disk.Dump(&after); err != nil {
			t.Fatal(err)
		}
		if count != 20 || disk.Operations() != operations || !bytes.Equal(before.Bytes(), after.Bytes()) {
			t.Errorf("got %d frames, %d operations that change the disk, disks equal: %v", count, disk.Operations()-operations, bytes.Equal(before.Bytes(), after.Bytes()))
		}
	}
}

func TestVerifySaysWhereATornFrameWillBeCut(t *testing.T) {
	disk := simulatedDirectory(t, true)
	h := mustOpenHost(t, simulatedConfig(disk))
	appendFrames(t, h, 21, 100)
	end := h.log.offset
	name := h.log.segments[len(h.log.segments)-1].name
	disk.Intercept(func(op sim.Op) sim.Fault {
		if op.Kind == sim.OpWrite {
			return sim.Fault{Err: errors.New("the power goes"), Bytes: 150}
		}
		return sim.Fault{}
	})
	f := host.Frame{Epoch: h.log.epoch, Number: 22, Previous: h.log.hash.wait(), Payload: bytes.Repeat([]byte{1}, 500)}
	if err := h.log.Append(&f); err == nil {
		t.Fatal("got nil, want an error")
	}
	disk.Intercept(nil)
	disk.Crash()
	report, err := verify(simulated{disk}, "/data")
	if err != nil || report.TornFile != name || report.TornOffset != end || report.TornReason == nil || report.LastFrame != 21 {
		t.Errorf("got %v, %+v, want a torn write in %s at %d", err, report, name, end)
	}
	h = mustOpenHost(t, simulatedConfig(disk))
	if got := h.Recovered(); got.CutFile != name || got.CutOffset != end || got.CutReason == nil || got.Sealed {
		t.Errorf("open: got %+v, want a cut in %s at %d", got, name, end)
	}
}

// Damage that stops a node must not be news to who verified the directory.
func TestVerifyFindsAllThatOpenRefuses(t *testing.T) {
	disk := simulatedDirectory(t, true)
	refused, found := 0, 0
	for _, file := range disk.Files() {
		stride := int64(7)
		if strings.HasSuffix(file.Name, spareSuffix) || strings.HasSuffix(file.Name, marksName) {
			continue
		}
		for offset := int64(0); offset < file.Bytes; offset += stride {
			damaged := disk.Clone()
			if err := damaged.Damage(file.Name, offset, 1<<(offset%8)); err != nil {
				t.Fatal(err)
			}
			_, verified := verify(simulated{damaged}, "/data")
			if verified != nil {
				found++
				if !errors.Is(verified, host.ErrCorrupt) || !strings.Contains(verified.Error(), filepath.Dir(file.Name)) {
					t.Errorf("byte %d of %s: got %v, want ErrCorrupt naming the place", offset, file.Name, verified)
				}
			}
			if err := useAll(simulatedConfig(damaged)); err != nil {
				refused++
				if verified == nil {
					t.Errorf("byte %d of %s: verify found nothing, use failed: %v", offset, file.Name, err)
				}
			}
		}
	}
	if refused == 0 || found < refused {
		t.Errorf("%d refused, %d found", refused, found)
	}
}

// useAll opens a host and reads everything.
func useAll(config Config) error {
	h, err := Open(config)
	if err != nil {
		return err
	}
	defer h.Close()
	for _, err := range h.Log().Frames(1) {
		if err != nil {
			return err
		}
	}
	current, err := h.Snapshots().Current()
	if err != nil {
		return err
	}
	for _, c := range current {
		for _, err := range h.Snapshots().Slices(c) {
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func TestVerifyReportsALogThatBeginsTooLate(t *testing.T) {
	disk := simulatedDirectory(t, true)
	if err := disk.Remove(segmentName("/data", 1)); err != nil {
		t.Fatal(err)
	}
	_, err := verify(simulated{disk}, "/data")
	if !errors.Is(err, host.ErrCorrupt) || !strings.Contains(err.Error(), "needs the log from frame 3 on") {
		t.Errorf("got %v, want the frame that is missing", err)
	}
}

func TestVerifyReportsAllDamageAtOnce(t *testing.T) {
	disk := simulatedDirectory(t, true)
	for _, name := range []string{segmentName("/data", 1), segmentName("/data", 2), checkpointName("/data", 1, 2)} {
		size, err := disk.Size(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := disk.Damage(name, min(pageBytes+200, size-1), 4); err != nil {
			t.Fatal(err)
		}
	}
	report, err := verify(simulated{disk}, "/data")
	if len(report.Problems) != 3 || !errors.Is(err, host.ErrCorrupt) {
		t.Errorf("got %d problems, want 3: %v", len(report.Problems), err)
	}
}

// The directory is on the machine's disk, and all is done at once: run with the
// race detector.
func TestVerifyOfARunningHostFindsNoDamage(t *testing.T) {
	config := Config{Dir: filepath.Join(t.TempDir(), "data"), Identity: host.Identity{Partitions: 2}, FrameBytesMax: 8 << 10, SegmentBytes: 40 << 10, FirstSegmentBytes: 16 << 10}
	h := mustOpenHost(t, config)
	var work sync.WaitGroup
	stop := make(chan struct{})
	work.Add(2)
	go func() {
		defer work.Done()
		for until := msg.FrameNumber(1); until < 400; until++ {
			appendOne(t, h, 1000)
			if err := h.Log().Trim(until - min(until, 20)); err != nil {
				t.Error(err)
			}
			if err := h.Log().Room(); err != nil {
				t.Error(err)
			}
		}
		close(stop)
	}()
	go func() {
		defer work.Done()
		for version := msg.Index(1); ; version++ {
			select {
			case <-stop:
				return
			default:
				publishSome(t, h, version, 0)
			}
		}
	}()
	verified := 0
	for running := true; running; verified++ {
		select {
		case <-stop:
			running = false
		default:
		}
		report, err := Verify(config.Dir)
		if err != nil || !report.Running || !strings.Contains(report.Holder, "process") {
			t.Fatalf("got %v, running %v, holder %q", err, report.Running, report.Holder)
		}
	}
	work.Wait()
	mustClose(t, h)
	report, err := Verify(config.Dir)
	if err != nil || report.Running || report.LastFrame != 399 || !report.Sealed {
		t.Errorf("after closing: got %v, %+v", err, report)
	}
	t.Logf("verified %d times", verified)
}

// appendOne appends a frame after the last one.
func appendOne(t testing.TB, h *Host, bytes int) {
	t.Helper()
	l := h.log
	if !l.acquired {
		if _, _, err := l.Acquire(t.Context()); err != nil {
			t.Error(err)
		}
	}
	f := host.Frame{Epoch: l.epochNow(), Number: l.lastNumber + 1, Count: 1, Previous: l.hash.wait(), Payload: make([]byte, bytes)}
	if err := l.Append(&f); err != nil {
		t.Error(err)
	}
}

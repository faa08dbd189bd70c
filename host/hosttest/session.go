package hosttest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/world/sim"
)

// machine is the data of one test, and what is known about it.
type machine struct {
	testing.TB
	harness Harness
	*Data

	host    host.Host
	epoch   msg.Epoch
	last    host.Frame      // last acknowledged, or found by the writer
	kept    []host.Frame    // what must be in the log, from kept[0].Number on
	trimmed msg.FrameNumber // frames below it may be forgotten
	pending *host.Frame     // what may be in the log besides, at its end
}

// start opens an empty host.
func start(tb testing.TB, h Harness, options ...func(*Data)) *machine {
	tb.Helper()
	m := &machine{TB: tb, harness: h, Data: newData(1)}
	for _, option := range options {
		option(m.Data)
	}
	m.open()
	return m
}

// sizes sets the limits of the host.
func sizes(frameBytesMax int, segmentBytes int64) func(*Data) {
	return func(d *Data) { d.FrameBytesMax, d.SegmentBytes = frameBytesMax, segmentBytes }
}

// seed makes everything random depend on it.
func seeded(seed uint64) func(*Data) {
	return func(d *Data) {
		fresh := newData(seed)
		d.Disk, d.random = fresh.Disk, fresh.random
	}
}

// branch goes on with a copy of the machine, as it is after a crash. The host
// is not open.
func (m *machine) branch() *machine {
	return &machine{TB: m.TB, harness: m.harness, Data: m.clone(), kept: slices.Clone(m.kept), trimmed: m.trimmed, pending: m.pending}
}

// open opens the host.
func (m *machine) open() {
	m.Helper()
	opened, err := m.harness.Open(m.Data)
	if err != nil {
		m.Fatalf("open: %v", err)
	}
	m.host = opened
}

// close closes the host.
func (m *machine) close() {
	m.Helper()
	if err := m.host.Close(); err != nil {
		m.Fatalf("close: %v", err)
	}
}

// crash ends the process.
func (m *machine) crash() {
	m.Disk.Crash()
	m.dead()
}

// cut ends the process and the page cache.
func (m *machine) cut(choose sim.Chooser) {
	m.Disk.PowerCut(choose)
	m.dead()
}

func (m *machine) dead() {
	if m.harness.Crash != nil {
		m.harness.Crash(m.Data)
	}
	m.host = nil
}

// acquire makes the test the writer and checks what it is told.
func (m *machine) acquire() {
	m.Helper()
	epoch, last, err := m.host.Log().Acquire(m.Context())
	if err != nil {
		m.Fatalf("acquire: %v", err)
	}
	if epoch <= m.epoch {
		m.Fatalf("acquire: got epoch %d, want one above %d", epoch, m.epoch)
	}
	m.epoch, m.last = epoch, last
}

// next makes the frame after the last one.
func (m *machine) next(payload []byte) host.Frame {
	f := host.Frame{Epoch: m.epoch, Number: m.last.Number + 1, First: m.last.First + msg.Position(m.last.Count), Count: 1, Payload: payload}
	if m.last.Number > 0 {
		f.Previous = m.last.Hash()
	}
	return f
}

// try appends a frame and returns the error. The frame may be in the log
// whatever the error is.
func (m *machine) try(payload []byte) error {
	f := m.next(payload)
	stored := f
	stored.Payload = bytes.Clone(payload)
	m.pending = &stored
	if err := m.host.Log().Append(&f); err != nil {
		return err
	}
	m.kept, m.last, m.pending = append(m.kept, stored), stored, nil
	return nil
}

// append appends frames of the sizes.
func (m *machine) append(sizes ...int) {
	m.Helper()
	for _, size := range sizes {
		if err := m.try(noise(uint64(m.last.Number)+1, size)); err != nil {
			m.Fatalf("append frame %d: %v", m.last.Number+1, err)
		}
	}
}

// read gives all frames.
func (m *machine) read() ([]host.Frame, error) {
	var frames []host.Frame
	for f, err := range m.host.Log().Frames(m.host.Log().Oldest()) {
		if err != nil {
			return frames, err
		}
		f.Payload = bytes.Clone(f.Payload)
		frames = append(frames, f)
	}
	return frames, nil
}

// verify reads the log and compares it with what must and what may be there.
// What was read must be there from then on.
func (m *machine) verify(format string, args ...any) {
	m.Helper()
	where := fmt.Sprintf(format, args...)
	frames, err := m.read()
	if err != nil {
		m.Fatalf("%s: read: %v", where, err)
	}
	m.dropTrimmed(where)
	want := slices.Clone(m.kept)
	if m.pending != nil {
		want = append(want, *m.pending)
	}
	// The host may have trimmed less than it was told to.
	if oldest := m.host.Log().Oldest(); len(want) > 0 && oldest < want[0].Number {
		skip := int(want[0].Number - oldest)
		if skip > len(frames) {
			m.Fatalf("%s: got %d frames from %d on, want frame %d too", where, len(frames), oldest, want[0].Number)
		}
		frames = frames[skip:]
	}
	if len(frames) < len(m.kept) {
		m.Fatalf("%s: got %d frames, want %d: %s", where, len(frames), len(m.kept), lastOf(frames))
	}
	if len(frames) > len(want) {
		m.Fatalf("%s: got %d frames, want at most %d: %s", where, len(frames), len(want), lastOf(frames))
	}
	for i, f := range frames {
		if !equal(f, want[i]) {
			m.Fatalf("%s: frame %d: got %s, want %s", where, want[i].Number, describe(f), describe(want[i]))
		}
	}
	m.kept, m.pending = frames, nil
}

// dropTrimmed stops expecting what the host has forgotten, which may be any time
// after it was told to, and never more.
func (m *machine) dropTrimmed(where string) {
	m.Helper()
	oldest := m.host.Log().Oldest()
	if oldest > max(m.trimmed, 1) {
		m.Fatalf("%s: the oldest frame is %d, trimming was asked for up to %d", where, oldest, m.trimmed)
	}
	for len(m.kept) > 0 && m.kept[0].Number < oldest {
		m.kept = m.kept[1:]
	}
}

// equal compares all of two frames.
func equal(a, b host.Frame) bool {
	return a.Group == b.Group && a.Epoch == b.Epoch && a.Number == b.Number && a.First == b.First &&
		a.Count == b.Count && a.Previous == b.Previous && bytes.Equal(a.Payload, b.Payload)
}

// lastOf describes the end of a list.
func lastOf(frames []host.Frame) string {
	if len(frames) == 0 {
		return "there is none"
	}
	return "the last is " + describe(frames[len(frames)-1])
}

// describe gives a frame in one line.
func describe(f host.Frame) string {
	return fmt.Sprintf("{number %d epoch %d first %d count %d, %d bytes %.8x}", f.Number, f.Epoch, f.First, f.Count, len(f.Payload), f.Payload)
}

// noise gives bytes that differ from those of every other number, page by page.
func noise(number uint64, size int) []byte {
	random := rand.New(rand.NewPCG(number, 4))
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return b
}

// onward opens the host after a failure, checks the log, and checks that it can
// be written and survives a power cut that keeps nothing unsynced.
func (m *machine) onward(format string, args ...any) {
	m.Helper()
	where := fmt.Sprintf(format, args...)
	m.open()
	m.verify("%s", where)
	m.cut(sim.KeepNone)
	m.open()
	m.verify("%s, then a power cut after reading", where)
	m.acquire()
	if got := m.last; len(m.kept) > 0 && !equal(got, m.kept[len(m.kept)-1]) {
		m.Fatalf("%s: acquire: got last frame %s, want %s", where, describe(got), describe(m.kept[len(m.kept)-1]))
	}
	m.append(100, m.FrameBytesMax/2)
	m.cut(sim.KeepNone)
	m.open()
	m.verify("%s, then appends and a power cut", where)
	m.close()
}

// with sets a hook for the disk until the function returns.
func (m *machine) with(hook func(sim.Op) sim.Fault, do func()) {
	m.Disk.Intercept(hook)
	defer m.Disk.Intercept(nil)
	do()
}

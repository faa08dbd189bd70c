package hosttest

import (
	"errors"
	"io"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/world/sim"
)

// faultCases make the disk fail.
var faultCases = []Case{
	{Name: "a failed sync poisons the log for good", Disk: true, Run: failedSync},
	{Name: "a short write poisons the log for good", Disk: true, Run: shortWrite},
	{Name: "any operation of an append may fail", Disk: true, Run: anyFailure},
	{Name: "any operation of opening may fail", Disk: true, Run: anyFailureOpening},
	{Name: "a failed read is reported", Disk: true, Run: failedRead},
	{Name: "a full disk refuses new work in time, and takes it when there is room", Disk: true, Run: fullDisk},
	{Name: "a disk that fills up in any place loses nothing", Disk: true, Run: anyCapacity},
}

// failNth makes one operation that changes the disk fail.
func failNth(number int64, failed *bool) func(sim.Op) sim.Fault {
	return func(op sim.Op) sim.Fault {
		switch op.Kind {
		case sim.OpOpen, sim.OpRead, sim.OpReadDir, sim.OpSize, sim.OpLock, sim.OpMap:
			return sim.Fault{}
		}
		if op.Number != number {
			return sim.Fault{}
		}
		*failed = true
		return sim.Fault{Err: syscall.EIO, Bytes: op.Bytes / 2}
	}
}

// failKind makes every operation of a kind fail.
func failKind(kind sim.OpKind, err error) func(sim.Op) sim.Fault {
	return func(op sim.Op) sim.Fault {
		if op.Kind == kind {
			return sim.Fault{Err: err, Bytes: op.Bytes / 2}
		}
		return sim.Fault{}
	}
}

// poisoned appends while the disk fails, and checks that nothing is taken
// afterwards although the disk is well again.
func (m *machine) poisoned(hook func(sim.Op) sim.Fault, size int) {
	m.Helper()
	m.with(hook, func() {
		if err := m.try(noise(uint64(m.last.Number)+1, size)); !errors.Is(err, host.ErrPoisoned) {
			m.Fatalf("append while the disk fails: got %v, want ErrPoisoned", err)
		}
	})
	lost := m.pending
	if err := m.try(noise(uint64(m.last.Number)+1, size)); !errors.Is(err, host.ErrPoisoned) {
		m.Fatalf("append after the disk failed: got %v, want ErrPoisoned", err)
	}
	m.pending = lost
	if err := m.host.Log().Seal(); !errors.Is(err, host.ErrPoisoned) {
		m.Fatalf("seal after the disk failed: got %v, want ErrPoisoned", err)
	}
	if _, _, err := m.host.Log().Acquire(m.Context()); !errors.Is(err, host.ErrPoisoned) {
		m.Fatalf("acquire after the disk failed: got %v, want ErrPoisoned", err)
	}
}

func failedSync(tb testing.TB, h Harness) {
	for seed := range uint64(40) {
		m := start(tb, h, seeded(seed))
		m.acquire()
		m.append(100, 5000)
		m.poisoned(failKind(sim.OpSync, syscall.EIO), int(seed)*180)
		if seed%2 == 0 {
			m.close()
		} else {
			m.crash()
		}
		if seed%3 == 0 {
			m.Disk.DropCaches()
		}
		m.onward("seed %d", seed)
	}
}

func shortWrite(tb testing.TB, h Harness) {
	m := start(tb, h)
	m.acquire()
	m.append(100, 5000)
	m.poisoned(failKind(sim.OpWrite, io.ErrShortWrite), 4000)
	m.pending = nil // half of it was written
	m.close()
	m.onward("after a short write")
}

// anyFailure fails each operation of an append, also of one that begins a
// segment.
func anyFailure(tb testing.TB, h Harness) {
	for _, fill := range []int{1, 6} {
		m := start(tb, h)
		m.acquire()
		for range fill {
			m.append(4000)
		}
		for at := int64(1); ; at++ {
			b := m.branchOpen()
			failed := false
			var err error
			b.with(failNth(b.Disk.Operations()+at, &failed), func() { err = b.try(noise(99, 6000)) })
			if err != nil && !errors.Is(err, host.ErrPoisoned) {
				tb.Fatalf("operation %d of an append failed: got %v, want ErrPoisoned", at, err)
			}
			b.close()
			b.onward("operation %d of an append after %d failed", at, fill)
			if !failed {
				break
			}
		}
	}
}

func anyFailureOpening(tb testing.TB, h Harness) {
	m := start(tb, h)
	m.acquire()
	m.append(100, 5000)
	m.crash()
	for at := int64(1); ; at++ {
		b := m.branch()
		failed := false
		b.with(failNth(b.Disk.Operations()+at, &failed), func() {
			if opened, err := h.Open(b.Data); err == nil {
				b.host = opened
				b.verify("operation %d of opening failed, and it opened", at)
			}
		})
		b.crash()
		b.onward("operation %d of opening failed", at)
		if !failed {
			return
		}
	}
}

func failedRead(tb testing.TB, h Harness) {
	m := start(tb, h)
	m.acquire()
	m.append(100, 5000)
	want := publication(1, 0)
	if err := m.publish(want); err != nil {
		tb.Fatal(err)
	}
	m.with(failKind(sim.OpRead, syscall.EIO), func() {
		if _, err := m.read(); !errors.Is(err, syscall.EIO) {
			tb.Errorf("frames: got %v, want EIO", err)
		}
		if err := m.compare(want); !errors.Is(err, syscall.EIO) {
			tb.Errorf("slices: got %v, want EIO", err)
		}
	})
	m.close()
	m.with(failKind(sim.OpRead, syscall.EIO), func() {
		if _, err := h.Open(m.Data); !errors.Is(err, syscall.EIO) || errors.Is(err, host.ErrCorrupt) {
			tb.Errorf("open: got %v, want EIO, and not ErrCorrupt", err)
		}
	})
	m.open()
	m.verify("after failed reads")
	m.same(want, "after failed reads")
	m.close()
}

// fill appends until there is no room for new work.
func (m *machine) fill() {
	m.Helper()
	for range 10_000 {
		if err := m.host.Log().Room(); err != nil {
			if !errors.Is(err, host.ErrFull) {
				m.Fatalf("room: got %v, want ErrFull", err)
			}
			return
		}
		m.append(1000)
	}
	m.Fatalf("the disk never fills up")
}

func fullDisk(tb testing.TB, h Harness) {
	m := start(tb, h)
	m.acquire()
	m.append(100)
	m.Disk.SetCapacity(m.Disk.Used() + 150<<10)
	m.fill()
	m.append(m.FrameBytesMax/2, m.FrameBytesMax/2) // what is in flight
	m.verify("full")
	if err := m.host.Log().Room(); !errors.Is(err, host.ErrFull) {
		tb.Fatalf("room: got %v, want ErrFull", err)
	}
	m.branchVerify("full, and opened elsewhere")
	m.Disk.SetCapacity(0)
	m.clock = m.clock.Add(time.Minute)
	if err := m.host.Log().Room(); err != nil {
		tb.Fatalf("room, after the disk got some: %v", err)
	}
	for range 30 {
		m.append(4000)
	}
	m.close()
	m.onward("after a full disk")

	// Trimming makes room too.
	m.open()
	m.acquire()
	m.Disk.SetCapacity(m.Disk.Used() + 150<<10)
	m.fill()
	m.forget(m.last.Number)
	m.clock = m.clock.Add(time.Minute)
	if err := m.host.Log().Room(); err != nil {
		tb.Fatalf("room, after trimming: %v", err)
	}
	m.append(4000)
	m.close()
	m.Disk.SetCapacity(0)
	m.onward("after trimming a full disk")
}

// branchVerify opens a copy of the machine that has room.
func (m *machine) branchVerify(where string) {
	m.Helper()
	b := m.branch()
	b.Disk.SetCapacity(0)
	b.open()
	b.verify("%s", where)
	b.close()
}

// anyCapacity ends the room at every page.
func anyCapacity(tb testing.TB, h Harness) {
	first := start(tb, h)
	first.acquire()
	first.append(100)
	used := first.Disk.Used()
	first.close()
	for pages := range int64(30) {
		m := start(tb, h)
		m.acquire()
		m.append(100)
		m.Disk.SetCapacity(used + pages*sim.PageBytes)
		for i := range 30 {
			if m.host.Log().Room() != nil {
				break
			}
			m.append(900 + i)
			if i%7 == 3 {
				if err := m.publish(publication(i+1, 1)); err != nil && !errors.Is(err, syscall.ENOSPC) {
					tb.Fatalf("publish on a full disk: %v", err)
				}
			}
		}
		m.kept = slices.Clone(m.kept)
		m.crash()
		m.Disk.SetCapacity(0)
		m.onward("room for %d pages", pages)
	}
}

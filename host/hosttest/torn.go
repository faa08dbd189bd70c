package hosttest

import (
	"io"
	"testing"

	"github.com/holdfast-io/holdfast/internal/world/sim"
)

// tornCases cut the power and end the process at every point.
var tornCases = []Case{
	{Name: "a frame torn at every byte is cut off, and the log goes on", Disk: true, Run: tornAtEveryByte},
	{Name: "a power cut that keeps any pages of an unsynced frame leaves it whole or takes it", Disk: true, Run: anyPages},
	{Name: "what was read after a crash survives a power cut", Disk: true, Run: crashThenCut},
	{Name: "a second crash at any point of recovery loses nothing", Disk: true, Run: secondCrash},
	{Name: "a new directory may die at any point of its making", Disk: true, Run: dyingNew},
	{Name: "frames of an earlier lap are never accepted", Disk: true, Run: earlierLap},
	{Name: "closing may die at any point", Disk: true, Run: dyingClose},
}

// tornAtEveryByte ends the process after each number of bytes of the last write.
func tornAtEveryByte(tb testing.TB, h Harness) {
	m := start(tb, h, sizes(1<<10, 12<<10))
	m.acquire()
	m.append(300, 200)
	m.close()
	const size = 260
	for bytes := int64(0); ; bytes++ {
		b := m.branch()
		b.open()
		b.acquire()
		b.append(100)
		complete := false
		b.with(func(op sim.Op) sim.Fault {
			if op.Kind != sim.OpWrite || complete {
				return sim.Fault{}
			}
			complete = op.Bytes <= bytes
			return sim.Fault{Err: io.ErrShortWrite, Bytes: bytes}
		}, func() {
			if err := b.try(noise(4, size)); err == nil {
				tb.Fatalf("append whose write fails after %d bytes: got nil, want an error", bytes)
			}
		})
		if !complete {
			b.pending = nil // a part of a frame is nothing
		}
		b.crash()
		if bytes%2 == 1 {
			b.cut(sim.KeepAll)
		}
		b.onward("torn after %d bytes", bytes)
		if complete {
			return
		}
	}
}

// anyPages ends the process between write and sync of frames of several sizes:
// within a page, over several pages, and one that begins a segment.
func anyPages(tb testing.TB, h Harness) {
	for _, fill := range []int{0, 1, 3, 7} {
		for _, size := range []int{10, 3000, 8000, 8 << 10} {
			m := start(tb, h)
			m.acquire()
			for range fill {
				m.append(4000)
			}
			b := m.branchOpen()
			before := b.Disk.Operations()
			_ = b.try(noise(99, size))
			operations := b.Disk.Operations() - before
			for at := int64(1); at <= operations; at++ {
				b := m.branchOpen()
				b.Disk.StopAfter(at)
				_ = b.try(noise(99, size))
				b.crash()
				b.cuts(func(choose sim.Chooser, name string) {
					c := b.branch()
					c.cut(choose)
					c.onward("frame of %d bytes after %d frames, died after %d operations, %s", size, fill, at, name)
				})
			}
		}
	}
}

// branchOpen goes on with a copy of the machine whose host is open, and whose
// test is the writer.
func (m *machine) branchOpen() *machine {
	m.Helper()
	b := m.branch()
	b.open()
	b.verify("copied")
	b.acquire()
	return b
}

// crashThenCut ends the process at every operation of an append, reads, and
// cuts the power in every way.
func crashThenCut(tb testing.TB, h Harness) {
	for _, fill := range []int{1, 6} {
		m := start(tb, h)
		m.acquire()
		for range fill {
			m.append(4000)
		}
		work := func(b *machine) {
			b.acquire()
			_ = b.try(noise(99, 6000))
		}
		m.dieAcquired(work, func(b *machine, at int64) {
			b.crash()
			b.open()
			b.verify("died at operation %d", at)
			b.crash()
			b.cuts(func(choose sim.Chooser, name string) {
				c := b.branch()
				c.cut(choose)
				c.onward("read after dying at operation %d, %s", at, name)
			})
		})
	}
}

// dieAcquired is dieAt for work that begins with what cannot fail.
func (m *machine) dieAcquired(work func(b *machine), dead func(b *machine, at int64)) {
	m.dieAt(func(b *machine) {
		b.last = m.last
		work(b)
	}, dead)
}

// secondCrash tears a frame, or leaves it unsynced, and then ends the process
// at every operation of the opening after it.
func secondCrash(tb testing.TB, h Harness) {
	for name, bytes := range map[string]int64{"torn": 2000, "unsynced": 1 << 30} {
		m := start(tb, h)
		m.acquire()
		m.append(4000, 100)
		m.with(func(op sim.Op) sim.Fault {
			switch op.Kind {
			case sim.OpWrite:
				return sim.Fault{Err: io.ErrShortWrite, Bytes: bytes}
			case sim.OpSync:
				return sim.Fault{Err: io.ErrUnexpectedEOF}
			}
			return sim.Fault{}
		}, func() { _ = m.try(noise(99, 6000)) })
		if name == "torn" {
			m.pending = nil
		}
		m.crash()
		m.dieOpening(func(b *machine, at int64) {
			b.cuts(func(choose sim.Chooser, cut string) {
				c := b.branch()
				c.cut(choose)
				c.onward("%s, died at operation %d of opening, %s", name, at, cut)
			})
			b.open()
			b.verify("%s, died at operation %d of opening", name, at)
			b.crash()
			b.cuts(func(choose sim.Chooser, cut string) {
				c := b.branch()
				c.cut(choose)
				c.onward("%s, died at operation %d of opening, read, %s", name, at, cut)
			})
		})
	}
}

// dieOpening ends the process at every operation of opening a copy.
func (m *machine) dieOpening(dead func(b *machine, at int64)) {
	for at := int64(0); ; at++ {
		b := m.branch()
		b.Disk.StopAfter(at)
		opened, err := m.harness.Open(b.Data)
		b.host = opened
		b.crash()
		if err == nil {
			return
		}
		dead(b, at)
	}
}

func dyingNew(tb testing.TB, h Harness) {
	m := &machine{TB: tb, harness: h, Data: newData(1)}
	m.dieOpening(func(b *machine, at int64) {
		b.cuts(func(choose sim.Chooser, name string) {
			c := b.branch()
			c.cut(choose)
			c.onward("died at operation %d of the first opening, %s", at, name)
		})
	})
}

func dyingClose(tb testing.TB, h Harness) {
	m := start(tb, h)
	m.acquire()
	m.append(100, 5000)
	for at, finished := int64(0), false; !finished; at++ {
		b := m.branchOpen()
		b.append(300)
		before := b.Disk.Operations()
		b.Disk.StopAfter(at)
		_ = b.host.Close()
		finished = b.Disk.Operations()-before < at
		b.crash()
		b.cuts(func(choose sim.Chooser, name string) {
			c := b.branch()
			c.cut(choose)
			c.onward("died at operation %d of closing, %s", at, name)
		})
		b.open()
		b.verify("died at operation %d of closing", at)
		b.crash()
		b.cuts(func(choose sim.Chooser, name string) {
			c := b.branch()
			c.cut(choose)
			c.onward("died at operation %d of closing, read, %s", at, name)
		})
	}
}

// earlierLap writes frames of one size with one payload, so that those of an
// earlier lap lie where the next one's would, and ends laps in every way.
func earlierLap(tb testing.TB, h Harness) {
	m := start(tb, h, sizes(2<<10, 12<<10))
	payload := noise(1, 1000)
	for lap := range 40 {
		m.acquire()
		for range 11 {
			if err := m.try(payload); err != nil {
				tb.Fatal(err)
			}
			m.forget(m.last.Number)
		}
		m.Disk.StopAfter(int64(1 + lap%3))
		_ = m.try(payload)
		m.crash()
		m.cuts(func(choose sim.Chooser, name string) {
			b := m.branch()
			b.cut(choose)
			b.onward("lap %d, %s", lap, name)
		})
		m.cut(nil)
		m.open()
		m.verify("lap %d", lap)
	}
	m.close()
}

package hosttest

import (
	"errors"
	"testing"

	"github.com/holdfast-io/holdfast/host"
)

// lifeCases are about opening and closing.
var lifeCases = []Case{
	{Name: "the host says what it is", Run: saysWhatItIs},
	{Name: "a second opener is refused until the first has gone", Run: twoOpeners},
	{Name: "data of another identity is refused", Disk: true, Run: otherIdentity},
	{Name: "a closed host refuses work", Run: closedHost},
	{Name: "marks outlive a crash and not an orderly end", Run: marks},
	{Name: "opening again and again takes no more room", Disk: true, Run: openRoom},
}

func saysWhatItIs(tb testing.TB, h Harness) {
	m := start(tb, h)
	if got := m.host.Identity(); got != m.Identity {
		tb.Errorf("identity: got %+v, want %+v", got, m.Identity)
	}
	c := m.host.Capabilities()
	if c.Name == "" || c.FrameBytesMax != m.FrameBytesMax {
		tb.Errorf("capabilities: got %+v, want a name and frames of %d bytes", c, m.FrameBytesMax)
	}
	m.close()
}

func twoOpeners(tb testing.TB, h Harness) {
	m := start(tb, h)
	m.acquire()
	m.append(10)
	if _, err := m.harness.Open(m.Data); !errors.Is(err, host.ErrInUse) {
		tb.Fatalf("second opener: got %v, want ErrInUse", err)
	}
	m.append(10)
	m.close()
	m.open()
	m.verify("after the second opener was refused")
	m.crash()
	m.open()
	m.verify("opened after a crash")
	m.close()
}

func otherIdentity(tb testing.TB, h Harness) {
	m := start(tb, h)
	m.acquire()
	m.append(10)
	m.close()
	right := m.Identity
	m.Identity.Partitions++
	if _, err := m.harness.Open(m.Data); !errors.Is(err, host.ErrIncompatible) {
		tb.Fatalf("open for %d partitions what was made for %d: got %v, want ErrIncompatible", m.Identity.Partitions, right.Partitions, err)
	}
	m.Identity = right
	m.open()
	m.verify("after a wrong identity was refused")
	m.close()
}

func closedHost(tb testing.TB, h Harness) {
	m := start(tb, h)
	m.acquire()
	m.append(10)
	closed := m.host
	m.close()
	if err := closed.Close(); err != nil {
		tb.Errorf("close twice: %v", err)
	}
	m.open()
	f := m.next([]byte("late"))
	if err := closed.Log().Append(&f); err == nil {
		tb.Error("append after close: got nil, want an error")
	}
	if _, _, err := closed.Log().Acquire(tb.Context()); err == nil {
		tb.Error("acquire after close: got nil, want an error")
	}
	if _, err := closed.Snapshots().Create(0); err == nil {
		tb.Error("create a checkpoint after close: got nil, want an error")
	}
	m.verify("after work for a closed host")
	m.close()
}

func marks(tb testing.TB, h Harness) {
	m := start(tb, h)
	if m.host.Marks() == nil {
		m.close()
		return // a host may have none
	}
	zero := func(where string) {
		for i, b := range m.host.Marks() {
			if b != 0 {
				tb.Fatalf("%s: byte %d of the marks is %d, want 0", where, i, b)
			}
		}
	}
	last := len(m.host.Marks()) - 1
	zero("new")
	for range 2 {
		m.host.Marks()[0], m.host.Marks()[last] = 1, 2
		m.crash()
		m.open()
		if b := m.host.Marks(); b[0] != 1 || b[last] != 2 {
			tb.Fatalf("after a crash: got %d and %d, want 1 and 2", b[0], b[last])
		}
		m.close()
		m.open()
		zero("after closing")
	}
	m.close()
}

func openRoom(tb testing.TB, h Harness) {
	m := start(tb, h)
	m.acquire()
	m.append(3000, 3000)
	var used int64
	for i := range 60 {
		switch i % 3 {
		case 0:
			m.crash()
		case 1:
			m.close()
		case 2:
			m.cut(nil)
		}
		m.open()
		m.verify("opened %d times", i+1)
		if i == 5 {
			used = m.Disk.Used()
		}
	}
	if now := m.Disk.Used(); now > used {
		tb.Errorf("%d bytes are used after 60 openings, %d after 6", now, used)
	}
	m.close()
}

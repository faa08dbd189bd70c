package hosttest

import (
	"context"
	"errors"
	"testing"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// logCases need no disk and no failure.
var logCases = []Case{
	{Name: "an empty log has nothing and says so", Run: emptyLog},
	{Name: "frames are read in order, whole, and from any number", Run: framesInOrder},
	{Name: "a frame may be empty and may be of the largest size, not larger", Run: frameSizes},
	{Name: "only the next frame is accepted", Run: onlyTheNext},
	{Name: "every epoch is newer than all before, also without a write", Run: epochsGrow},
	{Name: "an older epoch is refused", Run: olderEpoch},
	{Name: "the payload is not kept", Run: payloadNotKept},
	{Name: "sealing changes no number and may be repeated", Run: sealing},
	{Name: "trimming keeps what is asked for, and the numbers", Run: trimming},
	{Name: "trimming never takes the last frame's place", Run: trimmingAll},
}

func emptyLog(tb testing.TB, h Harness) {
	m := start(tb, h)
	for range 3 {
		if got := m.host.Log().Oldest(); got != 1 {
			tb.Fatalf("oldest: got %d, want 1", got)
		}
		m.verify("empty")
		if err := m.host.Log().Room(); err != nil {
			tb.Fatalf("room: %v", err)
		}
		m.acquire()
		if m.last.Number != 0 || m.last.Count != 0 || len(m.last.Payload) != 0 {
			tb.Fatalf("acquire: got last frame %s, want none", describe(m.last))
		}
		if err := m.host.Log().Seal(); err != nil {
			tb.Fatalf("seal: %v", err)
		}
		m.close()
		m.open()
	}
}

func framesInOrder(tb testing.TB, h Harness) {
	m := start(tb, h)
	for round := range 4 {
		m.acquire()
		for i := range 30 {
			m.append(i*i*7%3000 + round)
		}
		m.close()
		m.open()
		m.verify("round %d", round)
	}
	for _, from := range []msg.FrameNumber{0, 1, 2, 59, 120} {
		want := max(from, 1)
		for f, err := range m.host.Log().Frames(from) {
			if err != nil {
				tb.Fatal(err)
			}
			if !equal(f, m.kept[want-1]) {
				tb.Fatalf("frames from %d: got %s, want %s", from, describe(f), describe(m.kept[want-1]))
			}
			want++
		}
		if want != 121 {
			tb.Fatalf("frames from %d: ended before frame %d, want 121", from, want)
		}
	}
	for f, err := range m.host.Log().Frames(121) {
		tb.Fatalf("frames behind the end: got %s, %v", describe(f), err)
	}
	for range m.host.Log().Frames(1) {
		break // a reader may stop
	}
	m.close()
}

func frameSizes(tb testing.TB, h Harness) {
	m := start(tb, h)
	m.acquire()
	limit := m.host.Capabilities().FrameBytesMax
	m.append(0, limit, 0, limit, limit-1, 1, limit)
	err := m.try(make([]byte, limit+1))
	if err == nil || errors.Is(err, host.ErrPoisoned) {
		tb.Fatalf("append over the limit: got %v, want an error that does not poison", err)
	}
	m.pending = nil
	m.append(limit)
	f := m.next(nil)
	f.Count = 0
	if err := m.host.Log().Append(&f); err != nil {
		tb.Fatalf("append a frame in which no record ends: %v", err)
	}
	m.kept, m.last = append(m.kept, f), f
	m.close()
	m.open()
	m.verify("after closing")
	m.close()
}

func onlyTheNext(tb testing.TB, h Harness) {
	m := start(tb, h)
	early := m.next([]byte("early"))
	early.Epoch = 1
	if err := m.host.Log().Append(&early); err == nil {
		tb.Fatal("append before acquire: got nil, want an error")
	}
	m.acquire()
	m.append(10, 10)
	for name, spoil := range map[string]func(*host.Frame){
		"the same number again": func(f *host.Frame) { f.Number-- },
		"a gap":                 func(f *host.Frame) { f.Number++ },
		"number 0":              func(f *host.Frame) { f.Number = 0 },
		"another predecessor":   func(f *host.Frame) { f.Previous[3] ^= 1 },
		"no predecessor":        func(f *host.Frame) { f.Previous = host.FrameHash{} },
	} {
		f := m.next([]byte("x"))
		spoil(&f)
		if err := m.host.Log().Append(&f); !errors.Is(err, host.ErrConflict) {
			tb.Errorf("append with %s: got %v, want ErrConflict", name, err)
		}
	}
	m.append(10)
	m.close()
	m.open()
	m.verify("after conflicts")
	m.close()
}

func epochsGrow(tb testing.TB, h Harness) {
	m := start(tb, h)
	for range 3 {
		m.acquire()
		m.acquire()
		m.acquire()
		m.close()
		m.open()
		m.acquire()
		m.append(10)
		m.acquire()
		m.append(10)
		m.crash()
		m.open()
		m.verify("after a crash")
	}
	cancelled, cancel := context.WithCancel(tb.Context())
	cancel()
	if _, _, err := m.host.Log().Acquire(cancelled); !errors.Is(err, context.Canceled) {
		tb.Errorf("acquire with a cancelled context: got %v, want context.Canceled", err)
	}
	m.close()
}

func olderEpoch(tb testing.TB, h Harness) {
	m := start(tb, h)
	m.acquire()
	m.append(10)
	old := m.epoch
	if err := m.host.Log().Confirm(old); err != nil {
		tb.Errorf("confirm the newest epoch: %v", err)
	}
	m.acquire()
	if err := m.host.Log().Confirm(old); !errors.Is(err, host.ErrFenced) {
		tb.Errorf("confirm an older epoch: got %v, want ErrFenced", err)
	}
	f := m.next([]byte("late"))
	f.Epoch = old
	if err := m.host.Log().Append(&f); !errors.Is(err, host.ErrFenced) {
		tb.Errorf("append of an older epoch: got %v, want ErrFenced", err)
	}
	f.Epoch = m.epoch + 1
	if err := m.host.Log().Append(&f); err == nil {
		tb.Error("append of an epoch that nobody acquired: got nil, want an error")
	}
	m.append(10)
	m.close()
	m.open()
	m.verify("after fencing")
	m.acquire()
	f = m.next([]byte("late"))
	f.Epoch = m.epoch - 1
	if err := m.host.Log().Append(&f); !errors.Is(err, host.ErrFenced) {
		tb.Errorf("append of an epoch before the restart: got %v, want ErrFenced", err)
	}
	m.close()
}

func payloadNotKept(tb testing.TB, h Harness) {
	m := start(tb, h)
	m.acquire()
	for i := range 3 {
		payload := noise(uint64(i), 100)
		if err := m.try(payload); err != nil {
			tb.Fatal(err)
		}
		clear(payload)
	}
	for f := range m.host.Log().Frames(1) {
		clear(f.Payload) // what was yielded is the reader's
	}
	m.crash()
	m.open()
	m.verify("after the payload was overwritten")
	m.close()
}

func sealing(tb testing.TB, h Harness) {
	m := start(tb, h)
	m.acquire()
	for i := range 40 {
		m.append(i * 50)
		for range i % 3 {
			if err := m.host.Log().Seal(); err != nil {
				tb.Fatalf("seal: %v", err)
			}
		}
	}
	m.crash()
	m.open()
	m.verify("after a crash")
	m.acquire()
	m.append(10)
	m.close()
	m.open()
	m.verify("after closing")
	m.close()
}

// forget trims, and forgets what the host may forget.
func (m *machine) forget(before msg.FrameNumber) {
	m.Helper()
	if err := m.host.Log().Trim(before); err != nil {
		m.Fatalf("trim before %d: %v", before, err)
	}
	m.trimmed = max(m.trimmed, before)
	if oldest := m.host.Log().Oldest(); oldest > m.last.Number+1 {
		m.Fatalf("trim before %d: oldest is %d, the last frame %d", before, oldest, m.last.Number)
	}
	m.dropTrimmed("trim")
}

func trimming(tb testing.TB, h Harness) {
	m := start(tb, h)
	m.acquire()
	for i := range 200 {
		m.append(1000)
		if i%10 == 9 {
			m.forget(m.last.Number - 5)
		}
		if i%40 == 39 {
			m.close()
			m.open()
			m.verify("after %d frames", i+1)
			m.acquire()
		}
	}
	if oldest := m.host.Log().Oldest(); oldest < 100 {
		tb.Errorf("oldest is %d after trimming before 195: nothing is ever forgotten", oldest)
	}
	m.forget(3)
	m.verify("after a trim to where it was trimmed already")
	m.close()
}

func trimmingAll(tb testing.TB, h Harness) {
	m := start(tb, h)
	for range 5 {
		m.acquire()
		m.append(3000, 3000, 3000)
		last := m.last
		if err := m.host.Log().Trim(last.Number + 100); err != nil {
			tb.Fatal(err)
		}
		if oldest := m.host.Log().Oldest(); oldest > last.Number+1 {
			tb.Fatalf("oldest: got %d, want at most %d", oldest, last.Number+1)
		}
		m.close()
		m.open()
		m.acquire()
		if !equal(m.last, last) {
			tb.Fatalf("acquire: got last frame %s, want %s", describe(m.last), describe(last))
		}
	}
	m.close()
}

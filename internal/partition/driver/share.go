package driver

import (
	"sync"
	"time"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/partition"
)

// Buffer is the committer under a lock: the one thing that loops share.
type Buffer struct {
	mu     sync.Mutex
	c      *partition.Committer
	signal chan struct{}
	stats  Stats
}

// Stats counts what the committer has written.
type Stats struct {
	Frames, Records, Bytes uint64
	SyncSeconds            float64
	SyncTimes              SyncHistogram
	Appended, Durable      msg.Position
}

// SyncHistogram counts syncs by time: bucket i holds those of at most
// 2^i × 10 µs; the last holds the rest.
type SyncHistogram [18]uint64

var _ partition.Buffer = (*Buffer)(nil)

// NewBuffer puts a lock around a committer.
func NewBuffer(c *partition.Committer) *Buffer {
	return &Buffer{c: c, signal: make(chan struct{}, 1)}
}

// Reserve implements partition.Buffer.
func (b *Buffer) Reserve(n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.c.Reserve(n)
}

// Append implements partition.Buffer.
func (b *Buffer) Append(now msg.Time, record []byte) msg.Position {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stats.Records++
	b.stats.Appended = b.c.Append(now, record)
	return b.stats.Appended
}

// Want implements partition.Buffer.
func (b *Buffer) Want(position msg.Position, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.c.Want(position, n)
}

// Frame implements partition.Buffer.
func (b *Buffer) Frame() msg.FrameNumber {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.c.Frame()
}

// Stats says what has been written.
func (b *Buffer) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stats
}

// Empty says that nothing waits to be written.
func (b *Buffer) Empty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.c.Empty()
}

func (b *Buffer) next(now msg.Time) (*host.Frame, time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.c.Next(now)
}

func (b *Buffer) written(now msg.Time, took time.Duration, hash host.FrameHash, bytes int) msg.Position {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.c.Written(now, took, hash)
	b.stats.Frames++
	b.stats.Bytes += uint64(bytes)
	b.stats.SyncSeconds += took.Seconds()
	b.stats.SyncTimes.add(took)
	b.stats.Durable = b.c.Durable()
	return b.stats.Durable
}

func (h *SyncHistogram) add(took time.Duration) {
	bucket, bound := 0, 10*time.Microsecond
	for ; took > bound && bucket < len(h)-1; bound *= 2 {
		bucket++
	}
	h[bucket]++
}

func (b *Buffer) wake() {
	select {
	case b.signal <- struct{}{}:
	default:
	}
}

// sleep waits for a signal, for a time, or until it is over. Idle says that
// the time passed.
func (b *Buffer) sleep(done <-chan struct{}, timer *time.Timer, wait time.Duration) (idle, running bool) {
	var passed <-chan time.Time
	if wait > 0 {
		timer.Reset(wait)
		passed = timer.C
	}
	select {
	case <-b.signal:
		return false, true
	case <-passed:
		return true, true
	case <-done:
		return false, false
	}
}

// mailbox holds what other goroutines tell a loop.
type mailbox struct {
	mu     sync.Mutex
	inputs []partition.Input
	spare  []partition.Input
	signal chan struct{}
}

func (m *mailbox) push(in partition.Input) {
	m.mu.Lock()
	first := len(m.inputs) == 0
	m.inputs = append(m.inputs, in)
	m.mu.Unlock()
	if first {
		select {
		case m.signal <- struct{}{}:
		default:
		}
	}
}

// drain gives the loop what has come.
func (m *mailbox) drain(l *partition.Loop) {
	m.mu.Lock()
	if len(m.inputs) == 0 {
		m.mu.Unlock()
		return
	}
	inputs := m.inputs
	m.inputs, m.spare = m.spare[:0], nil
	m.mu.Unlock()
	for i := range inputs {
		l.Push(inputs[i])
	}
	clear(inputs)
	m.mu.Lock()
	m.spare = inputs[:0]
	m.mu.Unlock()
}

// wait waits for an input or the time that is due, and says whether to go on.
func (m *mailbox) wait(done <-chan struct{}, timer *time.Timer, due, now msg.Time) bool {
	var passed <-chan time.Time
	if due > 0 {
		timer.Reset(time.Duration(due - now))
		passed = timer.C
	}
	select {
	case <-m.signal:
	case <-passed:
	case <-done:
		return false
	}
	return true
}

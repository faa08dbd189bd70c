package share

import (
	"runtime"
	"sync"
	"time"
)

// Mailbox holds what goroutines tell one other goroutine. It has no bound of
// its own: what may be under way is bounded where it is admitted. Make it with
// NewMailbox.
type Mailbox[T any] struct {
	Signal // set when something is put into an empty mailbox

	mu    sync.Mutex
	items []T
	spare []T // the memory of items that were taken
}

// NewMailbox makes an empty mailbox.
func NewMailbox[T any]() *Mailbox[T] { return &Mailbox[T]{Signal: NewSignal()} }

// Put adds an item. It is safe for concurrent use and never blocks for long.
func (m *Mailbox[T]) Put(item T) {
	m.mu.Lock()
	first := len(m.items) == 0
	m.items = append(m.items, item)
	m.mu.Unlock()
	if first {
		m.Set()
	}
}

// Take gives everything that is there to a function, in order. One goroutine
// takes at a time.
func (m *Mailbox[T]) Take(take func(T)) {
	m.mu.Lock()
	items := m.items
	if len(items) == 0 {
		m.mu.Unlock()
		return
	}
	m.items, m.spare = m.spare[:0], nil
	m.mu.Unlock()
	for i := range items {
		take(items[i])
	}
	clear(items)
	m.mu.Lock()
	m.spare = items[:0]
	m.mu.Unlock()
}

// spins is how often a goroutine that has run out of work looks again before it
// sleeps: about 10 µs, which is what waking it costs, and the caller as well.
const spins = 64

// Wait is Signal.Wait, for one who looks again for a moment before it sleeps.
func (m *Mailbox[T]) Wait(done <-chan struct{}, timer *time.Timer, limit time.Duration) bool {
	for range spins {
		if len(m.Signal) > 0 {
			break
		}
		runtime.Gosched()
	}
	return m.Signal.Wait(done, timer, limit)
}

package share

import (
	"sync"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// Open is what loops do with the open buffer; see partition.Buffer.
type Open interface {
	Reserve(n int) bool
	Append(now msg.Time, record []byte) msg.Position
	Want(position msg.Position, n int)
	Frame() msg.FrameNumber
}

// Buffer puts a lock around an open buffer, so that loops can share it with
// each other and with whoever writes it out. It is safe for concurrent use.
// Make it with NewBuffer.
type Buffer[T Open] struct {
	Signal // set by whoever has appended something

	mu   sync.Mutex
	open T
}

// NewBuffer puts a lock around an open buffer, which nobody else touches then.
func NewBuffer[T Open](open T) *Buffer[T] {
	return &Buffer[T]{Signal: NewSignal(), open: open}
}

// With calls a function under the lock.
func (b *Buffer[T]) With(use func(open T)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	use(b.open)
}

// Reserve says whether n bytes may be appended.
func (b *Buffer[T]) Reserve(n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.open.Reserve(n)
}

// Append adds a record, which is copied, and gives it its position.
func (b *Buffer[T]) Append(now msg.Time, record []byte) msg.Position {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.open.Append(now, record)
}

// Want says that n answers wait for the position.
func (b *Buffer[T]) Want(position msg.Position, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open.Want(position, n)
}

// Frame is the number of the first frame that is not durable. The next record
// will begin in it, or in a later one.
func (b *Buffer[T]) Frame() msg.FrameNumber {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.open.Frame()
}

package engine

import "slices"

// fifo is a queue whose front can also be put back.
type fifo[T any] struct {
	items []T
	head  int
}

func (q *fifo[T]) len() int { return len(q.items) - q.head }

func (q *fifo[T]) at(i int) *T { return &q.items[q.head+i] }

func (q *fifo[T]) push(v T) { q.items = append(q.items, v) }

// emptyMax is how many places an empty queue keeps: a burst is not paid for for
// ever.
const emptyMax = 1024

// pushFront puts v before everything else.
func (q *fifo[T]) pushFront(v T) {
	if q.head == 0 {
		q.items = append(q.items, v)
		copy(q.items[1:], q.items)
		q.items[0] = v
		return
	}
	q.head--
	q.items[q.head] = v
}

// take takes out the item at a place.
func (q *fifo[T]) take(place int) T {
	if place == 0 {
		return q.pop()
	}
	var zero T
	v := *q.at(place)
	copy(q.items[q.head+place:], q.items[q.head+place+1:])
	q.items[len(q.items)-1] = zero
	q.items = q.items[:len(q.items)-1]
	return v
}

// prepend puts a list before everything else, in its order.
func (q *fifo[T]) prepend(list []T) {
	if len(list) <= q.head {
		q.head -= len(list)
		copy(q.items[q.head:], list)
		return
	}
	q.items = slices.Concat(list, q.items[q.head:])
	q.head = 0
}

func (q *fifo[T]) pop() T {
	var zero T
	v := q.items[q.head]
	q.items[q.head] = zero
	q.head++
	switch {
	case q.head == len(q.items) && cap(q.items) > emptyMax:
		q.items, q.head = nil, 0
	case q.head == len(q.items):
		q.items, q.head = q.items[:0], 0
	case q.head >= 64 && q.head*2 >= len(q.items):
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	return v
}

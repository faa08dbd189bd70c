// Package fifo is a queue whose front can also be put back.
//
// Invariants:
//
//  1. Items leave in the order in which they stand, from the front.
//  2. An item that has left is not kept in memory, and an empty queue keeps no
//     more than a bounded number of places.
//
// The package has no lock: a queue belongs to one goroutine.
package fifo

import "slices"

// Queue is a queue of any length. The zero value is empty.
type Queue[T any] struct {
	items []T
	head  int
}

// Len is how many items there are.
func (q *Queue[T]) Len() int { return len(q.items) - q.head }

// Places is how many items there is memory for.
func (q *Queue[T]) Places() int { return cap(q.items) }

// At is the item at a place; 0 is the front.
func (q *Queue[T]) At(i int) *T { return &q.items[q.head+i] }

// Push puts v behind everything else.
func (q *Queue[T]) Push(v T) { q.items = append(q.items, v) }

// emptyMax is how many places an empty queue keeps: a burst is not paid for for
// ever.
const emptyMax = 1024

// PushFront puts v before everything else.
func (q *Queue[T]) PushFront(v T) {
	if q.head == 0 {
		q.items = append(q.items, v)
		copy(q.items[1:], q.items)
		q.items[0] = v
		return
	}
	q.head--
	q.items[q.head] = v
}

// Take takes out the item at a place.
func (q *Queue[T]) Take(place int) T {
	if place == 0 {
		return q.Pop()
	}
	var zero T
	v := *q.At(place)
	copy(q.items[q.head+place:], q.items[q.head+place+1:])
	q.items[len(q.items)-1] = zero
	q.items = q.items[:len(q.items)-1]
	return v
}

// Prepend puts a list before everything else, in its order.
func (q *Queue[T]) Prepend(list []T) {
	if len(list) <= q.head {
		q.head -= len(list)
		copy(q.items[q.head:], list)
		return
	}
	q.items = slices.Concat(list, q.items[q.head:])
	q.head = 0
}

// Pop takes out the front. There must be one.
func (q *Queue[T]) Pop() T {
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

// Emptied is an empty queue that goes on with the places of one that is not
// used any more.
func Emptied[T any](q Queue[T]) Queue[T] {
	if cap(q.items) > emptyMax {
		return Queue[T]{}
	}
	clear(q.items)
	return Queue[T]{items: q.items[:0]}
}

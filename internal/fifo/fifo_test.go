package fifo_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/holdfast-io/holdfast/internal/fifo"
)

// Goal: a queue is a list. Method: random operations, against a slice.
func TestAQueueIsAList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q fifo.Queue[int]
		var model []int
		next := 0
		fresh := func() int { next++; return next }
		t.Repeat(map[string]func(*rapid.T){
			"push": func(*rapid.T) { v := fresh(); q.Push(v); model = append(model, v) },
			"push many": func(*rapid.T) {
				for range 100 {
					v := fresh()
					q.Push(v)
					model = append(model, v)
				}
			},
			"push front": func(*rapid.T) { v := fresh(); q.PushFront(v); model = slices.Insert(model, 0, v) },
			"prepend": func(t *rapid.T) {
				list := make([]int, rapid.IntRange(0, 80).Draw(t, "count"))
				for n := range list {
					list[n] = fresh()
				}
				q.Prepend(list)
				model = slices.Concat(list, model)
			},
			"pop many": func(t *rapid.T) {
				for range min(len(model), rapid.IntRange(1, 90).Draw(t, "count")) {
					if got := q.Pop(); got != model[0] {
						t.Fatalf("got %d, want %d", got, model[0])
					}
					model = model[1:]
				}
			},
			"take": func(t *rapid.T) {
				if len(model) == 0 {
					return
				}
				place := rapid.IntRange(0, len(model)-1).Draw(t, "place")
				if got := q.Take(place); got != model[place] {
					t.Fatalf("took %d, want %d", got, model[place])
				}
				model = slices.Delete(model, place, place+1)
			},
			"begin again": func(*rapid.T) { q, model = fifo.Emptied(q), nil },
			"": func(t *rapid.T) {
				if q.Len() != len(model) {
					t.Fatalf("has %d items, want %d", q.Len(), len(model))
				}
				for place, want := range model {
					if got := *q.At(place); got != want {
						t.Fatalf("place %d has %d, want %d", place, got, want)
					}
				}
			},
		})
	})
}

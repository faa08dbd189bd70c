package bench

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Goal: a histogram says what sorting all times would say, to 1 %. Method:
// random times of all sizes, spread over several histograms that are merged.

func TestQuantilesAreThoseOfTheSortedTimes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) time.Duration {
			bits := rapid.IntRange(0, largestBits-1).Draw(t, "bits")
			return time.Duration(rapid.Int64Range(0, 1<<bits).Draw(t, "time"))
		}), 1, 200).Draw(t, "times")
		share := rapid.Float64Range(0, 1).Draw(t, "share")
		var parts [3]histogram
		for i, d := range list {
			parts[i%len(parts)].add(d)
		}
		var h histogram
		for i := range parts {
			h.merge(&parts[i])
		}
		slices.Sort(list)
		want := list[min(int(share*float64(len(list))), len(list)-1)]
		got := h.quantile(share)
		if difference := (got - want).Abs(); difference > want/100 {
			t.Fatalf("quantile %v of %v is %v, want %v", share, list, got, want)
		}
		if h.total != uint64(len(list)) || h.largest != list[len(list)-1] {
			t.Fatalf("total %d and largest %v, want %d and %v", h.total, h.largest, len(list), list[len(list)-1])
		}
	})
}

func TestAnEmptyHistogramSaysZero(t *testing.T) {
	var h histogram
	if got := h.quantile(0.5); got != 0 {
		t.Errorf("got %v, want 0", got)
	}
}

func TestTimesBeyondTheLastBucketAreCounted(t *testing.T) {
	var h histogram
	h.add(time.Hour)
	h.add(-time.Second) // a clock that was set back
	if h.total != 2 || h.largest != time.Hour {
		t.Errorf("got %d times up to %v", h.total, h.largest)
	}
}

// What does it cost to count a time? It is in every operation that is measured.
func BenchmarkHistogramAdd(b *testing.B) {
	var h histogram
	times := make([]time.Duration, 1024)
	for i := range times {
		times[i] = time.Duration(rand.Int64N(int64(time.Millisecond)))
	}
	i := 0
	for b.Loop() {
		h.add(times[i&1023])
		i++
	}
}

package bench

import (
	"math/bits"
	"time"
)

// Sizes of a histogram: buckets are 1/128 of their value wide, so percentiles
// are exact to 0.4 %. Times from 69 s on share the last one.
const (
	precisionBits    = 7
	subBuckets       = 1 << precisionBits
	largestBits      = 36
	histogramBuckets = (largestBits - precisionBits + 1) * subBuckets
)

// histogram counts times.
type histogram struct {
	counts  [histogramBuckets]uint32
	total   uint64
	largest time.Duration
}

func bucketOf(d time.Duration) int {
	v := uint64(max(d, 0))
	if v < subBuckets {
		return int(v)
	}
	shift := bits.Len64(v) - precisionBits - 1
	return min((shift+1)*subBuckets+int(v>>shift)-subBuckets, histogramBuckets-1)
}

// middle is the middle of a bucket.
func middle(bucket int) time.Duration {
	if bucket < subBuckets {
		return time.Duration(bucket)
	}
	shift := bucket/subBuckets - 1
	low := uint64(bucket%subBuckets+subBuckets) << shift
	return time.Duration(low + uint64(1)<<shift/2)
}

func (h *histogram) add(d time.Duration) {
	h.counts[bucketOf(d)]++
	h.total++
	h.largest = max(h.largest, d)
}

func (h *histogram) merge(o *histogram) {
	for i, n := range o.counts {
		h.counts[i] += n
	}
	h.total += o.total
	h.largest = max(h.largest, o.largest)
}

// quantile is the time below which a share of all times is; 0 if there are none.
func (h *histogram) quantile(share float64) time.Duration {
	rank := uint64(share * float64(h.total))
	var below uint64
	for i, n := range h.counts {
		if below += uint64(n); below > rank {
			return min(middle(i), h.largest)
		}
	}
	return h.largest
}

// Package delta finds the one region in which two texts differ, and puts it
// into the older one.
//
// Invariants:
//
//  1. Applying what Between gives to the text before gives the text after.
//  2. Neither text is written to, and the result of Apply shares no memory with
//     them.
//
// The package does not look for more than one region: states change in one
// place, or nearly everywhere.
package delta

import "fmt"

// Region says that Remove bytes at Offset give way to Insert.
type Region struct {
	Offset, Remove uint32
	Insert         []byte
}

// Between gives the smallest region outside of which two texts are the same.
// Insert is a part of after.
func Between(before, after []byte) Region {
	head := 0
	for head < len(before) && head < len(after) && before[head] == after[head] {
		head++
	}
	tail := 0
	for tail < len(before)-head && tail < len(after)-head && before[len(before)-1-tail] == after[len(after)-1-tail] {
		tail++
	}
	return Region{uint32(head), uint32(len(before) - head - tail), after[head : len(after)-tail]}
}

// Apply puts a region into a text. An error says that the text has no such
// region.
func Apply(before []byte, r Region) ([]byte, error) {
	end := uint64(r.Offset) + uint64(r.Remove)
	if end > uint64(len(before)) {
		return nil, fmt.Errorf("patch of bytes %d to %d of a root of %d bytes", r.Offset, end, len(before))
	}
	b := make([]byte, 0, len(before)-int(r.Remove)+len(r.Insert))
	b = append(b, before[:r.Offset]...)
	b = append(b, r.Insert...)
	return append(b, before[end:]...), nil
}

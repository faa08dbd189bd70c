package partition

import (
	"encoding/binary"
	"fmt"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// The payload of a frame is a row of chunks. A chunk is a number, then bytes.
// The number is four times the count of the bytes, plus one if the record goes
// on in the next frame, plus two if it began in an earlier one. A record that
// begins and is not continued was never durable, and is left out.

const (
	chunkGoesOn  = 1
	chunkGoneOn  = 2
	chunkShift   = 2
	chunkFlagSet = 1<<chunkShift - 1
)

// chunkHeadMax is the room that a chunk's number takes at most.
const chunkHeadMax = binary.MaxVarintLen64

// appendChunk appends a whole record.
func appendChunk(b, record []byte) []byte {
	return appendPart(b, record, 0)
}

func appendPart(b, part []byte, flags uint64) []byte {
	b = binary.AppendUvarint(b, uint64(len(part))<<chunkShift|flags)
	return append(b, part...)
}

// chunkAt reads the chunk at the start of b: its bytes, its flags, and what
// comes after it.
func chunkAt(b []byte) (chunk []byte, flags uint64, rest []byte, err error) {
	head, n := binary.Uvarint(b)
	if n <= 0 || head>>chunkShift > uint64(len(b)-n) {
		return nil, 0, nil, fmt.Errorf("%w: a chunk reaches beyond its frame", host.ErrCorrupt)
	}
	end := n + int(head>>chunkShift)
	return b[n:end], head & chunkFlagSet, b[end:], nil
}

// Reader puts records together from frames. The zero value begins at the first
// frame it is given, and passes over a record that began before it.
type Reader struct {
	partial []byte // the beginning of a record that goes on in the next frame
	begun   bool
	next    msg.FrameNumber
}

// Read calls yield for each record that ends in the frame. The record is valid
// during the call. Frames come in order; a gap is an error.
func (r *Reader) Read(f *host.Frame, yield func(position msg.Position, record []byte) error) error {
	first := r.next == 0
	if !first && f.Number != r.next {
		return fmt.Errorf("%w: frame %d follows frame %d", host.ErrCorrupt, f.Number, r.next-1)
	}
	r.next = f.Number + 1
	position := f.First
	for rest := f.Payload; len(rest) > 0; {
		chunk, flags, after, err := chunkAt(rest)
		if err != nil {
			return fmt.Errorf("frame %d: %w", f.Number, err)
		}
		rest = after
		record, whole, err := r.join(chunk, flags, first)
		if err != nil {
			return fmt.Errorf("frame %d: %w", f.Number, err)
		}
		if whole {
			if err := yield(position, record); err != nil {
				return err
			}
		}
		if flags&chunkGoesOn == 0 {
			position++
		}
	}
	if got := uint32(position - f.First); got != f.Count {
		return fmt.Errorf("%w: frame %d holds the ends of %d records, its head says %d", host.ErrCorrupt, f.Number, got, f.Count)
	}
	return nil
}

// join puts a chunk to what there is of its record, and says whether that is
// all of it.
func (r *Reader) join(chunk []byte, flags uint64, first bool) (record []byte, whole bool, err error) {
	goneOn, goesOn := flags&chunkGoneOn != 0, flags&chunkGoesOn != 0
	switch {
	case goneOn && !r.begun && !first:
		return nil, false, fmt.Errorf("%w: a record goes on that did not begin", host.ErrCorrupt)
	case goneOn && !r.begun:
		return nil, false, nil // it began before the first frame that is read
	case !goneOn:
		r.partial, r.begun = r.partial[:0], false
	}
	if !goneOn && !goesOn {
		return chunk, true, nil
	}
	r.partial, r.begun = append(r.partial, chunk...), goesOn
	return r.partial, !goesOn, nil
}

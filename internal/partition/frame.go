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
	begun   bool   // there is one
	passing bool   // one goes on that began before the first frame
	next    msg.FrameNumber
	epoch   msg.Epoch
}

// Read calls yield for each record that ends in the frame. The record is valid
// during the call. Frames come in order. An error is host.ErrCorrupt, or what
// yield returned.
func (r *Reader) Read(f *host.Frame, yield func(position msg.Position, record []byte) error) error {
	if err := r.follow(f); err != nil {
		return err
	}
	position := f.First
	for rest := f.Payload; len(rest) > 0; {
		chunk, flags, after, err := chunkAt(rest)
		if err == nil {
			err = r.placed(flags, len(rest) == len(f.Payload), len(after) == 0)
		}
		if err != nil {
			return fmt.Errorf("frame %d: %w", f.Number, err)
		}
		rest = after
		if record, whole := r.join(chunk, flags); whole {
			if err := yield(position, record); err != nil {
				return err
			}
		}
		if flags&chunkGoesOn == 0 {
			position++
		}
	}
	if got := position - f.First; got != msg.Position(f.Count) {
		return fmt.Errorf("%w: frame %d holds the ends of %d records, its head says %d", host.ErrCorrupt, f.Number, got, f.Count)
	}
	return nil
}

// follow checks that a frame is the next one.
func (r *Reader) follow(f *host.Frame) error {
	first := r.next == 0
	switch {
	case !first && f.Number != r.next:
		return fmt.Errorf("%w: frame %d follows frame %d", host.ErrCorrupt, f.Number, r.next-1)
	case !first && f.Epoch < r.epoch:
		return fmt.Errorf("%w: frame %d is of epoch %d, the one before of %d", host.ErrCorrupt, f.Number, f.Epoch, r.epoch)
	case !first && f.Epoch > r.epoch:
		// The writer before ended; so did what it had begun.
		r.begun, r.passing = false, false
	case first && len(f.Payload) > 0:
		_, flags, _, err := chunkAt(f.Payload)
		r.passing = err == nil && flags&chunkGoneOn != 0
	}
	r.next, r.epoch = f.Number+1, f.Epoch
	return nil
}

// placed checks that a chunk may be where it is: a part of a record that goes on
// is the last of its frame, and what goes on is the first of the next.
func (r *Reader) placed(flags uint64, first, last bool) error {
	goneOn, goesOn := flags&chunkGoneOn != 0, flags&chunkGoesOn != 0
	switch {
	case goesOn && !last:
		return fmt.Errorf("%w: a record goes on in the next frame, and others follow in this one", host.ErrCorrupt)
	case goneOn && !(first && (r.begun || r.passing)):
		return fmt.Errorf("%w: a record goes on that did not begin", host.ErrCorrupt)
	case !goneOn && (r.begun || r.passing):
		return fmt.Errorf("%w: a record does not go on that began", host.ErrCorrupt)
	}
	return nil
}

// join puts a chunk to what there is of its record, and says whether that is
// all of it.
func (r *Reader) join(chunk []byte, flags uint64) (record []byte, whole bool) {
	goneOn, goesOn := flags&chunkGoneOn != 0, flags&chunkGoesOn != 0
	switch {
	case r.passing:
		r.passing = goesOn
		return nil, false
	case !goneOn && !goesOn:
		return chunk, true
	case !goneOn:
		r.partial = r.partial[:0]
	}
	r.partial, r.begun = append(r.partial, chunk...), goesOn
	return r.partial, !goesOn
}

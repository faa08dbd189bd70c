package partition

import (
	"encoding/binary"
	"fmt"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// The payload of a frame is a row of chunks. A chunk is a number, then bytes.
// The number is twice the count of the bytes, plus one if the record goes on in
// the next frame. A record that begins and is not continued was never durable,
// and is left out.

// chunkHeadMax is the room that a chunk's number takes at most.
const chunkHeadMax = binary.MaxVarintLen64

// appendChunk appends a whole record.
func appendChunk(b, record []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(record))<<1)
	return append(b, record...)
}

// chunkAt reads the chunk at the start of b: its bytes, whether its record goes
// on in the next frame, and what comes after it.
func chunkAt(b []byte) (chunk []byte, more bool, rest []byte, err error) {
	head, n := binary.Uvarint(b)
	if n <= 0 || head>>1 > uint64(len(b)-n) {
		return nil, false, nil, fmt.Errorf("%w: a chunk reaches beyond its frame", host.ErrCorrupt)
	}
	end := n + int(head>>1)
	return b[n:end], head&1 == 1, b[end:], nil
}

// Reader puts records together from frames. The zero value begins at the first
// frame it is given.
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
		chunk, more, after, err := chunkAt(rest)
		if err != nil {
			return fmt.Errorf("frame %d: %w", f.Number, err)
		}
		rest = after
		switch {
		case more:
			r.partial, r.begun = append(r.partial, chunk...), true
			continue
		case r.begun:
			chunk = append(r.partial, chunk...)
		}
		if err := yield(position, chunk); err != nil {
			return err
		}
		position++
		r.partial, r.begun = r.partial[:0], false
	}
	if got := uint32(position - f.First); got != f.Count {
		return fmt.Errorf("%w: frame %d holds the ends of %d records, its head says %d", host.ErrCorrupt, f.Number, got, f.Count)
	}
	return nil
}

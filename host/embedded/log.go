package embedded

import (
	"context"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"sync"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/invariant"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// log implements host.Log on segments.
//
// The fields above mu belong to the one goroutine that appends.
type log struct {
	config *Config
	spares *spares

	file     File    // of the last segment
	offset   int64   // where the next item goes
	buffer   []byte  // of the next write
	hash     hashing // of the last frame
	lastAt   int64   // where the last frame is in its segment
	unsealed bool    // a frame was appended since the last seal
	acquired bool    // since the host was opened

	mu         sync.Mutex
	segments   []segment // oldest first; the last is written
	lastNumber msg.FrameNumber
	epoch      msg.Epoch // newest
	poison     error     // after a failed write, or closed
	trimBefore msg.FrameNumber
	tidying    bool           // in the background
	idle       bool           // nothing was appended since Seal was called
	running    sync.WaitGroup // background work; begun while mu is held
}

var _ host.Log = (*log)(nil)

// bufferBytes is the largest payload that is copied behind its header, so that
// a frame is one write. A larger one costs more to copy than a second write.
const bufferBytes = 1 << 20

// hashAside is the payload from which on a frame is hashed by a goroutine of its
// own: 2 µs of hashing, a few times what starting one costs.
const hashAside = 4 << 10

// Acquire makes the caller the writer. The first epoch after the host was
// opened is in the header of its segment already.
func (l *log) Acquire(ctx context.Context) (msg.Epoch, host.Frame, error) {
	if err := ctx.Err(); err != nil {
		return 0, host.Frame{}, fmt.Errorf("acquire log: %w", err)
	}
	l.mu.Lock()
	epoch, err := l.epoch, l.poison
	l.mu.Unlock()
	if err != nil {
		return 0, host.Frame{}, err
	}
	if l.acquired {
		epoch++
		if err := l.writeSeal(epoch); err != nil {
			return 0, host.Frame{}, err
		}
		l.mu.Lock()
		l.epoch = epoch
		l.mu.Unlock()
	}
	l.acquired = true
	last, err := l.readLast()
	return epoch, last, err
}

// readLast reads the last frame again.
func (l *log) readLast() (host.Frame, error) {
	l.mu.Lock()
	number := l.lastNumber
	l.mu.Unlock()
	if number == 0 {
		return host.Frame{}, nil
	}
	for f, err := range l.Frames(number) {
		if err != nil {
			return host.Frame{}, err
		}
		f.Payload = append([]byte(nil), f.Payload...)
		return f, nil
	}
	return host.Frame{}, fmt.Errorf("read frame %d: %w: it is not in the log", number, host.ErrCorrupt)
}

// Frames reads the segments, each up to its known end.
func (l *log) Frames(from msg.FrameNumber) iter.Seq2[host.Frame, error] {
	l.mu.Lock()
	segments := append([]segment(nil), l.segments...)
	l.mu.Unlock()
	return readFrames(l.config, segments, from)
}

// Oldest is the first frame of the oldest segment.
func (l *log) Oldest() msg.FrameNumber {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.segments[0].first
}

// Append writes the frame behind the last one, or into the next segment if it
// does not fit, and syncs it.
func (l *log) Append(f *host.Frame) error {
	current, err := l.accepts(f)
	if err != nil {
		return err
	}
	bytes := int64(itemHeaderBytes + len(f.Payload))
	l.keepAhead(&current, bytes)
	if len(f.Payload) > bufferBytes {
		l.hash.begin(*f) // beside the sync
	}
	at := l.offset
	if l.offset+bytes+itemHeaderBytes <= current.bytes && !invariant.Sometimes(invariant.RollEarly) {
		err = l.write(f, &current)
	} else {
		at, err = pageBytes, l.roll(f, &current)
	}
	if len(f.Payload) > bufferBytes {
		l.hash.wait() // the payload is the caller's again
	}
	if err != nil {
		return l.poisoned(fmt.Errorf("append frame %d: %w", f.Number, err))
	}
	if len(f.Payload) <= bufferBytes {
		copied := *f
		copied.Payload = l.buffer[len(l.buffer)-len(f.Payload):]
		l.hash.begin(copied) // beside what the caller does next
	}
	l.unsealed = true
	l.offset = at + bytes
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lastNumber, l.idle = f.Number, false
	last := &l.segments[len(l.segments)-1]
	last.end, last.last = l.offset, f.Number
	return nil
}

// accepts says whether f is the next frame of the newest writer, and gives the
// segment that is being written.
func (l *log) accepts(f *host.Frame) (segment, error) {
	last := l.hash.wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	current := l.segments[len(l.segments)-1]
	switch {
	case l.poison != nil:
		return current, l.poison
	case f.Epoch < l.epoch && l.config.mutant != mutantAnyEpoch:
		return current, fmt.Errorf("append frame %d: %w: its epoch is %d, the newest is %d", f.Number, host.ErrFenced, f.Epoch, l.epoch)
	case f.Epoch > l.epoch || !l.acquired:
		return current, fmt.Errorf("append frame %d: %w: epoch %d was not acquired", f.Number, host.ErrConflict, f.Epoch)
	case f.Group != logGroup:
		return current, fmt.Errorf("append frame %d: %w: it is of log group %d, this host has only group %d", f.Number, host.ErrConflict, f.Group, logGroup)
	case f.Number != l.lastNumber+1:
		return current, fmt.Errorf("append frame %d: %w: the next is %d", f.Number, host.ErrConflict, l.lastNumber+1)
	case f.Previous != last:
		return current, fmt.Errorf("append frame %d: %w: it follows a frame with hash %x, the last one has %x", f.Number, host.ErrConflict, f.Previous, last)
	case len(f.Payload) > l.config.FrameBytesMax:
		return current, fmt.Errorf("append frame %d: payload of %d bytes is over the limit of %d", f.Number, len(f.Payload), l.config.FrameBytesMax)
	}
	return current, nil
}

// keepAhead sees to it that the next segment has its room before the current
// one is half full, or that Room says that it has not: what is in flight then
// still has the other half.
func (l *log) keepAhead(current *segment, bytes int64) {
	if l.offset+bytes > current.bytes/2 {
		l.spares.secure(l.config.spareBytes(current.bytes))
	}
}

// write puts the frame at the offset of the current segment and syncs it.
func (l *log) write(f *host.Frame, current *segment) error {
	l.buffer = appendFrameHeader(l.buffer[:0], f, saltSum(current.salt))
	if err := writeFrame(l.file, l.offset, &l.buffer, f.Payload); err != nil {
		return err
	}
	return l.file.Datasync()
}

// writeFrame writes what is in the buffer and the payload behind it.
func writeFrame(file File, at int64, buffer *[]byte, payload []byte) error {
	if len(payload) <= bufferBytes {
		*buffer = append(*buffer, payload...)
		payload = nil
	}
	if _, err := file.WriteAt(*buffer, at); err != nil {
		return err
	}
	if len(payload) == 0 {
		return nil
	}
	_, err := file.WriteAt(payload, at+int64(len(*buffer)))
	return err
}

// roll begins the next segment with the frame.
func (l *log) roll(f *host.Frame, current *segment) error {
	return l.next(segmentHeader{
		number: current.number + 1, epoch: l.epochNow(), first: f.Number,
		previous: f.Previous, previousEnd: l.offset,
	}, f, l.config.spareBytes(current.bytes))
}

// epochNow is the newest epoch.
func (l *log) epochNow() msg.Epoch {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.epoch
}

// next begins a segment in a prepared file, or in one of the size.
func (l *log) next(header segmentHeader, f *host.Frame, bytes int64) error {
	s, err := l.spares.take(bytes)
	if err != nil {
		return err
	}
	return l.begin(header, f, s)
}

// begin makes a new segment the current one. It has its name only when the
// header and the frame, if there is one, are durable: a segment that is visible
// begins with valid bytes.
func (l *log) begin(header segmentHeader, f *host.Frame, s spare) error {
	file, begun, err := beginSegment(l.config, s, &l.buffer, header, f)
	if err != nil {
		return err
	}
	l.mu.Lock()
	var old segment
	if n := len(l.segments); n > 0 && l.segments[n-1].number < begun.number {
		old = l.segments[n-1]
	} else if n > 0 {
		l.segments = l.segments[:n-1] // the new one has its place
	}
	l.segments = append(l.segments, begun)
	l.mu.Unlock()
	if old.number > 0 {
		l.endSegment(&old, &begun)
	}
	l.file, l.offset = file, begun.end
	l.spares.prepare(l.config.spareBytes(begun.bytes))
	return nil
}

// endSegment writes behind the last frame of a segment that it has a successor,
// so that it is noticed if that file goes missing. All that matters is durable:
// whether this is written, now or ever, does not matter.
func (l *log) endSegment(old, next *segment) {
	file := l.file
	if file == nil { // it was found when the host was opened
		var err error
		if file, err = l.config.FS.OpenFile(old.name, os.O_RDWR); err != nil {
			return
		}
	}
	mark := item{kind: itemNext, epoch: next.epoch, number: next.first - 1, hash: next.previous}
	_, _ = file.WriteAt(mark.append(nil, saltSum(old.salt)), old.end)
	_ = file.Close()
}

// Seal writes a seal behind the last frame. The log is idle: room that is not
// used goes back.
func (l *log) Seal() error {
	if err := l.seal(); err != nil {
		return err
	}
	l.mu.Lock()
	l.idle = true
	l.mu.Unlock()
	l.tidy()
	return nil
}

// seal writes a seal unless the last item is one.
func (l *log) seal() error {
	l.mu.Lock()
	poison, epoch := l.poison, l.epoch
	l.mu.Unlock()
	if poison != nil || !l.unsealed {
		return poison
	}
	return l.writeSeal(epoch)
}

// writeSeal writes and syncs a seal that carries the epoch.
func (l *log) writeSeal(epoch msg.Epoch) error {
	l.mu.Lock()
	current, number := l.segments[len(l.segments)-1], l.lastNumber
	l.mu.Unlock()
	var err error
	if l.offset+itemHeaderBytes <= current.bytes {
		seal := item{kind: itemSeal, epoch: epoch, number: number, hash: l.hash.wait()}
		l.buffer = seal.append(l.buffer[:0], saltSum(current.salt))
		if _, err = l.file.WriteAt(l.buffer, l.offset); err == nil {
			err = l.file.Datasync()
		}
		l.offset += itemHeaderBytes
	} else {
		err = l.next(segmentHeader{
			number: current.number + 1, epoch: epoch, first: number + 1,
			previous: l.hash.wait(), previousEnd: l.offset,
		}, nil, l.config.spareBytes(current.bytes))
	}
	if err != nil {
		return l.poisoned(fmt.Errorf("seal frame %d: %w", number, err))
	}
	l.unsealed = false
	l.mu.Lock()
	defer l.mu.Unlock()
	l.segments[len(l.segments)-1].end = l.offset
	return nil
}

// poisoned ends the log: what is durable is unknown from here on, because a
// failed sync may have thrown away what it did not write.
func (l *log) poisoned(cause error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := fmt.Errorf("%w: %w: restart, so that the log is read again", host.ErrPoisoned, cause)
	if l.config.mutant != mutantGoOn {
		l.poison = err
	}
	return err
}

// Confirm says whether the epoch is the newest.
func (l *log) Confirm(epoch msg.Epoch) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if epoch < l.epoch {
		return fmt.Errorf("confirm epoch %d: %w %d", epoch, host.ErrFenced, l.epoch)
	}
	return nil
}

// Room is nil while the next segment can be prepared.
func (l *log) Room() error {
	l.mu.Lock()
	current := l.segments[len(l.segments)-1].bytes
	l.mu.Unlock()
	if l.config.mutant == mutantAlwaysRoom {
		return nil
	}
	return l.spares.room(l.config.spareBytes(current))
}

// close seals the log, waits for what runs in the background, and ends it.
func (l *log) close() error {
	err := l.seal()
	l.mu.Lock()
	poisoned := l.poison != nil
	if !poisoned {
		l.poison = fmt.Errorf("log: %w", fs.ErrClosed)
	}
	l.mu.Unlock()
	l.running.Wait()
	l.hash.wait()
	l.spares.close()
	closed := l.file.Close()
	if poisoned {
		return nil // who appended was told
	}
	if err == nil {
		err = closed
	}
	return err
}

// abandon ends the log without touching the disk.
func (l *log) abandon() {
	l.mu.Lock()
	l.poison = fmt.Errorf("log: %w", fs.ErrClosed)
	l.mu.Unlock()
	l.running.Wait()
	l.spares.close()
	_ = l.file.Close()
}

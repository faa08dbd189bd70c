package embedded

import (
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/invariant"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// tail is what recovery found at the end of the log.
type tail struct {
	epoch    msg.Epoch       // newest in the log
	number   msg.FrameNumber // of the last frame; 0 if there is none
	hash     host.FrameHash  // of the last frame
	last     host.Frame      // only if it is to be written again
	lastAt   int64           // where it is in its segment
	lastEnd  int64           // where it ends; a seal may follow
	end      int64           // where the valid bytes of the last segment end
	lone     bool            // the last segment has no frame but the one to be written again
	unproven bool            // the last frame may be only in the page cache
	reason   error           // why nothing is read from end on
	torn     bool            // what is there began as a frame
}

// findTail reads the last segment. It decides whether its end is torn or
// damaged.
func findTail(config *Config, segments []segment) (tail, error) {
	s := &segments[len(segments)-1]
	r, err := openReader(config, s)
	if err != nil {
		return tail{}, err
	}
	defer r.close()
	t := tail{number: s.first - 1, hash: s.previous, lone: true}
	for {
		at := r.offset
		i, f, err := r.next()
		if errors.Is(err, errBad) {
			t.reason = err
			break
		}
		if err != nil {
			return tail{}, fmt.Errorf("%s at byte %d: %w", s.name, at, err)
		}
		if i.kind == itemSeal {
			continue
		}
		t.lone = t.number < s.first
		t.number, t.lastAt, t.lastEnd = f.Number, at, r.offset
	}
	if s.end < s.bytes {
		return tail{}, corrupt(s.name, s.end, "the file ends here, it was made with %d bytes", s.bytes)
	}
	t.end, t.epoch, t.hash = r.offset, r.epoch, r.hash
	if err := mustBeTorn(config, r, s, t.reason); err != nil {
		return tail{}, err
	}
	if t.torn, err = r.torn(); err != nil {
		return tail{}, err
	}
	t.unproven = t.number >= s.first && !r.sealed && t.end > s.complete
	if t.unproven {
		t.last, err = r.frameAt(t.lastAt)
	}
	return t, err
}

// mustBeTorn says whether the bytes at the reader's offset may be what a power
// cut left of the last write. They are damage if they were durable once: they
// lie before the point that was synced first, or something was written after
// them.
func mustBeTorn(config *Config, r *segmentReader, s *segment, reason error) error {
	if config.mutant == mutantCutAlways {
		return nil
	}
	if r.offset < s.complete {
		return corrupt(s.name, r.offset, "%w, though it was synced: restore the file, or the directory from a backup", reason)
	}
	at, found, err := r.successor()
	if err != nil {
		return err
	}
	if found {
		return corrupt(s.name, r.offset, "%w, though what was written after it is valid at byte %d: restore the file, or the directory from a backup", reason, at)
	}
	return nil
}

// frameAt reads a frame again, into memory of its own.
func (r *segmentReader) frameAt(offset int64) (host.Frame, error) {
	header, err := r.bytes(offset, itemHeaderBytes)
	if err != nil {
		return host.Frame{}, err
	}
	i, err := decodeItem(header, r.salt)
	if err != nil {
		return host.Frame{}, corrupt(r.name, offset, "%w", err)
	}
	b, err := r.bytes(offset, itemHeaderBytes+int(i.length))
	if err != nil {
		return host.Frame{}, err
	}
	return i.frame(append([]byte(nil), b[itemHeaderBytes:]...)), nil
}

// recoverLog reads what is there and begins a segment. What the last process
// wrote last is written again if it may have been read from the page cache
// only: Frames must not show what a power cut can still take away.
func recoverLog(config *Config, spares *spares, segments []segment, found *Recovered) (*log, error) {
	l := &log{config: config, spares: spares}
	header := segmentHeader{number: 1, first: 1, epoch: 1}
	var again *host.Frame
	if len(segments) > 0 {
		t, err := findTail(config, segments)
		if err != nil {
			return nil, err
		}
		l.segments, l.lastNumber, l.hash.hash = segments, t.number, t.hash
		header, again = t.next(config, &segments[len(segments)-1])
		t.tell(found, &segments[len(segments)-1])
	}
	l.epoch = header.epoch
	if n := len(l.segments); n > 0 && l.segments[n-1].number < header.number {
		l.segments[n-1].end, l.segments[n-1].last = header.previousEnd, header.first-1
	}
	first, err := spares.first(config.FirstSegmentBytes)
	if err == nil {
		err = l.begin(header, again, first)
	}
	if err != nil {
		return nil, fmt.Errorf("begin a log segment: %w", err)
	}
	if l.segments[len(l.segments)-1].bytes < config.spareBytes(0) {
		// Half of it would not be enough for what may be in flight.
		spares.secure(config.spareBytes(0))
	}
	found.Segments = len(l.segments)
	return l, nil
}

// tell says what was found.
func (t *tail) tell(found *Recovered, s *segment) {
	found.Sealed = !t.unproven
	if t.torn {
		found.CutFile, found.CutOffset, found.CutReason = s.name, t.end, t.reason
	}
}

// next gives the header of the segment to go on in, and the frame to be written
// again in it.
func (t *tail) next(config *Config, old *segment) (segmentHeader, *host.Frame) {
	header := old.segmentHeader
	header.epoch = t.epoch + 1
	again := &t.last
	if !t.unproven || config.mutant == mutantTrustCache || invariant.Mutated(invariant.TrustCache) {
		again = nil
	}
	switch {
	case t.number < old.first:
		// The old segment has no frame: the new one takes its place.
	case again == nil:
		// A seal behind the last frame does not count: that it can be read
		// shows that the frame is durable, not that the seal is.
		header.number, header.first = old.number+1, t.number+1
		header.previous, header.previousEnd = t.hash, t.lastEnd
		if config.mutant == mutantTrustSeal {
			header.previousEnd = t.end
		}
	case t.lone:
		// Nothing of the old segment would be left.
	default:
		header.number, header.first = old.number+1, t.number
		header.previous, header.previousEnd = t.last.Previous, t.lastAt
	}
	return header, again
}

// beginSegment writes a segment and then gives it its name.
func beginSegment(config *Config, s spare, buffer *[]byte, header segmentHeader, f *host.Frame) (_ File, _ segment, err error) {
	header.complete = pageBytes
	if f != nil {
		header.complete += itemHeaderBytes + int64(len(f.Payload))
	}
	if header.salt, err = drawSalt(config); err != nil {
		return nil, segment{}, err
	}
	file, err := config.FS.OpenFile(s.name, os.O_RDWR)
	if err != nil {
		return nil, segment{}, err
	}
	if header.bytes, err = lengthen(file, s.bytes, header.complete); err != nil {
		_ = file.Close()
		return nil, segment{}, err
	}
	begun := segment{segmentHeader: header, name: segmentName(config.Dir, header.number), size: header.bytes, end: header.complete, last: header.first - 1}
	if f != nil {
		begun.last = f.Number
	}
	if err := begun.write(config, file, s.name, buffer, f); err != nil {
		_ = file.Close()
		return nil, segment{}, err
	}
	return file, begun, nil
}

// lengthen makes a prepared file longer if the first frame needs most of it: half
// of a segment is for what is in flight when there is no next one. Without room
// for that, the frame alone must do. It gives the size.
func lengthen(file File, bytes, used int64) (int64, error) {
	if wanted := roundUp(2 * used); wanted > bytes {
		err := file.Allocate(wanted)
		if err == nil || !isNoSpace(err) {
			return wanted, err
		}
	}
	if needed := roundUp(used + itemHeaderBytes); needed > bytes {
		return needed, file.Allocate(needed)
	}
	return bytes, nil
}

// write fills the prepared file and renames it.
func (s *segment) write(config *Config, file File, from string, buffer *[]byte, f *host.Frame) error {
	*buffer = append((*buffer)[:0], s.encode()...)
	var payload []byte
	if f != nil {
		*buffer = appendFrameHeader(*buffer, f, saltSum(s.salt))
		payload = f.Payload
	}
	if err := writeFrame(file, 0, buffer, payload); err != nil {
		return err
	}
	if err := file.Datasync(); err != nil {
		return err
	}
	if err := config.FS.Rename(from, s.name); err != nil {
		return err
	}
	return config.FS.SyncDir(filepath.Dir(s.name))
}

// readFrames yields the frames of segments whose ends are known, from a number
// on.
func readFrames(config *Config, segments []segment, from msg.FrameNumber) iter.Seq2[host.Frame, error] {
	return func(yield func(host.Frame, error) bool) {
		for i := range segments {
			s := &segments[i]
			if s.last < from || s.last < s.first {
				continue
			}
			if !readSegment(config, s, from, yield) {
				return
			}
		}
	}
}

// readSegment yields the frames of one segment. All of it must be valid, and it
// must end where it is said to end.
func readSegment(config *Config, s *segment, from msg.FrameNumber, yield func(host.Frame, error) bool) bool {
	r, err := openReader(config, s)
	if err != nil {
		yield(host.Frame{}, err)
		return false
	}
	defer r.close()
	for r.offset < s.end {
		i, f, err := r.next()
		if errors.Is(err, errBad) {
			err = corrupt(s.name, r.offset, "%w", err)
		}
		if err != nil {
			yield(host.Frame{}, err)
			return false
		}
		if i.kind == itemFrame && f.Number >= from && !yield(f, nil) {
			return false
		}
	}
	if r.number != s.last {
		yield(host.Frame{}, corrupt(s.name, r.offset, "it ends with frame %d, the segment after it begins behind frame %d", r.number, s.last))
		return false
	}
	return true
}

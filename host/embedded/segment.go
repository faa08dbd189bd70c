package embedded

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// Names in the log directory.
const (
	logDirectory  = "log"
	segmentSuffix = ".segment"
	spareSuffix   = ".spare"
	newSuffix     = ".new" // being made; removed when the host is opened
)

// segment is a file of the log.
type segment struct {
	segmentHeader
	name string
	size int64           // of the file
	end  int64           // what is read ends here; the next header names it
	last msg.FrameNumber // first-1 if it has no frame
}

// segmentName is the path of a segment.
func segmentName(directory string, number uint64) string {
	return filepath.Join(directory, logDirectory, fmt.Sprintf("%010d%s", number, segmentSuffix))
}

// spareName is the path of a prepared file.
func spareName(directory string, number uint64) string {
	return filepath.Join(directory, logDirectory, fmt.Sprintf("%010d%s", number, spareSuffix))
}

// numbered gives the number in a name with the suffix.
func numbered(name, suffix string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	if !ok {
		return 0, false
	}
	number, err := strconv.ParseUint(digits, 10, 64)
	return number, err == nil
}

// listNumbered gives the numbers of the files with the suffix, in order.
func listNumbered(files FS, directory, suffix string) ([]uint64, error) {
	names, err := files.ReadDir(filepath.Join(directory, logDirectory))
	if err != nil {
		return nil, err
	}
	var numbers []uint64
	for _, name := range names {
		if number, ok := numbered(name, suffix); ok {
			numbers = append(numbers, number)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// corrupt names the place of damage.
func corrupt(name string, offset int64, format string, args ...any) error {
	return fmt.Errorf("%s at byte %d: %w: %w", name, offset, host.ErrCorrupt, fmt.Errorf(format, args...))
}

// readSegmentHeaders reads the headers of all segments, oldest first, and
// checks that they follow each other. The end of all but the last is known then.
func readSegmentHeaders(files FS, directory string) ([]segment, error) {
	numbers, err := listNumbered(files, directory, segmentSuffix)
	if err != nil {
		return nil, err
	}
	segments := make([]segment, 0, len(numbers))
	for i, number := range numbers {
		s, err := readSegmentHeader(files, segmentName(directory, number), number)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			if err := segments[i-1].endAt(&s, directory); err != nil {
				return nil, err
			}
		}
		segments = append(segments, s)
	}
	return segments, nil
}

// readSegmentHeader reads one header. A file gets the name of a segment only
// after its header is durable: one that does not check is damage.
func readSegmentHeader(files FS, name string, number uint64) (segment, error) {
	f, err := files.OpenFile(name, os.O_RDONLY)
	if err != nil {
		return segment{}, err
	}
	defer f.Close()
	var b [segmentHeaderBytes]byte
	n, err := f.ReadAt(b[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return segment{}, err
	}
	header, err := decodeSegmentHeader(b[:n])
	if errors.Is(err, host.ErrIncompatible) {
		return segment{}, fmt.Errorf("%s: %w", name, err)
	}
	if err != nil {
		return segment{}, corrupt(name, 0, "%w", err)
	}
	if header.number != number {
		return segment{}, corrupt(name, 0, "the header is that of segment %d", header.number)
	}
	size, err := f.Size()
	if err != nil {
		return segment{}, err
	}
	return segment{segmentHeader: header, name: name, size: size, end: size, last: header.first - 1}, nil
}

// endAt closes s where the header of the next one says.
func (s *segment) endAt(next *segment, directory string) error {
	if next.number != s.number+1 {
		return fmt.Errorf("%s: %w: the file is missing, though the segments before and after it exist",
			segmentName(directory, s.number+1), host.ErrCorrupt)
	}
	if next.previousEnd < pageBytes || next.previousEnd > s.end {
		return corrupt(s.name, s.end, "the file ends here, the segment after it says that it has %d bytes", next.previousEnd)
	}
	if next.first < s.first {
		return corrupt(next.name, 0, "it begins with frame %d, the segment before it with %d", next.first, s.first)
	}
	s.end = next.previousEnd
	s.last = next.first - 1
	return nil
}

// readAhead is how much is read at once: a frame of many small records is read
// with its neighbours.
const readAhead = 256 << 10

// segmentReader reads the items of one segment in order.
type segmentReader struct {
	file     File
	name     string
	salt     uint32
	offset   int64           // of the next item
	limit    int64           // nothing is read from here on
	number   msg.FrameNumber // of the last frame
	hash     host.FrameHash  // of the last frame
	sealed   bool            // the last item was a seal
	epoch    msg.Epoch       // newest seen
	window   []byte          // bytes of the file from windowAt on
	windowAt int64
	mutant   mutant
}

// openReader starts before the first item.
func openReader(config *Config, s *segment) (*segmentReader, error) {
	f, err := config.FS.OpenFile(s.name, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	return &segmentReader{
		file: f, name: s.name, salt: saltSum(s.salt), offset: pageBytes, limit: s.end,
		number: s.first - 1, hash: s.previous, epoch: s.epoch, mutant: config.mutant,
	}, nil
}

func (r *segmentReader) close() { _ = r.file.Close() }

// bytes gives n bytes at the offset; fewer only where the segment ends. They
// are valid until the next call.
func (r *segmentReader) bytes(offset int64, n int) ([]byte, error) {
	n = int(min(int64(n), max(0, r.limit-offset)))
	if offset < r.windowAt || offset+int64(n) > r.windowAt+int64(len(r.window)) {
		if err := r.fill(offset, max(n, int(min(readAhead, r.limit-offset)))); err != nil {
			return nil, err
		}
	}
	window := r.window[offset-r.windowAt:]
	return window[:min(n, len(window))], nil
}

// fill moves the window.
func (r *segmentReader) fill(offset int64, n int) error {
	if cap(r.window) < n {
		r.window = make([]byte, n)
	}
	read, err := r.file.ReadAt(r.window[:n], offset)
	r.window, r.windowAt = r.window[:read], offset
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read %s at byte %d: %w", r.name, offset, err)
	}
	return nil
}

// next reads the item at the offset and moves behind it. It is errBad if there
// is none: the offset stays. The payload is valid until the next call.
func (r *segmentReader) next() (item, host.Frame, error) {
	header, err := r.bytes(r.offset, itemHeaderBytes)
	if err != nil {
		return item{}, host.Frame{}, err
	}
	i, err := decodeItem(header, r.salt)
	if err != nil {
		return item{}, host.Frame{}, err
	}
	switch i.kind {
	case itemSeal:
		return i, host.Frame{}, r.passSeal(i)
	case itemNext:
		return i, host.Frame{}, fmt.Errorf("%w: the log goes on in the segment after this one, and its file is missing: restore it from a backup", host.ErrCorrupt)
	}
	if (i.number != r.number+1 || i.hash != r.hash) && r.mutant != mutantAcceptStale {
		return i, host.Frame{}, fmt.Errorf("%w: frame %d is not the one after frame %d", errBad, i.number, r.number)
	}
	b, err := r.bytes(r.offset, itemHeaderBytes+int(i.length))
	if err != nil {
		return i, host.Frame{}, err
	}
	if len(b) < itemHeaderBytes+int(i.length) {
		return i, host.Frame{}, fmt.Errorf("%w: the file ends within frame %d", errBad, i.number)
	}
	payload := b[itemHeaderBytes:]
	if crc32.Update(r.salt, castagnoli, payload) != i.checksum && r.mutant != mutantAcceptTorn {
		return i, host.Frame{}, fmt.Errorf("%w: the checksum of frame %d does not match", errBad, i.number)
	}
	f := i.frame(payload)
	r.offset += itemHeaderBytes + int64(i.length)
	r.number, r.hash, r.sealed = f.Number, f.Hash(), false
	r.epoch = max(r.epoch, i.epoch)
	return i, f, nil
}

// passSeal checks a seal against the frame that it seals.
func (r *segmentReader) passSeal(i item) error {
	if i.number != r.number || i.hash != r.hash {
		return fmt.Errorf("%w: a seal of frame %d follows frame %d", errBad, i.number, r.number)
	}
	r.offset += itemHeaderBytes
	r.sealed = true
	r.epoch = max(r.epoch, i.epoch)
	return nil
}

// successor looks behind bad bytes for a header of this use of the segment that
// was written after them: then they had been durable once, and are damage.
// Headers are searched at every byte, because a damaged length hides where the
// next one is.
func (r *segmentReader) successor() (offset int64, found bool, err error) {
	for at := r.offset + 1; at+itemHeaderBytes <= r.limit; {
		b, err := r.bytes(at, readAhead)
		if err != nil {
			return 0, false, err
		}
		if len(b) < itemHeaderBytes {
			return 0, false, nil
		}
		if i := r.successorIn(b); i >= 0 {
			return at + int64(i), true, nil
		}
		at += int64(len(b) - itemHeaderBytes + 1)
	}
	return 0, false, nil
}

// successorIn gives the index of such a header in b, or -1.
func (r *segmentReader) successorIn(b []byte) int {
	for from := 0; ; {
		i := bytes.Index(b[from:], []byte(itemPrefix))
		if i < 0 || from+i+itemHeaderBytes > len(b) {
			return -1
		}
		from += i
		found, err := decodeItem(b[from:], r.salt)
		if err == nil && found.number > r.number || errors.Is(err, host.ErrIncompatible) {
			return from
		}
		from++
	}
}

// torn says whether the bytes at the offset begin as the next frame would. What
// an earlier use of the file left there has a smaller number. It is for telling
// people: whether the bytes are valid does not depend on it.
func (r *segmentReader) torn() (bool, error) {
	b, err := r.bytes(r.offset, itemHeaderBytes)
	if err != nil || len(b) < itemNumberEnd || string(b[:len(itemPrefix)]) != itemPrefix {
		return false, err
	}
	return msg.FrameNumber(binary.BigEndian.Uint64(b[itemNumberEnd-8:])) == r.number+1, nil
}

// drawSalt draws the salt for a use of a file.
func drawSalt(config *Config) (uint64, error) {
	var b [8]byte
	if config.mutant == mutantAcceptStale {
		return 0, nil
	}
	if _, err := io.ReadFull(config.Random, b[:]); err != nil {
		return 0, fmt.Errorf("draw a random salt: %w", err)
	}
	return binary.BigEndian.Uint64(b[:]), nil
}

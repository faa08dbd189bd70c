package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// The bytes of the log. docs/rfc/0001-log-format.md is the specification.
// Integers are big-endian.
const (
	formatVersion = 1
	// readerVersion is the oldest reader that understands what is written.
	readerVersion = 1
	// logGroup is the only one of this host.
	logGroup = 0

	// pageBytes is what a disk writes whole. A segment header has the first
	// page of its file for itself, so that no write of a frame touches it.
	pageBytes = 4096
	// segmentHeaderBytes of that page are in use.
	segmentHeaderBytes = 128
	// itemHeaderBytes is the size of the header of a frame, and of a seal.
	itemHeaderBytes = 72
	// itemNumberEnd is where its frame number ends.
	itemNumberEnd = 32
)

// Magic bytes. All items share a prefix, which is what the search for a
// successor looks for.
const (
	segmentMagic = "\x8aHFlogH\n"
	frameMagic   = "\x8aHFlogF\n"
	sealMagic    = "\x8aHFlogS\n"
	nextMagic    = "\x8aHFlogN\n"
	itemPrefix   = "\x8aHFlog"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errBad says that bytes are not what this package writes. The text says why.
var errBad = errors.New("not valid")

// segmentHeader is the first page of a segment.
type segmentHeader struct {
	number      uint64          // of the segment, dense, from 1
	salt        uint64          // drawn for this use of the file
	epoch       msg.Epoch       // the newest when the segment was begun
	first       msg.FrameNumber // the next frame's number when it was begun
	previous    host.FrameHash  // of frame first-1
	previousEnd int64           // where the segment before this one ended
	bytes       int64           // size of the file
	complete    int64           // up to here it was synced before it got its name
}

// encode gives the header's page.
func (h *segmentHeader) encode() []byte {
	b := make([]byte, pageBytes)
	copy(b, segmentMagic)
	binary.BigEndian.PutUint16(b[8:], formatVersion)
	binary.BigEndian.PutUint16(b[10:], readerVersion)
	binary.BigEndian.PutUint16(b[12:], logGroup)
	binary.BigEndian.PutUint64(b[16:], h.number)
	binary.BigEndian.PutUint64(b[24:], h.salt)
	binary.BigEndian.PutUint64(b[32:], uint64(h.epoch))
	binary.BigEndian.PutUint64(b[40:], uint64(h.first))
	copy(b[48:64], h.previous[:])
	binary.BigEndian.PutUint64(b[64:], uint64(h.previousEnd))
	binary.BigEndian.PutUint64(b[72:], uint64(h.bytes))
	binary.BigEndian.PutUint64(b[80:], uint64(h.complete))
	const sum = segmentHeaderBytes - 4
	binary.BigEndian.PutUint32(b[sum:], crc32.Checksum(b[:sum], castagnoli))
	return b
}

// decodeSegmentHeader is errBad, or host.ErrIncompatible if a newer version
// wrote it.
func decodeSegmentHeader(b []byte) (h segmentHeader, err error) {
	const sum = segmentHeaderBytes - 4
	switch {
	case len(b) < segmentHeaderBytes:
		return h, fmt.Errorf("%w: the segment header is cut short at %d bytes", errBad, len(b))
	case string(b[:8]) != segmentMagic:
		return h, fmt.Errorf("%w: no segment header", errBad)
	case crc32.Checksum(b[:sum], castagnoli) != binary.BigEndian.Uint32(b[sum:]):
		return h, fmt.Errorf("%w: the checksum of the segment header does not match", errBad)
	}
	if err := readable(b); err != nil {
		return h, err
	}
	h.number = binary.BigEndian.Uint64(b[16:])
	h.salt = binary.BigEndian.Uint64(b[24:])
	h.epoch = msg.Epoch(binary.BigEndian.Uint64(b[32:]))
	h.first = msg.FrameNumber(binary.BigEndian.Uint64(b[40:]))
	copy(h.previous[:], b[48:64])
	h.previousEnd = int64(binary.BigEndian.Uint64(b[64:]))
	h.bytes = int64(binary.BigEndian.Uint64(b[72:]))
	h.complete = int64(binary.BigEndian.Uint64(b[80:]))
	return h, nil
}

// readable checks the version words, which are where every header has them, and
// the group. The checksum was right: what is wrong here was written so.
func readable(b []byte) error {
	if reader := binary.BigEndian.Uint16(b[10:]); reader > formatVersion {
		return fmt.Errorf("%w: it needs a reader of log format %d, this program reads up to %d: use the newer version of holdfast that wrote it",
			host.ErrIncompatible, reader, formatVersion)
	}
	if group := binary.BigEndian.Uint16(b[12:]); group != logGroup {
		return fmt.Errorf("%w: it belongs to log group %d, this host has only group %d", host.ErrIncompatible, group, logGroup)
	}
	return nil
}

// itemKind tells what stands in a segment.
type itemKind uint8

const (
	itemFrame itemKind = iota + 1
	itemSeal
	itemNext // the segment after this one is durable
)

// itemMagic gives the first bytes of each kind.
var itemMagic = [...]string{itemFrame: frameMagic, itemSeal: sealMagic, itemNext: nextMagic}

// kindOf tells the kind from the first bytes; 0 for none.
func kindOf(b []byte) itemKind {
	switch string(b[:len(frameMagic)]) {
	case frameMagic:
		return itemFrame
	case sealMagic:
		return itemSeal
	case nextMagic:
		return itemNext
	}
	return 0
}

// item is the decoded header of a frame, or all of another item.
type item struct {
	kind     itemKind
	epoch    msg.Epoch
	number   msg.FrameNumber
	first    msg.Position
	count    uint32
	length   uint32
	hash     host.FrameHash // frame: of the one before; else of the one it follows
	checksum uint32         // of the payload
}

// saltSum starts every checksum of a segment: bytes of another use of the same
// file do not check.
func saltSum(salt uint64) uint32 {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], salt)
	return crc32.Checksum(b[:], castagnoli)
}

// appendFrameHeader appends the header of f for a segment with the salt sum.
func appendFrameHeader(b []byte, f *host.Frame, salt uint32) []byte {
	return item{
		kind: itemFrame, epoch: f.Epoch, number: f.Number, first: f.First, count: f.Count,
		length: uint32(len(f.Payload)), hash: f.Previous,
		checksum: crc32.Update(salt, castagnoli, f.Payload),
	}.append(b, salt)
}

// append appends the header's bytes.
func (i item) append(b []byte, salt uint32) []byte {
	start := len(b)
	b = append(b, itemMagic[i.kind]...)
	b = binary.BigEndian.AppendUint16(b, formatVersion)
	b = binary.BigEndian.AppendUint16(b, readerVersion)
	b = binary.BigEndian.AppendUint16(b, logGroup)
	b = binary.BigEndian.AppendUint16(b, 0)
	b = binary.BigEndian.AppendUint64(b, uint64(i.epoch))
	b = binary.BigEndian.AppendUint64(b, uint64(i.number))
	b = binary.BigEndian.AppendUint64(b, uint64(i.first))
	b = binary.BigEndian.AppendUint32(b, i.count)
	b = binary.BigEndian.AppendUint32(b, i.length)
	b = append(b, i.hash[:]...)
	b = binary.BigEndian.AppendUint32(b, i.checksum)
	return binary.BigEndian.AppendUint32(b, crc32.Update(salt, castagnoli, b[start:]))
}

// decodeItem reads the header of a frame or a seal.
func decodeItem(b []byte, salt uint32) (i item, err error) {
	if len(b) < itemHeaderBytes {
		return i, fmt.Errorf("%w: the file ends within a frame header", errBad)
	}
	if i.kind = kindOf(b); i.kind == 0 {
		return i, fmt.Errorf("%w: no frame header", errBad)
	}
	const sum = itemHeaderBytes - 4
	if crc32.Update(salt, castagnoli, b[:sum]) != binary.BigEndian.Uint32(b[sum:]) {
		return i, fmt.Errorf("%w: the checksum of the frame header does not match", errBad)
	}
	if err := readable(b); err != nil {
		return i, err
	}
	i.epoch = msg.Epoch(binary.BigEndian.Uint64(b[16:]))
	i.number = msg.FrameNumber(binary.BigEndian.Uint64(b[24:]))
	i.first = msg.Position(binary.BigEndian.Uint64(b[32:]))
	i.count = binary.BigEndian.Uint32(b[40:])
	i.length = binary.BigEndian.Uint32(b[44:])
	copy(i.hash[:], b[48:64])
	i.checksum = binary.BigEndian.Uint32(b[64:])
	return i, nil
}

// frame joins a header and its payload.
func (i item) frame(payload []byte) host.Frame {
	return host.Frame{
		Group: logGroup, Epoch: i.epoch, Number: i.number, First: i.first,
		Count: i.count, Previous: i.hash, Payload: payload,
	}
}

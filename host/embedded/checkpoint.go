package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/invariant"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// The bytes of a checkpoint file: a header, slices, an end. Each checksum is
// seeded with the one before it, so that a slice that is missing, repeated or
// of another file does not check. docs/rfc/0001-log-format.md has the layout.
const (
	checkpointMagic       = "\x8aHFckpt\n"
	checkpointHeaderBytes = 32
	sliceHeaderBytes      = 8
	checkpointEndBytes    = sliceHeaderBytes + 16
	// sliceEnd stands where the length of a slice would be.
	sliceEnd = 0xffffffff
	// sliceBytesMax bounds what is read at once.
	sliceBytesMax = 1 << 30
)

// checkpointHeader gives the first bytes of a checkpoint file.
func checkpointHeader(p msg.Partition, sequence uint64) []byte {
	b := make([]byte, 0, checkpointHeaderBytes)
	b = append(b, checkpointMagic...)
	b = binary.BigEndian.AppendUint16(b, formatVersion)
	b = binary.BigEndian.AppendUint16(b, readerVersion)
	b = binary.BigEndian.AppendUint16(b, logGroup)
	b = binary.BigEndian.AppendUint16(b, uint16(p))
	b = binary.BigEndian.AppendUint64(b, sequence)
	b = append(b, 0, 0, 0, 0)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// checkpointFile is what the manifest knows of a checkpoint besides what its
// owner does.
type checkpointFile struct {
	sequence uint64
	slices   uint64
	checksum uint32 // the last in the file
}

// sliceSum is the checksum of a slice that follows one with the sum before.
func sliceSum(before uint32, slice []byte) uint32 {
	var length [4]byte
	binary.BigEndian.PutUint32(length[:], uint32(len(slice)))
	return crc32.Update(crc32.Update(before, castagnoli, length[:]), castagnoli, slice)
}

// checkpointEnd gives the last bytes of a checkpoint file.
func checkpointEnd(before uint32, slices uint64, bytes int64) (end []byte, sum uint32) {
	b := binary.BigEndian.AppendUint32(nil, sliceEnd)
	b = append(b, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint64(b, slices)
	b = binary.BigEndian.AppendUint64(b, uint64(bytes))
	sum = crc32.Update(before, castagnoli, b[sliceHeaderBytes:])
	binary.BigEndian.PutUint32(b[4:], sum)
	return b, sum
}

// checkpointReader reads the slices of a file.
type checkpointReader struct {
	file   File
	name   string
	size   int64
	offset int64
	sum    uint32
	slices uint64
	bytes  int64
	buffer []byte
}

// openCheckpoint reads and checks the header.
func openCheckpoint(files FS, name string, p msg.Partition, sequence uint64) (*checkpointReader, error) {
	f, err := files.OpenFile(name, os.O_RDONLY)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w: the manifest names the file, and it is missing: restore it from a backup", name, host.ErrCorrupt)
	}
	if err != nil {
		return nil, err
	}
	r := &checkpointReader{file: f, name: name, offset: checkpointHeaderBytes}
	if r.size, err = f.Size(); err == nil {
		err = r.header(p, sequence)
	}
	if err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// header compares the header with what it must be.
func (r *checkpointReader) header(p msg.Partition, sequence uint64) error {
	b, err := r.read(0, checkpointHeaderBytes)
	if err != nil {
		return err
	}
	want := checkpointHeader(p, sequence)
	if string(b) == string(want) {
		r.sum = firstSum(b)
		return nil
	}
	if string(b[:8]) == checkpointMagic && crc32.Checksum(b[:checkpointHeaderBytes-4], castagnoli) == binary.BigEndian.Uint32(b[checkpointHeaderBytes-4:]) {
		if err := readable(b); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
	}
	return corrupt(r.name, 0, "the header is not that of checkpoint %d of partition %d", sequence, p)
}

func (r *checkpointReader) close() { _ = r.file.Close() }

// read gives n bytes, valid until the next call.
func (r *checkpointReader) read(at int64, n int) ([]byte, error) {
	if at+int64(n) > r.size {
		return nil, corrupt(r.name, r.size, "the file ends here, %d bytes are missing", at+int64(n)-r.size)
	}
	if cap(r.buffer) < n {
		r.buffer = make([]byte, n)
	}
	read, err := r.file.ReadAt(r.buffer[:n], at)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if read < n {
		return nil, corrupt(r.name, at+int64(read), "the file ends here, %d bytes are missing", n-read)
	}
	return r.buffer[:n], nil
}

// next gives the next slice, or io.EOF behind the last one.
func (r *checkpointReader) next(want checkpointFile) ([]byte, error) {
	head, err := r.read(r.offset, sliceHeaderBytes)
	if err != nil {
		return nil, err
	}
	length, sum := binary.BigEndian.Uint32(head), binary.BigEndian.Uint32(head[4:])
	if length == sliceEnd {
		return nil, r.end(want)
	}
	if length > sliceBytesMax {
		return nil, corrupt(r.name, r.offset, "slice %d has a length of %d", r.slices, length)
	}
	slice, err := r.read(r.offset+sliceHeaderBytes, int(length))
	if err != nil {
		return nil, err
	}
	if sliceSum(r.sum, slice) != sum && !invariant.Mutated(invariant.SkipChecksum) {
		return nil, corrupt(r.name, r.offset, "the checksum of slice %d does not match", r.slices)
	}
	r.sum = sum
	r.slices++
	r.bytes += int64(length)
	r.offset += sliceHeaderBytes + int64(length)
	return slice, nil
}

// end compares what was read with the end of the file and with the manifest.
func (r *checkpointReader) end(want checkpointFile) error {
	end, sum := checkpointEnd(r.sum, r.slices, r.bytes)
	b, err := r.read(r.offset, checkpointEndBytes)
	if err != nil {
		return err
	}
	if string(b) != string(end) || r.slices != want.slices || sum != want.checksum || r.offset+checkpointEndBytes != r.size {
		return corrupt(r.name, r.offset, "the file does not end as the manifest says: %d slices with checksum %08x", want.slices, want.checksum)
	}
	return io.EOF
}

// appendSliceHeader appends what stands before a slice.
func appendSliceHeader(b []byte, length int, sum uint32) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(length))
	return binary.BigEndian.AppendUint32(b, sum)
}

// firstSum is what the checksum of the first slice is seeded with.
func firstSum(header []byte) uint32 {
	return binary.BigEndian.Uint32(header[checkpointHeaderBytes-4:])
}

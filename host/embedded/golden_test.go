package embedded

// Goal: what is on disks stays readable. The golden files are the bytes of
// format 1 as docs/rfc/0001-log-format.md describes them; they are added to and
// never edited. -update writes files that do not exist yet.

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/msg"
)

var update = flag.Bool("update", false, "write golden files that do not exist")

// golden compares bytes with a file in testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	want, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) && *update {
		want, err = got, os.WriteFile(path, got, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s", path, got, want)
	}
}

// dumped gives bytes as hexadecimal text.
func dumped(b []byte) []byte { return []byte(hex.Dump(b)) }

// goldenHeader is a segment header in which no two fields are alike.
func goldenHeader() segmentHeader {
	return segmentHeader{
		number: 0x0102030405060708, salt: 0x1112131415161718, epoch: 0x2122232425262728, first: 0x3132333435363738,
		previous: host.FrameHash{0x41, 0x42, 15: 0x4f}, previousEnd: 0x5152535455565758, bytes: 0x6162636465666768, complete: 0x7172737475767778,
	}
}

// goldenFrame is a frame in which no two fields are alike.
func goldenFrame() host.Frame {
	return host.Frame{
		Epoch: 0x2122232425262728, Number: 0x3132333435363738, First: 0x8182838485868788, Count: 0x91929394,
		Previous: host.FrameHash{0x41, 0x42, 15: 0x4f}, Payload: []byte("holdfast"),
	}
}

func TestGoldenSegment(t *testing.T) {
	header, f := goldenHeader(), goldenFrame()
	page := header.encode()
	if got := bytes.TrimRight(page[segmentHeaderBytes:], "\x00"); len(got) > 0 || len(page) != pageBytes {
		t.Errorf("the header's page has %d bytes, and %x behind the header", len(page), got)
	}
	b := page[:segmentHeaderBytes:segmentHeaderBytes]
	salt := saltSum(header.salt)
	b = append(appendFrameHeader(b, &f, salt), f.Payload...)
	hash := f.Hash()
	b = item{kind: itemSeal, epoch: f.Epoch, number: f.Number, hash: hash}.append(b, salt)
	b = item{kind: itemNext, epoch: f.Epoch, number: f.Number, hash: hash}.append(b, salt)
	golden(t, "segment-1.hex", dumped(b))
}

func TestGoldenSegmentIsRead(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "segment-1.hex"))
	if err != nil {
		t.Fatal(err)
	}
	b := undumped(t, text)
	header, err := decodeSegmentHeader(b)
	if err != nil || header != goldenHeader() {
		t.Errorf("header: got %+v, %v", header, err)
	}
	salt, want := saltSum(header.salt), goldenFrame()
	b = b[segmentHeaderBytes:]
	i, err := decodeItem(b, salt)
	if f := i.frame(b[itemHeaderBytes : itemHeaderBytes+8]); err != nil || i.kind != itemFrame || f.Hash() != want.Hash() {
		t.Errorf("frame: got %+v, %v, want %+v", f, err, want)
	}
	for _, kind := range []itemKind{itemSeal, itemNext} {
		b = b[itemHeaderBytes+int(i.length):]
		if i, err = decodeItem(b, salt); err != nil || i.kind != kind || i.number != want.Number || i.hash != want.Hash() {
			t.Errorf("item: got %+v, %v, want kind %d", i, err, kind)
		}
	}
	if _, err := decodeItem(b, salt+1); !errors.Is(err, errBad) {
		t.Errorf("with the salt of another use: got %v, want errBad", err)
	}
}

// undumped reads what hex.Dump wrote.
func undumped(t *testing.T, text []byte) (b []byte) {
	t.Helper()
	for line := range bytes.Lines(text) {
		columns := line[10:58]
		for _, field := range bytes.Fields(columns) {
			one, err := hex.DecodeString(string(field))
			if err != nil {
				t.Fatal(err)
			}
			b = append(b, one...)
		}
	}
	return b
}

func TestGoldenCheckpoint(t *testing.T) {
	b := checkpointHeader(0x0102, 0x1112131415161718)
	sum := firstSum(b)
	for _, slice := range []string{"slice", ""} {
		sum = sliceSum(sum, []byte(slice))
		b = append(appendSliceHeader(b, len(slice), sum), slice...)
	}
	end, _ := checkpointEnd(sum, 2, 5)
	golden(t, "checkpoint-1.hex", dumped(append(b, end...)))
}

func TestGoldenText(t *testing.T) {
	golden(t, "FORMAT-1.txt", formatText(host.Identity{Partitions: 64}))
	m := manifest{}
	for _, p := range []msg.Partition{3, 1} {
		m[p] = published{
			host.Checkpoint{Partition: p, Start: 10, End: 12, Frame: 4, Bytes: 1 << 40},
			checkpointFile{sequence: 7, slices: 9, checksum: 0xabcdef},
		}
	}
	text := m.encode()
	golden(t, "MANIFEST-1.txt", text)
	decoded, err := decodeManifest("MANIFEST", text)
	if err != nil || len(decoded) != 2 || decoded[1] != m[1] || decoded[3] != m[3] {
		t.Errorf("got %+v, %v, want %+v", decoded, err, m)
	}
}

func TestNewerFormatsAreRefusedWithWords(t *testing.T) {
	header := goldenHeader()
	page := header.encode()
	f := goldenFrame()
	salt := saltSum(1)
	frame := appendFrameHeader(nil, &f, salt)
	for name, decode := range map[string]func() error{
		"segment": func() error { _, err := decodeSegmentHeader(resum(page, segmentHeaderBytes, 0)); return err },
		"frame":   func() error { _, err := decodeItem(resum(frame, itemHeaderBytes, salt), salt); return err },
	} {
		if err := decode(); !errors.Is(err, host.ErrIncompatible) {
			t.Errorf("%s: got %v, want ErrIncompatible", name, err)
		}
	}
}

// resum makes a header ask for a newer reader, with a checksum that is right.
func resum(b []byte, bytes int, salt uint32) []byte {
	b[11] = formatVersion + 1
	sum := crc32.Update(salt, castagnoli, b[:bytes-4])
	b[bytes-4], b[bytes-3], b[bytes-2], b[bytes-1] = byte(sum>>24), byte(sum>>16), byte(sum>>8), byte(sum)
	return b
}

func FuzzDecode(f *testing.F) {
	header, frame := goldenHeader(), goldenFrame()
	f.Add(header.encode(), uint64(1))
	f.Add(appendFrameHeader(nil, &frame, saltSum(7)), uint64(7))
	f.Add(formatText(host.Identity{Partitions: 3}), uint64(0))
	f.Add(manifest{1: {}}.encode(), uint64(0))
	f.Fuzz(func(t *testing.T, b []byte, salt uint64) {
		if h, err := decodeSegmentHeader(b); err == nil && !bytes.Equal(h.encode()[:8], b[:8]) {
			t.Error("a header was read that is none")
		}
		if i, err := decodeItem(b, saltSum(salt)); err == nil && kindOf(b) != i.kind {
			t.Error("an item was read that is none")
		}
		_, _ = decodeManifest("MANIFEST", b)
		_, _ = decodeManifest("MANIFEST", sumLine(b))
		_, _ = cutSumLine(b)
	})
}

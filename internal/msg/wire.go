package msg

import (
	"encoding/binary"
	"math/bits"
)

// This file appends fields in protobuf wire format. Functions named …Field
// leave out a zero value; functions named …Element always write, because an
// element of a list counts even if it is empty. Fields are appended in the
// order of their numbers: that, minimal lengths and left-out zeros make equal
// nouns equal bytes.

// FieldNumber numbers a field of a stored message.
type FieldNumber uint32

// CriticalBelow divides the fields: a reader that does not know a field with a
// smaller number stops, and skips one from here on.
const CriticalBelow FieldNumber = 1000

const fieldNumberMax = 1<<29 - 1 // what protobuf allows

// The wire types of protobuf.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireFixed32 = 5
)

// AppendUvarintField appends an unsigned number; in the schema uint32, uint64
// or an enum.
func AppendUvarintField(b []byte, field FieldNumber, v uint64) []byte {
	if v == 0 {
		return b
	}
	return appendVarint(appendTag(b, field, wireVarint), v)
}

// AppendVarintField appends a signed number that is rarely negative; in the
// schema int64.
func AppendVarintField(b []byte, field FieldNumber, v int64) []byte {
	return AppendUvarintField(b, field, uint64(v))
}

// AppendBoolField appends a truth value; in the schema bool.
func AppendBoolField(b []byte, field FieldNumber, v bool) []byte {
	if !v {
		return b
	}
	return append(appendTag(b, field, wireVarint), 1)
}

// AppendTimeField appends a time; in the schema sfixed64, because nanoseconds
// since 1970 need nine bytes as a varint.
func AppendTimeField(b []byte, field FieldNumber, t Time) []byte {
	if t == 0 {
		return b
	}
	return binary.LittleEndian.AppendUint64(appendTag(b, field, wireFixed64), uint64(t))
}

// AppendFixed16Field appends an id or a fingerprint; in the schema bytes, of
// which there are always 16.
func AppendFixed16Field(b []byte, field FieldNumber, v [16]byte) []byte {
	if v == [16]byte{} {
		return b
	}
	return AppendFixed16Element(b, field, v)
}

// AppendFixed16Element appends one element of a list of ids.
func AppendFixed16Element(b []byte, field FieldNumber, v [16]byte) []byte {
	return append(append(appendTag(b, field, wireBytes), 16), v[:]...)
}

// AppendBytesField appends bytes; in the schema bytes.
func AppendBytesField(b []byte, field FieldNumber, v []byte) []byte {
	if len(v) == 0 {
		return b
	}
	return AppendBytesElement(b, field, v)
}

// AppendBytesElement appends one element of a list of bytes.
func AppendBytesElement(b []byte, field FieldNumber, v []byte) []byte {
	return append(appendVarint(appendTag(b, field, wireBytes), uint64(len(v))), v...)
}

// AppendStringField appends text; in the schema string if it is known to be
// UTF-8, else bytes.
func AppendStringField(b []byte, field FieldNumber, v string) []byte {
	if v == "" {
		return b
	}
	return AppendStringElement(b, field, v)
}

// AppendStringElement appends one element of a list of texts.
func AppendStringElement(b []byte, field FieldNumber, v string) []byte {
	return append(appendVarint(appendTag(b, field, wireBytes), uint64(len(v))), v...)
}

// AppendPackedField appends a list of numbers; in the schema repeated uint32 or
// uint64, packed.
func AppendPackedField[T ~uint16 | ~uint32 | ~uint64](b []byte, field FieldNumber, list []T) []byte {
	if len(list) == 0 {
		return b
	}
	b, mark := OpenMessage(b, field, 5*len(list))
	for _, v := range list {
		b = appendVarint(b, uint64(v))
	}
	return CloseMessage(b, mark)
}

// Mark remembers where a sub-message begins.
type Mark struct {
	start   int // of the tag
	content int // of the fields
	width   int // bytes that are reserved for the length
}

// OpenMessage begins a sub-message: what is appended until CloseMessage is its
// fields. The size is a guess of their bytes; a wrong one costs a copy of the
// sub-message, and nothing else.
func OpenMessage(b []byte, field FieldNumber, size int) ([]byte, Mark) {
	m := Mark{start: len(b), width: 1}
	b = append(appendTag(b, field, wireBytes), 0)
	for m.width < varintBytes(uint64(size)) {
		b = append(b, 0)
		m.width++
	}
	m.content = len(b)
	return b, m
}

// CloseMessage ends a sub-message, which is written even if it is empty.
func CloseMessage(b []byte, m Mark) []byte {
	size := len(b) - m.content
	width := varintBytes(uint64(size))
	if width != m.width {
		b = resizeLength(b, m, width)
	}
	binary.PutUvarint(b[m.content-m.width:], uint64(size))
	return b
}

// CloseMessageField ends a sub-message and takes it back if it is empty.
func CloseMessageField(b []byte, m Mark) []byte {
	if len(b) == m.content {
		return b[:m.start]
	}
	return CloseMessage(b, m)
}

// resizeLength moves the content of a sub-message to where it is if its length
// takes width bytes.
func resizeLength(b []byte, m Mark, width int) []byte {
	size := len(b) - m.content
	for range width - m.width {
		b = append(b, 0)
	}
	content := m.content - m.width + width
	copy(b[content:content+size], b[m.content:m.content+size])
	return b[:content+size]
}

func appendTag(b []byte, field FieldNumber, wire uint64) []byte {
	return appendVarint(b, uint64(field)<<3|wire)
}

func appendVarint(b []byte, v uint64) []byte {
	if v < 0x80 {
		return append(b, byte(v))
	}
	return binary.AppendUvarint(b, v)
}

func varintBytes(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }

// zigzag makes numbers near zero small, negative ones as well; in the schema
// sint64.
func zigzag(v int64) uint64 { return uint64(v)<<1 ^ uint64(v>>63) }

func unzigzag(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }

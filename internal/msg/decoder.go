package msg

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Errors of decoding. They are wrapped with the message, the field and what
// was found; match with errors.Is.
var (
	// ErrMalformed: the bytes are not what an encoder of this project writes.
	ErrMalformed = errors.New("malformed")
	// ErrUnknownField: a critical field, or the meaning of its value, is not
	// known to this version.
	ErrUnknownField = errors.New("unknown critical field")
)

const runNewer = "the data was written by a newer version; run that version, or one that is newer"

// Decoder walks the fields of a stored message:
//
//	d := NewDecoder("Thing", b)
//	for d.Next() {
//		switch d.Field() {
//		case 1:
//			thing.Count = d.Uvarint()
//		case 2:
//			thing.Name = d.Text()
//		default:
//			d.Unknown()
//		}
//	}
//	return d.Err()
//
// The first error ends the walk: values that were taken before are then not to
// be used. If a field that is not a list comes twice, the last one counts.
type Decoder struct {
	message string // for errors
	rest    []byte
	field   FieldNumber
	wire    uint8
	number  uint64 // value of a varint or a fixed field
	bytes   []byte // value of a bytes field
	err     error
}

// NewDecoder begins to walk b, which is not written to. The message's name is
// for errors.
func NewDecoder(message string, b []byte) Decoder { return Decoder{message: message, rest: b} }

// Next goes to the next field and reports whether there is one.
func (d *Decoder) Next() bool {
	if d.err != nil || len(d.rest) == 0 {
		return false
	}
	tag, ok := d.varint()
	if !ok {
		return false
	}
	if tag>>3 == 0 || tag>>3 > fieldNumberMax {
		d.malformed("field number %d is not between 1 and %d", tag>>3, fieldNumberMax)
		return false
	}
	d.field, d.wire = FieldNumber(tag>>3), uint8(tag&7)
	switch d.wire {
	case wireVarint:
		d.number, ok = d.varint()
		return ok
	case wireBytes:
		size, ok := d.varint()
		return ok && d.take(size)
	case wireFixed64:
		return d.take(8)
	case wireFixed32:
		return d.take(4)
	}
	d.malformed("wire type %d is not used", d.wire)
	return false
}

// Field is the number of the current field.
func (d *Decoder) Field() FieldNumber { return d.field }

// Err is the first error, or nil if the walk has come to the end.
func (d *Decoder) Err() error { return d.err }

// Fail ends the walk with an error about the current field, unless there is
// one already or err is nil.
func (d *Decoder) Fail(err error) {
	if err != nil && d.err == nil {
		d.err = fmt.Errorf("%s field %d: %w", d.message, d.field, err)
	}
}

// Unknown is for a field that the caller does not know: an error if it is
// critical, nothing if it may be skipped.
func (d *Decoder) Unknown() {
	if d.field < CriticalBelow {
		d.Fail(fmt.Errorf("%w: %s", ErrUnknownField, runNewer))
	}
}

// Uvarint is the current field as an unsigned number.
func (d *Decoder) Uvarint() uint64 {
	if d.wire != wireVarint {
		d.wrongWire(wireVarint)
		return 0
	}
	return d.number
}

// Varint is the current field as a signed number.
func (d *Decoder) Varint() int64 { return int64(d.Uvarint()) }

// Uint32 is the current field as a number of 32 bits.
func (d *Decoder) Uint32() uint32 { return uint32(d.narrow(32)) }

// Uint16 is the current field as a number of 16 bits.
func (d *Decoder) Uint16() uint16 { return uint16(d.narrow(16)) }

// Uint8 is the current field as a number of 8 bits.
func (d *Decoder) Uint8() uint8 { return uint8(d.narrow(8)) }

// Enum is the current field as a number of which this version knows those up to
// last. A larger one has a meaning that a fold must not miss: it is an error
// like an unknown critical field.
func (d *Decoder) Enum(last uint8) uint8 {
	v := d.narrow(8)
	if v > uint64(last) {
		d.Fail(fmt.Errorf("%w: value %d, this version knows up to %d; %s", ErrUnknownField, v, last, runNewer))
		return 0
	}
	return uint8(v)
}

// Bool is the current field as a truth value.
func (d *Decoder) Bool() bool { return d.narrow(1) == 1 }

// Time is the current field as a time.
func (d *Decoder) Time() Time {
	if d.wire != wireFixed64 {
		d.wrongWire(wireFixed64)
		return 0
	}
	return Time(binary.LittleEndian.Uint64(d.bytes))
}

// View is the current field as bytes of the input: not a copy.
func (d *Decoder) View() []byte {
	if d.wire != wireBytes {
		d.wrongWire(wireBytes)
		return nil
	}
	return d.bytes
}

// Bytes is a copy of the current field's bytes; nil if there are none.
func (d *Decoder) Bytes() []byte {
	view := d.View()
	if len(view) == 0 {
		return nil
	}
	return append(make([]byte, 0, len(view)), view...)
}

// Text is a copy of the current field's bytes as text. Whether it is UTF-8 is
// not checked.
func (d *Decoder) Text() string { return string(d.View()) }

// Fixed16 is the current field as an id or a fingerprint.
func (d *Decoder) Fixed16() (v [16]byte) {
	view := d.View()
	if d.err == nil && len(view) != len(v) {
		d.malformed("%d bytes, want %d", len(view), len(v))
		return v
	}
	copy(v[:], view)
	return v
}

// Sub begins to walk the current field as a sub-message. The caller hands the
// sub-walk's Err to Fail when it is done.
func (d *Decoder) Sub(message string) Decoder { return NewDecoder(message, d.View()) }

// DecodePacked appends the current field, a list of numbers, to list. A part of
// the list may come as a single number.
func DecodePacked[T ~uint16 | ~uint32 | ~uint64](d *Decoder, list []T) []T {
	if d.wire == wireVarint {
		return appendNarrow(d, list, d.number)
	}
	s := d.Sub("list")
	if count := countVarints(s.rest); list == nil && count > 0 {
		list = make([]T, 0, count)
	}
	for len(s.rest) > 0 && s.err == nil {
		if v, ok := s.varint(); ok {
			list = appendNarrow(d, list, v)
		}
	}
	d.Fail(s.err)
	return list
}

func appendNarrow[T ~uint16 | ~uint32 | ~uint64](d *Decoder, list []T, v uint64) []T {
	if uint64(T(v)) != v {
		d.malformed("%d is too large", v)
		return list
	}
	return append(list, T(v))
}

// countVarints counts the numbers in b: every one has one byte, its last,
// without the continuation bit.
func countVarints(b []byte) (count int) {
	for _, c := range b {
		if c < 0x80 {
			count++
		}
	}
	return count
}

func (d *Decoder) narrow(bits int) uint64 {
	v := d.Uvarint()
	if v>>bits != 0 {
		d.malformed("%d does not fit into %d bits", v, bits)
		return 0
	}
	return v
}

// varint takes a number off the rest.
func (d *Decoder) varint() (uint64, bool) {
	if len(d.rest) > 0 && d.rest[0] < 0x80 {
		v := d.rest[0]
		d.rest = d.rest[1:]
		return uint64(v), true
	}
	v, n := binary.Uvarint(d.rest)
	if n <= 0 {
		d.badVarint(n)
		return 0, false
	}
	d.rest = d.rest[n:]
	return v, true
}

// take makes the next size bytes of the rest the current value.
func (d *Decoder) take(size uint64) bool {
	if size > uint64(len(d.rest)) {
		d.malformed("%d bytes are announced, %d are left", size, len(d.rest))
		return false
	}
	d.bytes, d.rest = d.rest[:size:size], d.rest[size:]
	return true
}

func (d *Decoder) badVarint(n int) {
	if n == 0 {
		d.malformed("the bytes end within a number")
		return
	}
	d.malformed("a number has more than 64 bits")
}

func (d *Decoder) wrongWire(want uint8) {
	d.malformed("wire type %d, want %d", d.wire, want)
}

func (d *Decoder) malformed(format string, args ...any) {
	d.Fail(fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...))
}

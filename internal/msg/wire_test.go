package msg

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// These tests hold the append helpers and the Decoder to the wire format of
// protobuf, as package protowire of google.golang.org/protobuf writes it, and
// to the rules of this project for unknown fields and damaged bytes.

func TestHelpersWriteWhatProtowireWrites(t *testing.T) {
	id := [16]byte{1, 2, 3}
	for _, v := range []uint64{1, 127, 128, 300, 1 << 32, math.MaxUint64} {
		for _, field := range []FieldNumber{1, 15, 16, 999, 1000, 2048} {
			number := protowire.Number(field)
			tag := func(wire protowire.Type) []byte { return protowire.AppendTag(nil, number, wire) }
			for name, pair := range map[string][2][]byte{
				"uvarint": {AppendUvarintField(nil, field, v), protowire.AppendVarint(tag(protowire.VarintType), v)},
				"varint":  {AppendVarintField(nil, field, -int64(v>>1)-1), protowire.AppendVarint(tag(protowire.VarintType), uint64(-int64(v>>1)-1))},
				"bool":    {AppendBoolField(nil, field, true), protowire.AppendVarint(tag(protowire.VarintType), 1)},
				"time":    {AppendTimeField(nil, field, Time(v)), protowire.AppendFixed64(tag(protowire.Fixed64Type), v)},
				"fixed16": {AppendFixed16Field(nil, field, id), protowire.AppendBytes(tag(protowire.BytesType), id[:])},
				"bytes":   {AppendBytesField(nil, field, id[:3]), protowire.AppendBytes(tag(protowire.BytesType), id[:3])},
				"string":  {AppendStringField(nil, field, "höhe"), protowire.AppendString(tag(protowire.BytesType), "höhe")},
			} {
				if !bytes.Equal(pair[0], pair[1]) {
					t.Errorf("%s field %d value %d: got %x, want %x", name, field, v, pair[0], pair[1])
				}
			}
		}
		if got, want := zigzag(int64(v)), protowire.EncodeZigZag(int64(v)); got != want || unzigzag(got) != int64(v) {
			t.Errorf("zigzag(%d): got %d, want %d", int64(v), got, want)
		}
		if got, want := varintBytes(v), protowire.SizeVarint(v); got != want {
			t.Errorf("varintBytes(%d): got %d, want %d", v, got, want)
		}
	}
}

func TestZeroValuesAreLeftOut(t *testing.T) {
	b := AppendUvarintField(nil, 1, 0)
	b = AppendVarintField(b, 1, 0)
	b = AppendBoolField(b, 1, false)
	b = AppendTimeField(b, 1, 0)
	b = AppendFixed16Field(b, 1, [16]byte{})
	b = AppendBytesField(b, 1, []byte{})
	b = AppendStringField(b, 1, "")
	b = AppendPackedField(b, 1, []Index{})
	b, mark := OpenMessage(b, 1, 1000)
	b = CloseMessageField(b, mark)
	if len(b) != 0 {
		t.Errorf("got %x, want nothing", b)
	}
}

func TestElementsAreWrittenEvenIfEmpty(t *testing.T) {
	b := AppendStringElement(nil, 1, "")
	b = AppendBytesElement(b, 2, nil)
	b, mark := OpenMessage(b, 3, 0)
	b = CloseMessage(b, mark)
	if want := []byte{1<<3 | 2, 0, 2<<3 | 2, 0, 3<<3 | 2, 0}; !bytes.Equal(b, want) {
		t.Errorf("got %x, want %x", b, want)
	}
}

func TestWrongGuessOfSizeGivesTheSameBytes(t *testing.T) {
	for _, size := range []int{0, 1, 126, 127, 128, 129, 16383, 16384, 1 << 21} {
		want := protowire.AppendBytes([]byte{9, 7<<3 | 2}, bytes.Repeat([]byte{5}, size))
		for _, guess := range []int{0, 127, 128, 16384, size, 1 << 30} {
			b, mark := OpenMessage([]byte{9}, 7, guess)
			b = append(b, bytes.Repeat([]byte{5}, size)...)
			if b = CloseMessage(b, mark); !bytes.Equal(b, want) {
				t.Errorf("size %d, guess %d: bytes differ", size, guess)
			}
		}
	}
}

func TestDecoderReadsWhatWasAppended(t *testing.T) {
	b := AppendUvarintField(nil, 1, math.MaxUint64)
	b = AppendVarintField(b, 2, -5)
	b = AppendTimeField(b, 3, -9)
	b = AppendFixed16Field(b, 4, [16]byte{15: 8})
	b = AppendStringField(b, 5, "text")
	b = AppendPackedField(b, 6, []uint16{1, 65535})
	b = AppendUvarintField(b, 6, 7) // a list may come in parts
	b = AppendUvarintField(b, 1000, 1)
	b = AppendBoolField(b, 7, true)

	d := NewDecoder("Thing", b)
	var list []uint16
	for d.Next() {
		ok := true
		switch d.Field() {
		case 1:
			ok = d.Uvarint() == math.MaxUint64
		case 2:
			ok = d.Varint() == -5
		case 3:
			ok = d.Time() == -9
		case 4:
			ok = d.Fixed16() == [16]byte{15: 8}
		case 5:
			ok = d.Text() == "text" && string(d.View()) == "text" && string(d.Bytes()) == "text"
		case 6:
			list = DecodePacked(&d, list)
		case 7:
			ok = d.Bool()
		default:
			d.Unknown()
		}
		if !ok {
			t.Errorf("field %d has another value", d.Field())
		}
	}
	if d.Err() != nil || !slices.Equal(list, []uint16{1, 65535, 7}) {
		t.Errorf("got list %v, error %v", list, d.Err())
	}
}

func TestDecoderSaysWhatIsWrong(t *testing.T) {
	uvarint := AppendUvarintField(nil, 3, 1<<40)
	for name, c := range map[string]struct {
		bytes []byte
		take  func(*Decoder)
		want  string
		is    error
	}{
		"unknown critical field":  {AppendBoolField(nil, 999, true), (*Decoder).Unknown, "Thing field 999: unknown critical field", ErrUnknownField},
		"end within a tag":        {[]byte{0x80}, nil, "the bytes end within a number", ErrMalformed},
		"end within a number":     {uvarint[:3], nil, "Thing field 3: malformed: the bytes end within a number", ErrMalformed},
		"end within bytes":        {[]byte{3<<3 | 2, 5, 1, 2}, nil, "5 bytes are announced, 2 are left", ErrMalformed},
		"end within fixed":        {[]byte{3<<3 | 1, 5, 1, 2}, nil, "8 bytes are announced, 3 are left", ErrMalformed},
		"huge length":             {protowire.AppendVarint([]byte{3<<3 | 2}, math.MaxUint64), nil, "are announced, 0 are left", ErrMalformed},
		"number too long":         {append([]byte{3 << 3}, bytes.Repeat([]byte{0xff}, 11)...), nil, "more than 64 bits", ErrMalformed},
		"field number 0":          {[]byte{0, 0}, nil, "field number 0 is not between", ErrMalformed},
		"field number too large":  {protowire.AppendVarint(nil, 1<<32), nil, "field number 536870912 is not", ErrMalformed},
		"group":                   {[]byte{3<<3 | 3}, nil, "wire type 3 is not used", ErrMalformed},
		"number for bytes":        {uvarint, func(d *Decoder) { d.Bytes() }, "wire type 0, want 2", ErrMalformed},
		"number for time":         {uvarint, func(d *Decoder) { d.Time() }, "wire type 0, want 1", ErrMalformed},
		"bytes for number":        {AppendStringField(nil, 3, "x"), func(d *Decoder) { d.Uvarint() }, "wire type 2, want 0", ErrMalformed},
		"too large for 32":        {uvarint, func(d *Decoder) { d.Uint32() }, "1099511627776 does not fit into 32 bits", ErrMalformed},
		"too large for 16":        {uvarint, func(d *Decoder) { d.Uint16() }, "does not fit into 16 bits", ErrMalformed},
		"too large for 8":         {uvarint, func(d *Decoder) { d.Uint8() }, "does not fit into 8 bits", ErrMalformed},
		"value that is not known": {AppendUvarintField(nil, 3, 8), func(d *Decoder) { d.Enum(7) }, "Thing field 3: unknown critical field: value 8, this version knows up to 7", ErrUnknownField},
		"too large for bool":      {uvarint, func(d *Decoder) { d.Bool() }, "does not fit into 1 bits", ErrMalformed},
		"id too short":            {AppendStringField(nil, 3, "x"), func(d *Decoder) { d.Fixed16() }, "1 bytes, want 16", ErrMalformed},
		"element too large":       {AppendPackedField(nil, 3, []uint32{70000}), func(d *Decoder) { DecodePacked[uint16](d, nil) }, "70000 is too large", ErrMalformed},
		"end within a list":       {[]byte{3<<3 | 2, 1, 0x80}, func(d *Decoder) { DecodePacked[uint16](d, nil) }, "the bytes end within", ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			d := NewDecoder("Thing", c.bytes)
			for d.Next() {
				c.take(&d)
			}
			if d.Err() == nil || !strings.Contains(d.Err().Error(), c.want) || !errors.Is(d.Err(), c.is) {
				t.Errorf("got %v, want …%s… that is %v", d.Err(), c.want, c.is)
			}
			if d.Next() {
				t.Error("the walk goes on after an error")
			}
		})
	}
}

func TestErrorsOfSubMessagesNameTheWay(t *testing.T) {
	b, mark := OpenMessage(nil, 9, 0)
	b = AppendBoolField(b, 5, true)
	b = CloseMessage(b, mark)
	d := NewDecoder("Outer", b)
	for d.Next() {
		s := d.Sub("Inner")
		for s.Next() {
			s.Unknown()
		}
		d.Fail(s.Err())
	}
	const want = "Outer field 9: Inner field 5: unknown critical field"
	if d.Err() == nil || !strings.HasPrefix(d.Err().Error(), want) {
		t.Errorf("got %v, want %s…", d.Err(), want)
	}
}

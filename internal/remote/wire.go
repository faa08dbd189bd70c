package remote

import (
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// This file drives the encoding. Each noun describes its fields once, by a
// method that visits them in the order of their numbers; a visitor encodes,
// decodes or lists what it is shown.

// Noun is something with an encoding: every struct of this package.
type Noun interface{ fields(v *visitor) }

// visitor is shown the fields of a noun. Exactly one of three things happens to
// each: it is appended, it is decoded if it is the field that d is at, or it is
// listed.
type visitor struct {
	encoding bool
	b        []byte
	d        *msg.Decoder
	current  msg.FieldNumber // that d is at
	taken    bool
	list     func(field msg.FieldNumber, kind string, repeated bool, of Noun)
}

// at says whether a field is the one to be decoded.
func (v *visitor) at(field msg.FieldNumber) bool {
	if v.current != field {
		return false
	}
	v.taken = true
	return true
}

func (v *visitor) listed(field msg.FieldNumber, kind string, repeated bool, of Noun) {
	if v.list != nil {
		v.list(field, kind, repeated, of)
	}
}

func (v *visitor) text(field msg.FieldNumber, s *string) {
	switch {
	case v.encoding:
		v.b = msg.AppendStringField(v.b, field, *s)
	case v.at(field):
		*s = v.d.Text()
	default:
		v.listed(field, "string", false, nil)
	}
}

func (v *visitor) bytes(field msg.FieldNumber, b *[]byte) {
	switch {
	case v.encoding:
		v.b = msg.AppendBytesField(v.b, field, *b)
	case v.at(field):
		*b = v.d.Bytes()
	default:
		v.listed(field, "bytes", false, nil)
	}
}

func (v *visitor) truth(field msg.FieldNumber, t *bool) {
	switch {
	case v.encoding:
		v.b = msg.AppendBoolField(v.b, field, *t)
	case v.at(field):
		*t = v.d.Bool()
	default:
		v.listed(field, "bool", false, nil)
	}
}

func (v *visitor) fingerprint(field msg.FieldNumber, f *msg.Fingerprint) {
	switch {
	case v.encoding:
		v.b = msg.AppendFixed16Field(v.b, field, *f)
	case v.at(field):
		*f = v.d.Fixed16()
	default:
		v.listed(field, "bytes", false, nil)
	}
}

func (v *visitor) time(field msg.FieldNumber, t *msg.Time) {
	switch {
	case v.encoding:
		v.b = msg.AppendTimeField(v.b, field, *t)
	case v.at(field):
		*t = v.d.Time()
	default:
		v.listed(field, "sfixed64", false, nil)
	}
}

// number visits an unsigned number of so many bits.
func number[T ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~int64](v *visitor, field msg.FieldNumber, bits int, n *T) {
	switch {
	case v.encoding:
		v.b = msg.AppendUvarintField(v.b, field, uint64(*n))
	case !v.at(field):
		if v.list != nil {
			v.listed(field, map[bool]string{true: "uint64", false: "uint32"}[bits > 32], false, nil)
		}
	case bits == 8:
		*n = T(v.d.Uint8())
	case bits == 16:
		*n = T(v.d.Uint16())
	case bits == 32:
		*n = T(v.d.Uint32())
	default:
		*n = T(v.d.Uvarint())
	}
}

// kind visits an enumeration that has a last member.
func kind[T ~uint8](v *visitor, field msg.FieldNumber, name string, last T, k *T) {
	switch {
	case v.encoding:
		v.b = msg.AppendUvarintField(v.b, field, uint64(*k))
	case v.at(field):
		*k = T(v.d.Enum(uint8(last)))
	default:
		v.listed(field, name, false, nil)
	}
}

func (v *visitor) duration(field msg.FieldNumber, d *time.Duration) {
	number(v, field, 64, d)
}

// sub visits a noun that is a field of another. It is not written if it is empty.
func (v *visitor) sub(field msg.FieldNumber, n Noun) {
	switch {
	case v.encoding:
		b, mark := msg.OpenMessage(v.b, field, 0)
		v.b = b
		n.fields(v)
		v.b = msg.CloseMessageField(v.b, mark)
	case v.at(field):
		v.decodeSub(n)
	default:
		v.listed(field, "", false, n)
	}
}

func (v *visitor) decodeSub(n Noun) {
	sub := v.d.Sub("a field of it")
	decodeFields(&sub, n)
	v.d.Fail(sub.Err())
}

// optional visits a noun that may be absent.
func optional[T any, P interface {
	*T
	Noun
}](v *visitor, field msg.FieldNumber, n *P) {
	switch {
	case v.encoding:
		if *n != nil {
			element(v, field, *n)
		}
	case v.at(field):
		if *n == nil {
			*n = new(T)
		}
		v.decodeSub(*n)
	case v.list != nil:
		v.listed(field, "", false, P(new(T)))
	}
}

// element writes a noun even if it is empty.
func element(v *visitor, field msg.FieldNumber, n Noun) {
	b, mark := msg.OpenMessage(v.b, field, 0)
	v.b = b
	n.fields(v)
	v.b = msg.CloseMessage(v.b, mark)
}

// repeated visits a list of nouns.
func repeated[T any, P interface {
	*T
	Noun
}](v *visitor, field msg.FieldNumber, list *[]T) {
	switch {
	case v.encoding:
		for n := range *list {
			element(v, field, P(&(*list)[n]))
		}
	case v.at(field):
		*list = append(*list, *new(T))
		v.decodeSub(P(&(*list)[len(*list)-1]))
	case v.list != nil:
		v.listed(field, "", true, P(new(T)))
	}
}

// texts visits a list of strings.
func (v *visitor) texts(field msg.FieldNumber, list *[]string) {
	switch {
	case v.encoding:
		for _, s := range *list {
			v.b = msg.AppendStringElement(v.b, field, s)
		}
	case v.at(field):
		*list = append(*list, v.d.Text())
	default:
		v.listed(field, "string", true, nil)
	}
}

// numbers visits a packed list of numbers.
func (v *visitor) numbers(field msg.FieldNumber, list *[]uint64) {
	switch {
	case v.encoding:
		v.b = msg.AppendPackedField(v.b, field, *list)
	case v.at(field):
		*list = msg.DecodePacked(v.d, *list)
	default:
		v.listed(field, "uint64", true, nil)
	}
}

// headers visits a list of headers.
func (v *visitor) headers(field msg.FieldNumber, list *[]msg.Header) {
	switch {
	case v.encoding:
		for n := range *list {
			element(v, field, (*header)(&(*list)[n]))
		}
	case v.at(field):
		*list = append(*list, msg.Header{})
		v.decodeSub((*header)(&(*list)[len(*list)-1]))
	case v.list != nil:
		v.listed(field, "", true, &header{})
	}
}

// Append appends the encoding of a noun.
func Append(b []byte, n Noun) []byte {
	v := visitor{encoding: true, b: b}
	n.fields(&v)
	return v.b
}

// Decode decodes a noun into a zero value of it. What it holds is a copy.
func Decode(name string, b []byte, n Noun) error {
	d := msg.NewDecoder(name, b)
	decodeFields(&d, n)
	return d.Err()
}

// Encoded is a noun of which the last fields are encoded already.
type Encoded struct {
	Head Noun
	Rest []byte
}

func (e *Encoded) fields(v *visitor) {
	e.Head.fields(v)
	v.b = append(v.b, e.Rest...)
}

func decodeFields(d *msg.Decoder, n Noun) {
	v := visitor{d: d}
	for d.Next() {
		v.current, v.taken = d.Field(), false
		n.fields(&v)
		if !v.taken {
			d.Unknown()
		}
	}
}

// Package plain reads and writes structs of plain fields as encoding/json does,
// several times faster. States of entities are mostly such structs, and are
// read and written in every turn.
//
// Invariants:
//
//  1. Whatever Encode writes, json.Marshal writes, byte for byte.
//  2. Whatever Decode accepts, json.Unmarshal accepts, with the same result.
//  3. What is not plain is refused, never guessed: the caller asks
//     encoding/json. What Decode has written by then, json.Unmarshal writes
//     again or refuses too.
//
// The package does not replace encoding/json: it has no options, reports no
// errors, and knows no slices, maps, pointers, floats or structs in structs.
package plain

import (
	"bytes"
	"encoding"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
)

// Plan is how the structs of one type look in JSON. It is safe for concurrent
// use; nil is the plan of what is not plain.
type Plan struct{ fields []field }

type field struct {
	index     int
	name      string
	lead      string // name and colon, as they are written
	kind      reflect.Kind
	omitEmpty bool
}

// PlanOf gives the plan of a type; nil if the type is not plain.
func PlanOf(t reflect.Type) *Plan {
	if t.Kind() != reflect.Struct || hasMethods(t) {
		return nil
	}
	p := &Plan{}
	for i := range t.NumField() {
		f := t.Field(i)
		switch {
		case f.Anonymous:
			return nil
		case !f.IsExported() || f.Tag.Get("json") == "-":
			continue
		}
		entry, ok := fieldOf(f)
		if !ok || p.find(entry.name, 0) >= 0 {
			return nil
		}
		entry.index = i
		p.fields = append(p.fields, entry)
	}
	return p
}

func fieldOf(f reflect.StructField) (entry field, ok bool) {
	name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
	if name == "" {
		name = f.Name
	}
	entry = field{name: name, lead: strconv.Quote(name) + ":", kind: f.Type.Kind(), omitEmpty: options == "omitempty"}
	known := options == "" || entry.omitEmpty
	return entry, known && isPlainName(name) && isPlain(f.Type)
}

// isPlainName says that a name is written as it is, and may stand in a tag.
func isPlainName(name string) bool {
	for _, r := range name {
		if !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_' || r == '-') {
			return false
		}
	}
	return true
}

func isPlain(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Bool, reflect.String,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return t != reflect.TypeFor[json.Number]() && !hasMethods(t)
	}
	return false
}

// hasMethods says that a type brings its own way to JSON or back.
func hasMethods(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(reflect.TypeFor[json.Marshaler]()) || p.Implements(reflect.TypeFor[json.Unmarshaler]()) ||
		p.Implements(reflect.TypeFor[encoding.TextMarshaler]()) || p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// find looks for a field by its name, first where it is expected.
func (p *Plan) find(name string, expected int) int {
	if expected < len(p.fields) && p.fields[expected].name == name {
		return expected
	}
	for i := range p.fields {
		if p.fields[i].name == name {
			return i
		}
	}
	return -1
}

// encodedMax is what is written on the stack: most structs of plain fields.
const encodedMax = 256

// Encode writes the struct that pointer points to. The result has no room that
// it does not need, because it may be kept.
func (p *Plan) Encode(pointer any) (body []byte, ok bool) {
	if p == nil {
		return nil, false
	}
	var buffer [encodedMax]byte
	v := reflect.ValueOf(pointer).Elem()
	text := append(buffer[:0], '{')
	for i := range p.fields {
		f := &p.fields[i]
		value := v.Field(f.index)
		if f.omitEmpty && value.IsZero() {
			continue
		}
		if len(text) > 1 {
			text = append(text, ',')
		}
		text = appendValue(append(text, f.lead...), value, f.kind)
	}
	return bytes.Clone(append(text, '}')), true
}

func appendValue(text []byte, v reflect.Value, kind reflect.Kind) []byte {
	switch kind {
	case reflect.Bool:
		return strconv.AppendBool(text, v.Bool())
	case reflect.String:
		return appendString(text, v.String())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return strconv.AppendUint(text, v.Uint(), 10)
	default:
		return strconv.AppendInt(text, v.Int(), 10)
	}
}

func appendString(text []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, _ := json.Marshal(s) // a string always can be
			return append(text, quoted...)
		}
	}
	text = append(append(text, '"'), s...)
	return append(text, '"')
}

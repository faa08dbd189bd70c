package plain

import (
	"reflect"
	"unicode/utf8"
)

// Decode reads a struct to where pointer points. If it reports false, the
// struct may have been written in part.
func (p *Plan) Decode(body []byte, pointer any) (ok bool) {
	if p == nil {
		return false
	}
	s := scanner{rest: body}
	v := reflect.ValueOf(pointer).Elem()
	if !s.skip('{') {
		return false
	}
	for expected := 0; !s.skip('}'); expected++ {
		if expected > 0 && !s.skip(',') {
			return false
		}
		name, ok := s.text()
		if !ok || !s.skip(':') {
			return false
		}
		found := p.find(string(name), expected)
		if found < 0 || !s.value(v.Field(p.fields[found].index), p.fields[found].kind) {
			return false
		}
	}
	s.space()
	return len(s.rest) == 0
}

// scanner is what is left of a text.
type scanner struct{ rest []byte }

func (s *scanner) space() {
	for len(s.rest) > 0 {
		switch s.rest[0] {
		case ' ', '\t', '\r', '\n':
			s.rest = s.rest[1:]
		default:
			return
		}
	}
}

// skip takes a character, if it is the next one.
func (s *scanner) skip(c byte) bool {
	s.space()
	if len(s.rest) == 0 || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

// text takes a string in which every character stands for itself.
func (s *scanner) text() (text []byte, ok bool) {
	if !s.skip('"') {
		return nil, false
	}
	ascii := true
	for i, c := range s.rest {
		switch {
		case c == '"':
			text, s.rest = s.rest[:i], s.rest[i+1:]
			return text, ascii || utf8.Valid(text)
		case c == '\\' || c < ' ':
			return nil, false
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	return nil, false
}

func (s *scanner) value(v reflect.Value, kind reflect.Kind) (ok bool) {
	switch kind {
	case reflect.String:
		text, ok := s.text()
		if ok {
			v.SetString(string(text))
		}
		return ok
	case reflect.Bool:
		return s.boolean(v)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		number, negative, ok := s.integer()
		if !ok || negative || v.OverflowUint(number) {
			return false
		}
		v.SetUint(number)
	default:
		number, negative, ok := s.integer()
		value := int64(number) // of at most 18 digits
		if negative {
			value = -value
		}
		if !ok || v.OverflowInt(value) {
			return false
		}
		v.SetInt(value)
	}
	return true
}

func (s *scanner) boolean(v reflect.Value) (ok bool) {
	for _, literal := range [...]string{"false", "true"} {
		s.space()
		if len(s.rest) >= len(literal) && string(s.rest[:len(literal)]) == literal {
			s.rest = s.rest[len(literal):]
			v.SetBool(literal == "true")
			return true
		}
	}
	return false
}

// digitsMax is how many digits fit every 64-bit integer.
const digitsMax = 18

// integer takes an integer. What follows it, a fraction as well, is not looked
// at: only a comma or a brace may.
func (s *scanner) integer() (number uint64, negative, ok bool) {
	negative = s.skip('-')
	count := 0
	for count < len(s.rest) && count <= digitsMax && '0' <= s.rest[count] && s.rest[count] <= '9' {
		number = number*10 + uint64(s.rest[count]-'0')
		count++
	}
	if count == 0 || count > digitsMax || count > 1 && s.rest[0] == '0' {
		return 0, false, false
	}
	s.rest = s.rest[count:]
	return number, negative, true
}

package form

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"time"
)

var (
	timeType = reflect.TypeFor[time.Time]()
	rawType  = reflect.TypeFor[json.RawMessage]()
)

// Schema is the JSON schema of a type.
func Schema(t reflect.Type, stored Stored) []byte {
	text, _ := json.Marshal(describer{stored}.describe(t, nil)) // maps of strings always have a JSON form
	return text
}

// describer makes schemas.
type describer struct{ stored Stored }

// describe describes a type as encoding/json writes it. A type inside of itself
// is described as anything.
func (d describer) describe(t reflect.Type, above []reflect.Type) map[string]any {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	element, list, stored := d.stored(t)
	switch {
	case t == timeType:
		return map[string]any{"type": "string", "format": "date-time"}
	case t == rawType, reflect.PointerTo(t).Implements(jsonMarshaler), slices.Contains(above, t):
		if !stored || slices.Contains(above, t) {
			return map[string]any{}
		}
		return d.collection(element, list, append(slices.Clip(above), t))
	case reflect.PointerTo(t).Implements(textMarshaler):
		return map[string]any{"type": "string"}
	}
	above = append(slices.Clip(above), t)
	switch t.Kind() {
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return map[string]any{"type": "integer", "format": "int64"}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return map[string]any{"type": "integer", "minimum": 0}
	case reflect.Float32, reflect.Float64:
		return map[string]any{"type": "number"}
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 && t.Kind() == reflect.Slice {
			return map[string]any{"type": "string", "contentEncoding": "base64"}
		}
		return map[string]any{"type": "array", "items": d.describe(t.Elem(), above)}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": d.describe(t.Elem(), above)}
	case reflect.Struct:
		properties := map[string]any{}
		d.addProperties(properties, t, above)
		return map[string]any{"type": "object", "properties": properties}
	}
	return map[string]any{}
}

func (d describer) collection(element reflect.Type, list bool, above []reflect.Type) map[string]any {
	if list {
		return map[string]any{"type": "array", "items": d.describe(element, above)}
	}
	return map[string]any{"type": "object", "additionalProperties": d.describe(element, above)}
}

// addProperties describes the fields of a struct, those of embedded structs as
// if they were its own.
func (d describer) addProperties(properties map[string]any, t reflect.Type, above []reflect.Type) {
	for i := range t.NumField() {
		f := t.Field(i)
		name := jsonName(f)
		embedded := f.Type
		if embedded.Kind() == reflect.Pointer {
			embedded = embedded.Elem()
		}
		switch {
		case name == "" || isVolatile(f):
		case f.Anonymous && embedded.Kind() == reflect.Struct && f.Tag.Get("json") == "" && !slices.Contains(above, embedded):
			d.addProperties(properties, embedded, append(slices.Clip(above), embedded))
		case !f.IsExported():
		case strings.Contains(f.Tag.Get("json"), ",string"):
			properties[name] = map[string]any{"type": "string"}
		default:
			properties[name] = d.describe(f.Type, above)
		}
	}
}

package form

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

var (
	jsonMarshaler   = reflect.TypeFor[json.Marshaler]()
	jsonUnmarshaler = reflect.TypeFor[json.Unmarshaler]()
	textMarshaler   = reflect.TypeFor[encoding.TextMarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// Stored says whether a type is a collection whose entries are stored one by
// one, a Map or a List, and of what.
type Stored func(t reflect.Type) (element reflect.Type, list, ok bool)

// Plan is what is known about the state type of a kind, once and for all.
type Plan struct {
	View     reflect.Type // how encoding/json sees the state; nil: as it is
	Fields   []Field
	Problems []string
}

// Field is a Map or List of the state.
type Field struct {
	Index int
	Name  string // in JSON
}

// PlanState examines a state type. With a codec of its own the type is the
// codec's business.
func PlanState(t reflect.Type, codec bool, stored Stored) *Plan {
	p := &Plan{}
	if !codec {
		c := checker{state: true, stored: stored}
		c.check(t, t.String())
		p.Problems = c.problems
	}
	if t.Kind() != reflect.Struct || isLeaf(t) {
		return p
	}
	hidden := false
	for i := range t.NumField() {
		f := t.Field(i)
		hidden = hidden || hiddenFromView(f)
		if _, _, ok := stored(f.Type); !ok {
			continue
		}
		p.Fields = append(p.Fields, Field{Index: i, Name: jsonName(f)})
		if codec {
			p.Problems = append(p.Problems, fmt.Sprintf("%v.%s: Map and List need a state in JSON, and the entity has a codec of its own", t, f.Name))
		}
	}
	if !hidden || codec {
		return p
	}
	if problem := viewProblem(t); problem != "" {
		p.Problems = append(p.Problems, problem)
		return p
	}
	p.View = viewOf(t)
	return p
}

// Check says why values of a type do not survive encoding/json.
func Check(t reflect.Type, stored Stored) []string {
	c := checker{stored: stored}
	c.check(t, t.String())
	return c.problems
}

// Nullable says whether null is a value of a type.
func Nullable(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Interface:
		return true
	default:
		return reflect.PointerTo(t).Implements(jsonUnmarshaler)
	}
}

// isLeaf reports whether a type brings its own way to JSON and back.
func isLeaf(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(jsonMarshaler) && p.Implements(jsonUnmarshaler) ||
		p.Implements(textMarshaler) && p.Implements(textUnmarshaler)
}

// jsonName gives the name of a field in JSON; empty if it is left out.
func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	switch {
	case f.Tag.Get("json") == "-":
		return ""
	case name == "":
		return f.Name
	}
	return name
}

func isVolatile(f reflect.StructField) bool { return f.Tag.Get("holdfast") == "volatile" }

// hiddenFromView reports whether encoding/json would see a field that is not
// stored.
func hiddenFromView(f reflect.StructField) bool {
	return isVolatile(f) && f.IsExported() && jsonName(f) != ""
}

// viewOf gives a struct type with the memory layout of t, in which the volatile
// fields are tagged so that encoding/json leaves them out. Unexported fields
// get exported names, which reflect.StructOf asks for, and are left out too.
func viewOf(t reflect.Type) reflect.Type {
	fields := make([]reflect.StructField, t.NumField())
	for i := range fields {
		f := t.Field(i)
		fields[i] = reflect.StructField{Name: f.Name, Type: f.Type, Tag: f.Tag}
		if isVolatile(f) || !f.IsExported() {
			fields[i].Name = fmt.Sprintf("Volatile%d", i)
			fields[i].Tag = `json:"-"`
		}
	}
	return reflect.StructOf(fields)
}

// checker finds out whether values of a type survive encoding/json.
type checker struct {
	state    bool // fields that would be lost are problems
	stored   Stored
	visited  map[reflect.Type]bool
	problems []string
	depth    int // structs above
}

func (c *checker) problem(format string, args ...any) {
	c.problems = append(c.problems, fmt.Sprintf(format, args...))
}

func (c *checker) check(t reflect.Type, path string) {
	if c.visited[t] {
		return
	}
	if c.visited == nil {
		c.visited = map[reflect.Type]bool{}
	}
	c.visited[t] = true
	if t.Kind() != reflect.Pointer && isLeaf(t) {
		if _, _, ok := c.stored(t); ok && c.state {
			c.problem("%s: a Map or List must be a direct field of the state struct; make it one, or use a plain map or slice here", path)
		}
		return
	}
	switch t.Kind() {
	case reflect.Chan, reflect.Func, reflect.UnsafePointer, reflect.Complex64, reflect.Complex128:
		c.problem("%s: %v cannot be stored or sent%s", path, t, c.cure())
	case reflect.Interface:
		if t.NumMethod() > 0 {
			c.problem("%s: interface %v cannot be decoded, because nothing says which type to make; use a concrete type%s", path, t, c.cure())
		}
	case reflect.Pointer:
		if c.state && c.depth == 0 {
			c.problem("%s: the state must not be a pointer; declare the entity with %v", path, t.Elem())
			return
		}
		c.check(t.Elem(), path)
	case reflect.Slice, reflect.Array:
		c.check(t.Elem(), path+"[]")
	case reflect.Map:
		c.checkKey(t.Key(), path)
		c.check(t.Elem(), path+"[]")
	case reflect.Struct:
		c.depth++
		c.checkStruct(t, path)
		c.depth--
	}
}

// cure says what to do about a field of a state.
func (c *checker) cure() string {
	if c.state && c.depth > 0 {
		return "; tag the field `holdfast:\"volatile\"` and rebuild it in Activate"
	}
	return ""
}

func (c *checker) checkKey(key reflect.Type, path string) {
	switch key.Kind() {
	case reflect.String, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
	default:
		if !key.Implements(textMarshaler) || !reflect.PointerTo(key).Implements(textUnmarshaler) {
			c.problem("%s: map keys of type %v have no JSON form; use a string or an integer", path, key)
		}
	}
}

func (c *checker) checkStruct(t reflect.Type, path string) {
	names := map[string]string{}
	for i := range t.NumField() {
		f := t.Field(i)
		at := path + "." + f.Name
		if c.state && !c.checkTags(f, at) || jsonName(f) == "" {
			continue
		}
		if !f.IsExported() && !embedsStruct(f) {
			continue
		}
		if name := jsonName(f); !f.Anonymous || f.Tag.Get("json") != "" {
			if other := names[name]; other != "" {
				c.problem("%s: the JSON name %q is that of field %s, too; encoding/json drops both", at, name, other)
			}
			names[name] = f.Name
		}
		if element, _, ok := c.stored(f.Type); ok && c.depth == 1 {
			c.check(element, at+"[]")
			continue
		}
		c.check(f.Type, at)
	}
}

// embedsStruct reports whether a field's own fields are promoted in JSON though
// its name is unexported.
func embedsStruct(f reflect.StructField) bool {
	return f.Anonymous && f.Type.Kind() == reflect.Struct
}

// checkTags looks at a field of a state; it reports false if nothing more is to
// be said about the field.
func (c *checker) checkTags(f reflect.StructField, at string) bool {
	tag, tagged := f.Tag.Lookup("holdfast")
	switch {
	case tagged && tag != "volatile":
		c.problem("%s: unknown tag `holdfast:%q`; the only one is `holdfast:\"volatile\"`", at, tag)
	case isVolatile(f) && c.depth > 1 && hiddenFromView(f):
		c.problem("%s: a volatile field below the state struct itself must be unexported, or also tagged `json:\"-\"`", at)
	case isVolatile(f), f.Name == "_":
	case !f.IsExported() && !embedsStruct(f):
		c.problem("%s: unexported fields are not stored; export it, or tag it `holdfast:\"volatile\"` and rebuild it in Activate", at)
	case jsonName(f) == "":
		c.problem("%s: `json:\"-\"` fields are not stored; tag it `holdfast:\"volatile\"`, too, and rebuild it in Activate", at)
	default:
		return true
	}
	return false
}

// viewProblem says why a view of the state cannot be made.
func viewProblem(t reflect.Type) string {
	for i := range t.NumField() {
		if f := t.Field(i); f.Anonymous && !isVolatile(f) {
			return fmt.Sprintf("%v: with an embedded field (%s), exported volatile fields must be tagged `json:\"-\"`, too", t, f.Name)
		}
	}
	return ""
}

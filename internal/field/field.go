package field

import (
	"slices"

	"github.com/tidwall/btree"
)

// Field is a map or a list.
type Field struct {
	Name    string
	List    bool
	Entries *btree.Map[string, []byte]
	Items   [][]byte
}

// Map makes an empty map.
func Map(name string) *Field {
	return &Field{Name: name, Entries: new(btree.Map[string, []byte])}
}

// List makes an empty list.
func List(name string) *Field { return &Field{Name: name, List: true} }

// Len is the number of entries or items.
func (f *Field) Len() int {
	if f.List {
		return len(f.Items)
	}
	return f.Entries.Len()
}

func (f *Field) copyOf(of *Field) {
	*f = *of
	if f.List {
		f.Items = slices.Clip(f.Items)
	} else {
		f.Entries = f.Entries.Copy()
	}
}

// View is what fields were when it was made. It is safe for use by one goroutine,
// while the fields change.
type View struct{ Fields []*Field }

// ViewOf makes a view of fields, which are sorted by name.
func ViewOf(fields []*Field) *View {
	if len(fields) == 1 { // of a workflow: the journal
		v := new(struct {
			View
			one   [1]*Field
			field Field
		})
		v.field.copyOf(fields[0])
		v.one[0] = &v.field
		v.View.Fields = v.one[:]
		return &v.View
	}
	v := &View{Fields: make([]*Field, len(fields))}
	for i, f := range fields {
		v.Fields[i] = new(Field)
		v.Fields[i].copyOf(f)
	}
	return v
}

func (v *View) find(name string) *Field {
	for _, f := range v.Fields {
		if f.Name == name {
			return f
		}
	}
	return nil
}

// Names are those of the fields, sorted.
func (v *View) Names() []string {
	names := make([]string, len(v.Fields))
	for i, f := range v.Fields {
		names[i] = f.Name
	}
	return names
}

// IsList reports whether a field is a list.
func (v *View) IsList(name string) bool {
	f := v.find(name)
	return f != nil && f.List
}

// Entry is one entry of a map.
func (v *View) Entry(name, key string) ([]byte, bool) {
	if f := v.find(name); f != nil && !f.List {
		return f.Entries.Get(key)
	}
	return nil, false
}

// Entries yields a map in the order of its keys.
func (v *View) Entries(name string, yield func(string, []byte) bool) {
	if f := v.find(name); f != nil && !f.List {
		f.Entries.Scan(yield)
	}
}

// Items yields a list in order.
func (v *View) Items(name string, yield func(int, []byte) bool) {
	f := v.find(name)
	if f == nil {
		return
	}
	for i, item := range f.Items {
		if !yield(i, item) {
			return
		}
	}
}

// Len is the number of entries or items of a field.
func (v *View) Len(name string) int {
	if f := v.find(name); f != nil {
		return f.Len()
	}
	return 0
}

package engine

import (
	"slices"
	"strings"

	"github.com/tidwall/btree"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// field is a map or a list of an instance.
type field struct {
	name    string
	list    bool
	entries *btree.Map[string, []byte]
	items   [][]byte
}

func (f *field) len() int {
	if f.list {
		return len(f.items)
	}
	return f.entries.Len()
}

func (i *instance) field(name string) (place int, f *field) {
	place, found := slices.BinarySearchFunc(i.fields, name, func(f *field, name string) int {
		return strings.Compare(f.name, name)
	})
	if found {
		return place, i.fields[place]
	}
	return place, nil
}

func (i *instance) mapField(name string) *field {
	place, f := i.field(name)
	if f == nil {
		f = &field{name: name, entries: new(btree.Map[string, []byte])}
		i.fields = slices.Insert(i.fields, place, f)
	}
	return f
}

func (i *instance) listField(name string) *field {
	place, f := i.field(name)
	if f == nil {
		f = &field{name: name, list: true}
		i.fields = slices.Insert(i.fields, place, f)
	}
	return f
}

// snapshot gives the state as it is now, for a run on another goroutine.
func (i *instance) snapshot() msg.Snapshot {
	s := msg.Snapshot{Exists: i.exists, Version: i.version, StateVersion: i.stateVersion, Root: i.root,
		Machine: i.kind.isMachine()}
	if len(i.fields) == 0 {
		return s
	}
	if i.view == nil {
		i.view = viewOf(i.fields)
	}
	s.Fields = i.view
	return s
}

// view is an immutable copy of the fields: maps are copied on write, lists
// share their items and never see what is appended later.
type view struct{ fields []*field }

var _ msg.Fields = (*view)(nil)

func viewOf(fields []*field) *view {
	if len(fields) == 1 { // of a workflow: the journal
		v := new(struct {
			view
			fields [1]*field
			field  field
		})
		v.field.copyOf(fields[0])
		v.fields[0] = &v.field
		v.view.fields = v.fields[:]
		return &v.view
	}
	v := &view{fields: make([]*field, len(fields))}
	for i, f := range fields {
		v.fields[i] = new(field)
		v.fields[i].copyOf(f)
	}
	return v
}

func (f *field) copyOf(of *field) {
	*f = *of
	if f.list {
		f.items = slices.Clip(f.items)
	} else {
		f.entries = f.entries.Copy()
	}
}

func (v *view) find(name string) *field {
	for _, f := range v.fields {
		if f.name == name {
			return f
		}
	}
	return nil
}

func (v *view) Names() []string {
	names := make([]string, len(v.fields))
	for i, f := range v.fields {
		names[i] = f.name
	}
	return names
}

func (v *view) IsList(name string) bool {
	f := v.find(name)
	return f != nil && f.list
}

func (v *view) Entry(name, key string) ([]byte, bool) {
	if f := v.find(name); f != nil && !f.list {
		return f.entries.Get(key)
	}
	return nil, false
}

func (v *view) Entries(name string, yield func(string, []byte) bool) {
	if f := v.find(name); f != nil && !f.list {
		f.entries.Scan(yield)
	}
}

func (v *view) Items(name string, yield func(int, []byte) bool) {
	f := v.find(name)
	if f == nil {
		return
	}
	for i, item := range f.items {
		if !yield(i, item) {
			return
		}
	}
}

func (v *view) Len(name string) int {
	if f := v.find(name); f != nil {
		return f.len()
	}
	return 0
}

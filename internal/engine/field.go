package engine

import (
	"slices"
	"strings"

	"github.com/holdfast-io/holdfast/internal/field"
	"github.com/holdfast-io/holdfast/internal/msg"
)

func (i *instance) field(name string) (place int, f *field.Field) {
	place, found := slices.BinarySearchFunc(i.fields, name, func(f *field.Field, name string) int {
		return strings.Compare(f.Name, name)
	})
	if found {
		return place, i.fields[place]
	}
	return place, nil
}

func (i *instance) mapField(name string) *field.Field {
	place, f := i.field(name)
	if f == nil {
		f = field.Map(name)
		i.fields = slices.Insert(i.fields, place, f)
	}
	return f
}

func (i *instance) listField(name string) *field.Field {
	place, f := i.field(name)
	if f == nil {
		f = field.List(name)
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
		i.view = field.ViewOf(i.fields)
	}
	s.Fields = i.view
	return s
}

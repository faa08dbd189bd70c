package engine

import (
	"bytes"
	"slices"

	"github.com/holdfast-io/holdfast/internal/delta"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// patchOverhead is what a patch costs in a record beyond its value: base,
// offset and length, about as many bytes as these numbers need.
const patchOverhead = 16

// rootChange returns the change that turns old into new: a patch of the one
// region that differs if that is under half of the root, the whole otherwise.
func rootChange(old *instance, root msg.Payload, version uint32) msg.Change {
	whole := msg.Change{Kind: msg.ChangeRoot, Value: root.Body, ContentType: root.ContentType, StateVersion: version}
	if !old.exists || old.root.ContentType != root.ContentType {
		return whole
	}
	r := delta.Between(old.root.Body, root.Body)
	if len(r.Insert)+patchOverhead >= len(root.Body)/2 {
		return whole
	}
	return msg.Change{
		Kind: msg.ChangePatch, Value: r.Insert, StateVersion: version, Base: old.rootIndex, Offset: r.Offset, Remove: r.Remove,
	}
}

// unchanged says whether a turn left the root as it was.
func unchanged(old *instance, root msg.Payload, version uint32) bool {
	return old.exists && old.stateVersion == version && old.root.ContentType == root.ContentType &&
		bytes.Equal(old.root.Body, root.Body)
}

// shape is what a field is while the changes of a turn are looked through.
type shape struct {
	name string
	list bool
	used bool
}

// misused says that changes take a map for a list, a list for a map, or are not
// changes of maps and lists at all.
func (i *instance) misused(changes []msg.Change) *msg.Error {
	var buffer [8]shape
	shapes := buffer[:0]
	for n := range changes {
		c := &changes[n]
		if c.Kind < msg.ChangePut || c.Kind > msg.ChangeAppend {
			return msg.Errorf(msg.CodeFailed, msg.ClassFailed, "a turn of %s made a change of kind %d, which is not one of maps and lists", i.ref, c.Kind)
		}
		at := slices.IndexFunc(shapes, func(s shape) bool { return s.name == c.Field })
		if at < 0 {
			at = len(shapes)
			_, f := i.field(c.Field)
			shapes = append(shapes, shape{name: c.Field, used: f != nil, list: f != nil && f.List})
		}
		s, list := &shapes[at], c.Kind == msg.ChangeAppend
		switch {
		case c.Kind == msg.ChangeClear:
			s.used = false
		case s.used && s.list != list:
			return msg.Errorf(msg.CodeFailed, msg.ClassFailed, "%s of %s is kept as a %s and used as a %s; clear it, or use another name",
				c.Field, i.ref, shapeName(s.list), shapeName(list))
		default:
			s.used, s.list = true, list
		}
	}
	return nil
}

func shapeName(list bool) string {
	if list {
		return "list"
	}
	return "map"
}

package holdfast_test

import (
	"maps"
	"slices"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// entity is the twin of an instance in the engine: it folds outcomes, with maps
// and lists, so that a test can run turn after turn.
type entity struct {
	exists  bool
	version uint32
	root    []byte
	maps    map[string]map[string][]byte
	lists   map[string][][]byte
}

func newEntity() *entity {
	return &entity{maps: map[string]map[string][]byte{}, lists: map[string][][]byte{}}
}

func (e *entity) snapshot() msg.Snapshot {
	return msg.Snapshot{Exists: e.exists, StateVersion: e.version, Root: msg.Payload{Body: e.root}, Fields: fields{e}}
}

// apply folds an outcome that is kept.
func (e *entity) apply(o *msg.Outcome) {
	if o.Err != nil && !o.Keep || o.Fault != "" {
		return
	}
	if o.Delete {
		*e = *newEntity()
		return
	}
	if o.Root != nil {
		e.exists, e.root, e.version = true, o.Root.Body, o.Version
	}
	for _, c := range o.Changes {
		e.change(c)
	}
}

func (e *entity) change(c msg.Change) {
	switch c.Kind {
	case msg.ChangePut:
		if e.maps[c.Field] == nil {
			e.maps[c.Field] = map[string][]byte{}
		}
		e.maps[c.Field][c.Key] = c.Value
	case msg.ChangeRemove:
		delete(e.maps[c.Field], c.Key)
	case msg.ChangeClear:
		delete(e.maps, c.Field)
		delete(e.lists, c.Field)
	case msg.ChangeAppend:
		e.lists[c.Field] = append(e.lists[c.Field], c.Value)
	default:
		panic("a program does not make this change")
	}
}

// fields implements msg.Fields.
type fields struct{ e *entity }

func (f fields) Names() []string {
	return slices.Sorted(slices.Values(append(slices.Collect(maps.Keys(f.e.maps)), slices.Collect(maps.Keys(f.e.lists))...)))
}

func (f fields) IsList(field string) bool { return f.e.lists[field] != nil }

func (f fields) Entry(field, key string) ([]byte, bool) {
	body, ok := f.e.maps[field][key]
	return body, ok
}

func (f fields) Entries(field string, yield func(string, []byte) bool) {
	for _, key := range slices.Sorted(maps.Keys(f.e.maps[field])) {
		if !yield(key, f.e.maps[field][key]) {
			return
		}
	}
}

func (f fields) Items(field string, yield func(int, []byte) bool) {
	for i, body := range f.e.lists[field] {
		if !yield(i, body) {
			return
		}
	}
}

func (f fields) Len(field string) int { return len(f.e.maps[field]) + len(f.e.lists[field]) }

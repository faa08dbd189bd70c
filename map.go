package holdfast

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"reflect"
	"slices"
	"unicode/utf8"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// Map is a field of a state whose entries are stored one by one: a turn reads
// the entries that it asks for and logs those that it changes, however many
// there are. It is a direct field of a state struct, and not the place for
// pointers: Get gives a copy, and what should be stored goes through Put.
//
// A zero Map outside of a turn is an empty map in memory, so that handlers can
// be tested as functions and Initial can fill it. In JSON it is an object.
type Map[K ~string, V any] struct{ entries *mapEntries }

// mapEntries is what the copies of one Map share.
type mapEntries struct {
	scope   *scope // nil: the map belongs to no turn
	field   string
	source  msg.Fields        // nil: nothing is stored
	changed map[string][]byte // over source; a nil value is a removed entry
}

// Get gives one entry.
func (m *Map[K, V]) Get(k K) (v V, ok bool) {
	e := m.entries
	if e == nil {
		return v, false
	}
	body, ok := e.get(string(k))
	if ok {
		e.decode(string(k), body, &v)
	}
	return v, ok
}

// Put stores one entry. In a read it panics, as all changes there do.
func (m *Map[K, V]) Put(k K, v V) {
	e := m.writable("Put")
	body, err := encodeJSON(nil, &v)
	if err == nil && !utf8.ValidString(string(k)) {
		err = fmt.Errorf("the key is not UTF-8")
	}
	if err == nil {
		e.put(string(k), body)
		return
	}
	err = fmt.Errorf("put entry %q of map %s: %w", string(k), e.field, err)
	if e.scope == nil {
		panic("holdfast: " + err.Error())
	}
	e.scope.fail(err)
}

// Delete removes one entry, if it is there.
func (m *Map[K, V]) Delete(k K) {
	e := m.writable("Delete")
	if _, ok := e.get(string(k)); !ok {
		return
	}
	e.changed[string(k)] = nil
	if e.scope != nil {
		e.scope.change(msg.Change{Kind: msg.ChangeRemove, Field: e.field, Key: string(k)})
	}
}

// Clear removes all entries, at the cost of one change.
func (m *Map[K, V]) Clear() {
	e := m.writable("Clear")
	e.source = nil
	clear(e.changed)
	if e.scope != nil {
		e.scope.change(msg.Change{Kind: msg.ChangeClear, Field: e.field})
	}
}

// Len counts the entries.
func (m *Map[K, V]) Len() int {
	if m.entries == nil {
		return 0
	}
	return m.entries.count()
}

// All goes through the entries in key order. Entries that are put while it runs
// may be missed; those that are deleted are not given any more.
func (m *Map[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		e := m.entries
		if e == nil {
			return
		}
		e.each(func(key string, body []byte) bool {
			var v V
			e.decode(key, body, &v)
			return yield(K(key), v)
		})
	}
}

// MarshalJSON writes an object. In the stored root of its state a map is null:
// its entries are stored beside it.
func (m Map[K, V]) MarshalJSON() ([]byte, error) {
	e := m.entries
	if e == nil {
		return []byte("{}"), nil
	}
	if e.scope != nil && e.scope.encoding {
		return []byte("null"), nil
	}
	var b bytes.Buffer
	b.WriteByte('{')
	e.each(func(key string, body []byte) bool {
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		name, _ := json.Marshal(key) // a string always has a JSON form
		b.Write(name)
		b.WriteByte(':')
		b.Write(body)
		return true
	})
	b.WriteByte('}')
	return b.Bytes(), nil
}

// UnmarshalJSON reads an object into a map in memory; null is an empty map.
func (m *Map[K, V]) UnmarshalJSON(body []byte) error {
	m.entries = nil
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(body, &raw); err != nil || raw == nil {
		return err
	}
	changed := make(map[string][]byte, len(raw))
	for key, value := range raw {
		var v V
		if err := json.Unmarshal(value, &v); err != nil {
			return fmt.Errorf("entry %q: %w", key, err)
		}
		changed[key] = value
	}
	m.entries = &mapEntries{changed: changed}
	return nil
}

// writable gives the entries for a change.
func (m *Map[K, V]) writable(what string) *mapEntries {
	if m.entries == nil {
		m.entries = &mapEntries{}
	}
	if s := m.entries.scope; s != nil {
		s.mayChange("Map."+what, m.entries.field)
	}
	if m.entries.changed == nil {
		m.entries.changed = map[string][]byte{}
	}
	return m.entries
}

// bind joins the map to its stored entries. Entries that it has already come
// from Initial, Migrate, or a root written when the field was a plain map: they
// replace what is stored.
func (m *Map[K, V]) bind(s *scope, field string) any {
	local := m.entries
	m.entries = &mapEntries{scope: s, field: field, source: s.turn.State.Fields}
	if local != nil {
		m.entries.replace(local)
	}
	return m.entries
}

// collect turns a map that is not the one that was bound into changes.
func (m *Map[K, V]) collect(s *scope, field string, was any) {
	bound, assigned := was.(*mapEntries), m.entries
	if assigned == bound {
		return
	}
	if assigned == nil {
		assigned = &mapEntries{}
	}
	m.entries = &mapEntries{scope: s, field: field, source: bound.source, changed: bound.changed}
	m.entries.replace(assigned)
}

func (*Map[K, V]) element() (t reflect.Type, list bool) { return reflect.TypeFor[V](), false }

// replace makes the entries of e those of by, and notes the changes, except in
// a read, whose changes nobody keeps.
func (e *mapEntries) replace(by *mapEntries) {
	stored := e.count() > 0
	entries := make(map[string][]byte)
	by.each(func(key string, body []byte) bool { entries[key] = body; return true })
	e.source, e.changed = nil, entries
	if e.scope.readOnly() {
		return
	}
	if stored {
		e.scope.change(msg.Change{Kind: msg.ChangeClear, Field: e.field})
	}
	for _, key := range slices.Sorted(maps.Keys(entries)) {
		e.scope.change(msg.Change{Kind: msg.ChangePut, Field: e.field, Key: key, Value: entries[key]})
	}
}

func (e *mapEntries) live() {
	if e.scope != nil {
		e.scope.live()
	}
}

func (e *mapEntries) get(key string) ([]byte, bool) {
	e.live()
	if body, ok := e.changed[key]; ok {
		return body, body != nil
	}
	if e.source == nil {
		return nil, false
	}
	return e.source.Entry(e.field, key)
}

func (e *mapEntries) put(key string, body []byte) {
	e.changed[key] = body
	if e.scope != nil {
		e.scope.change(msg.Change{Kind: msg.ChangePut, Field: e.field, Key: key, Value: body})
	}
}

func (e *mapEntries) count() int {
	e.live()
	n := 0
	if e.source != nil {
		n = e.source.Len(e.field)
	}
	for key, body := range e.changed {
		stored := false
		if e.source != nil {
			_, stored = e.source.Entry(e.field, key)
		}
		switch {
		case stored && body == nil:
			n--
		case !stored && body != nil:
			n++
		}
	}
	return n
}

// each gives stored and changed entries, merged in key order.
func (e *mapEntries) each(yield func(key string, body []byte) bool) {
	e.live()
	fresh, more := slices.Sorted(maps.Keys(e.changed)), true
	give := func(key string, body []byte) bool {
		if changed, ok := e.changed[key]; ok {
			body = changed
		}
		return body == nil || yield(key, body)
	}
	giveFresh := func(before func(key string) bool) {
		for more && len(fresh) > 0 && before(fresh[0]) {
			key := fresh[0]
			fresh = fresh[1:]
			more = give(key, nil)
		}
	}
	if e.source != nil {
		e.source.Entries(e.field, func(key string, body []byte) bool {
			giveFresh(func(k string) bool { return k < key })
			if len(fresh) > 0 && fresh[0] == key {
				fresh = fresh[1:]
			}
			if e.source == nil { // cleared meanwhile
				body = nil
			}
			more = more && give(key, body)
			return more
		})
	}
	giveFresh(func(string) bool { return true })
}

// decode reads an entry. One that does not have the type of the field any more
// is a fault of the turn.
func (e *mapEntries) decode(key string, body []byte, into any) {
	err := decodeJSON(nil, body, into)
	if err == nil {
		return
	}
	if e.scope == nil {
		panic(fmt.Sprintf("holdfast: entry %q of a map: %v", key, err))
	}
	e.scope.undecodable(e.field, fmt.Sprintf("entry %q", key), err)
}

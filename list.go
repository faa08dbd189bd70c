package holdfast

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"reflect"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// List is a field of a state that is stored by appending: a turn logs the items
// that it appends, however long the list is. It is a direct field of a state
// struct. All gives copies.
//
// A zero List outside of a turn is an empty list in memory. In JSON it is an
// array.
type List[V any] struct{ items *listItems }

// listItems is what the copies of one List share.
type listItems struct {
	scope  *scope // nil: the list belongs to no turn
	field  string
	source msg.Fields // nil: nothing is stored
	added  [][]byte   // after source
}

// Append puts values at the end. In a read it panics, as all changes there do.
func (l *List[V]) Append(v ...V) {
	items := l.writable("Append")
	for i := range v {
		body, err := encodeJSON(nil, &v[i])
		if err == nil {
			items.append(body)
			continue
		}
		err = fmt.Errorf("append to list %s: %w", items.field, err)
		if items.scope == nil {
			panic("holdfast: " + err.Error())
		}
		items.scope.fail(err)
	}
}

// Clear removes all items, at the cost of one change.
func (l *List[V]) Clear() {
	items := l.writable("Clear")
	items.source, items.added = nil, nil
	if items.scope != nil {
		items.scope.change(msg.Change{Kind: msg.ChangeClear, Field: items.field})
	}
}

// Len counts the items.
func (l *List[V]) Len() int {
	if l.items == nil {
		return 0
	}
	return l.items.count()
}

// All goes through the items in order. Items that are appended while it runs
// are given too.
func (l *List[V]) All() iter.Seq[V] {
	return func(yield func(V) bool) {
		items := l.items
		if items == nil {
			return
		}
		items.each(func(index int, body []byte) bool {
			var v V
			items.decode(index, body, &v)
			return yield(v)
		})
	}
}

// MarshalJSON writes an array. In the stored root of its state a list is null:
// its items are stored beside it.
func (l List[V]) MarshalJSON() ([]byte, error) {
	if l.items == nil {
		return []byte("[]"), nil
	}
	if s := l.items.scope; s != nil && s.encoding {
		return []byte("null"), nil
	}
	var b bytes.Buffer
	b.WriteByte('[')
	l.items.each(func(index int, body []byte) bool {
		if index > 0 {
			b.WriteByte(',')
		}
		b.Write(body)
		return true
	})
	b.WriteByte(']')
	return b.Bytes(), nil
}

// UnmarshalJSON reads an array into a list in memory; null is an empty list.
func (l *List[V]) UnmarshalJSON(body []byte) error {
	l.items = nil
	var raw []json.RawMessage
	if err := json.Unmarshal(body, &raw); err != nil || raw == nil {
		return err
	}
	items := &listItems{}
	for i, value := range raw {
		var v V
		if err := json.Unmarshal(value, &v); err != nil {
			return fmt.Errorf("item %d: %w", i, err)
		}
		items.added = append(items.added, value)
	}
	l.items = items
	return nil
}

// writable gives the items for a change.
func (l *List[V]) writable(what string) *listItems {
	if l.items == nil {
		l.items = &listItems{}
	}
	if s := l.items.scope; s != nil {
		s.mayChange("List."+what, l.items.field)
	}
	return l.items
}

// bind joins the list to its stored items. Items that it has already replace
// them: see Map.bind.
func (l *List[V]) bind(s *scope, field string) any {
	local := l.items
	l.items = &listItems{scope: s, field: field, source: s.turn.State.Fields}
	if local != nil {
		l.items.replace(local)
	}
	return l.items
}

// collect turns a list that is not the one that was bound into changes.
func (l *List[V]) collect(s *scope, field string, was any) {
	bound, assigned := was.(*listItems), l.items
	if assigned == bound {
		return
	}
	if assigned == nil {
		assigned = &listItems{}
	}
	l.items = &listItems{scope: s, field: field, source: bound.source, added: bound.added}
	l.items.replace(assigned)
}

func (*List[V]) element() (t reflect.Type, list bool) { return reflect.TypeFor[V](), true }

// replace makes the items of l those of by, and notes the changes, except in a
// read, whose changes nobody keeps.
func (l *listItems) replace(by *listItems) {
	stored := l.count() > 0
	var added [][]byte
	by.each(func(_ int, body []byte) bool { added = append(added, body); return true })
	l.source, l.added = nil, nil
	if stored && !l.scope.readOnly() {
		l.scope.change(msg.Change{Kind: msg.ChangeClear, Field: l.field})
	}
	for _, body := range added {
		l.append(body)
	}
}

func (l *listItems) append(body []byte) {
	l.added = append(l.added, body)
	if l.scope != nil && !l.scope.readOnly() {
		l.scope.change(msg.Change{Kind: msg.ChangeAppend, Field: l.field, Value: body})
	}
}

func (l *listItems) live() {
	if l.scope != nil {
		l.scope.live()
	}
}

func (l *listItems) stored() int {
	if l.source == nil {
		return 0
	}
	return l.source.Len(l.field)
}

func (l *listItems) count() int {
	l.live()
	return l.stored() + len(l.added)
}

func (l *listItems) each(yield func(index int, body []byte) bool) {
	l.live()
	stored, more := l.stored(), true
	if l.source != nil {
		l.source.Items(l.field, func(index int, body []byte) bool {
			more = yield(index, body)
			return more
		})
	}
	for i := 0; more && i < len(l.added); i++ {
		more = yield(stored+i, l.added[i])
	}
}

// decode reads an item. One that does not have the type of the field any more
// is a fault of the turn.
func (l *listItems) decode(index int, body []byte, into any) {
	err := decodeJSON(nil, body, into)
	if err == nil {
		return
	}
	if l.scope == nil {
		panic(fmt.Sprintf("holdfast: item %d of a list: %v", index, err))
	}
	l.scope.undecodable(l.field, fmt.Sprintf("item %d", index), err)
}

package kar

import (
	"maps"
	"slices"
	"strings"

	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/remote"
)

// overlay is the fields of an entity as the changes of a turn leave them.
type overlay struct {
	fields  msg.Fields // before the turn; nil: none
	changes []msg.Change
	now     map[string]map[string][]byte // what has changed; nil: gone
	cleared map[string]bool
	count   map[string]int // entries of fields that have changed
}

func (o *overlay) change(field string) map[string][]byte {
	if o.now == nil {
		o.now, o.cleared, o.count = map[string]map[string][]byte{}, map[string]bool{}, map[string]int{}
	}
	m := o.now[field]
	if m == nil {
		m = map[string][]byte{}
		o.now[field], o.count[field] = m, o.before(field)
	}
	return m
}

// before is how many entries a field had before the turn.
func (o *overlay) before(field string) int {
	if o.fields == nil {
		return 0
	}
	return o.fields.Len(field)
}

// size is how many entries a field has.
func (o *overlay) size(field string) int {
	if _, changed := o.now[field]; changed {
		return o.count[field]
	}
	return o.before(field)
}

func (o *overlay) entry(field, key string) ([]byte, bool) {
	if value, changed := o.now[field][key]; changed {
		return value, value != nil
	}
	if o.fields == nil || o.cleared[field] {
		return nil, false
	}
	return o.fields.Entry(field, key)
}

// put reports whether it replaced something.
func (o *overlay) put(field, key string, value []byte) (existed bool) {
	if value == nil {
		value = []byte{}
	}
	_, existed = o.entry(field, key)
	o.change(field)[key] = value
	if !existed {
		o.count[field]++
	}
	o.changes = append(o.changes, msg.Change{Kind: msg.ChangePut, Field: field, Key: key, Value: value})
	return existed
}

// remove reports whether there was something.
func (o *overlay) remove(field, key string) (existed bool) {
	if _, existed = o.entry(field, key); !existed {
		return false
	}
	o.change(field)[key] = nil
	o.count[field]--
	o.changes = append(o.changes, msg.Change{Kind: msg.ChangeRemove, Field: field, Key: key})
	return true
}

// clear reports how many entries there were.
func (o *overlay) clear(field string) (count int) {
	if count = o.size(field); count == 0 {
		return 0
	}
	o.change(field)
	o.now[field], o.cleared[field], o.count[field] = map[string][]byte{}, true, 0
	o.changes = append(o.changes, msg.Change{Kind: msg.ChangeClear, Field: field})
	return count
}

// keys are those of a field, in order.
func (o *overlay) keys(field string) (keys []string) {
	changed := o.now[field]
	if o.fields != nil && !o.cleared[field] {
		o.fields.Entries(field, func(key string, _ []byte) bool {
			if _, known := changed[key]; !known {
				keys = append(keys, key)
			}
			return true
		})
	}
	for _, key := range slices.Sorted(maps.Keys(changed)) {
		if changed[key] != nil {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// first is the entry with the least key. A queue is long: what the turn has not
// changed of it is not read whole.
func (o *overlay) first(field string) (key string, value []byte, ok bool) {
	if o.fields != nil && !o.cleared[field] {
		o.fields.Entries(field, func(k string, v []byte) bool {
			if changed, known := o.now[field][k]; known {
				v = changed
			}
			key, value, ok = k, v, v != nil
			return !ok
		})
	}
	for _, k := range slices.Sorted(maps.Keys(o.now[field])) {
		if v := o.now[field][k]; v != nil && (!ok || k < key) {
			key, value, ok = k, v, true
		}
	}
	return key, value, ok
}

// names are the fields that have entries, in order.
func (o *overlay) names() (names []string) {
	if o.fields != nil {
		names = o.fields.Names()
	}
	names = slices.Sorted(slices.Values(append(slices.Clone(names), slices.Sorted(maps.Keys(o.now))...)))
	names = slices.Compact(names)
	return slices.DeleteFunc(names, func(name string) bool { return o.size(name) == 0 })
}

// small is all state, if it has no more than so many bytes.
func (o *overlay) small(bytesMax int) (entries []remote.Entry, whole bool) {
	size := 0
	for _, field := range o.names() {
		if !remote.IsState(field) {
			continue
		}
		for _, key := range o.keys(field) {
			value, _ := o.entry(field, key)
			if size += len(field) + len(key) + len(value); size > bytesMax {
				return nil, false
			}
			entries = append(entries, remote.Entry{Field: field, Key: key, Value: value})
		}
	}
	return entries, true
}

func (o *overlay) empty() bool { return len(o.names()) == 0 }

// changed applies changes of anybody at once. Who subscribes is answered by the
// topic.
func (a *actorTurn) changed() error {
	var r remote.Request
	if err := remote.Decode("Request", a.t.Message.Payload.Body, &r); err != nil {
		return err
	}
	var counts []uint64
	for n := range r.Changes {
		counts = append(counts, a.apply(&r.Changes[n]))
	}
	a.o.Output = answer(remote.Answer{Counts: counts})
	return nil
}

// apply makes a change, and says how many entries it replaced or took away.
func (a *actorTurn) apply(c *remote.Change) (count uint64) {
	switch c.Kind {
	case remote.ChangePut:
		a.attach(c, true)
		return one(a.state.put(c.Field, c.Key, c.Value))
	case remote.ChangeRemove:
		a.attach(c, false)
		return one(a.state.remove(c.Field, c.Key))
	case remote.ChangeClear:
		if !remote.IsState(c.Field) {
			for _, key := range a.state.keys(c.Field) {
				a.attach(&remote.Change{Field: c.Field, Key: key}, false)
			}
		}
		return uint64(a.state.clear(c.Field))
	case remote.ChangeReset:
		for _, field := range a.state.names() {
			if remote.IsState(field) {
				count += uint64(a.state.clear(field))
			}
		}
	}
	return count
}

func one(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// attach does what changes of reminders and subscriptions do beside.
func (a *actorTurn) attach(c *remote.Change, put bool) {
	switch c.Field {
	case remote.FieldReminders:
		a.attachReminder(c, put)
	case remote.FieldSubscriptions:
		a.attachSubscription(c, put)
	}
}

func (a *actorTurn) attachReminder(c *remote.Change, put bool) {
	var r remote.Reminder
	if put && remote.Decode("Reminder", c.Value, &r) == nil {
		a.timer(timerReminder+c.Key, &msg.Reminder{Handler: HandlerReminder, Due: max(r.Due, 1)})
		return
	}
	if _, known := a.state.entry(c.Field, c.Key); known {
		a.timer(timerReminder+c.Key, nil)
	}
}

// attachSubscription tells topics: the one that was subscribed to, if it is
// another, and the new one.
func (a *actorTurn) attachSubscription(c *remote.Change, put bool) {
	var next, before remote.Subscription
	if put && remote.Decode("Subscription", c.Value, &next) != nil {
		return
	}
	if value, known := a.state.entry(c.Field, c.Key); known && remote.Decode("Subscription", value, &before) == nil && before.Topic != next.Topic {
		a.subscribe(HandlerUnsubscribe, c.Key, &before)
	}
	if put {
		a.subscribe(HandlerSubscribe, c.Key, &next)
	}
}

func (a *actorTurn) subscribe(handler, id string, s *remote.Subscription) {
	subscriber := remote.Subscriber{Actor: a.t.Message.Target.Key, ID: id, Subscription: *s}
	a.o.Sends = append(a.o.Sends, msg.Outgoing{Target: msg.Ref{Kind: KindTopic, Key: s.Topic}, Handler: handler,
		Payload: payload(remote.Append(nil, &subscriber))})
}

// query answers a question about the state.
func (a *actorTurn) query() error {
	var q remote.Query
	if err := remote.Decode("Query", a.t.Message.Payload.Body, &q); err != nil {
		return err
	}
	var r remote.Answer
	add := func(field string) {
		for _, key := range a.state.keys(field) {
			value, _ := a.state.entry(field, key)
			r.Entries = append(r.Entries, remote.Entry{Field: field, Key: key, Value: value})
		}
	}
	switch q.Kind {
	case remote.QueryEntry:
		value, found := a.state.entry(q.Field, q.Key)
		if r.Found = found; found {
			r.Entries = []remote.Entry{{Field: q.Field, Key: q.Key, Value: value}}
		}
	case remote.QueryField:
		add(q.Field)
	case remote.QueryState:
		for _, field := range a.state.names() {
			if remote.IsState(field) {
				add(field)
			}
		}
	case remote.QueryCount:
		r.Count = uint64(a.state.size(q.Field))
	}
	a.o.Output = answer(r)
	return nil
}

// reminded lets a reminder tell its actor something, and sets it anew if it
// repeats. Times that were missed are made up for once.
func (a *actorTurn) reminded() error {
	id := strings.TrimPrefix(a.t.Message.Reminder, timerReminder)
	value, known := a.state.entry(remote.FieldReminders, id)
	if !known {
		return nil
	}
	var r remote.Reminder
	if err := remote.Decode("Reminder", value, &r); err != nil {
		return err
	}
	a.tell("reminder", id, r.Due, r.Path, r.Data)
	if r.Period <= 0 {
		a.state.remove(remote.FieldReminders, id)
		return nil
	}
	period := msg.Time(r.Period)
	r.Due += period * max(1, (a.t.Now-r.Due)/period+1)
	a.state.put(remote.FieldReminders, id, remote.Append(nil, &r))
	a.timer(timerReminder+id, &msg.Reminder{Handler: HandlerReminder, Due: r.Due})
	return nil
}

// event hands an event to the actor, as JSON or, if it is none, as a string.
func (a *actorTurn) event() error {
	var e remote.Event
	if err := remote.Decode("Event", a.t.Message.Payload.Body, &e); err != nil {
		return err
	}
	value, known := a.state.entry(remote.FieldSubscriptions, e.Subscription)
	var s remote.Subscription
	if !known || remote.Decode("Subscription", value, &s) != nil || s.Topic != e.Topic {
		return nil // it was cancelled while the event was on its way
	}
	a.tell("event", e.Topic+"/"+e.Subscription, msg.Time(e.Number), s.Path, eventArguments(s.ContentType, e.Body))
	return nil
}

package sidecar

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/holdfast-io/holdfast/internal/remote"
)

// store is where state, reminders and subscriptions of one actor are read and
// changed: the hold of the actor if one of its attempts runs here, and the server if
// not. Subscriptions are the server's in any case. Whatever it has acknowledged is
// there for who uses it next.
type store struct {
	direct
	subscriptions bool
}

func (s *Sidecar) storeOf(t remote.Target, field string) *store {
	return &store{direct{s, t}, field == remote.FieldSubscriptions}
}

// hold gives the hold of the actor, locked, if an attempt of it runs here. If it
// gives none, the server has everything.
func (p *store) hold(ctx context.Context) (*held, error) {
	if p.subscriptions {
		return nil, nil
	}
	if a := p.s.actorOf(p.target); a != nil {
		h := &a.state
		h.mu.Lock()
		if n := len(h.holders); n > 0 {
			return &held{p.direct, h, h.holders[n-1]}, nil
		}
		h.mu.Unlock()
	}
	return nil, p.s.settle(ctx, p.target)
}

func (p *store) entry(ctx context.Context, field, key string) (value []byte, found bool, err error) {
	h, err := p.hold(ctx)
	switch {
	case err != nil:
		return nil, false, err
	case h == nil:
		return p.direct.entry(ctx, field, key)
	}
	defer h.hold.mu.Unlock()
	return h.entry(ctx, field, key)
}

// entries are in the order of keys.
func (p *store) entries(ctx context.Context, field string) ([]remote.Entry, error) {
	h, err := p.hold(ctx)
	switch {
	case err != nil:
		return nil, err
	case h == nil:
		return p.direct.entries(ctx, field)
	}
	defer h.hold.mu.Unlock()
	return h.entries(ctx, field)
}

// all is state only, in the order of fields and keys.
func (p *store) all(ctx context.Context) ([]remote.Entry, error) {
	h, err := p.hold(ctx)
	switch {
	case err != nil:
		return nil, err
	case h == nil:
		return p.direct.all(ctx)
	}
	defer h.hold.mu.Unlock()
	return h.all(ctx)
}

func (p *store) change(ctx context.Context, changes ...remote.Change) (counts []uint64, err error) {
	h, err := p.hold(ctx)
	switch {
	case err != nil:
		return nil, err
	case h == nil:
		if counts, err = p.direct.change(ctx, changes...); err == nil && !p.subscriptions {
			p.s.changed(p.target)
		}
		return counts, err
	}
	defer h.hold.mu.Unlock()
	return h.change(ctx, changes...)
}

// direct is the server.
type direct struct {
	s      *Sidecar
	target remote.Target
}

// refusal is an error that a server has answered with.
type refusal struct{ result remote.Result }

func (e *refusal) Error() string { return e.result.Failure }

func (d direct) ask(ctx context.Context, r *remote.Request) (*remote.Answer, error) {
	r.Target = d.target
	a, err := d.s.client.Ask(ctx, r)
	if err == nil && a.Result.Failure != "" {
		err = &refusal{a.Result}
	}
	return a, err
}

func (d direct) query(ctx context.Context, q remote.Query) (*remote.Answer, error) {
	return d.ask(ctx, &remote.Request{Kind: remote.RequestQuery, Query: q})
}

func (d direct) entry(ctx context.Context, field, key string) ([]byte, bool, error) {
	a, err := d.query(ctx, remote.Query{Kind: remote.QueryEntry, Field: field, Key: key})
	if err != nil || !a.Found || len(a.Entries) == 0 {
		return nil, false, err
	}
	return a.Entries[0].Value, true, nil
}

func (d direct) entries(ctx context.Context, field string) ([]remote.Entry, error) {
	a, err := d.query(ctx, remote.Query{Kind: remote.QueryField, Field: field})
	if err != nil {
		return nil, err
	}
	return a.Entries, nil
}

func (d direct) all(ctx context.Context) ([]remote.Entry, error) {
	a, err := d.query(ctx, remote.Query{Kind: remote.QueryState})
	if err != nil {
		return nil, err
	}
	return a.Entries, nil
}

func (d direct) change(ctx context.Context, changes ...remote.Change) ([]uint64, error) {
	a, err := d.ask(ctx, &remote.Request{Kind: remote.RequestChange, Changes: changes})
	if err != nil {
		return nil, err
	}
	if len(a.Counts) != len(changes) {
		return nil, errors.New("the server has not said what the changes have come to")
	}
	return a.Counts, nil
}

// hold is what the attempts of an actor have read and written since the first of
// them entered. What was read stays as it was read until the hold ends.
type hold struct {
	mu      sync.Mutex
	holders []*attempt                    // in the order in which they entered
	known   map[string]map[string]*[]byte // by field and key; nil: there is none
	whole   map[string]bool               // fields of which everything is known
	state   bool                          // all state is known
	pending []pendingChange               // that have not left
}

// pendingChange is a change and the attempt that had entered last when it was made.
type pendingChange struct {
	remote.Change
	by *attempt
}

// takeAll takes what is pending, by whomever.
func (h *hold) takeAll() (changes []remote.Change) {
	for n := range h.pending {
		changes = append(changes, h.pending[n].Change)
	}
	h.pending = nil
	return changes
}

// drop takes back what a lost attempt has changed. What others of its flow have
// changed stays.
func (h *hold) drop(a *attempt) {
	h.pending = slices.DeleteFunc(h.pending, func(c pendingChange) bool { return c.by == a })
	h.refresh()
}

// refresh lets everything be read again but what has changed here.
func (h *hold) refresh() {
	h.forget()
	for n := range h.pending {
		h.replay(&h.pending[n].Change)
	}
	for _, a := range h.holders {
		for _, c := range a.unsent() {
			h.replay(&c)
		}
	}
}

// replay makes a change in what is known, of which nothing is asked.
func (h *hold) replay(c *remote.Change) {
	switch c.Kind {
	case remote.ChangePut:
		h.field(c.Field)[c.Key] = &c.Value
	case remote.ChangeRemove:
		h.field(c.Field)[c.Key] = nil
	case remote.ChangeClear:
		h.field(c.Field)
		h.known[c.Field], h.whole[c.Field] = map[string]*[]byte{}, true
	case remote.ChangeReset:
		h.state = true
		for _, field := range h.stateFields() {
			h.known[field] = map[string]*[]byte{}
		}
	}
}

func (h *hold) forget() {
	h.known, h.whole, h.state = nil, nil, false
}

// start begins a hold with all state that the actor has.
func (h *hold) start(entries []remote.Entry) {
	for n := range entries {
		h.field(entries[n].Field)[entries[n].Key] = &entries[n].Value
	}
	h.state = true
}

func (h *hold) field(name string) map[string]*[]byte {
	if h.known == nil {
		h.known, h.whole = map[string]map[string]*[]byte{}, map[string]bool{}
	}
	if h.known[name] == nil {
		h.known[name] = map[string]*[]byte{}
	}
	return h.known[name]
}

func (h *hold) isWhole(field string) bool { return h.whole[field] || h.state && remote.IsState(field) }

// held is an actor that is held here. Its methods are called with hold.mu held.
type held struct {
	direct
	hold    *hold
	attempt *attempt
}

func (s *held) entry(ctx context.Context, field, key string) ([]byte, bool, error) {
	m := s.hold.field(field)
	if value, known := m[key]; known {
		if value == nil {
			return nil, false, nil
		}
		return *value, true, nil
	}
	if s.hold.isWhole(field) {
		return nil, false, nil
	}
	value, found, err := s.direct.entry(ctx, field, key)
	if err != nil {
		return nil, false, err
	}
	m[key] = nil
	if found {
		m[key] = &value
	}
	return value, found, nil
}

// load makes everything of a field known.
func (s *held) load(ctx context.Context, field string) error {
	if s.hold.isWhole(field) {
		return nil
	}
	entries, err := s.direct.entries(ctx, field)
	if err != nil {
		return err
	}
	s.merge(entries)
	s.hold.field(field)
	s.hold.whole[field] = true
	return nil
}

// merge adds what the server has to what is known already.
func (s *held) merge(entries []remote.Entry) {
	for n := range entries {
		e := &entries[n]
		m := s.hold.field(e.Field)
		if _, known := m[e.Key]; !known && !s.hold.whole[e.Field] {
			m[e.Key] = &e.Value
		}
	}
}

// list gives what is known of a field, in order.
func (h *hold) list(field string) (entries []remote.Entry) {
	for key, value := range h.known[field] {
		if value != nil {
			entries = append(entries, remote.Entry{Field: field, Key: key, Value: *value})
		}
	}
	slices.SortFunc(entries, func(a, b remote.Entry) int { return strings.Compare(a.Key, b.Key) })
	return entries
}

func (s *held) entries(ctx context.Context, field string) ([]remote.Entry, error) {
	if err := s.load(ctx, field); err != nil {
		return nil, err
	}
	return s.hold.list(field), nil
}

// loadAll makes all state known.
func (s *held) loadAll(ctx context.Context) error {
	if s.hold.state {
		return nil
	}
	entries, err := s.direct.all(ctx)
	if err != nil {
		return err
	}
	s.merge(entries)
	s.hold.state = true
	return nil
}

func (s *held) all(ctx context.Context) (entries []remote.Entry, err error) {
	if err := s.loadAll(ctx); err != nil {
		return nil, err
	}
	for _, field := range s.hold.stateFields() {
		entries = append(entries, s.hold.list(field)...)
	}
	return entries, nil
}

func (h *hold) stateFields() (names []string) {
	for field := range h.known {
		if remote.IsState(field) {
			names = append(names, field)
		}
	}
	slices.Sort(names)
	return names
}

func (s *held) change(ctx context.Context, changes ...remote.Change) (counts []uint64, err error) {
	for n := range changes {
		count, err := s.apply(ctx, &changes[n])
		if err != nil {
			return nil, err
		}
		counts = append(counts, count)
		if remote.IsState(changes[n].Field) || changes[n].Kind == remote.ChangeReset {
			s.hold.pending = append(s.hold.pending, pendingChange{changes[n], s.attempt})
		} else {
			s.attempt.later(remote.Outgoing{Changes: changes[n : n+1]})
		}
	}
	return counts, nil
}

// apply makes a change in what is known, and says how many entries it replaced or
// took away.
func (s *held) apply(ctx context.Context, c *remote.Change) (count uint64, err error) {
	h := s.hold
	switch c.Kind {
	case remote.ChangePut, remote.ChangeRemove:
		_, found, err := s.entry(ctx, c.Field, c.Key)
		if err != nil {
			return 0, err
		}
		if found {
			count = 1
		}
		h.field(c.Field)[c.Key] = nil
		if c.Kind == remote.ChangePut {
			h.field(c.Field)[c.Key] = &c.Value
		}
	case remote.ChangeClear:
		if err := s.load(ctx, c.Field); err != nil {
			return 0, err
		}
		count = uint64(len(h.list(c.Field)))
		h.known[c.Field] = map[string]*[]byte{}
	case remote.ChangeReset:
		if err := s.loadAll(ctx); err != nil {
			return 0, err
		}
		for _, field := range h.stateFields() {
			count += uint64(len(h.list(field)))
			h.known[field] = map[string]*[]byte{}
		}
	}
	return count, nil
}

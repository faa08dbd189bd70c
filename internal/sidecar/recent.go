package sidecar

import (
	"context"
	"slices"
	"time"

	"github.com/holdfast-io/holdfast/internal/remote"
)

// recent is what was done to an actor here of late, and who asks has to know of:
// the server may not have taken it, or an attempt that is about to come may have
// been sent before it. It is forgotten when the next flow enters the actor, which
// is after all that; at the latest after completedFor. It is guarded by Sidecar.mu.
type recent struct {
	ended   []remote.Invocation // Target, Request and Sequence of those whose completions may not have been taken
	changed bool                // state or reminders, past any attempt
	at      time.Time           // of the last of it
}

// recentOf is called with mu held.
func (s *Sidecar) recentOf(t remote.Target) *recent {
	r := s.recent[t.Key()]
	if r == nil {
		r = &recent{}
		s.recent[t.Key()] = r
	}
	r.at = time.Now()
	return r
}

func (r *recent) addEnded(i *remote.Invocation) {
	r.ended = append(r.ended, remote.Invocation{Target: i.Target, Request: i.Request, Sequence: i.Sequence})
}

// changed is called when the server has changed state or reminders of an actor past
// any attempt. One that has entered meanwhile reads again what it has read before;
// one that is on its way does not begin with the state that it was sent with.
func (s *Sidecar) changed(t remote.Target) {
	if a := s.actorOf(t); a != nil {
		a.state.mu.Lock()
		defer a.state.mu.Unlock()
		if len(a.state.holders) > 0 {
			a.state.refresh()
			return
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recentOf(t).changed = true
}

// forgetRecent is called when a flow enters an actor. It reports whether state was
// changed past any attempt before.
func (s *Sidecar) forgetRecent(t remote.Target) (changed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.recent[t.Key()]
	delete(s.recent, t.Key())
	return r != nil && r.changed
}

// settle waits until the server has taken what the attempts of an actor have come
// to that ended here.
func (s *Sidecar) settle(ctx context.Context, t remote.Target) error {
	for {
		i, ok := s.unsettled(t)
		if !ok {
			return nil
		}
		if _, err := (direct{s, t}).ask(ctx, &remote.Request{Kind: remote.RequestEnded, Invocation: &i}); err != nil {
			return err
		}
		s.settled(&i)
	}
}

// unsettled is the first invocation of an actor whose completion may not have been
// taken.
func (s *Sidecar) unsettled(t remote.Target) (remote.Invocation, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.recent[t.Key()]
	if r == nil || len(r.ended) == 0 {
		return remote.Invocation{}, false
	}
	return r.ended[0], true
}

// settled notes that the completion of an invocation was taken.
func (s *Sidecar) settled(i *remote.Invocation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.recent[i.Target.Key()]; r != nil {
		r.ended = slices.DeleteFunc(r.ended, func(e remote.Invocation) bool { return e.Request == i.Request && e.Sequence == i.Sequence })
	}
}

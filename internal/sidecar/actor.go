package sidecar

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-io/holdfast/internal/remote"
	"github.com/holdfast-io/holdfast/internal/session"
)

// actor is what is known here of an actor that was ever placed at this process.
// Fields above the line are guarded by Sidecar.mu.
type actor struct {
	target  remote.Target
	active  bool // the application has an instance
	running int  // attempts
	used    time.Time
	// ----

	entering sync.Mutex // held while the instance is made or unmade
	state    hold
}

// actorOf is nil if no attempt of the actor has run here of late.
func (s *Sidecar) actorOf(t remote.Target) *actor {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.actors[t.Key()]
}

func (s *Sidecar) isActive(a *actor) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return a.active
}

func (s *Sidecar) setActive(a *actor, active bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a.active = active
}

// enter begins the part of an attempt in the hold of its actor. The first one of a
// flow has the state that came with it, if it is all, and nobody has changed it since.
func (s *Sidecar) enter(a *attempt) {
	h := &a.actor.state
	h.mu.Lock()
	defer h.mu.Unlock()
	h.holders = append(h.holders, a)
	if a.first && !s.forgetRecent(a.actor.target) && a.Whole {
		h.start(a.State)
	}
}

// leave ends an attempt, and its part in the hold of its actor: what was changed so
// far leaves with the completion.
func (s *Sidecar) leave(a *attempt, c *remote.Completion) {
	h := &a.actor.state
	h.mu.Lock()
	defer h.mu.Unlock()
	a.end(c)
	h.holders = slices.DeleteFunc(h.holders, func(other *attempt) bool { return other == a })
	if c.Lost == "" {
		c.Changes = h.takeAll()
	} else {
		h.drop(a)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a.actor.running--
	a.actor.used = time.Now()
	if len(c.Changes)+len(c.Sends) > 0 {
		s.recentOf(a.actor.target).addEnded(&a.Invocation)
	}
	if len(h.holders) == 0 {
		h.forget()
		h.pending = nil
	}
	if a.Invocation.Kind == remote.InvocationDelete && a.actor.running == 0 {
		delete(s.actors, a.actor.target.Key())
	}
}

// deactivate lets the application forget an instance. It is called with
// actor.entering held.
func (s *Sidecar) deactivate(a *actor) {
	began := time.Now()
	c := s.ask(callback{method: http.MethodDelete, path: actorPath(a.target)})
	s.metrics.observe(a.target.Type+":deactivate", time.Since(began))
	if c != nil && (c.Lost != "" || c.Result.Status >= 400) {
		s.errorf("the application failed to deactivate %s: status %d %s", a.target, c.Result.Status, c.Lost)
	}
	s.setActive(a, false)
}

// collectActors deactivates actors that have not been used since a time.
func (s *Sidecar) collectActors(ctx context.Context, since time.Time) {
	s.mu.Lock()
	var idle []*actor
	for _, a := range s.actors {
		if a.running == 0 && a.used.Before(since) {
			idle = append(idle, a)
		}
	}
	s.mu.Unlock()
	slices.SortFunc(idle, func(a, b *actor) int { return strings.Compare(a.target.Key(), b.target.Key()) })
	for _, a := range idle {
		if ctx.Err() != nil {
			return
		}
		s.collectActor(a)
	}
}

func (s *Sidecar) collectActor(a *actor) {
	a.entering.Lock()
	defer a.entering.Unlock()
	s.mu.Lock()
	busy, active := a.running > 0, a.active
	s.mu.Unlock()
	if busy {
		return
	}
	if active {
		s.deactivate(a)
	}
	s.mu.Lock()
	if a.running == 0 {
		delete(s.actors, a.target.Key())
	}
	s.mu.Unlock()
	_ = s.client.Tell(session.FrameInactive, &remote.Inactive{Actor: a.target})
}

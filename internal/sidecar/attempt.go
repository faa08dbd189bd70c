package sidecar

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/remote"
	"github.com/holdfast-io/holdfast/internal/session"
)

// attempt is an attempt of an invocation that the application makes.
type attempt struct {
	remote.Assignment
	s     *Sidecar
	actor *actor // nil: of a service
	first bool   // of its flow: what others have come to before is with the server

	mu    sync.Mutex
	sends []remote.Outgoing          // that have not left
	said  map[msg.Fingerprint]uint32 // how often each was sent
	ended bool
}

// begin registers an attempt. It is called with mu held.
func (s *Sidecar) begin(a *remote.Assignment) *attempt {
	at := &attempt{Assignment: *a, s: s, said: map[msg.Fingerprint]uint32{}}
	s.attempts[a.Invocation.Request], s.running[a.Token] = at, at
	if !a.Invocation.Target.IsService() {
		key := a.Invocation.Target.Key()
		if s.actors[key] == nil {
			s.actors[key] = &actor{target: a.Invocation.Target}
		}
		at.actor = s.actors[key]
		at.actor.running++
		at.first = at.actor.running == 1
	}
	return at
}

// sessionText is what the application sends back with what the attempt asks for.
func (a *attempt) sessionText() string {
	return url.QueryEscape(a.Invocation.Flow + ":" + a.Invocation.Request)
}

// run makes the attempt, and says what it came to.
func (a *attempt) run() {
	if a.actor != nil {
		a.s.enter(a)
	}
	var c *remote.Completion
	switch {
	case a.Invocation.Target.IsService():
		c = a.runService()
	case a.Invocation.Kind == remote.InvocationDelete:
		c = a.runDelete()
	default:
		c = a.runMethod()
	}
	if c == nil {
		return // the application has ended: the session does, too
	}
	if a.actor != nil {
		a.s.leave(a, c)
	} else {
		a.end(c)
	}
	a.s.completedAs(a, c)
}

// end lets nothing leave any more but the completion, and with it what has not
// left.
func (a *attempt) end(c *remote.Completion) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ended = true
	if c.Lost == "" {
		c.Sends = a.take()
	}
}

// unsent are the changes that have not left.
func (a *attempt) unsent() (changes []remote.Change) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for n := range a.sends {
		changes = append(changes, a.sends[n].Changes...)
	}
	return changes
}

// take takes what has not left. It is called with mu held.
func (a *attempt) take() []remote.Outgoing {
	sends := a.sends
	a.sends = nil
	if len(sends) > 0 {
		a.s.mu.Lock()
		for n := range sends {
			if sends[n].Invocation.Kind == remote.InvocationPromise {
				delete(a.s.promised, sends[n].Invocation.Request)
			}
		}
		a.s.mu.Unlock()
	}
	return sends
}

// identify recognises something that the attempt sends, and names it after its
// request, so that another attempt gives it the same name. It is called with mu
// held.
func (a *attempt) identify(o *remote.Outgoing) {
	i := &o.Invocation
	parts := []string{fmt.Sprint(i.Kind), i.Target.Type, i.Target.ID, i.Method, i.Path, i.ContentType, o.Topic, string(i.Body)}
	for n := range o.Changes {
		c := &o.Changes[n]
		parts = append(parts, fmt.Sprint(c.Kind), c.Field, c.Key, string(c.Value))
	}
	o.Call.Hash = msg.FingerprintOf(parts...)
	a.said[o.Call.Hash]++
	o.Call.Occurrence = a.said[o.Call.Hash]
	name := msg.FingerprintOf(a.Invocation.Request, fmt.Sprint(a.Invocation.Sequence), o.Call.Key())
	i.Request = fmt.Sprintf("req-%x", name[:])
	i.Parent = a.Invocation.Request
	if i.Kind == remote.InvocationCall {
		i.Flow = a.Invocation.Flow
	} else {
		i.Flow = fmt.Sprintf("flow-%x", name[:])
	}
}

// later sends something when the attempt waits for something, or ends. It is
// false if the attempt has ended.
func (a *attempt) later(o remote.Outgoing) (name string, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ended {
		return "", false
	}
	a.identify(&o)
	a.sends = append(a.sends, o)
	if o.Invocation.Kind == remote.InvocationPromise {
		a.s.mu.Lock()
		a.s.promised[o.Invocation.Request] = a
		a.s.mu.Unlock()
	}
	return o.Invocation.Request, true
}

// call sends what has not left, and a call, and waits for its result. With nil,
// it sends only what has not left.
func (a *attempt) call(ctx context.Context, o *remote.Outgoing) (*remote.Result, error) {
	a.mu.Lock()
	if a.ended {
		a.mu.Unlock()
		r := remote.Failed(409, "request %s has ended", a.Invocation.Request)
		return &r, nil
	}
	sends := a.take()
	if o != nil {
		a.identify(o)
		sends = append(sends, *o)
	}
	if len(sends) == 0 {
		a.mu.Unlock()
		return &remote.Result{Status: 202}, nil
	}
	p, err := a.s.client.Begin(&remote.Request{Kind: remote.RequestOperate, Token: a.Token, Attempt: a.Attempt, Sends: sends})
	a.mu.Unlock() // what is sent after this comes after it
	if err != nil {
		return nil, err
	}
	answer, err := p.Wait(ctx)
	if err != nil {
		return nil, err
	}
	return &answer.Result, nil
}

// headers name the invocation for the outside: the same in all attempts, and after
// tail calls another sequence.
func (a *attempt) headers() []msg.Header {
	i := &a.Invocation
	return []msg.Header{
		{Name: "X-Holdfast-Request", Value: fmt.Sprintf("%s/%d", i.Request, i.Sequence)},
		{Name: "X-Holdfast-Attempt", Value: fmt.Sprint(a.Attempt)},
	}
}

// runService calls the application's service.
func (a *attempt) runService() *remote.Completion {
	i := &a.Invocation
	began := time.Now()
	c := a.s.ask(callback{method: i.Method, path: i.Path, headers: append(a.headers(), i.Headers...), contentType: i.ContentType, body: i.Body, all: true})
	a.s.metrics.observe(i.Target.Type+":"+strings.SplitN(i.Path, "?", 2)[0], time.Since(began))
	return c
}

// runDelete deactivates an actor that is deleted.
func (a *attempt) runDelete() *remote.Completion {
	a.actor.entering.Lock()
	defer a.actor.entering.Unlock()
	if a.s.isActive(a.actor) {
		a.s.deactivate(a.actor)
	}
	return &remote.Completion{Result: remote.Result{Status: 200}}
}

// runMethod calls a method of an actor, which is activated before.
func (a *attempt) runMethod() *remote.Completion {
	if refused := a.activate(); refused != nil || a.s.exited() {
		return refused
	}
	i := &a.Invocation
	began := time.Now()
	c := a.s.ask(callback{method: http.MethodPost, path: actorPath(i.Target) + escapePath(i.Path) + "?session=" + a.sessionText(),
		contentType: "application/kar+json", body: i.Body, headers: a.headers()})
	a.s.metrics.observe(i.Target.Type+":"+i.Path, time.Since(began))
	if c != nil && c.Lost == "" {
		a.tail(c)
	}
	return c
}

// activate lets the application make its instance of the actor if there is none.
// It gives a completion if the application would not.
func (a *attempt) activate() *remote.Completion {
	a.actor.entering.Lock()
	defer a.actor.entering.Unlock()
	if a.s.isActive(a.actor) {
		return nil
	}
	began := time.Now()
	c := a.s.ask(callback{method: http.MethodGet, path: actorPath(a.Invocation.Target) + "?session=" + a.sessionText()})
	a.s.metrics.observe(a.Invocation.Target.Type+":activate", time.Since(began))
	if c == nil || c.Lost != "" || c.Result.Status >= 400 || c.Result.Failure != "" {
		return c
	}
	a.s.setActive(a.actor, true)
	return nil
}

// tailCall is the result of a method that hands its obligation over.
type tailCall struct {
	TailCall bool `json:"tailCall"`
	Value    *struct {
		ActorType   string `json:"actorType"`
		ActorID     string `json:"actorId"`
		ServiceName string `json:"serviceName"`
		Path        string `json:"path"`
		Payload     string `json:"payload"`
		Method      string `json:"method"`
		ReleaseLock string `json:"releaseLock"`
	} `json:"value"`
}

// tail makes a tail call of a completion, if its result is one. One that makes no
// sense is a result like any other.
func (a *attempt) tail(c *remote.Completion) {
	var t tailCall
	r := &c.Result
	if r.Status != 200 || !strings.HasPrefix(r.ContentType, "application/kar+json") || json.Unmarshal(r.Body, &t) != nil || !t.TailCall || t.Value == nil {
		return
	}
	v, from := t.Value, &a.Invocation
	to := &remote.Invocation{Path: v.Path, Body: []byte(v.Payload), BusyTimeout: from.BusyTimeout, StartWithin: from.StartWithin, StartBy: from.StartBy}
	switch {
	case v.ServiceName != "":
		to.Target = remote.Target{App: from.Target.App, Type: v.ServiceName}
		to.Method, to.ContentType = v.Method, "application/json"
		if to.Method == "" {
			to.Method = http.MethodPost
		}
	case v.ActorType != "" && v.ActorID != "":
		to.Target = remote.Target{App: from.Target.App, Type: v.ActorType, ID: v.ActorID}
		to.ContentType = "application/kar+json"
	default:
		return
	}
	if !strings.HasPrefix(to.Path, "/") {
		to.Path = "/" + to.Path
	}
	c.Tail, c.Release, c.Result = to, v.ReleaseLock == "true", remote.Result{}
}

// invoke asks for an invocation that no attempt asks for.
func (s *Sidecar) invoke(ctx context.Context, i *remote.Invocation) (*remote.Result, error) {
	answer, err := s.client.Ask(ctx, &remote.Request{Kind: remote.RequestInvoke, Invocation: i})
	if err != nil {
		return nil, err
	}
	return &answer.Result, nil
}

var _ session.Handler = (*Sidecar)(nil)

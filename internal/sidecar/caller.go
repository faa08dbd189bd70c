package sidecar

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/holdfast-io/holdfast/internal/remote"
	"github.com/holdfast-io/holdfast/internal/session"
)

// CallerConfig is what a Caller is made of.
type CallerConfig struct {
	App    string
	Server string
	Wait   time.Duration // for the connection
	Logger *slog.Logger
}

// Caller asks a server about an application without being part of it: it offers
// nothing, so nobody is disturbed.
type Caller struct {
	client *session.Client
	config CallerConfig
	end    context.CancelFunc
	ended  chan error
}

// Call connects.
func Call(ctx context.Context, c CallerConfig) (*Caller, error) {
	run, end := context.WithCancel(context.WithoutCancel(ctx))
	k := &Caller{config: c, end: end, ended: make(chan error, 1)}
	k.client = session.NewClient(session.ClientConfig{Server: c.Server, Handler: idle{c.App, "cli-" + random()}, Logger: c.Logger})
	go func() { k.ended <- k.client.Run(run) }()
	select {
	case <-k.client.Connected():
		return k, nil
	case err := <-k.ended:
		end()
		return nil, err
	case <-ctx.Done():
	case <-time.After(c.Wait):
	}
	end()
	return nil, fmt.Errorf("no connection within %v", c.Wait)
}

// Close disconnects.
func (c *Caller) Close() {
	c.end()
	<-c.ended
}

// Ask asks the server.
func (c *Caller) Ask(ctx context.Context, r *remote.Request) (*remote.Answer, error) {
	return c.client.Ask(ctx, r)
}

// Invoke makes an invocation by a flow of its own, and waits for its outcome.
func (c *Caller) Invoke(ctx context.Context, i *remote.Invocation) (*remote.Result, error) {
	i.Request, i.Flow = "req-"+random(), "flow-"+random()
	a, err := c.client.Ask(ctx, &remote.Request{Kind: remote.RequestInvoke, Invocation: i})
	if err != nil {
		return nil, err
	}
	return &a.Result, nil
}

// State is the state of an actor, as JSON.
func (c *Caller) State(ctx context.Context, t remote.Target) ([]byte, error) {
	a, err := c.client.Ask(ctx, &remote.Request{Kind: remote.RequestQuery, Target: t, Query: remote.Query{Kind: remote.QueryState}})
	if err != nil {
		return nil, err
	}
	if a.Result.Failure != "" {
		return nil, &refusal{a.Result}
	}
	return json.Marshal(stateOf(a.Entries))
}

// idle is the handler of a session that offers nothing.
type idle struct{ app, name string }

func (h idle) Hello() *remote.Hello      { return &remote.Hello{App: h.app, Session: h.name} }
func (idle) Assigned(*remote.Assignment) {}
func (idle) Stale(remote.Attempt)        {}
func (idle) Expired()                    {}

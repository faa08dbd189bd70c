package world

import (
	"context"
	"errors"
	"iter"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/holdfast-io/holdfast/client"
	"github.com/holdfast-io/holdfast/internal/ingress"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/program"
)

// Client is somebody outside: a function that runs as a coroutine of the world,
// with a connection to the node. While it waits, the world goes on.
type Client struct {
	Name   string
	Random *rand.Rand // its own chances
	Stays  bool       // it does not vanish while it waits

	world   *World
	context context.Context
	conn    client.Conn
	next    func() (struct{}, bool)
	stop    func()
	yield   func(struct{}) bool
	done    bool
	asleep  bool // by its own wish, for longer than it may wait for the node
}

// Go adds a client. Its function begins when the world does.
func (w *World) Go(name string, run func(*Client)) *Client {
	number := uint64(len(w.clients))
	c := &Client{Name: name, world: w, Random: rand.New(rand.NewPCG(w.config.Seed, 1<<34+number))}
	c.context = program.WithRandom(ended{}, randomBytes{rand.New(rand.NewPCG(w.config.Seed, 1<<38+number))})
	c.conn = ingress.NewConnWith(ingress.ConnConfig{
		Door: door{c}, Now: w.Now, Sleep: c.sleep,
		Sessions: client.NewSessionsFrom(randomBytes{rand.New(rand.NewPCG(w.config.Seed, 1<<35+number))}),
		Jitter:   func(below time.Duration) time.Duration { return time.Duration(c.Random.Int64N(int64(below))) },
	})
	c.next, c.stop = iter.Pull(func(yield func(struct{}) bool) {
		c.yield = yield
		defer func() {
			if r := recover(); r != nil && r != errStopped {
				panic(r)
			}
		}()
		run(c)
	})
	w.clients = append(w.clients, c)
	return c
}

// errStopped unwinds the coroutine of a client whose world has ended.
var errStopped = errors.New("the world has ended")

// Conn is the client's connection to the node.
func (c *Client) Conn() client.Conn { return c.conn }

// Context is a context of the world: it never ends.
func (c *Client) Context() context.Context { return c.context }

// Within is a context that ends after a virtual time.
func (c *Client) Within(d time.Duration) context.Context {
	return &until{Context: c.context, world: c.world, deadline: c.world.clock + d}
}

// Sleep lets virtual time pass.
func (c *Client) Sleep(d time.Duration) {
	c.asleep = d > c.world.config.Bound
	defer func() { c.asleep = false }()
	c.sleep(ended{}, d)
}

// until is a context that ends at a virtual time. Nothing can wait for its end
// but the world.
type until struct {
	context.Context
	world    *World
	deadline time.Duration
}

var _ context.Context = (*until)(nil)

func (u *until) Deadline() (time.Time, bool) {
	return (beginning + msg.Time(u.deadline)).Std(), true
}

func (u *until) Err() error {
	if u.world.clock < u.deadline {
		return nil
	}
	return context.DeadlineExceeded
}

// sleep lets time pass up to the end of the context.
func (c *Client) sleep(ctx context.Context, d time.Duration) bool {
	if deadline, ok := ctx.Deadline(); ok {
		d = min(d, deadline.Sub(c.world.Now()))
	}
	over := false
	c.world.after(max(d, 1), nil, func() {
		over = true
		c.resume()
	})
	for !over {
		c.park()
	}
	return ctx.Err() == nil
}

// park lets the world go on until somebody resumes the client.
func (c *Client) park() {
	if !c.yield(struct{}{}) {
		panic(errStopped)
	}
}

// resume lets the client go on until it parks or ends.
func (c *Client) resume() {
	if c.done {
		return
	}
	if _, more := c.next(); !more {
		c.done = true
		c.world.trace.line(c.world.clock, "%s has ended", c.Name)
	}
}

func (w *World) stopClients() {
	for _, c := range w.clients {
		c.stop()
	}
}

// someSleep says whether a client lets much time pass, and so waits for nobody.
func (w *World) someSleep() bool {
	return slices.ContainsFunc(w.clients, func(c *Client) bool { return c.asleep })
}

func (w *World) clientsDone() bool {
	for _, c := range w.clients {
		if !c.done {
			return false
		}
	}
	return true
}

// door brings a client's requests to the node, through a network.
type door struct{ client *Client }

var _ ingress.Door = door{}

// Describe implements ingress.Door.
func (d door) Describe() program.Description { return d.client.world.program.Describe() }

// Do implements ingress.Door.
func (d door) Do(ctx context.Context, r *msg.Request) msg.Reply {
	w := d.client.world
	call := &call{world: w, client: d.client, request: r, number: w.result.Requests}
	w.result.Requests++
	w.send(call)
	if deadline, ok := ctx.Deadline(); ok {
		w.after(max(deadline.Sub(w.Now()), 1), nil, func() { call.giveUp(errLate) })
		if r.Deadline == 0 && r.Operation != msg.OperationSubmit {
			r.Deadline = msg.TimeOf(deadline) + msg.Time(w.skew)
		}
	}
	for !call.ended {
		d.client.park()
	}
	return call.reply
}

package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/holdfast-io/holdfast/internal/remote"
)

// Handler is told what a server asks of a process.
type Handler interface {
	// Hello says what the process is now, at every new connection.
	Hello() *remote.Hello
	// Assigned begins an attempt. It may be told the same one again, after a
	// break: then it says again what that came to, or goes on with it.
	Assigned(a *remote.Assignment)
	// Stale says that an attempt is not listened to any more: another one has
	// taken its place.
	Stale(a remote.Attempt)
	// Expired says that the session had ended before it was resumed: none of the
	// attempts that Hello named is listened to.
	Expired()
}

// ClientConfig is what a Client is made of.
type ClientConfig struct {
	Server  string // host:port
	Handler Handler
	Logger  *slog.Logger
	// AwayMax is how long the server may be away before Run gives up; 0: for ever.
	AwayMax time.Duration
}

// The pauses between attempts to connect.
const (
	connectFirst = 5 * time.Millisecond
	connectMax   = 300 * time.Millisecond
)

// Client is the side of a process. It keeps requests until they are answered,
// however often the connection breaks.
type Client struct {
	config    ClientConfig
	connected chan struct{} // closed when there has been a connection

	mu      sync.Mutex
	conn    *Conn
	lanes   []*lane // all
	free    []*lane
	stopped error
	once    sync.Once
}

// lane carries one request after the other.
type lane struct {
	id      uint32
	number  uint64
	request *remote.Request // that is not answered; nil: none
	answer  chan *remote.Answer
}

// NewClient makes a Client, which does nothing before Run.
func NewClient(c ClientConfig) *Client {
	return &Client{config: c, connected: make(chan struct{})}
}

// Connected is closed when a server has answered for the first time.
func (c *Client) Connected() <-chan struct{} { return c.connected }

// ErrRefused is the error of Run for a session that a server will not have.
var ErrRefused = errors.New("the server refuses the session")

// ErrAway is the error of Run when the server was away for too long.
var ErrAway = errors.New("the server has been away for too long")

// Run keeps a connection to the server until ctx ends, or the server refuses the
// session, or it was away for too long. Who waits for an answer is then told why
// there is none.
func (c *Client) Run(ctx context.Context) error {
	err := c.run(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = err
	if err == nil {
		c.stopped = errEnded
	}
	for _, l := range c.lanes {
		if l.request != nil {
			l.request = nil
			close(l.answer)
		}
	}
	return err
}

func (c *Client) run(ctx context.Context) error {
	away, pause, run := time.Now(), connectFirst, ""
	for ctx.Err() == nil {
		hello := c.config.Handler.Hello()
		hello.Version, hello.Run = Version, run
		conn, welcome, err := dial(ctx, c.config.Server, hello)
		if err == nil && welcome.Refused != "" {
			conn.Fail(errEnded)
			return fmt.Errorf("%w: %s", ErrRefused, welcome.Refused)
		}
		if err == nil {
			run = welcome.Run
			if welcome.Stale {
				c.config.Handler.Expired()
			}
			err = c.serve(ctx, conn)
			away, pause = time.Now(), connectFirst
		}
		if ctx.Err() != nil {
			break
		}
		c.config.Logger.Debug("no connection to the server", "server", c.config.Server, "error", err)
		if c.config.AwayMax > 0 && time.Since(away) > c.config.AwayMax {
			return fmt.Errorf("%w: %v: %w", ErrAway, c.config.AwayMax, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, connectMax)
	}
	return nil
}

// serve uses a connection until it breaks.
func (c *Client) serve(ctx context.Context, conn *Conn) error {
	stop := context.AfterFunc(ctx, func() {
		_ = conn.Send(FrameGoodbye, &remote.Goodbye{Reason: "the process ends"})
		conn.End()
	})
	defer stop()
	c.mu.Lock()
	c.conn = conn
	var again []*remote.Request
	for _, l := range c.lanes {
		if l.request != nil {
			again = append(again, l.request)
		}
	}
	c.mu.Unlock()
	c.once.Do(func() { close(c.connected) })
	go func() {
		for _, r := range again { // beside reading: both need credit
			_ = conn.Send(FrameRequest, r)
		}
	}()
	err := conn.Receive(c.take)
	c.mu.Lock()
	c.conn = nil
	c.mu.Unlock()
	return err
}

// take handles what the server says.
func (c *Client) take(t FrameType, body []byte) error {
	switch t {
	case FrameAnswer:
		a := new(remote.Answer)
		if err := remote.Decode("Answer", body, a); err != nil {
			return err
		}
		c.answered(a)
	case FrameAssignment:
		a := new(remote.Assignment)
		if err := remote.Decode("Assignment", body, a); err != nil {
			return err
		}
		c.config.Handler.Assigned(a)
	case FrameStale:
		var a remote.Attempt
		if err := remote.Decode("Attempt", body, &a); err != nil {
			return err
		}
		c.config.Handler.Stale(a)
	case FrameGoodbye:
		return errors.New("the server has ended the session")
	default:
		return fmt.Errorf("a frame of type %d, which is not known here", t)
	}
	return nil
}

func (c *Client) answered(a *remote.Answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if int(a.Lane) > len(c.lanes) || a.Lane == 0 {
		return
	}
	l := c.lanes[a.Lane-1]
	if l.request == nil || l.number != a.Number {
		return // it was answered twice: before a break and after it
	}
	l.request = nil
	l.answer <- a
}

// begin puts a request on a lane that is free.
func (c *Client) begin(r *remote.Request) (*lane, *Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped != nil {
		return nil, nil, c.stopped
	}
	var l *lane
	if n := len(c.free); n > 0 {
		l, c.free = c.free[n-1], c.free[:n-1]
	} else {
		l = &lane{id: uint32(len(c.lanes) + 1), answer: make(chan *remote.Answer, 1)}
		c.lanes = append(c.lanes, l)
	}
	l.number++
	r.Lane, r.Number = l.id, l.number
	l.request = r
	return l, c.conn, nil
}

// Pending is a request that has been made and is not answered.
type Pending struct {
	c *Client
	l *lane
}

// Begin makes a request. Requests that one goroutine begins reach the server in
// that order.
func (c *Client) Begin(r *remote.Request) (*Pending, error) {
	l, conn, err := c.begin(r)
	if err != nil {
		return nil, err
	}
	if conn != nil {
		if err := conn.Send(FrameRequest, r); err != nil && conn.alive() {
			c.release(l) // it is too large: it was never made
			return nil, err
		}
	}
	return &Pending{c, l}, nil
}

// Wait waits for the answer: over breaks of the connection and restarts of the
// server, until ctx ends. The request goes on then. It is called once.
func (p *Pending) Wait(ctx context.Context) (*remote.Answer, error) {
	select {
	case a, ok := <-p.l.answer:
		if !ok {
			return nil, p.c.reason()
		}
		p.c.release(p.l)
		return a, nil
	case <-ctx.Done():
		go func() { // the lane is free when the answer has come
			if _, ok := <-p.l.answer; ok {
				p.c.release(p.l)
			}
		}()
		return nil, ctx.Err()
	}
}

// Ask makes a request and waits for the answer.
func (c *Client) Ask(ctx context.Context, r *remote.Request) (*remote.Answer, error) {
	p, err := c.Begin(r)
	if err != nil {
		return nil, err
	}
	return p.Wait(ctx)
}

func (c *Client) reason() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stopped
}

func (c *Client) release(l *lane) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l.request = nil
	c.free = append(c.free, l)
}

// Tell sends something that is not answered, if there is a connection: who
// depends on it says it again at the next one.
func (c *Client) Tell(t FrameType, n remote.Noun) error {
	c.mu.Lock()
	conn := c.conn
	c.mu.Unlock()
	if conn == nil {
		return nil
	}
	return conn.Send(t, n)
}

func (c *Conn) alive() bool {
	select {
	case <-c.done:
		return false
	default:
		return true
	}
}

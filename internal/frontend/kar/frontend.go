package kar

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-io/holdfast/internal/kar"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/program"
	"github.com/holdfast-io/holdfast/internal/remote"
	"github.com/holdfast-io/holdfast/internal/session"
)

// Door is what the frontend knocks at.
type Door interface {
	AskHidden(r *msg.Request, w msg.Waiter) (leave func())
}

// Config is what a Frontend is made of.
type Config struct {
	Version     string
	Lease       time.Duration // of a process whose connection broke; default 3 s
	AttemptsMax uint32        // of an invocation, before it is quarantined; default 5
	Retention   time.Duration // of promises; default 24 h
}

// AttemptsMaxDefault is how often an invocation may end its process.
const AttemptsMaxDefault = 5

// Frontend serves programs in other processes. It is safe for concurrent use.
type Frontend struct {
	config  Config
	program *kar.Program
	logger  *slog.Logger // set before the door is

	mu          sync.Mutex
	changed     chan struct{} // closed, and replaced, when sessions or their attempts change
	door        Door          // nil: not open
	opened      time.Time
	closing     bool
	sessions    map[string]*client         // by name
	offered     map[remote.Target]struct{} // types and services that were ever offered
	placed      map[string]*client         // by key of the actor
	attempts    map[uint64]*attempt        // by token
	quarantined map[string]*quarantine     // by request

	name   string          // of this run of the server
	closed context.Context // ends with Close
	close  context.CancelFunc
}

// New makes a Frontend.
func New(c Config) *Frontend {
	if c.Lease == 0 {
		c.Lease = session.LeaseDefault
	}
	if c.AttemptsMax == 0 {
		c.AttemptsMax = AttemptsMaxDefault
	}
	f := &Frontend{
		config: c, changed: make(chan struct{}), sessions: map[string]*client{}, offered: map[remote.Target]struct{}{},
		placed: map[string]*client{}, attempts: map[uint64]*attempt{}, quarantined: map[string]*quarantine{},
	}
	f.closed, f.close = context.WithCancel(context.Background())
	f.name = fmt.Sprintf("%016x", rand.Uint64())
	f.program = kar.New(kar.Config{Attempts: f, Retention: c.Retention})
	return f
}

// Program is what the frontend serves.
func (f *Frontend) Program() program.Program { return f.program }

// Open lets sessions in. It is called before the door answers, and after Program
// may have been asked for attempts.
func (f *Frontend) Open(d Door, logger *slog.Logger) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.door, f.logger, f.opened = d, logger, time.Now()
	f.wake()
}

// Close ends the sessions. Attempts go on in their processes, and are taken up by
// the next server.
func (f *Frontend) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closing = true
	f.close()
	for _, c := range f.sessions {
		c.end("the server stops")
	}
	f.wake()
}

// wake lets everybody look again who waits for a change. It is called with mu
// held.
func (f *Frontend) wake() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// ServeHTTP takes a session.
func (f *Frontend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	ready := f.door != nil && !f.closing
	f.mu.Unlock()
	if !ready {
		http.Error(w, "the server is not ready for sessions: try again", http.StatusServiceUnavailable)
		return
	}
	conn, hello, err := session.Accept(w, r, f.config.Lease)
	if err != nil {
		f.logger.Debug("no session", "from", r.RemoteAddr, "error", err)
		return
	}
	c, welcome := f.enter(conn, hello)
	if err := conn.Send(session.FrameWelcome, welcome); err != nil || c == nil {
		conn.End()
		return
	}
	conn.Keep(f.config.Lease)
	c.resume(conn)
	err = conn.Receive(func(t session.FrameType, body []byte) error { return c.take(conn, t, body) })
	f.broken(c, conn, err)
}

// enter finds or makes the session of a Hello.
func (f *Frontend) enter(conn *session.Conn, h *remote.Hello) (*client, *remote.Welcome) {
	welcome := &remote.Welcome{Version: session.Version, Server: f.config.Version, Run: f.name, Lease: f.config.Lease, BytesMax: session.BytesMax, Window: session.Window}
	if h.Version != session.Version {
		welcome.Refused = "this server speaks another version of the protocol: use programs of the same version"
		return nil, welcome
	}
	if h.App == "" || h.Session == "" {
		welcome.Refused = "an application and a session must be named"
		return nil, welcome
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.sessions[h.Session]
	resumed := c != nil
	if !resumed {
		c = newClient(f, h)
		f.sessions[h.Session] = c
		f.logger.Log(context.Background(), levelOf(h), "a process has joined", "app", h.App, "session", h.Session, "types", h.Types, "services", h.Services)
	}
	if c.conn != nil {
		c.conn.Fail(errReplaced)
	}
	c.hello, c.left = h, time.Time{}
	c.connect(conn)
	c.live = map[uint64]uint32{}
	for _, a := range h.Live {
		c.live[a.Token] = a.Attempt
	}
	for _, t := range h.Types {
		f.offered[remote.Target{App: h.App, Type: t, ID: "*"}] = struct{}{}
	}
	for _, s := range h.Services {
		f.offered[remote.Target{App: h.App, Type: s}] = struct{}{}
	}
	for _, t := range h.Actors {
		if f.placed[t.Key()] == nil {
			f.placed[t.Key()] = c
		}
	}
	if !resumed && h.Run == f.name {
		welcome.Stale = true // its lease was over
		c.live = nil
	}
	f.wake()
	return c, welcome
}

// levelOf is how much it matters that a process comes or goes: one that offers
// nothing only asks.
func levelOf(h *remote.Hello) slog.Level {
	if len(h.Types)+len(h.Services) == 0 {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// broken gives a process whose connection has broken its lease to come back.
func (f *Frontend) broken(c *client, conn *session.Conn, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c.conn != conn {
		return // it has come back already
	}
	c.left = time.Now()
	c.connect(nil)
	f.logger.Debug("a connection has broken", "session", c.hello.Session, "error", err)
	if c.goodbye || f.closing {
		f.remove(c, "the process has ended")
		return
	}
	left := c.left
	time.AfterFunc(f.config.Lease, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if c.conn == nil && c.left.Equal(left) && f.sessions[c.hello.Session] == c {
			f.remove(c, "the process was not heard of for its lease")
		}
	})
}

// remove ends a session: its attempts are lost. It is called with mu held.
func (f *Frontend) remove(c *client, why string) {
	delete(f.sessions, c.hello.Session)
	c.dead = true
	for token, a := range f.attempts {
		if a.at == c {
			a.end(nil)
			delete(f.attempts, token)
		}
	}
	for key, at := range f.placed {
		if at == c {
			delete(f.placed, key)
		}
	}
	c.forget()
	if !f.closing {
		f.logger.Log(context.Background(), levelOf(c.hello), "a process has left", "app", c.hello.App, "session", c.hello.Session, "reason", why)
	}
	f.wake()
}

// offers reports whether a process can run an invocation.
func (c *client) offers(t remote.Target) bool {
	if c.dead || c.hello.App != t.App {
		return false
	}
	if t.IsService() {
		return slices.Contains(c.hello.Services, t.Type)
	}
	return slices.Contains(c.hello.Types, t.Type)
}

// choose finds the process for an invocation; nil if there is none now. It is
// called with mu held.
func (f *Frontend) choose(t remote.Target) *client {
	if at := f.placed[t.Key()]; !t.IsService() && at != nil {
		return at
	}
	var candidates []*client
	for _, c := range f.sessions {
		if c.conn != nil && !c.goodbye && c.offers(t) {
			candidates = append(candidates, c)
		}
	}
	if len(candidates) == 0 {
		return nil
	}
	c := candidates[rand.IntN(len(candidates))]
	if !t.IsService() {
		f.placed[t.Key()] = c
	}
	return c
}

// tokenOf names an invocation and its sequence.
func tokenOf(t *msg.TaskRun) uint64 {
	f := t.Fingerprint()
	return max(binary.BigEndian.Uint64(f[:]), 1)
}

// ask asks an entity and waits.
func (f *Frontend) ask(ctx context.Context, r *msg.Request) msg.Reply {
	f.mu.Lock()
	door := f.door
	f.mu.Unlock()
	w := make(waiter, 1)
	leave := door.AskHidden(r, w)
	select {
	case reply := <-w:
		return reply
	case <-ctx.Done():
		leave()
		return msg.Reply{Err: msg.Errorf(msg.CodeCancelled, msg.ClassConflict, "nobody waits any more")}
	}
}

type waiter chan msg.Reply

// Answer implements msg.Waiter.
func (w waiter) Answer(r msg.Reply) { w <- r }

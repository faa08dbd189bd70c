package sidecar

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/holdfast-io/holdfast/internal/remote"
	"github.com/holdfast-io/holdfast/internal/session"
)

// Config is what a Sidecar is made of.
type Config struct {
	App             string
	Service         string   // empty: none
	Types           []string // of actors
	Server          string   // host:port
	Listen          string   // host:port of the REST interface; port 0 takes a free one
	Application     string   // host:port where the application listens
	H2C             bool     // the application is called with HTTP/2
	Cancel          bool     // calls that have not begun when this process ends are not begun
	BusyTimeout     time.Duration
	StartWithin     time.Duration
	CollectInterval time.Duration // 0: actors are never deactivated
	AwayMax         time.Duration // how long the server may be away; 0: for ever
	BodyBytesMax    int64         // default 8 MiB less what else a request has
	Logger          *slog.Logger
	// Exited is closed when the application has ended; nil: it is somebody
	// else's.
	Exited <-chan struct{}
}

// bodyBytesMax leaves room for the rest of a record.
const bodyBytesMax = 8<<20 - 64<<10

// Sidecar is safe for concurrent use.
type Sidecar struct {
	config   Config
	name     string
	client   *session.Client
	web      *http.Server
	listener net.Listener
	callback *http.Client // with HTTP/2; nil: wires are used
	wires    wires
	base     string // of the application
	metrics  *metrics
	shutdown chan struct{} // closed when somebody asks for the end
	stale    chan struct{} // closed when what the application does is not listened to
	once     sync.Once
	staled   sync.Once

	mu        sync.Mutex
	attempts  map[string]*attempt // that run, by request
	running   map[uint64]*attempt // the same, by token
	completed map[uint64]*completed
	actors    map[string]*actor   // by key
	recent    map[string]*recent  // by key of the actor
	promised  map[string]*attempt // promises that have not left, by name
}

// completed is an attempt that has ended. It is kept in case the server asks
// again: it has not heard of it, or has lost what it heard before it was durable.
// Should it ask when this is forgotten, the attempt is made again, and nothing of
// the first one has happened.
type completed struct {
	completion *remote.Completion
	at         time.Time
}

// completedFor is how long the ends of attempts are kept.
const completedFor = time.Minute

// New makes a Sidecar that listens. It does nothing before Run.
func New(c Config) (*Sidecar, error) {
	if c.BodyBytesMax == 0 {
		c.BodyBytesMax = bodyBytesMax
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	var config net.ListenConfig
	listener, err := config.Listen(context.Background(), "tcp", c.Listen)
	if err != nil {
		return nil, err
	}
	s := &Sidecar{
		config: c, name: "node-" + random(), listener: listener, base: "http://" + c.Application, metrics: newMetrics(),
		shutdown: make(chan struct{}), stale: make(chan struct{}),
		attempts: map[string]*attempt{}, running: map[uint64]*attempt{}, completed: map[uint64]*completed{},
		actors: map[string]*actor{}, recent: map[string]*recent{}, promised: map[string]*attempt{},
	}
	s.client = session.NewClient(session.ClientConfig{Server: c.Server, Handler: s, Logger: c.Logger, AwayMax: c.AwayMax})
	if s.wires.address = c.Application; c.H2C {
		s.callback = newCallback()
	}
	s.web = newWeb(s.routes(), c.Logger)
	return s, nil
}

// random is a text that no other process makes.
func random() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// Port is where the REST interface is.
func (s *Sidecar) Port() int { return s.listener.Addr().(*net.TCPAddr).Port }

// Connected is closed when the server has answered for the first time.
func (s *Sidecar) Connected() <-chan struct{} { return s.client.Connected() }

// ErrStale is the error of Run when a server has given up what the application
// does: the application must end, because it does not know.
var ErrStale = errors.New("what the application does is done by another process: this one was not heard of for too long")

// Run serves until ctx ends, somebody asks for a shutdown, or there is no use in
// going on. The application is still there when it returns.
func (s *Sidecar) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 2)
	go func() { ended <- s.client.Run(ctx) }()
	go func() {
		if err := s.web.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			ended <- err
		}
	}()
	go s.welcomeTypes(ctx)
	go s.collect(ctx)
	var err error
	select {
	case <-ctx.Done():
	case <-s.shutdown:
	case <-s.stale:
		err = ErrStale
	case err = <-ended:
	}
	cancel() // says goodbye
	grace, stop := context.WithTimeout(context.Background(), time.Second)
	defer stop()
	if s.web.Shutdown(grace) != nil {
		_ = s.web.Close()
	}
	s.wires.close()
	return err
}

// Hello implements session.Handler.
func (s *Sidecar) Hello() *remote.Hello {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := &remote.Hello{Session: s.name, App: s.config.App, Types: s.config.Types, Port: uint32(s.Port())}
	if s.config.Service != "" {
		h.Services = []string{s.config.Service}
	}
	for token, a := range s.running {
		h.Live = append(h.Live, remote.Attempt{Token: token, Attempt: a.Attempt, Request: a.Invocation.Request})
	}
	for token, c := range s.completed {
		h.Live = append(h.Live, remote.Attempt{Token: token, Attempt: c.completion.Attempt, Request: c.completion.Request})
	}
	for _, a := range s.actors {
		if a.active {
			h.Actors = append(h.Actors, a.target)
		}
	}
	return h
}

// Assigned implements session.Handler.
func (s *Sidecar) Assigned(a *remote.Assignment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if before := s.running[a.Token]; before != nil {
		if before.Attempt != a.Attempt {
			s.giveUp(before.Invocation.Request)
		}
		return
	}
	if c := s.completed[a.Token]; c != nil && c.completion.Attempt == a.Attempt {
		go func() { _ = s.client.Tell(session.FrameCompletion, c.completion) }()
		return
	}
	at := s.begin(a)
	go at.run()
}

// Stale implements session.Handler.
func (s *Sidecar) Stale(a remote.Attempt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.completed, a.Token)
	if s.running[a.Token] != nil {
		s.giveUp(a.Request)
	}
}

// Expired implements session.Handler.
func (s *Sidecar) Expired() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.completed = map[uint64]*completed{}
	if len(s.running) > 0 || len(s.actors) > 0 {
		s.giveUp("all requests")
	}
}

// giveUp ends the process: an application that goes on with what another one
// does now cannot be told to stop in any other way.
func (s *Sidecar) giveUp(request string) {
	s.config.Logger.Error("the server does not listen to this process any more", "request", request)
	s.staled.Do(func() { close(s.stale) })
}

// completedAs ends an attempt: the completion is kept, and said.
func (s *Sidecar) completedAs(a *attempt, c *remote.Completion) {
	c = bounded(c)
	c.Token, c.Attempt, c.Request = a.Token, a.Attempt, a.Invocation.Request
	s.mu.Lock()
	delete(s.attempts, a.Invocation.Request)
	delete(s.running, a.Token)
	s.completed[a.Token] = &completed{c, time.Now()}
	s.mu.Unlock()
	if err := s.client.Tell(session.FrameCompletion, c); err != nil {
		s.config.Logger.Debug("a completion waits for a connection", "request", c.Request, "error", err)
	}
}

// What a completion may hold: all of it is one record, and a result is in it
// twice when another actor is told.
const (
	resultBytesMax     = 3 << 20
	completionBytesMax = bodyBytesMax
)

// bounded refuses a completion that is too large for a record: nothing of it is
// kept, and the caller is told why.
func bounded(c *remote.Completion) *remote.Completion {
	size := len(c.Result.Body)
	for n := range c.Changes {
		size += len(c.Changes[n].Key) + len(c.Changes[n].Value)
	}
	for n := range c.Sends {
		size += len(c.Sends[n].Invocation.Body)
	}
	if c.Tail != nil {
		size += len(c.Tail.Body)
	}
	switch {
	case len(c.Result.Body) > resultBytesMax:
		return &remote.Completion{Result: remote.Failed(413, "the result has %d bytes; at most %d can be passed on", len(c.Result.Body), resultBytesMax)}
	case size > completionBytesMax:
		return &remote.Completion{Result: remote.Failed(413, "the result, the state that was written and what was sent have %d bytes; at most %d can be kept at once", size, completionBytesMax)}
	}
	return c
}

// collect forgets ends of attempts, and deactivates actors that are idle.
func (s *Sidecar) collect(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		s.mu.Lock()
		for token, c := range s.completed {
			if now.Sub(c.at) > completedFor {
				delete(s.completed, token)
			}
		}
		for key, r := range s.recent {
			if now.Sub(r.at) > completedFor {
				delete(s.recent, key)
			}
		}
		s.mu.Unlock()
		if every := s.config.CollectInterval; every > 0 && now.Sub(last) >= every {
			last = now
			s.collectActors(ctx, now.Add(-every))
		}
	}
}

func (s *Sidecar) errorf(format string, args ...any) {
	s.config.Logger.Error(fmt.Sprintf(format, args...))
}

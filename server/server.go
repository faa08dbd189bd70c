package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/client"
	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/frontend/native"
	"github.com/holdfast-io/holdfast/internal/ingress"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/program"
)

// Server serves one application once. Make it with New.
type Server struct {
	config  Config
	program program.Program
	conn    client.Conn // for activities
	gate    *gate
	metrics *metrics
	client  *holdfast.Client
	address atomic.Pointer[string]
	ready   chan struct{}
	ran     atomic.Bool
	start   func(ctx context.Context, h host.Host) (running, error) // tests put another one
}

// New makes a server of a valid configuration. The error says everything that
// is wrong with it, and is ErrInvalid. Nothing is opened before Run.
func New(c Config) (*Server, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	s := &Server{
		config:  c.withDefaults(),
		program: noProgram{},
		metrics: newMetrics(),
		ready:   make(chan struct{}),
	}
	if c.App != nil {
		s.program = c.App.Program()
	}
	s.program = withFrontends(s.program, c.Frontends)
	s.start = s.startNode
	s.gate = newGate(s.program.Describe(), s.metrics.request)
	s.conn = ingress.NewConn(s.gate)
	s.client = holdfast.NewClient(s.conn)
	return s, nil
}

// withClient gives activities the client that holdfast.ClientFrom finds.
type withClient struct {
	program.Program
	conn client.Conn
}

// Perform implements program.Program.
func (p withClient) Perform(ctx context.Context, t *msg.TaskRun, heartbeat func(msg.Payload)) *msg.TaskOutcome {
	return p.Program.Perform(client.NewContext(ctx, p.conn), t, heartbeat)
}

// Client is a client in the same process. What it asks for before Run has
// recovered waits, and fails with ErrUnavailable after Run has returned.
func (s *Server) Client() *holdfast.Client { return s.client }

// Ready is closed when recovery is over and requests are admitted.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Addr is the address of the HTTP interface; empty before Run listens.
func (s *Server) Addr() string {
	if address := s.address.Load(); address != nil {
		return *address
	}
	return ""
}

// Run serves until ctx ends, and then shuts down: it admits nothing new,
// finishes what is under way within Config.ShutdownTimeout, takes a last
// checkpoint, and closes the data. It returns nil after an orderly shutdown.
//
// Errors are those of this package; after ErrPoisoned the process should end,
// and may be started again. A server runs once.
func (s *Server) Run(ctx context.Context) error {
	if s.ran.Swap(true) {
		return fmt.Errorf("%w: the server has run already: make another one with New", ErrInvalid)
	}
	defer s.gate.stop()
	listener, err := listen(ctx, s.config.Listen)
	if err != nil {
		return errors.Join(explain("", err), closeHost(s.config.Host))
	}
	address := listener.Addr().String()
	s.address.Store(&address)
	web := s.serveHTTP(listener)
	err = s.runNode(ctx, web)
	if keeps, ok := s.program.(io.Closer); ok {
		err = errors.Join(err, keeps.Close())
	}
	return errors.Join(err, web.close())
}

func listen(ctx context.Context, address string) (net.Listener, error) {
	var config net.ListenConfig
	return config.Listen(ctx, "tcp", address)
}

func closeHost(h host.Host) error {
	if h == nil {
		return nil
	}
	return explain("close the data", h.Close())
}

// runNode runs everything behind the port.
func (s *Server) runNode(ctx context.Context, web *web) error {
	began := time.Now()
	data, err := s.openHost()
	if err != nil {
		return explain("", err)
	}
	n, err := s.start(ctx, watchedHost{data, &s.metrics.node.checkpoint})
	if err != nil {
		err = errors.Join(explain("start", err), closeHost(data))
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			return nil // told to stop while it recovered
		}
		return err
	}
	s.metrics.node.watch(n, data.Log().Room)
	openFrontends(s.config.Frontends, n.Door(), s.config.Logger)
	s.gate.open(n.Door())
	close(s.ready)
	s.config.Logger.Info("serving", "address", s.Addr(), "app", s.program.Describe().App,
		"data", s.config.DataDir, "started_ms", time.Since(began).Milliseconds())
	if s.config.WithoutApp && len(s.config.Frontends) == 0 {
		s.config.Logger.Warn("this server has no application: it serves no kinds, and nothing can be called; " +
			"run the program of an application instead, which brings its server along")
	}
	err = s.wait(ctx, n, web)
	stopped := s.shutdown(n, data)
	if err != nil {
		return err // what stopping says after that follows from it
	}
	return stopped
}

// wait returns when it is time to stop: nil if somebody asked for it.
func (s *Server) wait(ctx context.Context, n running, web *web) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-n.Failed():
		return explain("", err)
	case <-web.ended:
		return explain("serve HTTP", web.err)
	}
}

// shutdown stops in the reverse order of starting, within a bounded time. The
// port stays open: /readyz says what happens.
func (s *Server) shutdown(n running, data host.Host) error {
	logger := s.config.Logger
	began := time.Now()
	logger.Info("shutting down")
	ctx, cancel := context.WithTimeout(context.Background(), s.config.ShutdownTimeout)
	defer cancel()
	for _, f := range s.config.Frontends {
		f.Close()
	}
	if inside := s.gate.close(ctx); inside > 0 {
		logger.Warn("requests did not end in time", "requests", inside, "timeout_ms", s.config.ShutdownTimeout.Milliseconds())
	}
	s.metrics.node.forget()
	err := explain("stop", n.Close(ctx))
	err = errors.Join(err, closeHost(data))
	s.gate.stop()
	logger.Info("stopped", "took_ms", time.Since(began).Milliseconds())
	return err
}

// web is the running HTTP interface.
type web struct {
	server *http.Server
	ended  chan struct{}
	err    error // why it ended; set before ended is closed
}

// httpGrace is how long answers may take to be written at the end: every request
// has been answered by then. Connections that a client has opened and not used
// are waited for as long.
const httpGrace = time.Second

func (s *Server) serveHTTP(l net.Listener) *web {
	handler := native.New(native.Config{
		Door:         s.gate,
		Metrics:      s.metrics.handler(),
		Observe:      s.metrics.httpRequest,
		BodyBytesMax: s.config.BodyBytesMax,
		Version:      Version(),
	})
	w := &web{
		server: native.NewServer(routed(handler, s.config.Frontends), slog.NewLogLogger(s.config.Logger.Handler(), slog.LevelDebug)),
		ended:  make(chan struct{}),
	}
	go func() {
		defer close(w.ended)
		w.err = w.server.Serve(l)
	}()
	return w
}

// close ends the HTTP interface and waits for its goroutine.
func (w *web) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), httpGrace)
	defer cancel()
	err := w.server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = w.server.Close() // clients that do not read their answers
	}
	<-w.ended
	return err
}

package session_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-io/holdfast/internal/remote"
	"github.com/holdfast-io/holdfast/internal/session"
)

// Goal: what crosses a session crosses once, over breaks, and what makes no sense
// ends the connection and nothing else. Method: a server in this process that
// answers as the test says.

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

// host accepts sessions.
type host struct {
	t       *testing.T
	web     *httptest.Server
	welcome remote.Welcome
	take    func(c *session.Conn, t session.FrameType, body []byte) error

	mu    sync.Mutex
	conns []*session.Conn
	ended []error
}

func newHost(t *testing.T) *host {
	h := &host{t: t, welcome: remote.Welcome{Version: session.Version, Lease: session.LeaseDefault, Window: session.Window}}
	h.web = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, _, err := session.Accept(w, r, session.LeaseDefault)
		if err != nil {
			return
		}
		if c.Send(session.FrameWelcome, &h.welcome) != nil || h.welcome.Refused != "" {
			c.End()
			return
		}
		c.Keep(session.LeaseDefault)
		h.mu.Lock()
		h.conns = append(h.conns, c)
		h.mu.Unlock()
		err = c.Receive(func(t session.FrameType, body []byte) error {
			if t == session.FrameGoodbye {
				return errors.New("goodbye")
			}
			return h.take(c, t, body)
		})
		h.mu.Lock()
		h.ended = append(h.ended, err)
		h.mu.Unlock()
	}))
	t.Cleanup(func() {
		h.cut()
		h.web.Close()
	})
	return h
}

func (h *host) address() string { return strings.TrimPrefix(h.web.URL, "http://") }

func (h *host) cut() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.conns {
		c.Fail(errors.New("cut"))
	}
	h.conns = nil
}

type handler struct{ assigned func(a *remote.Assignment) }

func (h *handler) Hello() *remote.Hello          { return &remote.Hello{App: "a", Session: "s"} }
func (h *handler) Assigned(a *remote.Assignment) { h.assigned(a) }
func (h *handler) Stale(remote.Attempt)          {}
func (h *handler) Expired()                      {}

func (h *host) client(with *handler) *session.Client {
	c := session.NewClient(session.ClientConfig{Server: h.address(), Handler: with, Logger: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	h.t.Cleanup(func() { cancel(); <-ended })
	return c
}

func decoded(t *testing.T, body []byte) *remote.Request {
	r := new(remote.Request)
	if err := remote.Decode("Request", body, r); err != nil {
		t.Error(err)
	}
	return r
}

// TestRequestsAreAskedAgainUntilTheyAreAnswered cuts the connection again and
// again; every request has one answer, under one lane and number.
func TestRequestsAreAskedAgainUntilTheyAreAnswered(t *testing.T) {
	h := newHost(t)
	var mu sync.Mutex
	names := map[string]string{} // lane and number: the name of the request
	var taken atomic.Int64
	h.take = func(c *session.Conn, _ session.FrameType, body []byte) error {
		r := decoded(t, body)
		id := fmt.Sprint(r.Lane, "/", r.Number)
		mu.Lock()
		if before, known := names[id]; known && before != r.Name {
			t.Errorf("%s is %s and %s", id, before, r.Name)
		}
		names[id] = r.Name
		mu.Unlock()
		if taken.Add(1)%3 == 0 {
			return errors.New("cut")
		}
		return c.Send(session.FrameAnswer, &remote.Answer{Lane: r.Lane, Number: r.Number, Result: remote.Result{Body: []byte(r.Name)}})
	}
	c := h.client(&handler{})
	var asking sync.WaitGroup
	for n := range 8 {
		asking.Go(func() {
			for i := range 25 {
				name := fmt.Sprint(n, "-", i)
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				a, err := c.Ask(ctx, &remote.Request{Kind: remote.RequestAwait, Name: name})
				cancel()
				if err != nil || string(a.Result.Body) != name {
					t.Errorf("%s: got %+v, %v", name, a, err)
				}
			}
		})
	}
	asking.Wait()
	if len(names) != 200 {
		t.Errorf("%d requests were made, want 200", len(names))
	}
}

func TestCreditBoundsWhatIsUnderWay(t *testing.T) {
	for _, window := range []uint32{session.Window, session.Window / 4} {
		t.Run(fmt.Sprint(window), func(t *testing.T) { boundsWhatIsUnderWay(t, window) })
	}
}

func boundsWhatIsUnderWay(t *testing.T, window uint32) {
	h := newHost(t)
	h.welcome.Window = window
	release := make(chan struct{})
	var taken atomic.Int64
	h.take = func(c *session.Conn, _ session.FrameType, body []byte) error {
		<-release // credit is given for what was taken
		taken.Add(int64(len(body)))
		r := decoded(t, body)
		return c.Send(session.FrameAnswer, &remote.Answer{Lane: r.Lane, Number: r.Number})
	}
	c := h.client(&handler{})
	<-c.Connected()
	const each, count = 1 << 20, 40
	var begun atomic.Int64
	var asking sync.WaitGroup
	for range count {
		asking.Go(func() {
			p, err := c.Begin(&remote.Request{Kind: remote.RequestPublish, Body: make([]byte, each)})
			if err != nil {
				t.Error(err)
				return
			}
			begun.Add(1)
			if _, err := p.Wait(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	time.Sleep(200 * time.Millisecond)
	if n := begun.Load(); n > int64(window)/each+1 {
		t.Errorf("%d requests of a megabyte were sent without credit", n)
	}
	close(release)
	asking.Wait()
	if taken.Load() < each*count {
		t.Errorf("%d bytes came", taken.Load())
	}
}

// TestAWelcomeWithoutCreditIsNoSession: who waited for credit would wait for ever.
func TestAWelcomeWithoutCreditIsNoSession(t *testing.T) {
	h := newHost(t)
	h.welcome.Window = 0
	c := session.NewClient(session.ClientConfig{Server: h.address(), Handler: &handler{}, Logger: slog.New(slog.DiscardHandler), AwayMax: time.Second})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := c.Run(ctx); !errors.Is(err, session.ErrAway) || !strings.Contains(err.Error(), "allows no bytes") {
		t.Errorf("got %v", err)
	}
}

func TestAFrameThatIsTooLargeIsRefused(t *testing.T) {
	h := newHost(t)
	h.take = func(c *session.Conn, _ session.FrameType, body []byte) error {
		r := decoded(t, body)
		return c.Send(session.FrameAnswer, &remote.Answer{Lane: r.Lane, Number: r.Number})
	}
	c := h.client(&handler{})
	<-c.Connected()
	if _, err := c.Ask(t.Context(), &remote.Request{Kind: remote.RequestPublish, Body: make([]byte, session.BytesMax)}); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("got %v", err)
	}
	if _, err := c.Ask(t.Context(), &remote.Request{Kind: remote.RequestPublish, Body: make([]byte, 1)}); err != nil {
		t.Errorf("the next request: %v", err)
	}
}

func TestARefusedSessionIsNotTriedAgain(t *testing.T) {
	h := newHost(t)
	h.welcome.Refused = "not you"
	c := session.NewClient(session.ClientConfig{Server: h.address(), Handler: &handler{}, Logger: slog.New(slog.DiscardHandler)})
	if err := c.Run(t.Context()); !errors.Is(err, session.ErrRefused) || !strings.Contains(err.Error(), "not you") {
		t.Errorf("got %v", err)
	}
	if _, err := c.Ask(t.Context(), &remote.Request{}); !errors.Is(err, session.ErrRefused) {
		t.Errorf("asked afterwards: %v", err)
	}
}

// TestWhatIsNoSession: the server answers what is no request for one, and ends
// connections on which nonsense comes.
func TestWhatIsNoSession(t *testing.T) {
	h := newHost(t)
	h.take = func(_ *session.Conn, kind session.FrameType, body []byte) error {
		if kind != session.FrameRequest {
			return fmt.Errorf("type %d", kind)
		}
		return remote.Decode("Request", body, new(remote.Request))
	}
	r, err := http.Get(h.web.URL)
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Body.Close()
	if r.StatusCode != http.StatusUpgradeRequired || r.Header.Get("Upgrade") != session.Protocol {
		t.Errorf("got %s, Upgrade %q", r.Status, r.Header.Get("Upgrade"))
	}
	http.DefaultClient.CloseIdleConnections()
	hello := remote.Append(nil, &remote.Hello{Version: 1, App: "a", Session: "s"})
	for name, bytes := range map[string][]byte{
		"no Hello":        frame(session.FrameRequest, nil),
		"a bad Hello":     frame(session.FrameHello, []byte("\xff")),
		"a huge length":   {0xff, 0xff, 0xff, 0xff, 1},
		"no length":       {0, 0, 0, 0},
		"half a frame":    frame(session.FrameHello, hello)[:7],
		"a bad request":   append(frame(session.FrameHello, hello), frame(session.FrameRequest, []byte("\xff"))...),
		"an unknown type": append(frame(session.FrameHello, hello), frame(99, nil)...),
	} {
		conn, err := net.Dial("tcp", h.address())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", session.Protocol)
		in := bufio.NewReader(conn)
		if _, err := http.ReadResponse(in, nil); err != nil {
			t.Fatal(err)
		}
		_, _ = conn.Write(bytes)
		if name == "half a frame" {
			_ = conn.(*net.TCPConn).CloseWrite()
		}
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.Copy(io.Discard, in); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%s: the connection goes on: %v", name, err)
		}
		_ = conn.Close()
	}
}

func frame(kind session.FrameType, body []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(body)+1))
	return append(append(b, byte(kind)), body...)
}

// TestFramesComeWholeAndInOrder: many at once, small and large.
func TestFramesComeWholeAndInOrder(t *testing.T) {
	h := newHost(t)
	connected := make(chan *session.Conn, 1)
	h.take = func(c *session.Conn, _ session.FrameType, _ []byte) error { connected <- c; return nil }
	got := make(chan *remote.Assignment, 10000)
	c := h.client(&handler{assigned: func(a *remote.Assignment) { got <- a }})
	<-c.Connected()
	if _, err := c.Begin(&remote.Request{Kind: remote.RequestAwait}); err != nil {
		t.Fatal(err)
	}
	conn := <-connected
	const count = 3000
	go func() {
		for n := range count {
			a := &remote.Assignment{Token: uint64(n + 1), Invocation: remote.Invocation{Body: bytes.Repeat([]byte{byte(n)}, n%7*(n%11)*100)}}
			if !conn.Post(session.FrameAssignment, a) {
				if err := conn.Send(session.FrameAssignment, a); err != nil {
					t.Error(err)
				}
			}
		}
	}()
	for n := range count {
		select {
		case a := <-got:
			if a.Token != uint64(n+1) || len(a.Invocation.Body) != n%7*(n%11)*100 {
				t.Fatalf("assignment %d has token %d and %d bytes", n, a.Token, len(a.Invocation.Body))
			}
		case <-time.After(patience):
			t.Fatalf("assignment %d does not come", n)
		}
	}
}

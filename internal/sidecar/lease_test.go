package sidecar_test

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast/internal/sidecar"
	"github.com/holdfast-io/holdfast/server"
)

// wire stands between a process and the server, and can be cut.
type wire struct {
	listener net.Listener
	server   string

	mu    sync.Mutex
	isCut bool
	conns []net.Conn
}

func newWire(t *testing.T, server string) *wire {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{listener: l, server: server}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { w.carry(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		w.cut()
		running.Wait()
	})
	return w
}

func (w *wire) carry(c net.Conn) {
	defer c.Close()
	s, err := net.Dial("tcp", w.server)
	if err != nil {
		return
	}
	defer s.Close()
	w.mu.Lock()
	if w.isCut {
		w.mu.Unlock()
		return
	}
	w.conns = append(w.conns, c, s)
	w.mu.Unlock()
	done := make(chan struct{})
	go func() {
		_, _ = io.Copy(s, c)
		_ = s.Close()
		close(done)
	}()
	_, _ = io.Copy(c, s)
	_ = c.Close()
	<-done
}

func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.isCut = true
	for _, c := range w.conns {
		_ = c.Close()
	}
	w.conns = nil
}

func (w *wire) mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.isCut = false
}

func (w *wire) address() string { return w.listener.Addr().String() }

func TestAConnectionThatBreaksIsResumed(t *testing.T) {
	r := newRig(t, server.KARConfig{})
	w := newWire(t, r.address)
	g := newGate()
	var ran atomic.Int64
	p := r.join(&app{methods: map[string]method{
		"slow": func(c *call) any {
			ran.Add(1)
			c.add("n")
			g.pass()
			return c.within("other", "add", "[]").body
		},
		"add": func(c *call) any { return c.add("n") },
	}}, func(c *sidecar.Config) { c.Server = w.address() })
	got := later(func() response { return p.invoke("x", "slow", "[]") })
	g.wait(t)
	for range 3 {
		w.cut()
		time.Sleep(50 * time.Millisecond)
		w.mend()
		want(t, p.invoke("y", "add", "[]", "Pragma: async"), 202, "text/plain", "OK")
	}
	w.cut()
	close(g.open) // what follows is asked while the connection is broken
	time.Sleep(100 * time.Millisecond)
	w.mend()
	want(t, <-got, 200, actorJSON, value(`"{\"value\":1}"`))
	want(t, p.invoke("y", "add", "[]"), 200, actorJSON, value(4))
	if ran.Load() != 1 {
		t.Errorf("it ran %d times, want once", ran.Load())
	}
}

// TestAStaleProcessIsFenced: a process that was away for longer than its lease
// must end, and nothing that it says counts.
func TestAStaleProcessIsFenced(t *testing.T) {
	r := newRig(t, server.KARConfig{Lease: time.Second})
	w := newWire(t, r.address)
	g := newGate()
	var ran atomic.Int64
	methods := map[string]method{
		"slow": func(c *call) any {
			c.add("n")
			if ran.Add(1) == 1 {
				g.pass()
				_, _ = c.try(client, "PUT", "/kar/v1/actor/A/x/state/stale", "1") // nobody is there, or nobody listens
				return nil
			}
			return c.add("n")
		},
	}
	front := r.join(&app{}, func(c *sidecar.Config) { c.Types = nil })
	old := r.join(&app{methods: methods}, func(c *sidecar.Config) { c.Server = w.address() })
	got := later(func() response { return front.invoke("x", "slow", "[]") })
	g.wait(t)
	r.join(&app{methods: methods})
	began := time.Now()
	w.cut()
	want(t, <-got, 200, actorJSON, value(2))
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("taking over took %v", took)
	}
	w.mend()
	select {
	case err := <-old.ended:
		if err != sidecar.ErrStale {
			t.Errorf("the old process ended with %v", err)
		}
		old.ended <- err
	case <-time.After(patience):
		t.Fatal("the old process was not told that it is stale")
	}
	close(g.open)
	want(t, front.ask("GET", "/kar/v1/actor/A/x/state", ""), 200, "application/json", `{"n":2}`)
	if ran.Load() != 2 {
		t.Errorf("it ran %d times, want twice", ran.Load())
	}
}

func TestAProcessEndsWhenTheServerIsAwayForTooLong(t *testing.T) {
	r := newRig(t, server.KARConfig{})
	w := newWire(t, r.address)
	p := r.join(&app{}, func(c *sidecar.Config) { c.Server, c.AwayMax = w.address(), 200*time.Millisecond })
	w.cut()
	select {
	case err := <-p.ended:
		if err == nil {
			t.Error("it ended without saying why")
		}
		p.ended <- err
	case <-time.After(patience):
		t.Fatal("it goes on without a server")
	}
}

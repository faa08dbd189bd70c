package sidecar_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast/internal/sidecar"
	"github.com/holdfast-io/holdfast/server"
)

const actorJSON = "application/kar+json"

func value(v any) string { return fmt.Sprintf(`{"value":%v}`, v) }

// gate holds callbacks until it is opened.
type gate struct {
	entered chan struct{}
	open    chan struct{}
}

func newGate() *gate { return &gate{make(chan struct{}, 100), make(chan struct{})} }

func (g *gate) pass() {
	g.entered <- struct{}{}
	<-g.open
}

func (g *gate) wait(t *testing.T) {
	t.Helper()
	select {
	case <-g.entered:
	case <-time.After(patience):
		t.Fatal("nobody came to the gate")
	}
}

// later runs something beside the test, and gives what came of it.
func later(f func() response) <-chan response {
	c := make(chan response, 1)
	go func() { c <- f() }()
	return c
}

func TestAnActorTakesOneFlowAtATimeInOrder(t *testing.T) {
	r := newRig(t, server.KARConfig{})
	g := newGate()
	var order []string
	a := &app{methods: map[string]method{
		"hold": func(*call) any { g.pass(); return "held" },
		"note": func(c *call) any { order = append(order, string(c.arguments[0])); return nil },
	}}
	p := r.join(a)
	first := later(func() response { return p.invoke("x", "hold", "[]") })
	g.wait(t)
	for n := range 5 {
		want(t, p.invoke("x", "note", fmt.Sprintf("[%d]", n), "Pragma: async"), 202, "text/plain", "OK")
	}
	want(t, p.invoke("y", "note", `["other"]`), 204, "", "")
	close(g.open)
	want(t, <-first, 200, actorJSON, value(`"held"`))
	want(t, p.invoke("x", "note", `["last"]`), 204, "", "")
	if got := strings.Join(order, " "); got != `"other" 0 1 2 3 4 "last"` {
		t.Errorf("the order is %s", got)
	}
}

func TestCallsOfTheFlowThatHoldsAnActorEnterIt(t *testing.T) {
	r := newRig(t, server.KARConfig{})
	p := r.join(&app{methods: map[string]method{
		"outer": func(c *call) any {
			c.set("k", "1")
			return c.within(c.id, "inner", "[]").body + c.get("k")
		},
		"inner":  func(c *call) any { return c.add("k") },
		"around": func(c *call) any { return c.within("other", "back", fmt.Sprintf("[%q]", c.id)).body },
		"back":   func(c *call) any { return c.within(strings.Trim(string(c.arguments[0]), `"`), "inner", "[]").body },
	}})
	want(t, p.invoke("x", "outer", "[]"), 200, actorJSON, value(`"{\"value\":2}2"`))
	if got := p.invoke("x", "around", "[]"); !strings.Contains(got.body, "3") {
		t.Errorf("got %v, want the third write of the actor that is held by the flow", got)
	}
	want(t, p.ask("GET", "/kar/v1/actor/A/x/state/k", ""), 200, "application/json", "3")
}

func TestWaitingForABusyActorHasAnEnd(t *testing.T) {
	r := newRig(t, server.KARConfig{})
	g := newGate()
	p := r.join(&app{methods: map[string]method{
		"hold":  func(*call) any { g.pass(); return nil },
		"quick": func(*call) any { return "quick" },
		// Two actors that call each other by flows of their own wait for each other.
		"cross": func(c *call) any {
			g.pass()
			return c.ask(http.MethodPost, "/kar/v1/actor/A/"+strings.Trim(string(c.arguments[0]), `"`)+"/call/quick", "[]").body
		},
	}}, func(c *sidecar.Config) { c.BusyTimeout = 300 * time.Millisecond })
	held := later(func() response { return p.invoke("x", "hold", "[]") })
	g.wait(t)
	got := p.invoke("x", "quick", "[]")
	if got.status != 500 || !strings.HasPrefix(got.body, "failed to send message: Possible deadlock: timed out waiting in instance queue for") {
		t.Errorf("got %v", got)
	}
	a, b := later(func() response { return p.invoke("a", "cross", `["b"]`) }), later(func() response { return p.invoke("b", "cross", `["a"]`) })
	g.wait(t)
	g.wait(t)
	close(g.open)
	if a, b := <-a, <-b; !strings.Contains(a.body+b.body, "Possible deadlock") {
		t.Errorf("got %v and %v, want a deadlock that has ended", a, b)
	}
	<-held
	want(t, p.invoke("x", "quick", "[]"), 200, actorJSON, value(`"quick"`))
}

func TestTailCalls(t *testing.T) {
	r := newRig(t, server.KARConfig{})
	g := newGate()
	var mu sync.Mutex
	var order []string
	note := func(s string) { mu.Lock(); defer mu.Unlock(); order = append(order, s) }
	p := r.join(&app{
		methods: map[string]method{
			"keep": func(c *call) any {
				c.add("n")
				g.pass()
				return tail{"actorType": "A", "actorId": c.id, "path": "/end", "payload": `["kept"]`}
			},
			"release": func(c *call) any {
				c.add("n")
				g.pass()
				return tail{"actorType": "A", "actorId": c.id, "path": "/end", "payload": `["released"]`, "releaseLock": "true"}
			},
			"end":     func(c *call) any { note(string(c.arguments[0])); return c.add("n") },
			"between": func(c *call) any { note("between"); return c.number("n") },
			"other": func(c *call) any {
				c.add("n")
				return tail{"actorType": "A", "actorId": "target", "path": "end", "payload": `["other"]`}
			},
			"service": func(c *call) any {
				return tail{"serviceName": "svc", "path": "/text", "payload": `{"x":1}`, "method": "POST"}
			},
			"chain": func(c *call) any {
				var n int
				_, _ = fmt.Sscan(string(c.arguments[0]), &n)
				if c.add("n"); n == 0 {
					return "end of chain"
				}
				return tail{"actorType": "A", "actorId": fmt.Sprintf("link%d", n), "path": "/chain", "payload": fmt.Sprintf("[%d]", n-1)}
			},
		},
		service: func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "served %s", r.Header.Get("Content-Type"))
		},
	})
	for _, c := range []struct{ method, order string }{{"keep", `"kept" between`}, {"release", `between "released"`}} {
		order = nil
		first := later(func() response { return p.invoke(c.method, c.method, "[]") })
		g.wait(t)
		second := later(func() response { return p.invoke(c.method, "between", "[]") })
		eventually(t, "the second waits", func() bool { return strings.Contains(p.ask("GET", "/kar/v1/system/health", "").body, "OK") })
		time.Sleep(50 * time.Millisecond)
		g.open <- struct{}{}
		want(t, <-first, 200, actorJSON, value(2))
		<-second
		if got := strings.Join(order, " "); got != c.order {
			t.Errorf("%s: the order is %s, want %s", c.method, got, c.order)
		}
	}
	want(t, p.invoke("o", "other", "[]"), 200, actorJSON, value(1))
	want(t, p.invoke("s", "service", "[]"), 200, actorJSON, value(`"served application/json"`))
	want(t, p.invoke("c", "chain", "[20]"), 200, actorJSON, value(`"end of chain"`))
	want(t, p.ask("GET", "/kar/v1/actor/A/link7/state/n", ""), 200, "application/json", "1")
}

func TestPromises(t *testing.T) {
	r := newRig(t, server.KARConfig{})
	g := newGate()
	p := r.join(&app{methods: map[string]method{
		"hold": func(*call) any { g.pass(); return 42 },
		"void": func(*call) any { return nil },
		"inside": func(c *call) any {
			id := c.within("other", "void", "[]", "Pragma: promise").body
			first := c.ask("POST", "/kar/v1/await", id)
			id = c.within("other", "value", "[]", "Pragma: promise").body
			return fmt.Sprint(first.status, c.ask("POST", "/kar/v1/await", id).body)
		},
		"value": func(*call) any { return 7 },
	}})
	other := r.join(&app{}, func(c *sidecar.Config) { c.Types = nil })
	id := p.invoke("x", "hold", "[]", "Pragma: promise")
	if id.status != 202 || !strings.HasPrefix(id.body, "req-") {
		t.Fatalf("got %v, want the name of a request", id)
	}
	waits := later(func() response { return other.ask("POST", "/kar/v1/await", id.body) })
	g.wait(t)
	r.restart()
	close(g.open)
	want(t, <-waits, 200, actorJSON, value(42))
	for range 2 {
		want(t, p.ask("POST", "/kar/v1/await", id.body), 200, actorJSON, value(42))
	}
	want(t, p.invoke("y", "inside", "[]"), 200, actorJSON, value(`"204{\"value\":7}"`))
}

func TestWhatAMethodTellsLeavesInOrderBeforeItWaits(t *testing.T) {
	r := newRig(t, server.KARConfig{})
	var mu sync.Mutex
	var order []string
	p := r.join(&app{methods: map[string]method{
		"note": func(c *call) any {
			mu.Lock()
			defer mu.Unlock()
			order = append(order, string(c.arguments[0]))
			return len(order)
		},
		"tells": func(c *call) any {
			c.within("sink", "note", "[1]", "Pragma: async")
			c.within("sink", "note", "[2]", "Pragma: async")
			seen := c.within("sink", "note", "[3]").body // waits, behind both
			c.within("sink", "note", "[4]", "Pragma: async")
			return seen
		},
	}})
	want(t, p.invoke("x", "tells", "[]"), 200, actorJSON, value(`"{\"value\":3}"`))
	want(t, p.invoke("sink", "note", "[5]"), 200, actorJSON, value(5))
	if got := strings.Join(order, " "); got != "1 2 3 4 5" {
		t.Errorf("the order is %s", got)
	}
}

func TestMissingComponents(t *testing.T) {
	r := newRig(t, server.KARConfig{})
	p := r.join(&app{methods: map[string]method{"a": func(*call) any { return 1 }}}, func(c *sidecar.Config) { c.StartWithin = 200 * time.Millisecond; c.Types = nil })
	if got := p.ask("POST", "/kar/v1/actor/A/x/call/a", "[]"); got.status != 404 {
		t.Errorf("got %v, want 404: nobody ever offered the type", got)
	}
	if got := p.ask("GET", "/kar/v1/service/none/call/a", ""); got.status != 404 {
		t.Errorf("got %v, want 404: nobody ever offered the service", got)
	}
	q := r.join(p.app)
	want(t, p.invoke("x", "a", "[]"), 200, actorJSON, value(1))
	q.leave()
	if got := p.ask("POST", "/kar/v1/actor/A/x/call/a", "[]"); got.status != 408 {
		t.Errorf("got %v, want 408: who offered the type is gone", got)
	}
	want(t, p.invoke("x", "a", "[]", "Pragma: async"), 202, "text/plain", "OK")
}

func TestIdleActorsAreDeactivated(t *testing.T) {
	r := newRig(t, server.KARConfig{})
	p := r.join(&app{methods: map[string]method{"a": func(*call) any { return nil }}}, func(c *sidecar.Config) { c.CollectInterval = time.Second })
	p.invoke("x", "a", "[]")
	eventually(t, "the actor is deactivated", func() bool { return strings.Contains(p.app.noted(), "-x") })
	p.invoke("x", "a", "[]")
	if got := p.app.noted(); !strings.HasPrefix(got, "+x, -x, +x") {
		t.Errorf("the application was asked %s", got)
	}
}

func TestDeletingAnActorDeletesEverythingOfIt(t *testing.T) {
	r := newRig(t, server.KARConfig{})
	var told atomic.Int64
	p := r.join(&app{methods: map[string]method{
		"set":  func(c *call) any { c.set("k", "1"); return nil },
		"told": func(*call) any { told.Add(1); return nil },
	}})
	p.invoke("x", "set", "[]")
	p.ask("PUT", "/kar/v1/actor/A/x/state/m/s", "2")
	p.ask("PUT", "/kar/v1/actor/A/x/reminders/r", `{"path":"/told","targetTime":"2125-01-02T03:04:05Z","period":"10ms"}`)
	p.ask("PUT", "/kar/v1/actor/A/x/events/e", `{"path":"/told","topic":"t"}`)
	want(t, p.ask("DELETE", "/kar/v1/actor/A/x", ""), 202, "text/plain", "OK")
	eventually(t, "the actor is gone", func() bool { return p.ask("GET", "/kar/v1/actor/A/x/state", "").body == "{}" })
	want(t, p.ask("GET", "/kar/v1/actor/A/x/reminders", ""), 200, "application/json", "[]")
	want(t, p.ask("GET", "/kar/v1/actor/A/x/events", ""), 200, "application/json", "[]")
	p.ask("POST", "/kar/v1/event/t/publish", `1`)
	if got := p.app.noted(); got != "+x, -x" {
		t.Errorf("the application was asked %s", got)
	}
	p.invoke("x", "set", "[]")
	if told.Load() > 0 {
		t.Error("a deleted actor was told something")
	}
}

func TestBodiesHaveALimit(t *testing.T) {
	r := newRig(t, server.KARConfig{})
	p := r.join(&app{methods: map[string]method{"a": func(c *call) any { return strings.Repeat("x", 9<<20) }, "b": func(c *call) any { return len(c.body) }}})
	if got := p.invoke("x", "b", strings.Repeat(" ", 9<<20)+"[]"); got.status != 413 {
		t.Errorf("got %d %.80s, want 413", got.status, got.body)
	}
	if got := p.invoke("x", "a", "[]"); got.status != 413 {
		t.Errorf("got %d %.80s, want 413", got.status, got.body)
	}
	want(t, p.invoke("x", "b", strings.Repeat(" ", 1<<20)+"[]"), 200, actorJSON, value(1<<20+2))
	large := `"` + strings.Repeat("x", 6<<20) + `"`
	for n := range 3 {
		want(t, p.ask("PUT", fmt.Sprint("/kar/v1/actor/A/x/state/k", n), large), 201, "", "")
	}
	if got := p.ask("GET", "/kar/v1/actor/A/x/state", ""); got.status != 413 || !strings.Contains(got.body, "ask for parts") {
		t.Errorf("got %d %.80s, want 413", got.status, got.body)
	}
	want(t, p.ask("GET", "/kar/v1/actor/A/x/state/k2", ""), 200, "application/json", large)
}

// TestACallWhoseCallerIsGoneIsCancelled, if that was asked for: it waits in a
// queue, and is not begun.
func TestACallWhoseCallerIsGoneIsCancelled(t *testing.T) {
	for _, cancel := range []bool{true, false} {
		r := newRig(t, server.KARConfig{Lease: 500 * time.Millisecond})
		g := newGate()
		var ran atomic.Int64
		p := r.join(&app{methods: map[string]method{
			"hold": func(*call) any { g.pass(); return nil },
			"run":  func(*call) any { ran.Add(1); return nil },
			"last": func(*call) any { return nil },
		}})
		gone := r.join(&app{}, func(c *sidecar.Config) { c.Types, c.Cancel = nil, cancel })
		held := later(func() response { return p.invoke("x", "hold", "[]") })
		g.wait(t)
		waits := make(chan struct{})
		go func() {
			defer close(waits)
			_, _ = gone.try(client, http.MethodPost, "/kar/v1/actor/A/x/call/run", "[]")
		}()
		time.Sleep(700 * time.Millisecond) // a server that has just begun waits for who may come back
		gone.leave()
		<-waits
		close(g.open)
		<-held
		want(t, p.invoke("x", "last", "[]"), 204, "", "")
		if got := ran.Load(); cancel == (got > 0) {
			t.Errorf("cancel %v: it ran %d times", cancel, got)
		}
	}
}

// TestOthersDoNotPauseWhenAProcessDies: while one process is not heard of, actors
// of another are called without a gap.
func TestOthersDoNotPauseWhenAProcessDies(t *testing.T) {
	r := newRig(t, server.KARConfig{Lease: 2 * time.Second})
	w := newWire(t, r.address)
	methods := map[string]method{"a": func(c *call) any { return c.add("n") }}
	front := r.join(&app{}, func(c *sidecar.Config) { c.Types = nil })
	lost := r.join(&app{methods: methods}, func(c *sidecar.Config) { c.Server = w.address() })
	want(t, front.invoke("lost", "a", "[]"), 200, actorJSON, value(1))
	r.join(&app{methods: methods})
	stays := ""
	for n := 0; stays == ""; n++ {
		id := fmt.Sprint("x", n)
		front.invoke(id, "a", "[]")
		if !strings.Contains(lost.app.noted(), "+"+id) {
			stays = id
		}
	}
	w.cut()
	began := time.Now()
	resumed := later(func() response { return front.invoke("lost", "a", "[]") })
	worst, calls := time.Duration(0), 0
	for done := false; !done; calls++ {
		before := time.Now()
		front.invoke(stays, "a", "[]")
		worst = max(worst, time.Since(before))
		select {
		case got := <-resumed:
			want(t, got, 200, actorJSON, value(2))
			done = true
		default:
		}
	}
	paused := time.Since(began)
	t.Logf("the actor of the lost process paused %v; the longest of %d calls of another took %v", paused, calls, worst)
	if paused < time.Second || paused > 5*time.Second || worst > paused/2 {
		t.Errorf("it paused %v, and others up to %v", paused, worst)
	}
}

package sidecar_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast/internal/sidecar"
	"github.com/holdfast-io/holdfast/server"
)

// breakOff ends a callback as the end of an application does.
func breakOff() any { panic(http.ErrAbortHandler) }

func TestAnAttemptThatDiesLeavesNoStateBehind(t *testing.T) {
	r := newRig(t, server.KARConfig{})
	var attempts atomic.Int64
	var names [3]string
	p := r.join(&app{methods: map[string]method{"count": func(c *call) any {
		n := c.add("n")
		attempt := attempts.Add(1)
		names[attempt-1] = c.header.Get("X-Holdfast-Request")
		if got := c.header.Get("X-Holdfast-Attempt"); got != fmt.Sprint(attempt) {
			t.Errorf("attempt %d is called %s", attempt, got)
		}
		if attempt < 3 {
			return breakOff()
		}
		return n
	}}})
	want(t, p.invoke("x", "count", "[]"), 200, actorJSON, value(1))
	want(t, p.ask("GET", "/kar/v1/actor/A/x/state/n", ""), 200, "application/json", "1")
	if attempts.Load() != 3 {
		t.Errorf("%d attempts, want 3", attempts.Load())
	}
	if names[0] == "" || names[0] != names[1] || names[1] != names[2] {
		t.Errorf("the attempts are of requests %q, want one", names)
	}
}

func TestAReentrantCallCommitsWhatWasWrittenSoFar(t *testing.T) {
	r := newRig(t, server.KARConfig{})
	var outer, inner atomic.Int64
	p := r.join(&app{methods: map[string]method{
		"outer": func(c *call) any {
			first := c.get("before") == ""
			c.set("before", "1")
			seen := c.within(c.id, "inner", "[]").body
			c.set("after", "1")
			if outer.Add(1) == 1 {
				return breakOff()
			}
			return fmt.Sprint(first, seen)
		},
		"inner": func(c *call) any { inner.Add(1); return c.get("before") },
	}})
	want(t, p.invoke("x", "outer", "[]"), 200, actorJSON, value(`"false{\"value\":\"1\"}"`))
	want(t, p.ask("GET", "/kar/v1/actor/A/x/state", ""), 200, "application/json", `{"after":1,"before":1}`)
	if inner.Load() != 1 {
		t.Errorf("the inner call ran %d times, want once: its result was recorded", inner.Load())
	}
}

// TestALostCallWithinLeavesWhatItsCallerWrote: the two share what they have written,
// and one of them is lost.
func TestALostCallWithinLeavesWhatItsCallerWrote(t *testing.T) {
	r := newRig(t, server.KARConfig{})
	var inner atomic.Int64
	p := r.join(&app{methods: map[string]method{
		"outer": func(c *call) any {
			c.set("old", "2")
			c.set("mine", "1")
			return c.within(c.id, "inner", "[]").body + c.get("old")
		},
		"inner": func(c *call) any {
			c.set("lost", fmt.Sprint(inner.Add(1)))
			c.set("old", "3")
			if inner.Load() == 1 {
				return breakOff()
			}
			return c.get("mine")
		},
	}})
	p.ask("PUT", "/kar/v1/actor/A/x/state/old", "1")
	want(t, p.invoke("x", "outer", "[]"), 200, actorJSON, value(`"{\"value\":\"1\"}3"`))
	want(t, p.ask("GET", "/kar/v1/actor/A/x/state", ""), 200, "application/json", `{"lost":2,"mine":1,"old":3}`)
}

func TestARepeatedAttemptGetsRecordedResultsAndSendsNothingTwice(t *testing.T) {
	r := newRig(t, server.KARConfig{})
	var outer, calls, tells atomic.Int64
	p := r.join(&app{methods: map[string]method{
		"outer": func(c *call) any {
			n := outer.Add(1)
			c.within("sink", "tell", "[]", "Pragma: async")
			if n == 1 { // another order does not matter
				c.within("callee", "call", `["b"]`)
			}
			a := c.within("callee", "call", `["a"]`).body
			b := c.within("callee", "call", `["b"]`).body
			c.within("sink", "tell", "[]", "Pragma: async")
			if n < 3 {
				return breakOff()
			}
			return strings.TrimSpace(a) + strings.TrimSpace(b)
		},
		"call": func(c *call) any { calls.Add(1); return strings.Trim(string(c.arguments[0]), `"`) },
		"tell": func(*call) any { tells.Add(1); return nil },
	}})
	want(t, p.invoke("x", "outer", "[]"), 200, actorJSON, value(`"{\"value\":\"a\"}{\"value\":\"b\"}"`))
	p.invoke("sink", "tell", "[]")
	if calls.Load() != 3 || tells.Load() != 3 { // b twice, because the first attempt called it twice
		t.Errorf("%d calls and %d tells, want 3 and 3", calls.Load(), tells.Load())
	}
}

// TestASurvivingCalleeIsWaitedFor: the process of the caller goes, that of the
// callee does not.
func TestASurvivingCalleeIsWaitedFor(t *testing.T) {
	r := newRig(t, server.KARConfig{})
	g := newGate()
	var callee atomic.Int64
	var overlap, running atomic.Int64
	methods := map[string]method{
		"outer": func(c *call) any {
			if running.Load() > 0 {
				overlap.Add(1)
			}
			return c.within("callee", "slow", "[]").body
		},
		"slow": func(*call) any {
			running.Add(1)
			defer running.Add(-1)
			callee.Add(1)
			g.pass()
			return "done"
		},
		"none": func(*call) any { return nil },
	}
	front := r.join(&app{}, func(c *sidecar.Config) { c.Types = nil })
	only := r.join(&app{methods: methods})
	front.invoke("callee", "none", "[]") // places the callee
	second := r.join(&app{methods: methods})
	caller := ""
	for n := 0; caller == ""; n++ { // one that is placed at the other process
		id := fmt.Sprint("x", n)
		front.invoke(id, "none", "[]")
		if strings.Contains(second.app.noted(), "+"+id) {
			caller = id
		}
	}
	got := later(func() response { return front.invoke(caller, "outer", "[]") })
	g.wait(t)
	second.leave()
	time.Sleep(200 * time.Millisecond)
	close(g.open)
	want(t, <-got, 200, actorJSON, value(`"{\"value\":\"done\"}"`))
	if callee.Load() != 1 || overlap.Load() != 0 {
		t.Errorf("the callee ran %d times, and %d attempts of the caller began beside it", callee.Load(), overlap.Load())
	}
	_ = only
}

func TestAnotherProcessTakesOverAndOnlyItsActorsPause(t *testing.T) {
	r := newRig(t, server.KARConfig{})
	methods := map[string]method{"add": func(c *call) any { return c.add("n") }}
	front := r.join(&app{}, func(c *sidecar.Config) { c.Types = nil })
	first, second := r.join(&app{methods: methods}), r.join(&app{methods: methods})
	const actors = 20
	for n := range actors {
		want(t, front.invoke(fmt.Sprint("x", n), "add", "[]"), 200, actorJSON, value(1))
	}
	began := time.Now()
	first.leave()
	for n := range actors {
		want(t, front.invoke(fmt.Sprint("x", n), "add", "[]"), 200, actorJSON, value(2))
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("taking over took %v", took)
	}
	if a, b := strings.Count(first.app.noted(), "+"), strings.Count(second.app.noted(), "+"); a == 0 || a+b != actors+a || b != actors {
		t.Errorf("%d were active in the first process and %d in the second, want all of %d in the second at the end", a, b, actors)
	}
}

func TestAServerThatIsRestartedFindsTheAttempt(t *testing.T) {
	r := newRig(t, server.KARConfig{})
	g := newGate()
	var ran atomic.Int64
	p := r.join(&app{methods: map[string]method{
		"slow": func(c *call) any {
			ran.Add(1)
			c.add("n")
			g.pass()
			c.within("other", "tell", "[]", "Pragma: async")
			return c.add("n")
		},
		"tell": func(c *call) any { return c.add("told") },
	}})
	got := later(func() response { return p.invoke("x", "slow", "[]") })
	g.wait(t)
	r.restart()
	time.Sleep(100 * time.Millisecond)
	r.restart()
	close(g.open)
	want(t, <-got, 200, actorJSON, value(2))
	if ran.Load() != 1 {
		t.Errorf("it ran %d times, want once", ran.Load())
	}
	want(t, p.invoke("other", "tell", "[]"), 200, actorJSON, value(2))
}

func TestACompletionOfWhichTheServerDidNotHearIsSaidAgain(t *testing.T) {
	r := newRig(t, server.KARConfig{})
	g := newGate()
	var ran atomic.Int64
	p := r.join(&app{methods: map[string]method{"slow": func(c *call) any { ran.Add(1); g.pass(); return c.add("n") }}})
	got := later(func() response { return p.invoke("x", "slow", "[]") })
	g.wait(t)
	r.stop()
	close(g.open)
	time.Sleep(100 * time.Millisecond) // it has ended, and nobody is there to hear of it
	r.start(r.address)
	want(t, <-got, 200, actorJSON, value(1))
	if ran.Load() != 1 {
		t.Errorf("it ran %d times, want once", ran.Load())
	}
}

func TestAPoisonedInvocationIsQuarantined(t *testing.T) {
	for _, decision := range []string{"release", "drop"} {
		t.Run(decision, func(t *testing.T) {
			r := newRig(t, server.KARConfig{AttemptsMax: 2})
			var ran atomic.Int64
			healthy := atomic.Bool{}
			p := r.join(&app{methods: map[string]method{
				"poison": func(c *call) any {
					ran.Add(1)
					if !healthy.Load() {
						return breakOff()
					}
					return c.add("n")
				},
				"other": func(*call) any { return nil },
			}})
			got := later(func() response { return p.invoke("x", "poison", "[]") })
			c, err := sidecar.Call(t.Context(), sidecar.CallerConfig{App: "app", Server: r.address, Wait: patience, Logger: discard})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			var request string
			eventually(t, "it is in quarantine", func() bool { request = quarantined(t, c); return request != "" })
			if ran.Load() != 2 {
				t.Errorf("%d attempts, want 2", ran.Load())
			}
			want(t, p.invoke("y", "other", "[]"), 204, "", "") // others go on
			healthy.Store(true)
			decide(t, c, request, decision == "release")
			switch r := <-got; decision {
			case "release":
				want(t, r, 200, actorJSON, value(1))
			default:
				if r.status != 500 || !strings.Contains(r.body, "given up after 2 attempts") {
					t.Errorf("got %v", r)
				}
			}
			if quarantined(t, c) != "" {
				t.Error("it is still in quarantine")
			}
		})
	}
}

func TestRemindersFireOnce(t *testing.T) {
	r := newRig(t, server.KARConfig{})
	var once, often atomic.Int64
	a := &app{methods: map[string]method{
		"once":  func(c *call) any { once.Add(1); return c.add("once") },
		"often": func(c *call) any { often.Add(1); return nil },
		"inside": func(c *call) any {
			c.ask("PUT", "/kar/v1/actor/A/"+c.id+"/reminders/mine", `{"path":"/once","targetTime":"2001-01-01T00:00:00Z"}`)
			return strings.TrimSpace(c.ask("GET", "/kar/v1/actor/A/"+c.id+"/reminders", "").body)
		},
	}}
	p := r.join(a)
	p.ask("PUT", "/kar/v1/actor/A/x/reminders/once", `{"path":"/once","targetTime":"2001-01-01T00:00:00Z","data":[1]}`)
	p.ask("PUT", "/kar/v1/actor/A/x/reminders/often", `{"path":"/often","targetTime":"2001-01-01T00:00:00Z","period":"100ms"}`)
	eventually(t, "it fires often", func() bool { return often.Load() >= 3 })
	r.stop()
	time.Sleep(500 * time.Millisecond) // several periods
	before := often.Load()
	r.start(r.address)
	eventually(t, "it fires after a restart", func() bool { return often.Load() > before })
	p.ask("DELETE", "/kar/v1/actor/A/x/reminders/often", "")
	want(t, p.invoke("x", "once", "[]"), 200, actorJSON, value(2)) // and the reminder before
	if got := p.invoke("y", "inside", "[]"); !strings.Contains(got.body, "mine") {
		t.Errorf("a method does not see the reminder that it has set: %v", got)
	}
	eventually(t, "the reminder of a method fires", func() bool { return once.Load() == 3 })
	want(t, p.invoke("y", "once", "[]"), 200, actorJSON, value(2))
}

func TestEventsReachEverySubscriberInOrder(t *testing.T) {
	r := newRig(t, server.KARConfig{})
	seen := make(chan string, 100)
	p := r.join(&app{methods: map[string]method{"on": func(c *call) any { seen <- c.id + string(c.body); return nil }}})
	for n := range 3 {
		p.ask("POST", "/kar/v1/event/t/publish", fmt.Sprint(n)) // before anybody listens
	}
	p.ask("PUT", "/kar/v1/actor/A/a/events/t", `{"path":"/on","topic":"t"}`)
	p.ask("PUT", "/kar/v1/actor/A/b/events/t", `{"path":"/on","topic":"t","contentType":"text/plain"}`)
	p.ask("PUT", "/kar/v1/actor/A/c/events/t", `{"path":"/on","topic":"t","offsetOldest":"true"}`)
	for n := 3; n < 6; n++ {
		p.ask("POST", "/kar/v1/event/t/publish", fmt.Sprintf(`{"n":%d}`, n))
	}
	got := map[string]string{}
	for range 3 + 3 + 6 {
		select {
		case s := <-seen:
			got[s[:1]] += s[1:]
		case <-time.After(patience):
			t.Fatalf("got only %v", got)
		}
	}
	for id, want := range map[string]string{
		"a": `[{"n":3}][{"n":4}][{"n":5}]`, "b": `["{\"n\":3}"]["{\"n\":4}"]["{\"n\":5}"]`, "c": `[0][1][2][{"n":3}][{"n":4}][{"n":5}]`,
	} {
		if got[id] != want {
			t.Errorf("%s saw %s, want %s", id, got[id], want)
		}
	}
	p.ask("DELETE", "/kar/v1/actor/A/a/events", "")
	p.ask("POST", "/kar/v1/event/t/publish", "7")
	for range 2 {
		if s := <-seen; strings.HasPrefix(s, "a") {
			t.Error("who has cancelled was told")
		}
	}
}

// TestAnotherProcessWritesStateDuringAnAttempt: what an attempt has not written is
// not touched by its completion, and it goes on to see what there was when it
// began.
func TestAnotherProcessWritesStateDuringAnAttempt(t *testing.T) {
	r := newRig(t, server.KARConfig{})
	g := newGate()
	p := r.join(&app{methods: map[string]method{"slow": func(c *call) any {
		c.set("mine", "1")
		g.pass()
		return c.get("theirs")
	}}})
	other := r.join(&app{}, func(c *sidecar.Config) { c.Types = nil })
	got := later(func() response { return p.invoke("x", "slow", "[]") })
	g.wait(t)
	want(t, other.ask("PUT", "/kar/v1/actor/A/x/state/theirs", "2"), 201, "", "")
	want(t, other.ask("GET", "/kar/v1/actor/A/x/state/mine", ""), 404, "", "Not Found") // not yet
	close(g.open)
	want(t, <-got, 200, actorJSON, value(`""`))
	want(t, other.ask("GET", "/kar/v1/actor/A/x/state", ""), 200, "application/json", `{"mine":1,"theirs":2}`)
}

// TestWhatIsAskedOfAServerThatHasJustBegun: it may not have taken up yet the
// attempt that asks.
func TestWhatIsAskedOfAServerThatHasJustBegun(t *testing.T) {
	r := newRig(t, server.KARConfig{})
	var asked, ran atomic.Int64
	stop := make(chan struct{})
	p := r.join(&app{methods: map[string]method{
		"busy": func(c *call) any {
			ran.Add(1)
			for {
				select {
				case <-stop:
					return c.add("n")
				default:
				}
				asked.Add(1)
				if got := c.within("other", "add", "[]"); got.status != 200 {
					return fmt.Sprint("a call was answered ", got)
				}
			}
		},
		"add": func(c *call) any { return c.add("n") },
	}})
	got := make([]<-chan response, 8)
	for n := range got {
		got[n] = later(func() response { return p.invoke(fmt.Sprint("x", n), "busy", "[]") })
	}
	for range 3 {
		before := asked.Load()
		eventually(t, "calls are made", func() bool { return asked.Load() > before+20 })
		r.restart()
	}
	close(stop)
	for n := range got {
		want(t, <-got[n], 200, actorJSON, value(1))
	}
	want(t, p.invoke("other", "add", "[]"), 200, actorJSON, value(asked.Load()+1))
	if ran.Load() != int64(len(got)) {
		t.Errorf("%d attempts, want %d", ran.Load(), len(got))
	}
}

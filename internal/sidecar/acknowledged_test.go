package sidecar_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast/internal/sidecar"
	"github.com/holdfast-io/holdfast/server"
)

// Goal: what the REST interface has acknowledged is there for whoever asks the same
// process afterwards, whatever runs at the actor meanwhile. Method: somebody from
// outside writes while a method runs, and reads when it has ended, or is about to;
// the connection to the server is broken when the method ends, so that the question
// arrives before what the method came to.

const door = "/kar/v1/actor/A/door"

func TestWhatIsAcknowledgedIsThereWhenTheMethodHasEnded(t *testing.T) {
	r := newRig(t, server.KARConfig{})
	w := newWire(t, r.address)
	begun, end := make(chan bool), make(chan bool)
	p := r.join(&app{methods: map[string]method{"slow": func(*call) any { begun <- true; <-end; return nil }}},
		func(c *sidecar.Config) { c.Server = w.address() })
	for _, o := range []struct{ path, body, answer string }{
		{door + "/state/color", `"red"`, `"red"`},
		{door + "/reminders/party", `{"path":"/slow","targetTime":"2100-01-01T00:00:00Z"}`,
			`{"Actor":{"Type":"A","ID":"door"},"id":"party","path":"/slow","targetTime":"2100-01-01T00:00:00Z"}`},
	} {
		got := later(func() response { return p.invoke("door", "slow", "[]") })
		<-begun
		if put := p.ask("PUT", o.path, o.body); put.status/100 != 2 {
			t.Fatal(put)
		}
		w.cut()
		end <- true
		time.Sleep(100 * time.Millisecond) // it has ended, and the server cannot have heard of it
		read := later(func() response { return p.ask("GET", o.path, "") })
		time.Sleep(50 * time.Millisecond)
		w.mend()
		want(t, <-read, 200, "application/json", o.answer)
		want(t, <-got, 204, "", "")
	}
}

func TestWhatIsAcknowledgedWhileAMethodEndsIsThere(t *testing.T) {
	r := newRig(t, server.KARConfig{})
	p := r.join(&app{methods: map[string]method{"touch": func(c *call) any { return c.add("n") }}})
	for n := range 300 {
		want(t, p.invoke("door", "touch", "[]", "Pragma: async"), 202, "text/plain", "OK")
		time.Sleep(time.Duration(n%30) * 20 * time.Microsecond)
		state, reminder := fmt.Sprintf("%s/state/k%d", door, n), fmt.Sprintf("%s/reminders/r%d", door, n)
		if n%2 == 0 {
			want(t, p.ask("PUT", reminder, `{"path":"/touch","targetTime":"2100-01-01T00:00:00Z"}`), 204, "", "")
			want(t, p.ask("DELETE", reminder, ""), 200, "text/plain", "1")
			continue
		}
		want(t, p.ask("PUT", state, "1"), 201, "", "")
		want(t, p.ask("GET", state, ""), 200, "application/json", "1")
	}
	want(t, p.invoke("door", "touch", "[]"), 200, actorJSON, value(301)) // none runs any more
}

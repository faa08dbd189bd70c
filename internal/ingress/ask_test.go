package ingress_test

import (
	"context"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast/client"
	"github.com/holdfast-io/holdfast/internal/ingress"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// Goal: whoever cannot wait in a call gets the same answers as who can, and a
// connection takes clock and chance from where it is told. Method: waiters that
// count, and a door that refuses.

// answers notes what a waiter is told.
type answers struct{ told []msg.Reply }

func (a *answers) Answer(r msg.Reply) { a.told = append(a.told, r) }

func TestAskTellsTheAnswerOnce(t *testing.T) {
	for name, operation := range map[string]msg.Operation{
		"one partition": msg.OperationCall, "all partitions": msg.OperationList, "what is parked": msg.OperationParked,
	} {
		p, w := now(msg.Reply{Found: true, Keys: []string{"k"}}), &answers{}
		request := deposit()
		request.Operation, request.Limit = operation, 2
		same := *request
		want := openIngress(now(msg.Reply{Found: true, Keys: []string{"k"}})).Do(t.Context(), &same)
		leave := openIngress(p).Ask(request, w)
		if len(w.told) != 1 || !reflect.DeepEqual(w.told[0], want) {
			t.Errorf("%s: got %+v, want %+v once", name, w.told, want)
		}
		if leave(); name != "one partition" && p.commands()[len(p.commands())-1].Kind == msg.CommandLeave {
			t.Errorf("%s: a partition that has answered was left", name)
		}
	}
}

func TestAskTellsWhyARequestIsRefused(t *testing.T) {
	p, w := never(), &answers{}
	request := deposit()
	request.Handler = "rob"
	openIngress(p).Ask(request, w)()
	if len(w.told) != 1 || w.told[0].Err == nil || w.told[0].Err.Code != msg.CodeNotFound || len(p.commands()) != 0 {
		t.Errorf("got %+v, and %d commands", w.told, len(p.commands()))
	}
}

func TestWhoLeavesIsForgottenWhereItHasAsked(t *testing.T) {
	p, w := never(), &answers{}
	request := deposit()
	openIngress(p).Ask(request, w)()
	told := p.commands()
	if len(told) != 2 || told[1].Kind != msg.CommandLeave || told[1].Waiter != msg.Waiter(w) ||
		told[1].Request.Invocation != request.Invocation || told[1].partition != told[0].partition {
		t.Errorf("partitions were told %+v", told)
	}
}

// counter is a source of bytes that repeats itself.
type counter struct{ next byte }

func (c *counter) Read(b []byte) (int, error) {
	for n := range b {
		c.next++
		b[n] = c.next
	}
	return len(b), nil
}

func TestAConnectionTakesClockAndChanceFromItsConfig(t *testing.T) {
	door := always(msg.Reply{Err: msg.Errorf(msg.CodeUnavailable, msg.ClassUnavailable, "not now")})
	clock := time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
	var slept []time.Duration
	conn := ingress.NewConnWith(ingress.ConnConfig{
		Door: door, Sessions: client.NewSessionsFrom(&counter{}), Now: func() time.Time { return clock },
		Sleep: func(_ context.Context, d time.Duration) bool {
			clock, slept = clock.Add(d), append(slept, d)
			return true
		},
		Jitter: func(below time.Duration) time.Duration { return below / 2 },
	})
	_, err := conn.Invoke(t.Context(), client.Request{Operation: client.Submit, Kind: "account", Key: "k", Handler: "deposit", Delay: time.Hour})
	if err == nil {
		t.Fatal("it was answered")
	}
	first := door.asked[0]
	if want := msg.SessionID([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}); first.Identity.Session != want {
		t.Errorf("got session %x, want %x", first.Identity.Session, want)
	}
	if want := msg.TimeOf(time.Date(2100, 1, 1, 1, 0, 0, 0, time.UTC)); first.NotBefore != want {
		t.Errorf("it is to begin at %v, want %v", first.NotBefore.Std(), want.Std())
	}
	if !slices.Equal(slept[:3], []time.Duration{7500 * time.Microsecond, 15 * time.Millisecond, 30 * time.Millisecond}) {
		t.Errorf("it slept %v", slept)
	}
	if waited := clock.Sub(time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)); waited < time.Minute || waited > time.Minute+time.Second {
		t.Errorf("it gave up after %v, want a minute", waited)
	}
}

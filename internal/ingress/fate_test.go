package ingress_test

import (
	"context"
	"errors"
	"testing"

	"github.com/holdfast-io/holdfast/client"
	"github.com/holdfast-io/holdfast/internal/ingress"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// Goal: a caller in process hears that its request was not done where that is
// certain, and only there. Method: a connection to a real door.

var depositing = client.Request{Kind: "account", Key: "alice", Handler: "deposit"}

func failureOf(t *testing.T, err error) *client.Error {
	t.Helper()
	var failed *client.Error
	if !errors.As(err, &failed) {
		t.Fatalf("got %v, want a *client.Error", err)
	}
	return failed
}

// TestARequestThatWasNotBegunHasAKnownFate, and its session goes on.
func TestARequestThatWasNotBegunHasAKnownFate(t *testing.T) {
	p := now(msg.Reply{})
	door := openIngress(p)
	conn := ingress.NewConn(door)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := conn.Invoke(t.Context(), depositing); err != nil {
		t.Fatal(err)
	}
	_, err := conn.Invoke(gone, depositing)
	if failed := failureOf(t, err); failed.Unknown || failed.Code != msg.CodeCancelled || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v with unknown=%v, want a cancellation of a known fate", err, failed.Unknown)
	}
	if _, err := conn.Invoke(t.Context(), depositing); err != nil {
		t.Fatal(err)
	}
	all := p.commands()
	if len(all) != 2 || all[0].Request.Identity.Session != all[1].Request.Identity.Session {
		t.Errorf("told %+v, want two requests of one session", all)
	}
	door.Stop()
	_, err = conn.Invoke(t.Context(), depositing)
	if failed := failureOf(t, err); failed.Unknown || failed.Code != msg.CodeUnavailable {
		t.Errorf("got %v with unknown=%v from a door that has stopped, want unavailable of a known fate", err, failed.Unknown)
	}
}

// TestAnEarlierAttemptKeepsTheFateOpen: that nothing was done the last time says
// nothing of the time before.
func TestAnEarlierAttemptKeepsTheFateOpen(t *testing.T) {
	real := openIngress(never())
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for _, last := range []msg.Reply{real.Do(gone, deposit()), {Err: ingress.ErrStopped}} {
		door := &scriptedDoor{}
		door.answer = func(context.Context, *msg.Request) msg.Reply {
			if len(door.asked) == 1 {
				return msg.Reply{Err: msg.Errorf(msg.CodeUnavailable, msg.ClassUnavailable, "the log has failed")}
			}
			return last
		}
		_, err := ingress.NewConn(door).Invoke(t.Context(), depositing)
		if failed := failureOf(t, err); !failed.Unknown || failed.Code != last.Err.Code || len(door.asked) != 2 {
			t.Errorf("got %v with unknown=%v after %d attempts, want %s of an unknown fate after 2", err, failed.Unknown, len(door.asked), last.Err.Code)
		}
	}
}

package memory

// Goal: the twin keeps the contract of every host. What only it can do (fail on
// demand) is tested here.

import (
	"errors"
	"testing"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/host/hosttest"
)

// storeOf gives the store of a test's data.
func storeOf(d *hosttest.Data) *Store {
	if d.Kept == nil {
		d.Kept = New(Config{Identity: d.Identity, FrameBytesMax: d.FrameBytesMax})
	}
	return d.Kept.(*Store)
}

func TestConformance(t *testing.T) {
	hosttest.Run(t, hosttest.Harness{
		Open: func(d *hosttest.Data) (host.Host, error) {
			h, err := storeOf(d).Open()
			if err != nil {
				return nil, err
			}
			return h, nil
		},
		Crash: func(d *hosttest.Data) { storeOf(d).Crash() },
	})
}

func TestFailedAppendPoisonsUntilTheStoreIsOpenedAgain(t *testing.T) {
	for _, stored := range []bool{false, true} {
		cause := errors.New("no such luck")
		s := New(Config{})
		h, err := s.Open()
		if err != nil {
			t.Fatal(err)
		}
		epoch, _, err := h.Log().Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s.FailAppend(cause, stored)
		f := host.Frame{Epoch: epoch, Number: 1, First: 1, Count: 1}
		for range 2 {
			if err := h.Log().Append(&f); !errors.Is(err, host.ErrPoisoned) || !errors.Is(err, cause) {
				t.Fatalf("got %v, want ErrPoisoned for %v", err, cause)
			}
		}
		s.Crash()
		if h, err = s.Open(); err != nil {
			t.Fatal(err)
		}
		_, last, err := h.Log().Acquire(t.Context())
		if err != nil || (last.Number == 1) != stored {
			t.Errorf("stored %v: got last frame %d, %v", stored, last.Number, err)
		}
	}
}

func TestRoomIsWhatTheTestSays(t *testing.T) {
	s := New(Config{})
	h, err := s.Open()
	if err != nil {
		t.Fatal(err)
	}
	reason := errors.New("the test says so")
	s.SetRoom(reason)
	if err := h.Log().Room(); !errors.Is(err, host.ErrFull) || !errors.Is(err, reason) {
		t.Errorf("got %v, want ErrFull because %v", err, reason)
	}
	s.SetRoom(nil)
	if err := h.Log().Room(); err != nil {
		t.Errorf("got %v, want nil", err)
	}
}

package bank

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/holdfasttest"
	"github.com/holdfast-io/holdfast/internal/crashtest"
)

func TestANameIsTakenOnce(t *testing.T) {
	taken := Customer{Checking: "ann-checking", Savings: "ann-savings"}
	for _, c := range []struct {
		state Customer
		owner string
		want  error
	}{
		{Customer{}, "ann", nil},
		{taken, "ann", ErrTaken},
		{Customer{}, "..", ErrRecipient},
	} {
		r := holdfasttest.Take(signUp, c.state, Entry{Owner: c.owner}, holdfasttest.Key(c.owner))
		if !errors.Is(r.Err, c.want) || c.want == nil && r.State != taken {
			t.Errorf("%+v: got %+v, want %v", c, r, c.want)
		}
	}
}

// Everybody signs up twice while the process is killed, pays between the two
// accounts, and asks: the total never differs.
func TestCustomersHaveTwoAccountsThroughCrashes(t *testing.T) {
	const names, checking, savings = 8, 70, 30
	s := crashtest.Start(t, 3)
	c := s.Client()
	var users sync.WaitGroup
	for n := range names {
		users.Go(func() {
			owner := fmt.Sprintf("owner-%d", n)
			e := Entry{Owner: owner, Checking: checking, Savings: savings}
			if err := untilKnown(func() error { return SignedUp.Raise(c, e, holdfast.IdempotencyKey(owner)) }); err != nil {
				t.Error(err)
			}
			if err := untilKnown(func() error { return SignedUp.Raise(c, e) }); !errors.Is(err, ErrTaken) {
				t.Errorf("signing up twice: %v, want %v", err, ErrTaken)
			}
			for round := range 10 {
				id := fmt.Sprintf("%s-%d", owner, round)
				p := Payment{checkingOf(owner), savingsOf(owner), 5}
				if err := untilKnown(func() error { return Moved.Raise(c, p, holdfast.IdempotencyKey(id)) }); err != nil {
					t.Error(err)
				}
				var got Statement
				err := untilKnown(func() (err error) { got, err = Inquiry.Call(c, id, owner); return err })
				if want := (Statement{checking - 5*int64(round+1), savings + 5*int64(round+1), checking + savings}); err != nil || got != want {
					t.Errorf("%s: got %+v, %v, want %+v", id, got, err, want)
				}
			}
		})
	}
	s.Survive(5, func(int) {}, "everybody is done", func() bool { return true })
	users.Wait()
}

// untilKnown repeats what can be repeated until its fate is known.
func untilKnown(do func() error) error {
	for {
		if err := do(); !errors.Is(err, holdfast.ErrUnavailable) {
			return err
		}
	}
}

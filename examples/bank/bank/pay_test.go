package bank

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/holdfasttest"
	"github.com/holdfast-io/holdfast/internal/crashtest"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/workflow/workflowtest"
)

func TestMain(m *testing.M) { crashtest.Main(m, App()) }

func TestPaymentsThatMakeNoSense(t *testing.T) {
	for _, p := range []Payment{{"", "bob", 1}, {"alice", "..", 1}, {"alice", "alice", 1}} {
		if err := p.check(); !errors.Is(err, ErrRecipient) {
			t.Errorf("%+v: %v", p, err)
		}
	}
	if err := (Payment{"alice", "bob", 1}).check(); err != nil {
		t.Error(err)
	}
}

// A payment is cancelled after each of its steps in turn, before or after what it
// waits for has come: no cent is lost or made, and its status says what it did
// unless it was cancelled.
func TestACancelledPaymentMovesEverythingOrNothing(t *testing.T) {
	for _, balances := range []map[string]int64{{"alice": 5}, {"alice": 4}, {"alice": 5, "bob": balanceMax}} {
		seen := map[msg.WorkflowStatus]int{}
		for seed := range uint64(50) {
			for after := range 6 {
				seen[payAndCancel(t, maps.Clone(balances), seed, after)]++
			}
		}
		if seen[msg.WorkflowCancelled] == 0 || seen[msg.WorkflowCompleted]+seen[msg.WorkflowFailed] == 0 {
			t.Errorf("%v: the payments have ended as %v, want some of each", balances, seen)
		}
	}
}

// payAndCancel pays 5 from alice to bob on an ideal engine that chooses at random
// what comes next. It has no locks, and a payment that is alone needs none.
func payAndCancel(t *testing.T, balances map[string]int64, seed uint64, after int) msg.WorkflowStatus {
	t.Helper()
	before := maps.Clone(balances)
	e := &workflowtest.Engine{Program: holdfast.NewApp("bank", Pay.Handle(pay)).Program(), Choose: rand.New(rand.NewPCG(seed, 1)).IntN}
	e.Entity = func(m *msg.Outgoing) (msg.Payload, *msg.Error) {
		change := map[string]func(*holdfast.UpdateContext[Account], int64) (int64, error){"deposit": deposit, "withdraw": withdraw}[m.Handler]
		amount, err := strconv.ParseInt(string(m.Payload.Body), 10, 64)
		r := holdfasttest.Turn(change, Account{balances[m.Target.Key]}, amount)
		if err := errors.Join(err, r.Err); err != nil {
			return msg.Payload{}, msg.Errorf("refused", msg.ClassConflict, "%v", err)
		}
		balances[m.Target.Key] = r.State.Balance
		return msg.Payload{Body: strconv.AppendInt(nil, r.Out, 10)}, nil
	}
	run := e.Start("transfer", "1", `{"from":"alice","to":"bob","amount":5}`)
	for range after {
		e.Do()
	}
	e.Cancel(run)
	e.Run()
	alice, bob := balances["alice"]-before["alice"], balances["bob"]-before["bob"]
	if status := run.Header.Status; alice != -bob || alice != 0 && alice != -5 || status == msg.WorkflowCompleted && alice == 0 || status == msg.WorkflowFailed && alice != 0 {
		t.Errorf("seed %d, cancelled after %d: %v, alice has %+d and bob %+d", seed, after, run, alice, bob)
	}
	return run.Header.Status
}

func TestAnEventIsRefusedByEitherAccount(t *testing.T) {
	for _, c := range []struct {
		key     string
		balance int64
		payment Payment
		want    error
		left    int64
	}{
		{"alice", 5, Payment{"alice", "bob", 3}, nil, 2},
		{"bob", 5, Payment{"alice", "bob", 3}, nil, 8},
		{"alice", 5, Payment{"alice", "bob", 6}, ErrInsufficient, 5},
		{"bob", balanceMax, Payment{"alice", "bob", 1}, ErrAmount, balanceMax},
		{"alice", 5, Payment{"alice", "alice", 3}, ErrRecipient, 5},
	} {
		r := holdfasttest.Take(moved, Account{c.balance}, c.payment, holdfasttest.Key(c.key))
		if !errors.Is(r.Err, c.want) || r.State.Balance != c.left {
			t.Errorf("%+v at %s: got %+v, want %v and %d", c.payment, c.key, r, c.want, c.left)
		}
	}
}

const (
	accounts = 5
	full     = accounts - 1 // the account that can hold no more
	paidIn   = 1000         // to each other one
)

func accountName(n int) string { return fmt.Sprint("account-", n) }

// payment gives the payment of a number: some cannot be paid, and some cannot be
// taken.
func payment(n int) Payment {
	to := (n + 1) % full
	if n%5 == 4 {
		to = full
	}
	return Payment{accountName(n % full), accountName(to), int64(1 + n*37%(2*paidIn))}
}

// Payments and events are under way while the process is killed: each is done, or
// refused, or given back.
func TestPaymentsMoveMoneyOnceThroughCrashes(t *testing.T) {
	const kills, each = 10, 40
	s := crashtest.Start(t, 1)
	c := s.Client()
	for n := range accounts {
		amount := int64(paidIn)
		if n == full {
			amount = balanceMax
		}
		if _, err := Deposit.Call(c, accountName(n), amount); err != nil {
			t.Fatal(err)
		}
	}
	var outcomes []outcome
	var raising sync.WaitGroup
	raised := make([]error, kills*each/2)
	some := func(kill int) {
		for n := kill * each; n < (kill+1)*each; n++ {
			if _, err := Pay.Submit(c, fmt.Sprint(n), payment(n)); err != nil {
				t.Fatal(err)
			}
			if n%2 == 0 {
				raising.Go(func() { raised[n/2] = Moved.Raise(c, payment(n)) })
			}
		}
	}
	s.Survive(kills, some, "all payments have ended", func() bool {
		for n := range kills * each {
			if status, err := Pay.Status(c, fmt.Sprint(n)); err != nil || status.Status == "running" {
				return false
			}
		}
		return true
	})
	raising.Wait()
	for n := range kills * each {
		_, err := Pay.Result(c, fmt.Sprint(n))
		outcomes = append(outcomes, outcome{payment(n), err})
		if n%2 == 0 {
			outcomes = append(outcomes, outcome{payment(n), raised[n/2]})
		}
	}
	checkOutcomes(t, c, outcomes)
}

// outcome is what a payment came to.
type outcome struct {
	Payment
	err error
}

// checkOutcomes wants every account to hold what the outcomes say.
func checkOutcomes(t *testing.T, c *holdfast.ClientContext, outcomes []outcome) {
	t.Helper()
	want := map[string]int64{}
	var refused, returned int
	for _, o := range outcomes {
		switch {
		case o.err == nil:
			want[o.From] -= o.Amount
			want[o.To] += o.Amount
		case errors.Is(o.err, ErrInsufficient):
			refused++
		case errors.Is(o.err, ErrAmount):
			returned++
		default:
			t.Errorf("%+v: %v", o.Payment, o.err)
		}
	}
	for n := range full {
		balance, err := Balance.Call(c, accountName(n), holdfast.None)
		if err != nil || balance != paidIn+want[accountName(n)] {
			t.Errorf("%s: %d, %v, want %d", accountName(n), balance, err, paidIn+want[accountName(n)])
		}
	}
	if refused == 0 || returned == 0 || refused+returned == len(outcomes) {
		t.Errorf("%d payments were refused and %d given back, of %d; want some of each", refused, returned, len(outcomes))
	}
}

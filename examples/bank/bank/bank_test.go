package bank

import (
	"errors"
	"math"
	"testing"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/holdfasttest"
)

func TestAppValidates(t *testing.T) {
	if err := App().Validate(); err != nil {
		t.Fatal(err)
	}
}

func TestDeposit(t *testing.T) {
	r := holdfasttest.Turn(deposit, Account{Balance: 5}, 7)
	if r.Err != nil || r.Out != 12 || r.State.Balance != 12 {
		t.Errorf("got %+v", r)
	}
}

func TestWithdraw(t *testing.T) {
	r := holdfasttest.Turn(withdraw, Account{Balance: 5}, 5)
	if r.Err != nil || r.Out != 0 || r.State.Balance != 0 {
		t.Errorf("got %+v", r)
	}
	if r = holdfasttest.Turn(withdraw, Account{Balance: 5}, 7); !errors.Is(r.Err, ErrInsufficient) || r.State.Balance != 5 {
		t.Errorf("got %+v", r)
	}
}

func TestAmountsThatMakeNoSense(t *testing.T) {
	for _, amount := range []int64{0, -1, math.MinInt64, math.MaxInt64} {
		if r := holdfasttest.Turn(deposit, Account{Balance: 5}, amount); !errors.Is(r.Err, ErrAmount) || r.State.Balance != 5 {
			t.Errorf("deposit %d: %+v", amount, r)
		}
		if r := holdfasttest.Turn(withdraw, Account{Balance: 5}, amount); !errors.Is(r.Err, ErrAmount) || r.State.Balance != 5 {
			t.Errorf("withdraw %d: %+v", amount, r)
		}
	}
	if r := holdfasttest.Turn(deposit, Account{Balance: balanceMax}, 1); !errors.Is(r.Err, ErrAmount) {
		t.Errorf("an account overflows: %+v", r)
	}
}

func TestTransferSendsWhatItWithdraws(t *testing.T) {
	r := holdfasttest.Turn(transfer, Account{Balance: 5}, Move{To: "bob", Amount: 3}, holdfasttest.Key("alice"))
	if r.Err != nil || r.Out != 2 || r.State.Balance != 2 {
		t.Fatalf("got %+v", r)
	}
	if len(r.Sent) != 1 || r.Sent[0].Kind != "account" || r.Sent[0].Key != "bob" || r.Sent[0].Handler != "deposit" || string(r.Sent[0].Body) != "3" {
		t.Errorf("sent %+v, want one deposit of 3 to bob", r.Sent)
	}
}

func TestTransferThatFailsSendsNothing(t *testing.T) {
	for want, move := range map[*holdfast.Error]Move{
		ErrInsufficient: {To: "bob", Amount: 6}, ErrAmount: {To: "bob", Amount: -1}, ErrRecipient: {To: "alice", Amount: 1},
	} {
		r := holdfasttest.Turn(transfer, Account{Balance: 5}, move, holdfasttest.Key("alice"))
		if !errors.Is(r.Err, want) || r.Sent != nil || r.State.Balance != 5 {
			t.Errorf("%+v: %+v, want %v and no change", move, r, want)
		}
	}
	for _, to := range []string{"", ".."} {
		if r := holdfasttest.Turn(transfer, Account{Balance: 5}, Move{To: to, Amount: 1}); !errors.Is(r.Err, ErrRecipient) {
			t.Errorf("to %q: %v", to, r.Err)
		}
	}
}

func TestBalance(t *testing.T) {
	if n, err := holdfasttest.Read(balance, Account{Balance: 5}, holdfast.None); n != 5 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
}

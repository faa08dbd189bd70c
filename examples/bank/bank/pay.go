package bank

import (
	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/client"
)

// Payment is the input of Pay.
type Payment struct {
	From   string `json:"from"`
	To     string `json:"to"`
	Amount int64  `json:"amount"`
}

// The contract of the other two kinds of transfer.
var (
	// Pay holds both accounts, and gives the new balance of the first. A payment
	// that has failed has moved nothing; one that was cancelled has moved everything
	// or nothing.
	Pay = holdfast.NewWorkflow[Payment, int64]("transfer", holdfast.Doc("Pays an amount out of one account and into another."))
	// Moved is applied to both accounts at once, or refused by one of them.
	Moved = holdfast.NewEvent("moved", Payment.accounts, holdfast.Doc("Moves an amount from one account to another."))
)

func (p Payment) accounts() []holdfast.Ref {
	return []holdfast.Ref{Accounts.Ref(p.From), Accounts.Ref(p.To)}
}

func (p Payment) check() error {
	for _, key := range []string{p.From, p.To} {
		if err := client.CheckKey(key); err != nil {
			return ErrRecipient.Withf("cannot transfer from %q to %q: %w", p.From, p.To, err)
		}
	}
	if p.From == p.To {
		return ErrRecipient.Withf("cannot transfer from %q to itself", p.To)
	}
	return nil
}

func pay(ctx *holdfast.WorkflowContext, p Payment) (left int64, err error) {
	if err := p.check(); err != nil {
		return 0, err
	}
	var deposit *holdfast.Future[int64]
	withdrawal := Withdraw.Start(ctx, p.From, p.Amount)
	ctx.OnFailure(func(ctx *holdfast.WorkflowContext) error { return p.giveBack(ctx, withdrawal, deposit) })
	if left, err = withdrawal.Await(ctx); err != nil {
		return 0, err
	}
	deposit = Deposit.Start(ctx, p.To, p.Amount)
	_, err = deposit.Await(ctx)
	return left, err
}

// giveBack undoes a withdrawal without its deposit. Cancellation ends a wait, and
// not what was waited for: so it waits for the outcome of both.
func (p Payment) giveBack(ctx *holdfast.WorkflowContext, withdrawal, deposit *holdfast.Future[int64]) error {
	if _, err := withdrawal.Await(ctx); err != nil {
		return nil // it was refused
	}
	if deposit != nil {
		if _, err := deposit.Await(ctx); err == nil {
			return nil // it has arrived
		}
	}
	_, err := Deposit.Call(ctx, p.From, p.Amount)
	return err
}

// moved runs at both accounts, and what it changes at one is kept if the other
// does not refuse.
func moved(ctx *holdfast.EventContext[Account], p Payment) (err error) {
	if err := p.check(); err != nil {
		return err
	}
	if ctx.Key() == p.From {
		_, err = ctx.State.withdraw(p.Amount)
		return err
	}
	_, err = ctx.State.deposit(p.Amount)
	return err
}

// Events is the part of the package in which accounts and customers take events.
func Events() holdfast.Parts {
	return holdfast.Parts{
		holdfast.On(Accounts, Moved, moved),
		holdfast.On(Customers, SignedUp, signUp), holdfast.On(Accounts, SignedUp, open),
	}
}

// Workflows is the part of the package that uses accounts and does not serve them.
func Workflows() holdfast.Parts {
	return holdfast.Parts{
		Pay.Handle(pay).Locks(Payment.accounts), Inquiry.Handle(inquire).Shares(accountsOf),
	}
}

// Package bank is an application of Holdfast: accounts, and transfers between
// them that neither lose nor make money, whatever crashes.
//
// Invariants:
//
//  1. A balance is never negative.
//  2. The sum of all balances and of the deposits under way is what was paid in
//     from outside less what was paid out. (A deposit is refused above 2^62
//     cents; what is in the world is less.)
//
// There are three kinds of transfer: Transfer is one turn, which sends the
// deposit, Pay is a workflow, which holds both accounts and waits for both, and
// Moved is an event, which both accounts take at once. Who signs up gets two
// accounts. The package knows no limits or fees. A payment that is terminated is
// not given back.
package bank

import (
	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/client"
)

// Account is the state of one account. Amounts are cents.
type Account struct{ Balance int64 }

// Move is the input of Transfer: where to, and how much.
type Move struct {
	To     string `json:"to"`
	Amount int64  `json:"amount"`
}

// Errors of the handlers.
var (
	// ErrInsufficient: the account has less than the amount.
	ErrInsufficient = holdfast.NewError("insufficient_funds", holdfast.Conflict)
	// ErrAmount: the amount is not positive, or more than an account can hold.
	ErrAmount = holdfast.NewError("bad_amount", holdfast.InvalidArgument)
	// ErrRecipient: a transfer that has no other end.
	ErrRecipient = holdfast.NewError("bad_recipient", holdfast.InvalidArgument)
)

// The contract: this is all that a caller needs. The outputs are new balances.
var (
	Accounts = holdfast.NewEntity[Account]("account", holdfast.Doc("An account, with its balance in cents."))
	Deposit  = holdfast.NewUpdate[int64, int64](Accounts, "deposit", holdfast.Doc("Pays an amount in."))
	Withdraw = holdfast.NewUpdate[int64, int64](Accounts, "withdraw", holdfast.Doc("Pays an amount out, if the account has it."))
	Transfer = holdfast.NewUpdate[Move, int64](Accounts, "transfer", holdfast.Doc("Pays an amount out, and into another account."))
	Balance  = holdfast.NewRead[holdfast.Void, int64](Accounts, "balance", holdfast.Doc("Gives the balance."))
)

// balanceMax leaves room for one deposit under way without overflow.
const balanceMax = 1 << 62

func checkAmount(amount int64) error {
	if amount <= 0 || amount > balanceMax {
		return ErrAmount.Withf("the amount is %d, and must be positive", amount)
	}
	return nil
}

func (a *Account) deposit(amount int64) (int64, error) {
	if err := checkAmount(amount); err != nil {
		return 0, err
	}
	if a.Balance > balanceMax-amount {
		return 0, ErrAmount.Withf("the account cannot hold %d more than its %d", amount, a.Balance)
	}
	a.Balance += amount
	return a.Balance, nil
}

func (a *Account) withdraw(amount int64) (int64, error) {
	if err := checkAmount(amount); err != nil {
		return 0, err
	}
	if a.Balance < amount {
		return 0, ErrInsufficient.Withf("balance is %d, amount is %d", a.Balance, amount)
	}
	a.Balance -= amount
	return a.Balance, nil
}

func deposit(ctx *holdfast.UpdateContext[Account], amount int64) (int64, error) {
	return ctx.State.deposit(amount)
}

func withdraw(ctx *holdfast.UpdateContext[Account], amount int64) (int64, error) {
	return ctx.State.withdraw(amount)
}

// transfer withdraws here and sends the deposit in the same turn: either both
// are in the log, or neither is.
func transfer(ctx *holdfast.UpdateContext[Account], move Move) (int64, error) {
	if err := client.CheckKey(move.To); err != nil {
		return 0, ErrRecipient.Withf("cannot transfer to %q: %w", move.To, err)
	}
	if move.To == ctx.Key() {
		return 0, ErrRecipient.Withf("cannot transfer from %q to itself", move.To)
	}
	left, err := ctx.State.withdraw(move.Amount)
	if err != nil {
		return 0, err
	}
	Deposit.Send(ctx, move.To, move.Amount)
	return left, nil
}

func balance(ctx *holdfast.ReadContext[Account], _ holdfast.Void) (int64, error) {
	return ctx.State.Balance, nil
}

// Parts is what this package serves.
func Parts() holdfast.Parts {
	return holdfast.Parts{
		Deposit.Handle(deposit), Withdraw.Handle(withdraw), Transfer.Handle(transfer), Balance.Handle(balance),
		Events(), Workflows(),
	}
}

// App is the application on its own.
func App() *holdfast.App { return holdfast.NewApp("bank", Parts()) }

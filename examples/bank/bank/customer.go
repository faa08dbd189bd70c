package bank

import (
	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/client"
)

// Customer is the state of somebody who has signed up.
type Customer struct {
	Checking string `json:"checking"` // names of accounts
	Savings  string `json:"savings"`
}

// Entry is what a customer signs up with: two amounts, for two accounts.
type Entry struct {
	Owner    string `json:"owner"`
	Checking int64  `json:"checking"`
	Savings  int64  `json:"savings"`
}

// Statement is what a customer has.
type Statement struct {
	Checking int64 `json:"checking"`
	Savings  int64 `json:"savings"`
	Total    int64 `json:"total"`
}

// ErrTaken: somebody has signed up with this name.
var ErrTaken = holdfast.NewError("name_taken", holdfast.Conflict)

// The contract of customers. The key of a customer is the name.
var (
	Customers = holdfast.NewEntity[Customer]("customer", holdfast.Doc("Who has signed up, and which accounts are theirs."))
	// SignedUp makes a customer and two accounts, or nothing.
	SignedUp = holdfast.NewEvent("signed-up", Entry.touches, holdfast.Creates(), holdfast.Doc("Makes a customer with two accounts."))
	// Inquiry gives both balances as they were at one moment.
	Inquiry = holdfast.NewWorkflow[string, Statement]("inquiry", holdfast.Doc("Gives what a customer has, at one moment."))
)

func checkingOf(owner string) string { return owner + "-checking" }
func savingsOf(owner string) string  { return owner + "-savings" }

func accountsOf(owner string) []holdfast.Ref {
	return []holdfast.Ref{Accounts.Ref(checkingOf(owner)), Accounts.Ref(savingsOf(owner))}
}

func (e Entry) touches() []holdfast.Ref {
	return append(accountsOf(e.Owner), Customers.Ref(e.Owner))
}

// signUp runs at the customer: it refuses a name that is taken, for the accounts
// as well.
func signUp(ctx *holdfast.EventContext[Customer], e Entry) error {
	if err := client.CheckKey(e.Owner); err != nil {
		return ErrRecipient.Withf("nobody can sign up as %q: %w", e.Owner, err)
	}
	if ctx.State.Checking != "" {
		return ErrTaken.Withf("somebody has signed up as %q", e.Owner)
	}
	ctx.State = Customer{Checking: checkingOf(e.Owner), Savings: savingsOf(e.Owner)}
	return nil
}

// open runs at both accounts.
func open(ctx *holdfast.EventContext[Account], e Entry) error {
	amount := e.Checking
	if ctx.Key() == savingsOf(e.Owner) {
		amount = e.Savings
	}
	if amount == 0 {
		return nil
	}
	_, err := ctx.State.deposit(amount)
	return err
}

// inquire holds both accounts shared: others may look, and nobody pays meanwhile.
func inquire(ctx *holdfast.WorkflowContext, owner string) (s Statement, err error) {
	if s.Checking, err = Balance.Call(ctx, checkingOf(owner), holdfast.None); err != nil {
		return s, err
	}
	s.Savings, err = Balance.Call(ctx, savingsOf(owner), holdfast.None)
	s.Total = s.Checking + s.Savings
	return s, err
}

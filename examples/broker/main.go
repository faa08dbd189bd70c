// Command broker moves money between accounts with a machine: withdraw, deposit,
// and give back if the deposit is refused.
//
//	go run ./examples/broker
//	curl -X POST localhost:7070/v1/entities/account/ann/open -d 100
//	curl -X POST localhost:7070/v1/entities/account/bob/open -d 0
//	curl -X POST localhost:7070/v1/entities/broker/b1/begin/send -d '{"From":"ann","To":"bob","Amount":30}'
//
// Invariants:
//
//  1. The sum over all accounts and all orders on their way is what was paid in.
//  2. An order is either carried out or given back, once, and counted.
//
// Orders that come while one is carried out wait. It does not limit who may
// order.
package main

import (
	"time"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/server"
)

// Account is the state of an account; one that was never opened takes nothing.
type Account struct {
	Open    bool
	Balance int64
}

// Change asks an account for a change and says who wants to know.
type Change struct {
	Amount       int64
	Done, Denied holdfast.Address[string]
}

// Order is what a broker is asked for.
type Order struct {
	From, To string
	Amount   int64
}

// Broker is the data of the machine.
type Broker struct {
	Order                     Order
	Moved, Refused, GivenBack int
}

// The contract.
var (
	Accounts = holdfast.NewEntity[Account]("account")
	Open     = holdfast.NewUpdate[int64, int64](Accounts, "open")
	Apply    = holdfast.NewUpdate[Change, holdfast.Void](Accounts, "apply")

	Brokers      = holdfast.NewMachine[Broker]("broker")
	Idle         = Brokers.State("idle")
	Withdrawing  = Brokers.State("withdrawing")
	Depositing   = Brokers.State("depositing")
	Compensating = Brokers.State("compensating")

	Begin  = holdfast.NewMessage[Order](Brokers, "begin")
	Done   = holdfast.NewMessage[string](Brokers, "done")
	Denied = holdfast.NewMessage[string](Brokers, "denied")
	Late   = holdfast.NewMessage[holdfast.Void](Brokers, "late")
)

// lateAfter is how long an order may take until somebody should look.
const lateAfter = time.Minute

func open(ctx *holdfast.UpdateContext[Account], amount int64) (int64, error) {
	ctx.State.Open = true
	ctx.State.Balance += amount
	return ctx.State.Balance, nil
}

func apply(ctx *holdfast.UpdateContext[Account], c Change) (holdfast.Void, error) {
	if !ctx.State.Open || ctx.State.Balance+c.Amount < 0 {
		c.Denied.Send(ctx, ctx.Key())
		return holdfast.None, nil
	}
	ctx.State.Balance += c.Amount
	c.Done.Send(ctx, ctx.Key())
	return holdfast.None, nil
}

type context = holdfast.MachineContext[Broker]

func begin(m *context, o Order) error {
	m.Data.Order = o
	m.Goto(Withdrawing)
	return nil
}

// change asks an account, and is told by Done or Denied.
func change(m *context, account string, amount int64) error {
	Apply.Send(m, account, Change{amount, Done.To(m.Key()), Denied.To(m.Key())})
	return nil
}

func withdraw(m *context) error {
	Late.Remind(m, "late", holdfast.After(lateAfter), holdfast.None)
	return change(m, m.Data.Order.From, -m.Data.Order.Amount)
}

func deposit(m *context) error  { return change(m, m.Data.Order.To, m.Data.Order.Amount) }
func giveBack(m *context) error { return change(m, m.Data.Order.From, m.Data.Order.Amount) }

func withdrawn(m *context, _ string) error   { m.Goto(Depositing); return nil }
func undeposited(m *context, _ string) error { m.Goto(Compensating); return nil }

func deposited(m *context, _ string) error { return end(m, &m.Data.Moved) }
func refused(m *context, _ string) error   { return end(m, &m.Data.Refused) }
func restored(m *context, _ string) error  { return end(m, &m.Data.GivenBack) }

func end(m *context, count *int) error {
	*count++
	m.CancelReminder("late")
	m.Goto(Idle)
	return nil
}

// App is what this program serves.
func App() *holdfast.App {
	return holdfast.NewApp("broker", Open.Handle(open), Apply.Handle(apply),
		Brokers.Handle(
			Idle.When(Begin.Do(begin), Late.Ignore()),
			Withdrawing.When(holdfast.Entry(withdraw), Done.Do(withdrawn), Denied.Do(refused), Begin.Defer(), Late.Ignore()),
			Depositing.When(holdfast.Entry(deposit), Done.Do(deposited), Denied.Do(undeposited), Begin.Defer(), Late.Ignore()),
			Compensating.When(holdfast.Entry(giveBack), Done.Do(restored), Begin.Defer(), Late.Ignore()),
		))
}

func main() { server.Main(App()) }

package holdfast_test

import (
	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// A small bank that the tests of this package share.

type account struct {
	Owner   string
	Balance int64
}

type move struct {
	To     string
	Amount int64
}

var errInsufficient = holdfast.NewError("insufficient_funds", holdfast.Conflict)

var (
	accounts     = holdfast.NewEntity[account]("account")
	depositing   = holdfast.NewUpdate[int64, int64](accounts, "deposit")
	withdrawing  = holdfast.NewUpdate[int64, int64](accounts, "withdraw")
	transferring = holdfast.NewUpdate[move, int64](accounts, "transfer")
	reading      = holdfast.NewRead[holdfast.Void, int64](accounts, "balance")
)

func deposit(ctx *holdfast.UpdateContext[account], amount int64) (int64, error) {
	ctx.State.Balance += amount
	return ctx.State.Balance, nil
}

func withdraw(ctx *holdfast.UpdateContext[account], amount int64) (int64, error) {
	if ctx.State.Balance < amount {
		return 0, errInsufficient.Withf("balance %d", ctx.State.Balance)
	}
	ctx.State.Balance -= amount
	return ctx.State.Balance, nil
}

func transfer(ctx *holdfast.UpdateContext[account], m move) (int64, error) {
	left, err := withdraw(ctx, m.Amount)
	if err == nil {
		depositing.Send(ctx, m.To, m.Amount)
	}
	return left, err
}

func balance(ctx *holdfast.ReadContext[account], _ holdfast.Void) (int64, error) {
	return ctx.State.Balance, nil
}

func bankApp() *holdfast.App {
	return holdfast.NewApp("bank", depositing.Handle(deposit), withdrawing.Handle(withdraw),
		transferring.Handle(transfer), reading.Handle(balance))
}

// turnOf makes a turn of account alice; an empty state is none.
func turnOf(handler, input, state string) *msg.Turn {
	return turnOn("account", handler, input, state)
}

func turnOn(kind, handler, input, state string) *msg.Turn {
	t := &msg.Turn{
		Run: 7, Mode: msg.ModeUpdate, Attempt: 1, Now: 1_700_000_000_000_000_000,
		Message: &msg.Message{
			Kind: msg.MessageCall, Target: msg.Ref{Kind: kind, Key: "alice"}, Handler: handler,
			Payload: msg.Payload{Body: []byte(input)},
		},
	}
	if state != "" {
		t.State = msg.Snapshot{Exists: true, Version: 3, Root: msg.Payload{Body: []byte(state)}}
	}
	return t
}

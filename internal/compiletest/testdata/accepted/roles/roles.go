// Package roles does in each place what is allowed there.
package roles

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-io/holdfast"
)

type debit struct {
	Amount int64
	Done   holdfast.Address[string]
}
type account struct {
	Balance int64
	Moves   holdfast.List[int64]
	Tags    holdfast.Map[string, time.Time]
	cache   map[string]int `holdfast:"volatile"`
}

var errBroke = holdfast.NewError("broke", holdfast.Conflict)

var (
	accounts = holdfast.NewEntity[account]("account", holdfast.Doc("An account."))
	apply    = holdfast.NewUpdate[debit, holdfast.Void](accounts, "apply", holdfast.Creates(), holdfast.Alias("debit"))
	told     = holdfast.NewUpdate[string, holdfast.Void](accounts, "told")
	balance  = holdfast.NewRead[holdfast.Void, int64](accounts, "balance")
)

func onApply(ctx *holdfast.UpdateContext[account], d debit) error {
	if ctx.State.Balance < d.Amount {
		return holdfast.Keep(errBroke.Withf("balance %d", ctx.State.Balance))
	}
	ctx.State.Balance -= d.Amount
	ctx.State.Moves.Append(d.Amount)
	ctx.State.Tags.Put(ctx.Header("tag"), ctx.Now())
	d.Done.Send(ctx, ctx.Key(), holdfast.At(ctx.Now().Add(time.Hour)), holdfast.IdempotencyKey(ctx.Info().ID))
	told.Remind(ctx, "daily", holdfast.Cron("0 3 * * *"), "night")
	ctx.CancelReminder("weekly")
	return nil
}

func onTold(ctx *holdfast.UpdateContext[account], _ string) error { ctx.Delete(); return nil }

func onBalance(ctx *holdfast.ReadContext[account]) (int64, error) { return ctx.State.Balance, nil }

// App uses the adapters, options and parts.
func App() *holdfast.App {
	return holdfast.NewApp("roles", holdfast.Parts{apply.Handle(holdfast.NoResult(onApply)), told.Handle(holdfast.NoResult(onTold))},
		balance.Handle(holdfast.NoInput(onBalance)), holdfast.Version("1"),
		holdfast.Intercept(func(ctx context.Context, _ holdfast.InvocationInfo, next func(context.Context) error) error {
			return next(ctx)
		}),
		accounts.Options(holdfast.EntityOptions[account]{Strict: true, Activate: func(s *account) error {
			s.cache = map[string]int{}
			return nil
		}}))
}

// Outside is what a client does.
func Outside(ctx context.Context) error {
	c := holdfast.Dial("http://127.0.0.1:7070").With(ctx)
	run, err := apply.Submit(c, "alice", debit{Amount: 1, Done: told.To("bob")}, holdfast.After(time.Second), holdfast.Deadline(time.Now()))
	if err != nil {
		return err
	}
	if _, err = run.Await(c); errors.Is(err, errBroke) {
		return err
	}
	for key, err := range accounts.List(c, "") {
		if err != nil {
			return err
		}
		if _, err = balance.Peek(c, key, holdfast.None, holdfast.Header("a", "b")); err != nil {
			return err
		}
	}
	_, _, err = accounts.Inspect(c, "alice")
	return err
}

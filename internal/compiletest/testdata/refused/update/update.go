// Package update tries what an update must not do.
package update

import "github.com/holdfast-io/holdfast"

type account struct{ Balance int64 }
type other struct{ N int }

var (
	accounts = holdfast.NewEntity[account]("account")
	deposit  = holdfast.NewUpdate[int64, int64](accounts, "deposit")
	name     = holdfast.NewUpdate[int64, string](accounts, "name")
	balance  = holdfast.NewRead[holdfast.Void, int64](accounts, "balance")
	others   = holdfast.NewEntity[other]("other")
	wake     = holdfast.NewUpdate[int64, int64](others, "wake")
	moved    = holdfast.NewEvent("moved", func(int64) []holdfast.Ref { return nil })
)

func waits(ctx *holdfast.UpdateContext[account], n int64) (int64, error) {
	_, _ = deposit.Call(ctx, "bob", n)             // want "*holdfast.UpdateContext[account] does not implement holdfast.Caller (missing method canWait)"
	_, _ = balance.Call(ctx, "bob", holdfast.None) // want "does not implement holdfast.Caller (missing method canWait)"
	_, _ = balance.Peek(ctx, "bob", holdfast.None) // want "does not implement holdfast.Caller (missing method canWait)"
	_, _ = accounts.Exists(ctx, "bob")             // want "does not implement holdfast.Caller (missing method canWait)"
	_ = accounts.Delete(ctx, "bob")                // want "does not implement holdfast.Caller (missing method canWait)"
	_, _ = accounts.Reminders(ctx, "bob")          // want "does not implement holdfast.Caller (missing method canWait)"
	_ = moved.Raise(ctx, n)                        // want "does not implement holdfast.Caller (missing method canWait)"
	_, _ = deposit.Submit(ctx, "bob", n)           // want "as *holdfast.ClientContext value in argument to deposit.Submit"
	_, _, _ = accounts.Inspect(ctx, "bob")         // want "as *holdfast.ClientContext value in argument to accounts.Inspect"
	return 0, nil
}

func passes(ctx *holdfast.UpdateContext[account], n int64) (string, error) {
	return deposit.Tail(ctx, "bob", n) // want "cannot use deposit.Tail"
}

func reminds(ctx *holdfast.UpdateContext[account], n int64) (int64, error) {
	wake.Remind(ctx, "r", holdfast.After(1), n)            // want "as *holdfast.UpdateContext[other] value in argument to wake.Remind"
	deposit.Remind(ctx, "r", holdfast.Header("a", "b"), n) // want "does not implement holdfast.Schedule (missing method schedule)"
	deposit.Send(ctx, "bob", n, holdfast.Every(1))         // want "does not implement holdfast.SendOption (missing method forSend)"
	return 0, nil
}

func looks(ctx *holdfast.ReadContext[account], _ holdfast.Void) (int64, error) { return 0, nil }

var (
	_ = name.Handle(waits)    // want "cannot use waits"
	_ = deposit.Handle(looks) // want "cannot use looks"
	_ = wake.Handle(waits)    // want "cannot use waits"
	_ = balance.Handle(waits) // want "cannot use waits"
	_ = passes
	_ = reminds
)

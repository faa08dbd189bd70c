// Package read tries what a read must not do.
package read

import "github.com/holdfast-io/holdfast"

type account struct{ Balance int64 }

var (
	accounts = holdfast.NewEntity[account]("account")
	deposit  = holdfast.NewUpdate[int64, int64](accounts, "deposit")
	balance  = holdfast.NewRead[holdfast.Void, int64](accounts, "balance")
	moved    = holdfast.NewEvent("moved", func(int64) []holdfast.Ref { return nil })
)

func changes(ctx *holdfast.ReadContext[account], _ holdfast.Void) (int64, error) {
	deposit.Send(ctx, "bob", 1)                      // want "*holdfast.ReadContext[account] does not implement holdfast.Sender (missing method canSend)"
	deposit.To("bob").Send(ctx, 1)                   // want "does not implement holdfast.Sender (missing method canSend)"
	moved.Send(ctx, 1)                               // want "does not implement holdfast.Sender (missing method canSend)"
	_, _ = deposit.Tail(ctx, "bob", 1)               // want "does not implement holdfast.Sender (missing method canSend)"
	_, _ = deposit.Call(ctx, "bob", 1)               // want "does not implement holdfast.Caller (missing method canWait)"
	deposit.Remind(ctx, "r", holdfast.After(1), 1)   // want "as *holdfast.UpdateContext[account] value in argument to deposit.Remind"
	ctx.Delete()                                     // want "ctx.Delete undefined"
	ctx.CancelReminder("r")                          // want "ctx.CancelReminder undefined"
	ctx.Buffered()                                   // want "ctx.Buffered undefined"
	balance.Send(ctx, "bob", holdfast.None)          // want "balance.Send undefined"
	_, _ = balance.Submit(nil, "bob", holdfast.None) // want "balance.Submit undefined"
	_, _ = balance.Tail(nil, "bob", holdfast.None)   // want "balance.Tail undefined"
	return 0, nil
}

var _ = balance.Handle(changes)

// Package client tries what must not be done from outside.
package client

import (
	"time"

	"github.com/holdfast-io/holdfast"
)

type account struct{ Balance int64 }

var (
	accounts = holdfast.NewEntity[account]("account")
	deposit  = holdfast.NewUpdate[int64, int64](accounts, "deposit")
)

func outside(c *holdfast.ClientContext) {
	deposit.Send(c, "bob", 1)                                 // want "*holdfast.ClientContext does not implement holdfast.Sender (missing method canSend)"
	_, _ = deposit.Tail(c, "bob", 1)                          // want "does not implement holdfast.Sender (missing method canSend)"
	_, _ = deposit.Call(c, "bob", 1, holdfast.After(1))       // want "holdfast.Delay does not implement holdfast.CallOption (missing method forCall)"
	_, _ = deposit.Call(c, "bob", 1, holdfast.At(time.Now())) // want "does not implement holdfast.CallOption (missing method forCall)"
	_, _ = deposit.Submit(c, "bob", 1, holdfast.Every(1))     // want "does not implement holdfast.SendOption (missing method forSend)"
	_, _ = deposit.Call(c, "bob", 1, holdfast.Creates())      // want "does not implement holdfast.CallOption (missing method forCall)"
	deposit.Remind(c, "r", holdfast.After(1), 1)              // want "as *holdfast.UpdateContext[account] value in argument to deposit.Remind"
}

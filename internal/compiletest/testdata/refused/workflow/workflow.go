// Package workflow tries what workflows and activities must not do, and what
// must not be done to them.
package workflow

import (
	"context"
	"time"

	"github.com/holdfast-io/holdfast"
)

type account struct{ Balance int64 }

var (
	accounts = holdfast.NewEntity[account]("account")
	deposit  = holdfast.NewUpdate[int64, int64](accounts, "deposit")
	transfer = holdfast.NewWorkflow[int64, string]("transfer")
	other    = holdfast.NewWorkflow[int64, bool]("other")
	poll     = holdfast.NewLoop[account]("poll")
	approve  = holdfast.NewSignal[bool](transfer, "approve")
	stage    = holdfast.NewQuery[holdfast.Void, string](transfer, "stage")
	charge   = holdfast.NewActivity[int64, string]("charge")
)

func runs(ctx *holdfast.WorkflowContext, n int64) (string, error) {
	_, _ = deposit.Submit(ctx, "bob", n)                  // want "as *holdfast.ClientContext value in argument to deposit.Submit"
	_, _ = transfer.Submit(ctx, "1", n)                   // want "as *holdfast.ClientContext value in argument to transfer.Submit"
	_ = transfer.Cancel(ctx, "1")                         // want "as *holdfast.ClientContext value in argument to transfer.Cancel"
	_, _ = stage.Call(ctx, "1", holdfast.None)            // want "as *holdfast.ClientContext value in argument to stage.Call"
	_ = approve.Submit(ctx, "1", true)                    // want "as *holdfast.ClientContext value in argument to approve.Submit"
	_, _ = deposit.Call(ctx, "bob", n, holdfast.After(1)) // want "holdfast.Delay does not implement holdfast.CallOption (missing method forCall)"
	_, _ = charge.Call(ctx, "text")                       // want "cannot use \"text\""
	_, _ = charge.Call(ctx, n, holdfast.After(1))         // want "does not implement holdfast.ActivityOption (missing method activity)"
	_, _ = holdfast.Select(ctx, 5)                        // want "does not implement holdfast.Awaitable (missing method awaitable)"
	_, _ = holdfast.Select(ctx, time.After(time.Second))  // want "does not implement holdfast.Awaitable (missing method awaitable)"
	return other.Tail(ctx, "1", n)                        // want "cannot use other.Tail"
}

func updates(ctx *holdfast.UpdateContext[account], n int64) (int64, error) {
	_, _ = transfer.Call(ctx, "1", n) // want "*holdfast.UpdateContext[account] does not implement holdfast.Caller (missing method canWait)"
	_ = transfer.Start(ctx, "1", n)   // want "as *holdfast.WorkflowContext value in argument to transfer.Start"
	_, _ = charge.Call(ctx, n)        // want "*holdfast.UpdateContext[account] does not implement holdfast.Performer (missing method canPerform)"
	_ = charge.Start(ctx, n)          // want "does not implement holdfast.Performer (missing method canPerform)"
	_ = approve.Receive(ctx)          // want "as *holdfast.WorkflowContext value in argument to approve.Receive"
	_ = holdfast.NewPromise[int](ctx) // want "as *holdfast.WorkflowContext value in argument to holdfast.NewPromise[int]"
	_ = transfer.Terminate(ctx, "1")  // want "as *holdfast.ClientContext value in argument to transfer.Terminate"
	return n, nil
}

func looks(ctx *holdfast.ReadContext[account], n int64) (int64, error) {
	approve.Send(ctx, "1", true) // want "*holdfast.ReadContext[account] does not implement holdfast.Sender (missing method canSend)"
	charge.Send(ctx, n)          // want "does not implement holdfast.Sender (missing method canSend)"
	return n, nil
}

func outside(c *holdfast.ClientContext, n int64) {
	_, _ = charge.Call(c, n)      // want "*holdfast.ClientContext does not implement holdfast.Performer (missing method canPerform)"
	charge.Send(c, n)             // want "*holdfast.ClientContext does not implement holdfast.Sender (missing method canSend)"
	transfer.Send(c, "1", n)      // want "*holdfast.ClientContext does not implement holdfast.Sender (missing method canSend)"
	approve.Send(c, "1", true)    // want "does not implement holdfast.Sender (missing method canSend)"
	_ = transfer.Start(c, "1", n) // want "as *holdfast.WorkflowContext value in argument to transfer.Start"
}

func acts(ctx context.Context, n int64) (string, error) {
	_, _ = deposit.Call(ctx, "bob", n) // want "context.Context does not implement holdfast.Caller (missing method canWait)"
	deposit.Send(ctx, "bob", n)        // want "context.Context does not implement holdfast.Sender (missing method canSend)"
	return "", nil
}

func turn(ctx *holdfast.WorkflowContext, a *account) (bool, error) { return true, nil }

var (
	_ = holdfast.NewSignal[int](accounts, "s") // want "does not implement holdfast.Runnable (missing method runnable)"
	_ = transfer.Handle(acts)                  // want "cannot use acts"
	_ = transfer.Handle(turn)                  // want "cannot use turn"
	_ = poll.Handle(runs)                      // want "cannot use runs"
	_ = charge.Handle(runs)                    // want "cannot use runs"
	_ = charge.Handle(acts, holdfast.Doc("x")) // want "does not implement holdfast.ActivityOption (missing method activity)"
	_ = updates
	_ = looks
	_ = outside
)

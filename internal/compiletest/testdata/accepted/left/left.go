// Package left implements one half of the contract and mentions the other.
package left

import (
	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/internal/compiletest/testdata/accepted/contract"
)

func ping(ctx *holdfast.UpdateContext[contract.Left], n int) (int, error) {
	contract.Pong.Send(ctx, string(contract.Lefts.Key(ctx)), n)
	return n, nil
}

// Parts is what this package serves.
func Parts() holdfast.Parts { return holdfast.Parts{contract.Ping.Handle(ping)} }

// Package right implements the other half, with what it depends on.
package right

import (
	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/internal/compiletest/testdata/accepted/contract"
	"github.com/holdfast-io/holdfast/internal/compiletest/testdata/accepted/left"
)

// Service holds what the handlers need: they are method values.
type Service struct{ Limit int }

func (s *Service) pong(ctx *holdfast.UpdateContext[contract.Right], n int) (int, error) {
	if n > s.Limit {
		return n, nil
	}
	return contract.Ping.Tail(ctx, contract.LeftID(ctx.Key()), n+1)
}

// App is both halves.
func App(s *Service) *holdfast.App {
	return holdfast.NewApp("both", contract.Pong.Handle(s.pong), left.Parts())
}

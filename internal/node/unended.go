package node

import (
	"context"
	"fmt"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// Unended reads what a host holds and gives a turn for each workflow that has
// not ended, as engine.Partition.Unended does. Nothing runs and nothing is
// written. The host stays the caller's.
func Unended(ctx context.Context, c Config) (turns []*msg.Turn, err error) {
	n := &Node{config: c.withDefaults()}
	_, last, err := c.Host.Log().Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("acquire the log: %w", err)
	}
	recovered, err := n.recover(ctx, last.Number)
	if err != nil {
		return nil, err
	}
	if _, err := recovered[0].Engine.CheckKinds(c.Program.Describe().Kinds); err != nil {
		return nil, fmt.Errorf("%w: %w", host.ErrIncompatible, err)
	}
	for _, r := range recovered {
		turns = append(turns, r.Engine.Unended()...)
	}
	return turns, nil
}

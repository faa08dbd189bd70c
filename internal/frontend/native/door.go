package native

import (
	"context"

	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/program"
)

// Door is what a frontend knocks at.
type Door interface {
	// Do admits the request and waits for its reply until ctx is done. Reply.Err
	// says how the request failed, or, where the reply has a status, how the
	// invocation did. The request belongs to the door from now on.
	Do(ctx context.Context, r *msg.Request) msg.Reply

	// Describe says what is served.
	Describe() program.Description

	// Ready is nil once recovery is over and until shutdown begins.
	Ready() error
}

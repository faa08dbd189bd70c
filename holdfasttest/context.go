package holdfasttest

import (
	"context"
	"errors"

	"github.com/holdfast-io/holdfast/internal/world"
)

// errNot says that a check does not hold; its name says what.
var errNot = errors.New("it is not so")

// clientContext is the context of a client, by which the world knows it again.
type clientContext struct {
	context.Context
	client *world.Client
}

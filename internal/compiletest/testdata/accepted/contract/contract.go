// Package contract declares what left and right implement.
package contract

import "github.com/holdfast-io/holdfast"

// Left and Right are the states; Left has typed keys.
type (
	Left   struct{ N int }
	Right  struct{ N int }
	LeftID string
)

// The handles.
var (
	Lefts  = holdfast.NewEntityIn[Left](holdfast.NewAffinity[LeftID]("left"), "left")
	Rights = holdfast.NewEntity[Right]("right")
	Ping   = holdfast.NewUpdate[int, int](Lefts, "ping")
	Pong   = holdfast.NewUpdate[int, int](Rights, "pong")
)

// Package program is the seam between the engine and user code.
//
// The Go SDK implements Program; so does every frontend behind which an
// application in another process stands.
//
// Invariants:
//
//  1. A program sees snapshots and returns data. It has no other way into the
//     engine, so an attempt that is given up leaves nothing behind.
//  2. Turn may be called from any goroutine, for many entities at once, and
//     never twice at once for updates of one entity.
//
// The package does not run anything: see package executor.
package program

import (
	"context"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// Program is what serves kinds.
type Program interface {
	// Describe says what is served. It does not change while the program runs.
	Describe() Description

	// Turn runs one handler on one input and returns what it came to. It never
	// panics on account of user code: a panic becomes an Outcome with Panicked.
	// Cancelling ctx says that nobody needs the outcome any more.
	//
	// If user code ends its goroutine with runtime.Goexit, nothing can make Turn
	// return. Who calls it finds that out in a deferred function, takes Ended as
	// the outcome, and replaces the goroutine.
	Turn(ctx context.Context, t *msg.Turn) *msg.Outcome
}

// Ended is the outcome of a turn whose handler ended its goroutine.
func Ended(t *msg.Turn) *msg.Outcome {
	return &msg.Outcome{Run: t.Run, Panicked: true, Err: msg.Errorf(msg.CodePanic, msg.ClassFailed,
		"panic in %s/%s: runtime.Goexit: the handler ended its goroutine; return an error instead",
		t.Message.Target.Kind, t.Message.Handler)}
}

// Description says what a program serves.
type Description struct {
	App         string
	CodeVersion string
	Kinds       []msg.Kind // sorted by name
}

// Package program is the seam between the engine and user code.
//
// The Go SDK implements Program; so does every frontend behind which an
// application in another process stands.
//
// Invariants:
//
//  1. A program sees snapshots and returns data. It has no other way into the
//     engine, so an attempt that is given up leaves nothing behind.
//  2. Turn may be called from any goroutine, for many instances at once, and
//     never twice at once for one instance, except for reads.
//
// The package does not run anything: see package executor.
package program

import (
	"context"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// Program is what serves kinds. One that keeps something in memory between turns
// is an io.Closer, too: who is done with it closes it.
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
	//
	// A turn of a workflow (ModeWorkflow) runs it until it waits for something
	// that it has not been told. The program may keep it in memory between turns
	// and go on if Previous names the turn that it has seen last; otherwise it
	// executes the journal again. Correctness never depends on that.
	Turn(ctx context.Context, t *msg.Turn) *msg.Outcome

	// Perform runs one attempt of an activity and returns what it came to. It
	// may take any time, and never panics on account of user code. Cancelling ctx
	// says that the attempt has lost its time or that nobody needs the outcome.
	// Heartbeat may be called at any rate while the attempt runs.
	Perform(ctx context.Context, t *msg.TaskRun, heartbeat func(detail msg.Payload)) *msg.TaskOutcome
}

// Ended is the outcome of a turn whose handler ended its goroutine.
func Ended(t *msg.Turn) *msg.Outcome {
	return &msg.Outcome{Run: t.Run, Panicked: true, Err: msg.Errorf(msg.CodePanic, msg.ClassFailed,
		"panic in %s/%s: runtime.Goexit: the handler ended its goroutine; return an error instead",
		t.Message.Target.Kind, t.Message.Handler)}
}

// NotServed is the outcome of an attempt of an activity that a program does not
// know. The task waits for one that does.
func NotServed(t *msg.TaskRun, by string) *msg.TaskOutcome {
	return &msg.TaskOutcome{Target: t.Target, Name: t.Task.Name(), Attempt: t.Task.Attempt,
		Fault: by + " serves activity " + t.Task.Activity + " in this version of the code"}
}

// Description says what a program serves.
type Description struct {
	App         string
	CodeVersion string
	Kinds       []msg.Kind // sorted by name
	Activities  []Activity // sorted by name
	Events      []Event    // sorted by name

	// Startup has requests that are made at every start, one after the other,
	// before any other is admitted. They may be for kinds that are hidden.
	Startup []msg.Request
}

// Event describes an event that is known.
type Event struct {
	msg.Event

	// Touches says which entities an event names, when it is raised from outside
	// with nothing but its payload. It never panics on account of user code. Nil:
	// whoever raises it has to say.
	Touches func(msg.Payload) ([]msg.Ref, *msg.Error)
}

// EngineEvents is what an engine has to know of the events.
func (d *Description) EngineEvents() []msg.Event {
	events := make([]msg.Event, len(d.Events))
	for n := range d.Events {
		events[n] = d.Events[n].Event
	}
	return events
}

// Activity describes an activity that is served.
type Activity struct {
	Name        string
	Doc         string
	Concurrency int // attempts at once on a node; 0: no limit of its own

	// Remote says that attempts are made in another process, and Perform waits
	// for it: they take no room of those that are made here, and the end of this
	// process is not held against them.
	Remote bool
}

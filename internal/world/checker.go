package world

import "fmt"

// Checker says which check found a violation.
type Checker uint8

// The checkers.
const (
	ByClient     Checker = iota // a client, or what its test checks
	ByInvariant                 // production code checks itself
	ByLog                       // records are dense, in time, and can be read
	ByMessages                  // I1, I2
	ByInboxes                   // what was accepted is finished once
	ByTimers                    // reminders and delays
	ByOrder                     // nothing leaves before it is in the log
	ByDurability                // what was durable is durable
	ByCheckpoint                // checkpoints have seen nothing that is not durable
	ByRebuild                   // what was rebuilt, and what lives, is what records make
	ByStart                     // a process starts on what the one before has left
	ByAlways                    // what is always true
	ByFinally                   // what is true at rest
	ByLiveness                  // everything comes to its end
	ByBounds                    // queues and bookkeeping
	CheckerCount                // number of checkers
)

var checkerNames = [CheckerCount]string{
	ByClient: "clients", ByInvariant: "invariants", ByLog: "log", ByMessages: "messages", ByInboxes: "inboxes",
	ByTimers: "timers", ByOrder: "order", ByDurability: "durability", ByCheckpoint: "checkpoints", ByRebuild: "rebuild",
	ByStart: "start", ByAlways: "always", ByFinally: "finally", ByLiveness: "liveness", ByBounds: "bounds",
}

// String is the name of the checker.
func (c Checker) String() string { return checkerNames[c] }

// watches says whether the checker looks into the node, where clients cannot.
func (c Checker) watches() bool {
	switch c {
	case ByLog, ByMessages, ByInboxes, ByTimers, ByOrder, ByDurability, ByCheckpoint, ByRebuild, ByBounds:
		return true
	}
	return false
}

// violation ends a run.
type violation struct {
	checker Checker
	text    string
}

// fail ends the run, unless the world is blind to what the checker sees.
func (w *World) fail(by Checker, format string, args ...any) {
	if w.config.Blind && by.watches() {
		return
	}
	panic(violation{by, fmt.Sprintf(format, args...)})
}

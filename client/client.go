// Package client is the untyped connection to Holdfast: names and bytes, over
// HTTP or in process. Gateways use it; programs use the typed handles of
// package holdfast, which stand on it.
//
// A connection makes every update repeatable by itself: it gives each request
// that has no idempotency key an identity of its own and repeats it after a
// lost answer, and the server answers a repeat without doing it twice.
package client

import (
	"context"
	"time"
)

// Operation says what a request wants. The zero value runs a handler.
type Operation string

// The operations. Reply.Body is JSON in the shape that the HTTP interface gives
// for all but Call and Peek, where it is the handler's output.
const (
	Call      Operation = ""          // run an update or a read and wait for its outcome
	Submit    Operation = "submit"    // run an update some time; durable when Invoke returns
	Peek      Operation = "peek"      // run a read on the last committed state, past every queue
	Inspect   Operation = "inspect"   // {"kind","key","version","state"}; not_found if it never existed
	Exists    Operation = "exists"    // true or false
	Delete    Operation = "delete"    // no body
	Reminders Operation = "reminders" // {"reminders":[{"name","handler","due","every","cron"}]}
	List      Operation = "list"      // {"entities":["key",…],"next":"…"}
	Result    Operation = "result"    // {"id","status","result","error"} of InvocationID; with Wait, when it has ended
	Raise     Operation = "raise"     // apply the event Handler, with Body, everywhere; OneWay: durable when Invoke returns
)

// The operations of workflows: Kind is the workflow's name, Key the run's id.
// What begins, signals or changes one is durable when Invoke returns. With Wait,
// Start and Describe wait until the workflow has ended or ctx has; that it has
// failed is part of the answer, not an error.
const (
	Start     Operation = "start"     // begin it with Body; without Key, with an id of its own; {"id","status",…} as Describe
	Signal    Operation = "signal"    // Handler is the signal, Body its payload; no body
	Query     Operation = "query"     // Handler is the query, Body its input; the query's output
	Describe  Operation = "describe"  // {"id","name","status","result","error","started_at","ended_at",…}; with Wait, when it has ended
	History   Operation = "history"   // the journal
	ListRuns  Operation = "list_runs" // {"workflows":[{"id","status",…}],"next":"…"}; Status filters
	Cancel    Operation = "cancel"    // ask it to stop; no body
	Terminate Operation = "terminate" // end it at once; no body
	Pause     Operation = "pause"     // let it take no step until Resume; no body
	Resume    Operation = "resume"    // no body
	Restart   Operation = "restart"   // end its run and begin another with the same input; no body
	Resolve   Operation = "resolve"   // complete Promise with Body; no body
	Reject    Operation = "reject"    // fail Promise with Body, {"code","class","message","detail"} of which any may be absent; no body
)

// Request is one request. Target, handler and body mean what they mean in the
// HTTP interface.
type Request struct {
	Operation      Operation
	Namespace      string
	Kind           string
	Affinity       string // of the kind, where the caller knows it
	Key            string
	Handler        string
	Body           []byte
	ContentType    string // empty: application/json
	IdempotencyKey string
	Delay          time.Duration // Submit, Start, Signal: no earlier than this from now
	NotBefore      time.Time     // Submit, Start, Signal: no earlier than this; zero: at once
	Deadline       time.Time     // do not begin later; zero: none
	Header         map[string]string
	OneWay         bool   // same as Operation Submit
	InvocationID   string // Result
	After          string // List: keys after this one; ListRuns: the next of the page before
	Limit          int    // List, ListRuns: at most so many
	Wait           bool   // Result, Start, Describe: wait until it has ended
	OnConflict     string // Start: "attach" (or empty), "reject" or "replace", if it has begun before
	Status         string // ListRuns: only those that stand so; empty: all
	ParentClose    string // Start, by a workflow: "cancel" (or empty), "abandon" or "wait", when that ends
	Promise        string // Resolve, Reject: id of the promise
	Refs           []Ref  // Raise: what the event names; over HTTP the server finds out from Body
}

// Ref names an entity.
type Ref struct{ Kind, Key string }

// Reply is the answer to a request that has been done.
type Reply struct {
	InvocationID string // Submit, Start if it is an invocation, Result
	Body         []byte
	ContentType  string
	Version      uint64 // Inspect
}

// Error is how a request failed: an outcome of the handler or a refusal by the
// system, with a stable code.
type Error struct {
	Code      string
	Class     uint8 // of an outcome; see holdfast.Class
	Message   string
	Detail    []byte
	Retryable bool // the same request may succeed later
	Unknown   bool // whether the request was done is not known
}

func (e *Error) Error() string {
	if e.Message == "" {
		return e.Code
	}
	return e.Code + ": " + e.Message
}

// Conn is a connection. It is safe for concurrent use.
type Conn interface {
	// Invoke sends the request and waits for the answer until ctx is done.
	// An error that came from the server, or from losing it, is an *Error.
	Invoke(ctx context.Context, r Request) (Reply, error)
}

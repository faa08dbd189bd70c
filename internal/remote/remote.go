package remote

import (
	"fmt"
	"strings"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// Target names what is invoked: the actor ID of a type, or, where ID is empty,
// the service Type. None of the three has a slash.
type Target struct{ App, Type, ID string }

// IsService reports whether a service is meant.
func (t Target) IsService() bool { return t.ID == "" }

// Key is the key of the actor, as in "app/type/id".
func (t Target) Key() string { return t.App + "/" + t.Type + "/" + t.ID }

// ParseActor is the inverse of Key.
func ParseActor(key string) (Target, error) {
	app, rest, _ := strings.Cut(key, "/")
	kind, id, _ := strings.Cut(rest, "/")
	if app == "" || kind == "" || id == "" || strings.Contains(id, "/") {
		return Target{}, fmt.Errorf("%.64q names no actor: want app/type/id", key)
	}
	return Target{App: app, Type: kind, ID: id}, nil
}

// InvocationKind says who waits for an invocation. The numbers are on the wire.
type InvocationKind uint8

// The kinds of invocations.
const (
	InvocationCall    InvocationKind = iota + 1 // the caller waits
	InvocationTell                              // nobody waits
	InvocationPromise                           // the outcome is kept under the request's id
	InvocationDelete                            // the actor is deleted; nobody waits
)

// Invocation asks for one run of a method, however many attempts that takes.
type Invocation struct {
	Request     string // its name: "req-…", the same in all attempts and after tail calls
	Flow        string // "flow-…": invocations of the flow that holds an actor enter it beside each other
	Sequence    uint32 // how many tail calls it has come through
	Kind        InvocationKind
	Target      Target
	Method      string       // of a service: GET, POST, …
	Path        string       // begins with a slash; of a service: with its query
	Headers     []msg.Header // of a service
	ContentType string
	Body        []byte
	To          Address       // who is told the outcome; zero: nobody, or who made the request
	BusyTimeout time.Duration // how long it may wait for its actor; 0: for ever
	StartWithin time.Duration // how long it may wait for a component that can run it; 0: for ever
	StartBy     msg.Time      // the same as a time, set by the server when it has arrived
	Parent      string        // the request that asked, for people
}

// Address says who is told an outcome: who waits for a reply, or a handler of an
// entity. The zero value is nobody.
type Address struct {
	Reply   msg.ReplyTo
	Entity  msg.Ref // told by its handler "result"
	Request string  // of Entity, an actor: the request that called
	Call    Call    // of Entity, an actor: which call of that request
}

// IsZero reports whether nobody is told.
func (a *Address) IsZero() bool { return a.Reply.IsZero() && a.Entity.Kind == "" }

// Call recognises what an invocation sends when it runs again: by what it says,
// and how often the same was said before. Never by position.
type Call struct {
	Hash       msg.Fingerprint // of kind, target, method, path, content type and body
	Occurrence uint32          // from 1
}

// Result is how an invocation ended, as HTTP says it.
type Result struct {
	Status      uint16
	ContentType string
	Headers     []msg.Header // of a service's answer
	Body        []byte
	Failure     string // not empty: the system refused or gave up; Status says in which way, and Body is empty
}

// Outgoing is something that an invocation sends.
type Outgoing struct {
	Call       Call
	Invocation Invocation // its Request is the name that it gets if it is new
	Topic      string     // not empty: Body of Invocation is published there, and nothing else in it counts
}

// ChangeKind says what a change does. The numbers are on the wire.
type ChangeKind uint8

// The kinds of changes.
const (
	ChangePut    ChangeKind = iota + 1 // entry Key of Field is Value
	ChangeRemove                       // entry Key of Field is gone
	ChangeClear                        // Field is empty
	ChangeReset                        // all state is gone: entries and submaps
)

// The fields of an actor that changes and queries name. A submap is FieldSubmap
// and its name.
const (
	FieldState         = "s"  // the entries that are in no submap
	FieldSubmap        = "m:" // and the submap's name
	FieldReminders     = "r"  // values are encoded Reminders, keys their ids
	FieldSubscriptions = "e"  // values are encoded Subscriptions, keys their ids
)

// Change is one change of an actor's state, reminders or subscriptions.
type Change struct {
	Kind  ChangeKind
	Field string
	Key   string
	Value []byte
}

// Reminder is a named timer of an actor, which tells it something.
type Reminder struct {
	Path   string
	Due    msg.Time
	Period time.Duration // 0: once
	Data   []byte        // the body; empty: none was given
}

// Subscription lets an actor be told what is published in a topic.
type Subscription struct {
	Path        string
	Topic       string
	ContentType string
	Group       string
	Oldest      bool // from the oldest event that the topic still has
}

// Assignment asks a process for one attempt of an invocation.
type Assignment struct {
	Token      uint64 // of this invocation step in the server; never 0
	Attempt    uint32 // from 1
	Invocation Invocation
}

// Completion is what an attempt came to.
type Completion struct {
	Result  Result
	Changes []Change   // of the actor, since it was entered or since the last completion within
	Sends   []Outgoing // that have not left yet, in order
	Lost    string     // not empty: the attempt broke off, for this reason, and nothing else counts; it is made again
}

// RequestKind says what a process asks of the server. The numbers are on the
// wire.
type RequestKind uint8

// The kinds of requests.
const (
	RequestInvoke      RequestKind = iota + 1 // Invocation, by nobody's attempt; answered with its outcome, or when it is durable
	RequestOperate                            // what the attempt Token, Attempt sends now, in order; then waits for the outcome of the last one, if that is a call
	RequestAwait                              // the outcome of the promise Name
	RequestChange                             // Changes to Target, at once
	RequestQuery                              // Query about Target
	RequestTopicCreate                        // the topic Name
	RequestTopicDelete                        // the topic Name
	RequestPublish                            // Body to the topic Name
	RequestInformation                        // about the application; Name is "actors" or "sidecars"; JSON
	RequestInstances                          // every actor with state of Target.App, and Target.Type if given; JSON
	RequestQuarantined                        // invocations of Target.App that have failed too often; JSON
	RequestRelease                            // the quarantined request Name is attempted again
	RequestDrop                               // the quarantined request Name ends with an error
	RequestPurge                              // everything of Target.App is forgotten
	RequestDrain                              // what waits at actors of Target.App is forgotten, and its state kept
)

// Request is one thing that a process asks of the server. Lane and Number make
// it repeatable: the requests of a lane follow each other.
type Request struct {
	Kind       RequestKind
	Lane       uint32
	Number     uint64
	Target     Target
	Invocation *Invocation
	Name       string
	Issued     bool // RequestAwait: the promise was made here, and may be known to the server only in a moment
	Token      uint64
	Attempt    uint32
	Sends      []Outgoing
	Changes    []Change
	Query      Query
	Body       []byte
}

// QueryKind says what is wanted of an actor. The numbers are on the wire.
type QueryKind uint8

// The kinds of queries.
const (
	QueryEntry QueryKind = iota + 1 // entry Key of Field
	QueryField                      // all of Field
	QueryState                      // all entries and submaps
	QueryCount                      // how many entries Field has
)

// Query is a question about an actor's state.
type Query struct {
	Kind  QueryKind
	Field string
	Key   string
}

// Entry is an entry of a field.
type Entry struct {
	Field string
	Key   string
	Value []byte
}

// Answer is what the server says to a Request.
type Answer struct {
	Result  Result  // RequestInvoke, RequestOperate, RequestAwait, and what is JSON; a Failure refuses any request
	Found   bool    // QueryEntry; RequestTopicCreate and RequestTopicDelete: it was there
	Entries []Entry // queries, in the order of field and key
	Count   uint64  // QueryCount
	Existed []bool  // RequestChange: for each change, whether there was something that it replaced or took away
	Counts  []uint64
	Names   []string // RequestOperate: the names that the promises among Sends have, in order
}

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

// String names the target for people.
func (t Target) String() string {
	if t.IsService() {
		return "service " + t.Type
	}
	return t.Type + "[" + t.ID + "]"
}

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
	InvocationPromise                           // the outcome is kept under the request's name
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
	Headers     []msg.Header // of a service, as they came
	ContentType string
	Body        []byte
	To          Address       // who is told the outcome; zero: nobody, or who made the request
	BusyTimeout time.Duration // how long it may wait for its actor; 0: for ever
	StartWithin time.Duration // how long it may wait for a component that can run it; 0: for ever
	StartBy     msg.Time      // the same as a time, set by the server when it has arrived
	Parent      string        // the request that asked, for people
	CancelWith  string        // the session without which nobody waits: if it has ended, the invocation is not begun; empty: it is in any case
}

// Address says who is told an outcome: who waits for a reply, or the handler
// "result" of an entity. The zero value is nobody.
type Address struct {
	Reply   msg.ReplyTo
	Entity  msg.Ref
	Request string // of an actor: the request that called
	Call    Call   // of an actor: which call of that request
}

// IsZero reports whether nobody is told.
func (a *Address) IsZero() bool { return a.Reply.IsZero() && a.Entity.Kind == "" }

// Call recognises what an invocation sends when it runs again: by what it says,
// and how often the same was said before. Never by position.
type Call struct {
	Hash       msg.Fingerprint // of kind, target, method, path, content type and body
	Occurrence uint32          // from 1
}

// Key is the key under which a call is remembered.
func (c *Call) Key() string { return fmt.Sprintf("%x/%d", c.Hash[:], c.Occurrence) }

// Result is how an invocation ended, as HTTP says it.
type Result struct {
	Status      uint16
	ContentType string
	Headers     []msg.Header // of a service's answer
	Body        []byte
	Failure     string // not empty: the system refused or gave up; Status says in which way, and Body is empty
}

// Failed makes the result of something that the system refused or gave up.
func Failed(status uint16, format string, args ...any) Result {
	return Result{Status: status, Failure: fmt.Sprintf(format, args...)}
}

// Outgoing is something that an invocation sends: an invocation, an event of a
// topic, or changes of its actor that count at once.
type Outgoing struct {
	Call       Call
	Invocation Invocation // its Request is the name that it gets if it is new
	Topic      string     // not empty: Body of Invocation is published there
	Changes    []Change   // not empty: reminders and subscriptions of the actor
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

// IsState reports whether a field holds state of the application.
func IsState(field string) bool {
	return field == FieldState || strings.HasPrefix(field, FieldSubmap)
}

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
	Token      uint64 // of this invocation and its sequence; never 0
	Attempt    uint32 // from 1
	Invocation Invocation
	State      []Entry // of the actor, if Whole
	Whole      bool    // State is all state that the actor has
}

// Completion is what an attempt came to.
type Completion struct {
	Token   uint64
	Attempt uint32
	Request string
	Result  Result
	Tail    *Invocation // the obligation goes to this invocation; Result does not count
	Release bool        // with Tail to the same actor: the actor is let go in between
	Changes []Change    // of the actor's state, since it was entered or since the last completion within
	Sends   []Outgoing  // that have not left yet, in order
	Lost    string      // not empty: the attempt broke off, for this reason, and nothing else counts; it is made again
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
	RequestSidecars                           // the processes of Target.App; JSON
	RequestActors                             // the actors of Target.App that are active, and of Target.Type if given; JSON
	RequestInstances                          // the actors of Target.App that are known, and of Target.Type if given; JSON
	RequestQuarantined                        // invocations of Target.App that have failed too often; JSON
	RequestRelease                            // the quarantined request Name is attempted again
	RequestDrop                               // the quarantined request Name ends with an error
	RequestPurge                              // everything of Target.App is forgotten
	RequestDrain                              // what waits at actors of Target.App is forgotten, and its state kept
	RequestEnded                              // answered when Invocation, of which Target, Request and Sequence count, is not attempted any more
	requestKindLast    = RequestEnded
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
	Lane    uint32
	Number  uint64
	Result  Result   // of an invocation, and what is JSON; a Failure refuses any request
	Found   bool     // QueryEntry, RequestTopicCreate, RequestTopicDelete, RequestRelease and RequestDrop: it was there
	Entries []Entry  // queries, in the order of field and key
	Count   uint64   // QueryCount, RequestPurge, RequestDrain
	Counts  []uint64 // RequestChange: for each change, how many entries it replaced or took away
}

// Hello begins or resumes a session, and says what the process is.
type Hello struct {
	Version  uint32 // of the protocol; 1
	Session  string // random, the same for the life of the process
	App      string
	Services []string
	Types    []string  // of actors
	Port     uint32    // for people
	Live     []Attempt // that run, or have ended without the server having heard of it
	Actors   []Target  // that are active in the process
	Run      string    // Welcome.Run of the last connection; empty: this is the first
}

// Attempt names an attempt.
type Attempt struct {
	Token   uint64
	Attempt uint32
	Request string
}

// Welcome answers Hello.
type Welcome struct {
	Version  uint32
	Server   string        // the version of the server's program
	Lease    time.Duration // a session that is not heard of for so long has ended
	BytesMax uint32        // of a frame
	Window   uint32        // bytes of frames that may be sent before a Credit
	Refused  string        // not empty: why there is no session, and none will be
	Run      string        // names this run of the server
	Stale    bool          // the session ended before it was resumed: what was live is not listened to
}

// Credit allows further bytes to be sent.
type Credit struct{ Bytes uint32 }

// Goodbye ends a session.
type Goodbye struct{ Reason string }

// Inactive says that the application has deactivated an actor: it may be placed
// anew.
type Inactive struct{ Actor Target }

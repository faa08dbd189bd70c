package msg

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// Partition numbers a partition of the deployment, from 0.
type Partition uint16

// Index numbers the records of one partition densely, from 1. 0 is "before the
// first". Semantics speak of indexes, never of positions.
type Index uint64

// Position numbers the records of one log group densely, from 1. Only
// durability and trimming speak of positions.
type Position uint64

// FrameNumber numbers the frames of one log group densely, from 1.
type FrameNumber uint64

// Epoch fences the writers of a log group: a log refuses an append of an
// epoch older than the newest it has seen.
type Epoch uint64

// Number numbers the messages of one channel (source partition, destination
// partition) densely, from 1. 0 is "not numbered": the input came from outside.
type Number uint64

// Time is nanoseconds since 1970 UTC. 0 is "none".
type Time int64

// TimeOf converts a wall-clock time.
func TimeOf(t time.Time) Time { return Time(t.UnixNano()) }

// Std converts to the standard library's time, in UTC.
func (t Time) Std() time.Time { return time.Unix(0, int64(t)).UTC() }

// Ref names one durable object.
type Ref struct {
	Namespace string // reserved; empty
	Kind      string
	Key       string
}

// String gives "kind/key", for logs and errors.
func (r Ref) String() string { return r.Kind + "/" + r.Key }

// ParseRef is the inverse of String, for refs without a namespace: no kind has
// a slash in its name. It gives the zero Ref for what is no ref.
func ParseRef(s string) Ref {
	kind, key, ok := strings.Cut(s, "/")
	if !ok {
		return Ref{}
	}
	return Ref{Kind: kind, Key: key}
}

// Compare orders refs by namespace, kind and key.
func (r Ref) Compare(o Ref) int {
	if c := strings.Compare(r.Namespace, o.Namespace); c != 0 {
		return c
	}
	if c := strings.Compare(r.Kind, o.Kind); c != 0 {
		return c
	}
	return strings.Compare(r.Key, o.Key)
}

// Payload is a value as bytes. An empty content type means JSON; an empty body
// means no value. Bodies are immutable once they are in a Payload.
type Payload struct {
	ContentType string
	Body        []byte
}

// Header is one piece of request metadata. Lists of headers are sorted by name.
type Header struct{ Name, Value string }

// Class says how transports present an outcome.
type Class uint8

// The classes. Their numbers are on the wire and never change.
const (
	ClassFailed Class = iota
	ClassInvalidArgument
	ClassNotFound
	ClassConflict
	ClassDenied
	ClassExhausted
	ClassUnavailable
)

// Codes of errors that the system itself makes. A handler's own codes are its
// application's business.
const (
	CodeInvalidArgument   = "invalid_argument"
	CodeNotFound          = "not_found"
	CodeConflict          = "conflict"
	CodeAlreadyExists     = "already_exists"
	CodePayloadTooLarge   = "payload_too_large"
	CodeUnprocessable     = "unprocessable"
	CodeFailed            = "failed"
	CodePanic             = "panic"
	CodeQuarantined       = "quarantined"
	CodeDenied            = "denied"
	CodeMethodNotAllowed  = "method_not_allowed"
	CodeCancelled         = "cancelled"
	CodeResourceExhausted = "resource_exhausted"
	CodeDeadlineExceeded  = "deadline_exceeded"
	CodeUnavailable       = "unavailable"
	CodeUnhandled         = "unhandled" // a machine has no reaction to the message
	CodeWouldDeadlock     = "would_deadlock"
)

// Error is an error as data: an outcome of a handler, or a refusal or fault of
// the system. Two errors are the same kind if their codes are equal.
type Error struct {
	Code    string
	Class   Class
	Message string
	Detail  []byte
}

// Errorf makes an Error.
func Errorf(code string, class Class, format string, args ...any) *Error {
	return &Error{Code: code, Class: class, Message: fmt.Sprintf(format, args...)}
}

func (e *Error) Error() string {
	if e.Message == "" {
		return e.Code
	}
	return e.Code + ": " + e.Message
}

// InvocationID names one invocation. Its first two bytes are the partition
// that knows about it.
type InvocationID [16]byte

// NewInvocationID makes an id from a nonce of the process and a counter.
func NewInvocationID(p Partition, nonce, counter uint64) (id InvocationID) {
	binary.BigEndian.PutUint16(id[:], uint16(p))
	binary.BigEndian.PutUint64(id[2:], nonce) // six bytes of it stay
	binary.BigEndian.PutUint64(id[8:], counter)
	return id
}

// IsZero reports whether the id names nothing.
func (id InvocationID) IsZero() bool { return id == InvocationID{} }

// Partition is where the invocation is known.
func (id InvocationID) Partition() Partition { return Partition(binary.BigEndian.Uint16(id[:])) }

// String gives 32 hexadecimal digits.
func (id InvocationID) String() string { return hex.EncodeToString(id[:]) }

// ParseInvocationID is the inverse of String.
func ParseInvocationID(s string) (id InvocationID, err error) {
	if len(s) != 2*len(id) {
		return id, fmt.Errorf("invocation id has %d characters, want %d hexadecimal digits", len(s), 2*len(id))
	}
	if _, err = hex.Decode(id[:], []byte(s)); err != nil {
		return id, fmt.Errorf("invocation id %q is not hexadecimal", s)
	}
	return id, nil
}

// SessionID names a session: a strictly sequential series of requests of one
// client. Request n says that the answers up to n-1 have been received, so a
// session costs its partition one remembered answer.
type SessionID [16]byte

// IsZero reports whether there is no session.
func (id SessionID) IsZero() bool { return id == SessionID{} }

// Identity makes a request from outside repeatable: a repeat with the same
// identity is the same request. At most one of the two ways is used; with
// neither, every repeat is a new request.
type Identity struct {
	IdempotencyKey string // scope: target and handler
	Session        SessionID
	SessionNumber  uint64 // from 1
}

// IsZero reports whether the request has no identity.
func (i Identity) IsZero() bool { return i.IdempotencyKey == "" && i.Session.IsZero() }

// Operation says what a request wants.
type Operation uint8

// The operations.
const (
	OperationCall        Operation = iota // run a handler and wait for its outcome; an update or a read
	OperationSubmit                       // run an update some time; answered when the request is durable
	OperationPeek                         // run a read on the last committed state, past every queue
	OperationInspect                      // committed state of an entity
	OperationExists                       // whether the entity exists; Reply.Found
	OperationDelete                       // delete the entity
	OperationReminders                    // list its reminders; Reply.Reminders
	OperationList                         // keys of a kind after a key, in order; Reply.Keys
	OperationResult                       // status of an invocation; with Wait, when it has ended
	OperationParked                       // list parked instances; Reply.Parked
	OperationResume                       // take a parked instance up again
	OperationSkip                         // give up the input that an instance is parked on
	OperationDeadLetters                  // list dead letters; Reply.DeadLetters
	OperationRedeliver                    // take a dead letter up again
	OperationDiscard                      // forget a dead letter
	OperationDescribe                     // how a workflow stands; Reply.Workflow
	OperationHistory                      // its journal, too; Reply.State
	OperationCancel                       // ask a workflow to stop
	OperationTerminate                    // end a workflow at once
	OperationPause                        // let a workflow take no step until OperationResume
	OperationRestart                      // end a workflow's run and begin another with the same input
	OperationResolve                      // complete the promise Promise with Payload or Err
	OperationRaise                        // apply the event Handler to Refs, the first of which is Target; without Wait, answered when it is durable
	OperationLocks                        // list locks that are held; Reply.Locks
	OperationRelease                      // give back the lock of Target that Holder has, or with none, all that are held there
	OperationCount                        // number of operations
)

// Request is what a frontend asks of a partition.
type Request struct {
	Operation   Operation
	Target      Ref
	Handler     string
	Payload     Payload
	Headers     []Header
	Traceparent string
	Identity    Identity
	NotBefore   Time // OperationSubmit: not before this time
	Deadline    Time // do not begin after this time
	Invocation  InvocationID
	After       string // OperationList: keys after this one; OperationParked, OperationDeadLetters, OperationLocks: places after this one
	Limit       int    // OperationList, OperationParked, OperationDeadLetters, OperationLocks: at most so many; all but the first: 0 is all
	Wait        bool   // OperationResult, OperationDescribe, OperationRaise: answer when it has ended
	Mode        Mode   // not 0: Target is taken for a workflow, and Handler for one of its with this mode
	OnConflict  ConflictPolicy
	Promise     PromiseID      // OperationResolve; Target is its workflow
	Err         *Error         // OperationResolve: rejects
	Status      WorkflowStatus // OperationList: only workflows that stand so; WorkflowNone: all
	Refs        []Ref          // OperationRaise
	Holder      Holder         // OperationRelease
}

// Reply answers a request. Which fields are set depends on the operation.
type Reply struct {
	Invocation  InvocationID
	Payload     Payload
	Err         *Error
	Found       bool
	Version     Index // OperationInspect: index of the last change
	State       *Snapshot
	Status      Status
	Keys        []string
	Workflow    *Workflow   // OperationDescribe, OperationHistory; OperationCall of a workflow that has ended since
	Workflows   []*Workflow // OperationList of a workflow kind: one for each of Keys
	Reminders   []Reminder
	Parked      []Parked
	DeadLetters []DeadLetter
	Locks       []Lock
}

// Status of an invocation.
type Status uint8

// The statuses of an invocation.
const (
	StatusUnknown Status = iota
	StatusPending
	StatusCompleted
	StatusFailed
)

func (s Status) String() string {
	return [...]string{"unknown", "pending", "completed", "failed"}[s]
}

// Parked describes an instance that has stopped taking inputs.
type Parked struct {
	Target  Ref
	Reason  string
	Since   Time
	Waiting int // inputs in its queue
}

// Place is where a parked instance stands in a list of them: by namespace, kind
// and key.
func (p *Parked) Place() string {
	return p.Target.Namespace + "\x00" + p.Target.Kind + "\x00" + p.Target.Key
}

// DeadLetter is a message that was given up.
type DeadLetter struct {
	ID      InvocationID
	Message Message
	Reason  string
	Time    Time
	State   Payload // of a machine: its root when the message was given up; empty if it had none, or a large one
}

// Place is where a dead letter stands in a list of them: by its invocation.
func (d *DeadLetter) Place() string { return string(d.ID[:]) }

// MessageKind says what a message is. The numbers are on the wire.
type MessageKind uint8

// The message kinds. A grant and an acknowledgement of an event are reserved:
// both are replies.
const (
	MessageCall MessageKind = iota + 1
	MessageSend
	MessageTailCall
	MessageReply
	MessageCancel
	MessageLockRequest
	MessageLockGrant
	MessageLockRelease
	MessageEventPrepare
	MessageEventCommit
	MessageEventAbort
	MessageEventAck
	MessageActivityTask
	MessageActivityOutcome
	MessageSignal
	MessageTimer
	MessageDelete // a call that deletes the entity
	MessageExists // a call that asks whether the entity exists; the answer is JSON true or false
)

// MessageID is the identity of a message between partitions: the channel it
// travels on and its number there. Number 0 names no message.
type MessageID struct {
	Source      Partition
	Destination Partition
	Number      Number
}

// ReplyTo is the obligation to answer a step of a workflow, which is Target, or
// where there is none, an invocation: the origin partition keeps who waits for
// it. The zero value means that nobody waits.
type ReplyTo struct {
	Origin     Partition
	Invocation InvocationID
	Target     Ref
	Run        Index // of the workflow
	Step       StepNumber
}

// IsZero reports whether nobody waits.
func (r *ReplyTo) IsZero() bool { return r.Invocation.IsZero() && r.Target.Kind == "" }

// Workflow reports whether a step of a workflow waits.
func (r *ReplyTo) Workflow() bool { return r.Target.Kind != "" }

// Message is an input of an instance, wherever it comes from: another
// partition (ID.Number > 0), outside, or a timer.
type Message struct {
	ID          MessageID
	Kind        MessageKind
	Sender      Ref // the instance it came from; zero if from outside
	Target      Ref
	Handler     string
	Payload     Payload
	Headers     []Header
	Traceparent string
	Deadline    Time
	NotBefore   Time
	ReplyTo     ReplyTo
	Err         *Error // MessageReply: the outcome, if it is an error
	Identity    Identity
	Invocation  InvocationID
	Reminder    string // MessageTimer: name of the reminder that fired
	OnConflict  ConflictPolicy
	Hold        Holder    // done under the locks that it holds; of a lock message: who asks for them, or gives them back
	Chain       []Holder  // who waits for the outcome, directly or not, and holds locks
	Keys        []LockKey // of messages about locks and events: what they visit, in order
}

// Reminder is a named timer of an instance that sends it a message.
type Reminder struct {
	Name     string
	Handler  string
	Payload  Payload
	Due      Time     // next firing
	Schedule Schedule // how it repeats; zero: once
}

// Schedule says how a reminder repeats. At most one field is set.
type Schedule struct {
	Every time.Duration // at Due + n·Every
	Cron  string        // five fields, UTC
}

// RecordKind says why a record was written. The numbers are on the wire.
type RecordKind uint8

// The record kinds.
const (
	RecordStep       RecordKind = iota + 1 // an input was consumed
	RecordAccept                           // an input that has to wait became durable here
	RecordAck                              // messages left the outbox
	RecordAttempt                          // an input is about to run again
	RecordEpoch                            // a new owner has begun
	RecordKinds                            // the kind table
	RecordCheckpoint                       // a checkpoint became current
	RecordUpgrade                          // the format or hash version changed
)

// Record is what one step decided. Durable state is the fold of records.
// Every field may be empty; the kind is for people, the fold looks at fields.
type Record struct {
	Kind        RecordKind
	Partition   Partition
	Index       Index
	Time        Time
	Instance    Ref            // whose inputs, changes and reminders these are
	Consumed    []MessageID    // numbered messages that are done or taken over
	Accepted    *Message       // a message that enters the inbox of its target; its id there is this record's index
	Finished    []Index        // inbox messages that are done
	Changes     []Change       // to the instance
	Outbox      []*Message     // messages that leave, numbered
	Acked       []MessageID    // messages that left the outbox because the receiver has them
	Remind      []Reminder     // reminders set
	Forget      []string       // reminders cleared
	Answers     []Answer       // what callers were told, where it is remembered
	DeadLetters []DeadLetter   // messages given up
	Discarded   []InvocationID // dead letters forgotten
	Attempts    []AttemptCount // attempts of inputs that will run again
	Pruned      Index          // answers that have ended and were put at or before this index are forgotten
	Kinds       []KindRule     // the kind table
	Epoch       Epoch
	CodeVersion string
	Workflow    *Workflow    // how the instance, a workflow, stands from here on; nil: as before
	Tasks       []Task       // of the instance, begun or about to be tried again
	TasksEnded  []TaskName   // of the instance
	Locks       []LockChange // to the instance
	Prepared    *Prepared    // what an event comes to at the instance, if it is committed
	Decided     InvocationID // the event of which nothing is prepared at the instance any more
}

// AttemptCount remembers how often an input has begun to run. Count 0 forgets.
type AttemptCount struct {
	Input Fingerprint
	Count uint32
}

// Fingerprint identifies an input across restarts: 16 bytes of a SHA-256.
type Fingerprint [16]byte

// Answer is an entry in a table of answers: what was said, or that nothing has
// been said yet, for a request that can be repeated or asked about.
type Answer struct {
	Invocation InvocationID
	Status     Status
	Payload    Payload
	Err        *Error

	// How the request can be found again; any may be zero.
	Session       SessionID
	SessionNumber uint64
	Idempotency   Fingerprint // of target, handler and Idempotency-Key
	Body          Fingerprint // of the body that came with it
	Submitted     bool        // OperationResult may ask about it
}

// ChangeKind says what a change does. The numbers are on the wire.
type ChangeKind uint8

// The change kinds.
const (
	ChangeRoot   ChangeKind = iota + 1 // Value is the new root
	ChangePatch                        // replace Remove bytes at Offset of the root of Base by Value
	ChangePut                          // entry Key of map Field is Value
	ChangeRemove                       // entry Key of map Field is gone
	ChangeClear                        // map or list Field is empty
	ChangeAppend                       // Value is appended to list Field
	ChangeDelete                       // state, sub-state and reminders are gone
)

// Change is one change of an instance's state.
type Change struct {
	Kind         ChangeKind
	Field        string
	Key          string
	Value        []byte
	ContentType  string // ChangeRoot
	StateVersion uint32 // ChangeRoot and ChangePatch: version of the state's type
	Base         Index  // ChangePatch: index of the change that made the root it patches
	Offset       uint32
	Remove       uint32
}

// KindRule is a kind's entry in the kind table: what may not change while
// there is data.
type KindRule struct {
	Kind      string
	Affinity  string // empty: placed by kind and key
	HashKind  uint32 // version of the placement hash
	Partition uint32 // number of partitions
	Form      Form
}

// Mode says what a handler may do.
type Mode uint8

// The modes.
const (
	ModeUpdate Mode = iota + 1
	ModeRead
	ModeWorkflow // HandlerRun: takes steps
	ModeSignal   // buffered, and delivered to the workflow
	ModeQuery    // looks at a workflow, between its steps
	ModeEvent    // takes an event, as an update that is kept only if all take it
)

// Form says what the instances of a kind are. The numbers are on the wire.
type Form uint8

// The forms.
const (
	FormEntity Form = iota
	FormWorkflow
	FormMachine // its handlers are messages: they are sent, not called
)

// Kind describes a kind of entity, or a workflow, that a program serves.
type Kind struct {
	Name          string
	Form          Form
	Affinity      string
	Doc           string
	StateVersion  uint32
	StateBytesMax int           // of the root; 0 is the default
	IdleTTL       time.Duration // 0: for ever
	Strict        bool          // only handlers with Creates create
	Initialised   bool          // creating takes turns in ModeWorkflow, of HandlerCreate
	Retention     time.Duration // of workflows that have ended; 0 is the default
	Tombstones    bool          // a workflow whose retention is over leaves its id taken
	Prompt        bool          // turns are short and never wait: they run where the partition does
	Handlers      []Handler     // sorted by name
}

// Hidden says that a kind is not for users: no kind of theirs has a backslash in
// its name. Nothing from outside can be asked of it, and no document shows it.
func (k *Kind) Hidden() bool { return strings.HasPrefix(k.Name, `\`) }

// Handler describes one handler of a kind.
type Handler struct {
	Name    string
	Aliases []string
	Mode    Mode
	Creates bool
	Doc     string
	Input   []byte // JSON schema; nil: no input
	Output  []byte // JSON schema; nil: no output
}

// Snapshot is the state of an instance at one index, safe to use while the
// instance changes. Nothing in it may be written to.
type Snapshot struct {
	Exists       bool
	Version      Index
	StateVersion uint32
	Root         Payload
	Fields       Fields // maps and lists; nil: none
	Machine      bool   // the root is {"stack":[…],"data":…}, and the fields are those of data
}

// Fields gives access to the maps and lists of a snapshot. It is safe for use
// by one goroutine, concurrently with changes of the instance.
type Fields interface {
	Names() []string                                          // sorted; every map and list that is not empty
	IsList(field string) bool                                 // whether the field is a list
	Entry(field, key string) ([]byte, bool)                   // one entry of a map
	Entries(field string, yield func(string, []byte) bool)    // a map in key order
	Items(field string, yield func(index int, v []byte) bool) // a list in order
	Len(field string) int                                     // entries or items
}

// Turn asks a program to run one handler on one input.
type Turn struct {
	Run     uint64 // identifies this attempt to its partition, until the process ends
	Mode    Mode
	Message *Message
	State   Snapshot
	Now     Time
	Attempt uint32      // from 1
	Input   Fingerprint // recognises the input if the process dies of it; zero: Fingerprint computes it

	// ModeWorkflow and ModeQuery. The journal is in State.
	Workflow   *Workflow
	Deliveries []Delivery // what the workflow is told; ModeWorkflow
	Previous   uint64     // Run of the turn that made the last entry of the journal; 0: not known

	// Of a read; Waiter is nil for an update, whose outcome is a CommandOutcome.
	Waiter Waiter // gets the reply
	Seen   Index  // the newest in State: the reply waits until it is durable
	Direct bool   // it is, and whoever runs the read may tell Waiter; otherwise, CommandRead
}

// Fingerprint recognises the input of a turn if the process dies of it. What
// has no identity is recognised by what it asks, which is not computed before
// somebody wants to know.
func (t *Turn) Fingerprint() Fingerprint {
	if t.Input != (Fingerprint{}) {
		return t.Input
	}
	return t.Message.Asked()
}

// Asked is the fingerprint of what a message asks, whoever does.
func (m *Message) Asked() Fingerprint {
	return FingerprintOf([]byte(m.Target.Namespace), []byte(m.Target.Kind), []byte(m.Target.Key), []byte(m.Handler), m.Payload.Body)
}

// Ended is the command that tells a partition what a turn came to.
func (t *Turn) Ended(o *Outcome) Command {
	if t.Waiter != nil {
		return Command{Kind: CommandRead, Turn: t, Outcome: o}
	}
	return Command{Kind: CommandOutcome, Outcome: o}
}

// GivenUp is the command that tells a partition that a turn has not ended in
// time.
func (t *Turn) GivenUp() Command {
	if t.Waiter != nil {
		return t.Ended(Abandoned(0))
	}
	return Command{Kind: CommandAbandon, Run: t.Run}
}

// Answer is the reply to a read that ran.
func (t *Turn) Answer(o *Outcome) Reply {
	return Reply{Invocation: t.Message.Invocation, Payload: o.Output, Err: o.Err, Found: true}
}

// Outgoing is a message as a program hands it over.
type Outgoing struct {
	Target    Ref
	Affinity  string // of the target's kind; empty: placed by kind and key
	Handler   string
	Payload   Payload
	Headers   []Header
	NotBefore Time
	Deadline  Time
	Identity  Identity

	// Of workflows.
	Kind       MessageKind // 0 is MessageSend, or MessageCall if there is a step
	Step       StepNumber  // that the answer is for; 0: nobody waits
	OnConflict ConflictPolicy
	Hold       bool // done under the locks that the run holds, or was begun under

	// MessageEventPrepare: Handler is the event.
	Refs []Ref // that it names
}

// Outcome is what a run of a handler came to.
type Outcome struct {
	Run      uint64
	Output   Payload
	Err      *Error     // the handler's error; nothing else is kept unless Keep
	Keep     bool       // changes and messages are kept although Err is set
	Panicked bool       // Err describes a panic
	Fault    string     // not empty: the attempt consumed nothing, for this reason
	Root     *Payload   // the state after the turn; nil: no state was made
	Version  uint32     // version of the state's type
	Changes  []Change   // of maps and lists, in order
	Delete   bool       // the instance is deleted when the turn commits
	Sends    []Outgoing // in order
	Tail     *Outgoing  // the reply obligation goes to this message
	Remind   []Reminder
	Forget   []string
	Park     bool         // with Fault: the instance is parked at once
	Tasks    []Task       // activities to be run; the engine fills in what it knows
	Stop     []StepNumber // activities that nobody needs any more

	// Who is answered later than with the turn that took the input.
	Later   bool // the input is not answered: the program keeps its ReplyTo, and answers by a later turn, of any instance
	Replies []LateReply

	// What a machine does with its input, and with those that wait aside.
	Defer      bool   // the input is not consumed: it waits aside until a turn offers it again; what else is here is kept
	Offer      bool   // what waits aside is offered again, before all other inputs; a deletion offers too
	DeadLetter string // not empty: the input becomes a dead letter, for this reason, and nothing else is kept

	// ModeWorkflow.
	Steps    []Step       // what the turn adds to the journal
	Promises []StepNumber // that were made
	Ended    bool         // the workflow has ended with Output or Err, or Tail begins a new run
	Lock     *LockKeys    // keys that the run wants to hold from now on; nil: none
	Begin    []Delivery   // with Tail to itself: what the new run is told after its input
}

// LateReply answers who waits for an input that an earlier turn, of this
// instance or another, took and did not answer.
type LateReply struct {
	To      ReplyTo // of the message of that input
	Payload Payload
	Err     *Error
}

// Abandoned is the outcome of a run that was given up.
func Abandoned(run uint64) *Outcome {
	return &Outcome{Run: run, Fault: "the handler has not returned in time; long or blocking work belongs in an activity"}
}

// Waiter is told the answer to a request. Engine and loops only pass it on.
type Waiter interface{ Answer(Reply) }

// CommandKind says what a command is.
type CommandKind uint8

// The command kinds.
const (
	CommandRequest   CommandKind = iota // Request, Waiter
	CommandDeliver                      // Message, from another partition or this one
	CommandAck                          // Ack
	CommandOutcome                      // Outcome
	CommandAbandon                      // Run: the attempt is given up
	CommandTick                         // time has passed
	CommandLeave                        // Waiter no longer waits
	CommandTask                         // TaskOutcome
	CommandHeartbeat                    // TaskOutcome: its attempt goes on, Output is its detail
	CommandRead                         // Turn, Outcome: what a read came to that was not answered directly
	CommandCount                        // number of kinds
)

// Command is an input of a partition. Everything non-deterministic (time,
// random ids) enters with it.
type Command struct {
	Kind    CommandKind
	Now     Time
	Request *Request
	Waiter  Waiter
	Message *Message
	Ack     MessageID
	Outcome *Outcome
	Turn    *Turn
	Run     uint64
	Task    *TaskOutcome
}

// EffectKind says what an effect is.
type EffectKind uint8

// The effect kinds.
const (
	EffectRun       EffectKind = iota // Turn; after append
	EffectDeliver                     // Message to Message.ID.Destination; after append
	EffectAck                         // Ack to Ack.Source; after append
	EffectReply                       // Reply to Waiter; when the partition is durable at Index
	EffectReport                      // one of Reply.Parked or Reply.DeadLetters that is new, for operators; after append
	EffectPerform                     // Task; when the partition is durable at Index
	EffectInterrupt                   // Task: its attempt is not needed any more; after append
)

// Effect is something that a step asks the world to do, once its record is
// appended, or durable.
type Effect struct {
	Kind    EffectKind
	Index   Index // EffectReply: the newest index that the answer has seen; EffectPerform: of the record that asks
	Turn    *Turn
	Message *Message
	Ack     MessageID
	Reply   Reply
	Waiter  Waiter
	Task    *TaskRun
}

// PartitionOf places a key: entities of one affinity with the same key share a
// partition, others are placed by kind and key. The hash is FNV-1a, version 1
// of the placement rule (KindRule.HashKind).
func PartitionOf(r Ref, affinity string, partitions int) Partition {
	const offset, prime = 14695981039346656037, 1099511628211
	space := affinity
	if space == "" {
		space = r.Kind
	}
	h := uint64(offset)
	for _, part := range [...]string{r.Namespace, space, r.Key} {
		for i := range len(part) {
			h = (h ^ uint64(part[i])) * prime
		}
		h = (h ^ 0xff) * prime // 0xff is in no UTF-8 text: the parts stay apart
	}
	return Partition((h ^ h>>32) % uint64(partitions))
}

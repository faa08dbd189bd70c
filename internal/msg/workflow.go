package msg

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"
)

// This file holds the nouns of workflows and activities. A workflow is an
// instance whose kind has FormWorkflow. What it has been told and what it asked
// for is its journal, a list of entries; how it stands is a Workflow; the
// activities that it waits for are tasks.

// HandlerRun is the handler of a workflow kind that is the workflow's function:
// a message for it begins a run.
const HandlerRun = "run"

// HandlerCreate is the handler of the turns that create an entity of a kind that
// is Initialised. They are turns of a workflow in all but their end: Output is
// the first state of the entity, in Version.
const HandlerCreate = "create"

// JournalField is the list of a workflow's instance that holds its journal; each
// item is an encoded Entry. No field of a state has a backslash in its name.
const JournalField = `\journal`

// StepNumber numbers the steps of one run of a workflow densely, from 1.
type StepNumber uint64

// WorkflowStatus says how a workflow stands. The numbers are on the wire.
type WorkflowStatus uint8

// The statuses of a workflow.
const (
	WorkflowNone WorkflowStatus = iota // nobody has begun it
	WorkflowRunning
	WorkflowCompleted
	WorkflowFailed
	WorkflowCancelled
	WorkflowTerminated
)

func (s WorkflowStatus) String() string {
	return [...]string{"none", "running", "completed", "failed", "cancelled", "terminated"}[s]
}

// Ended says that the workflow will not take another step.
func (s WorkflowStatus) Ended() bool { return s > WorkflowRunning }

// ConflictPolicy says what becomes of a message that begins a workflow which has
// begun already. The numbers are on the wire.
type ConflictPolicy uint8

// The conflict policies.
const (
	ConflictAttach  ConflictPolicy = iota // the same input is the same request; another input is refused
	ConflictReject                        // refused, whatever the input
	ConflictReplace                       // the present run is terminated, and a new one begins
)

// Workflow is how a workflow stands: what its instance keeps beside journal,
// tasks and timers.
type Workflow struct {
	Run         Index // of the record that began the run, which it names; 0: none has begun
	Status      WorkflowStatus
	Paused      bool        // it takes no step until it is resumed
	Cancelling  bool        // it was asked to stop
	Input       Fingerprint // of the input with which the workflow was begun, by which a repeat is recognised
	Begin       []Delivery  // what the run is told first; empty once it has been told
	Callers     []ReplyTo   // who is told how it ends
	Promises    []StepNumber
	CodeVersion string // of the program, when the run began
	StartedAt   Time
	EndedAt     Time
	Output      Payload
	Err         *Error
	Locks       []LockKey // that the run holds or waits for, in the order in which they are taken
	Chain       []Holder  // who waits for the run, directly or not, and holds locks
	Hold        Holder    // under whose locks the run was begun; zero: nobody's
	Tombstone   bool      // its retention is over: nothing is kept but that it was there, and how it ended
}

// DeliveryKind says what a run is told. The numbers are on the wire.
type DeliveryKind uint8

// The delivery kinds.
const (
	DeliveryStart   DeliveryKind = iota + 1 // Payload is the input
	DeliveryOutcome                         // Step has come to Payload or Err
	DeliverySignal                          // the signal Name, with Payload
	DeliveryCancel                          // the workflow is asked to stop
)

// String is the word for what a run is told, also in histories.
func (k DeliveryKind) String() string {
	return [...]string{"", "start", "outcome", "signal", "cancel"}[k]
}

// Delivery is one thing that a run of a workflow is told.
type Delivery struct {
	Kind    DeliveryKind
	Step    StepNumber
	Name    string
	Payload Payload
	Err     *Error
}

// StepKind says what a workflow asked for. The numbers are on the wire.
type StepKind uint8

// The step kinds.
const (
	StepCall     StepKind = iota + 1 // a handler of an entity; an outcome is delivered
	StepSend                         // a message; nothing is delivered
	StepActivity                     // an activity; an outcome is delivered
	StepLocal                        // code that ran within the turn; Output and Err are its outcome
	StepTimer                        // a time; an outcome is delivered when it has come
	StepChild                        // another workflow; an outcome is delivered
	StepPromise                      // a promise; an outcome is delivered
	StepPatch                        // a change of the code was met; Output says which way the run goes
	StepCancel                       // an earlier step, named by Name, is not waited for any more
	StepEvent                        // an event was raised; an outcome is delivered
	StepLock                         // keys were asked for; an outcome is delivered when they are held
	StepFinish                       // waits until what was sent is done; an outcome is delivered
)

// String is the word for what a workflow asks for, also in histories.
func (k StepKind) String() string {
	return [...]string{"", "call", "send", "activity", "local", "timer", "child", "promise", "patch", "cancel", "event", "lock", "finish"}[k]
}

// Step is one thing that a workflow asked for. Its number is its place in the
// run.
type Step struct {
	Kind   StepKind
	Name   string      // what was asked, for people
	Hash   Fingerprint // of everything that was asked
	Output Payload     // StepLocal and StepPatch
	Err    *Error      // StepLocal
}

// Entry is what one turn of a workflow adds to its journal. Re-execution
// delivers what an entry holds, runs until everything is blocked, and compares
// the steps.
type Entry struct {
	Time       Time // of the turn: what the workflow takes for now
	Deliveries []Delivery
	Steps      []Step
}

// Journal is the encoded entries of a journal as the fields of an instance that
// has nothing else.
type Journal [][]byte

var _ Fields = Journal(nil)

// Names implements Fields.
func (j Journal) Names() []string { return []string{JournalField} }

// IsList implements Fields.
func (j Journal) IsList(string) bool { return true }

// Entry implements Fields.
func (j Journal) Entry(string, string) ([]byte, bool) { return nil, false }

// Entries implements Fields.
func (j Journal) Entries(string, func(string, []byte) bool) {}

// Items implements Fields.
func (j Journal) Items(_ string, yield func(int, []byte) bool) {
	for i, item := range j {
		if !yield(i, item) {
			return
		}
	}
}

// Len implements Fields.
func (j Journal) Len(string) int { return len(j) }

// Retry says how an activity that has failed is tried again.
type Retry struct {
	First         time.Duration // before the second attempt
	Max           time.Duration // at most between two attempts
	FactorPercent uint32        // by how much the pause grows; 200 doubles it
	Attempts      uint32        // at most; 0: no limit
	Never         []string      // error codes that are final
}

// Task is an activity that an instance has asked for and that has not ended.
type Task struct {
	Run         Index // with Step: names the task within its instance
	Step        StepNumber
	Activity    string
	Input       Payload
	Headers     []Header
	Traceparent string
	Timeout     time.Duration // of one attempt; 0: none
	Deadline    Time          // of all attempts; 0: none
	Heartbeat   time.Duration // an attempt that is silent for so long has failed; 0: need not be heard of
	Retry       Retry
	Attempt     uint32 // that runs, or runs next; from 1
	Due         Time   // the attempt does not begin before
	Asked       Time   // when the task was made
	Detail      Payload
	Err         *Error // of the last attempt; nil: there was none
	Silent      bool   // nobody is told the outcome
	Handler     string // of the entity that is told the outcome; empty: a workflow is told, or nobody
}

// TaskName names a task within its instance.
type TaskName struct {
	Run  Index
	Step StepNumber
}

// Name names the task within its instance.
func (t *Task) Name() TaskName { return TaskName{t.Run, t.Step} }

// TaskRun asks a program for one attempt of an activity.
type TaskRun struct {
	Target Ref // the instance that asked
	Task   Task
}

// Token is the same for all attempts of a task, and for no other task.
func (r *TaskRun) Token() string {
	f := r.Fingerprint()
	return hex.EncodeToString(f[:])
}

// Fingerprint is the token as it recognises a task if the process dies of it.
func (r *TaskRun) Fingerprint() Fingerprint {
	return FingerprintOf("task", r.Target.Namespace, r.Target.Kind, r.Target.Key,
		strconv.FormatUint(uint64(r.Task.Run), 10), strconv.FormatUint(uint64(r.Task.Step), 10))
}

// TaskOutcome is what one attempt of an activity came to.
type TaskOutcome struct {
	Target    Ref
	Name      TaskName
	Attempt   uint32
	Output    Payload
	Err       *Error // nil: it succeeded
	Retryable bool   // the same may succeed later
	Fault     string // not empty: the attempt did not take place, for this reason
}

// PromiseID names a promise of a run of a workflow, for the outside.
type PromiseID struct {
	Target Ref
	Run    Index
	Step   StepNumber
}

// String gives URL-safe text.
func (p PromiseID) String() string {
	b := AppendRefField(nil, 1, &p.Target)
	b = AppendUvarintField(b, 2, uint64(p.Run))
	b = AppendUvarintField(b, 3, uint64(p.Step))
	return base64.RawURLEncoding.EncodeToString(b)
}

// ParsePromiseID is the inverse of String.
func ParsePromiseID(s string) (p PromiseID, err error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return p, fmt.Errorf("%.64q is no id of a promise: %w", s, err)
	}
	d := NewDecoder("PromiseID", b)
	for d.Next() {
		switch d.Field() {
		case 1:
			p.Target = d.Ref()
		case 2:
			p.Run = Index(d.Uvarint())
		case 3:
			p.Step = StepNumber(d.Uvarint())
		default:
			d.Unknown()
		}
	}
	switch {
	case d.Err() != nil:
		return p, fmt.Errorf("%.64q is no id of a promise: %w", s, d.Err())
	case p.Target.Kind == "" || p.Target.Key == "" || p.Run == 0 || p.Step == 0:
		return p, fmt.Errorf("%.64q is no id of a promise: it does not name one", s)
	}
	return p, nil
}

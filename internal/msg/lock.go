package msg

// This file holds the nouns of locks and events. What is locked is a key in a
// space: the affinity of a kind, or where it has none, the kind. A workflow
// holds locks from the step that asked for them to the end of its run. An event
// is applied to several instances: at all but the last, what the handler came
// to is kept unseen until it is decided.

// KeysMax bounds how many keys one lock step names, and how many instances one
// event touches: one record after another visits them, and all of those of one
// partition may be visited in one step.
const KeysMax = 256

// Holder is a run of a workflow that holds locks. A run that has lost a lock
// never gets it back by the same name.
type Holder struct {
	Workflow Ref
	Run      Index
}

// IsZero reports whether it names nobody.
func (h *Holder) IsZero() bool { return h.Run == 0 }

// LockKey is a key on the way of a message that visits several: one that a
// workflow wants to hold, or an instance that an event touches.
type LockKey struct {
	Ref    Ref
	Shared bool // others may hold it shared, too
}

// LockKeys asks for locks.
type LockKeys struct {
	Step     StepNumber // that waits until all are held
	Keys     []LockKey  // in any order
	Deadline Time       // after which it is not waited for; 0: none
}

// LockChange is one change of the lock of an instance.
type LockChange struct {
	Holder   Holder
	Shared   bool
	Released bool // it is given back; otherwise it is held from here on
}

// LockHolder says who holds a lock.
type LockHolder struct {
	Holder Holder
	Shared bool
	Since  Time
}

// Lock describes a lock that is held.
type Lock struct {
	Key     Ref // its kind is the space
	Holders []LockHolder
	Waiting int // requests for it that wait
}

// Place is where a lock stands in a list of them: by namespace, space and key.
func (l *Lock) Place() string { return l.Key.Namespace + "\x00" + l.Key.Kind + "\x00" + l.Key.Key }

// Prepared is what an event comes to at one instance, until it is decided. The
// messages have a destination and no number.
type Prepared struct {
	Event   InvocationID
	Changes []Change
	Sends   []*Message
	Remind  []Reminder
	Forget  []string
	Tasks   []Task
}

// Event describes an event that a program knows.
type Event struct {
	Name        string
	Doc         string
	Input       []byte // JSON schema
	Subscribers []Subscriber
}

// Subscriber is a kind whose entities take an event.
type Subscriber struct {
	Kind    string
	Creates bool // the event creates entities, also of a strict kind
}

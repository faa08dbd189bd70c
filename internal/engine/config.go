package engine

import (
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// Config is what a partition is made from.
type Config struct {
	Partition   msg.Partition
	Partitions  int
	Kinds       []msg.Kind
	Events      []msg.Event
	CodeVersion string
	Limits      Limits
}

// Limits bounds what a partition keeps and how long it tries.
type Limits struct {
	StateBytesMax      int           // of an entity's root, unless its kind says otherwise
	RecordBytesMax     int           // of what one turn writes
	AttemptsMax        uint32        // of one input, until it is given up or its instance is parked
	RetryDelay         time.Duration // before the second attempt; it doubles from there
	RetryDelayMax      time.Duration
	AcceptAfter        time.Duration // a message that has waited so long becomes durable at the receiver
	AckAfter           time.Duration // an acknowledgement that found no record to ride on gets its own
	Retention          time.Duration // of answers: aimed at
	RetentionMin       time.Duration // of answers: guaranteed
	AnswerBytesMax     int           // of remembered answers; over it the oldest go
	OutboxBytesMax     int           // over it requests from outside are refused
	QueueMax           int           // of inputs from outside that wait at one key
	DeadLettersMax     int           // over it the oldest go
	DeadLetterBytesMax int
	WaitersMax         int           // of requests that wait for one invocation
	SubmissionsMax     int           // of invocations that are remembered and have not ended
	SubmissionBytes    int           // of messages in inboxes; over it nothing more can be submitted
	WorkflowRetention  time.Duration // of workflows that have ended, unless their kind says otherwise
}

// withDefaults is the only place where defaults are.
func (l Limits) withDefaults() Limits {
	set(&l.StateBytesMax, 1<<20)
	set(&l.RecordBytesMax, 8<<20)
	set(&l.AttemptsMax, 5)
	set(&l.RetryDelay, 100*time.Millisecond)
	set(&l.RetryDelayMax, 30*time.Second)
	set(&l.AcceptAfter, time.Second)
	set(&l.AckAfter, 20*time.Millisecond)
	set(&l.Retention, 24*time.Hour)
	set(&l.RetentionMin, 10*time.Minute)
	set(&l.AnswerBytesMax, 64<<20)
	set(&l.OutboxBytesMax, 64<<20)
	set(&l.QueueMax, 10_000)
	set(&l.DeadLettersMax, 1_000)
	set(&l.DeadLetterBytesMax, 64<<20)
	set(&l.WaitersMax, 1_000)
	set(&l.SubmissionsMax, 1_000_000)
	set(&l.SubmissionBytes, 256<<20)
	set(&l.WorkflowRetention, 7*24*time.Hour)
	return l
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

package engine

import "github.com/holdfast-io/holdfast/internal/msg"

// Stats counts what a partition has done and holds.
type Stats struct {
	Turns, Reads, Outcomes, Panics, Faults uint64
	DeadLettered                           uint64
	Deferred                               uint64 // turns that left their input for later
	OutboxBytes, OutboxMessages, Queued    int
	Aside                                  int // inputs that wait for a turn that offers them
	Running, Parked, Entities              int
	AnswerBytes, Answers                   int
	OldestAnswer                           msg.Time
	Timers                                 int
	Workflows, Tasks                       int // that have not ended
	Locked, LockRequests                   int // keys that are locked, and requests that wait
	Prepared                               int // instances where an event is not decided
	TasksAsked, TaskRetries, TaskFaults    uint64
}

// Add sums the numbers of two partitions.
func (s Stats) Add(o Stats) Stats {
	s.Turns += o.Turns
	s.Reads += o.Reads
	s.Outcomes += o.Outcomes
	s.Panics += o.Panics
	s.Faults += o.Faults
	s.DeadLettered += o.DeadLettered
	s.Deferred += o.Deferred
	s.Aside += o.Aside
	s.OutboxBytes += o.OutboxBytes
	s.OutboxMessages += o.OutboxMessages
	s.Queued += o.Queued
	s.Running += o.Running
	s.Parked += o.Parked
	s.Entities += o.Entities
	s.AnswerBytes += o.AnswerBytes
	s.Answers += o.Answers
	s.Timers += o.Timers
	s.Workflows += o.Workflows
	s.Tasks += o.Tasks
	s.Locked += o.Locked
	s.LockRequests += o.LockRequests
	s.Prepared += o.Prepared
	s.TasksAsked += o.TasksAsked
	s.TaskRetries += o.TaskRetries
	s.TaskFaults += o.TaskFaults
	s.OldestAnswer = earlier(s.OldestAnswer, o.OldestAnswer)
	return s
}

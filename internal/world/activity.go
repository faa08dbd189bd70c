package world

import (
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/partition"
)

// activities make attempts, as package activity does on goroutines. An attempt
// does what it does to the world when it begins; its outcome comes later. Only one
// that a fault holds up takes longer than it may: then it loses its time.
type activities struct {
	process *process
	current map[attemptName]*attempt // that are not to be silent
	running int
}

// attemptName is what an attempt is known by.
type attemptName struct {
	target msg.Ref
	task   msg.TaskName
}

// attempt is one that has been asked for.
type attempt struct{ silent bool }

const (
	// attemptMax is how long an attempt takes at most, if nothing holds it up.
	attemptMax = 50 * time.Millisecond
	// leaveAfter is when an attempt that has lost its time is not waited for any
	// longer, as in package activity.
	leaveAfter = time.Second
)

func (a *activities) init(p *process) {
	a.process, a.current = p, map[attemptName]*attempt{}
}

// perform plans an attempt. One of the same task that goes on is silent from
// now on.
func (a *activities) perform(t partition.Task) {
	name := attemptName{t.Run.Target, t.Run.Task.Name()}
	a.interrupt(t)
	one := &attempt{}
	a.current[name] = one
	a.running++
	a.process.world.after(a.process.world.brief(time.Millisecond), a.process, func() { a.run(t, name, one) })
}

// run makes an attempt, unless it was interrupted before.
func (a *activities) run(t partition.Task, name attemptName, one *attempt) {
	w, p := a.process.world, a.process
	if one.silent {
		a.running--
		return
	}
	outcome := w.program.Perform(p.executors.context, t.Run, func(detail msg.Payload) {
		p.command(t.Partition, msg.Command{Kind: msg.CommandHeartbeat, Task: &msg.TaskOutcome{
			Target: t.Run.Target, Name: t.Run.Task.Name(), Attempt: t.Run.Task.Attempt, Output: detail}})
	})
	took, most := w.brief(attemptMax), a.most(&t.Run.Task)
	if took = min(took, max(most-1, 1)); w.faults.happen(FaultExecutor) {
		took = time.Duration(w.faults.details().Int64N(int64(delayMax)))
	}
	if lost := took >= most && (outcome.Err != nil || took > most+leaveAfter); lost {
		took = min(took, most+leaveAfter)
		outcome = &msg.TaskOutcome{Target: t.Run.Target, Name: t.Run.Task.Name(), Attempt: t.Run.Task.Attempt, Retryable: true,
			Err: msg.Errorf(msg.CodeDeadlineExceeded, msg.ClassUnavailable, "activity %s has lost its time: it had %v", t.Run.Task.Activity, most)}
	}
	w.trace.line(w.clock, "attempt %d of activity %s for %s takes %v", t.Run.Task.Attempt, t.Run.Task.Activity, t.Run.Target, took)
	w.after(took, p, func() {
		a.running--
		if one.silent {
			return
		}
		delete(a.current, name)
		p.command(t.Partition, msg.Command{Kind: msg.CommandTask, Task: outcome})
	})
}

// most is how long an attempt may take that begins now: until its own time is
// over, or that of all attempts, or until it has been silent for too long, as it
// says nothing but at its beginning.
func (a *activities) most(t *msg.Task) time.Duration {
	most := time.Duration(1<<63 - 1)
	if t.Timeout > 0 {
		most = t.Timeout
	}
	if t.Heartbeat > 0 {
		most = min(most, t.Heartbeat)
	}
	if t.Deadline > 0 {
		most = min(most, time.Duration(t.Deadline-a.process.world.now()))
	}
	return max(most, 0)
}

// interrupt makes an attempt silent, if there is one.
func (a *activities) interrupt(t partition.Task) {
	name := attemptName{t.Run.Target, t.Run.Task.Name()}
	if one := a.current[name]; one != nil {
		one.silent = true
		delete(a.current, name)
	}
}

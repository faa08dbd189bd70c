package world

import (
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/partition"
)

// activities make attempts, as package activity does on goroutines. An attempt
// does what it does to the world when it begins; its outcome comes later. None
// takes longer than its timeout.
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

// attemptMax is how long an attempt takes at most, if nothing holds it up.
const attemptMax = 50 * time.Millisecond

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
	took := w.brief(attemptMax)
	if w.faults.happen(FaultExecutor) {
		took = time.Duration(w.faults.details().Int64N(int64(delayMax)))
	}
	if timeout := t.Run.Task.Timeout; timeout > 0 {
		took = min(took, timeout-1)
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

// interrupt makes an attempt silent, if there is one.
func (a *activities) interrupt(t partition.Task) {
	name := attemptName{t.Run.Target, t.Run.Task.Name()}
	if one := a.current[name]; one != nil {
		one.silent = true
		delete(a.current, name)
	}
}

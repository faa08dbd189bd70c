package activity

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// state says how an attempt stands.
type state uint8

const (
	stateWaiting state = iota
	stateRunning
	stateLeft  // behind: nobody waits for it
	stateEnded // it has returned, or will not begin
)

// hush says what is not told any more.
type hush uint8

const (
	hushNothing hush = iota
	hushFailures
	hushAll
)

// attempt is one attempt, from when it is asked for until it has returned.
type attempt struct {
	pool      *Pool
	line      *line
	partition msg.Partition
	run       *msg.TaskRun

	// Under the pool's lock, but the context and its end are not changed once
	// the attempt runs.
	before, after *attempt // in its list
	state         state
	ctx           context.Context
	cancel        context.CancelFunc
	began         time.Time
	deadline      time.Time   // zero: it has all the time
	timer         *time.Timer // looks after it; nil: nothing can happen to it
	lost          string      // why its context has ended; empty: it has not
	leaveAt       time.Time   // when it is left behind, if it is lost
	dropped       bool        // it was interrupted

	sign atomic.Int64 // nanoseconds from when it began until it was heard of

	// mu is held while something is told, so that it is known to be told. The
	// pool's lock is not taken under it.
	mu     sync.Mutex
	hushed hush
	beats  beats
}

// begin gives an attempt that is about to run its context; the lock is held.
func (p *Pool) begin(a *attempt) {
	a.state = stateRunning
	task := &a.run.Task
	if task.Attempt > 1 {
		a.line.stats.Retried++
	}
	a.began = time.Now()
	if task.Timeout > 0 {
		a.deadline = a.began.Add(task.Timeout)
	}
	if task.Deadline > 0 {
		end := a.began.Add(time.Duration(task.Deadline - msg.TimeOf(p.config.Now())))
		if a.deadline.IsZero() || end.Before(a.deadline) {
			a.deadline = end
		}
	}
	if a.deadline.IsZero() {
		a.ctx, a.cancel = context.WithCancel(p.base)
	} else {
		a.ctx, a.cancel = context.WithDeadline(p.base, a.deadline)
	}
	if due := a.due(); !due.IsZero() {
		a.timer = time.AfterFunc(due.Sub(a.began), func() { p.look(a) })
	}
}

// due is when the attempt loses its time, if nothing is heard of it; zero:
// never.
func (a *attempt) due() time.Time {
	if a.run.Task.Heartbeat == 0 {
		return a.deadline
	}
	silent := a.began.Add(time.Duration(a.sign.Load()) + a.run.Task.Heartbeat)
	if !a.deadline.IsZero() && a.deadline.Before(silent) {
		return a.deadline
	}
	return silent
}

// perform runs user code, unless the time was over before it could.
func (a *attempt) perform() *msg.TaskOutcome {
	if !a.deadline.IsZero() && !a.deadline.After(a.began) {
		return a.timedOut("it could not begin before its deadline")
	}
	defer a.mark()()
	return a.pool.config.Program.Perform(a.ctx, a.run, a.heartbeat)
}

// mark notes that the attempt runs, until the function is called that it gives:
// before its outcome is told.
func (a *attempt) mark() (clear func()) {
	if a.line.remote {
		return func() {}
	}
	place := a.pool.config.Marks.Take()
	place.SetTask(a.partition, a.run)
	return func() {
		place.Clear()
		a.pool.config.Marks.Put(place)
	}
}

// look is called when an attempt may have lost its time, and again when it had
// time to return.
func (p *Pool) look(a *attempt) {
	left, refused := p.judgeTime(a, time.Now())
	if refused {
		p.config.Logger.Error("too many activities have not returned though their contexts have ended: others wait until some do",
			"left_behind", p.config.LeftBehindMax, "cure", "activities must return when their context ends")
	}
	if !left {
		return
	}
	p.config.Logger.Warn("an activity has not returned though its context has ended: it is left behind; activities must return when their context ends",
		"activity", a.run.Task.Activity, "kind", a.run.Target.Kind, "key", a.run.Target.Key, "step", a.run.Task.Step,
		"attempt", a.run.Task.Attempt, "reason", a.lost)
	a.tell(a.timedOut(a.lost))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.telling--
	p.vacate()
}

// judgeTime ends the context of an attempt that has lost its time, or leaves it
// behind if it has ended before. Refused says that as many are left behind as
// may be, the first time.
func (p *Pool) judgeTime(a *attempt, now time.Time) (left, refused bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case a.state != stateRunning:
		return false, false
	case a.lost == "":
		p.judgeSilence(a, now)
		return false, false
	case a.leaveAt.After(now):
		a.timer.Reset(a.leaveAt.Sub(now))
		return false, false
	case len(p.left) >= p.config.LeftBehindMax:
		a.timer.Reset(p.config.LeaveAfter)
		refused, p.full = !p.full, true
		return false, refused
	}
	a.count(a.timedOut(a.lost))
	p.telling++
	p.leave(a)
	return true, false
}

// judgeSilence ends the context of an attempt that has lost its time, unless it
// was heard of meanwhile; the lock is held.
func (p *Pool) judgeSilence(a *attempt, now time.Time) {
	due := a.due()
	switch {
	case due.After(now):
		a.timer.Reset(due.Sub(now))
	case due.Equal(a.deadline):
		p.lose(a, a.overtime()) // the context ends by itself
	default:
		p.lose(a, fmt.Sprintf("it was not heard of for %v", a.run.Task.Heartbeat))
		a.cancel()
	}
}

// overtime says which time is over.
func (a *attempt) overtime() string {
	if timeout := a.run.Task.Timeout; timeout > 0 && a.deadline.Equal(a.began.Add(timeout)) {
		return fmt.Sprintf("it had %v", timeout)
	}
	return "it ran until its deadline"
}

// lose notes why the context of an attempt ends, and gives it some time to
// return; the lock is held.
func (p *Pool) lose(a *attempt, why string) {
	a.lost, a.leaveAt = why, time.Now().Add(p.config.LeaveAfter)
	if a.timer == nil {
		a.timer = time.AfterFunc(p.config.LeaveAfter, func() { p.look(a) })
		return
	}
	a.timer.Reset(p.config.LeaveAfter)
}

// leave leaves an attempt behind; the lock is held.
func (p *Pool) leave(a *attempt) {
	a.state = stateLeft
	if a.timer != nil {
		a.timer.Stop()
	}
	p.forget(a)
	p.left[a] = struct{}{}
	a.line.stats.LeftBehind++
	p.release(a)
	p.vacate()
}

// judge makes a failure of an attempt that has lost its time a matter of time. A
// success that came late is one, and so is a failure that is final.
func (a *attempt) judge(o *msg.TaskOutcome) *msg.TaskOutcome {
	why := a.lost
	if why == "" && errors.Is(a.ctx.Err(), context.DeadlineExceeded) {
		why = a.overtime()
	}
	if why == "" || o.Err == nil || !o.Retryable || o.Err.Code == msg.CodeDeadlineExceeded {
		return o
	}
	return a.timedOut(why + ": " + o.Err.Error())
}

func (a *attempt) timedOut(why string) *msg.TaskOutcome {
	return a.fault(msg.CodeDeadlineExceeded, msg.ClassUnavailable, "activity %s has lost its time: %s", a.run.Task.Activity, why)
}

// fault is the outcome of an attempt that did not come to its end; it may be
// tried again.
func (a *attempt) fault(code string, class msg.Class, format string, args ...any) *msg.TaskOutcome {
	return &msg.TaskOutcome{Target: a.run.Target, Name: a.run.Task.Name(), Attempt: a.run.Task.Attempt,
		Err: msg.Errorf(code, class, format, args...), Retryable: true}
}

// count notes how an attempt has ended; the lock is held.
func (a *attempt) count(o *msg.TaskOutcome) {
	s := &a.line.stats
	switch {
	case a.dropped:
		s.Interrupted++
	case o.Fault != "":
		s.NotServed++
	case o.Err == nil:
		s.Succeeded++
	case o.Err.Code == msg.CodeDeadlineExceeded:
		s.TimedOut++
	default:
		s.Failed++
	}
}

// tell tells the outcome, and before it what was heard last, unless it is
// hushed.
func (a *attempt) tell(o *msg.TaskOutcome) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.hushed == hushAll || a.hushed == hushFailures && (o.Err != nil || o.Fault != "") {
		return
	}
	a.passOn()
	a.quiet(hushAll)
	a.pool.config.Done(a.partition, o)
}

// hush makes the attempt tell less from here on.
func (a *attempt) hush(what hush) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.quiet(what)
}

// quiet is hush for who holds the attempt's lock.
func (a *attempt) quiet(what hush) {
	a.hushed = max(a.hushed, what)
	if a.hushed == hushAll && a.beats.timer != nil {
		a.beats.timer.Stop()
	}
}

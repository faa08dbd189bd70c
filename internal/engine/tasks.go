package engine

import (
	"cmp"
	"encoding/binary"
	"slices"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// This file keeps the activities that instances have asked for: each is a task
// until its outcome counts. Attempts are made elsewhere; what becomes of their
// outcomes is decided here.

// task is an activity that has not ended. Its fields are durable, what is below
// the line is not.
type task struct {
	msg.Task
	// ---- volatile from here on

	timer  *timer // of the next attempt
	asked  bool   // an attempt has been asked for
	faults uint32 // attempts that did not take place, in a row
}

// Defaults of msg.Retry.
const (
	retryFirst         = 100 * time.Millisecond
	retryMax           = time.Minute
	retryFactorPercent = 200
)

// notServedPause is how long a task waits whose activity nobody serves.
const notServedPause = time.Second

func (o *owned) findTask(name msg.TaskName) (int, bool) {
	return slices.BinarySearchFunc(o.tasks, name, func(t *task, name msg.TaskName) int {
		return cmp.Or(cmp.Compare(t.Run, name.Run), cmp.Compare(t.Step, name.Step))
	})
}

func (i *instance) task(name msg.TaskName) *task {
	if i.owned == nil {
		return nil
	}
	place, found := i.owned.findTask(name)
	if !found {
		return nil
	}
	return i.owned.tasks[place]
}

// setTask stores a task in place of one of the same name. It is new unless only
// what its attempt has to say has changed.
func (p *Partition) setTask(i *instance, t msg.Task) (entry *task, isNew bool) {
	place, found := i.own().findTask(t.Name())
	switch {
	case !found:
		i.owned.tasks = slices.Insert(i.owned.tasks, place, &task{Task: t})
		p.stats.Tasks++
	case i.owned.tasks[place].Attempt == t.Attempt:
		i.owned.tasks[place].Task = t
		return i.owned.tasks[place], false
	default:
		p.timers.disarm(i.owned.tasks[place].timer)
		i.owned.tasks[place] = &task{Task: t}
	}
	return i.owned.tasks[place], true
}

// endTask forgets a task. An attempt that goes on is not needed any more.
func (p *Partition) endTask(i *instance, name msg.TaskName) {
	t := i.task(name)
	if t == nil {
		return
	}
	place, _ := i.owned.findTask(name)
	switch {
	case len(i.owned.tasks) == 1: // the next one takes its place
		i.owned.tasks[0] = nil
		i.owned.tasks = i.owned.tasks[:0]
	case place == 0: // of many: the oldest has ended
		i.owned.tasks[0] = nil
		i.owned.tasks = i.owned.tasks[1:]
	default:
		i.owned.tasks = slices.Delete(i.owned.tasks, place, place+1)
	}
	p.timers.disarm(t.timer)
	p.stats.Tasks--
	if t.asked && p.out != nil {
		p.out.Effects = append(p.out.Effects, msg.Effect{Kind: msg.EffectInterrupt, Task: &msg.TaskRun{Target: i.ref, Task: t.Task}})
	}
}

// foldTasks folds what a record says of activities.
func (p *Partition) foldTasks(i *instance, r *msg.Record) {
	for _, name := range r.TasksEnded {
		p.endTask(i, name)
	}
	for n := range r.Tasks {
		t, isNew := p.setTask(i, r.Tasks[n])
		if isNew && p.out != nil { // stepping; Recover launches those that were replayed
			p.launch(i, t, r.Index)
		}
	}
}

// launch asks for an attempt when it is due. The index is of the record that
// the attempt must not overtake. It is called while that is folded, so it
// decides nothing.
func (p *Partition) launch(i *instance, t *task, index msg.Index) {
	if t.Due <= p.now && !t.late(p.now) && !p.deadly(i, t) {
		p.ask(i, t, index)
		return
	}
	p.launchAt(i, t, max(t.Due, atOnce))
}

func (t *task) late(now msg.Time) bool { return t.Deadline > 0 && t.Deadline <= now }

func (p *Partition) launchAt(i *instance, t *task, due msg.Time) {
	t.timer = p.timers.arm(due, func(p *Partition) {
		t.timer = nil
		if t.late(p.now) {
			p.taskEnded(i, t, msg.Payload{}, msg.Errorf(msg.CodeDeadlineExceeded, msg.ClassUnavailable,
				"activity %s had no time left for attempt %d", t.Activity, t.Attempt))
			return
		}
		if p.deadly(i, t) {
			p.taskEnded(i, t, msg.Payload{}, msg.Errorf(msg.CodeQuarantined, msg.ClassFailed,
				"activity %s was given up: the process ended in each of %d attempts", t.Activity, p.config.Limits.AttemptsMax))
			return
		}
		p.ask(i, t, i.index)
	})
}

// deadly says that the process has ended so often while a task was attempted
// that it is not attempted again.
func (p *Partition) deadly(i *instance, t *task) bool {
	return p.attempts.Len() > 0 && p.readAttempts(fingerprintOfTask(i, t)) >= p.config.Limits.AttemptsMax
}

func fingerprintOfTask(i *instance, t *task) msg.Fingerprint {
	run := msg.TaskRun{Target: i.ref, Task: msg.Task{Run: t.Run, Step: t.Step}}
	return run.Fingerprint()
}

// ask asks for an attempt. It ends by the time that all attempts have.
func (p *Partition) ask(i *instance, t *task, index msg.Index) {
	attempt := t.Task
	if left := time.Duration(t.Deadline - p.now); t.Deadline > 0 && (attempt.Timeout == 0 || left < attempt.Timeout) {
		attempt.Timeout = left
	}
	t.asked = true
	p.stats.TasksAsked++
	p.out.Effects = append(p.out.Effects, msg.Effect{Kind: msg.EffectPerform, Index: index, Task: &msg.TaskRun{Target: i.ref, Task: attempt}})
}

// attempted finds the task of an attempt that goes on; nil if nobody needs it.
func (p *Partition) attempted(o *msg.TaskOutcome) (*instance, *task) {
	i := p.find(o.Target)
	if i == nil {
		return nil, nil
	}
	if t := i.task(o.Name); t != nil && t.asked && t.Attempt == o.Attempt {
		return i, t
	}
	return nil, nil
}

// stepTask takes what an attempt came to.
func (p *Partition) stepTask(c *msg.Command) {
	o := c.Task
	i, t := p.attempted(o)
	if t == nil {
		return
	}
	t.asked = false
	if p.attempts.Len() > 0 {
		p.forgetAttempts(fingerprintOfTask(i, t)) // it has returned
	}
	if o.Fault != "" {
		t.faults++
		p.stats.TaskFaults++
		p.launchAt(i, t, p.now+msg.Time(min(time.Duration(t.faults)*notServedPause, p.config.Limits.RetryDelayMax)))
		return
	}
	if pause, again := p.pauseAfter(t, o); again {
		p.stats.TaskRetries++
		next := t.Task
		next.Attempt, next.Due, next.Err = t.Attempt+1, p.now+msg.Time(pause), o.Err
		r := p.record(msg.RecordAttempt)
		r.Instance, r.Tasks = i.ref, []msg.Task{next}
		p.commit(r)
		return
	}
	p.taskEnded(i, t, o.Output, o.Err)
}

// pauseAfter says whether a task is tried again, and after how long.
func (p *Partition) pauseAfter(t *task, o *msg.TaskOutcome) (pause time.Duration, again bool) {
	retry := &t.Retry
	if o.Err == nil || !o.Retryable || slices.Contains(retry.Never, o.Err.Code) || retry.Attempts > 0 && t.Attempt >= retry.Attempts {
		return 0, false
	}
	pause = cmp.Or(retry.First, retryFirst)
	limit, factor := cmp.Or(retry.Max, retryMax), cmp.Or(retry.FactorPercent, retryFactorPercent)
	for n := uint32(1); n < t.Attempt && pause < limit && factor > 100; n++ {
		pause = time.Duration(min(float64(pause)*float64(factor)/100, float64(limit)))
	}
	pause = min(pause, limit)
	return pause, t.Deadline == 0 || p.now+msg.Time(pause) < t.Deadline
}

// taskEnded takes the outcome of a task that counts. Its instance is told; of a
// task that nobody waits for only a failure is kept, as a dead letter.
func (p *Partition) taskEnded(i *instance, t *task, output msg.Payload, err *msg.Error) {
	if !t.Silent {
		p.tellOutcome(i, t, output, err)
		return
	}
	r := p.record(msg.RecordStep)
	r.Instance, r.TasksEnded = i.ref, []msg.TaskName{t.Name()}
	if err != nil {
		p.stats.DeadLettered++
		run := msg.TaskRun{Target: i.ref, Task: t.Task}
		r.DeadLetters = []msg.DeadLetter{{
			ID: p.derivedInvocation(msg.FingerprintOf(run.Token())), Reason: err.Error(), Time: p.now,
			Message: msg.Message{Kind: msg.MessageActivityTask, Target: i.ref, Handler: t.Activity, Payload: t.Input,
				Headers: t.Headers, Traceparent: t.Traceparent},
		}}
		p.boundDeadLetters(r)
	}
	p.commit(r)
	p.release(i)
}

// tellOutcome puts the outcome of a task into the queue of its instance. It is
// durable with the turn that is told it. If there will be none for long it is
// kept apart: the activity shall not run again because of that.
func (p *Partition) tellOutcome(i *instance, t *task, output msg.Payload, err *msg.Error) {
	e := &external{message: msg.Message{
		Kind: msg.MessageActivityOutcome, Target: i.ref, Handler: cmp.Or(t.Handler, msg.HandlerRun), Payload: output, Err: err, Traceparent: t.Traceparent,
		ReplyTo: msg.ReplyTo{Target: i.ref, Run: t.Run, Step: t.Step},
	}}
	if t.Handler != "" {
		e.message.Invocation = p.derivedInvocation(fingerprintOfTask(i, t)) // names the dead letter, should it become one
	}
	in := &e.input
	p.initialiseInput(in, &e.message)
	in.task = t.Name()
	p.enqueue(in)
	if l := i.live; l != nil && (l.parked != nil || i.workflow() != nil && i.workflow().Paused) {
		p.keepOutcomes(i)
	}
}

// keepOutcomes makes the outcomes of activities durable that wait at an instance.
func (p *Partition) keepOutcomes(i *instance) {
	for n := range i.live.queue.Len() {
		in := *i.live.queue.At(n)
		if in.task == (msg.TaskName{}) || in.inbox > 0 {
			continue
		}
		in.inbox = p.index + 1
		r := p.record(msg.RecordAccept)
		r.Instance, r.TasksEnded = i.ref, []msg.TaskName{in.task}
		r.Accepted = in.message
		p.commit(r)
	}
}

// stepHeartbeat notes what an attempt has to say to the next one.
func (p *Partition) stepHeartbeat(c *msg.Command) {
	i, t := p.attempted(c.Task)
	if t == nil {
		return
	}
	next := t.Task
	next.Detail = c.Task.Output
	r := p.record(msg.RecordAttempt)
	r.Instance, r.Tasks = i.ref, []msg.Task{next}
	p.commit(r)
}

// addTasks lets a record ask for activities, which nobody else needs any more.
func (p *Partition) addTasks(r *msg.Record, run msg.Index, tasks []msg.Task) {
	for n := range tasks {
		t := &tasks[n]
		t.Run, t.Attempt, t.Asked = run, 1, p.now
	}
	r.Tasks = tasks
}

// ofRun says that a task ends with the run of a workflow that waits for it.
func ofRun(t *msg.Task) bool { return !t.Silent && t.Handler == "" }

// addOwnTasks lets the record of a turn that is no workflow's ask for
// activities.
func (p *Partition) addOwnTasks(r *msg.Record, tasks []msg.Task) {
	for n := range tasks {
		tasks[n].Step, tasks[n].Silent = msg.StepNumber(n+1), tasks[n].Handler == ""
	}
	p.addTasks(r, p.index+1, tasks)
}

// derivedInvocation makes an id, of this partition, of a fingerprint.
func (p *Partition) derivedInvocation(f msg.Fingerprint) msg.InvocationID {
	id := msg.InvocationID(f)
	binary.BigEndian.PutUint16(id[:], uint16(p.config.Partition))
	return id
}

// askAgain asks anew for an activity that became a dead letter.
func (p *Partition) askAgain(d *msg.DeadLetter, w msg.Waiter) {
	m := &d.Message
	r := p.record(msg.RecordStep)
	r.Instance, r.Discarded = m.Target, []msg.InvocationID{d.ID}
	p.addOwnTasks(r, []msg.Task{{Activity: m.Handler, Input: m.Payload, Headers: m.Headers, Traceparent: m.Traceparent}})
	p.commit(r)
	p.answer(w, r.Index, msg.Reply{Found: true, Invocation: d.ID})
}

package workflow

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"slices"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// Options say how an activity is run. The zero value is good.
type Options struct {
	Timeout     time.Duration // of one attempt
	Within      time.Duration // of all attempts
	Heartbeat   time.Duration // an attempt that is silent for so long has failed
	Concurrency int
	Local       bool
	Retry       *msg.Retry // nil: the default
	Mistakes    []string   // in what was set
}

// timeMax bounds what can be waited for, as that of messages: a hundred years.
const timeMax = 100 * 365 * 24 * time.Hour

// Mistake notes what is wrong with what was set.
func (o *Options) Mistake(format string, args ...any) {
	o.Mistakes = append(o.Mistakes[:len(o.Mistakes):len(o.Mistakes)], fmt.Sprintf(format, args...))
}

// Duration takes a time that an option sets.
func (o *Options) Duration(to *time.Duration, name string, d time.Duration) {
	if d <= 0 || d > timeMax {
		o.Mistake("%s is %v; it is positive and at most a hundred years", name, d)
	}
	*to = d
}

// Policy sets how attempts are repeated.
func (o *Options) Policy(first, most time.Duration, factor float64, attempts int, never []string) {
	switch {
	case first < 0 || most < 0:
		o.Mistake("Retry pauses for %v, at most %v; neither is negative", first, most)
	case factor != 0 && !(factor >= 1 && factor <= 1000):
		o.Mistake("Retry.Factor is %v; it is from 1 to 1,000", factor)
	case attempts < 0 || attempts > math.MaxInt32:
		o.Mistake("Retry.Attempts is %d; it is at least 1, or 0 for no limit", attempts)
	case slices.Contains(never, ""):
		o.Mistake("Retry.Never has an error without a code")
	}
	o.Retry = &msg.Retry{First: first, Max: most, FactorPercent: uint32(factor * 100), Attempts: uint32(attempts), Never: never}
}

// The default way to try again: at once for people, slowly for a service that
// is down.
const (
	retryFirst   = 100 * time.Millisecond
	retryMax     = time.Minute
	retryPercent = 200
)

// localTimeout bounds code that runs within a turn, all of its attempts
// together: a turn is given up after a minute.
const localTimeout = 10 * time.Second

// Task gives an activity the form of the engine.
func (o *Options) Task(name string, input msg.Payload, now msg.Time) msg.Task {
	t := msg.Task{Activity: name, Input: input, Timeout: o.Timeout, Heartbeat: o.Heartbeat, Retry: o.retry()}
	if o.Within > 0 {
		t.Deadline = now + msg.Time(o.Within)
	}
	return t
}

func (o *Options) retry() (r msg.Retry) {
	if o.Retry != nil {
		r = *o.Retry
	}
	if r.First == 0 {
		r.First = retryFirst
	}
	if r.Max == 0 {
		r.Max = max(retryMax, r.First)
	}
	if r.FactorPercent == 0 {
		r.FactorPercent = retryPercent
	}
	return r
}

// Attempt is one attempt of an activity, or of a local step.
type Attempt struct {
	Number    int
	Detail    msg.Payload // what the attempt before has left
	Heartbeat func(msg.Payload)

	target msg.Ref
	task   msg.TaskName
}

// ID is the same for all attempts. It is made when somebody asks: most code does
// not.
func (a *Attempt) ID() string {
	return (&msg.TaskRun{Target: a.target, Task: msg.Task{Run: a.task.Run, Step: a.task.Step}}).Token()
}

type attemptKey struct{}

// AttemptOf gives the attempt whose context this is; nil if it is none.
func AttemptOf(ctx context.Context) *Attempt {
	a, _ := ctx.Value(attemptKey{}).(*Attempt)
	return a
}

// Verdict is what code came to: an outcome, or an error that the same code may
// not come to later.
type Verdict struct {
	Output    msg.Payload
	Err       *msg.Error
	Retryable bool
}

// Code is an activity's function without types.
type Code func(ctx context.Context, input msg.Payload) Verdict

// Perform runs one attempt of an activity. A panic is an error that may not
// happen again.
func (r *Runtime) Perform(ctx context.Context, t *msg.TaskRun, code Code, heartbeat func(msg.Payload)) *msg.TaskOutcome {
	ctx = context.WithValue(ctx, attemptKey{}, &Attempt{
		Number: int(t.Task.Attempt), Detail: t.Task.Detail, Heartbeat: heartbeat, target: t.Target, task: t.Task.Name(),
	})
	if t.Task.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, t.Task.Timeout)
		defer cancel()
	}
	v := r.attempt(ctx, t.Task.Activity, t.Target, t.Task.Input, code)
	return &msg.TaskOutcome{Target: t.Target, Name: t.Task.Name(), Attempt: t.Task.Attempt,
		Output: v.Output, Err: v.Err, Retryable: v.Retryable}
}

// attempt runs code once.
func (r *Runtime) attempt(ctx context.Context, name string, target msg.Ref, input msg.Payload, code Code) (v Verdict) {
	defer func() {
		if p := recover(); p != nil {
			r.config.Logger(ctx).ErrorContext(ctx, "activity panicked", "activity", name, "kind", target.Kind, "key", target.Key,
				"panic", panicText(p), "stack", string(debug.Stack()))
			v = Verdict{Err: msg.Errorf(msg.CodePanic, msg.ClassFailed, "panic in activity %s: %s", name, panicText(p)), Retryable: true}
		}
	}()
	v = code(ctx, input)
	if v.Err != nil && v.Retryable && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		v.Err = msg.Errorf(msg.CodeDeadlineExceeded, msg.ClassUnavailable, "activity %s: its time is over: %v", name, v.Err)
	}
	return v
}

// inline runs code within a turn: again after an error that may not happen
// again, if a policy says so, until its time is over. Without a policy it runs
// once.
func (r *Runtime) inline(ctx context.Context, name string, target msg.Ref, input msg.Payload, o *Options, code Code) (msg.Payload, *msg.Error) {
	limit := localTimeout
	if o.Timeout > 0 {
		limit = o.Timeout
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	policy := o.retry()
	if o.Retry == nil {
		policy.Attempts = 1
	}
	pause := policy.First
	for n := uint32(1); ; n++ {
		v := r.attempt(ctx, name, target, input, code)
		final := v.Err == nil || !v.Retryable || n == policy.Attempts || slices.Contains(policy.Never, v.Err.Code)
		if final || !sleep(ctx, pause) {
			return v.Output, v.Err
		}
		pause = min(policy.Max, pause*time.Duration(policy.FactorPercent)/100)
	}
}

// sleep says whether the context lasted.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Beat reports that an attempt goes on. An error says that it need not.
func (a *Attempt) Beat(ctx context.Context, detail msg.Payload) error {
	if a.Heartbeat != nil {
		a.Heartbeat(detail)
	}
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("the attempt is not needed any more: %w", err)
	}
	return nil
}

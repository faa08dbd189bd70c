package kar

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-io/holdfast/internal/kar"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/remote"
	"github.com/holdfast-io/holdfast/internal/session"
)

// attempt is an attempt that a process makes.
type attempt struct {
	remote.Assignment
	target msg.Ref // of the task
	at     *client
	input  []byte           // the assignment as the task has it, without token and attempt; empty: it has changed
	ended  chan *completion // gets one; nil: the attempt is lost
	over   bool
}

// completion is a completion, or how the process has encoded it.
type completion struct {
	remote.Completion
	encoded []byte
}

func (a *attempt) end(c *completion) {
	if !a.over {
		a.over = true
		a.ended <- c
	}
}

// quarantine is an invocation that is not attempted until somebody decides.
type quarantine struct {
	invocation remote.Invocation
	attempts   uint32
	since      time.Time
	decided    chan bool // true: attempted again; false: given up
}

// Perform makes one attempt of an invocation.
func (f *Frontend) Perform(ctx context.Context, t *msg.TaskRun, _ func(detail msg.Payload)) *msg.TaskOutcome {
	a := &attempt{target: t.Target, ended: make(chan *completion, 1), input: t.Task.Input.Body}
	o := &msg.TaskOutcome{Target: t.Target, Name: t.Task.Name(), Attempt: t.Task.Attempt}
	if err := remote.Decode("Assignment", t.Task.Input.Body, &a.Assignment); err != nil {
		o.Fault = err.Error()
		return o
	}
	a.Token, a.Attempt = tokenOf(t), t.Task.Attempt
	if a.Attempt > 1 {
		a.forgetState() // it may have changed since the first one began
	}
	c, err := f.perform(ctx, t, a)
	switch {
	case err == nil:
		if c.encoded == nil || c.Request != a.Invocation.Request {
			c.Request = a.Invocation.Request
			c.encoded = remote.Append(nil, &c.Completion)
		}
		o.Output = msg.Payload{ContentType: kar.ContentType, Body: c.encoded}
	case errors.Is(err, errLost):
		o.Err, o.Retryable = msg.Errorf(msg.CodeUnavailable, msg.ClassUnavailable, "%v", err), true
	default:
		o.Fault = err.Error()
	}
	return o
}

var (
	errLost     = errors.New("the process that made the attempt is gone")
	errStopping = errors.New("the server stops")
	errReplaced = errors.New("the process has made another connection")
)

func (f *Frontend) perform(ctx context.Context, t *msg.TaskRun, a *attempt) (*completion, error) {
	if err := f.waitOpen(ctx); err != nil {
		return nil, err
	}
	if a.Attempt > 1 {
		again, err := f.mayAgain(ctx, a)
		if err != nil {
			return nil, err
		}
		if !again {
			return refused(500, "%s was given up after %d attempts, each of which ended its process", a.Invocation.Request, a.Attempt-1), nil
		}
	}
	if f.cancelled(&a.Invocation) && a.Attempt == 1 {
		return refused(500, "%s was cancelled: the process that called is gone", a.Invocation.Request), nil
	}
	gaveUp, err := f.place(ctx, a, msg.TimeOf(f.openedAt()) > t.Task.Asked)
	if gaveUp != nil || err != nil {
		return gaveUp, err
	}
	select {
	case c := <-a.ended:
		if c == nil || c.Lost != "" {
			return nil, f.lost(a, c)
		}
		return c, nil
	case <-ctx.Done(): // nobody needs it: it was purged
	case <-f.closed.Done():
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.attempts[a.Token] == a {
		delete(f.attempts, a.Token)
	}
	return nil, errStopping
}

func (f *Frontend) lost(a *attempt, c *completion) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closing {
		return errStopping
	}
	why := "its process has ended"
	if c != nil {
		why = c.Lost
	}
	f.logger.Warn("an attempt is lost, and made again", "request", a.Invocation.Request, "target", a.Invocation.Target.String(),
		"path", a.Invocation.Path, "attempt", a.Attempt, "reason", why)
	return fmt.Errorf("%w: %s", errLost, why)
}

func refused(status uint16, format string, args ...any) *completion {
	return &completion{Completion: remote.Completion{Result: remote.Failed(status, format, args...)}}
}

func (f *Frontend) openedAt() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.opened
}

// waitFor waits until a condition, which is looked at with mu held, holds, or
// until a time, if that is not zero.
func (f *Frontend) waitFor(ctx context.Context, until time.Time, holds func() bool) (late bool, err error) {
	var timer <-chan time.Time
	for first := true; ; first = false {
		f.mu.Lock()
		closing, held, changed := f.closing, !f.closing && holds(), f.changed
		f.mu.Unlock()
		switch {
		case closing:
			return false, errStopping
		case held:
			return false, nil
		case late:
			return true, nil
		case first && !until.IsZero():
			t := time.NewTimer(time.Until(until))
			defer t.Stop()
			timer = t.C
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-changed:
		case <-timer:
			late = true
		}
	}
}

func (f *Frontend) waitOpen(ctx context.Context) error {
	_, err := f.waitFor(ctx, time.Time{}, func() bool { return f.door != nil })
	return err
}

// mayAgain waits until an invocation may be attempted again: its calls have
// ended, and it is not in quarantine. It is false if it was given up.
func (f *Frontend) mayAgain(ctx context.Context, a *attempt) (bool, error) {
	if err := f.settled(ctx, a); err != nil {
		return false, err
	}
	if a.Attempt <= f.config.AttemptsMax {
		return true, nil
	}
	q := &quarantine{invocation: a.Invocation, attempts: a.Attempt - 1, since: time.Now(), decided: make(chan bool, 1)}
	f.mu.Lock()
	f.quarantined[a.Invocation.Request] = q
	f.mu.Unlock()
	f.logger.Error("an invocation is in quarantine: every attempt has ended its process; release or drop it with 'holdfast kar quarantine'",
		"app", a.Invocation.Target.App, "request", a.Invocation.Request, "target", a.Invocation.Target.String(), "path", a.Invocation.Path, "attempts", q.attempts)
	defer func() {
		f.mu.Lock()
		delete(f.quarantined, a.Invocation.Request)
		f.mu.Unlock()
	}()
	again, decided := false, false
	_, err := f.waitFor(ctx, time.Time{}, func() bool {
		select {
		case again = <-q.decided:
			decided = true
		default:
		}
		return decided
	})
	return again, err
}

// settled waits until the calls of earlier attempts have ended.
func (f *Frontend) settled(ctx context.Context, a *attempt) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(f.closed, cancel)()
	reply := f.ask(ctx, &msg.Request{Operation: msg.OperationCall, Target: a.target, Handler: kar.HandlerSettled,
		Payload: msg.Payload{ContentType: kar.ContentType, Body: []byte(a.Invocation.Request)}})
	if reply.Err != nil {
		return fmt.Errorf("wait for the calls of %s: %w", a.Invocation.Request, reply.Err)
	}
	return nil
}

// place gives an attempt to a process. One that may run elsewhere since before
// the server began is waited for as long as a lease is. What it gives is the
// completion of an invocation that no process offers to run in time.
func (f *Frontend) place(ctx context.Context, a *attempt, adoptable bool) (*completion, error) {
	i := &a.Invocation
	if adoptable {
		missing, err := f.waitFor(ctx, f.openedAt().Add(f.config.Lease), func() bool { return f.adopt(a) })
		if err != nil || !missing {
			return nil, err
		}
		if err := f.settled(ctx, a); err != nil { // the process that had it may have come to some of its calls
			return nil, err
		}
		a.forgetState()
	}
	var until time.Time
	if i.StartBy > 0 {
		until = i.StartBy.Std()
	}
	var unneeded bool
	late, err := f.waitFor(ctx, until, func() bool {
		if i.Kind == remote.InvocationDelete && f.placed[i.Target.Key()] == nil {
			unneeded = true // no process has it active
			return true
		}
		return f.assign(a)
	})
	switch {
	case err != nil:
		return nil, err
	case unneeded:
		return &completion{Completion: remote.Completion{Result: remote.Result{Status: 200}}}, nil
	case late:
		return f.missing(i), nil
	}
	return nil, nil
}

// cancelled reports whether nobody waits for an invocation that is to be cancelled
// then: the session of its caller has ended.
func (f *Frontend) cancelled(i *remote.Invocation) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return i.CancelWith != "" && f.sessions[i.CancelWith] == nil && time.Since(f.opened) > f.config.Lease
}

// missing is the end of an invocation for which there was no process in time.
func (f *Frontend) missing(i *remote.Invocation) *completion {
	f.mu.Lock()
	defer f.mu.Unlock()
	what := remote.Target{App: i.Target.App, Type: i.Target.Type}
	if !i.Target.IsService() {
		what.ID = "*"
	}
	if _, ever := f.offered[what]; ever {
		return refused(408, "no component that offers %s was there for %v", i.Target, i.StartWithin)
	}
	return refused(404, "no component offers %s: none did for %v", i.Target, i.StartWithin)
}

// adopt takes up an attempt that a process says it has. It is called with mu
// held.
func (f *Frontend) adopt(a *attempt) bool {
	for _, c := range f.sessions {
		if number, ok := c.live[a.Token]; ok && number == a.Attempt && c.conn != nil {
			f.give(a, c)
			return true
		}
	}
	return false
}

// assign gives an attempt to the process that is right for it. It is called with
// mu held.
func (f *Frontend) assign(a *attempt) bool {
	c := f.choose(a.Invocation.Target)
	if c == nil {
		return false
	}
	f.give(a, c)
	return true
}

// give assigns an attempt. If the connection of the process is broken, it is
// assigned when that comes back. It is called with mu held.
func (f *Frontend) give(a *attempt, c *client) {
	a.at = c
	f.attempts[a.Token] = a
	if !a.Invocation.Target.IsService() && a.Invocation.Kind != remote.InvocationDelete {
		f.placed[a.Invocation.Target.Key()] = c
	}
	for _, other := range f.sessions {
		if _, has := other.live[a.Token]; has && other != c {
			other.send(session.FrameStale, &remote.Attempt{Token: a.Token, Attempt: a.Attempt, Request: a.Invocation.Request})
			delete(other.live, a.Token)
		}
	}
	c.assign(a)
}

// forgetState lets the process ask for the state.
func (a *attempt) forgetState() { a.State, a.Whole, a.input = nil, false, nil }

package workflow

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// Context is what a workflow's function asks through. All of its methods must be
// called by a coroutine of the run, and panic elsewhere.
type Context struct {
	run      *run
	shielded bool // cancellation does not reach it
	values   *value
}

// live gives the run, where it may be asked something.
func (x *Context) live() *run {
	r := x.run
	switch {
	case r.current == nil:
		panic("holdfast: the context of workflow " + r.target.String() + " was used outside of its run: after the function returned, " +
			"by another goroutine, or by the answer to a query; strands of a workflow are made with Go")
	case r.dead:
		runtime.Goexit() // deferred code of a run that is thrown away: nothing of it counts
	case r.inside != "":
		panic("holdfast: the context of workflow " + r.target.String() + " was used inside of step " + r.inside +
			", whose code runs once; use the context that it was given")
	}
	return r
}

// Target names the workflow.
func (x *Context) Target() msg.Ref { return x.live().target }

// Now is the time of the turn.
func (x *Context) Now() msg.Time { return x.live().now }

// Std is the context of the turn, for code that needs its values. It must not
// be waited for.
func (x *Context) Std() context.Context { return x.live().context }

// Log is the run's logger, which is silent while a journal is executed.
func (x *Context) Log() *slog.Logger { return x.live().logger }

// NewID makes an id that no other run and no other call makes, and the same in
// every execution.
func (x *Context) NewID() string {
	f := x.live().nextID()
	return hex.EncodeToString(f[:])
}

func (r *run) nextID() msg.Fingerprint {
	r.ids++
	h := hashing(nil).text(r.target.Namespace).text(r.target.Kind).text(r.target.Key)
	return h.number(uint64(r.number)).number(r.ids).sum()
}

// Rand is the run's source of random numbers: the same in every execution.
func (x *Context) Rand() *rand.Rand {
	r := x.live()
	if r.random == nil {
		seed := r.nextID()
		r.random = rand.New(rand.NewPCG(binary.BigEndian.Uint64(seed[:]), binary.BigEndian.Uint64(seed[8:])))
	}
	return r.random
}

// Fail stops the run with a mistake of its code: it is parked.
func (x *Context) Fail(err error) {
	r := x.live()
	r.failure = &mistake{r.target, userLine(), err}
	for {
		r.current.block()
	}
}

// mistake is an error of user code that no outcome can carry.
type mistake struct {
	workflow msg.Ref
	line     string
	err      error
}

func (m *mistake) Error() string {
	return "workflow " + m.workflow.String() + " at " + m.line + ": " + m.err.Error()
}

func (m *mistake) Unwrap() error { return m.err }

// refused says that nothing may be asked because the workflow was cancelled.
func (x *Context) refused(r *run) bool { return r.cancelled && !x.shielded }

// begin asks for a step whose outcome comes later.
func (x *Context) begin(r *run, w wish) (msg.StepNumber, *Future) {
	step, _ := r.ask(w)
	f := &Future{kind: w.kind, shielded: x.shielded}
	r.open[step] = f
	return step, f
}

func messageWish(kind msg.StepKind, o *msg.Outgoing) wish {
	var room [512]byte
	h := hashing(room[:0]).number(uint64(kind)).number(uint64(o.Kind))
	h = h.text(o.Target.Kind).text(o.Target.Key).text(o.Handler).payload(&o.Payload)
	h = h.number(uint64(o.NotBefore)).number(uint64(o.Deadline)).text(o.Identity.IdempotencyKey).number(uint64(o.OnConflict))
	for i := range o.Headers {
		h = h.text(o.Headers[i].Name).text(o.Headers[i].Value)
	}
	for i := range o.Refs {
		h = h.text(o.Refs[i].Kind).text(o.Refs[i].Key)
	}
	w := wish{kind: kind, name: [3]string{o.Target.Kind, o.Target.Key, o.Handler}, hash: h.sum()}
	switch {
	case kind == msg.StepChild:
		w.name[2] = "" // the name of a child's step is its ref, which the engine reads
	case o.Kind == msg.MessageEventPrepare:
		w.name = [3]string{o.Handler}
	}
	return w
}

// Call makes a message whose outcome the future gives.
func (x *Context) Call(o msg.Outgoing) *Future {
	if r := x.live(); r.held != nil {
		if err := r.refuseUnheld(space(&o)); err != nil {
			return Completed(err)
		}
		o.Hold = true
	}
	return x.message(msg.StepCall, o)
}

func (x *Context) message(kind msg.StepKind, o msg.Outgoing) *Future {
	r := x.live()
	if x.refused(r) {
		return Completed(errCancelled())
	}
	step, f := x.begin(r, messageWish(kind, &o))
	o.Step = step
	r.emit(func(to *msg.Outcome) { to.Sends = append(to.Sends, o) })
	return f
}

// Send makes a message that nobody awaits. The run is told when it has been
// done all the same, for Finish; but not of a signal, which is done when it has
// arrived.
func (x *Context) Send(o msg.Outgoing) {
	r := x.live()
	if o.Kind == 0 {
		o.Kind = msg.MessageSend
	}
	if o.Kind == msg.MessageEventPrepare && r.held != nil {
		x.Fail(errUnderLocks("an event that is sent"))
	}
	w := messageWish(msg.StepSend, &o)
	if o.Kind == msg.MessageSend {
		step, f := x.begin(r, w)
		o.Step, f.shielded = step, true
		r.sent++
	} else {
		r.ask(w)
	}
	r.emit(func(to *msg.Outcome) { to.Sends = append(to.Sends, o) })
}

// Finish waits until everything that the run has sent has been done.
func (x *Context) Finish() *msg.Error {
	r := x.live()
	if r.held != nil {
		return errUnderLocks("Finish")
	}
	f := &Future{kind: msg.StepFinish}
	r.finishers = append(r.finishers, f)
	return x.wait([]*Future{f}, func() bool { return f.done || r.sent == 0 })
}

// Timer is ready at a time; at once if that has come.
func (x *Context) Timer(due msg.Time) *Future {
	r := x.live()
	switch {
	case x.refused(r):
		return Completed(errCancelled())
	case due <= r.now:
		return Completed(nil)
	}
	step, f := x.begin(r, wish{kind: msg.StepTimer, due: due, hash: hashing(nil).number(uint64(msg.StepTimer)).number(uint64(due)).sum()})
	f.due = due
	r.emit(func(o *msg.Outcome) { o.Remind = append(o.Remind, msg.Reminder{Name: timerName(step), Due: due}) })
	return f
}

// Promise makes a promise and gives the id by which the outside completes it.
func (x *Context) Promise() (*Future, string) {
	r := x.live()
	if x.refused(r) {
		return Completed(errCancelled()), ""
	}
	step, f := x.begin(r, wish{kind: msg.StepPromise, hash: msg.FingerprintOf("promise")})
	r.emit(func(o *msg.Outcome) { o.Promises = append(o.Promises, step) })
	return f, msg.PromiseID{Target: r.target, Run: r.number, Step: step}.String()
}

// Activity asks for an activity.
func (x *Context) Activity(name string, input msg.Payload, o *Options) *Future {
	r := x.live()
	if x.refused(r) {
		return Completed(errCancelled())
	}
	x.check(name, o)
	task := o.Task(name, input, r.now)
	step, f := x.begin(r, activityWish(msg.StepActivity, task.Activity, &task.Input))
	task.Step = step
	r.emit(func(to *msg.Outcome) { to.Tasks = append(to.Tasks, task) })
	return f
}

// check parks the run if options cannot be.
func (x *Context) check(name string, o *Options) {
	if len(o.Mistakes) > 0 {
		x.Fail(fmt.Errorf("%s: %s", name, o.Mistakes[0]))
	}
}

// SendActivity asks for an activity whose outcome nobody is told.
func (x *Context) SendActivity(task msg.Task) {
	r := x.live()
	task.Step, _ = r.ask(activityWish(msg.StepSend, task.Activity, &task.Input))
	task.Silent = true
	r.emit(func(to *msg.Outcome) { to.Tasks = append(to.Tasks, task) })
}

func activityWish(kind msg.StepKind, name string, input *msg.Payload) wish {
	var room [512]byte
	return wish{kind: kind, name: [3]string{name}, hash: hashing(room[:0]).number(uint64(kind)).text(name).payload(input).sum()}
}

// Local runs code now, unless it has run before, and gives its outcome, which is
// kept with the step. What Options say that cannot be parks the run.
func (x *Context) Local(name string, input msg.Payload, options *Options, code Code) (msg.Payload, *msg.Error) {
	r := x.live()
	if x.refused(r) {
		return msg.Payload{}, errCancelled()
	}
	x.check(name, options)
	number, step := r.ask(activityWish(msg.StepLocal, name, &input))
	if r.replaying {
		return step.Output, step.Err
	}
	r.inside = name
	place := len(r.outcome.Steps) - 1
	defer func() { r.inside = "" }()
	ctx := context.WithValue(r.context, attemptKey{}, &Attempt{Number: 1, target: r.target,
		task: msg.TaskName{Run: r.number, Step: number}})
	output, err := r.runtime.inline(ctx, name, r.target, input, options, code)
	made := &r.outcome.Steps[place]
	made.Output, made.Err = output, err
	r.delivered += len(output.Body)
	return output, err
}

// Patch says whether the run takes the new way at a change of its code.
func (x *Context) Patch(name string) bool { return x.live().patch(name) }

// Receive is the next signal of a name that nobody else receives.
func (x *Context) Receive(name string) *Future { return &Future{signal: x.live().signal(name)} }

// Answer installs the answer to a query.
func (x *Context) Answer(query string, fn func(msg.Payload) (msg.Payload, *msg.Error)) {
	r := x.live()
	if r.queries == nil {
		r.queries = map[string]func(msg.Payload) (msg.Payload, *msg.Error){}
	}
	r.queries[query] = fn
}

// Go runs a function as a coroutine of its own, from when this one waits.
func (x *Context) Go(fn func(*Context) *msg.Error) *Future {
	f := &Future{}
	own := &Context{run: x.live(), shielded: x.shielded, values: x.values}
	own.run.spawn(func() { f.complete(msg.Payload{}, fn(own)) })
	return f
}

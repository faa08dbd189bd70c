package holdfast

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/holdfast-io/holdfast/client"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/workflow"
)

// activityDeclaration is what NewActivity declares.
type activityDeclaration struct {
	contract
	name, at      string
	input, output shape
}

// Activity is declared ordinary code: it may do anything, it is run at least
// once, and its outcome is recorded once.
type Activity[In, Out any] struct{ declaration *activityDeclaration }

// NewActivity declares an activity. Bind it with Handle.
func NewActivity[In, Out any](name string, opts ...HandleOption) Activity[In, Out] {
	c := newContract(opts)
	return Activity[In, Out]{&activityDeclaration{contract: c, name: name, at: position(),
		input: newShape(reflect.TypeFor[In](), c.codec), output: newShape(reflect.TypeFor[Out](), c.codec)}}
}

// activityBinding joins an activity and a function.
type activityBinding struct {
	declaration *activityDeclaration
	at          string
	unset       bool
	options     workflow.Options
	code        workflow.Code
}

// defaults are the options of an activity, also where another app binds it.
func (b *activityBinding) defaults() workflow.Options {
	if b == nil {
		return workflow.Options{}
	}
	return b.options
}

func (b *activityBinding) addTo(a *App) { a.activities = appendNew(a.activities, b) }

// Handle binds a function, often a method value of a struct that holds what it
// needs. A plain error is a fault: the attempt is repeated, see Retry. An *Error
// is the outcome, unless its class is Unavailable or Exhausted. A panic is a
// fault with the code "panic".
func (a Activity[In, Out]) Handle(fn func(ctx context.Context, in In) (Out, error), opts ...ActivityOption) Part {
	d := a.declaration
	if d == nil { // the zero Activity: Validate says so
		d = &activityDeclaration{}
	}
	return &activityBinding{declaration: d, at: position(), unset: fn == nil, options: activityOptions(workflow.Options{}, opts),
		code: func(ctx context.Context, input msg.Payload) (v workflow.Verdict) {
			var in In
			if err := d.input.decode(input, &in); err != nil {
				v.Err = msg.Errorf(msg.CodeInvalidArgument, msg.ClassInvalidArgument,
					"activity %s expects %s as input: %v", d.name, describe(&d.input), err)
				return v
			}
			out, err := fn(ctx, in)
			return verdict(&d.output, &out, err)
		}}
}

// verdict says what code came to that may be run again.
func verdict(output *shape, out any, err error) (v workflow.Verdict) {
	if err != nil {
		v.Err = outcomeOf(err)
		v.Retryable = v.Err.Code == msg.CodeFailed || v.Err.Class == msg.ClassUnavailable || v.Err.Class == msg.ClassExhausted
		return v
	}
	if v.Output, err = output.encode(out); err != nil {
		v.Err = msg.Errorf(msg.CodeFailed, msg.ClassFailed, "encode the output, a %v: %v", output.value, err)
	}
	return v
}

// Call runs the activity and waits for its outcome.
func (a Activity[In, Out]) Call(ctx Performer, in In, opts ...ActivityOption) (out Out, err error) {
	return a.Start(ctx, in, opts...).Await(ctx)
}

// Start runs the activity.
func (a Activity[In, Out]) Start(ctx Performer, in In, opts ...ActivityOption) *Future[Out] {
	c, d := ctx.canPerform(), a.declaration
	var none Out
	input, err := d.input.encode(&in)
	if err != nil {
		return settled(none, fmt.Errorf("encode the input of activity %s, a %v: %w", d.name, d.input.value, err))
	}
	bound := c.program.activities[d.name]
	o := activityOptions(bound.defaults(), opts)
	if !o.Local {
		return &Future[Out]{inner: c.inner.Activity(d.name, input, &o), output: &d.output}
	}
	if bound == nil {
		return settled(none, ErrNotFound.Withf("activity %s is Local and this app does not bind it", d.name))
	}
	output, failure := c.inner.Local(d.name, input, &o, bound.code)
	if failure != nil {
		return settled(none, received(failure))
	}
	err = d.output.decode(output, &none)
	return settled(none, err)
}

// taskSender is what sends activities: every Sender.
type taskSender interface {
	sendTask(a *activityDeclaration, input msg.Payload, r client.Request)
}

// Send has the activity run some time after the current turn or step has been
// recorded. Nobody is told its outcome.
func (a Activity[In, Out]) Send(s Sender, in In, opts ...SendOption) {
	input, err := a.declaration.input.encode(&in)
	if err != nil {
		s.(turnSender).fail(fmt.Errorf("encode the input of activity %s, a %v: %w", a.declaration.name, a.declaration.input.value, err))
		return
	}
	var r client.Request
	for _, o := range opts {
		o.forSend(&r)
	}
	s.(taskSender).sendTask(a.declaration, input, r)
}

func (c *WorkflowContext) sendTask(a *activityDeclaration, input msg.Payload, r client.Request) {
	task, err := newTask(c.program.activities[a.name], a.name, input, c.inner.Now(), r)
	if err != nil {
		c.fail(err)
	}
	c.inner.SendActivity(task)
}

func (s *sends) sendTask(a *activityDeclaration, input msg.Payload, r client.Request) {
	scope := s.scope.live()
	task, err := newTask(scope.handler.kind.activities[a.name], a.name, input, scope.turn.Now, r)
	if err != nil {
		scope.fail(err)
		return
	}
	task.Step, task.Silent = msg.StepNumber(len(scope.outcome.Tasks)+1), true
	scope.outcome.Tasks = append(scope.outcome.Tasks, task)
}

// newTask makes a task of an activity that is sent.
func newTask(bound *activityBinding, name string, input msg.Payload, now msg.Time, r client.Request) (msg.Task, error) {
	o := bound.defaults()
	task := o.Task(name, input, now)
	due, err := dueAt(now, r.Delay, r.NotBefore)
	if err != nil {
		return task, fmt.Errorf("send activity %s: %w", name, err)
	}
	task.Due, task.Headers = due, headersOf(r.Header)
	if !r.Deadline.IsZero() {
		task.Deadline = msg.TimeOf(r.Deadline)
	}
	return task, nil
}

// ActivityOption configures an activity where it is bound, or one use of it.
type ActivityOption interface{ activity(*workflow.Options) }

type activityOption func(*workflow.Options)

func (f activityOption) activity(o *workflow.Options) { f(o) }

func activityOptions(o workflow.Options, opts []ActivityOption) workflow.Options {
	for _, option := range opts {
		option.activity(&o)
	}
	return o
}

// Timeout bounds one attempt; of a step or a Local activity, all attempts
// together, where the default is ten seconds.
func Timeout(perAttempt time.Duration) ActivityOption {
	return activityOption(func(o *workflow.Options) { o.Duration(&o.Timeout, "Timeout", perAttempt) })
}

// Within bounds all attempts together.
func Within(overall time.Duration) ActivityOption {
	return activityOption(func(o *workflow.Options) { o.Duration(&o.Within, "Within", overall) })
}

// HeartbeatTimeout says that an attempt which is silent for so long has failed;
// see Heartbeat.
func HeartbeatTimeout(silence time.Duration) ActivityOption {
	return activityOption(func(o *workflow.Options) { o.Duration(&o.Heartbeat, "HeartbeatTimeout", silence) })
}

// Concurrency bounds how many attempts of an activity run at once on a node. It
// belongs where the activity is bound.
func Concurrency(max int) ActivityOption {
	return activityOption(func(o *workflow.Options) {
		if o.Concurrency = max; max < 1 {
			o.Mistake("Concurrency is %d; it is at least 1", max)
		}
	})
}

// Local runs the activity within the turn of the workflow: its outcome is in the
// same record as what the workflow asks for next. It is for short work; without
// Retry it is tried once.
func Local() ActivityOption { return activityOption(func(o *workflow.Options) { o.Local = true }) }

// Retry says how faults are repeated. The zero value of a field is its default.
type Retry struct {
	First, Max time.Duration // pause before the second attempt, and at most; default 100 ms and 1 min
	Factor     float64       // by which the pause grows; default 2
	Attempts   int           // at most; default: until Within is over
	Never      []*Error      // faults that are final
}

func (r Retry) activity(o *workflow.Options) {
	never := make([]string, len(r.Never))
	for i, e := range r.Never {
		if e != nil {
			never[i] = e.Code
		}
	}
	o.Policy(r.First, r.Max, r.Factor, r.Attempts, never)
}

// Step runs ordinary code here and now and records its outcome with whatever the
// workflow asks for next: a local activity without a declaration. The code runs
// again if the turn is lost before its record is written. An error is tried
// again only if opts say Retry, within Timeout.
func Step[T any](ctx Performer, label string, fn func(ctx context.Context) (T, error), opts ...ActivityOption) (v T, err error) {
	o := activityOptions(workflow.Options{}, opts)
	output := shapeOf[T]()
	payload, failure := ctx.canPerform().inner.Local(label, msg.Payload{}, &o, func(std context.Context, _ msg.Payload) workflow.Verdict {
		made, err := fn(std)
		return verdict(&output, &made, err)
	})
	if failure != nil {
		return v, received(failure)
	}
	err = output.decode(payload, &v)
	return v, err
}

// Attempt describes the attempt of an activity that runs.
type Attempt struct {
	ID     string // the same for all attempts; suits as an idempotency token outside
	Number int    // from 1
}

// AttemptFrom gives the attempt that runs in ctx; the zero Attempt if none does.
func AttemptFrom(ctx context.Context) Attempt {
	a := workflow.AttemptOf(ctx)
	if a == nil {
		return Attempt{}
	}
	return Attempt{a.ID(), a.Number}
}

// Heartbeat says that the attempt goes on, and leaves a detail for the next one.
// An error says that the attempt is not needed any more.
func Heartbeat(ctx context.Context, detail any) error {
	a := workflow.AttemptOf(ctx)
	if a == nil {
		return fmt.Errorf("heartbeat outside of an activity")
	}
	body, err := json.Marshal(detail)
	if err != nil {
		return fmt.Errorf("encode the detail of a heartbeat: %w", err)
	}
	return a.Beat(ctx, msg.Payload{Body: body})
}

// HeartbeatDetail is what the attempt before has left; not ok if it has left
// nothing, or something else.
func HeartbeatDetail[T any](ctx context.Context) (v T, ok bool) {
	a := workflow.AttemptOf(ctx)
	if a == nil || len(a.Detail.Body) == 0 {
		return v, false
	}
	err := json.Unmarshal(a.Detail.Body, &v)
	return v, err == nil
}

// ClientFrom gives the client of the activity that runs in ctx. Its requests
// have idempotency keys made of the attempt's id and their number, so an attempt
// that makes the same requests in the same order as the one before does nothing
// twice. In a context without a client every request is ErrUnavailable.
func ClientFrom(ctx context.Context) *ClientContext {
	c := &ClientContext{Context: ctx, conn: client.FromContext(ctx)}
	if a := workflow.AttemptOf(ctx); a != nil && c.conn != nil {
		c.conn = &attemptConn{Conn: c.conn, id: a.ID()}
	}
	return c
}

// attemptConn gives requests that change something the keys of an attempt.
type attemptConn struct {
	client.Conn
	id     string
	number atomic.Uint64
}

func (c *attemptConn) Invoke(ctx context.Context, r client.Request) (client.Reply, error) {
	if r.IdempotencyKey == "" && (r.Operation == client.Call || r.Operation == client.Submit) {
		r.IdempotencyKey = fmt.Sprintf("%s-%d", c.id, c.number.Add(1))
	}
	return c.Conn.Invoke(ctx, r)
}

// perform runs an attempt inside of the app's interceptors.
func (p *appProgram) perform(ctx context.Context, b *activityBinding, t *msg.TaskRun, heartbeat func(msg.Payload)) *msg.TaskOutcome {
	code := b.code
	for i := len(p.interceptors) - 1; i >= 0; i-- {
		code = aroundAttempt(p.interceptors[i], t, code)
	}
	return p.runtime.Perform(ctx, t, code, heartbeat)
}

// aroundAttempt puts an interceptor around an attempt.
func aroundAttempt(by interceptor, t *msg.TaskRun, inner workflow.Code) workflow.Code {
	info := InvocationInfo{ID: t.Token(), Target: Ref{t.Target.Kind, t.Target.Key}, Handler: t.Task.Activity,
		Attempt: int(t.Task.Attempt), Header: headerMap(t.Task.Headers)}
	return func(ctx context.Context, input msg.Payload) (v workflow.Verdict) {
		var failure error
		err := by(ctx, info, func(ctx context.Context) error {
			v = inner(ctx, input)
			failure = received(v.Err)
			return failure
		})
		if err != failure { // the interceptor has the last word
			return verdict(&voidShape, &None, err)
		}
		return v
	}
}

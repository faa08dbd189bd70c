package activity_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-io/holdfast/internal/activity"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/program"
)

// Goal: what the package promises about attempts that wait, end, fail, and do
// not return. Method: a program whose activities the test writes, in virtual
// time (testing/synctest), and a trace of what was heard and when; a test under
// the race detector in real time.

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// call is an attempt as its function sees it.
type call struct {
	context.Context
	*msg.TaskRun
	heartbeat func(msg.Payload)
}

func (c *call) beat(detail string) { c.heartbeat(msg.Payload{Body: []byte(detail)}) }

// function is an activity. A *msg.Error is final, other errors are not.
type function func(c *call) error

// rig is a pool and all that was heard of it.
type rig struct {
	*activity.Pool
	t          testing.TB
	served     []program.Activity
	functions  map[string]function
	began      time.Time
	mu         sync.Mutex
	heard      []string
	log        bytes.Buffer
	partitions map[msg.StepNumber]msg.Partition
}

// newRig makes a pool of activities, all of which are served without a limit
// unless they are listed.
func newRig(t testing.TB, c activity.Config, functions map[string]function, limited ...program.Activity) *rig {
	r := &rig{t: t, functions: functions, served: limited, began: time.Now(), partitions: map[msg.StepNumber]msg.Partition{}}
	for name := range functions {
		if !slices.ContainsFunc(limited, func(a program.Activity) bool { return a.Name == name }) {
			r.served = append(r.served, program.Activity{Name: name})
		}
	}
	c.Program, c.Done, c.Heartbeat = served{r}, r.done, r.beat
	c.Logger = slog.New(slog.NewTextHandler(&guarded{r}, nil))
	r.Pool = activity.New(c)
	return r
}

// guarded is the rig's log.
type guarded struct{ rig *rig }

func (g *guarded) Write(b []byte) (int, error) {
	g.rig.mu.Lock()
	defer g.rig.mu.Unlock()
	return g.rig.log.Write(b)
}

func (r *rig) logged() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.String()
}

// served is the rig's program.
type served struct{ *rig }

var _ program.Program = served{}

func (r served) Describe() program.Description { return program.Description{Activities: r.served} }

func (served) Turn(context.Context, *msg.Turn) *msg.Outcome { panic("nobody asks for turns") }

func (r served) Perform(ctx context.Context, t *msg.TaskRun, heartbeat func(msg.Payload)) *msg.TaskOutcome {
	f := r.functions[t.Task.Activity]
	if f == nil {
		return program.NotServed(t, "the rig")
	}
	r.note("begin %d", t.Task.Step)
	err := f(&call{ctx, t, heartbeat})
	o := &msg.TaskOutcome{Target: t.Target, Name: t.Task.Name(), Attempt: t.Task.Attempt}
	if err != nil && !errors.As(err, &o.Err) {
		o.Err, o.Retryable = msg.Errorf(msg.CodeFailed, msg.ClassFailed, "%v", err), true
	}
	return o
}

// note adds a line to the trace, with the time.
func (r *rig) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heard = append(r.heard, fmt.Sprintf("%v ", time.Since(r.began))+fmt.Sprintf(format, args...))
}

func (r *rig) done(p msg.Partition, o *msg.TaskOutcome) {
	r.check(p, o)
	switch {
	case o.Fault != "":
		r.note("done %d: fault", o.Name.Step)
	case o.Err == nil:
		r.note("done %d", o.Name.Step)
	case o.Retryable:
		r.note("done %d: %s, retryable", o.Name.Step, o.Err.Code)
	default:
		r.note("done %d: %s", o.Name.Step, o.Err.Code)
	}
}

func (r *rig) beat(p msg.Partition, o *msg.TaskOutcome) {
	r.check(p, o)
	r.note("heartbeat %d: %s", o.Name.Step, o.Output.Body)
}

// check looks at whose outcome it is.
func (r *rig) check(p msg.Partition, o *msg.TaskOutcome) {
	if p != partitionOf(o.Name.Step) || o.Target != targetOf(o.Name.Step) || o.Attempt == 0 || o.Name.Run != 3 {
		r.t.Errorf("partition %d hears %+v, want that of its own attempt", p, o)
	}
}

func partitionOf(s msg.StepNumber) msg.Partition { return msg.Partition(s % 7) }

func targetOf(s msg.StepNumber) msg.Ref { return msg.Ref{Kind: "order", Key: fmt.Sprint("o", s%3)} }

// run is the first attempt of an activity.
func run(step msg.StepNumber, name string) *msg.TaskRun {
	return &msg.TaskRun{Target: targetOf(step), Task: msg.Task{Run: 3, Step: step, Activity: name, Attempt: 1}}
}

// ask asks for attempts, and lets them go as far as they do without time.
func (r *rig) ask(runs ...*msg.TaskRun) {
	var tasks []activity.Task
	for _, t := range runs {
		tasks = append(tasks, activity.Task{Partition: partitionOf(t.Task.Step), Run: t})
	}
	r.SubmitAll(tasks)
	clear(tasks) // the pool keeps nothing of it
	synctest.Wait()
}

// interrupt gives an attempt up.
func (r *rig) interrupt(step msg.StepNumber) {
	r.Interrupt(partitionOf(step), targetOf(step), msg.TaskName{Run: 3, Step: step})
	synctest.Wait()
}

// trace is what was heard since it was asked last.
func (r *rig) trace() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	heard := r.heard
	r.heard = nil
	return heard
}

// want compares the trace. What several attempts did at the same instant may be
// heard in any order; what one attempt did may not.
func (r *rig) want(lines ...string) {
	r.t.Helper()
	synctest.Wait()
	got := r.trace()
	slices.SortStableFunc(got, byInstantAndAttempt)
	slices.SortStableFunc(lines, byInstantAndAttempt)
	if !slices.Equal(got, lines) {
		r.t.Errorf("heard\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(lines, "\n\t"))
	}
}

// byInstantAndAttempt orders lines like "2s done 1: canceled".
func byInstantAndAttempt(a, b string) int {
	parse := func(line string) (at time.Duration, attempt int) {
		var instant, what string
		if _, err := fmt.Sscanf(strings.ReplaceAll(line, ":", " "), "%s %s %d", &instant, &what, &attempt); err != nil {
			panic(fmt.Sprintf("%q is no line of a trace: %v", line, err))
		}
		at, err := time.ParseDuration(instant)
		if err != nil {
			panic(err)
		}
		return at, attempt
	}
	atA, attemptA := parse(a)
	atB, attemptB := parse(b)
	return cmp.Or(cmp.Compare(atA, atB), cmp.Compare(attemptA, attemptB))
}

// wantNow compares how many attempts there are.
func (r *rig) wantNow(running, queued, left int) {
	r.t.Helper()
	if s := r.Stats(); s.Running != running || s.Queued != queued || s.LeftBehind != left {
		r.t.Errorf("%d run, %d wait, %d are left behind; want %d, %d, %d", s.Running, s.Queued, s.LeftBehind, running, queued, left)
	}
}

// end closes a pool whose attempts have all returned.
func (r *rig) end() {
	r.t.Helper()
	if err := r.Close(context.Background()); err != nil {
		r.t.Errorf("close: %v", err)
	}
	r.wantNow(0, 0, 0)
	if got := r.Known(); got > 0 {
		r.t.Errorf("%d attempts that are over are not forgotten", got)
	}
}

// inTime runs a test in virtual time.
func inTime(t *testing.T, test func(t *testing.T)) { synctest.Test(t, test) }

// The functions that most tests need.

func sleep(d time.Duration) function {
	return func(c *call) error {
		select {
		case <-time.After(d):
			return nil
		case <-c.Done():
			return c.Err()
		}
	}
}

// deaf does not hear that its context has ended.
func deaf(d time.Duration) function {
	return func(*call) error { time.Sleep(d); return nil }
}

func quick(*call) error { return nil }

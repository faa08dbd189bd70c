package holdfast_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/client"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// perform runs one attempt of activity "a".
func perform(ctx context.Context, parts holdfast.Parts, task msg.Task, heartbeat func(msg.Payload)) *msg.TaskOutcome {
	task.Activity, task.Run, task.Step = "a", 7, 3
	task.Attempt = max(task.Attempt, 1)
	run := &msg.TaskRun{Target: msg.Ref{Kind: "w", Key: "1"}, Task: task}
	return holdfast.NewApp("app", parts).Program().Perform(ctx, run, heartbeat)
}

// attempt runs one attempt of a function.
func attempt(fn func(context.Context, string) (int, error), task msg.Task) *msg.TaskOutcome {
	task.Input.Body = []byte(`"in"`)
	return perform(context.Background(), holdfast.Parts{holdfast.NewActivity[string, int]("a").Handle(fn)}, task, nil)
}

func TestWhatAnAttemptComesToSaysWhetherItIsTriedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		fn        func(context.Context, string) (int, error)
		task      msg.Task
		want      string
		retryable bool
	}{
		"a result":                     {fn: func(context.Context, string) (int, error) { return 5, nil }, want: "5"},
		"a plain error":                {fn: func(context.Context, string) (int, error) { return 0, errors.New("broken") }, want: "failed: broken", retryable: true},
		"an outcome":                   {fn: func(context.Context, string) (int, error) { return 0, errDeclined.Withf("no") }, want: "declined: no"},
		"a wrapped outcome":            {fn: func(context.Context, string) (int, error) { return 0, fmt.Errorf("charge: %w", errDeclined) }, want: "declined: charge: declined"},
		"what may be available later":  {fn: func(context.Context, string) (int, error) { return 0, holdfast.ErrUnavailable }, want: "unavailable", retryable: true},
		"what is exhausted":            {fn: func(context.Context, string) (int, error) { return 0, holdfast.ErrResourceExhausted }, want: "resource_exhausted", retryable: true},
		"a panic":                      {fn: func(context.Context, string) (int, error) { panic("oh") }, want: "panic: panic in activity a: oh", retryable: true},
		"an outcome after its time":    {fn: late(errDeclined), task: msg.Task{Timeout: time.Nanosecond}, want: "declined"},
		"its time is over":             {fn: late(nil), task: msg.Task{Timeout: time.Nanosecond}, want: "deadline_exceeded: activity a: its time is over: failed: context deadline exceeded", retryable: true},
		"an output that JSON refuses":  {fn: nil, want: "failed: encode the output, a float64: json: unsupported value: NaN"},
		"an input of another type":     {fn: func(context.Context, string) (int, error) { return 0, nil }, task: msg.Task{Input: msg.Payload{}}, want: "invalid_argument: activity a expects string as input: the body is empty"},
		"an error that was never made": {fn: func(context.Context, string) (int, error) { return 0, (*holdfast.Error)(nil) }, want: "failed: a nil *holdfast.Error", retryable: true},
	} {
		t.Run(name, func(t *testing.T) {
			var o *msg.TaskOutcome
			switch name {
			case "an output that JSON refuses":
				nan := holdfast.NewActivity[string, float64]("a").Handle(func(context.Context, string) (float64, error) { z := 0.0; return z / z, nil })
				o = perform(context.Background(), holdfast.Parts{nan}, msg.Task{Input: msg.Payload{Body: []byte(`""`)}}, nil)
			case "an input of another type":
				o = perform(context.Background(), holdfast.Parts{holdfast.NewActivity[string, int]("a").Handle(c.fn)}, c.task, nil)
			default:
				o = attempt(c.fn, c.task)
			}
			got := string(o.Output.Body)
			if o.Err != nil {
				got = o.Err.Error()
			}
			if !contains(got, c.want) || o.Retryable != c.retryable || o.Fault != "" {
				t.Errorf("got %s, retryable %v (%s), want %s, %v", got, o.Retryable, o.Fault, c.want, c.retryable)
			}
		})
	}
}

func late(err error) func(context.Context, string) (int, error) {
	return func(ctx context.Context, _ string) (int, error) {
		<-ctx.Done()
		if err != nil {
			return 0, err
		}
		return 0, ctx.Err()
	}
}

func TestAnActivityThatIsNotBoundIsNotAttempted(t *testing.T) {
	if o := perform(context.Background(), nil, msg.Task{}, nil); !contains(o.Fault, "nothing in app app serves activity a") {
		t.Errorf("got %+v", o)
	}
}

func TestAnAttemptKnowsItselfAndWhatTheOneBeforeHasLeft(t *testing.T) {
	var first, second holdfast.Attempt
	a := holdfast.NewActivity[void, void]("a")
	parts := holdfast.Parts{a.Handle(func(ctx context.Context, _ void) (void, error) {
		page, ok := holdfast.HeartbeatDetail[int](ctx)
		if !ok {
			first = holdfast.AttemptFrom(ctx)
			return none, holdfast.Heartbeat(ctx, 41)
		}
		second = holdfast.AttemptFrom(ctx)
		if _, ok := holdfast.HeartbeatDetail[string](ctx); page != 41 || ok {
			return none, errDeclined.Withf("the detail is %d", page)
		}
		return none, nil
	})}
	var detail msg.Payload
	perform(context.Background(), parts, msg.Task{}, func(p msg.Payload) { detail = p })
	if o := perform(context.Background(), parts, msg.Task{Attempt: 2, Detail: detail}, nil); o.Err != nil {
		t.Error(o.Err)
	}
	if first.ID != second.ID || len(first.ID) != 32 || first.Number != 1 || second.Number != 2 {
		t.Errorf("got %v and %v, want one id and two numbers", first, second)
	}
}

func TestHeartbeatSaysThatNobodyNeedsTheAttempt(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errors.New("lost"))
	parts := holdfast.Parts{holdfast.NewActivity[void, void]("a").Handle(func(ctx context.Context, _ void) (void, error) {
		return none, holdfast.Heartbeat(ctx, 1)
	})}
	if o := perform(ctx, parts, msg.Task{}, func(msg.Payload) {}); o.Err == nil || !contains(o.Err.Message, "not needed any more: lost") {
		t.Errorf("got %v", o.Err)
	}
	if err := holdfast.Heartbeat(context.Background(), 1); err == nil {
		t.Error("a heartbeat outside of an activity is no error")
	}
	if got := holdfast.AttemptFrom(context.Background()); got != (holdfast.Attempt{}) {
		t.Errorf("got attempt %v outside of an activity", got)
	}
}

func TestInterceptorsSurroundAttemptsAndHaveTheLastWord(t *testing.T) {
	var order []string
	note := func(name string, replace error) holdfast.Part {
		return holdfast.Intercept(func(ctx context.Context, info holdfast.InvocationInfo, next func(context.Context) error) error {
			order = append(order, name+" "+info.Handler)
			err := next(ctx)
			order = append(order, fmt.Sprint(name, " ", err))
			if replace != nil {
				return replace
			}
			return err
		})
	}
	run := func(replace error) *msg.TaskOutcome {
		order = nil
		a := holdfast.NewActivity[void, int]("a").Handle(func(context.Context, void) (int, error) { return 5, nil })
		return perform(context.Background(), holdfast.Parts{a, note("outer", replace), note("inner", nil)}, msg.Task{}, nil)
	}
	if o := run(nil); string(o.Output.Body) != "5" || fmt.Sprint(order) != "[outer a inner a inner <nil> outer <nil>]" {
		t.Errorf("got %s by %v", o.Output.Body, order)
	}
	if o := run(errDeclined); o.Err == nil || o.Err.Code != "declined" || o.Output.Body != nil {
		t.Errorf("got %+v", o)
	}
}

func TestRequestsOfAnAttemptHaveItsKeys(t *testing.T) {
	var requests []client.Request
	conn := connection(func(r client.Request) ([]byte, error) {
		requests = append(requests, r)
		return []byte("1"), nil
	})
	parts := holdfast.Parts{holdfast.NewActivity[void, holdfast.Attempt]("a").Handle(func(ctx context.Context, _ void) (holdfast.Attempt, error) {
		c := holdfast.ClientFrom(ctx)
		_, err := wfWithdraw.Call(c, "alice", 1)
		_, err2 := wfWithdraw.Call(c, "alice", 1)
		_, err3 := wfWithdraw.Call(c, "alice", 1, holdfast.IdempotencyKey("own"))
		return holdfast.AttemptFrom(ctx), errors.Join(err, err2, err3)
	})}
	for range 2 {
		perform(client.NewContext(context.Background(), conn), parts, msg.Task{}, nil)
	}
	keys := fmt.Sprint(requests[0].IdempotencyKey != requests[1].IdempotencyKey, requests[0].IdempotencyKey == requests[3].IdempotencyKey,
		requests[1].IdempotencyKey == requests[4].IdempotencyKey, requests[2].IdempotencyKey)
	if keys != "true true trueown" {
		t.Errorf("got %s of %v", keys, requests)
	}
	if _, err := wfWithdraw.Call(holdfast.ClientFrom(context.Background()), "alice", 1); !errors.Is(err, holdfast.ErrUnavailable) {
		t.Errorf("without a client: %v", err)
	}
}

// connection is a connection made of a function.
type connection func(client.Request) ([]byte, error)

func (c connection) Invoke(_ context.Context, r client.Request) (client.Reply, error) {
	body, err := c(r)
	return client.Reply{Body: body}, err
}

func TestActivitiesBecomeTasksWithTheirOptions(t *testing.T) {
	a := holdfast.NewActivity[string, int]("score")
	w := holdfast.NewWorkflow[void, int]("w")
	e := twin(t, false, a.Handle(score, holdfast.Timeout(time.Second), holdfast.Retry{Attempts: 3, Never: []*holdfast.Error{errDeclined}}),
		w.Handle(func(ctx *holdfast.WorkflowContext, _ void) (int, error) {
			a.Send(ctx, "sent", holdfast.After(time.Hour), holdfast.Header("X", "y"))
			return a.Call(ctx, "in", holdfast.Within(time.Minute), holdfast.HeartbeatTimeout(time.Second), holdfast.Timeout(2*time.Second))
		}))
	i := e.Start("w", "1", "null")
	e.Do()
	want := []msg.Task{
		{Activity: "score", Step: 1, Silent: true, Input: msg.Payload{Body: []byte(`"sent"`)}, Timeout: time.Second, Due: e.Now + msg.Time(time.Hour),
			Headers: []msg.Header{{Name: "x", Value: "y"}},
			Retry:   msg.Retry{First: 100 * time.Millisecond, Max: time.Minute, FactorPercent: 200, Attempts: 3, Never: []string{"declined"}}},
		{Activity: "score", Step: 2, Input: msg.Payload{Body: []byte(`"in"`)}, Timeout: 2 * time.Second, Deadline: e.Now + msg.Time(time.Minute),
			Heartbeat: time.Second,
			Retry:     msg.Retry{First: 100 * time.Millisecond, Max: time.Minute, FactorPercent: 200, Attempts: 3, Never: []string{"declined"}}},
	}
	if fmt.Sprintf("%+v", i.Tasks) != fmt.Sprintf("%+v", want) {
		t.Errorf("got  %+v\nwant %+v", i.Tasks, want)
	}
}

func TestATurnSendsActivitiesSignalsAndWorkflows(t *testing.T) {
	w := holdfast.NewWorkflow[int, int]("w")
	word := holdfast.NewSignal[string](w, "word")
	kind := holdfast.NewEntity[account]("account")
	u := holdfast.NewUpdate[void, int](kind, "u")
	app := holdfast.NewApp("app", wfScore.Handle(score, holdfast.Timeout(time.Minute)), u.Handle(func(ctx *holdfast.UpdateContext[account], _ void) (int, error) {
		wfScore.Send(ctx, "a")
		word.Send(ctx, "1", "hello")
		w.Send(ctx, "", 5, holdfast.OnConflict(holdfast.Reject))
		return w.Tail(ctx, "2", 6)
	}))
	o := run(t, app, turnOf("u", `null`, ``))
	if len(o.Tasks) != 1 || !o.Tasks[0].Silent || o.Tasks[0].Timeout != time.Minute {
		t.Errorf("tasks %+v", o.Tasks)
	}
	signal, begin := o.Sends[0], o.Sends[1]
	if signal.Kind != msg.MessageSignal || signal.Target.Key != "1" || signal.Handler != "word" {
		t.Errorf("signal %+v", signal)
	}
	if begin.Handler != msg.HandlerRun || len(begin.Target.Key) != 32 || begin.OnConflict != msg.ConflictReject || string(begin.Payload.Body) != "5" {
		t.Errorf("start %+v", begin)
	}
	if o.Tail == nil || o.Tail.Handler != msg.HandlerRun || o.Tail.Target.Key != "2" {
		t.Errorf("tail call %+v", o.Tail)
	}
}

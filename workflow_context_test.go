package holdfast_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/program"
	"github.com/holdfast-io/holdfast/internal/workflow/workflowtest"
)

func TestALineIsLoggedOnceHoweverOftenTheFunctionRuns(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	w := holdfast.NewWorkflow[void, void]("w")
	e := twin(t, true, w.Handle(func(ctx *holdfast.WorkflowContext, _ void) (void, error) {
		ctx.Log().WithGroup("at").Info("begun", "step", 1)
		if err := ctx.Sleep(time.Hour); err != nil {
			return none, err
		}
		ctx.Log().Info("woken")
		return none, ctx.Sleep(time.Hour)
	}))
	e.Context = program.WithLogger(context.Background(), logger)
	i := e.Start("w", "1", "null")
	e.Run()
	completed(t, i, "")
	if want := "level=INFO msg=begun kind=w key=1 at.step=1\nlevel=INFO msg=woken kind=w key=1\n"; log.String() != want {
		t.Errorf("got\n%swant\n%s", log.String(), want)
	}
}

func TestUntilAndValuesOfTheTurn(t *testing.T) {
	type key struct{}
	w := holdfast.NewWorkflow[void, string]("w")
	for _, cold := range []bool{false, true} {
		e := twin(t, cold, w.Handle(func(ctx *holdfast.WorkflowContext, _ void) (string, error) {
			began := ctx.Now()
			err := errors.Join(ctx.Until(began.Add(-time.Hour)), ctx.Sleep(-1), ctx.Until(began.Add(time.Hour)))
			return fmt.Sprint(ctx.Now().Sub(began), ctx.Context().Value(key{}), ctx.Context().Done() == nil), err
		}))
		e.Context = context.WithValue(context.Background(), key{}, "value")
		i := e.Start("w", "1", "null")
		e.Run()
		completed(t, i, `"1h0m0svaluetrue"`)
		if steps := len(i.Journal.Steps()); steps != 1 {
			t.Errorf("%d steps, want one: what has passed is not waited for", steps)
		}
	}
}

func TestFuturesOfUpdatesAndReads(t *testing.T) {
	w := holdfast.NewWorkflow[void, string]("w")
	parts := holdfast.Parts{w.Handle(func(ctx *holdfast.WorkflowContext, _ void) (string, error) {
		both, err := holdfast.All(ctx, wfWithdraw.Start(ctx, "alice", 1, holdfast.Header("A", "b")), wfBalance.Start(ctx, "bob", none))
		if err != nil {
			return "", err
		}
		peeked, err := wfBalance.Peek(ctx, "carol", none)
		_, refused := wfWithdraw.Start(ctx, "", 1).Await(ctx)
		return fmt.Sprint(both, peeked, refused != nil), errors.Join(err, wfAccounts.Delete(ctx, "alice"))
	})}
	hotAndCold(t, parts, func(t *testing.T, e *workflowtest.Engine) *workflowtest.Instance {
		var asked []string
		e.Entity = func(m *msg.Outgoing) (msg.Payload, *msg.Error) {
			asked = append(asked, fmt.Sprint(m.Target, " ", m.Handler, m.Headers, m.Kind))
			return msg.Payload{Body: []byte("3")}, nil
		}
		i := e.Start("w", "1", "null")
		e.Run()
		completed(t, i, `"[3 3] 3 true"`)
		want := "account/alice withdraw[{a b}] 0; account/bob balance[] 0; account/carol balance[] 0; account/alice [] " + fmt.Sprint(msg.MessageDelete)
		if got := strings.Join(asked, "; "); got != want {
			t.Errorf("asked %s, want %s", got, want)
		}
		return i
	})
}

func TestErrorsOfEntitiesArriveWithTheirCode(t *testing.T) {
	w := holdfast.NewWorkflow[void, string]("w")
	parts := holdfast.Parts{w.Handle(func(ctx *holdfast.WorkflowContext, _ void) (string, error) {
		_, err := wfWithdraw.Call(ctx, "alice", 1)
		_, later := wfBalance.Start(ctx, "alice", none).Await(ctx)
		return fmt.Sprint(errors.Is(err, errDeclined), errors.Is(later, errDeclined)), err
	})}
	hotAndCold(t, parts, func(t *testing.T, e *workflowtest.Engine) *workflowtest.Instance {
		e.Entity = func(*msg.Outgoing) (msg.Payload, *msg.Error) {
			return msg.Payload{}, &msg.Error{Code: "declined", Class: msg.ClassDenied, Message: "no", Detail: []byte("detail")}
		}
		i := e.Start("w", "1", "null")
		e.Run()
		if got := i.Header.Err; got == nil || got.Code != "declined" || got.Class != msg.ClassDenied || string(got.Detail) != "detail" {
			t.Errorf("got %v", i)
		}
		return i
	})
}

func TestATypedQueryAnswersOrRefuses(t *testing.T) {
	w := holdfast.NewWorkflow[void, void]("w")
	half := holdfast.NewQuery[int, int](w, "half")
	e := twin(t, false, w.Handle(func(ctx *holdfast.WorkflowContext, _ void) (void, error) {
		half.Answer(ctx, func(n int) (int, error) {
			if n%2 != 0 {
				return 0, errDeclined.Withf("%d is odd", n)
			}
			return n / 2, nil
		})
		return none, ctx.Sleep(time.Hour)
	}))
	i := e.Start("w", "1", "null")
	e.Do()
	for input, want := range map[string]string{"8": "4", "7": "declined: 7 is odd", `"x"`: "invalid_argument: w/half expects int as input"} {
		o := e.Query(i, "half", input)
		got := string(o.Output.Body)
		if o.Err != nil {
			got = o.Err.Error()
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("half of %s is %s, want %s", input, got, want)
		}
	}
}

func TestCleanUpThatWaitsForWhatCancellationTookBackIsNotStuck(t *testing.T) {
	w := holdfast.NewWorkflow[void, string]("w")
	parts := holdfast.Parts{wfScore.Handle(score), w.Handle(func(ctx *holdfast.WorkflowContext, _ void) (string, error) {
		timer, points := ctx.Timer(time.Hour), wfScore.Start(ctx, "never run")
		ctx.Cleanup(func(ctx *holdfast.WorkflowContext) error {
			_, err := timer.Await(ctx)
			_, err2 := points.Await(ctx)
			if !errors.Is(err, holdfast.ErrCancelled) || !errors.Is(err2, holdfast.ErrCancelled) {
				return fmt.Errorf("got %w and %w", err, err2)
			}
			return nil
		})
		if _, err := holdfast.Select(ctx, timer, points); !errors.Is(err, holdfast.ErrCancelled) {
			return "not cancelled", err
		}
		return "cleaned", nil
	})}
	hotAndCold(t, parts, func(t *testing.T, e *workflowtest.Engine) *workflowtest.Instance {
		i := e.Start("w", "1", "null")
		e.Do()
		e.Cancel(i)
		e.Tell(i, 1)
		e.Run()
		completed(t, i, `"cleaned"`)
		return i
	})
}

func TestATailCallOfAnotherKindHandsTheCallerOver(t *testing.T) {
	w := holdfast.NewWorkflow[bool, int64]("w")
	parts := holdfast.Parts{w.Handle(func(ctx *holdfast.WorkflowContext, twice bool) (int64, error) {
		if twice {
			_, _ = wfWithdraw.Tail(ctx, "bob", 1)
		}
		return wfWithdraw.Tail(ctx, "alice", 1)
	})}
	e := twin(t, false, parts)
	var got string
	e.Entity = func(m *msg.Outgoing) (msg.Payload, *msg.Error) {
		got = m.Target.String() + " " + m.Handler
		return msg.Payload{}, nil
	}
	e.Start("w", "1", "false")
	twice := e.Start("w", "2", "true")
	e.Run()
	if got != "account/alice withdraw" || !contains(twice.Parked, "Tail was used twice") {
		t.Errorf("got %s, %v", got, twice)
	}
}

package holdfast_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/workflow/workflowtest"
)

// The workflows of these tests run on an ideal engine in memory. Each is run
// twice: with its run kept in memory, and with its journal executed again before
// every turn by an app that has never seen it. Both must come to the same
// journal.

// twin makes an engine. Cold, every turn meets a program that knows nothing.
func twin(t *testing.T, cold bool, parts ...holdfast.Part) *workflowtest.Engine {
	t.Helper()
	app := holdfast.NewApp("test", parts...)
	if err := app.Validate(); err != nil {
		t.Fatal(err)
	}
	e := &workflowtest.Engine{Program: app.Program(), Now: 1e18}
	if cold {
		e.Before = func() { e.Program = app.Program() }
	}
	return e
}

// hotAndCold runs a scenario on both kinds of engine and compares journals.
func hotAndCold(t *testing.T, parts holdfast.Parts, scenario func(t *testing.T, e *workflowtest.Engine) *workflowtest.Instance) {
	t.Helper()
	hot := scenario(t, twin(t, false, parts))
	cold := scenario(t, twin(t, true, parts))
	if fmt.Sprint(hot) != fmt.Sprint(cold) || fmt.Sprint(hot.Journal) != fmt.Sprint(cold.Journal) {
		t.Errorf("in memory: %v, %d entries\nexecuted again: %v, %d entries", hot, len(hot.Journal), cold, len(cold.Journal))
	}
}

// completed says what a workflow has come to.
func completed(t *testing.T, i *workflowtest.Instance, want string) {
	t.Helper()
	if i.Header.Status != msg.WorkflowCompleted || string(i.Header.Output.Body) != want {
		t.Errorf("got %v, want %s", i, want)
	}
}

var (
	wfAccounts = holdfast.NewEntity[account]("account")
	wfWithdraw = holdfast.NewUpdate[int64, int64](wfAccounts, "withdraw")
	wfBalance  = holdfast.NewRead[void, int64](wfAccounts, "balance")
	wfScore    = holdfast.NewActivity[string, int]("score")
)

func score(_ context.Context, who string) (int, error) { return len(who), nil }

func TestWorkflowCallsRunsActivitiesAndSleeps(t *testing.T) {
	type move struct {
		From   string
		Amount int64
	}
	transfer := holdfast.NewWorkflow[move, string]("transfer")
	parts := holdfast.Parts{wfScore.Handle(score), transfer.Handle(func(ctx *holdfast.WorkflowContext, m move) (string, error) {
		left, err := wfWithdraw.Call(ctx, m.From, m.Amount)
		if err != nil {
			return "", err
		}
		points, err := wfScore.Call(ctx, m.From)
		if err != nil {
			return "", err
		}
		before := ctx.Now()
		if err := ctx.Sleep(time.Hour); err != nil {
			return "", err
		}
		there, err := wfAccounts.Exists(ctx, m.From)
		return fmt.Sprint(left, points, ctx.Now().Sub(before), there, len(ctx.NewID())), err
	})}
	hotAndCold(t, parts, func(t *testing.T, e *workflowtest.Engine) *workflowtest.Instance {
		e.Entity = func(m *msg.Outgoing) (msg.Payload, *msg.Error) {
			if m.Kind == msg.MessageExists {
				return msg.Payload{Body: []byte("true")}, nil
			}
			return msg.Payload{Body: []byte("7")}, nil
		}
		i := e.Start("transfer", "t1", `{"From":"alice","Amount":5}`)
		e.Run()
		completed(t, i, `"7 5 1h0m0s true 32"`)
		want := "[account/alice/withdraw score 2001-09-09T02:46:40Z account/alice]"
		if got := strings.ReplaceAll(fmt.Sprint(i.Journal.Steps()), "alice withdraw", "alice/withdraw"); got != want {
			t.Errorf("steps %s, want %s", got, want)
		}
		return i
	})
}

func TestSelectAllAnyAndGo(t *testing.T) {
	w := holdfast.NewWorkflow[void, string]("w")
	name := holdfast.NewSignal[string](w, "name")
	parts := holdfast.Parts{wfScore.Handle(score), w.Handle(func(ctx *holdfast.WorkflowContext, _ void) (string, error) {
		said := name.Receive(ctx)
		timeout := ctx.Timer(time.Hour)
		first, err := holdfast.Select(ctx, said, timeout)
		if err != nil || first != said {
			return "", fmt.Errorf("selected %v, %v", first, err)
		}
		who, err := said.Await(ctx)
		if err != nil {
			return "", err
		}
		beside := holdfast.Go(ctx, func(ctx *holdfast.WorkflowContext) (int, error) { return wfScore.Call(ctx, who+who) })
		points, err := holdfast.All(ctx, wfScore.Start(ctx, who), beside, wfScore.Start(ctx, "a"))
		if err != nil {
			return "", err
		}
		lost := holdfast.Go(ctx, func(*holdfast.WorkflowContext) (int, error) { return 0, errors.New("no") })
		one, err := holdfast.Any(ctx, lost, wfScore.Start(ctx, "four"))
		return fmt.Sprint(points, one), err
	})}
	hotAndCold(t, parts, func(t *testing.T, e *workflowtest.Engine) *workflowtest.Instance {
		i := e.Of("w", "1")
		e.Signal(i, "name", `"bob"`) // before it has begun
		e.Start("w", "1", "null")
		e.Run()
		completed(t, i, `"[3 6 1] 4"`)
		return i
	})
}

var none void

func contains(text, part string) bool { return strings.Contains(text, part) }

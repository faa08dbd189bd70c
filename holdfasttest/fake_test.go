package holdfasttest_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/holdfasttest"
)

// Goal: a fake is run in place of an activity, with everything around it, and a
// monitor notices what is owed for too long. Method: a bill that a workflow pays.

type bill struct{ Owed, Paid int }

var (
	bills  = holdfast.NewEntity[bill]("bill")
	owe    = holdfast.NewUpdate[int, holdfast.Void](bills, "owe")
	settle = holdfast.NewUpdate[int, holdfast.Void](bills, "settle")
	pay    = holdfast.NewWorkflow[int, int]("pay")
	charge = holdfast.NewActivity[int, int]("charge")
)

// paying is an app whose activity reaches outside, and whose bills wait so long
// before they are paid.
func paying(wait time.Duration) *holdfast.App {
	return holdfast.NewApp("paying",
		owe.Handle(holdfast.NoResult(func(ctx *holdfast.UpdateContext[bill], n int) error {
			ctx.State.Owed += n
			return nil
		})),
		settle.Handle(holdfast.NoResult(func(ctx *holdfast.UpdateContext[bill], n int) error {
			ctx.State.Paid += n
			return nil
		})),
		pay.Handle(func(ctx *holdfast.WorkflowContext, n int) (int, error) {
			if _, err := owe.Call(ctx, "b", n); err != nil {
				return 0, err
			}
			if err := ctx.Sleep(wait); err != nil {
				return 0, err
			}
			charged, err := charge.Call(ctx, n)
			if err != nil {
				return 0, err
			}
			_, err = settle.Call(ctx, "b", charged)
			return charged, err
		}),
		charge.Handle(func(context.Context, int) (int, error) { panic("it reached outside") }, holdfast.Retry{First: time.Millisecond}))
}

// flaky charges, and says the first time that it has not.
func flaky(ctx context.Context, n int) (int, error) {
	if holdfast.AttemptFrom(ctx).Number == 1 {
		return 0, errors.New("the line is busy")
	}
	return n, nil
}

func pays(within time.Duration) func(w *holdfasttest.World) {
	return func(w *holdfasttest.World) {
		w.Do(func(c *holdfast.ClientContext) {
			for n := 1; n <= 3; n++ {
				got, err := pay.Call(c, string(rune('a'+n)), n)
				if errors.Is(err, holdfast.ErrUnavailable) {
					continue // the run goes on
				}
				if err != nil || got != n {
					w.Fatalf("pay %d: got %d, %v", n, got, err)
				}
			}
		})
		w.Cools("bills are paid", within, func(s holdfasttest.State) bool {
			b, _, err := bills.Inspect(s.ClientContext, "b")
			return err == nil && b.Owed > b.Paid
		})
	}
}

func TestAFakeStandsInForAnActivity(t *testing.T) {
	holdfasttest.Run(t, paying(time.Second), pays(time.Hour), holdfasttest.Fakes(charge.Handle(flaky)),
		holdfasttest.AllFaults(), holdfasttest.CrashEverywhere())
}

func TestWhatCannotBeFakedIsRefused(t *testing.T) {
	other := holdfast.NewActivity[int, int]("other")
	for says, fake := range map[string]holdfast.Part{
		`the app binds no activity "other"`: other.Handle(flaky),
		"only activities can be faked":      pay.Handle(func(*holdfast.WorkflowContext, int) (int, error) { return 0, nil }),
		"charge":                            charge.Handle(nil),
	} {
		if r := recorded(t, paying(0), pays(time.Hour), holdfasttest.Fakes(fake)); !strings.Contains(r.failure, says) || !strings.Contains(r.failure, "fakes: ") {
			t.Errorf("got %q, want %q", r.failure, says)
		}
	}
}

func TestAMonitorNoticesWhatStaysHot(t *testing.T) {
	fakes := holdfasttest.Fakes(charge.Handle(flaky))
	if r := recorded(t, paying(time.Minute), pays(2*time.Minute), fakes); r.failure != "" {
		t.Errorf("bills were paid in time, and it says %s", r.failure)
	}
	if r := recorded(t, paying(time.Minute), pays(30*time.Second), fakes); !strings.Contains(r.failure, "bills are paid") {
		t.Errorf("got %q, want that bills were not paid in time", r.failure)
	}
	never := holdfasttest.Fakes(charge.Handle(func(context.Context, int) (int, error) { return 0, nil })) // it charges nothing
	r := recorded(t, paying(0), func(w *holdfasttest.World) {
		w.Do(func(c *holdfast.ClientContext) { _, _ = pay.Call(c, "a", 5) }) // what it gives is not what is looked at
		w.Cools("bills are paid", time.Hour, func(s holdfasttest.State) bool {
			b, _, err := bills.Inspect(s.ClientContext, "b")
			return err == nil && b.Owed > b.Paid
		})
	}, never)
	if !strings.Contains(r.failure, "bills are paid") {
		t.Errorf("got %q, want that a bill is owed at the end", r.failure)
	}
}

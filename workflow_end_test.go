package holdfast_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/workflow/workflowtest"
)

// How runs end: by returning, failing, being cancelled, or beginning anew.

// steps runs a workflow w of one function, hot and cold, until it ends, and
// compares its output.
func steps(t *testing.T, fn func(*holdfast.WorkflowContext, void) (string, error), want string, more ...holdfast.Part) {
	t.Helper()
	w := holdfast.NewWorkflow[void, string]("w")
	parts := append(holdfast.Parts{wfScore.Handle(score), w.Handle(fn)}, more...)
	hotAndCold(t, parts, func(t *testing.T, e *workflowtest.Engine) *workflowtest.Instance {
		i := e.Start("w", "1", "null")
		e.Run()
		completed(t, i, want)
		return i
	})
}

// outcome is how a workflow has ended.
func outcome(i *workflowtest.Instance) string {
	if i.Header.Err != nil {
		return i.Header.Status.String() + ": " + i.Header.Err.Error()
	}
	return i.Header.Status.String() + ": " + string(i.Header.Output.Body)
}

func TestCompensationsRunLastFirstWhenAWorkflowFails(t *testing.T) {
	w := holdfast.NewWorkflow[bool, string]("w")
	undo := func(name string) func(*holdfast.WorkflowContext) error {
		return func(ctx *holdfast.WorkflowContext) error {
			_, err := wfScore.Call(ctx, name)
			return err
		}
	}
	parts := holdfast.Parts{wfScore.Handle(func(_ context.Context, who string) (int, error) {
		if who == "second" {
			return 0, errDeclined.Withf("cannot be undone")
		}
		return 0, nil
	}), w.Handle(func(ctx *holdfast.WorkflowContext, fails bool) (string, error) {
		ctx.Cleanup(undo("clean-up"))
		ctx.OnFailure(undo("first"))
		ctx.OnFailure(undo("second"))
		if fails {
			return "", errDeclined.Withf("by hand")
		}
		return "fine", nil
	})}
	for _, c := range []struct{ input, want, steps string }{
		{"true", "failed: declined: by hand; compensation: declined: cannot be undone", "[second first clean-up]"},
		{"false", `completed: "fine"`, "[clean-up]"},
	} {
		hotAndCold(t, parts, func(t *testing.T, e *workflowtest.Engine) *workflowtest.Instance {
			var ran []string
			e.Performed = func(task *msg.Task) { ran = append(ran, string(task.Input.Body[1:len(task.Input.Body)-1])) }
			i := e.Start("w", "1", c.input)
			e.Run()
			if outcome(i) != c.want || fmt.Sprint(ran) != c.steps {
				t.Errorf("got %s after %v, want %s after %s", outcome(i), ran, c.want, c.steps)
			}
			return i
		})
	}
}

var errDeclined = holdfast.NewError("declined", holdfast.Denied)

func TestCancellationEndsEveryWaitAndCleanUpIsNotReached(t *testing.T) {
	w := holdfast.NewWorkflow[void, string]("w")
	child := holdfast.NewWorkflow[string, string]("child")
	var seen []string
	parts := holdfast.Parts{wfScore.Handle(score), child.Handle(func(ctx *holdfast.WorkflowContext, _ string) (string, error) {
		return "", ctx.Sleep(time.Hour)
	}), w.Handle(func(ctx *holdfast.WorkflowContext, _ void) (string, error) {
		seen = nil
		note := func(what string, err error) {
			seen = append(seen, fmt.Sprint(what, " ", errors.Is(err, holdfast.ErrCancelled)))
		}
		ctx.Cleanup(func(ctx *holdfast.WorkflowContext) error {
			points, err := wfScore.Call(ctx, "four")
			seen = append(seen, fmt.Sprint("clean-up ", points, err))
			return ctx.Sleep(time.Minute)
		})
		slow := wfScore.Start(ctx, "slow")
		child.Start(ctx, "c", "cancelled")
		child.Start(ctx, "a", "abandoned", holdfast.OnParentClose(holdfast.AbandonChild))
		_, err := holdfast.Select(ctx, slow, ctx.Timer(time.Hour))
		note("select", err)
		_, err = slow.Await(ctx)
		note("await", err)
		note("sleep", ctx.Sleep(time.Hour))
		_, err = wfWithdraw.Call(ctx, "alice", 1)
		note("call", err)
		_, err = holdfast.Step(ctx, "step", func(context.Context) (int, error) { return 1, nil })
		note("step", err)
		return "", err
	})}
	hotAndCold(t, parts, func(t *testing.T, e *workflowtest.Engine) *workflowtest.Instance {
		i := e.Start("w", "1", "null")
		for len(i.Tasks) == 0 {
			e.Do()
		}
		e.Cancel(i)
		e.Tell(i, 1)
		e.Run()
		if want := []string{"select true", "await true", "sleep true", "call true", "step true", "clean-up 4 <nil>"}; !slices.Equal(seen, want) {
			t.Errorf("got %v, want %v", seen, want)
		}
		if i.Header.Status != msg.WorkflowCancelled || !slices.Equal(i.Stopped, []msg.StepNumber{1}) {
			t.Errorf("got %v, stopped %v", i, i.Stopped)
		}
		if c := e.Of("child", "c"); c.Header.Status != msg.WorkflowCancelled {
			t.Errorf("the child was not cancelled: %v", c)
		}
		if a := e.Of("child", "a"); a.Header.Status == msg.WorkflowCancelled {
			t.Errorf("the abandoned child was cancelled: %v", a)
		}
		return i
	})
}

func TestWhatIsThereIsGivenToACancelledWorkflowToo(t *testing.T) {
	w := holdfast.NewWorkflow[void, int]("w")
	parts := holdfast.Parts{wfScore.Handle(score), w.Handle(func(ctx *holdfast.WorkflowContext, _ void) (int, error) {
		points := wfScore.Start(ctx, "four")
		if err := ctx.Sleep(time.Hour); !errors.Is(err, holdfast.ErrCancelled) {
			return 0, err
		}
		return points.Await(ctx)
	})}
	hotAndCold(t, parts, func(t *testing.T, e *workflowtest.Engine) *workflowtest.Instance {
		i := e.Start("w", "1", "null")
		e.Do()
		e.Do() // the activity
		e.Tell(i, 1)
		e.Cancel(i)
		e.Run()
		completed(t, i, "4")
		return i
	})
}

func TestChildrenEndWithTheirParentAsItsPolicySays(t *testing.T) {
	child := holdfast.NewWorkflow[void, string]("child")
	parent := holdfast.NewWorkflow[holdfast.ClosePolicy, string]("parent")
	parts := holdfast.Parts{child.Handle(func(ctx *holdfast.WorkflowContext, _ void) (string, error) {
		return "slept", ctx.Sleep(time.Hour)
	}), parent.Handle(func(ctx *holdfast.WorkflowContext, policy holdfast.ClosePolicy) (string, error) {
		child.Start(ctx, "c", none, holdfast.OnParentClose(policy))
		return "", ctx.Sleep(time.Minute)
	})}
	for policy, want := range map[string]string{"cancel": "cancelled: cancelled: the workflow was asked to stop",
		"abandon": `completed: "slept"`, "wait": `completed: "slept"`} {
		hotAndCold(t, parts, func(t *testing.T, e *workflowtest.Engine) *workflowtest.Instance {
			i := e.Start("parent", "p", `"`+policy+`"`)
			e.Run()
			c := e.Of("child", "c")
			if outcome(c) != want {
				t.Errorf("%s: the child has %s, want %s", policy, outcome(c), want)
			}
			if after := i.Header.EndedAt - c.Header.EndedAt; i.Header.Status != msg.WorkflowCompleted || policy != "cancel" && (after >= 0) != (policy == "wait") {
				t.Errorf("%s: parent %v ended at %v, child at %v", policy, i, i.Header.EndedAt.Std(), c.Header.EndedAt.Std())
			}
			return i
		})
	}
}

func TestAPromiseIsCompletedFromOutside(t *testing.T) {
	w := holdfast.NewWorkflow[void, string]("w")
	notify := holdfast.NewActivity[holdfast.PromiseRef[string], void]("notify")
	id := ""
	parts := holdfast.Parts{notify.Handle(func(_ context.Context, ref holdfast.PromiseRef[string]) (void, error) {
		id = ref.ID
		return none, nil
	}), w.Handle(func(ctx *holdfast.WorkflowContext, _ void) (string, error) {
		approval := holdfast.NewPromise[string](ctx)
		notify.Send(ctx, approval.Ref())
		timeout := ctx.Timer(time.Hour)
		first, err := holdfast.Select(ctx, approval, timeout)
		if err != nil || first != approval {
			return "late", err
		}
		return approval.Await(ctx)
	})}
	hotAndCold(t, parts, func(t *testing.T, e *workflowtest.Engine) *workflowtest.Instance {
		i := e.Start("w", "1", "null")
		for id = ""; id == ""; {
			e.Do()
		}
		e.Resolve(id, `"yes"`)
		e.Run()
		completed(t, i, `"yes"`)
		return i
	})
}

func TestAWorkflowBeginsAnewAndCarriesItsSignals(t *testing.T) {
	w := holdfast.NewWorkflow[int, string]("w")
	word := holdfast.NewSignal[string](w, "word")
	other := holdfast.NewSignal[string](w, "other")
	parts := holdfast.Parts{w.Handle(func(ctx *holdfast.WorkflowContext, n int) (string, error) {
		first, err := word.Receive(ctx).Await(ctx)
		if err != nil || n == 2 {
			last, err := other.Receive(ctx).Await(ctx)
			return first + last, err
		}
		return w.Tail(ctx, ctx.ID(), n+1)
	})}
	hotAndCold(t, parts, func(t *testing.T, e *workflowtest.Engine) *workflowtest.Instance {
		i := e.Start("w", "1", "0")
		e.Signal(i, "other", `"!"`)
		for _, s := range []string{"a", "b", "c"} {
			e.Signal(i, "word", `"`+s+`"`)
		}
		e.Run()
		completed(t, i, `"c!"`)
		if len(i.Journal) != 1 || i.Header.Run != 3 {
			t.Errorf("%d entries in run %d, want one: what is before is gone", len(i.Journal), i.Header.Run)
		}
		return i
	})
}

func TestALoopHasAJournalOfOneTurn(t *testing.T) {
	type feed struct{ Seen int }
	poll := holdfast.NewLoop[feed]("poll")
	stop := holdfast.NewSignal[void](poll, "stop")
	parts := holdfast.Parts{wfScore.Handle(score), poll.Handle(func(ctx *holdfast.WorkflowContext, f *feed) (bool, error) {
		n, err := wfScore.Call(ctx, "ab")
		f.Seen += n
		stopped := stop.Receive(ctx)
		first, err2 := holdfast.Select(ctx, stopped, ctx.Timer(time.Minute))
		return first == stopped, errors.Join(err, err2)
	})}
	hotAndCold(t, parts, func(t *testing.T, e *workflowtest.Engine) *workflowtest.Instance {
		i := e.Start("poll", "p", `{"Seen":0}`)
		longest := 0
		for range 300 {
			e.Do()
			longest = max(longest, len(i.Journal))
		}
		e.Signal(i, "stop", "null")
		e.Run()
		if i.Header.Status != msg.WorkflowCompleted || i.Header.Run < 50 || longest > 3 {
			t.Errorf("got %v in run %d, %d entries at most", i, i.Header.Run, longest)
		}
		return i
	})
}

func TestALoopThatLeavesSomethingOutstandingIsParked(t *testing.T) {
	poll := holdfast.NewLoop[int]("poll")
	parts := holdfast.Parts{wfScore.Handle(score), poll.Handle(func(ctx *holdfast.WorkflowContext, n *int) (bool, error) {
		wfScore.Start(ctx, "never awaited")
		wfWithdraw.Send(ctx, "alice", 1) // is not outstanding
		holdfast.Go(ctx, func(ctx *holdfast.WorkflowContext) (void, error) { return none, ctx.Sleep(time.Hour) })
		return false, nil
	})}
	e := twin(t, false, parts)
	i := e.Start("poll", "p", "1")
	e.Run()
	if want := "outstanding: step 1 (activity), 1 of what Go began; await it"; !contains(i.Parked, want) {
		t.Errorf("got %v, want %s", i, want)
	}
}

func TestFinishWaitsForEverythingThatWasSent(t *testing.T) {
	w := holdfast.NewWorkflow[void, string]("w")
	child := holdfast.NewWorkflow[string, string]("child")
	parts := holdfast.Parts{child.Handle(func(ctx *holdfast.WorkflowContext, id string) (string, error) {
		return "", errors.Join(ctx.Sleep(time.Hour), errDeclined)
	}), w.Handle(func(ctx *holdfast.WorkflowContext, _ void) (string, error) {
		before := ctx.Now()
		wfWithdraw.Send(ctx, "alice", 1)
		wfWithdraw.To("bob").Send(ctx, 2)
		child.Send(ctx, "", "x")
		if err := ctx.Finish(); err != nil {
			return "", err
		}
		return ctx.Now().Sub(before).String(), ctx.Finish()
	})}
	hotAndCold(t, parts, func(t *testing.T, e *workflowtest.Engine) *workflowtest.Instance {
		done := 0
		e.Entity = func(*msg.Outgoing) (msg.Payload, *msg.Error) { done++; return msg.Payload{}, nil }
		i := e.Start("w", "1", "null")
		e.Run()
		completed(t, i, `"1h0m0s"`)
		if done != 2 {
			t.Errorf("%d sends were done, want 2", done)
		}
		return i
	})
}

func TestWhatAWorkflowMayNotAskParksOrFails(t *testing.T) {
	for name, c := range map[string]struct {
		code func(*holdfast.WorkflowContext, void) (string, error)
		want string
	}{
		"a send that cannot be": {func(ctx *holdfast.WorkflowContext, _ void) (string, error) {
			wfWithdraw.Send(ctx, "", 1)
			return "", nil
		}, "parked: workflow w/1 at "},
		"a tail call that is not returned": {func(ctx *holdfast.WorkflowContext, _ void) (string, error) {
			_, _ = wfWithdraw.Tail(ctx, "alice", 1)
			return "", nil
		}, "write: return w.Tail(ctx, id, in)"},
		"an option out of range": {func(ctx *holdfast.WorkflowContext, _ void) (string, error) {
			_, err := wfScore.Call(ctx, "a", holdfast.Timeout(-1))
			return "", err
		}, "Timeout is -1ns"},
		"reminders": {func(ctx *holdfast.WorkflowContext, _ void) (string, error) {
			_, err := wfAccounts.Reminders(ctx, "alice")
			return "", err
		}, `failed, invalid_argument: a workflow cannot ask for "reminders"`},
		"a local activity of another app": {func(ctx *holdfast.WorkflowContext, _ void) (string, error) {
			_, err := holdfast.NewActivity[string, int]("elsewhere").Call(ctx, "a", holdfast.Local())
			return "", err
		}, "not_found: activity elsewhere is Local and this app does not bind it"},
	} {
		t.Run(name, func(t *testing.T) {
			w := holdfast.NewWorkflow[void, string]("w")
			e := twin(t, false, wfScore.Handle(score), w.Handle(c.code))
			i := e.Start("w", "1", "null")
			e.Run()
			if !contains(i.String(), c.want) {
				t.Errorf("got %v, want %s", i, c.want)
			}
		})
	}
}

func TestStepsAndLocalActivitiesAreRecordedOnce(t *testing.T) {
	runs := 0
	steps(t, func(ctx *holdfast.WorkflowContext, _ void) (string, error) {
		rate, err := holdfast.Step(ctx, "rate", func(ctx context.Context) (int, error) {
			if runs++; runs%3 != 0 {
				return 0, errors.New("not yet")
			}
			return 7, nil
		}, holdfast.Retry{First: time.Nanosecond, Max: time.Nanosecond}, holdfast.Timeout(5*time.Second))
		if err != nil {
			return "", err
		}
		points, err := wfScore.Call(ctx, "four", holdfast.Local())
		if err != nil {
			return "", err
		}
		_, panicked := holdfast.Step(ctx, "bad", func(context.Context) (int, error) { panic("oh") })
		_, declined := holdfast.Step(ctx, "no", func(context.Context) (int, error) { return 0, errDeclined }, holdfast.Retry{})
		return fmt.Sprint(rate, points, errors.Is(panicked, holdfast.ErrPanic), errors.Is(declined, errDeclined)), ctx.Sleep(time.Hour)
	}, `"7 4 true true"`)
	if runs != 6 {
		t.Errorf("the step ran %d times in two runs, want 6", runs)
	}
}

func TestContextCarriesValuesAndLogsOnce(t *testing.T) {
	type key struct{}
	steps(t, func(ctx *holdfast.WorkflowContext, _ void) (string, error) {
		with := ctx.WithValue(key{}, "v")
		beside := holdfast.Go(with, func(ctx *holdfast.WorkflowContext) (string, error) {
			return ctx.Value(key{}).(string), ctx.Sleep(time.Second)
		})
		v, err := beside.Await(ctx)
		return fmt.Sprint(v, ctx.Value(key{}), ctx.ID(), ctx.Rand().IntN(1)), err
	}, `"v\u003cnil\u003e10"`)
}

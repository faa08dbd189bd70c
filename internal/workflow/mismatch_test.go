package workflow_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/workflow"
	"github.com/holdfast-io/holdfast/internal/workflow/workflowtest"
)

// Code that does not ask for what the journal says is found, and named.

// history is a run that has called, run an activity, and sleeps.
func history(t *testing.T, fn function) (*served, *workflowtest.Engine, *workflowtest.Instance) {
	s := serve(t, fn)
	e := s.engine()
	i := e.Start("w", "1", "")
	for range 5 {
		e.Do()
	}
	if got, want := fmt.Sprint(i.Journal.Steps()), "[entity/e do upper 2001-09-09T01:46:41Z]"; got != want {
		t.Fatalf("the history is %s, want %s", got, want)
	}
	return s, e, i
}

func before(x *workflow.Context, _ string) (string, *msg.Error) {
	return list(get(x, call(x, "in")), get(x, activity(x, "in")), get(x, in(x, time.Second))), nil
}

func TestCodeThatAsksForSomethingElseIsParkedWithWhatAndWhere(t *testing.T) {
	for name, c := range map[string]struct {
		code function
		want []string
	}{
		"another activity": {func(x *workflow.Context, _ string) (string, *msg.Error) {
			get(x, call(x, "in"))
			return get(x, x.Activity("lower", text("in"), &workflow.Options{})), nil
		}, []string{"workflow w/1 does not do", "step 2 was recorded as activity upper", "the code now asks at", "mismatch_test.go:43", "for activity lower"}},
		"another input": {func(x *workflow.Context, _ string) (string, *msg.Error) {
			return get(x, call(x, "other")), nil
		}, []string{"step 1 was recorded as call entity/e do with another input", "rig_test.go:", "for call entity/e do"}},
		"another kind of step": {func(x *workflow.Context, _ string) (string, *msg.Error) {
			return get(x, in(x, time.Minute)), nil
		}, []string{"step 1 was recorded as call entity/e do", "rig_test.go:", "for timer 20"}},
		"one step more": {func(x *workflow.Context, _ string) (string, *msg.Error) {
			both := call(x, "in")
			activity(x, "more")
			return get(x, both), nil
		}, []string{"step 2 was recorded as nothing: there it waited", "rig_test.go:", "for activity upper"}},
		"a wait less": {func(x *workflow.Context, _ string) (string, *msg.Error) {
			call(x, "in")
			return get(x, activity(x, "in")), nil
		}, []string{"step 2 was recorded as nothing: there it waited", "rig_test.go:", "for activity upper"}},
		"a step less": {func(x *workflow.Context, _ string) (string, *msg.Error) {
			get(x, call(x, "in"))
			return get(x, x.Receive("nobody")), nil
		}, []string{"step 2 was recorded as activity upper", "rig_test.go:", "nothing: it waits"}},
		"an early end": {func(x *workflow.Context, _ string) (string, *msg.Error) {
			return get(x, call(x, "in")), nil
		}, []string{"step 2 was recorded as activity upper", "nothing: it has ended"}},
		"an end before the last delivery": {func(x *workflow.Context, _ string) (string, *msg.Error) {
			call(x, "in")
			return "", nil
		}, []string{"step 2 was recorded as that it goes on", "to end"}},
	} {
		t.Run(name, func(t *testing.T) {
			s, e, i := history(t, before)
			changed := serve(t, c.code)
			err := e.Check(i, changed)
			if err == nil {
				t.Fatal("the check of another program finds nothing")
			}
			s.functions["w"] = c.code
			s.runtime.Evict()
			e.Run()
			parked(t, i, append(c.want, err.Error())...)

			s.functions["w"] = before // mended
			i.Parked = ""
			e.Run()
			ended(t, i, "[doed in IN ]")
		})
	}
}

func TestAMismatchIsATypedError(t *testing.T) {
	m := &workflow.Mismatch{Workflow: msg.Ref{Kind: "w", Key: "1"}, Step: 3, Recorded: "a", Asked: "b", Line: "f.go:1"}
	var as *workflow.Mismatch
	if err := error(m); !errors.As(err, &as) || !strings.Contains(err.Error(), "step 3 was recorded as a, and the code now asks at f.go:1 for b") {
		t.Error(err)
	}
}

func TestPatchKeepsOldRunsOnTheOldWayAndPutsNewOnesOnTheNewWay(t *testing.T) {
	patched := func(x *workflow.Context, _ string) (string, *msg.Error) {
		out := []string{get(x, call(x, "in"))}
		if x.Patch("twice") {
			out = append(out, get(x, activity(x, "new")))
		}
		if x.Patch("twice") {
			out = append(out, get(x, activity(x, "newer")))
		}
		return list(append(out, get(x, activity(x, "in")), get(x, in(x, time.Second)))...), nil
	}
	s, e, old := history(t, before)
	s.functions["w"] = patched
	s.runtime.Evict()
	fresh := e.Start("w", "2", "")
	e.Run()
	ended(t, old, "[doed in IN ]")
	ended(t, fresh, "[doed in NEW NEWER IN ]")
	for _, i := range []*workflowtest.Instance{old, fresh} {
		if err := e.Check(i, serve(t, patched)); err != nil {
			t.Error(err)
		}
	}

	// When no old run is left, the question is deleted from the code.
	always := func(x *workflow.Context, _ string) (string, *msg.Error) {
		get(x, call(x, "in"))
		get(x, activity(x, "new"))
		get(x, activity(x, "newer"))
		return list(get(x, activity(x, "in")), get(x, in(x, time.Second))), nil
	}
	if err := e.Check(fresh, serve(t, always)); err != nil {
		t.Error(err)
	}
	if err := e.Check(old, serve(t, always)); err == nil {
		t.Error("a run that went the old way fits code that only knows the new way")
	}
}

func TestPatchInALoopIsDecidedOnce(t *testing.T) {
	loop := func(patch bool) function {
		return func(x *workflow.Context, _ string) (string, *msg.Error) {
			var ways []string
			for range 3 {
				get(x, activity(x, "round"))
				ways = append(ways, fmt.Sprint(patch && x.Patch("p")))
			}
			return list(ways...), nil
		}
	}
	s := serve(t, loop(false))
	e := s.engine()
	i := e.Start("w", "1", "")
	for range 4 {
		e.Do()
	}
	s.functions["w"] = loop(true)
	s.runtime.Evict()
	e.Run()
	ended(t, i, "[false false false]")
	s.runtime.Evict()
	if err := e.Check(i, s); err != nil {
		t.Error(err)
	}
}

func TestAJournalThatCannotBeReadParks(t *testing.T) {
	s, e, i := history(t, before)
	i.Journal[1] = []byte{0xff}
	s.runtime.Evict()
	e.Run()
	parked(t, i, "read entry 2 of the journal of workflow w/1")
}

func TestALocalStepRunsOnce(t *testing.T) {
	runs := 0
	s := serve(t, func(x *workflow.Context, _ string) (string, *msg.Error) {
		out, err := x.Local("roll", text("in"), &workflow.Options{}, func(context.Context, msg.Payload) workflow.Verdict {
			runs++
			return workflow.Verdict{Output: text(fmt.Sprint("run ", runs))}
		})
		get(x, in(x, time.Second))
		_, failed := x.Local("bad", text(""), &workflow.Options{}, upper)
		get(x, in(x, time.Second))
		return list(string(out.Body), fmt.Sprint(err == nil), failed.Code), nil
	})
	e := s.engine()
	e.Before = func() { s.runtime.Evict() }
	i := e.Start("w", "1", "")
	e.Run()
	ended(t, i, "[run 1 true empty]")
}

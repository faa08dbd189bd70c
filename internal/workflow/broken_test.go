package workflow_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/workflow"
)

// User code that breaks harms its own run only, and nothing is left of it.

// good is a workflow that goes well beside one that does not.
func good(x *workflow.Context, _ string) (string, *msg.Error) {
	return get(x, activity(x, "good")), nil
}

func TestBrokenUserCodeParksItsOwnWorkflowAndNoOther(t *testing.T) {
	for name, c := range map[string]struct {
		code function
		want string
	}{
		"a panic": {func(x *workflow.Context, _ string) (string, *msg.Error) {
			get(x, activity(x, "a"))
			panic("oh")
		}, "panic in workflow w/1: oh"},
		"a panic beside": {func(x *workflow.Context, _ string) (string, *msg.Error) {
			f := x.Go(func(x *workflow.Context) *msg.Error {
				get(x, activity(x, "a"))
				var none []int
				_ = none[3]
				return nil
			})
			return get(x, f), nil
		}, "panic in workflow w/1: runtime error: index out of range"},
		"Goexit": {func(x *workflow.Context, _ string) (string, *msg.Error) {
			get(x, activity(x, "a"))
			runtime.Goexit()
			return "", nil
		}, "ended its goroutine with runtime.Goexit"},
		"a wait for nothing": {func(x *workflow.Context, _ string) (string, *msg.Error) {
			get(x, activity(x, "a"))
			_, err := x.Select(nil)
			return "", err
		}, "waits for what can never come: no step that it asked for is open and it receives no signal; it waits at "},
		"a wait for oneself": {func(x *workflow.Context, _ string) (string, *msg.Error) {
			var f *workflow.Future
			f = x.Go(func(x *workflow.Context) *msg.Error { return x.Await(f) })
			return get(x, f), nil
		}, "broken_test.go:52"},
		"the context inside of a step": {func(x *workflow.Context, _ string) (string, *msg.Error) {
			_, err := x.Local("look", msg.Payload{}, &workflow.Options{}, func(context.Context, msg.Payload) workflow.Verdict {
				return workflow.Verdict{Output: text(x.NewID())}
			})
			panic(err)
		}, "was used inside of step look"},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, c.code)
			s.functions["good"] = good
			e := s.engine()
			i, other := e.Start("w", "1", ""), e.Start("good", "1", "")
			e.Run()
			parked(t, i, c.want)
			ended(t, other, "GOOD")
			if hot := s.runtime.Stats().Hot; hot != 0 {
				t.Errorf("%d runs are in memory, want none", hot)
			}
		})
	}
}

func TestPanicFailsMakesAPanicTheOutcomeAfterCompensation(t *testing.T) {
	for name, code := range map[string]function{
		"in the function": func(x *workflow.Context, _ string) (string, *msg.Error) {
			x.OnFailure(func(x *workflow.Context) *msg.Error { get(x, activity(x, "undo")); return nil })
			get(x, activity(x, "a"))
			panic("oh")
		},
		"beside it": func(x *workflow.Context, _ string) (string, *msg.Error) {
			x.OnFailure(func(x *workflow.Context) *msg.Error { get(x, activity(x, "undo")); return nil })
			x.Go(func(x *workflow.Context) *msg.Error { get(x, activity(x, "a")); panic("oh") })
			return get(x, x.Receive("never")), nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, code)
			s.panicFails = true
			e := s.engine()
			e.Before = func() { s.runtime.Evict() }
			i := e.Start("w", "1", "")
			e.Run()
			ended(t, i, "panic: panic in workflow w/1: oh")
			if steps := fmt.Sprint(i.Journal.Steps()); steps != "[upper upper]" {
				t.Errorf("steps %s, want the compensation too", steps)
			}
		})
	}
}

func TestAPanicInCompensationOfOneThatPanicFailsEndsIt(t *testing.T) {
	s := serve(t, func(x *workflow.Context, _ string) (string, *msg.Error) {
		x.OnFailure(func(*workflow.Context) *msg.Error { panic("undo") })
		return "", msg.Errorf("bad", msg.ClassFailed, "")
	})
	s.panicFails = true
	e := s.engine()
	i := e.Start("w", "1", "")
	e.Run()
	ended(t, i, "panic: panic in workflow w/1: undo")
}

func TestTheContextIsDeadAfterTheEndAndInAnswers(t *testing.T) {
	var kept *workflow.Context
	s := serve(t, func(x *workflow.Context, _ string) (string, *msg.Error) {
		kept = x
		x.Answer("id", func(msg.Payload) (msg.Payload, *msg.Error) { return text(x.NewID()), nil })
		return get(x, in(x, time.Second)), nil
	})
	e := s.engine()
	i := e.Start("w", "1", "")
	e.Do()
	o := e.Query(i, "id", "")
	if !o.Panicked || !strings.Contains(o.Err.Message, "by the answer to a query") {
		t.Errorf("got %v", o.Err)
	}
	e.Run()
	ended(t, i, "")
	defer func() {
		if p := fmt.Sprint(recover()); !strings.Contains(p, "after the function returned") {
			t.Errorf("panicked with %s", p)
		}
	}()
	kept.NewID()
}

func TestQueriesLookAtRunsInMemoryFromTheJournalAndEnded(t *testing.T) {
	s := serve(t, func(x *workflow.Context, _ string) (string, *msg.Error) {
		stage := "first"
		x.Answer("stage", func(in msg.Payload) (msg.Payload, *msg.Error) { return text(stage + string(in.Body)), nil })
		get(x, activity(x, "a"))
		stage = "second"
		get(x, in(x, time.Second))
		stage = "third"
		return "", nil
	})
	e := s.engine()
	i := e.Start("w", "1", "")
	for _, want := range []string{"first!", "second!", "third!"} {
		e.Do()
		if want == "third!" {
			e.Do()
		}
		for _, cold := range []bool{false, true} {
			if cold {
				s.runtime.Evict()
			}
			if o := e.Query(i, "stage", "!"); string(o.Output.Body) != want {
				t.Errorf("got %s (%v, %s), want %s", o.Output.Body, o.Err, o.Fault, want)
			}
		}
		e.Do()
	}
	if o := e.Query(i, "other", ""); o.Err == nil || o.Err.Code != msg.CodeNotFound {
		t.Errorf("a query without an answer gives %v", o.Err)
	}
}

func TestUnwindingRunsDeferredCodeAndRecordsNothing(t *testing.T) {
	var deferred []string
	s := serve(t, func(x *workflow.Context, _ string) (string, *msg.Error) {
		defer func() { deferred = append(deferred, "outer") }()
		defer func() {
			defer func() { deferred = append(deferred, fmt.Sprint(recover())) }()
			activity(x, "too late")
			deferred = append(deferred, "never")
		}()
		x.Go(func(x *workflow.Context) *msg.Error {
			defer func() { deferred = append(deferred, "beside") }()
			return x.Await(x.Receive("never"))
		})
		return get(x, in(x, time.Second)), nil
	})
	e := s.engine()
	i := e.Start("w", "1", "")
	e.Do()
	s.runtime.Evict()
	s.settle()
	if got := strings.Join(deferred, " "); got != "<nil> outer beside" {
		t.Errorf("deferred code ran as %q", got)
	}
	e.Run()
	ended(t, i, "")
	if stats := s.runtime.Stats(); stats.Executed != 2 {
		t.Errorf("got %+v", stats)
	}
}

func TestDeferredCodeThatBlocksIsCountedAndNotWaitedFor(t *testing.T) {
	free := make(chan struct{})
	entered := make(chan struct{})
	s := serve(t, func(x *workflow.Context, input string) (string, *msg.Error) {
		if input == "blocks" {
			defer func() { close(entered); <-free }()
		}
		return get(x, x.Receive("never")), nil
	})
	e := s.engine()
	e.Start("w", "blocks", "blocks")
	e.Start("w", "quiet", "")
	e.Do()
	e.Do()
	s.runtime.Evict()
	<-entered
	if stats := s.runtime.Stats(); stats.Unwinding == 0 {
		t.Errorf("a run whose deferred code blocks is not counted: %+v", stats)
	}
	close(free)
	s.settle()
}

func TestMemoryIsBoundedByCountAndByBytes(t *testing.T) {
	waiting := func(x *workflow.Context, _ string) (string, *msg.Error) { return get(x, x.Receive("go")), nil }
	for name, c := range map[string]struct {
		config workflow.Config
		hot    int
	}{
		"count":            {workflow.Config{HotMax: 3}, 3},
		"bytes":            {workflow.Config{HotBytesMax: 20 << 10}, 2},
		"less than a run":  {workflow.Config{HotBytesMax: 1}, 0},
		"nothing in order": {workflow.Config{}, 10},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, waiting)
			s.forget(c.config)
			e := s.engine()
			for n := range 10 {
				e.Start("w", fmt.Sprint(n), "")
				e.Do()
			}
			if stats := s.runtime.Stats(); stats.Hot != c.hot || stats.HotBytes > 10*9500 {
				t.Errorf("got %+v, want %d in memory", stats, c.hot)
			}
			for n := range 10 {
				e.Signal(e.Of("w", fmt.Sprint(n)), "go", "done")
			}
			e.Run()
			for n := range 10 {
				ended(t, e.Of("w", fmt.Sprint(n)), "done")
			}
			if stats := s.runtime.Stats(); stats.Resumed != uint64(c.hot) && name != "less than a run" {
				t.Errorf("%d turns found their run in memory, want the %d used last", stats.Resumed, c.hot)
			}
		})
	}
}

// What a run that sleeps for long costs is its journal. One that may have to go
// on soon stays, and so does one that somebody asks questions.
func TestARunThatWaitsOnlyForATimeFarAwayIsNotKept(t *testing.T) {
	const far, near = time.Minute, time.Minute - 1
	for name, c := range map[string]struct {
		on   func(x *workflow.Context) []*workflow.Future
		kept int
	}{
		"a far timer":         {func(x *workflow.Context) []*workflow.Future { return []*workflow.Future{in(x, far)} }, 0},
		"two far timers":      {func(x *workflow.Context) []*workflow.Future { return []*workflow.Future{in(x, far), in(x, far)} }, 0},
		"a near timer":        {func(x *workflow.Context) []*workflow.Future { return []*workflow.Future{in(x, near)} }, 1},
		"a far and a near":    {func(x *workflow.Context) []*workflow.Future { return []*workflow.Future{in(x, far), in(x, near)} }, 1},
		"a timer or a signal": {func(x *workflow.Context) []*workflow.Future { return []*workflow.Future{in(x, far), x.Receive("s")} }, 1},
		"also an activity":    {func(x *workflow.Context) []*workflow.Future { return []*workflow.Future{in(x, far), activity(x, "a")} }, 1},
		"a far timer in a strand": {func(x *workflow.Context) []*workflow.Future {
			return []*workflow.Future{x.Go(func(x *workflow.Context) *msg.Error { return x.Await(in(x, far)) })}
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(x *workflow.Context, _ string) (string, *msg.Error) {
				_, err := x.Select(c.on(x))
				return "woken", err
			})
			e := s.engine()
			i := e.Start("w", "1", "")
			e.Do()
			if got := s.runtime.Stats().Hot; got != c.kept {
				t.Errorf("%d runs are in memory, want %d", got, c.kept)
			}
			e.Query(i, "", "")
			if got := s.runtime.Stats().Hot; got != 1 {
				t.Errorf("%d runs are in memory after a question, want 1", got)
			}
			e.Run()
			ended(t, i, "woken")
		})
	}
}

func TestATurnWhileAnAbandonedOneIsInUserCodeExecutesAfresh(t *testing.T) {
	block, entered, left := make(chan struct{}), make(chan struct{}), make(chan *msg.Outcome)
	first := true
	s := serve(t, func(x *workflow.Context, _ string) (string, *msg.Error) {
		get(x, activity(x, "a"))
		if first {
			first = false
			close(entered)
			<-block
		}
		return get(x, in(x, time.Second)), nil
	})
	e := s.engine()
	i := e.Start("w", "1", "")
	e.Do()
	e.Do()
	stuck := e.Next(i)
	go func() { left <- s.Turn(context.Background(), stuck) }()
	<-entered
	e.Do() // the same deliveries again: the stuck turn has been given up
	close(block)
	<-left // and does not displace the run that is ahead of it
	resumed := s.runtime.Stats().Resumed
	e.Run()
	ended(t, i, "")
	if got := s.runtime.Stats().Resumed; got != resumed+1 {
		t.Errorf("%d turns found their run in memory since, want 1", got-resumed)
	}
}

func TestUnwindingCannotBeSwallowed(t *testing.T) {
	for name, code := range map[string]function{
		"a loop that recovers": func(x *workflow.Context, _ string) (string, *msg.Error) {
			for {
				func() {
					defer func() { _ = recover() }()
					get(x, x.Receive("never"))
				}()
			}
		},
		"deferred code that panics": func(x *workflow.Context, _ string) (string, *msg.Error) {
			defer panic("oh")
			return get(x, x.Receive("never")), nil
		},
		"deferred code that ends the goroutine": func(x *workflow.Context, _ string) (string, *msg.Error) {
			defer runtime.Goexit()
			return get(x, x.Receive("never")), nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, code)
			e := s.engine()
			e.Start("w", "1", "")
			e.Do()
			s.runtime.Evict()
			s.settle() // and TestMain finds goroutines that are left
		})
	}
}

func TestAPanicOnTheWayOfGoexitEndsNothingElse(t *testing.T) {
	s := serve(t, func(x *workflow.Context, _ string) (string, *msg.Error) {
		defer panic("oh")
		runtime.Goexit()
		return "", nil
	})
	e := s.engine()
	i := e.Start("w", "1", "")
	e.Do()
	parked(t, i, "panic in workflow w/1: oh")
}

package holdfasttest_test

// Goal: a world finds what is wrong with a program and with a test, says it so
// that it can be repeated, and leaves alone what is right. Method: programs with
// one mistake, under a testing.TB that notes how it ends.

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/holdfasttest"
)

// recorder is a testing.TB that notes how a test ends.
type recorder struct {
	testing.TB
	failure string
	logs    strings.Builder
}

func (r *recorder) Helper()      {}
func (r *recorder) Name() string { return "TestThis" }

func (r *recorder) Log(args ...any)                 { fmt.Fprintln(&r.logs, args...) }
func (r *recorder) Logf(format string, args ...any) { fmt.Fprintf(&r.logs, format+"\n", args...) }

func (r *recorder) Errorf(format string, args ...any) { r.failure += fmt.Sprintf(format, args...) }

func (r *recorder) Fatal(args ...any) { panic(failure(fmt.Sprint(args...))) }

func (r *recorder) Fatalf(format string, args ...any) { panic(failure(fmt.Sprintf(format, args...))) }

// failure ends a recorded test.
type failure string

// recorded runs a simulation and returns how it ended.
func recorded(t testing.TB, app *holdfast.App, test func(*holdfasttest.World), opts ...holdfasttest.Option) *recorder {
	r := &recorder{TB: t}
	func() {
		defer func() {
			if f, ok := recover().(failure); ok {
				r.failure = string(f)
			}
		}()
		holdfasttest.Run(r, app, test, opts...)
	}()
	return r
}

// tally counts, and is told how often it should have.
type tally struct{ Count int }

var (
	tallies = holdfast.NewEntity[tally]("tally")
	count   = holdfast.NewUpdate[holdfast.Void, int](tallies, "count")
	ask     = holdfast.NewUpdate[holdfast.Void, holdfast.Void](tallies, "ask")
	total   = holdfast.NewRead[holdfast.Void, int](tallies, "total")
)

func doCount(ctx *holdfast.UpdateContext[tally], _ holdfast.Void) (int, error) {
	ctx.State.Count++
	return ctx.State.Count, nil
}

func doAsk(ctx *holdfast.UpdateContext[tally], _ holdfast.Void) (holdfast.Void, error) {
	count.Send(ctx, "other", holdfast.Void{}, holdfast.After(time.Hour))
	return holdfast.Void{}, nil
}

func doTotal(ctx *holdfast.ReadContext[tally], _ holdfast.Void) (int, error) {
	return ctx.State.Count, nil
}

func counting(do func(*holdfast.UpdateContext[tally], holdfast.Void) (int, error)) *holdfast.App {
	return holdfast.NewApp("tally", count.Handle(do), ask.Handle(doAsk), total.Handle(doTotal))
}

// counts lets two clients count.
func counts(w *holdfasttest.World) {
	for range 2 {
		w.Do(func(c *holdfast.ClientContext) {
			for range 3 {
				if _, err := count.Call(c, "one", holdfast.Void{}); err != nil {
					w.Fatalf("count: %v", err)
				}
			}
		})
	}
}

// totalOf reads a tally in what is durable.
func totalOf(s holdfasttest.State, key string) int {
	n, err := total.Call(s, key, holdfast.Void{})
	if err != nil {
		return -1
	}
	return n
}

func TestWhatIsRightSurvives(t *testing.T) {
	r := recorded(t, counting(doCount), func(w *holdfasttest.World) {
		counts(w)
		last := 0
		w.Always("it never goes back", func(s holdfasttest.State) bool {
			before := last
			last = totalOf(s, "one")
			return last >= before && last <= 6
		})
		w.Eventually("it is six", func(s holdfasttest.State) bool { return totalOf(s, "one") == 6 })
	}, holdfasttest.Seeds(5), holdfasttest.AllFaults(), holdfasttest.CrashEverywhere())
	if r.failure != "" {
		t.Fatal(r.failure)
	}
	if !regexp.MustCompile(`survived [1-9]\d{2,} crash points in 5 seeds, \S+ of virtual time`).MatchString(r.logs.String()) {
		t.Errorf("it says %q", r.logs.String())
	}
}

// TestAHandlerThatForgetsThatItMayRunAgainIsFound counts its runs in a variable,
// as a handler does that calls a service which does not know it again.
func TestAHandlerThatForgetsThatItMayRunAgainIsFound(t *testing.T) {
	outside := 0
	app := counting(func(ctx *holdfast.UpdateContext[tally], in holdfast.Void) (int, error) {
		outside++
		return doCount(ctx, in)
	})
	r := recorded(t, app, func(w *holdfasttest.World) {
		outside = 0
		counts(w)
		w.Finally("everything is counted", func(s holdfasttest.State) bool { return totalOf(s, "one") == outside })
	}, holdfasttest.AllFaults(), holdfasttest.CrashEverywhere())
	for _, part := range []string{"not finally: everything is counted", "fault: ", "repeat with:\nHOLDFAST_SEED=", "HOLDFAST_FAULTS=", "go test -run '^TestThis$' ."} {
		if !strings.Contains(r.failure, part) {
			t.Errorf("%q is not in:\n%s", part, r.failure)
		}
	}
	found := regexp.MustCompile(`with (\d+) of \d+ faults`).FindStringSubmatch(r.failure)
	if found == nil || found[1] != "1" {
		t.Errorf("it takes %v faults, want 1", found)
	}
}

// TestAFailureIsRepeatedByItsCommand takes the command apart that a failure
// prints, and does what it says.
func TestAFailureIsRepeatedByItsCommand(t *testing.T) {
	test := func(w *holdfasttest.World) {
		counts(w)
		w.Always("it is never five", func(s holdfasttest.State) bool { return totalOf(s, "one") != 5 })
	}
	r := recorded(t, counting(doCount), test, holdfasttest.AllFaults())
	command := regexp.MustCompile(`HOLDFAST_SEED=(\d+) HOLDFAST_FAULTS=(\S*) go test`).FindStringSubmatch(r.failure)
	if command == nil || command[2] != "" {
		t.Fatalf("it takes no fault, and the failure is:\n%s", r.failure)
	}
	t.Setenv("HOLDFAST_SEED", command[1])
	t.Setenv("HOLDFAST_FAULTS", command[2])
	again := recorded(t, counting(doCount), test, holdfasttest.AllFaults())
	if !strings.Contains(again.failure, "it is never five") || !strings.Contains(again.logs.String(), "the log is durable up to") {
		t.Errorf("repeated, it is %q with the trace %q", again.failure, again.logs.String())
	}
}

func TestWhatTheSeedDoesNotDecideIsSaid(t *testing.T) {
	runs := 0
	r := recorded(t, counting(doCount), func(w *holdfasttest.World) {
		runs++
		first := runs == 1
		counts(w)
		w.Always("only the second run is right", func(holdfasttest.State) bool { return !first })
	})
	if !strings.Contains(r.failure, "something is not decided by the seed") {
		t.Errorf("got %q", r.failure)
	}
}

func TestMistakesInATestAreSaid(t *testing.T) {
	r := recorded(t, counting(doCount), func(*holdfasttest.World) {})
	if !strings.Contains(r.failure, "no clients") {
		t.Errorf("a world without clients: %q", r.failure)
	}
	r = recorded(t, holdfast.NewApp(""), counts)
	if r.failure == "" {
		t.Error("an app that does not validate is simulated")
	}
	r = recorded(t, counting(doCount), func(w *holdfasttest.World) {
		counts(w)
		w.Finally("a check changes nothing", func(s holdfasttest.State) bool {
			_, err := count.Call(s, "one", holdfast.Void{})
			return err != nil && strings.Contains(err.Error(), "only a read")
		})
	}, holdfasttest.Seeds(1))
	if r.failure != "" {
		t.Error(r.failure)
	}
	t.Setenv("HOLDFAST_SEED", "1")
	t.Setenv("HOLDFAST_FAULTS", "flood:1")
	if r = recorded(t, counting(doCount), counts); !strings.Contains(r.failure, "flood:1") {
		t.Errorf("a fault that is none: %q", r.failure)
	}
}

// TestTimeIsVirtual lets an hour pass.
func TestTimeIsVirtual(t *testing.T) {
	begun := time.Now()
	holdfasttest.Run(t, counting(doCount), func(w *holdfasttest.World) {
		asked := w.Now()
		w.Do(func(c *holdfast.ClientContext) {
			if _, err := ask.Call(c, "one", holdfast.Void{}); err != nil {
				w.Fatalf("ask: %v", err)
			}
			w.Sleep(c, time.Minute)
			if n, err := total.Call(c, "other", holdfast.Void{}); n != 0 || err != nil {
				w.Fatalf("after a minute: %d, %v", n, err)
			}
		})
		w.Always("the message is on its way until it is handled", func(s holdfasttest.State) bool {
			list := s.UnderWay()
			return len(list) == 0 || list[0].Kind == "tally" && list[0].Key == "other" && list[0].Handler == "count" && list[0].NotBefore.After(asked)
		})
		w.Eventually("the message has come", func(s holdfasttest.State) bool {
			return totalOf(s, "other") == 1 && w.Now().Sub(asked) >= time.Hour
		})
	}, holdfasttest.Seeds(3), holdfasttest.InMemory())
	if took := time.Since(begun); took > time.Minute {
		t.Errorf("three hours took %v", took)
	}
}

func TestChancesAreThoseOfTheSeed(t *testing.T) {
	var drawn [2][]uint64
	for run := range drawn {
		holdfasttest.Run(t, counting(doCount), func(w *holdfasttest.World) {
			drawn[run] = append(drawn[run], w.Rand().Uint64())
			counts(w)
		}, holdfasttest.Seeds(3))
	}
	if fmt.Sprint(drawn[0]) != fmt.Sprint(drawn[1]) || drawn[0][0] == drawn[0][1] {
		t.Errorf("got %v", drawn)
	}
}

// TestAWorkflowThatIsNotTheSameTwiceIsFound: a clock of its own decides what it
// asks for, and the failure says where.
func TestAWorkflowThatIsNotTheSameTwiceIsFound(t *testing.T) {
	readings, odd := 0, holdfast.NewWorkflow[int, int]("odd")
	app := holdfast.NewApp("odd", count.Handle(doCount), ask.Handle(doAsk), total.Handle(doTotal),
		odd.Handle(func(ctx *holdfast.WorkflowContext, _ int) (int, error) {
			if readings++; readings%2 == 1 { // as time.Now() would
				if err := ctx.Sleep(time.Hour); err != nil {
					return 0, err
				}
			}
			return count.Call(ctx, "one", holdfast.None)
		}))
	r := recorded(t, app, func(w *holdfasttest.World) {
		readings = 0
		w.Do(func(c *holdfast.ClientContext) {
			if _, err := odd.Call(c, "w", 1); err != nil {
				w.Fatalf("odd: %v", err)
			}
		})
	}, holdfasttest.CrashEverywhere())
	for _, want := range []string{"odd/w is parked", "step 1 was recorded as timer", "the code now asks at", "run_test.go", "for call tally/one count"} {
		if !strings.Contains(r.failure, want) {
			t.Errorf("got %q, want %q in it", r.failure, want)
		}
	}
}

// Ids that are made up, by clients and by turns, are chances of the seed as well.
func TestIDsAreThoseOfTheSeed(t *testing.T) {
	ids := func() (list []string) {
		runs := holdfast.NewWorkflow[holdfast.Void, string]("runs")
		begin := holdfast.NewUpdate[holdfast.Void, holdfast.Void](holdfast.NewEntity[tally]("beginner"), "begin")
		app := holdfast.NewApp("ids",
			begin.Handle(func(ctx *holdfast.UpdateContext[tally], _ holdfast.Void) (holdfast.Void, error) {
				runs.Send(ctx, "", holdfast.None)
				return holdfast.None, nil
			}),
			runs.Handle(func(ctx *holdfast.WorkflowContext, _ holdfast.Void) (string, error) {
				list = append(list, ctx.ID())
				return ctx.NewID(), nil
			}))
		r := recorded(t, app, func(w *holdfasttest.World) {
			w.Do(func(c *holdfast.ClientContext) {
				for range 3 {
					id, err := runs.Call(c, "", holdfast.None)
					if err != nil {
						w.Fatalf("%v", err)
					}
					list = append(list, id)
					_, _ = begin.Call(c, "a", holdfast.None)
				}
			})
		}, holdfasttest.Seeds(2))
		if r.failure != "" {
			t.Error(r.failure)
		}
		return list
	}
	first, again := ids(), ids()
	if !slices.Equal(first, again) || len(slices.Compact(slices.Sorted(slices.Values(first)))) != len(first) || len(first) < 18 {
		t.Errorf("got %v, and again %v", first, again)
	}
}

// Runs begin by their schedules, in days that cost nothing, and once each.
func TestSchedulesBeginInAWorld(t *testing.T) {
	daily := holdfast.NewWorkflow[holdfast.Void, holdfast.Void]("daily")
	app := holdfast.NewApp("daily", count.Handle(doCount), ask.Handle(doAsk), total.Handle(doTotal),
		daily.Handle(func(ctx *holdfast.WorkflowContext, _ holdfast.Void) (holdfast.Void, error) {
			_, err := count.Call(ctx, "a", holdfast.None)
			return holdfast.None, err
		}).Schedule("noon", holdfast.Cron("0 12 * * *"), holdfast.None))
	holdfasttest.Run(t, app, func(w *holdfasttest.World) {
		w.Do(func(c *holdfast.ClientContext) { w.Sleep(c, 10*24*time.Hour) })
		w.Finally("every noon is counted", func(s holdfasttest.State) bool { return totalOf(s, "a") == 10 })
	}, holdfasttest.Seeds(3), holdfasttest.Faults(holdfasttest.Crash, holdfasttest.PowerCut))
}

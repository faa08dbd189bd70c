package world_test

// Goal: what a world claims of itself. Method: worlds that are run twice, worlds
// without an end, and worlds in which one thing is wrong on purpose.

import (
	"bytes"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/internal/invariant"
	"github.com/holdfast-io/holdfast/internal/world"
)

// traced runs the world of a seed and returns what happened in it.
func traced(seed uint64) string {
	c, clients, operations := sorts(seed)
	var trace bytes.Buffer
	c.Trace = &trace
	run(c, clients, operations)
	return trace.String()
}

func TestOneSeedHasOneTraceHoweverManyProcessorsThereAre(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for seed := uint64(50); seed < 53; seed++ {
		runtime.GOMAXPROCS(1)
		want := traced(seed)
		for _, processors := range []int{1, 4} {
			runtime.GOMAXPROCS(processors)
			if got := traced(seed); got != want {
				t.Fatalf("seed %d with %d processors: %s", seed, processors, firstDifference(got, want))
			}
		}
		if len(want) < 10_000 {
			t.Errorf("seed %d: a trace of %d bytes shows nothing", seed, len(want))
		}
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for n := range min(len(g), len(w)) {
		if g[n] != w[n] {
			return "got " + g[n] + ", want " + w[n]
		}
	}
	return "one trace ends before the other"
}

// TestWorldsComeToWhatTheyAreThereFor counts what happens in a few worlds.
func TestWorldsComeToWhatTheyAreThereFor(t *testing.T) {
	var sum tally
	for seed := uint64(1); seed <= 40; seed++ {
		result := run(sorts(seed))
		sum.add(&result)
	}
	for kind, n := range sum.faults {
		if n == 0 && (invariant.Enabled || world.FaultKind(kind) != world.FaultBuggify) {
			t.Errorf("no %v in 40 worlds", world.FaultKind(kind))
		}
	}
	if sum.Published == 0 || sum.Split == 0 || sum.Accepted == 0 || sum.Attempts == 0 || sum.Deleted == 0 {
		t.Errorf("something never happens: %v", &sum)
	}
}

func TestTwoSeedsHaveTwoTraces(t *testing.T) {
	if traced(50) == traced(54) {
		t.Error("they are the same")
	}
}

// TestWhatHappenedCanBeScheduled repeats a world by the list of its faults.
func TestWhatHappenedCanBeScheduled(t *testing.T) {
	for seed := uint64(60); seed < 66; seed++ {
		c, clients, operations := sorts(seed)
		first := run(c, clients, operations)
		list, err := world.ParseFaults(world.FormatFaults(first.Faults))
		if err != nil {
			t.Fatal(err)
		}
		again := run(scheduled(c, world.Schedule{Faults: list}), clients, operations)
		if !slices.Equal(again.Faults, first.Faults) || again.Records != first.Records || again.Virtual != first.Virtual {
			t.Errorf("seed %d: got %d records in %v, want %d in %v", seed, again.Records, again.Virtual, first.Records, first.Virtual)
		}
	}
}

func TestParseFaultsSaysWhatIsWrong(t *testing.T) {
	for _, text := range []string{"crash", "crash:x", "flood:1"} {
		if _, err := world.ParseFaults(text); err == nil || !strings.Contains(err.Error(), "power-cut") {
			t.Errorf("%q: got %v, want the names that there are", text, err)
		}
	}
}

func TestSafetyHoldsUnderFaultsWithoutEnd(t *testing.T) {
	for seed := uint64(1); seed <= 6; seed++ {
		c, _, _ := sorts(seed)
		c.Steps = 4000
		for kind := range c.Rates {
			c.Rates[kind] *= 4
		}
		w, _ := newWorld(c, 6, 1_000_000)
		if r := w.Run(); r.Violation != "" || r.Events < c.Steps {
			t.Errorf("seed %d: %d events, %s", seed, r.Events, r.Violation)
		}
	}
}

func TestAWorldWithoutFaultsIsQuickAndQuiet(t *testing.T) {
	c, clients, operations := sorts(2)
	c.Rates = world.Rates{}
	r := run(c, clients, operations)
	if r.Violation != "" || len(r.Faults) > 0 || r.Starts != 2 || r.Virtual > 10*time.Second {
		t.Errorf("got %+v", r)
	}
}

// TestWhatDoesNotEndIsAViolation asks for what never comes.
func TestWhatDoesNotEndIsAViolation(t *testing.T) {
	c, _, _ := sorts(1)
	c.Program, c.Bound = app(outside{}).Program(), time.Minute
	w := world.New(c)
	w.Go("somebody", func(c *world.Client) {
		door := holdfast.NewClient(c.Conn()).With(c.Context())
		_, _ = scribble.Call(door, "k", holdfast.Void{})
	})
	w.Eventually("something that never comes", func(world.State) error { return errors.New("it has not come") })
	if r := w.Run(); !strings.Contains(r.Violation, "something that never comes: it has not come") {
		t.Errorf("got %q", r.Violation)
	}
}

func TestAClientThatWaitsForEverIsAViolation(t *testing.T) {
	c, _, _ := sorts(1)
	c.Program, c.Bound, c.Calm = app(outside{}).Program(), time.Minute, time.Second
	w := world.New(c)
	w.Go("the patient", func(c *world.Client) {
		for {
			c.Sleep(time.Second)
		}
	})
	if r := w.Run(); !strings.Contains(r.Violation, "the patient waits") {
		t.Errorf("got %q", r.Violation)
	}
}

// TestShrinkFindsWhatMatters looks for two faults and five operations among
// many.
func TestShrinkFindsWhatMatters(t *testing.T) {
	var all []world.Fault
	for n := range 60 {
		all = append(all, world.Fault{Kind: world.FaultKind(n % int(world.FaultCount)), Number: n})
	}
	runs := 0
	small := world.Shrink(world.Schedule{Faults: all, Operations: 300}, func(s world.Schedule) bool {
		runs++
		return s.Operations >= 5 && slices.Contains(s.Faults, all[17]) && slices.Contains(s.Faults, all[44])
	})
	if len(small.Faults) != 2 || small.Operations != 5 {
		t.Errorf("got %+v after %d runs", small, runs)
	}
}

// TestADeadlineIsOneOfVirtualTime waits a minute of the world's time.
func TestADeadlineIsOneOfVirtualTime(t *testing.T) {
	c, _, _ := sorts(1)
	c.Program, c.Rates = app(outside{}).Program(), world.Rates{}
	w := world.New(c)
	w.Go("the hasty", func(c *world.Client) {
		begun := w.Clock()
		door := holdfast.NewClient(c.Conn()).With(c.Within(time.Minute))
		invocation, err := cellAdd.Submit(door, "k", "t", holdfast.After(time.Hour))
		if err != nil {
			w.Fail("%v", err)
		}
		_, err = invocation.Await(door)
		if waited := w.Clock() - begun; !errors.Is(err, holdfast.ErrDeadline) || waited < time.Minute || waited > time.Minute+time.Second {
			w.Fail("after %v: %v", waited, err)
		}
	})
	if r := w.Run(); r.Violation != "" {
		t.Error(r.Violation)
	}
}

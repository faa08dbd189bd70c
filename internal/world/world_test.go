package world_test

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast/internal/world"
)

var (
	seedsFlag      = flag.Int("seeds", 30, "how many worlds to run")
	firstFlag      = flag.Uint64("first", 1, "the first of them")
	seedFlag       = flag.Uint64("seed", 0, "run the world of this seed only")
	onlyFlag       = flag.String("only", "", "faults that happen in the world of the seed, instead of those by chance, as in crash:17,sync:3; - is none")
	operationsFlag = flag.Int("operations", 0, "how much clients do in the world of the seed; 0 is all")
	eventsFlag     = flag.Bool("events", false, "print what happens in the world of the seed")
)

// sorts gives each seed another size and other faults.
func sorts(seed uint64) (c world.Config, clients, operations int) {
	c = world.Config{
		Seed: seed, Partitions: 1 + int(seed%5), Loops: 1 + int(seed%3), Executors: 1 + int(seed%4), Memory: seed%4 == 3,
		Rates: world.AllFaults(), Patience: time.Minute, Calm: 10 * time.Minute,
	}
	c.Rates[world.FaultVanish], c.Rates[world.FaultCallPanic], c.Rates[world.FaultHang] = 0.02, 0.01, 0.002
	c.Rates[world.FaultFlip] = 0.2
	c.Limits.AcceptAfter = time.Duration(50+seed%3*400) * time.Millisecond
	return c, 3 + int(seed%4), 25
}

// run lives through a world and returns what is wrong with it.
func run(c world.Config, clients, operations int) world.Result {
	return runOf((*ledger).act, c, clients, operations)
}

// runOf lives through a world in which clients do one thing.
func runOf(do deed, c world.Config, clients, operations int) world.Result {
	w, l := newWorldOf(do, c, clients, operations)
	result := w.Run()
	if result.Violation == "" {
		if err := l.history.check(); err != nil {
			result.Violation = err.Error()
		}
	}
	return result
}

// scheduled is a world of which some is left out.
func scheduled(c world.Config, s world.Schedule) world.Config {
	c.Scheduled, c.Only, c.Operations = true, s.Faults, s.Operations
	return c
}

// explain makes a failing world small, and says how to repeat it.
func explain(seed uint64, result world.Result) string {
	c, clients, operations := sorts(seed)
	whole := world.Schedule{Faults: result.Faults, Operations: result.Operations}
	small := world.Shrink(whole, func(s world.Schedule) bool {
		again := run(scheduled(c, s), clients, operations)
		return again.Resembles(&result)
	})
	var trace bytes.Buffer
	c = scheduled(c, small)
	c.Trace = &trace
	violation := run(c, clients, operations).Violation
	only := cmp.Or(world.FormatFaults(small.Faults), "-")
	return fmt.Sprintf("%s\nshrunk from %d to %d faults and from %d to %d operations: %s\n%s\nrepeat with: go test ./internal/world -run 'TestSeeds$' -seed=%d -only=%s -operations=%d -events",
		result.Violation, len(whole.Faults), len(small.Faults), whole.Operations, small.Operations, violation, tail(trace.String(), 40), seed, only, small.Operations)
}

// tail is the last lines of a text.
func tail(text string, lines int) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// TestSeeds runs random worlds. A failure prints the one command that repeats
// it, as small as it could be made.
func TestSeeds(t *testing.T) {
	if *seedFlag > 0 {
		testSeed(t, *seedFlag)
		return
	}
	begun := time.Now()
	var sum tally
	for seed := *firstFlag; seed < *firstFlag+uint64(*seedsFlag); seed++ {
		result := run(sorts(seed))
		if result.Violation != "" {
			t.Fatalf("seed %d: %s", seed, explain(seed, result))
		}
		sum.add(&result)
	}
	took := time.Since(begun)
	fmt.Printf("seeds: %d passed, faults=%d, virtual=%v\n", *seedsFlag, sum.faultCount(), sum.Virtual.Round(time.Second))
	t.Logf("%v: %.0f events/s, %.0f times real time; %s", took.Round(time.Millisecond), float64(sum.Events)/took.Seconds(), sum.Virtual.Seconds()/took.Seconds(), &sum)
}

// testSeed runs one world, whole or as the flags say.
func testSeed(t *testing.T, seed uint64) {
	c, clients, operations := sorts(seed)
	if *onlyFlag != "" {
		list, err := world.ParseFaults(strings.TrimPrefix(*onlyFlag, "-"))
		if err != nil {
			t.Fatal(err)
		}
		c.Scheduled, c.Only = true, list
	}
	c.Operations = *operationsFlag
	if *eventsFlag {
		c.Trace = os.Stdout
	}
	result := run(c, clients, operations)
	if result.Violation != "" && *onlyFlag == "" {
		t.Fatalf("seed %d: %s", seed, explain(seed, result))
	}
	if result.Violation != "" {
		t.Fatalf("seed %d: %s", seed, result.Violation)
	}
}

// tally sums results.
type tally struct {
	world.Result
	faults [world.FaultCount]int
}

func (s *tally) add(r *world.Result) {
	for _, f := range r.Faults {
		s.faults[f.Kind]++
	}
	s.Events += r.Events
	s.Virtual += r.Virtual
	s.Starts += r.Starts
	s.Records += r.Records
	s.Requests += r.Requests
	s.Answers += r.Answers
	s.Published += r.Published
	s.Rebuilt += r.Rebuilt
	s.Crashes += r.Crashes
	s.Split += r.Split
	s.Accepted += r.Accepted
	s.Attempts += r.Attempts
	s.Deleted += r.Deleted
}

func (s *tally) faultCount() (count int) {
	for _, n := range s.faults {
		count += n
	}
	return count
}

func (s *tally) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d events, %d requests, %d answers, %d starts, %d checkpoints, %d partitions compared, %d records (%d split, %d acceptances, %d attempts, %d deletions); faults:",
		s.Events, s.Requests, s.Answers, s.Starts, s.Published, s.Rebuilt, s.Records, s.Split, s.Accepted, s.Attempts, s.Deleted)
	for kind, n := range s.faults {
		fmt.Fprintf(&b, " %v %d", world.FaultKind(kind), n)
	}
	return b.String()
}

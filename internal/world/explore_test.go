package world_test

import (
	"flag"
	"fmt"
	"testing"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/internal/world"
)

// Goal: in a system that is small enough, nothing is left to chance. Method: two
// clients, two partitions and one chain of messages, under every order and
// every crash within bounds.

var (
	deviationsFlag = flag.Int("deviations", 1, "of the exploration: how often something else may happen than what is next")
	crashesFlag    = flag.Int("crashes", 1, "of the exploration: how often the process may die")
	schedulesFlag  = flag.Int("schedules", 4000, "of the exploration: how many are run at most; 0 is all")
)

// smallWorld has two clients that ask for one chain of messages each, between
// cells on two partitions.
func smallWorld(c world.Config) *world.World {
	w, l := world.New(c), &ledger{}
	for n, way := range [][]string{{"k0", "k1"}, {"k1", "k0"}} {
		w.Go(fmt.Sprint("client ", n), func(c *world.Client) {
			t := l.newToken(way[0])
			t.then, t.chain = [][2]string{{t.name + ">" + way[1], way[1]}}, true
			door := holdfast.NewClient(c.Conn()).With(c.Context())
			_, err := pass.Call(door, way[0], errand{Token: t.name, To: way[1:]})
			expect(w, err)
			t.acked = err == nil
		})
	}
	w.Finally("every token is where it has to be", l.check)
	return w
}

func smallConfig() world.Config {
	return world.Config{Seed: 1, Program: app(outside{}).Program(), Partitions: 2, Loops: 2, Executors: 2, Memory: true}
}

func TestASmallSystemUnderEveryOrderAndEveryCrash(t *testing.T) {
	seen := world.Explore(world.Exploration{Deviations: *deviationsFlag, Crashes: *crashesFlag, Schedules: *schedulesFlag}, smallConfig(), smallWorld)
	fmt.Printf("explored: %d schedules, %d states, complete=%v\n", seen.Schedules, seen.States, seen.Complete)
	if seen.Violation != "" {
		t.Fatalf("choices %v: %s", seen.Choices, seen.Violation)
	}
	if seen.States < 100 {
		t.Errorf("%d states are none", seen.States)
	}
}

func TestExplorationIsTheSameEachTime(t *testing.T) {
	x := world.Exploration{Deviations: 1, Crashes: 1, Schedules: 300}
	first, second := world.Explore(x, smallConfig(), smallWorld), world.Explore(x, smallConfig(), smallWorld)
	if first.States != second.States || first.Schedules != second.Schedules {
		t.Errorf("got %+v and then %+v", first, second)
	}
}

func TestWithoutDeviationsAndCrashesThereIsOneSchedule(t *testing.T) {
	seen := world.Explore(world.Exploration{}, smallConfig(), smallWorld)
	if seen.Schedules != 1 || !seen.Complete || seen.Violation != "" {
		t.Errorf("got %+v", seen)
	}
}

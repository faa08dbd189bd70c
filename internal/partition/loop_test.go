package partition

// Goal: loops and committer keep their five invariants whatever order the world
// gives them its inputs in, and whenever it ends. Method: simulated worlds by
// seed; then each rule by hand where a world would not show why it broke.

import (
	gocontext "context"
	"flag"
	"fmt"
	"testing"
)

func context() gocontext.Context { return gocontext.Background() }

var (
	worldSeed  = flag.Uint64("seed", 0, "run the world of this seed only")
	worldCount = flag.Int("worlds", 60, "how many worlds to run")
)

// shape gives each seed another number of partitions, loops and crashes.
func shape(seed uint64) (partitions, loops, crashes int) {
	return 1 + int(seed%7), 1 + int(seed%3)%(1+int(seed%7)), int(seed % 5)
}

func TestWorldsKeepTheRules(t *testing.T) {
	first, last := uint64(1), uint64(*worldCount)
	if *worldSeed > 0 {
		first, last = *worldSeed, *worldSeed
	}
	var sum world
	for seed := first; seed <= last; seed++ {
		partitions, loops, crashes := shape(seed)
		w := newWorld(seed, partitions, loops)
		if violation := w.run(4000, crashes); violation != "" {
			t.Fatalf("%s\nreproduce: go test ./internal/partition -run TestWorldsKeepTheRules -seed=%d", violation, seed)
		}
		sum.crashes += w.crashes
		sum.checkpoints += w.checkpoints
		sum.trims += w.trims
		sum.failedSlices += w.failedSlices
		sum.routed += w.routed
		sum.answers += w.answers
		sum.begun += w.begun
		sum.given += w.given
	}
	t.Logf("crashes %d, checkpoints %d, trims %d, failed slices %d, commands between loops %d, answers %d, activities begun %d, given up %d",
		sum.crashes, sum.checkpoints, sum.trims, sum.failedSlices, sum.routed, sum.answers, sum.begun, sum.given)
	if *worldSeed == 0 && min(sum.crashes, sum.checkpoints, sum.trims, sum.failedSlices, sum.routed, sum.answers, sum.begun, sum.given) < 50 {
		t.Error("some of that hardly happens: these worlds show nothing about it")
	}
}

func TestWorldsFindPlantedBugs(t *testing.T) {
	for bug := plantNothing + 1; bug < plantCount; bug++ {
		found := ""
		for seed := uint64(1); seed <= 40 && found == ""; seed++ {
			w := newWorld(seed, 5, 3)
			w.planted = bug
			found = w.run(2000, 5)
		}
		if found == "" {
			t.Errorf("bug %d was not found", bug)
		}
		t.Logf("bug %d: %.100s", bug, found)
	}
}

func TestASeedGivesOneHistory(t *testing.T) {
	for seed := uint64(1); seed <= 5; seed++ {
		var traces []string
		for range 2 {
			w := newWorld(seed, 5, 3)
			if violation := w.run(3000, 2); violation != "" {
				t.Fatal(violation)
			}
			traces = append(traces, fmt.Sprintf("%x", w.trace.Sum(nil)))
		}
		if traces[0] != traces[1] {
			t.Errorf("seed %d gave two histories", seed)
		}
	}
}

//go:build invariants

package world_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast/internal/invariant"
	"github.com/holdfast-io/holdfast/internal/world"
)

// Goal: the checkers see what they are there for. Method: bugs that are planted
// one at a time; each has to be found by the checks of the world, and again by
// clients alone, who see nothing but answers and what is there at the end.

// seedsMax is in how many worlds a bug has to show.
const seedsMax = 400

// mutants are those that a world of one node can show, and whether clients
// alone can see them.
var mutants = []struct {
	mutant invariant.Mutant
	unseen string            // why clients do not see it
	luck   []world.FaultKind // what it needs to show, and happens ten times as often
	deed   deed              // what clients do again and again so that it shows; nil: anything
}{
	{invariant.SkipDeduplication, "", nil, nil},
	{invariant.HighWaterMark, "", nil, nil},
	{invariant.DropOutbox, "", nil, nil},
	{invariant.DoubleFire, "", nil, nil},
	{invariant.EarlyFire, "a client's clock and the node's differ", nil, nil},
	{invariant.ForgetAnswers, "", nil, nil},
	{invariant.DeliverBeforeAppend, "one turn of a loop does both, and a crash comes between turns", nil, nil},
	{invariant.ReleaseEarly, "", nil, nil},
	{invariant.PerformEarly, "a crash has to come within the time of one frame", nil, nil},
	{invariant.PublishEarly, "", nil, nil},
	{invariant.ApplyPastHole, "", nil, nil},
	{invariant.UnsortedLocks, "", nil, (*ledger).room},
	{invariant.EventWithoutAbort, "", nil, (*ledger).room},
	{invariant.ReverseDeferred, "", nil, nil},
	{invariant.TrustCache, "", []world.FaultKind{world.FaultTornDisk, world.FaultPowerCut}, nil},
	{invariant.SplitGroups, "", nil, nil},
	{invariant.SkipChecksum, "the bit flips in a copy of the disk, which no client uses", nil, nil},
}

// TestEveryMutantIsKilled prints which checker killed which bug, and after how
// many seeds.
func TestEveryMutantIsKilled(t *testing.T) {
	defer invariant.Plant(invariant.None)
	var table strings.Builder
	fmt.Fprintf(&table, "%-45s %-24s %s\n", "mutant", "all checkers", "clients alone")
	for _, m := range mutants {
		invariant.Plant(m.mutant)
		by, seeds := kill(m.deed, false, seedsMax, m.luck)
		all := fmt.Sprintf("%v, %d seeds", by, seeds)
		alone := "not seen: " + m.unseen
		if seeds == 0 {
			t.Errorf("%v: not found in %d worlds", m.mutant, seedsMax)
		}
		if m.unseen == "" {
			by, seeds = kill(m.deed, true, seedsMax, m.luck)
			alone = fmt.Sprintf("%v, %d seeds", by, seeds)
			if seeds == 0 {
				t.Errorf("%v: clients do not see it in %d worlds", m.mutant, seedsMax)
			}
		}
		fmt.Fprintf(&table, "%-45v %-24s %s\n", m.mutant, all, alone)
	}
	fmt.Print(table.String())
}

// TestNothingIsKilledWithoutAMutant shows that what kills is the mutant.
func TestNothingIsKilledWithoutAMutant(t *testing.T) {
	for _, blind := range []bool{false, true} {
		if by, seeds := kill(nil, blind, 40, nil); seeds > 0 {
			t.Errorf("blind %v: %v finds something in seed %d", blind, by, seeds)
		}
	}
}

// kill runs worlds until one fails.
func kill(do deed, blind bool, most uint64, luck []world.FaultKind) (by world.Checker, seeds int) {
	if do == nil {
		do = (*ledger).act
	}
	for seed := uint64(1); seed <= most; seed++ {
		c, clients, operations := sorts(seed)
		c.Blind = blind
		for _, kind := range luck {
			c.Rates[kind] *= 10
		}
		if invariant.Mutated(invariant.UnsortedLocks) {
			c.Bound = 3 * time.Minute // who waits for ever takes steps as long as the world goes on
		}
		if r := runOf(do, c, clients, operations); r.Violation != "" {
			return r.Checker, int(seed)
		}
	}
	return 0, 0
}

// TestExplorationFindsWhatNeedsNoChance explores a small system with bugs that
// show in it.
func TestExplorationFindsWhatNeedsNoChance(t *testing.T) {
	defer invariant.Plant(invariant.None)
	for _, m := range []invariant.Mutant{invariant.ForgetAnswers, invariant.ReleaseEarly, invariant.DropOutbox} {
		invariant.Plant(m)
		c := smallConfig()
		c.Blind = true
		seen := world.Explore(world.Exploration{Deviations: 1, Crashes: 1}, c, smallWorld)
		if seen.Violation == "" {
			t.Errorf("%v: not found in %d schedules", m, seen.Schedules)
		}
		t.Logf("%v: found in schedule %d", m, seen.Schedules)
	}
}

// TestAFailingSeedSaysHowToRepeatIt shrinks a world with a planted bug, and
// runs what is left.
func TestAFailingSeedSaysHowToRepeatIt(t *testing.T) {
	defer invariant.Plant(invariant.None)
	invariant.Plant(invariant.ReleaseEarly)
	result := run(sorts(1))
	text := explain(1, result)
	command := regexp.MustCompile(`repeat with: go test ./internal/world -run 'TestSeeds\$' -seed=1 -only=(\S+) -operations=(\d+) -events`).FindStringSubmatch(text)
	if command == nil || !strings.Contains(text, "shrunk from") || !strings.Contains(text, "VIOLATION") {
		t.Fatalf("got %s", text)
	}
	list, err := world.ParseFaults(strings.TrimPrefix(command[1], "-"))
	if err != nil {
		t.Fatal(err)
	}
	operations, _ := strconv.Atoi(command[2])
	c, clients, each := sorts(1)
	if again := run(scheduled(c, world.Schedule{Faults: list, Operations: operations}), clients, each); again.Violation == "" {
		t.Errorf("what is left, %s with %d operations, does not fail", command[1], operations)
	}
	if len(list) > 2 || len(list) >= len(result.Faults) {
		t.Errorf("%d of %d faults are left, want one or two", len(list), len(result.Faults))
	}
}

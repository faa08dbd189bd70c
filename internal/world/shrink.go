package world

import (
	"slices"
	"strings"
	"unicode"
)

// Schedule is what can be left out of a world: faults, and what clients do.
type Schedule struct {
	Faults     []Fault
	Operations int // that clients do, all together; 0: all
}

// shrinkRuns bounds how often a world is run to make its schedule smaller: a few
// seconds.
const shrinkRuns = 600

// wordsAlike is how much of two violations is compared.
const wordsAlike = 5

// Resembles says whether two worlds fail in the same way: by the same checker,
// which says the same but for numbers, as far as it has begun.
func (r *Result) Resembles(other *Result) bool {
	return r.Violation != "" && other.Violation != "" && r.Checker == other.Checker &&
		slices.Equal(gist(r.Violation), gist(other.Violation))
}

func gist(violation string) []string {
	words := strings.Fields(strings.Map(func(c rune) rune {
		if unicode.IsDigit(c) {
			return -1
		}
		return c
	}, violation))
	return words[:min(len(words), wordsAlike)]
}

// Shrink looks for a smaller schedule that still fails: fewer operations first,
// then fewer faults. Fails runs the world of a schedule.
func Shrink(s Schedule, fails func(Schedule) bool) Schedule {
	r := &shrinker{fails: fails, left: shrinkRuns, best: s}
	for before := (Schedule{}); r.left > 0 && (len(before.Faults) != len(r.best.Faults) || before.Operations != r.best.Operations); {
		before = r.best
		r.fewerOperations()
		r.fewerFaults()
	}
	return r.best
}

type shrinker struct {
	fails func(Schedule) bool
	left  int
	best  Schedule
}

// try keeps a schedule if it fails.
func (r *shrinker) try(s Schedule) bool {
	if r.left == 0 {
		return false
	}
	r.left--
	if !r.fails(s) {
		return false
	}
	r.best = s
	return true
}

// fewerOperations halves what is left between what fails and what does not.
func (r *shrinker) fewerOperations() {
	enough, few := r.best.Operations, 0
	for enough-few > 1 {
		middle := (enough + few) / 2
		if r.try(Schedule{r.best.Faults, middle}) {
			enough = middle
		} else {
			few = middle
		}
	}
}

// fewerFaults leaves out runs of faults, long ones first.
func (r *shrinker) fewerFaults() {
	for size := max(len(r.best.Faults)/2, 1); size > 0; size /= 2 {
		for at := 0; at < len(r.best.Faults); {
			end := min(at+size, len(r.best.Faults))
			fewer := append(append([]Fault(nil), r.best.Faults[:at]...), r.best.Faults[end:]...)
			if !r.try(Schedule{fewer, r.best.Operations}) {
				at = end
			}
		}
	}
}

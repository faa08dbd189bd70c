package world

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// FaultKind says what may go wrong.
type FaultKind uint8

// The faults, and when each of them could happen.
const (
	FaultCrash       FaultKind = iota // before any event of the process: it dies, what it wrote can be read
	FaultPowerCut                     // the same, and any subset of unsynced pages and names is lost
	FaultRelapse                      // the same as a crash, and a power cut soon after the next start
	FaultTornDisk                     // in any operation that changes the disk: the process dies there
	FaultTornPower                    // the same, and the power goes with it
	FaultSync                         // any sync fails
	FaultFullDisk                     // any frame: there is no more room for a while
	FaultSlowDisk                     // any frame takes a hundred times as long
	FaultStalledDisk                  // any frame takes seconds
	FaultClockJump                    // before any event of the process
	FaultExecutor                     // any turn takes up to half a minute
	FaultHang                         // any turn takes so long that it is given up, and ends later
	FaultPanic                        // any turn of a message or reminder: its handler panics
	FaultCallPanic                    // any turn that a client asked for: its handler panics
	FaultLostRequest                  // any request
	FaultLostAnswer                   // any answer
	FaultRepeat                       // any request comes twice
	FaultVanish                       // any request: its client goes while it waits
	FaultEvict                        // before any turn of a workflow: the program forgets what it keeps in memory
	FaultCheckpoint                   // before any event of the process: a checkpoint begins
	FaultFlush                        // the same: everything is checkpointed
	FaultUpgrade                      // the same: it dies, and the next version of the program is deployed
	FaultFlip                         // any start: a bit has flipped at rest, in a copy of the disk that is tried first
	FaultPause                        // before any event of the process: it stands still for up to two minutes
	FaultDrift                        // the same: its clock goes too fast or too slowly for a while
	FaultDelay                        // any request or answer is under way for seconds
	FaultCut                          // any request: for a while nothing arrives in one of the two directions
	FaultBuggify                      // at any invariant.Site, under the build tag invariants: something that is right and rare
	FaultCount                        // number of kinds
)

var faultNames = [FaultCount]string{
	FaultCrash: "crash", FaultPowerCut: "power-cut", FaultRelapse: "relapse", FaultTornDisk: "torn-disk",
	FaultTornPower: "torn-power", FaultSync: "sync", FaultFullDisk: "full-disk", FaultSlowDisk: "slow-disk",
	FaultStalledDisk: "stalled-disk", FaultClockJump: "clock-jump", FaultExecutor: "executor", FaultHang: "hang", FaultPanic: "panic",
	FaultCallPanic: "call-panic", FaultLostRequest: "lost-request", FaultLostAnswer: "lost-answer",
	FaultRepeat: "repeat", FaultVanish: "vanish", FaultEvict: "evict", FaultCheckpoint: "checkpoint", FaultFlush: "flush", FaultUpgrade: "upgrade", FaultFlip: "flip",
	FaultPause: "pause", FaultDrift: "drift", FaultDelay: "delay", FaultCut: "cut", FaultBuggify: "buggify",
}

// FaultKinds are all kinds.
func FaultKinds() (list []FaultKind) {
	for k := range FaultCount {
		list = append(list, k)
	}
	return list
}

// String is the name of the kind in traces and schedules.
func (k FaultKind) String() string {
	if k < FaultCount {
		return faultNames[k]
	}
	return "fault " + strconv.Itoa(int(k))
}

// Rates are probabilities, by kind of fault.
type Rates [FaultCount]float64

// AllFaults are the rates of everything that may happen to a program without
// its clients noticing more than that answers are late, or that the fate of a
// request is not known.
func AllFaults() Rates {
	return Rates{
		FaultCrash: 0.001, FaultPowerCut: 0.001, FaultRelapse: 0.0003, FaultTornDisk: 0.002, FaultTornPower: 0.002,
		FaultSync: 0.002, FaultFullDisk: 0.001, FaultSlowDisk: 0.01, FaultStalledDisk: 0.001,
		FaultClockJump: 0.0005, FaultExecutor: 0.003, FaultPanic: 0.02, FaultLostRequest: 0.01, FaultLostAnswer: 0.02,
		FaultRepeat: 0.03, FaultEvict: 0.05, FaultCheckpoint: 0.005, FaultFlush: 0.0005, FaultUpgrade: 0.001,
		FaultPause: 0.0001, FaultDrift: 0.0002, FaultDelay: 0.005, FaultCut: 0.001, FaultBuggify: 0.01,
	}
}

// Fault is one thing that goes wrong: the n-th time it could, from 1.
type Fault struct {
	Kind   FaultKind
	Number int
}

// String is the form that ParseFaults reads.
func (f Fault) String() string { return f.Kind.String() + ":" + strconv.Itoa(f.Number) }

// FormatFaults writes a list as ParseFaults reads it.
func FormatFaults(list []Fault) string {
	words := make([]string, len(list))
	for i, f := range list {
		words[i] = f.String()
	}
	return strings.Join(words, ",")
}

// ParseFaults reads a list of faults.
func ParseFaults(text string) (list []Fault, err error) {
	for word := range strings.SplitSeq(text, ",") {
		if word == "" {
			continue
		}
		name, number, _ := strings.Cut(word, ":")
		kind := slices.Index(faultNames[:], name)
		n, err := strconv.Atoi(number)
		if kind < 0 || err != nil {
			return nil, fmt.Errorf("%q is no fault: want a name and a number, as in crash:17; names: %s", word, strings.Join(faultNames[:], ", "))
		}
		list = append(list, Fault{FaultKind(kind), n})
	}
	return list, nil
}

// faults decides what goes wrong. Each kind has chances of its own, so that
// leaving one out does not move the others.
type faults struct {
	seed  uint64
	kinds [FaultCount]chances
	over  bool
	done  []Fault // those that happened, in order
}

// chances are those of one kind.
type chances struct {
	count  int // how often it could have happened
	next   int // when it happens; 0: never again
	rate   float64
	random *rand.Rand
	list   []int // when it happens, if that was said beforehand
	listed bool
}

func newFaults(c *Config) *faults {
	f := &faults{seed: c.Seed}
	for kind := range f.kinds {
		k := &f.kinds[kind]
		k.rate, k.random, k.listed = c.Rates[kind], rand.New(rand.NewPCG(c.Seed, 1<<32+uint64(kind))), c.Scheduled
		for _, only := range c.Only {
			if only.Kind == FaultKind(kind) {
				k.list = append(k.list, only.Number)
			}
		}
		slices.Sort(k.list)
		k.advance()
	}
	return f
}

// advance finds out when the fault happens next. By chance, the gaps have a
// geometric distribution, which is what a decision each time would give.
func (k *chances) advance() {
	switch {
	case k.listed && len(k.list) == 0, !k.listed && k.rate <= 0:
		k.next = 0
	case k.listed:
		k.next, k.list = k.list[0], k.list[1:]
	default:
		gap := math.Log(1-k.random.Float64()) / math.Log1p(-min(k.rate, 0.999999))
		k.next = k.count + 1 + int(min(gap, 1<<40))
	}
}

// happen says whether a fault happens that could happen now.
func (f *faults) happen(kind FaultKind) bool {
	k := &f.kinds[kind]
	k.count++
	if k.count != k.next {
		return false
	}
	k.advance()
	if f.over {
		return false
	}
	f.done = append(f.done, Fault{kind, k.count})
	return true
}

// details are the chances of the fault that has just happened: how long, how
// much. They depend on nothing but the seed and which fault it is.
func (f *faults) details() *rand.Rand {
	last := f.done[len(f.done)-1]
	return rand.New(rand.NewPCG(f.seed, uint64(last.Kind)<<40|uint64(last.Number)))
}

// could says how often a fault could have happened so far.
func (f *faults) could(kind FaultKind) int { return f.kinds[kind].count }

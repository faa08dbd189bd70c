package holdfasttest

import (
	"fmt"
	"slices"

	"github.com/holdfast-io/holdfast/internal/world"
)

// Fault is one sort of thing that may go wrong.
type Fault uint8

// The faults. AllFaults has all of them but Vanish, Hang and CallPanic, of which a
// client hears.
const (
	Crash       = Fault(world.FaultCrash)       // the process dies; what it wrote can be read
	PowerCut    = Fault(world.FaultPowerCut)    // the same, and any part of what was not synced is lost
	Relapse     = Fault(world.FaultRelapse)     // a crash, and a power cut soon after the next start
	TornDisk    = Fault(world.FaultTornDisk)    // the process dies in the middle of changing the disk
	TornPower   = Fault(world.FaultTornPower)   // the same, and the power goes with it
	FailedSync  = Fault(world.FaultSync)        // a sync fails
	FullDisk    = Fault(world.FaultFullDisk)    // there is no more room for a while
	SlowDisk    = Fault(world.FaultSlowDisk)    // a write takes a hundred times as long
	StalledDisk = Fault(world.FaultStalledDisk) // a write takes seconds
	ClockJump   = Fault(world.FaultClockJump)   // the clock jumps
	SlowHandler = Fault(world.FaultExecutor)    // a turn takes up to half a minute
	Hang        = Fault(world.FaultHang)        // a turn takes so long that it is given up, and ends later
	Panic       = Fault(world.FaultPanic)       // the handler of a message or reminder panics
	CallPanic   = Fault(world.FaultCallPanic)   // the handler of a call panics
	LostRequest = Fault(world.FaultLostRequest) // a request does not arrive
	LostAnswer  = Fault(world.FaultLostAnswer)  // an answer does not arrive
	Repeat      = Fault(world.FaultRepeat)      // a request comes twice
	Vanish      = Fault(world.FaultVanish)      // a client goes while it waits
	Evict       = Fault(world.FaultEvict)       // a workflow is executed again from its journal
	Checkpoint  = Fault(world.FaultCheckpoint)  // a checkpoint begins
	Flush       = Fault(world.FaultFlush)       // everything is checkpointed
	Pause       = Fault(world.FaultPause)       // the process stands still for up to two minutes
	Drift       = Fault(world.FaultDrift)       // the clock goes too fast or too slowly for a while
	Delay       = Fault(world.FaultDelay)       // a request or an answer is under way for seconds
	Cut         = Fault(world.FaultCut)         // for a while nothing arrives at the server, or at the clients
	Upgraded    = Fault(world.FaultUpgrade)     // the process dies, and the next app of Upgrades is deployed
)

// String is the name of the fault, as failures show it.
func (f Fault) String() string { return world.FaultKind(f).String() }

// otherRates are those of faults that AllFaults does not have.
var otherRates = map[Fault]float64{Vanish: 0.01, Hang: 0.001, CallPanic: 0.01}

// Faults lets only these go wrong, in addition to what other options say, each as
// often as with AllFaults.
func Faults(list ...Fault) Option {
	return func(o *options) {
		all := world.AllFaults()
		for _, f := range list {
			rate, other := otherRates[f]
			if !other {
				rate = all[f.known()]
			}
			o.rates[f.known()] = rate
		}
	}
}

// Without takes faults out of what options before it say, as in
// AllFaults(), Without(ClockJump).
func Without(list ...Fault) Option {
	return func(o *options) {
		for _, f := range list {
			o.rates[f.known()] = 0
		}
	}
}

// Rate says how often a fault happens of the times that it could: from 0 to 1.
func Rate(f Fault, rate float64) Option {
	if !(rate >= 0 && rate <= 1) {
		panic(fmt.Sprintf("holdfasttest: the rate of %v is %v, it must be from 0 to 1", f, rate))
	}
	return func(o *options) { o.rates[f.known()] = rate }
}

func (f Fault) known() world.FaultKind {
	if k := world.FaultKind(f); slices.Contains(world.FaultKinds(), k) {
		return k
	}
	panic(fmt.Sprintf("holdfasttest: there is no fault %d", f))
}

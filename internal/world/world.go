package world

import (
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/holdfast-io/holdfast/internal/invariant"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/program"
)

// beginning is when virtual time begins: 2026-01-01 in UTC.
const beginning = msg.Time(1_767_225_600 * 1_000_000_000)

// World is a simulated world. It is made, given clients and checks, and run
// once, all by one goroutine.
type World struct {
	config   Config
	agenda   agenda
	clock    time.Duration // since the beginning; never goes back
	skew     time.Duration // of the clock that the node sees
	skewMax  time.Duration
	drift    float64          // by how much it goes too fast; negative: too slowly
	cuts     [2]time.Duration // until when nothing arrives, by direction
	random   *rand.Rand       // what is no fault: how long things take
	faults   *faults
	storage  storage
	program  program.Program // that is deployed
	process  *process        // nil: none runs
	watch    watch
	upgrades int     // that were deployed
	twins    []*twin // by partition
	clients  []*Client
	calls    []*call // that wait for an answer, oldest first
	checks   []check
	hopes    []check
	ends     []check
	calm     bool
	trace    trace
	result   Result
}

// Result is what became of a world.
type Result struct {
	Violation  string  // empty: none
	Checker    Checker // that found it
	Faults     []Fault
	CrashPoint int // events of processes before which a crash could have been
	Crashes    int
	Starts     int
	Events     int
	Records    int
	Split      int // records that no frame holds whole
	Accepted   int // messages that had to wait in an inbox
	Attempts   int // inputs that ran again
	Deleted    int // entities
	Requests   int
	Answers    int
	Published  int // checkpoints
	Rebuilt    int // partitions that were compared after a start
	Operations int // of clients that ask with More
	Virtual    time.Duration
}

// check is something that is to be true, and says why it is not.
type check struct {
	name  string
	holds func(State) error
}

// New makes a world whose node has not started.
func New(c Config) *World {
	c = c.withDefaults()
	w := &World{config: c, program: c.Program, random: rand.New(rand.NewPCG(c.Seed, 1)), faults: newFaults(&c), trace: trace{to: c.Trace}}
	w.storage = newStorage(w)
	w.watch.init(w)
	for p := range c.Partitions {
		w.twins = append(w.twins, newTwin(w, msg.Partition(p)))
	}
	return w
}

// Always adds a check that is made whenever records have become durable.
func (w *World) Always(name string, holds func(State) error) {
	w.checks = append(w.checks, check{name, holds})
}

// Finally adds a check that is made when everything has come to its end.
func (w *World) Finally(name string, holds func(State) error) {
	w.ends = append(w.ends, check{name, holds})
}

// Eventually adds what comes true once there are no more faults. The world goes
// on until it has, for the bound at most.
func (w *World) Eventually(name string, holds func(State) error) {
	w.hopes = append(w.hopes, check{name, holds})
}

// Clock is the virtual time since the beginning.
func (w *World) Clock() time.Duration { return w.clock }

// now is what the clock of the node shows.
func (w *World) now() msg.Time { return beginning + msg.Time(w.clock+w.skew) }

// Now is the true time in the world.
func (w *World) Now() time.Time { return (beginning + msg.Time(w.clock)).Std() }

// Fail ends the run: something is wrong. Clients and checks may call it.
func (w *World) Fail(format string, args ...any) { w.fail(ByClient, format, args...) }

// Run lets the world go on until everything has come to its end, or something
// is wrong.
func (w *World) Run() (result Result) {
	invariant.Buggify(func(s invariant.Site) bool {
		if !w.faults.happen(FaultBuggify) {
			return false
		}
		w.trace.line(w.clock, "fault: %v", s)
		return true
	})
	defer func() {
		invariant.Buggify(nil)
		w.stopClients()
		w.forget()
		result = w.result
		result.Faults, result.Virtual = w.faults.done, w.clock
		result.CrashPoint = w.faults.could(FaultCrash)
	}()
	w.guard(w.live)
	return w.result
}

// guard runs a function and notes the violation that ended it.
func (w *World) guard(run func()) {
	defer func() {
		switch r := recover().(type) {
		case nil:
			return
		case violation:
			w.result.Checker, w.result.Violation = r.checker, r.text
		default:
			w.result.Checker, w.result.Violation = ByInvariant, fmt.Sprintf("%v\n%s", r, debug.Stack())
		}
		w.trace.line(w.clock, "VIOLATION %s", w.result.Violation)
	}()
	run()
}

// live is the whole life of a world.
func (w *World) live() {
	w.start()
	for _, c := range w.clients {
		w.after(w.brief(time.Millisecond), nil, c.resume)
	}
	if w.config.Steps > 0 {
		w.endure()
		return
	}
	for w.clock < w.config.Calm && !w.clientsDone() {
		w.step()
	}
	w.becalm()
	w.comeToRest()
	w.checkFinally()
	w.restartInOrder()
	w.checkFinally()
}

// comeToRest goes on until everything has come to its end and every hope has
// come true. What waits for a time that has not come is at rest: only hopes wait
// for it.
func (w *World) comeToRest() {
	busy, hopesEnd := w.clock, time.Duration(0)
	for rested := false; ; w.step() {
		if rested || w.someSleep() {
			busy = w.clock
		}
		if rested = w.atRest(); rested && w.hopesHold() {
			return
		}
		if rested && hopesEnd == 0 {
			hopesEnd = w.clock + w.config.Patience
		}
		if w.clock > busy+w.config.Bound || hopesEnd > 0 && w.clock > hopesEnd {
			w.fail(ByLiveness, "not everything has come to its end %v after the last fault: %s", w.config.Bound, w.unsettled())
		}
	}
}

// endure lives through faults up to the end, and wants one more start to find
// what was durable.
func (w *World) endure() {
	for w.result.Events < w.config.Steps {
		w.step()
	}
	w.becalm()
	if w.process != nil {
		w.crash(FaultPowerCut)
	}
	for w.process == nil {
		w.step()
	}
}

// eventsMax ends a world in which things happen without end and time stands
// still: a thousand times what an ordinary one has.
const eventsMax = 5_000_000

// step lets the next thing happen.
func (w *World) step() {
	at := 0
	if w.config.script != nil {
		if at = w.config.script.choose(w); at < 0 {
			w.crash(FaultPowerCut)
			return
		}
	}
	e, ok := w.agenda.nth(at)
	if !ok {
		w.fail(ByLiveness, "nothing will happen any more: %s", w.unsettled())
	}
	w.advance(e.at)
	if w.result.Events > eventsMax {
		w.fail(ByLiveness, "%d events have happened, and it goes on: %s", eventsMax, w.unsettled())
	}
	if e.process == nil {
		e.do()
		w.afterEvent()
		return
	}
	if e.process != w.process {
		return // it has died
	}
	if w.clock < e.process.paused {
		e.at = e.process.paused
		w.agenda.put(e)
		return
	}
	w.result.Events++
	if w.misfortune() {
		return
	}
	e.do()
	w.afterEvent()
}

// advance lets time pass.
func (w *World) advance(to time.Duration) {
	if to <= w.clock {
		return
	}
	w.skew += time.Duration(w.drift * float64(to-w.clock))
	w.skewMax = max(w.skewMax, w.skew)
	w.clock = to
}

// afterEvent ends a process that died in the event.
func (w *World) afterEvent() {
	if w.process != nil && w.storage.doomed() {
		w.crash(w.storage.doom())
	}
}

// misfortune lets faults happen that may happen between any two events of a
// process, and says whether it has died.
func (w *World) misfortune() (died bool) {
	if w.faults.happen(FaultClockJump) {
		w.jump()
	}
	if w.faults.happen(FaultDrift) {
		w.driftAway()
	}
	if w.faults.happen(FaultPause) {
		pause := time.Duration(w.faults.details().Int64N(int64(pauseMax)))
		w.process.paused = w.clock + pause
		w.trace.line(w.clock, "fault: the process stands still for %v", pause)
	}
	if w.faults.happen(FaultCheckpoint) {
		w.process.tell(w.faults.details().IntN(w.config.Loops), inputCheckpoint)
	}
	if w.faults.happen(FaultFlush) {
		w.process.tell(w.faults.details().IntN(w.config.Loops), inputFlush)
	}
	switch {
	case w.faults.happen(FaultCrash):
		w.crash(FaultCrash)
	case w.faults.happen(FaultPowerCut):
		w.crash(FaultPowerCut)
	case w.faults.happen(FaultRelapse):
		w.crash(FaultRelapse)
	case w.upgrades < len(w.config.Upgrades) && w.faults.happen(FaultUpgrade):
		w.crash(FaultUpgrade)
		w.program = w.config.Upgrades[w.upgrades]
		w.upgrades++
	default:
		return false
	}
	return true
}

// jumpMax bounds what the clock of the node jumps: a leap of an hour finds what
// a leap of a year would.
const jumpMax = time.Hour

// jump sets the node's clock forwards or backwards.
func (w *World) jump() {
	details := w.faults.details()
	by := time.Duration(details.Int64N(int64(10 * time.Second)))
	if details.IntN(4) == 0 {
		by = time.Duration(details.Int64N(int64(jumpMax)))
	}
	if details.IntN(2) == 0 {
		by = -min(by, 10*time.Second)
	}
	w.skew += by
	w.skewMax = max(w.skewMax, w.skew)
	w.trace.line(w.clock, "fault: the clock jumps by %v", by)
	w.process.look()
}

const (
	driftMax = 0.5              // fast clocks go half as fast again, slow ones half as fast
	driftFor = 20 * time.Second // at most
	pauseMax = 2 * time.Minute  // longer than any time within which somebody waits
)

// driftAway lets the node's clock go wrong for a while.
func (w *World) driftAway() {
	details := w.faults.details()
	w.drift = driftMax * (2*details.Float64() - 1)
	w.trace.line(w.clock, "fault: the clock drifts by %.3f", w.drift)
	w.after(time.Duration(details.Int64N(int64(driftFor))), nil, func() { w.drift = 0 })
}

// becalm ends all faults. The clock, which may have been behind, is right.
func (w *World) becalm() {
	w.calm, w.faults.over = true, true
	w.trace.line(w.clock, "no more faults")
	w.storage.heal()
	w.skew, w.drift, w.cuts = w.skewMax, 0, [2]time.Duration{}
	if w.process != nil {
		w.process.look()
	}
}

// after plans an event.
func (w *World) after(d time.Duration, p *process, do func()) { w.agenda.plan(w.clock+d, p, do) }

// brief is a time of at most a bound, mostly much less.
func (w *World) brief(most time.Duration) time.Duration {
	d := w.random.Int64N(int64(most)) + 1
	return time.Duration(d >> w.random.IntN(5))
}

// More says whether a client may do something more, and counts it.
func (w *World) More() bool {
	if w.config.Operations > 0 && w.result.Operations >= w.config.Operations {
		return false
	}
	w.result.Operations++
	return true
}

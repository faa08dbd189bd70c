package workflow

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/holdfast-io/holdfast/internal/invariant"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// Sizes by which the memory of a run that waits is estimated.
const (
	runBytes       = 1 << 10 // maps and lists
	coroutineBytes = 8 << 10 // a stack that has grown once
	futureBytes    = 256
)

// run is one run of a workflow in memory. Whoever works on it owns it.
type run struct {
	runtime    *Runtime
	definition *Definition
	target     msg.Ref
	number     msg.Index // of the run
	logger     *slog.Logger
	inherits   bool     // it was begun under the locks of another run
	held       *holding // nil: it works under no locks

	// The journal that it has lived through.
	entries int            // how many
	last    uint64         // Run of the turn that made the last one; 0: it was executed from the journal
	steps   msg.StepNumber // asked for

	// The turn that it is in.
	context   context.Context
	now       msg.Time
	outcome   *msg.Outcome // where a turn leaves what it asks for; nil in execution of the journal
	replaying bool
	recorded  []msg.Step // steps of the entry being executed that have not been asked for yet

	coroutines []*coroutine
	ready      int        // coroutines that have a reason to go on
	current    *coroutine // that runs; nil: none
	inside     string     // the local step whose code runs

	open          map[msg.StepNumber]*Future // steps that an outcome may come for
	sent          int                        // of those, messages that nobody awaits
	finishers     []*Future                  // ready when sent is 0
	children      map[msg.StepNumber]*child  // that have not ended
	signals       map[string]*signal
	signalled     uint64 // signals that have arrived, which orders them
	queries       map[string]func(msg.Payload) (msg.Payload, *msg.Error)
	patches       map[string]bool
	compensations []func() *msg.Error
	cleanups      []func() *msg.Error
	ids           uint64 // made by NewID and Rand
	random        *rand.Rand
	delivered     int // bytes

	tail      *msg.Outgoing
	cancelled bool
	closing   bool // the function has returned
	ended     bool
	dead      bool  // thrown away
	failure   error // why it cannot go on
	stack     string
	kept      int // bytes, while it is in the cache
}

func newRun(of *Runtime, d *Definition, target msg.Ref, number msg.Index, logger *slog.Logger) *run {
	r := &run{
		runtime: of, definition: d, target: target, number: number,
		open: map[msg.StepNumber]*Future{},
	}
	r.logger = slog.New(quiet{logger.Handler(), r})
	return r
}

// fits says whether the run has lived through the journal that a turn comes
// with: this run's entries, all of them, the last one made by its own last turn.
// A run that has only executed the journal fits if nothing was added.
func (r *run) fits(t *msg.Turn) bool {
	if r.number != t.Workflow.Run || r.entries != journalLen(t) {
		return false
	}
	return r.last == 0 || r.last == t.Previous
}

// ahead says whether the run is that of a later turn than another.
func (r *run) ahead(of *run) bool {
	return cmp.Or(cmp.Compare(r.number, of.number), cmp.Compare(r.entries, of.entries), cmp.Compare(r.last, of.last)) > 0
}

func journalLen(t *msg.Turn) int {
	if t.State.Fields == nil {
		return 0
	}
	return t.State.Fields.Len(msg.JournalField)
}

// farAway is when a time is not worth the memory of a run that waits for nothing
// else: 10 KiB for a minute or more, against the 100 µs or so of executing its
// journal again.
const farAway = time.Minute

// expects says whether the run waits for something that may come soon. Signals
// that it does not receive now, and queries, find it in its journal.
func (r *run) expects() bool {
	for _, f := range r.open {
		if f.kind != msg.StepTimer || f.due < r.now+msg.Time(farAway) {
			return true
		}
	}
	for _, c := range r.coroutines {
		if slices.ContainsFunc(c.waits, func(f *Future) bool { return f.signal != nil }) {
			return true
		}
	}
	return false
}

func (r *run) bytes() int {
	return runBytes + coroutineBytes*len(r.coroutines) + futureBytes*len(r.open) + r.delivered
}

// turn tells the run what has happened and lets it go on.
func (r *run) turn(t *msg.Turn, outcome *msg.Outcome) {
	r.outcome, r.now = outcome, t.Now
	r.deliver(t.Deliveries)
	r.entries++
	r.last = t.Run
}

// execute lives through a journal.
func (r *run) execute(fields msg.Fields) {
	if fields == nil {
		return
	}
	items := make([][]byte, 0, fields.Len(msg.JournalField))
	fields.Items(msg.JournalField, func(_ int, item []byte) bool {
		items = append(items, item)
		return true
	})
	r.replaying = true
	defer func() { r.replaying = false }()
	var entry msg.Entry
	for i, item := range items {
		if err := entry.Decode(item); err != nil {
			r.failure = fmt.Errorf("read entry %d of the journal of workflow %v: %w", i+1, r.target, err)
			return
		}
		if r.replay(&entry); r.failure != nil {
			return
		}
	}
}

// replay lives through one entry.
func (r *run) replay(e *msg.Entry) {
	r.now, r.recorded = e.Time, e.Steps
	if r.ended {
		r.failure = &Mismatch{Workflow: r.target, Step: r.steps + 1, Recorded: "that it goes on", Asked: "to end"}
		return
	}
	r.deliver(e.Deliveries)
	r.entries++
	if r.failure != nil {
		return
	}
	r.skipPatches(nil)
	if len(r.recorded) > 0 {
		r.failure = r.missing(&r.recorded[0])
	}
}

// deliver tells the run a group of deliveries.
func (r *run) deliver(group []msg.Delivery) {
	for i := range group {
		r.tell(&group[i])
		if i+1 < len(group) && r.replaying && r.failure == nil && invariant.Mutated(invariant.SplitGroups) {
			r.proceed()
		}
	}
	r.proceed()
}

func (r *run) tell(d *msg.Delivery) {
	r.delivered += len(d.Payload.Body)
	switch d.Kind {
	case msg.DeliveryStart:
		x := &Context{run: r}
		input := d.Payload
		r.spawn(func() { r.conclude(r.definition.Run(x, input)) })
	case msg.DeliveryOutcome:
		r.settle(d.Step, d.Payload, d.Err)
	case msg.DeliverySignal:
		r.signal(d.Name).arrive(queued{r.signalled, d.Payload})
		r.signalled++
	case msg.DeliveryCancel:
		r.cancel()
	}
}

// settle takes the outcome of a step. One that nobody waits for is ignored.
func (r *run) settle(step msg.StepNumber, payload msg.Payload, err *msg.Error) {
	delete(r.children, step)
	f := r.open[step]
	if f == nil {
		return
	}
	delete(r.open, step)
	f.complete(payload, err)
	if f.kind != msg.StepSend {
		return
	}
	r.sent--
	if err != nil {
		r.logger.Warn("message of a workflow came to an error", "kind", r.target.Kind, "key", r.target.Key, "step", step, "error", err)
	}
	if r.sent > 0 {
		return
	}
	for _, f := range r.finishers {
		f.complete(msg.Payload{}, nil)
	}
	r.finishers = nil
}

// cancel makes every wait that cancellation reaches end, and lets go of what can
// be let go of: activities and timers, and children unless they are abandoned.
// Outcomes of calls may still come; clean-up code can wait for them.
func (r *run) cancel() {
	if r.cancelled {
		return
	}
	r.cancelled = true
	for _, step := range sorted(r.open) {
		f := r.open[step]
		if f.shielded {
			continue
		}
		switch f.kind {
		case msg.StepActivity:
			r.emit(func(o *msg.Outcome) { o.Stop = append(o.Stop, step) })
		case msg.StepTimer:
			r.emit(func(o *msg.Outcome) { o.Forget = append(o.Forget, timerName(step)) })
		case msg.StepChild:
			r.cancelChild(step)
			continue
		default:
			continue
		}
		delete(r.open, step)
		f.gone = true
	}
	wakeAll(r.coroutines)
}

// emit adds to what the turn asks for. Executing a journal asks for nothing.
func (r *run) emit(add func(*msg.Outcome)) {
	if r.outcome != nil {
		add(r.outcome)
	}
}

func wakeAll(coroutines []*coroutine) {
	for _, c := range coroutines {
		if !c.done && !c.held {
			c.wake()
		}
	}
}

func sorted[V any](of map[msg.StepNumber]V) []msg.StepNumber {
	steps := make([]msg.StepNumber, 0, len(of))
	for step := range of {
		steps = append(steps, step)
	}
	slices.SortFunc(steps, cmp.Compare)
	return steps
}

func timerName(step msg.StepNumber) string { return strconv.FormatUint(uint64(step), 10) }

func errCancelled() *msg.Error {
	return msg.Errorf(msg.CodeCancelled, msg.ClassConflict, "the workflow was asked to stop")
}

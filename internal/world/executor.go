package world

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/holdfast-io/holdfast/internal/marks"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/partition"
	"github.com/holdfast-io/holdfast/internal/program"
)

// Times of executors: those of package executor.
const (
	writeOffAfter = 10 * time.Millisecond
	abandonAfter  = time.Minute
	delayMax      = 30 * time.Second // of a handler that FaultExecutor holds up
	// panicsMax is up to which attempt handlers are made to panic: a fault is no
	// reason to give an input up.
	panicsMax = 2
)

// executors run handlers, as package executor does on goroutines. A handler
// runs at once, when its turn begins, because what it sees does not change; its
// outcome comes later.
type executors struct {
	process *process
	context context.Context
	marks   *marks.Memory
	queue   []partition.Turn
	free    int
	running int // handlers that have not returned
}

func (e *executors) init(p *process, places *marks.Memory) {
	e.process, e.marks, e.free = p, places, p.world.config.Executors
	e.context = program.WithLogger(context.Background(), slog.New(slog.DiscardHandler))
	e.context = program.WithRandom(e.context, randomBytes{rand.New(rand.NewPCG(p.world.config.Seed, 1<<37+uint64(p.number)))})
}

func (e *executors) submit(t partition.Turn) {
	e.queue = append(e.queue, t)
	e.dispatch()
}

// dispatch lets executors that are free take turns.
func (e *executors) dispatch() {
	for e.free > 0 && len(e.queue) > 0 {
		t := e.queue[0]
		e.queue = e.queue[1:]
		e.free--
		e.running++
		e.process.world.after(e.process.world.brief(50*time.Microsecond), e.process, func() { e.run(t) })
	}
}

// run runs a handler.
func (e *executors) run(t partition.Turn) {
	w, p := e.process.world, e.process
	mark := e.marks.Take()
	mark.SetTurn(t.Partition, t.Turn)
	outcome := w.outcome(e.context, t.Turn)
	took := w.turnTime(&t)
	w.after(min(took, writeOffAfter), p, func() {
		e.free++ // it has returned, or was replaced
		e.dispatch()
	})
	late := took > abandonAfter
	if late {
		w.after(abandonAfter, p, func() { p.command(t.Partition, t.Turn.GivenUp()) })
	}
	w.after(took, p, func() {
		mark.Clear()
		e.marks.Put(mark)
		e.running--
		p.done(&t, outcome, late)
	})
}

// turnTime is how long a handler takes.
func (w *World) turnTime(t *partition.Turn) time.Duration {
	took := w.brief(200 * time.Microsecond)
	if w.faults.happen(FaultExecutor) {
		took = time.Duration(w.faults.details().Int64N(int64(delayMax)))
		w.trace.line(w.clock, "fault: run %d of partition %d takes %v", t.Turn.Run, t.Partition, took)
	}
	if w.faults.happen(FaultHang) {
		took = abandonAfter + time.Duration(w.faults.details().Int64N(int64(abandonAfter)))
		w.trace.line(w.clock, "fault: run %d of partition %d hangs for %v", t.Turn.Run, t.Partition, took)
	}
	return took
}

// done takes what a handler came to, as a node does: the waiter of a read is
// told at once if what it has seen was durable.
func (p *process) done(t *partition.Turn, o *msg.Outcome, late bool) {
	switch r := t.Turn; {
	case r.Direct && o.Fault == "" && !o.Panicked && !late:
		r.Waiter.Answer(r.Answer(o))
	case r.Waiter != nil && late:
	default:
		p.command(t.Partition, r.Ended(o))
	}
}

func (e *executors) idle() bool { return e.running == 0 && len(e.queue) == 0 }

// outcome runs the program on a turn, which may panic as well.
func (w *World) outcome(ctx context.Context, t *msg.Turn) *msg.Outcome {
	if t.Mode == msg.ModeWorkflow && w.faults.happen(FaultEvict) {
		w.trace.line(w.clock, "fault: the program forgets its workflows")
		w.forget()
	}
	o := w.program.Turn(ctx, t)
	m, kind := t.Message, FaultPanic
	if waited := m == nil || m.ID.Number == 0 && m.Kind != msg.MessageTimer || !m.ReplyTo.IsZero(); waited {
		kind = FaultCallPanic
	}
	w.trace.line(w.clock, "run %d: %s, attempt %d: %s", t.Run, asked(t), t.Attempt, ending(o))
	if t.Attempt > panicsMax || t.Mode == msg.ModeWorkflow || !w.faults.happen(kind) {
		return o
	}
	w.trace.line(w.clock, "fault: the handler of run %d panics", t.Run)
	return &msg.Outcome{Run: t.Run, Panicked: true, Err: msg.Errorf(msg.CodePanic, msg.ClassFailed, "simulated panic")}
}

// asked says what a turn runs.
func asked(t *msg.Turn) string {
	if t.Message == nil {
		return "a workflow"
	}
	return t.Message.Target.String() + " " + t.Message.Handler
}

// ending says how a handler ended.
func ending(o *msg.Outcome) string {
	switch {
	case o.Fault != "":
		return "fault: " + o.Fault
	case o.Err != nil:
		return o.Err.Error()
	}
	return "done"
}

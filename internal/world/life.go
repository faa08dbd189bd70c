package world

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/world/sim"
)

// ended is a context without end, for calls that take one and do not wait.
type ended struct{}

var _ context.Context = ended{}

func (ended) Deadline() (time.Time, bool) { return time.Time{}, false }
func (ended) Done() <-chan struct{}       { return nil }
func (ended) Err() error                  { return nil }
func (ended) Value(any) any               { return nil }

const (
	// downMax is how long a process that has died stays away at most.
	downMax = 2 * time.Second
	// relapseMax is how soon after a start the power goes that FaultRelapse takes.
	relapseMax = 20 * time.Millisecond
)

// start starts the process. One that cannot start, because a fault hits it while
// it does, is started again later.
func (w *World) start() {
	if w.process != nil {
		return
	}
	w.result.Starts++
	before := len(w.faults.done)
	p, err := w.boot()
	if w.storage.doomed() {
		w.end(w.storage.doom())
		return
	}
	switch {
	case err == nil:
		w.process = p
		w.trace.line(w.clock, "process %d serves: epoch %d, %d records", p.number, p.epoch, p.committer.Stats().Durable)
	case w.excused(err, before):
		w.trace.line(w.clock, "the process cannot start: %v", err)
		w.end(FaultCrash)
	default:
		w.fail(ByStart, "the process cannot start: %v", err)
	}
}

// excused says whether a failure to start is what faults explain.
func (w *World) excused(err error, before int) bool {
	switch {
	case errors.Is(err, host.ErrCorrupt), errors.Is(err, host.ErrIncompatible):
		return false
	case errors.Is(err, host.ErrFull):
		return !w.calm
	}
	return len(w.faults.done) > before || errors.Is(err, sim.ErrStopped)
}

// crash ends the process by a fault.
func (w *World) crash(kind FaultKind) {
	w.result.Crashes++
	w.trace.line(w.clock, "fault: %v", kind)
	if kind == FaultRelapse {
		relapse := time.Duration(w.faults.details().Int64N(int64(relapseMax)))
		w.end(FaultCrash)
		w.after(downMax+relapse, nil, func() {
			if w.process != nil && !w.calm {
				w.trace.line(w.clock, "fault: the power goes after a crash")
				w.end(FaultPowerCut)
			}
		})
		return
	}
	w.end(kind)
}

// end takes the process away, with everything that was only in its memory, and
// plans the next start.
func (w *World) end(kind FaultKind) {
	w.process = nil
	w.storage.crash(kind)
	w.forget()
	w.breakCalls()
	w.after(time.Millisecond+w.brief(downMax-time.Millisecond), nil, w.start)
}

// forget takes away what the program keeps in memory beside the engine, such as
// workflows that wait.
func (w *World) forget() {
	if program, keeps := w.program.(io.Closer); keeps {
		_ = program.Close() // the next turn executes again what is in the journal
	}
}

// restartInOrder ends the process as an operator does, starts it again with the
// last version of the program, and compares what is there.
func (w *World) restartInOrder() {
	p := w.process
	p.ingress.Stop()
	p.flushing = len(p.loops)
	p.tellAll(inputFlush)
	for p.flushing > 0 || !p.idle() {
		w.step()
		if w.process != p {
			w.fail(ByStart, "the process died of no fault")
		}
	}
	w.compareTwins("lives", p.engines)
	w.rest()
	p.saver.Close()
	p.saver.Last(p.loops)
	if err := p.host.Close(); err != nil {
		w.fail(ByStart, "close the host: %v", err)
	}
	w.process = nil
	w.forget()
	w.program, w.upgrades = w.config.last(), len(w.config.Upgrades)
	w.storage.crash(FaultPowerCut) // what an orderly end has not synced is lost
	w.trace.line(w.clock, "the process has ended in order")
	w.start()
}

package world

import (
	"fmt"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// busy says what the process still does.
func (w *World) busy() string {
	p := w.process
	if p == nil {
		return "the process does not start"
	}
	for i, l := range p.loops {
		if !l.Idle(w.now()) {
			return fmt.Sprintf("loop %d: %+v, %+v", i, l.Stats(), l.PartitionStats())
		}
	}
	if late, kept := w.leftOver(); late+kept > 0 {
		return fmt.Sprintf("%d messages are under way that could have run, %d are in outboxes that were consumed", late, kept)
	}
	return fmt.Sprintf("%d handlers run, %d jobs of the saver", p.executors.running, len(p.jobs))
}

// leftOver counts messages and reminders that could have run and have not, and
// messages that were, and whose senders have not written down that they know.
func (w *World) leftOver() (late, kept int) {
	for _, m := range (State{w}).UnderWay() {
		if m.NotBefore <= w.now() {
			late++
		}
	}
	for _, due := range w.watch.reminders {
		if due <= w.now() {
			late++
		}
	}
	for p := range w.twins {
		State{w}.engine(msg.Partition(p)).Messages(func(m *msg.Message, waits bool) {
			if !waits && (State{w}).engine(m.ID.Destination).HasConsumed(m.ID) {
				kept++
			}
		})
	}
	return late, kept
}

// rest checks that at the end nothing is kept that nobody needs: every queue is
// empty, and what is remembered is no more than what was asked. What a schedule
// has begun meanwhile may not be acknowledged yet.
func (w *World) rest() {
	for i, l := range w.process.loops {
		if s := l.Stats(); s.Held+s.Pending+s.Inputs > 0 {
			w.fail(ByBounds, "loop %d holds at rest: %+v", i, s)
		}
	}
	_, kept := w.leftOver()
	waiting := len(State{w}.UnderWay()) + kept
	for p := range w.twins {
		s := State{w}.engine(msg.Partition(p)).Stats()
		if most := w.result.Requests + w.result.Records; s.Queued > waiting || s.OutboxMessages > waiting || s.Answers > most {
			w.fail(ByBounds, "partition %d holds at rest, with %d messages under way and at most %d answers: %+v", p, waiting, most, s)
		}
	}
}

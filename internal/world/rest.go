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

// leftOver counts messages that could have been consumed and were not, and
// messages that were, and whose senders have not written down that they know.
func (w *World) leftOver() (late, kept int) {
	for _, m := range (State{w}).UnderWay() {
		if m.NotBefore <= w.now() {
			late++
		}
	}
	for _, t := range w.twins {
		t.engine.Outgoing(func(m *msg.Message) bool {
			if w.twins[m.ID.Destination].engine.HasConsumed(m.ID) {
				kept++
			}
			return true
		})
	}
	return late, kept
}

// rest checks that what is left at the end is what has to be: bookkeeping
// within its bounds.
func (w *World) rest() {
	for p, t := range w.twins {
		if answers, most := t.engine.Stats().Answers, w.result.Requests+w.result.Records; answers > most {
			w.Fail("partition %d remembers %d answers to at most %d requests", p, answers, most)
		}
	}
}

package engine

import "github.com/holdfast-io/holdfast/internal/msg"

// Unended gives a turn for each workflow that has not ended, and for each entity
// that is being created: a query without a handler, by which a program shows
// whether it fits the journal. It is for partitions that do not run.
func (p *Partition) Unended() (turns []*msg.Turn) {
	p.order.Scan(func(i *instance) bool {
		if w := i.workflow(); w != nil && !w.Status.Ended() {
			turns = append(turns, &msg.Turn{Mode: msg.ModeQuery, Message: &msg.Message{Target: i.ref}, State: i.snapshot(), Now: p.now, Workflow: w})
		}
		return true
	})
	return turns
}

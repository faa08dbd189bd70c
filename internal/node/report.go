package node

import (
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
)

const (
	// toldMax is how much of what has stopped a loop says in the log within
	// toldPeriod: enough to see what is wrong, and not a line for each of a
	// million entities that new code cannot read.
	toldMax    = 20
	toldPeriod = time.Minute
)

// told is what a loop has said in the log.
type told struct {
	since msg.Time
	count int
}

// room says whether there is room for one more line, and whether it is the last.
func (t *told) room(now msg.Time) (ok, last bool) {
	if t.count == 0 || now-t.since >= msg.Time(toldPeriod) {
		*t = told{since: now}
	}
	t.count++
	return t.count <= toldMax, t.count == toldMax
}

// tell says in the log what has stopped, on the loop's goroutine.
func (n *Node) tell(loop int, r *msg.Reply) {
	logger := n.config.Logger
	ok, last := n.told[loop].room(n.now())
	if !ok {
		return
	}
	for i := range r.Parked {
		p := &r.Parked[i]
		logger.Warn("an entity has stopped taking inputs: deploy code that can deal with it, or resume it, or skip the input",
			"kind", p.Target.Kind, "key", p.Target.Key, "reason", p.Reason)
	}
	for i := range r.DeadLetters {
		d := &r.DeadLetters[i]
		logger.Warn("a message was given up: mend its handler and redeliver it, or discard it",
			"kind", d.Message.Target.Kind, "key", d.Message.Target.Key, "handler", d.Message.Handler,
			"invocation", d.ID.String(), "reason", d.Reason)
	}
	if last {
		logger.Warn("for a minute no more of this is logged: /v1/parked and /v1/dead-letters list all of it")
	}
}

package node

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/holdfast-io/holdfast/internal/activity"
	"github.com/holdfast-io/holdfast/internal/engine"
	"github.com/holdfast-io/holdfast/internal/executor"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/partition"
)

// Stats says what a node has done and holds.
type Stats struct {
	Partitions engine.Stats // summed
	Loops      partition.Stats
	Log        partition.CommitterStats
	Executors  executor.Stats
	Activities activity.Stats
	Inflight   int
	Recovery   Recovery
}

// Stats asks the loops; it returns what they said last if ctx ends before, or
// the node is closed.
func (n *Node) Stats(ctx context.Context) Stats {
	s := Stats{Executors: n.executors.Stats(), Activities: n.activities.Stats(), Inflight: n.ingress.Inflight(), Recovery: n.recovery}
	n.buffer.With(func(c *partition.Committer) { s.Log = c.Stats() })
	for i := range n.observed {
		n.look(ctx, i)
		o := &n.observed[i]
		o.mu.Lock()
		s.Partitions = s.Partitions.Add(o.partitions)
		s.Loops = s.Loops.Add(o.loop)
		o.mu.Unlock()
	}
	return s
}

// observed is what a loop last said of itself.
type observed struct {
	asked atomic.Bool // somebody waits

	mu         sync.Mutex
	loop       partition.Stats
	partitions engine.Stats
	idle       bool
	due        msg.Time        // when it has something to do; 0: never
	waiting    []chan struct{} // closed when the loop speaks
}

// look asks a loop for its numbers and waits for them.
func (n *Node) look(ctx context.Context, loop int) {
	o := &n.observed[loop]
	told := make(chan struct{})
	o.mu.Lock()
	o.waiting = append(o.waiting, told)
	o.mu.Unlock()
	o.asked.Store(true)
	n.driver.Tell(loop, partition.Input{Kind: partition.InputNudge})
	select {
	case <-told:
	case <-n.stopped:
	case <-ctx.Done():
	}
}

// observe takes a loop's numbers if somebody asked, in its turn.
func (n *Node) observe(loop int) {
	if n.observed[loop].asked.Load() {
		n.speak(loop)
	}
}

// speak says how much a loop holds and has done.
func (n *Node) speak(loop int) {
	o, l := &n.observed[loop], n.loops[loop]
	o.asked.Store(false) // who asks from here on is heard in the next turn
	o.mu.Lock()
	defer o.mu.Unlock()
	o.loop, o.partitions, o.idle, o.due = l.Stats(), l.PartitionStats(), l.Idle(n.now()), l.Due()
	for _, told := range o.waiting {
		close(told)
	}
	o.waiting = nil
}

// lookAll asks every loop whether it is idle up to a time, and how many steps
// all of them have made.
func (n *Node) lookAll(ctx context.Context, end msg.Time) (steps uint64, idle bool) {
	idle = true
	for i := range n.observed {
		n.look(ctx, i)
		o := &n.observed[i]
		o.mu.Lock()
		idle = idle && o.idle && (o.due == 0 || o.due > end)
		steps += o.loop.Steps
		o.mu.Unlock()
	}
	return steps, idle && ctx.Err() == nil
}

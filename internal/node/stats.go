package node

import (
	"context"

	"github.com/holdfast-io/holdfast/internal/engine"
	"github.com/holdfast-io/holdfast/internal/executor"
	"github.com/holdfast-io/holdfast/internal/partition"
	"github.com/holdfast-io/holdfast/internal/partition/driver"
)

// Stats says what a node has done and holds.
type Stats struct {
	Partitions engine.Stats // summed
	Loops      partition.Stats
	Log        driver.Stats
	Executors  executor.Stats
	Inflight   int
	Recovery   Recovery
}

// Stats asks the loops; it returns what they said last if ctx ends before.
func (n *Node) Stats(ctx context.Context) Stats {
	s := Stats{
		Log: n.buffer.Stats(), Executors: n.executors.Stats(), Inflight: n.ingress.Inflight(), Recovery: n.recovery,
	}
	for i := range n.observed {
		n.look(ctx, i)
		n.observed[i].mu.Lock()
		s.Partitions = s.Partitions.Add(n.observed[i].partitions)
		s.Loops = s.Loops.Add(n.observed[i].loop)
		n.observed[i].mu.Unlock()
	}
	return s
}

// look asks a loop for its numbers and waits for them.
func (n *Node) look(ctx context.Context, loop int) {
	o := &n.observed[loop]
	select {
	case <-o.ready: // an answer that nobody took
	default:
	}
	o.wanted.Store(true)
	n.tell(loop, partition.Input{Kind: partition.InputNudge})
	select {
	case <-o.ready:
	case <-ctx.Done():
	}
}

// observe takes a loop's numbers if they are wanted, on its goroutine.
func (n *Node) observe(loop int) {
	o := &n.observed[loop]
	if !o.wanted.CompareAndSwap(true, false) {
		return
	}
	l := n.loops[loop]
	o.mu.Lock()
	o.loop, o.partitions, o.idle = l.Stats(), l.PartitionStats(), l.Idle()
	o.mu.Unlock()
	select {
	case o.ready <- struct{}{}:
	default:
	}
}

package node

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/partition"
)

// Close ends the node: no new requests, then those admitted are answered, then
// activities that run come to their end, then every partition gets a checkpoint,
// as far as ctx allows. What was acknowledged is durable in any case. The error
// says what the log has failed of, or what was not finished.
func (n *Node) Close(ctx context.Context) error {
	n.closing.Do(func() { n.result = n.close(ctx) })
	return n.result
}

func (n *Node) close(ctx context.Context) error {
	n.ingress.Stop()
	work, end := n.working(ctx)
	unfinished := errors.Join(n.drain(work), n.activities.Close(work))
	end()
	n.settle(ctx) // handlers are told how activities have ended: until then, it is not durable
	unfinished = errors.Join(unfinished, n.executors.Close(ctx))
	if err := n.flush(ctx); unfinished == nil {
		unfinished = err
	}
	n.driver.Stop()
	for i := range n.loops {
		n.speak(i) // for who asks later
	}
	close(n.stopped)
	n.saver.close()
	if n.hasFailed() {
		return n.failure
	}
	n.saver.Last(n.loops)
	n.ingress.Fail(errStopped)
	return unfinished
}

// errStopped is why a request has no answer that was not finished in time.
var errStopped = errors.New("the node stopped before the request was answered")

func (n *Node) hasFailed() bool {
	select {
	case <-n.broken:
		return true
	default:
		return false
	}
}

const (
	// pollFirst and pollMax are the times between two looks at whether all is
	// done.
	pollFirst = time.Millisecond
	pollMax   = 16 * time.Millisecond
	// settleMax is how long what was sent before the end may go on after the
	// last request was answered. What has not ended then is durable and goes on
	// at the next start: there may always be more, of entities that send to
	// each other without end.
	settleMax = time.Second
	// endPart and endMax are how much of the time that Close has is kept for
	// what comes after requests and activities: a fifth, and at most as long as
	// large checkpoints take.
	endPart = 5
	endMax  = 5 * time.Second
)

// working is the time that requests and activities have. It is over when the
// log has failed: nothing that they come to would be kept.
func (n *Node) working(ctx context.Context) (work context.Context, end func()) {
	work, cancel := earlier(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-n.broken:
			cancel()
		case <-work.Done():
		}
	}()
	return work, func() { cancel(); <-watched }
}

// earlier makes a context that ends when its part of the time of another one is
// over.
func earlier(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, deadline.Add(-min(time.Until(deadline)/endPart, endMax)))
}

// drain waits until no request waits for its answer, or for nothing that will
// happen in time: that of a workflow may take days.
func (n *Node) drain(ctx context.Context) error {
	end := msg.Time(math.MaxInt64)
	if deadline, ok := ctx.Deadline(); ok {
		end = n.now() + msg.Time(time.Until(deadline))
	}
	atRest := 0 // looks in a row: a request that was admitted may not have got to its loop
	answered := func() bool {
		if n.ingress.Inflight() == 0 {
			return true
		}
		atRest++
		if !n.idle(ctx, end) {
			atRest = 0
		}
		return atRest > 1
	}
	if n.until(ctx, answered) || n.hasFailed() {
		return nil
	}
	return fmt.Errorf("stop with %d requests that were not answered in time: %w", n.ingress.Inflight(), ctx.Err())
}

// settle gives messages and timers that are under way some time to come to
// rest.
func (n *Node) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, settleMax)
	defer cancel()
	n.until(ctx, func() bool { return n.idle(ctx, n.now()) })
}

// until polls a condition. It reports false if ctx ended or the log failed
// before it held.
func (n *Node) until(ctx context.Context, holds func() bool) bool {
	for pause := pollFirst; !holds(); pause = min(2*pause, pollMax) {
		select {
		case <-ctx.Done():
			return false
		case <-n.broken:
			return false
		case <-time.After(pause):
		}
	}
	return true
}

// idle says that nothing runs, nothing is due up to a time, and all is durable.
// The loops are looked at twice: one may have given another something to do, or
// an activity may have ended.
func (n *Node) idle(ctx context.Context, end msg.Time) bool {
	before, idle := n.lookAll(ctx, end)
	if !idle {
		return false
	}
	if s := n.activities.Stats(); s.Running+s.Queued > 0 {
		return false
	}
	after, idle := n.lookAll(ctx, end)
	return idle && before == after && n.durable()
}

// durable says that everything that was appended is durable.
func (n *Node) durable() (empty bool) {
	n.buffer.With(func(c *partition.Committer) { empty = c.Empty() })
	return empty
}

// flush takes a checkpoint of every partition that has changed or has none.
func (n *Node) flush(ctx context.Context) error {
	for i := range n.loops {
		n.driver.Tell(i, partition.Input{Kind: partition.InputFlush})
	}
	for range n.loops {
		select {
		case <-n.flushed:
		case <-n.broken:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("stop before the last checkpoint, the next start reads more of the log: %w", ctx.Err())
		}
	}
	return nil
}

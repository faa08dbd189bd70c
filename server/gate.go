package server

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/holdfast-io/holdfast/internal/frontend/native"
	"github.com/holdfast-io/holdfast/internal/ingress"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/program"
)

// phase says how far the server is.
type phase int32

const (
	phaseStarting phase = iota
	phaseOpen
	phaseClosing
	phaseStopped
)

// refusals are the answers of the phases in which nothing is admitted.
var refusals = [...]*msg.Error{
	phaseStarting: msg.Errorf(msg.CodeUnavailable, msg.ClassUnavailable, "the server is recovering"),
	phaseClosing:  msg.Errorf(msg.CodeUnavailable, msg.ClassUnavailable, "the server is shutting down"),
	phaseStopped:  ingress.ErrStopped,
}

// gate is the door that frontends and clients have from the beginning. It
// stands before the real one, which is there only between recovery and
// shutdown, and counts who is inside.
type gate struct {
	description program.Description
	observe     func(o msg.Operation, e *msg.Error, d time.Duration)

	phase  atomic.Int32
	door   native.Door // set before phaseOpen
	inside atomic.Int64
	empty  chan struct{} // gets a token when the last one leaves a closing gate

	waiting context.Context // ends when the gate closes: nobody waits longer
	release context.CancelFunc
}

var _ native.Door = (*gate)(nil)

func newGate(d program.Description, observe func(msg.Operation, *msg.Error, time.Duration)) *gate {
	g := &gate{description: d, observe: observe, empty: make(chan struct{}, 1)}
	g.waiting, g.release = context.WithCancel(context.Background())
	return g
}

// Describe implements native.Door.
func (g *gate) Describe() program.Description { return g.description }

// Ready implements native.Door.
func (g *gate) Ready() error {
	if at := phase(g.phase.Load()); at != phaseOpen {
		return errors.New(refusals[at].Message)
	}
	return g.door.Ready()
}

// Do implements native.Door. Who entered before the gate closed is counted
// until they leave: the count goes up before the phase is looked at.
func (g *gate) Do(ctx context.Context, r *msg.Request) msg.Reply {
	g.inside.Add(1)
	defer g.leave()
	if at := phase(g.phase.Load()); at != phaseOpen {
		return msg.Reply{Err: refusals[at]}
	}
	began := time.Now()
	operation := r.Operation
	var reply msg.Reply
	if r.Wait {
		reply = g.wait(ctx, r)
	} else {
		reply = g.door.Do(ctx, r)
	}
	failed := reply.Err
	if operation == msg.OperationResult && reply.Status != msg.StatusUnknown {
		failed = nil // how the invocation ended, not how asking did
	}
	g.observe(operation, failed, time.Since(began))
	return reply
}

// wait does a request that waits for another to end. It is given up when the
// gate closes, because what it waits for may be hours away.
func (g *gate) wait(ctx context.Context, r *msg.Request) msg.Reply {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(g.waiting, cancel)()
	reply := g.door.Do(inner, r)
	if reply.Status == msg.StatusUnknown && reply.Err != nil && g.waiting.Err() != nil && ctx.Err() == nil {
		reply.Err = refusals[phaseClosing]
	}
	return reply
}

func (g *gate) leave() {
	if g.inside.Add(-1) == 0 && phase(g.phase.Load()) != phaseOpen {
		select {
		case g.empty <- struct{}{}:
		default:
		}
	}
}

// open admits requests to the door.
func (g *gate) open(d native.Door) {
	g.door = d
	g.phase.Store(int32(phaseOpen))
}

// close stops admission and waits until everybody has left, or ctx ends. It
// returns the number of those who are still inside.
func (g *gate) close(ctx context.Context) (inside int64) {
	g.phase.Store(int32(phaseClosing))
	g.release()
	for {
		if inside = g.inside.Load(); inside == 0 {
			return 0
		}
		select {
		case <-g.empty:
		case <-ctx.Done():
			return g.inside.Load()
		}
	}
}

// stop says that the server will not come back.
func (g *gate) stop() {
	g.phase.Store(int32(phaseStopped))
	g.release()
}

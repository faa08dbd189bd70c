package world

import (
	"slices"
	"time"

	"github.com/holdfast-io/holdfast/internal/ingress"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// call is a request on its way, and whoever waits for the answer.
type call struct {
	world   *World
	client  *Client
	request *msg.Request
	number  int
	leave   func() // nil: it has not arrived
	reply   msg.Reply
	ended   bool
}

const (
	// networkMax is how long a request or an answer is under way at most.
	networkMax = 400 * time.Microsecond
	// breakMax is how long it takes at most until a client notices that its
	// connection is broken.
	breakMax = 2 * time.Second
)

// The errors that a client makes itself.
var (
	errBroken = msg.Errorf(msg.CodeUnavailable, msg.ClassUnavailable, "the connection is broken; whether the request was done is not known")
	errClosed = msg.Errorf(msg.CodeUnavailable, msg.ClassUnavailable, "nobody listens")
	errGone   = msg.Errorf(msg.CodeCancelled, msg.ClassConflict, "the caller has gone; the request goes on, and whether it was done is not known")
	errLate   = msg.Errorf(msg.CodeDeadlineExceeded, msg.ClassUnavailable, "the answer did not come in time; the request goes on, and whether it was done is not known")
)

// The directions in which the network may be cut.
const (
	toProcess = iota
	toClient
)

// cutMax is how long the network is cut at most.
const cutMax = 5 * time.Second

// cut cuts the network in one direction, for a while.
func (w *World) cut() {
	details := w.faults.details()
	direction := details.IntN(len(w.cuts))
	w.cuts[direction] = w.clock + time.Duration(details.Int64N(int64(cutMax)))
	w.trace.line(w.clock, "fault: nothing arrives at the %s until %v", [...]string{"process", "clients"}[direction], w.cuts[direction])
}

// underWay is how long a request or an answer is.
func (w *World) underWay() time.Duration {
	if w.faults.happen(FaultDelay) {
		return time.Duration(w.faults.details().Int64N(int64(cutMax)))
	}
	return w.brief(networkMax)
}

// send puts a request on its way.
func (w *World) send(c *call) {
	w.calls = append(w.calls, c)
	if w.trace.on() {
		w.trace.line(w.clock, "%s: request %d, %s %s %s", c.client.Name, c.number, c.request.Target, c.request.Handler, c.request.Payload.Body)
	}
	if w.faults.happen(FaultRepeat) {
		again := *c.request
		w.after(w.brief(time.Duration(w.faults.details().Int64N(int64(breakMax)))+1), nil, func() {
			w.trace.line(w.clock, "fault: request %d comes again", c.number)
			w.arrive(&again, silent{})
		})
	}
	if !c.client.Stays && w.faults.happen(FaultVanish) {
		w.after(time.Duration(w.faults.details().Int64N(int64(5*time.Millisecond))), nil, func() { c.giveUp(errGone) })
	}
	if w.faults.happen(FaultCut) {
		w.cut()
	}
	if w.faults.happen(FaultLostRequest) || w.clock < w.cuts[toProcess] {
		w.trace.line(w.clock, "fault: request %d is lost", c.number)
		w.after(w.brief(breakMax), nil, func() { c.end(msg.Reply{Err: errBroken}) })
		return
	}
	w.after(w.underWay(), nil, func() {
		if c.ended {
			return
		}
		if leave := w.arrive(c.request, c); leave != nil {
			c.leave = leave
			return
		}
		c.end(msg.Reply{Err: errClosed})
	})
}

// arrive gives a request to the process, if there is one.
func (w *World) arrive(r *msg.Request, to msg.Waiter) (leave func()) {
	p := w.process
	if p == nil {
		return nil
	}
	gone := p.ingress.Ask(r, to)
	return func() {
		if w.process == p {
			gone()
		}
	}
}

// silent is told the answer to a request that came twice.
type silent struct{}

var _ msg.Waiter = silent{}

func (silent) Answer(msg.Reply) {}

var _ msg.Waiter = (*call)(nil)

// Answer implements msg.Waiter: the process lets an answer go.
func (c *call) Answer(r msg.Reply) {
	w := c.world
	if w.storage.doomed() || c.ended {
		return
	}
	if r.Err == ingress.ErrStopped {
		r.Err = errClosed // only to who is in the same process is it the end
	}
	if w.faults.happen(FaultLostAnswer) || w.clock < w.cuts[toClient] {
		w.trace.line(w.clock, "fault: the answer to request %d is lost", c.number)
		w.after(w.brief(breakMax), nil, func() { c.end(msg.Reply{Err: errBroken}) })
		return
	}
	w.after(w.underWay(), nil, func() { c.end(r) })
}

// end gives the client an answer, unless it has one.
func (c *call) end(r msg.Reply) {
	if c.ended {
		return
	}
	c.ended, c.reply = true, r
	w := c.world
	w.calls = slices.DeleteFunc(w.calls, func(o *call) bool { return o == c })
	if r.Err == nil {
		w.result.Answers++
	}
	if w.trace.on() {
		w.trace.line(w.clock, "%s: answer %d, %s", c.client.Name, c.number, described(&r))
	}
	c.client.resume()
}

func described(r *msg.Reply) string {
	if r.Err != nil {
		return r.Err.Error()
	}
	return string(r.Payload.Body)
}

// giveUp ends the waiting of the client, and tells the node.
func (c *call) giveUp(err *msg.Error) {
	if c.ended {
		return
	}
	if c.leave != nil {
		c.leave()
	}
	c.end(msg.Reply{Err: err})
}

// breakCalls lets clients notice, soon, that the process has died that they
// wait for.
func (w *World) breakCalls() {
	for _, c := range w.calls {
		if c.leave != nil {
			c.leave = nil
			w.after(w.brief(10*time.Millisecond), nil, func() { c.end(msg.Reply{Err: errBroken}) })
		}
	}
}

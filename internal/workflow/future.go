package workflow

import (
	"slices"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// Future is what something that was asked for will come to.
type Future struct {
	kind     msg.StepKind // 0: of a coroutine, or a signal
	shielded bool         // cancellation does not reach what was asked
	done     bool
	gone     bool // cancellation has taken back what was asked; nothing will come
	payload  msg.Payload
	err      *msg.Error
	due      msg.Time // of a timer
	signal   *signal  // that it takes a signal from, when somebody looks
	waiters  []*coroutine
	waiter   [1]*coroutine // room for the usual one
}

// Outcome is what the future has come to. It may be asked for once it is ready.
func (f *Future) Outcome() (msg.Payload, *msg.Error) { return f.payload, f.err }

// Completed is a future whose outcome is there: nothing, or an error.
func Completed(err *msg.Error) *Future { return &Future{done: true, err: err} }

// complete is told the outcome.
func (f *Future) complete(payload msg.Payload, err *msg.Error) {
	f.done, f.payload, f.err = true, payload, err
	wakeAll(f.waiters)
	f.waiters = nil
}

// look says whether the outcome is there. A future of a signal takes the oldest
// one now: what nobody looks at takes nothing from others.
func (f *Future) look() bool {
	if !f.done && f.signal != nil && len(f.signal.queue) > 0 {
		f.done, f.payload = true, f.signal.take()
	}
	return f.done
}

// external says whether something from outside can make it ready.
func (f *Future) external() bool { return f.kind != 0 || f.signal != nil }

func (f *Future) join(c *coroutine) {
	if f.signal != nil {
		f.signal.waiters = append(f.signal.waiters, c)
		return
	}
	if f.waiters == nil {
		f.waiters = f.waiter[:0]
	}
	f.waiters = append(f.waiters, c)
}

func (f *Future) leave(c *coroutine) {
	list := &f.waiters
	if f.signal != nil {
		list = &f.signal.waiters
	}
	if i := slices.Index(*list, c); i >= 0 {
		*list = slices.Delete(*list, i, i+1)
	}
}

// queued is a signal that has arrived and was not received yet.
type queued struct {
	order   uint64
	payload msg.Payload
}

// signal is one name of signals.
type signal struct {
	queue   []queued
	waiters []*coroutine
}

func (s *signal) arrive(q queued) {
	s.queue = append(s.queue, q)
	wakeAll(s.waiters)
}

func (s *signal) take() msg.Payload {
	p := s.queue[0].payload
	s.queue[0] = queued{}
	s.queue = s.queue[1:]
	return p
}

func (r *run) signal(name string) *signal {
	if r.signals == nil {
		r.signals = map[string]*signal{}
	}
	s := r.signals[name]
	if s == nil {
		s = new(signal)
		r.signals[name] = s
	}
	return s
}

// wait blocks the coroutine until look says that there is reason to go on, or
// until the workflow is cancelled. What is there is not waited for: it is given
// to a cancelled workflow as well.
func (x *Context) wait(on []*Future, look func() bool) *msg.Error {
	r := x.live()
	if over, err := x.over(on, look); over {
		return err
	}
	c := r.current
	c.waits = on
	for _, f := range on {
		f.join(c)
	}
	for {
		c.block()
		over, err := x.over(on, look)
		if !over {
			continue
		}
		for _, f := range on {
			f.leave(c)
		}
		c.waits = nil
		return err
	}
}

// over says whether a wait is over, and how.
func (x *Context) over(on []*Future, look func() bool) (bool, *msg.Error) {
	cancelled := x.run.cancelled && !x.shielded
	if x.run.cancelled && x.shielded {
		for _, f := range on {
			if f.gone && !f.done {
				f.complete(msg.Payload{}, errCancelled())
			}
		}
	}
	switch {
	case look():
		return true, nil
	case cancelled:
		return true, errCancelled()
	}
	return false, nil
}

// Await waits for one future.
func (x *Context) Await(f *Future) *msg.Error {
	c := x.live().current
	c.wait[0] = f
	return x.wait(c.wait[:], f.look)
}

// Select waits until one of the futures is ready and gives its place; the first
// in order if there are several.
func (x *Context) Select(of []*Future) (chosen int, err *msg.Error) {
	err = x.wait(of, func() bool {
		chosen = slices.IndexFunc(of, (*Future).look)
		return chosen >= 0
	})
	return chosen, err
}

// All waits until all futures have succeeded, or one has failed, and gives that
// one's place; -1 if none has.
func (x *Context) All(of []*Future) (failed int, err *msg.Error) {
	err = x.wait(of, func() bool {
		ready := 0
		failed = -1
		for i, f := range of {
			switch {
			case !f.look():
			case f.err == nil:
				ready++
			case failed < 0:
				failed = i
			}
		}
		return failed >= 0 || ready == len(of)
	})
	return failed, err
}

// Any waits until one of the futures has succeeded, and gives its place; -1 if
// all have failed.
func (x *Context) Any(of []*Future) (first int, err *msg.Error) {
	err = x.wait(of, func() bool {
		ready := 0
		for i, f := range of {
			if !f.look() {
				continue
			}
			if ready++; f.err == nil {
				first = i
				return true
			}
		}
		first = -1
		return ready == len(of)
	})
	return first, err
}

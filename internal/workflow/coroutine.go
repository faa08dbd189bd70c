package workflow

import (
	"fmt"
	"iter"
	"runtime"
	"runtime/debug"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// coroutine is one strand of a workflow. It runs inside of resume, and only
// there.
type coroutine struct {
	run   *run
	body  func()
	next  func() (struct{}, bool) // nil: it has not begun
	yield func(struct{}) bool
	waits []*Future  // what it waits for
	wait  [1]*Future // room for the usual one

	ready   bool // it has a reason to go on
	done    bool
	held    bool // user code has panicked or ended the goroutine, which is held in its last deferred call
	inspect bool // asked where it waits
	where   string
}

// resume lets the coroutine run until it waits or ends.
func (c *coroutine) resume() {
	if c.next == nil {
		c.next, _ = iter.Pull(c.begin)
	}
	c.run.current = c
	_, more := c.next()
	c.run.current = nil
	c.done = !more
}

func (c *coroutine) begin(yield func(struct{}) bool) {
	c.yield = yield
	returned := false
	defer func() {
		if !returned {
			c.broken(recover())
		}
	}()
	c.body()
	returned = true
}

// broken is where a coroutine comes to that does not return: by a panic, or by
// runtime.Goexit, which would end the goroutine that called resume, too. One may
// hide the other. So the coroutine stays in this deferred call until release.
func (c *coroutine) broken(panicked any) {
	r := c.run
	c.held, c.waits = true, nil
	switch {
	case r.dead: // it is being unwound; what deferred code panics with is nobody's business
	case panicked == nil:
		r.failure = fmt.Errorf("workflow %v: user code ended its goroutine with runtime.Goexit (t.FailNow does, too); return an error instead", r.target)
	default:
		r.panicked(panicText(panicked), string(debug.Stack()))
	}
	c.yield(struct{}{})
}

// block waits until the coroutine is resumed. If the run has been thrown away
// meanwhile, that is the end of it: deferred user code runs, and cannot stop it
// as it could stop a panic.
func (c *coroutine) block() {
	for {
		c.yield(struct{}{})
		if c.run.dead {
			runtime.Goexit()
		}
		if !c.inspect {
			return
		}
		c.inspect, c.where = false, userLine()
	}
}

// unwind ends the coroutine. It may take as long as deferred user code takes.
func (c *coroutine) unwind() {
	if c.done || c.next == nil {
		return
	}
	if !c.held {
		c.resume()
	}
	go c.next() // ends this goroutine, too
}

// spawn adds a coroutine. It begins when those before it wait.
func (r *run) spawn(body func()) *coroutine {
	c := &coroutine{run: r, body: body, ready: true}
	r.coroutines = append(r.coroutines, c)
	r.ready++
	return c
}

func (c *coroutine) wake() {
	if !c.ready {
		c.ready = true
		c.run.ready++
	}
}

// proceed runs the coroutines, one at a time in the order in which they were
// made, again and again until all of them wait or the run is over.
func (r *run) proceed() {
	for r.ready > 0 {
		for i := 0; i < len(r.coroutines); i++ {
			c := r.coroutines[i]
			if !c.ready {
				continue
			}
			c.ready = false
			r.ready--
			c.resume()
			if r.failure != nil || r.ended {
				return
			}
		}
	}
	r.forgetDone()
	if !r.waitsForSomething() {
		r.failure = r.stuck()
	}
}

// forgetDone drops coroutines that have ended.
func (r *run) forgetDone() {
	kept := r.coroutines[:0]
	for _, c := range r.coroutines {
		if !c.done {
			kept = append(kept, c)
		}
	}
	clear(r.coroutines[len(kept):])
	r.coroutines = kept
}

func (r *run) begun() bool {
	for _, c := range r.coroutines {
		if c.next != nil && !c.done {
			return true
		}
	}
	return false
}

// waitsForSomething says whether anything from outside can make the run go on.
// A run that has not been begun waits for that.
func (r *run) waitsForSomething() bool {
	for _, c := range r.coroutines {
		for _, f := range c.waits {
			if f.external() {
				return true
			}
		}
	}
	return len(r.coroutines) == 0
}

// stuck says where the coroutines of a run wait that nothing can make go on.
func (r *run) stuck() error {
	places := ""
	for _, at := range r.waiting() {
		places += "; it waits at " + at
	}
	return fmt.Errorf("workflow %v waits for what can never come: no step that it asked for is open and it receives no signal%s", r.target, places)
}

// waiting gives the source lines at which the coroutines wait.
func (r *run) waiting() (places []string) {
	for _, c := range r.coroutines {
		if c.done || c.held || c.next == nil {
			continue
		}
		c.inspect = true
		c.resume()
		places = append(places, c.where)
	}
	return places
}

// panicked is told that a coroutine has panicked.
func (r *run) panicked(text, stack string) {
	if !r.definition.PanicFails {
		r.failure, r.stack = fmt.Errorf("panic in workflow %v: %s", r.target, text), stack
		return
	}
	if !r.replaying {
		r.logger.Error("workflow panicked", "kind", r.target.Kind, "key", r.target.Key, "panic", text, "stack", stack)
	}
	err := msg.Errorf(msg.CodePanic, msg.ClassFailed, "panic in workflow %v: %s", r.target, text)
	if r.closing {
		r.finish(msg.Payload{}, err)
		return
	}
	r.spawn(func() { r.conclude(msg.Payload{}, err) })
}

// panicText prints what a panic carried, which may itself panic when printed.
func panicText(p any) (text string) {
	defer func() {
		if recover() != nil {
			text = fmt.Sprintf("a value of type %T that cannot be printed", p)
		}
	}()
	return fmt.Sprint(p)
}

package workflow

import (
	"fmt"
	"iter"
	"runtime/debug"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// swallowedMax is how often a coroutine that is being unwound may catch the
// panic that unwinds it and ask for something again, before it is abandoned.
// Deferred calls that ask are many at most; a loop that recovers is for ever.
const swallowedMax = 100

// unwound is what unwinds a coroutine of a run that is thrown away.
type unwound struct{}

func (unwound) String() string {
	return "holdfast: the workflow is being moved out of memory; let this panic pass"
}

// coroutine is one strand of a workflow. It runs inside of resume, and only
// there.
type coroutine struct {
	run   *run
	body  func()
	next  func() (struct{}, bool) // nil: it has not begun
	yield func(struct{}) bool
	waits []*Future // what it waits for

	ready     bool // it has a reason to go on
	done      bool
	exited    bool // user code has ended the goroutine, which is held in its last deferred call
	inspect   bool // asked where it waits
	where     string
	swallowed int
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

// broken is where a coroutine ends that has not returned: by a panic, or without
// one by runtime.Goexit. The latter would end the goroutine that called resume,
// too; so the coroutine stays in this deferred call until release.
func (c *coroutine) broken(panicked any) {
	r := c.run
	switch {
	case panicked == nil:
		c.exited = true
		if !r.dead {
			r.failure = fmt.Errorf("workflow %v: user code ended its goroutine with runtime.Goexit (t.FailNow does, too); return an error instead", r.target)
		}
		c.yield(struct{}{})
	case r.dead: // unwound; whatever deferred code panicked with then
	default:
		r.panicked(panicText(panicked), string(debug.Stack()))
	}
}

// release lets a coroutine end that has exited, and with it the goroutine that
// calls release.
func (c *coroutine) release() { c.next() }

// block waits until the coroutine is resumed. If the run has been thrown away
// meanwhile, it panics.
func (c *coroutine) block() {
	for {
		c.yield(struct{}{})
		if c.run.dead {
			panic(unwound{})
		}
		if !c.inspect {
			return
		}
		c.inspect, c.where = false, userLine()
	}
}

// unwindAgain is called where user code asks for something although it is being
// unwound.
func (c *coroutine) unwindAgain() {
	c.swallowed++
	if c.swallowed > swallowedMax {
		c.yield(struct{}{}) // for ever: nobody resumes it
	}
	panic(unwound{})
}

// unwind ends the coroutine. It may take as long as deferred user code takes.
func (c *coroutine) unwind() {
	if c.done || c.next == nil {
		return
	}
	if !c.exited {
		c.resume()
	}
	switch {
	case c.exited:
		go c.release()
	case !c.done:
		c.run.runtime.counts.abandoned.Add(1)
	}
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
		if c.done || c.exited || c.next == nil {
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

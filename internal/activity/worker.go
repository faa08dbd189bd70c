package activity

import (
	"github.com/holdfast-io/holdfast/internal/msg"
)

// idleMax is how many goroutines stay for attempts to come: a burst of short
// ones needs few, and what they keep in stacks is about half a megabyte.
const idleMax = 64

// wake sees to it that somebody looks for what is ready. One is woken at a
// time, and wakes the next: while attempts do not wait for anything, few
// goroutines make them all. The lock is held.
func (p *Pool) wake() {
	if p.starting || p.closed || len(p.ready) == 0 || p.running >= p.config.RunningMax {
		return
	}
	p.starting = true
	if p.idle > 0 {
		p.work.Signal()
		return
	}
	p.workers++
	go p.run()
}

// run makes attempts, one after the other.
func (p *Pool) run() {
	var current *attempt
	defer func() { p.quit(recover(), current) }()
	for fresh := true; ; fresh = false {
		if current = p.next(fresh); current == nil {
			return
		}
		outcome := current.perform()
		p.end(current, outcome)
	}
}

// next waits for an attempt; nil is for a goroutine that is to end. Fresh is one
// that was begun by wake.
func (p *Pool) next(fresh bool) *attempt {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.starting = p.starting && !fresh
	for !p.closed {
		if a := p.take(); a != nil {
			p.wake()
			p.begin(a)
			return a
		}
		if p.idle >= idleMax {
			return nil
		}
		p.idle++
		p.work.Wait()
		p.idle--
		p.starting = false
	}
	return nil
}

// quit forgets a goroutine that ends. One whose attempt ended it has an outcome
// to be told. A panic does not come from an activity, it is a bug and goes on.
func (p *Pool) quit(bug any, a *attempt) {
	if bug != nil {
		panic(bug)
	}
	if a != nil {
		p.end(a, a.fault(msg.CodePanic, msg.ClassFailed,
			"runtime.Goexit: activity %s ended its goroutine; return an error instead", a.run.Task.Activity))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.workers--
	p.wake()
	p.vacate()
}

// end tells what an attempt came to, and gives its room to others. Nobody waits
// for one that was left behind.
func (p *Pool) end(a *attempt, outcome *msg.TaskOutcome) {
	if !p.finish(a) {
		return
	}
	outcome = a.judge(outcome)
	a.cancel()
	a.tell(outcome)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forget(a)
	a.count(outcome)
	p.release(a)
}

// finish notes that an attempt has returned, and says whether somebody waits
// for it.
func (p *Pool) finish(a *attempt) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if a.timer != nil {
		a.timer.Stop()
	}
	if a.state == stateLeft {
		delete(p.left, a)
		a.line.stats.LeftBehind--
		p.full = p.full && len(p.left) > p.config.LeftBehindMax/2 // not an error for each that comes and goes
		return false
	}
	a.state = stateEnded
	return true
}

package executor

import (
	"time"
)

// watch looks at the executors every half of the time after which one is
// written off: a handler is noticed after at most one and a half times that.
func (p *Pool) watch() {
	defer close(p.ended)
	interval := p.config.WriteOffAfter / 2
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-ticker.C:
			p.look(interval)
		}
	}
}

// look writes off, warns about, and abandons what has run too long. Others are
// told without the lock: a log may be slow.
func (p *Pool) look(interval time.Duration) {
	now := p.ticks.Add(1)
	late, refused := p.findLate(now, interval)
	if refused {
		p.config.Logger.Error("too many handlers have not returned: others wait until some do",
			"written_off", p.config.WrittenOffMax, "cure", "handlers must not wait; put waiting and long work into an activity")
	}
	for _, e := range late {
		t, age := e.current.Load(), time.Duration(e.age(now))*interval
		if t == nil {
			continue // it has returned
		}
		if age > p.config.WarnAfter && e.warned != t {
			e.warned = t
			p.warn(t, age)
		}
		if age > p.config.AbandonAfter && e.gone != t {
			e.gone = t
			p.abandon(e, t)
		}
	}
}

// findLate writes off what has run too long, and lists what is written off.
// Refused says that one could not be written off, the first time.
func (p *Pool) findLate(now uint32, interval time.Duration) (late []*executor, refused bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for e := range p.active {
		if time.Duration(e.age(now))*interval <= p.config.WriteOffAfter {
			continue
		}
		if len(p.written) < p.config.WrittenOffMax {
			p.writeOff(e)
			continue
		}
		refused = refused || !p.full
		p.full = true
		late = append(late, e)
	}
	for e := range p.written {
		late = append(late, e)
	}
	return late, refused
}

// age is for how many ticks the executor has been in its handler.
func (e *executor) age(now uint32) uint32 {
	if began := e.began.Load(); began > 0 {
		return now + 1 - began
	}
	return 0
}

// writeOff takes an executor out of the pool and puts another in its place. It
// comes to its end when its handler returns; its outcome counts. Nobody waits
// for it at Close.
func (p *Pool) writeOff(e *executor) {
	e.off = true
	delete(p.active, e)
	p.written[e] = struct{}{}
	if p.closed {
		p.vacate()
		return
	}
	p.replaced++
	p.start()
}

func (p *Pool) warn(t *task, age time.Duration) {
	m := t.turn.Message
	p.config.Logger.Warn("a handler has not returned: only its own entity waits; handlers must not wait, put waiting and long work into an activity",
		"kind", m.Target.Kind, "key", m.Target.Key, "handler", m.Handler, "invocation", m.Invocation.String(), "after", age)
}

// abandon gives a run up: its entity goes on without it. The executor runs
// nothing else, because its context has ended.
func (p *Pool) abandon(e *executor, t *task) {
	p.mu.Lock()
	e.off = true
	p.abandoned++
	p.mu.Unlock()
	e.cancel()
	p.config.Abandon(t.partition, t.turn.Run)
}

package executor

import (
	"time"
)

// watch looks at the executors every half of the time after which one is
// written off: a handler is noticed after at most one and a half times that.
func (p *Pool) watch() {
	defer p.ended.Done()
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

// look writes off, warns about, and abandons what has run too long.
func (p *Pool) look(interval time.Duration) {
	now := p.ticks.Add(1)
	p.mu.Lock()
	defer p.mu.Unlock()
	for e := range p.active {
		if time.Duration(e.age(now))*interval > p.config.WriteOffAfter {
			p.writeOff(e)
		}
	}
	for e := range p.written {
		age := time.Duration(e.age(now)) * interval
		if age > p.config.WarnAfter && !e.warned {
			e.warned = true
			p.warn(e, age)
		}
		if age > p.config.AbandonAfter && !e.gone {
			e.gone = true
			p.abandon(e)
		}
	}
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
	if len(p.written) >= p.config.WrittenOffMax {
		if p.refused.Add(1) == 1 {
			p.config.Logger.Error("too many handlers have not returned: others wait until some do",
				"written_off", len(p.written), "cure", "handlers must not wait; put waiting and long work into an activity")
		}
		return
	}
	e.off = true
	delete(p.active, e)
	p.written[e] = struct{}{}
	p.replaced.Add(1)
	p.ended.Done()
	if !p.closed {
		p.start()
	}
}

func (p *Pool) warn(e *executor, age time.Duration) {
	if t := e.current.Load(); t != nil {
		m := t.turn.Message
		p.config.Logger.Warn("a handler has not returned: only its own entity waits; handlers must not wait, put waiting and long work into an activity",
			"kind", m.Target.Kind, "key", m.Target.Key, "handler", m.Handler, "invocation", m.Invocation.String(), "after", age)
	}
}

func (p *Pool) abandon(e *executor) {
	p.abandoned.Add(1)
	e.cancel()
	if t := e.current.Load(); t != nil {
		p.config.Abandon(t.partition, t.turn.Run)
	}
}

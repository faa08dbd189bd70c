package executor

import "time"

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

// late is a handler that has not returned, as it was when somebody looked.
type late struct {
	executor      *executor
	task          Task
	age           time.Duration
	warn, abandon bool
}

// look writes off, warns about, and abandons what has run too long. Others are
// told without the lock: a log may be slow.
func (p *Pool) look(interval time.Duration) {
	found, refused := p.findLate(p.ticks.Add(1), interval)
	if refused {
		p.config.Logger.Error("too many handlers have not returned: others wait until some do",
			"written_off", p.config.WrittenOffMax, "cure", "handlers must not wait; put waiting and long work into an activity")
	}
	for _, l := range found {
		if l.warn {
			p.warn(l.task, l.age)
		}
		if l.abandon {
			l.executor.cancel()
			p.config.Abandon(l.task)
		}
	}
}

// findLate writes off what has run too long, and lists what there is to tell.
// Refused says that one could not be written off, the first time.
func (p *Pool) findLate(now uint32, interval time.Duration) (found []late, refused bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for e := range p.active {
		age := e.age(now, interval)
		switch {
		case age <= p.config.WriteOffAfter:
			continue
		case len(p.written) < p.config.WrittenOffMax:
			p.writeOff(e)
		default:
			refused = refused || !p.full
			p.full = true
			found = p.judge(e, age, found)
		}
	}
	for e := range p.written {
		found = p.judge(e, e.age(now, interval), found)
	}
	return found, refused
}

// judge adds a handler of some age to what was found, if there is something to
// tell. An executor that was told to give up takes no other task, because its
// context ends. The lock is held.
func (p *Pool) judge(e *executor, age time.Duration, found []late) []late {
	l := late{e, e.task, age, age > p.config.WarnAfter && !e.warned, age > p.config.AbandonAfter && !e.gone && e.settle()}
	if !l.warn && !l.abandon {
		return found
	}
	e.warned = e.warned || l.warn
	if l.abandon {
		e.gone, e.off = true, true
		p.abandoned++
	}
	return append(found, l)
}

// age is for how long the executor has been in its handler.
func (e *executor) age(now uint32, interval time.Duration) time.Duration {
	if began := e.began.Load(); began > 0 {
		return time.Duration(now+1-began) * interval
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

func (p *Pool) warn(t Task, age time.Duration) {
	m := t.Turn.Message
	p.config.Logger.Warn("a handler has not returned: only its own entity waits; handlers must not wait, put waiting and long work into an activity",
		"kind", m.Target.Kind, "key", m.Target.Key, "handler", m.Handler, "invocation", m.Invocation.String(), "after_ms", age.Milliseconds())
}

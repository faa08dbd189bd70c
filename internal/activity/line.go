package activity

// line is where the attempts of one activity wait for room, and what is known
// of them. It is guarded by the pool's lock.
type line struct {
	limit            int  // attempts at once; 0: none
	remote           bool // attempts are made in another process
	waiting, running list
	listed           bool // in the pool's list of lines that are ready
	stats            ActivityStats
}

// room says that one more attempt may run.
func (l *line) room() bool { return l.limit == 0 || l.running.length < l.limit }

// list is a list of attempts, each of which is in one list at most.
type list struct {
	first, last *attempt
	length      int
}

func (l *list) push(a *attempt) {
	a.before = l.last
	if l.last == nil {
		l.first = a
	} else {
		l.last.after = a
	}
	l.last = a
	l.length++
}

func (l *list) remove(a *attempt) {
	if a.before == nil {
		l.first = a.after
	} else {
		a.before.after = a.after
	}
	if a.after == nil {
		l.last = a.before
	} else {
		a.after.before = a.before
	}
	a.before, a.after = nil, nil
	l.length--
}

// list puts a line behind those that are ready, if it is; the lock is held.
func (p *Pool) list(l *line) {
	if !l.listed && l.waiting.length > 0 && l.room() {
		l.listed = true
		p.ready = append(p.ready, l)
	}
}

// take gives the next attempt its room; nil: there is none, or no room. The
// lock is held.
func (p *Pool) take() *attempt {
	for len(p.ready) > 0 && p.running < p.config.RunningMax {
		l := p.ready[0]
		if p.ready = p.ready[1:]; len(p.ready) == 0 {
			p.ready = p.readyRoom[:0] // the usual case: all attempts are of one activity
		}
		l.listed = false
		a := l.waiting.first
		if a == nil {
			continue // what waited was interrupted
		}
		l.waiting.remove(a)
		l.running.push(a)
		p.occupy(l, 1)
		p.list(l)
		return a
	}
	return nil
}

// occupy counts attempts of a line among those that run here.
func (p *Pool) occupy(l *line, by int) {
	if !l.remote {
		p.running += by
	}
}

// release gives the room of an attempt to others; the lock is held.
func (p *Pool) release(a *attempt) {
	a.line.running.remove(a)
	p.occupy(a.line, -1)
	p.list(a.line)
	p.wake()
}

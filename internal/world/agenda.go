package world

import "time"

// event is something that will happen.
type event struct {
	at      time.Duration // virtual time, since the world began
	order   uint64        // of planning, for events at one time
	process *process      // whose it is; it dies with it. nil: the world's
	do      func()
}

func (e *event) before(o *event) bool {
	return e.at < o.at || e.at == o.at && e.order < o.order
}

// agenda holds events by time: a heap, whose first is the next.
type agenda struct {
	events []event
	order  uint64
}

func (a *agenda) plan(at time.Duration, p *process, do func()) {
	a.order++
	a.put(event{at, a.order, p, do})
}

// put adds an event, or puts one back.
func (a *agenda) put(e event) {
	a.events = append(a.events, e)
	for child := len(a.events) - 1; child > 0; {
		parent := (child - 1) / 2
		if !a.events[child].before(&a.events[parent]) {
			return
		}
		a.events[child], a.events[parent] = a.events[parent], a.events[child]
		child = parent
	}
}

// next takes the first event.
func (a *agenda) next() (first event, ok bool) {
	last := len(a.events) - 1
	if last < 0 {
		return event{}, false
	}
	first, a.events[0] = a.events[0], a.events[last]
	a.events[last] = event{}
	a.events = a.events[:last]
	a.sink()
	return first, true
}

// sink puts the first event where it belongs.
func (a *agenda) sink() {
	for parent := 0; ; {
		child := 2*parent + 1
		if child >= len(a.events) {
			return
		}
		if right := child + 1; right < len(a.events) && a.events[right].before(&a.events[child]) {
			child = right
		}
		if !a.events[child].before(&a.events[parent]) {
			return
		}
		a.events[child], a.events[parent] = a.events[parent], a.events[child]
		parent = child
	}
}

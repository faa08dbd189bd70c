package world

import (
	"hash/fnv"
	"reflect"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// Exploration says how far Explore goes.
type Exploration struct {
	// Deviations is how often, in one schedule, something else may happen than
	// what is next.
	Deviations int
	// Crashes is how often, in one schedule, the process may die, between any two
	// of its events.
	Crashes int
	// Schedules bounds how many are run; 0 is no bound.
	Schedules int
}

// Explored is what an exploration has seen.
type Explored struct {
	Schedules int // that were run
	States    int // different ones, at the moments of choice
	Complete  bool
	Violation string
	Choices   []int // of the schedule that failed
}

// choice is a moment at which several things could happen next.
type choice struct {
	options int // the last one is a crash, if it may be
	taken   int
	crash   bool
	state   uint64
}

// script decides what happens next, and notes what else could have.
type script struct {
	prefix  []int
	choices []choice
	crashes int // that are left
}

const (
	// concurrent is how far apart things may lie that could as well happen the
	// other way around: what takes longer has a reason, such as a timer.
	concurrent = 3 * time.Millisecond
	// optionsMax is how many of them are considered: what is further behind comes
	// forward by more deviations.
	optionsMax = 4
)

// Explore runs a small world under all schedules within bounds: every order of
// what could happen at one time, and every moment of a crash. States that were
// seen with as much left to try are not tried again. Build makes the world of a
// config, each time the same.
func Explore(x Exploration, c Config, build func(Config) *World) (seen Explored) {
	states, tried := map[uint64]bool{}, map[uint64]bool{}
	for todo := [][]int{nil}; len(todo) > 0; {
		if x.Schedules > 0 && seen.Schedules == x.Schedules {
			seen.States = len(states)
			return seen
		}
		prefix := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		s := &script{prefix: prefix, crashes: x.Crashes}
		c.script = s
		seen.Schedules++
		if r := build(c).Run(); r.Violation != "" {
			seen.States, seen.Violation, seen.Choices = len(states), r.Violation, s.taken()
			return seen
		}
		todo = append(todo, s.others(x, states, tried)...)
	}
	seen.States, seen.Complete = len(states), true
	return seen
}

func (s *script) taken() (list []int) {
	for _, c := range s.choices {
		list = append(list, c.taken)
	}
	return list
}

// others lists the beginnings of schedules that have not been tried, from the
// moments behind the prefix.
func (s *script) others(x Exploration, states, tried map[uint64]bool) (list [][]int) {
	deviations, crashes := x.Deviations, x.Crashes
	for n := range s.choices {
		c := &s.choices[n]
		states[c.state] = true
		if left := mix(c.state, uint64(deviations)<<8|uint64(crashes)); n >= len(s.prefix) && !tried[left] {
			tried[left] = true
			for option := range c.options {
				crash := c.crash && option == c.options-1
				if option != c.taken && (crash && crashes > 0 || !crash && deviations > 0) {
					list = append(list, append(s.taken()[:n:n], option))
				}
			}
		}
		switch {
		case c.crash && c.taken == c.options-1:
			crashes--
		case c.taken > 0:
			deviations--
		}
	}
	return list
}

// choose picks one of the events that could happen next, or -1 for a crash.
func (s *script) choose(w *World) int {
	c := choice{options: w.agenda.choices()}
	if c.crash = s.crashes > 0 && w.process != nil && !w.calm; c.crash {
		c.options++
	}
	if c.options < 2 {
		return 0
	}
	if n := len(s.choices); n < len(s.prefix) {
		c.taken = s.prefix[n]
	}
	c.state = w.fingerprint()
	s.choices = append(s.choices, c)
	if c.crash && c.taken == c.options-1 {
		s.crashes--
		return -1
	}
	return c.taken
}

// choices is how many events could happen next. The first of them are put in
// order at the front.
func (a *agenda) choices() (count int) {
	var first []event
	for count < optionsMax && len(a.events) > 0 && (count == 0 || a.events[0].at <= first[0].at+concurrent) {
		e, _ := a.next()
		first = append(first, e)
		count++
	}
	for _, e := range first {
		a.put(e)
	}
	return count
}

// nth takes the n-th event, from 0.
func (a *agenda) nth(n int) (event, bool) {
	if n == 0 {
		return a.next()
	}
	var before []event
	for range n {
		e, _ := a.next()
		before = append(before, e)
	}
	taken, ok := a.next()
	for _, e := range before {
		a.put(e)
	}
	return taken, ok
}

// fingerprint is the same for states that go on in the same ways, as far as
// that can be seen: what is in the log, without times, what waits, and how far
// clients are.
func (w *World) fingerprint() uint64 {
	h := mix(uint64(w.watch.stored), uint64(w.result.Starts))
	for _, records := range w.watch.hashes {
		h = mix(h, records)
	}
	var pending uint64
	for i := range w.agenda.events {
		if e := &w.agenda.events[i]; e.process == nil || e.process == w.process {
			pending += mix(uint64(reflect.ValueOf(e.do).Pointer()), 1)
		}
	}
	h = mix(h, pending)
	for _, c := range w.calls {
		h = mix(h, mix(uint64(c.request.Operation), uint64(len(c.request.Payload.Body))))
	}
	if w.process == nil {
		return h
	}
	for i := range w.process.boxes {
		for n := range w.process.boxes[i].inputs {
			in := &w.process.boxes[i].inputs[n]
			h = mix(h, uint64(in.Kind)<<16|uint64(in.Partition)<<8|uint64(in.Command.Kind))
		}
	}
	return mix(h, uint64(len(w.process.executors.queue))<<8|uint64(w.process.executors.running))
}

// mix joins two numbers into one that shows neither.
func mix(a, b uint64) uint64 {
	a ^= b + 0x9e3779b97f4a7c15 + a<<6 + a>>2
	a ^= a >> 30
	a *= 0xbf58476d1ce4e5b9
	return a ^ a>>27
}

// hashOf is the hash of a record without its time.
func hashOf(r *msg.Record) uint64 {
	timeless := *r
	timeless.Time = 0
	h := fnv.New64a()
	_, _ = h.Write(msg.AppendRecord(nil, &timeless))
	return h.Sum64()
}

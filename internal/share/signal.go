package share

import "time"

// Signal wakes one goroutine. Any number of calls of Set that come before it
// wakes are one. Make it with NewSignal.
type Signal chan struct{}

// NewSignal makes a signal that is not set.
func NewSignal() Signal { return make(Signal, 1) }

// Set ends the wait that is going on, or the next one. It never blocks.
func (s Signal) Set() {
	select {
	case s <- struct{}{}:
	default:
	}
}

// Wait returns true once the signal was set or the time has passed, where 0 is
// for ever, and false once done is closed. The timer is used by nobody else.
func (s Signal) Wait(done <-chan struct{}, timer *time.Timer, limit time.Duration) bool {
	var passed <-chan time.Time
	if limit > 0 {
		timer.Reset(limit)
		passed = timer.C
	}
	select {
	case <-s:
	case <-passed:
	case <-done:
		return false
	}
	return true
}

package activity

import (
	"bytes"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// beatEvery is the least time between two heartbeats that are passed on: each
// is a record, and what an attempt that is tried again repeats is a second more.
const beatEvery = time.Second

// beats is what was heard of an attempt, under its lock.
type beats struct {
	detail msg.Payload // the last one
	fresh  bool        // it was not passed on yet
	passed time.Time   // when the last one was passed on
	known  msg.Payload // what the next attempt would be given
	timer  *time.Timer // passes the next one on; nil: it was never needed
}

func same(a, b msg.Payload) bool {
	return a.ContentType == b.ContentType && bytes.Equal(a.Body, b.Body)
}

// heartbeat is called by user code, from any goroutine and at any rate. Once
// the outcome is told it does nothing.
func (a *attempt) heartbeat(detail msg.Payload) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.hushed == hushAll {
		return
	}
	now := time.Now()
	a.sign.Store(int64(now.Sub(a.began)))
	b := &a.beats
	b.detail, b.fresh = detail, !same(detail, b.known)
	if !b.fresh {
		return // it is a sign, and nothing to be written down
	}
	switch wait := beatEvery - now.Sub(b.passed); {
	case wait <= 0:
		a.passOn()
	case b.timer == nil:
		b.timer = time.AfterFunc(wait, a.beat)
	default:
		b.timer.Reset(wait)
	}
}

// beat passes on what had to wait.
func (a *attempt) beat() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.hushed != hushAll {
		a.passOn()
	}
}

// passOn passes the last heartbeat on, if it was not; the attempt's lock is held.
func (a *attempt) passOn() {
	b := &a.beats
	if !b.fresh {
		return
	}
	b.fresh, b.passed, b.known = false, time.Now(), b.detail
	a.pool.config.Heartbeat(a.partition, &msg.TaskOutcome{
		Target: a.run.Target, Name: a.run.Task.Name(), Attempt: a.run.Task.Attempt, Output: b.detail})
}

package activity_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-io/holdfast/internal/activity"
	"github.com/holdfast-io/holdfast/internal/msg"
)

func timed(step msg.StepNumber, name string, timeout time.Duration) *msg.TaskRun {
	t := run(step, name)
	t.Task.Timeout = timeout
	return t
}

func TestTheContextOfAnAttemptEndsWithItsTime(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r := newRig(t, activity.Config{}, map[string]function{
			"obeys": func(c *call) error {
				deadline, ok := c.Deadline()
				if !ok || time.Until(deadline) != 2*time.Second {
					t.Errorf("its context says that it has %v (%v), want 2 s", time.Until(deadline), ok)
				}
				<-c.Done()
				return fmt.Errorf("query: %w", c.Err())
			},
			"final":    func(c *call) error { <-c.Done(); return msg.Errorf("own", msg.ClassFailed, "no") },
			"succeeds": func(c *call) error { <-c.Done(); time.Sleep(time.Second / 2); return nil },
			"forever": func(c *call) error {
				if _, ok := c.Deadline(); ok {
					t.Error("an attempt without a timeout has a deadline")
				}
				return sleep(time.Hour)(c)
			},
		})
		r.ask(timed(1, "obeys", 2*time.Second))
		r.ask(timed(2, "final", 2100*time.Millisecond))
		r.ask(timed(3, "succeeds", 2200*time.Millisecond))
		r.ask(run(4, "forever"))
		time.Sleep(time.Hour)
		r.want("0s begin 1", "0s begin 2", "0s begin 3", "0s begin 4", "2s done 1: deadline_exceeded, retryable",
			"2.1s done 2: own", "2.7s done 3", "1h0m0s done 4")
		if strings.Contains(r.logged(), "left behind") {
			t.Errorf("got %q of attempts that return", r.logged())
		}
		r.end()
	})
}

func TestAnAttemptThatDoesNotReturnIsLeftBehind(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r := newRig(t, activity.Config{RunningMax: 1, LeaveAfter: 3 * time.Second}, map[string]function{"deaf": deaf(10 * time.Second), "quick": quick})
		r.ask(timed(1, "deaf", 2*time.Second), run(2, "quick"))
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if got := r.trace(); len(got) != 4 || got[0] != "0s begin 1" {
			t.Errorf("got %v, want that the first is left behind and the second goes on", got)
		}
		r.wantNow(0, 0, 1)
		if got := r.logged(); !strings.Contains(got, `activity=deaf`) || !strings.Contains(got, `reason="it had 2s"`) {
			t.Errorf("got %q in the log, want which activity it was and why", got)
		}
		again := timed(1, "deaf", 2*time.Second)
		again.Task.Attempt = 2
		r.ask(again) // as the engine does
		time.Sleep(5 * time.Second)
		r.want("5s begin 1", "10s done 1: deadline_exceeded, retryable")
		r.wantNow(0, 0, 1)
		time.Sleep(5 * time.Second)
		r.want()
		if s := r.Stats(); s.LeftBehind != 0 || s.Activities[0].TimedOut != 2 || s.Activities[0].Succeeded != 0 {
			t.Errorf("got %+v, want that a late outcome does not count", s)
		}
		r.end()
	})
}

func TestWhatWasInterruptedAndDoesNotReturnIsLeftBehind(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r := newRig(t, activity.Config{RunningMax: 1}, map[string]function{"deaf": deaf(10 * time.Second), "quick": quick})
		r.ask(run(1, "deaf"), run(2, "quick"))
		r.interrupt(1)
		r.want("0s begin 1")
		time.Sleep(time.Second)
		r.want("1s begin 2", "1s done 2")
		r.wantNow(0, 0, 1)
		time.Sleep(time.Hour)
		r.want()
		if s := r.Stats().Activities[0]; s.Interrupted != 1 || s.TimedOut != 0 {
			t.Errorf("got %+v, want one that was interrupted", s)
		}
		r.end()
	})
}

func TestHowManyAreLeftBehindIsBounded(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r := newRig(t, activity.Config{RunningMax: 2, LeftBehindMax: 1}, map[string]function{"deaf": deaf(10 * time.Second), "quick": quick})
		r.ask(timed(1, "deaf", time.Second))
		r.ask(timed(2, "deaf", 1500*time.Millisecond))
		r.ask(timed(3, "deaf", 30*time.Second), run(4, "quick"))
		time.Sleep(9 * time.Second)
		r.want("0s begin 1", "0s begin 2", "2s done 1: deadline_exceeded, retryable", "2s begin 3")
		r.wantNow(2, 1, 1)
		if got := strings.Count(r.logged(), "level=ERROR"); got != 1 {
			t.Errorf("%d errors in the log, want one:\n%s", got, r.logged())
		}
		time.Sleep(10 * time.Second) // the second returns: late, and nobody was told before
		r.want("10s done 2", "10s begin 4", "10s done 4", "12s done 3")
		r.end()
	})
}

func TestAnAttemptThatIsNotHeardOfHasLostItsTime(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r := newRig(t, activity.Config{}, map[string]function{
			"fades": func(c *call) error {
				for n := range 4 {
					time.Sleep(4 * time.Second)
					c.beat(fmt.Sprint("page ", n/2)) // the second says nothing new
				}
				<-c.Done()
				if deadline, ok := c.Deadline(); ok {
					t.Errorf("it was told to end at %v", deadline)
				}
				return errors.New("gone")
			},
			"deaf": deaf(time.Minute),
		})
		task := run(1, "fades")
		task.Task.Heartbeat, task.Task.Detail.Body = 5*time.Second, []byte("page 0") // of the attempt before
		r.ask(task)
		time.Sleep(time.Minute)
		r.want("0s begin 1", "12s heartbeat 1: page 1", "21s done 1: deadline_exceeded, retryable")
		task = timed(2, "deaf", 7*time.Second)
		task.Task.Heartbeat = 5 * time.Second
		r.ask(task)
		task = timed(3, "deaf", 4*time.Second)
		task.Task.Heartbeat = 5 * time.Second
		r.ask(task)
		time.Sleep(time.Minute)
		r.want("1m0s begin 2", "1m0s begin 3", "1m5s done 3: deadline_exceeded, retryable", "1m6s done 2: deadline_exceeded, retryable")
		if got := r.logged(); !strings.Contains(got, `reason="it was not heard of for 5s"`) || !strings.Contains(got, `reason="it had 4s"`) {
			t.Errorf("got %q in the log, want both reasons", got)
		}
		r.end()
	})
}

func TestHeartbeatsArePassedOnOnceASecondAndTheLastBeforeTheOutcome(t *testing.T) {
	inTime(t, func(t *testing.T) {
		var stray func(string)
		r := newRig(t, activity.Config{}, map[string]function{
			"busy": func(c *call) error {
				stray = c.beat
				for n := range 26 {
					c.beat(fmt.Sprint(n))
					time.Sleep(110 * time.Millisecond)
				}
				time.Sleep(5 * time.Second)
				c.beat("slow")
				c.beat("last")
				return errors.New("no")
			},
		})
		r.ask(run(1, "busy"))
		time.Sleep(time.Minute)
		r.want("0s begin 1", "0s heartbeat 1: 0", "1s heartbeat 1: 9", "2s heartbeat 1: 18", "3s heartbeat 1: 25",
			"7.86s heartbeat 1: slow", "7.86s heartbeat 1: last", "7.86s done 1: failed, retryable")
		stray("too late")
		time.Sleep(time.Minute)
		r.want()
		r.end()
	})
}

func TestWhatWasHeardOfAnAttemptThatIsLeftBehindIsPassedOnBeforeItsOutcome(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r := newRig(t, activity.Config{LeaveAfter: 100 * time.Millisecond}, map[string]function{
			"deaf": func(c *call) error { c.beat("a"); c.beat("b"); time.Sleep(time.Minute); c.beat("c"); return nil },
		})
		r.ask(timed(1, "deaf", 300*time.Millisecond))
		time.Sleep(time.Hour)
		r.want("0s begin 1", "0s heartbeat 1: a", "400ms heartbeat 1: b", "400ms done 1: deadline_exceeded, retryable")
		r.end()
	})
}

func TestTheDeadlineOfATaskBoundsItsAttempts(t *testing.T) {
	inTime(t, func(t *testing.T) {
		ahead := func() time.Time { return time.Now().Add(time.Hour) } // as the node's clock may be
		r := newRig(t, activity.Config{RunningMax: 1, Now: ahead}, map[string]function{"slow": sleep(time.Minute)})
		first, second := timed(1, "slow", 30*time.Second), run(2, "slow")
		first.Task.Deadline = msg.TimeOf(ahead().Add(10 * time.Second))
		second.Task.Deadline = msg.TimeOf(ahead().Add(9 * time.Second))
		r.ask(first, second)
		time.Sleep(time.Minute)
		r.want("0s begin 1", "10s done 1: deadline_exceeded, retryable", "10s done 2: deadline_exceeded, retryable")
		r.end()
	})
}

func TestCloseWaitsForAttempts(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r := newRig(t, activity.Config{RunningMax: 1}, map[string]function{"slow": sleep(time.Minute)})
		r.ask(run(1, "slow"), run(2, "slow"))
		began := time.Now()
		if err := r.Close(t.Context()); err != nil || time.Since(began) != time.Minute {
			t.Errorf("close: got %v after %v, want the end of what runs", err, time.Since(began))
		}
		r.ask(run(3, "slow"))
		r.want("0s begin 1", "1m0s done 1")
		r.wantNow(0, 0, 0)
	})
}

func TestCloseEndsContextsAndCountsSuccessesOnly(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r := newRig(t, activity.Config{}, map[string]function{
			"obeys": sleep(time.Hour),
			"succeeds": func(c *call) error {
				c.beat("a")
				c.beat("b")
				<-c.Done()
				time.Sleep(10 * time.Millisecond)
				return nil
			},
			"deaf": deaf(time.Hour),
		})
		r.ask(run(1, "obeys"))
		r.ask(run(2, "succeeds"))
		r.ask(run(3, "deaf"))
		r.ask(run(4, "deaf"))
		r.interrupt(4)
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		began := time.Now()
		err := r.Close(ctx)
		if took := time.Since(began); took != 600*time.Millisecond {
			t.Errorf("Close took %v, want what it was given and a moment", took)
		}
		if err == nil || !strings.Contains(err.Error(), "2 activities") {
			t.Errorf("close: got %v, want an error that counts 2 activities", err)
		}
		r.wantNow(0, 0, 2)
		time.Sleep(2 * time.Hour)
		r.want("0s begin 1", "0s begin 2", "0s heartbeat 2: a", "0s begin 3", "0s begin 4", "510ms heartbeat 2: b", "510ms done 2")
		r.wantNow(0, 0, 0)
	})
}

func TestCloseDoesNotWaitForWhatIsLeftBehind(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r := newRig(t, activity.Config{}, map[string]function{"deaf": deaf(time.Hour)})
		r.ask(timed(1, "deaf", time.Second), timed(2, "deaf", 10*time.Second))
		time.Sleep(3 * time.Second)
		synctest.Wait()
		began := time.Now()
		err := r.Close(t.Context())
		if took := time.Since(began); err == nil || !strings.Contains(err.Error(), "2 activities") || took != 8*time.Second {
			t.Errorf("close: got %v after %v, want two that are left behind, once the second is", err, took)
		}
		time.Sleep(time.Hour)
		r.want("0s begin 1", "0s begin 2", "2s done 1: deadline_exceeded, retryable", "11s done 2: deadline_exceeded, retryable")
	})
}

func TestClosingAPoolThatDoesNothingTakesNoTime(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r := newRig(t, activity.Config{}, map[string]function{"quick": quick})
		for step := range msg.StepNumber(100) {
			r.Perform(partitionOf(step), run(step, "quick"))
		}
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		began := time.Now()
		if err := r.Close(ctx); err != nil || time.Since(began) != 0 {
			t.Errorf("close: got %v after %v", err, time.Since(began))
		}
	})
}

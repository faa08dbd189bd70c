package executor_test

import (
	"context"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-io/holdfast/internal/executor"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// TestCloseWaitsForHandlers: one that returns in time is waited for, and heard
// before Close returns; one that does not is written off and reported.
func TestCloseWaitsForHandlers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(executor.Config{Executors: 2}, map[string]func(context.Context, *msg.Turn){
			"sleep": func(context.Context, *msg.Turn) { time.Sleep(writeOffAfter / 2) },
			"last":  func(context.Context, *msg.Turn) { time.Sleep(writeOffAfter / 2); runtime.Goexit() },
		})
		r.submit("sleep", 1)
		r.submit("last", 2)
		synctest.Wait()
		if err := r.Close(t.Context()); err != nil {
			t.Errorf("close: %v", err)
		}
		if got := r.answered(1, 2); !slices.Equal(got, []int{1, 1}) {
			t.Errorf("outcomes when Close has returned: %v, want one each", got)
		}
		r.checkStats(t, executor.Stats{})
	})
}

func TestCloseDoesNotWaitForWhatIsWrittenOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(executor.Config{Executors: 2}, nil)
		r.submit("hold", 1)
		time.Sleep(writeOffMax + time.Millisecond)
		r.submit("hold", 2)
		synctest.Wait()
		r.checkStats(t, executor.Stats{Executors: 2, WrittenOff: 1, Replaced: 1})
		began := time.Now()
		err := r.Close(t.Context())
		if took := time.Since(began); took > writeOffMax+time.Millisecond {
			t.Errorf("Close took %v, want at most %v", took, writeOffMax)
		}
		if err == nil || !strings.Contains(err.Error(), "2 handlers") {
			t.Errorf("close: got %v, want an error that counts 2 handlers", err)
		}
		for _, run := range []uint64{1, 2} {
			if r.context(run).Err() == nil {
				t.Errorf("the context of run %d, which nobody waits for, goes on", run)
			}
		}
		r.checkStats(t, executor.Stats{WrittenOff: 2, Replaced: 1})
		r.release(1, 2)
		synctest.Wait()
		if got := r.answered(1, 2); !slices.Equal(got, []int{1, 1}) {
			t.Errorf("late outcomes: %v, want one each", got)
		}
		r.checkStats(t, executor.Stats{Replaced: 1})
	})
}

// TestCloseEndsWithItsContext: at the bound nothing is written off, so that
// only the context ends the wait.
func TestCloseEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(executor.Config{Executors: 1, WrittenOffMax: 1}, nil)
		r.submit("hold", 1, 2)
		time.Sleep(2 * writeOffMax)
		ctx, cancel := context.WithTimeout(t.Context(), abandonAfter/2)
		defer cancel()
		began := time.Now()
		err := r.Close(ctx)
		if took := time.Since(began); took != abandonAfter/2 {
			t.Errorf("Close took %v, want %v", took, abandonAfter/2)
		}
		if err == nil || !strings.Contains(err.Error(), "2 handlers") {
			t.Errorf("close: got %v, want an error that counts 2 handlers", err)
		}
		for _, run := range []uint64{1, 2} {
			if r.context(run).Err() == nil {
				t.Errorf("the context of run %d, which nobody waits for, goes on", run)
			}
		}
		r.release(1, 2)
		synctest.Wait()
		r.checkStats(t, executor.Stats{Replaced: 1})
	})
}

// TestCloseWaitsForOutcomesThatAreBeingTold: a handler that was written off has
// returned, so it is none that has not, however long its outcome takes to be
// told.
func TestCloseWaitsForOutcomesThatAreBeingTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(executor.Config{Executors: 1}, nil)
		telling := make(chan struct{})
		r.telling = func() { close(telling); time.Sleep(time.Hour) }
		r.submit("hold", 1)
		time.Sleep(writeOffMax + time.Millisecond)
		r.checkStats(t, executor.Stats{Executors: 1, WrittenOff: 1, Replaced: 1})
		r.release(1)
		<-telling
		if err := r.Close(t.Context()); err != nil {
			t.Errorf("close: got %v, want nil: every handler has returned", err)
		}
		if got := r.answered(1); !slices.Equal(got, []int{1}) {
			t.Errorf("outcomes when Close has returned: %v, want one", got)
		}
	})
}

// TestNothingIsToldAfterClose: what the watchdog is telling when the pool is
// closed is heard to the end before Close returns.
func TestNothingIsToldAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := false
		r := newRig(executor.Config{Executors: 1, Abandon: func(executor.Task) { time.Sleep(time.Hour); told = true }}, nil)
		r.submit("hold", 1)
		time.Sleep(abandonAfter + writeOffMax)
		if err := r.Close(t.Context()); err == nil || !told {
			t.Errorf("close: got %v and told=%v, want an error after all was told", err, told)
		}
		r.release(1)
	})
}

// TestWhatIsQueuedWhenThePoolIsClosedIsNotRun: its partition has it, or its
// caller hears that its fate is unknown.
func TestWhatIsQueuedWhenThePoolIsClosedIsNotRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(executor.Config{Executors: 1}, map[string]func(context.Context, *msg.Turn){
			"sleep": func(context.Context, *msg.Turn) { time.Sleep(writeOffAfter / 2) },
		})
		r.submit("sleep", 1)
		r.submit("quick", 2)
		synctest.Wait()
		if err := r.Close(t.Context()); err != nil {
			t.Errorf("close: %v", err)
		}
		r.submit("quick", 3)
		r.SubmitAll([]executor.Task{{0, turn(4, "quick")}})
		synctest.Wait()
		if !slices.Equal(r.began(), []uint64{1}) {
			t.Errorf("runs that began: %v, want [1]", r.began())
		}
		r.checkStats(t, executor.Stats{})
	})
}

func TestAPoolWithoutWorkClosesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(executor.Config{Executors: 4}, nil)
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // it has nothing to wait for: at most for its own goroutines
		began := time.Now()
		_ = r.Close(ctx)
		if took := time.Since(began); took != 0 {
			t.Errorf("Close took %v", took)
		}
		synctest.Wait()
		r.checkStats(t, executor.Stats{})
	})
}

package executor_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-io/holdfast/internal/executor"
	"github.com/holdfast-io/holdfast/internal/marks"
	"github.com/holdfast-io/holdfast/internal/msg"
)

func goexit(context.Context, *msg.Turn) { runtime.Goexit() }

// TestEveryTurnIsAnsweredOnce: several goroutines submit, one by one and in
// batches; some handlers end their goroutine, and some return only when all
// others have been answered. It runs in real time, for the race detector.
func TestEveryTurnIsAnsweredOnce(t *testing.T) {
	const submitters, each = 4, 1000
	free := make(chan struct{})
	var quick sync.WaitGroup
	r := newRig(executor.Config{Executors: 3, WrittenOffMax: 100}, map[string]func(context.Context, *msg.Turn){
		"goexit": func(context.Context, *msg.Turn) { defer quick.Done(); runtime.Goexit() },
		"quick":  func(context.Context, *msg.Turn) { quick.Done() },
		"wait":   func(context.Context, *msg.Turn) { <-free },
	})
	var submitting sync.WaitGroup
	for s := range submitters {
		submitting.Go(func() {
			var batch []executor.Task
			for n := range each {
				run, handler := uint64(s*each+n+1), "quick"
				switch {
				case n%100 == 1:
					handler = "wait"
				case n%7 == 2:
					handler = "goexit"
				}
				if handler != "wait" {
					quick.Add(1)
				}
				if s%2 == 0 {
					r.submit(handler, run)
					continue
				}
				if batch = append(batch, executor.Task{Partition: partitionOf(run), Turn: turn(run, handler)}); len(batch) == 9 {
					r.SubmitAll(batch)
					clear(batch) // the pool keeps nothing of it
					batch = batch[:0]
				}
			}
			r.SubmitAll(batch)
		})
	}
	submitting.Wait()
	quick.Wait()
	close(free)
	for r.Stats().WrittenOff > 0 {
		runtime.Gosched()
	}
	r.end(t)
	for run := uint64(1); run <= submitters*each; run++ {
		if got := r.outcomes[run]; len(got) != 1 {
			t.Fatalf("run %d has %d outcomes, want 1", run, len(got))
		}
		if got, want := r.partition[run], partitionOf(run); got != want {
			t.Fatalf("the outcome of run %d went to partition %d, want %d", run, got, want)
		}
	}
}

func TestTurnsBeginInTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(executor.Config{Executors: 1}, nil)
		r.submit("hold", 1)
		synctest.Wait()
		r.submit("quick", 2, 3)
		r.SubmitAll(nil)
		r.SubmitAll([]executor.Task{{0, turn(4, "quick")}, {0, turn(5, "quick")}})
		r.submit("quick", 6)
		r.checkStats(t, executor.Stats{Executors: 1, Queued: 5})
		r.release(1)
		synctest.Wait()
		if want := []uint64{1, 2, 3, 4, 5, 6}; !slices.Equal(r.began(), want) {
			t.Errorf("runs began in the order %v, want %v", r.began(), want)
		}
		r.end(t)
	})
}

// TestABatchWakesAsManyAsItNeeds: no executor stays asleep while a turn of a
// batch waits.
func TestABatchWakesAsManyAsItNeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(executor.Config{Executors: 3}, nil)
		synctest.Wait() // all are idle
		r.SubmitAll([]executor.Task{{0, turn(1, "hold")}, {0, turn(2, "hold")}, {0, turn(3, "hold")}, {0, turn(4, "quick")}})
		synctest.Wait()
		if got := len(r.began()); got != 3 {
			t.Errorf("%d handlers run, want 3", got)
		}
		r.checkStats(t, executor.Stats{Executors: 3, Queued: 1})
		r.release(1)
		synctest.Wait()
		if got := r.answered(1, 4); !slices.Equal(got, []int{1, 1}) {
			t.Errorf("runs 1 and 4 have %v outcomes, want one each", got)
		}
		r.end(t, 2, 3)
	})
}

func TestAHandlerThatHoldsItsExecutorIsWrittenOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(executor.Config{Executors: 1}, nil)
		r.submit("hold", 1)
		r.submit("quick", 2)
		time.Sleep(writeOffAfter - time.Millisecond)
		synctest.Wait()
		if got := r.answered(2); got[0] != 0 {
			t.Error("another was in the executor's place before its time was over")
		}
		time.Sleep(writeOffMax - writeOffAfter + 2*time.Millisecond)
		synctest.Wait()
		if got := r.answered(1, 2); !slices.Equal(got, []int{0, 1}) {
			t.Errorf("outcomes of the one that holds and of the other: %v, want [0 1]", got)
		}
		r.checkStats(t, executor.Stats{Executors: 1, WrittenOff: 1, Replaced: 1})
		r.release(1)
		synctest.Wait()
		if got := r.answered(1); got[0] != 1 {
			t.Errorf("%d late outcomes, want 1", got[0])
		}
		r.checkStats(t, executor.Stats{Executors: 1, Replaced: 1})
		if err := r.context(1).Err(); err == nil {
			t.Error("the context of an executor that has ended goes on")
		}
		r.end(t)
	})
}

// TestNotMoreThanTheBoundAreWrittenOff: at the bound the rest waits, one error
// says so and what to do, and work goes on as soon as one returns.
func TestNotMoreThanTheBoundAreWrittenOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(executor.Config{Executors: 1, WrittenOffMax: 4}, nil)
		r.submit("hold", 1, 2, 3, 4, 5)
		r.submit("quick", 6)
		time.Sleep(10 * writeOffMax)
		synctest.Wait()
		r.checkStats(t, executor.Stats{Executors: 1, WrittenOff: 4, Queued: 1, Replaced: 4})
		errs := r.logged(t, slog.LevelError)
		if len(errs) != 1 || errs[0]["written_off"] != 4.0 || !strings.Contains(errs[0]["cure"].(string), "activity") {
			t.Errorf("got the errors %v, want one that says written_off=4 and names the cure, an activity", errs)
		}
		r.release(1)
		time.Sleep(writeOffMax)
		synctest.Wait()
		if got := r.answered(1, 6); !slices.Equal(got, []int{1, 1}) {
			t.Errorf("outcomes of the one that returned and of the one that waited: %v, want [1 1]", got)
		}
		r.submit("hold", 7)
		time.Sleep(10 * writeOffMax)
		if got := len(r.logged(t, slog.LevelError)); got != 1 {
			t.Errorf("%d errors while one comes and another goes, want 1", got)
		}
		r.release(2, 3, 4)
		time.Sleep(writeOffMax)
		r.submit("hold", 8, 9, 10)
		time.Sleep(10 * writeOffMax)
		if got := len(r.logged(t, slog.LevelError)); got != 2 {
			t.Errorf("%d errors when it happens again after it was over, want 2", got)
		}
		r.end(t, 5, 7, 8, 9, 10)
	})
}

func TestTheWarningNamesTheHandlerAndTheCure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(executor.Config{Executors: 1}, nil)
		r.submit("hold", 1)
		time.Sleep(warnAfter)
		synctest.Wait()
		if got := r.logged(t, slog.LevelWarn); len(got) != 0 {
			t.Errorf("warned before the time: %v", got)
		}
		time.Sleep(abandonAfter)
		synctest.Wait()
		warnings := r.logged(t, slog.LevelWarn)
		if len(warnings) != 1 {
			t.Fatalf("%d warnings, want 1: %v", len(warnings), warnings)
		}
		for name, want := range map[string]any{
			"kind": "account", "key": "alice", "handler": "hold", "invocation": msg.NewInvocationID(1, 2, 1).String(),
		} {
			if got := warnings[0][name]; got != want {
				t.Errorf("%s: got %v, want %v", name, got, want)
			}
		}
		if text := warnings[0]["msg"].(string); !strings.Contains(text, "activity") {
			t.Errorf("%q does not name the cure, an activity", text)
		}
		if after := time.Duration(warnings[0]["after_ms"].(float64)) * time.Millisecond; after <= warnAfter || after > warnAfter+writeOffAfter {
			t.Errorf("warned after %v, want a little more than %v", after, warnAfter)
		}
		r.end(t, 1)
	})
}

func TestAnAbandonedRunIsToldOnceAndStillAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(executor.Config{Executors: 1}, nil)
		r.submit("hold", 1)
		time.Sleep(abandonAfter)
		synctest.Wait()
		if r.context(1).Err() != nil || len(r.abandoned()) > 0 {
			t.Error("the run was abandoned before its time")
		}
		time.Sleep(3 * abandonAfter)
		synctest.Wait()
		if !slices.Equal(r.abandoned(), []uint64{1}) {
			t.Errorf("abandoned: %v, want [1]", r.abandoned())
		}
		if err := r.context(1).Err(); !errors.Is(err, context.Canceled) {
			t.Errorf("the context of the run has the error %v, want %v", err, context.Canceled)
		}
		r.checkStats(t, executor.Stats{Executors: 1, WrittenOff: 1, Replaced: 1, Abandoned: 1})
		r.release(1)
		r.submit("quick", 2)
		synctest.Wait()
		if got := r.answered(1, 2); !slices.Equal(got, []int{1, 1}) {
			t.Errorf("outcomes: %v, want one each", got)
		}
		if !r.late[1] || r.late[2] {
			t.Errorf("told as late: %v, want the outcome of the one that was abandoned", r.late)
		}
		r.end(t)
	})
}

// TestNoTurnGetsTheContextOfAnAbandonedOne: an executor that could not be
// written off, for the bound, and whose run was abandoned, does not go on with
// its context, which has ended. What the next one is warned about is its own.
func TestNoTurnGetsTheContextOfAnAbandonedOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(executor.Config{Executors: 1, WrittenOffMax: 1}, nil)
		r.submit("hold", 1, 2, 3)
		time.Sleep(2 * abandonAfter)
		synctest.Wait()
		if got := r.abandoned(); !slices.Equal(got, []uint64{1, 2}) {
			t.Fatalf("abandoned: %v, want [1 2]", got)
		}
		r.release(2) // 1 is the one that is written off
		synctest.Wait()
		if got := r.began(); !slices.Equal(got, []uint64{1, 2, 3}) {
			t.Fatalf("began: %v, want [1 2 3]", got)
		}
		if err := r.context(3).Err(); err != nil {
			t.Errorf("a turn began with a context that has ended: %v", err)
		}
		r.checkStats(t, executor.Stats{Executors: 1, WrittenOff: 1, Replaced: 1, Abandoned: 2})
		time.Sleep(2 * abandonAfter)
		synctest.Wait()
		if len(r.logged(t, slog.LevelWarn)) != 3 || !slices.Contains(r.abandoned(), 3) {
			t.Errorf("%d warnings and %v abandoned, want all three", len(r.logged(t, slog.LevelWarn)), r.abandoned())
		}
		r.end(t, 1, 3)
	})
}

// TestWarningsAreOfTheTask: an executor at the bound that was warned about one
// task, which returned, is warned about the next one.
func TestWarningsAreOfTheTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(executor.Config{Executors: 1, WrittenOffMax: 1}, nil)
		r.submit("hold", 1, 2, 3)
		time.Sleep(2 * warnAfter)
		r.release(2)
		time.Sleep(2 * warnAfter)
		synctest.Wait()
		if got := len(r.logged(t, slog.LevelWarn)); got != 3 {
			t.Errorf("%d warnings, want one for each of 3 handlers", got)
		}
		r.end(t, 1, 3)
	})
}

// TestAHandlerThatEndsItsGoroutineIsAnsweredFor: its outcome is a panic, its
// place is filled and its mark is cleared, also when it was written off, at the
// bound, or abandoned.
func TestAHandlerThatEndsItsGoroutineIsAnsweredFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := make([]byte, 2*markBytes)
		gate := make(chan struct{})
		r := newRig(executor.Config{Executors: 1, Marks: marks.New(memory)}, map[string]func(context.Context, *msg.Turn){
			"goexit": goexit,
			"later":  func(context.Context, *msg.Turn) { <-gate; runtime.Goexit() },
		})
		r.submit("goexit", 1, 2)
		r.submit("quick", 3)
		synctest.Wait()
		if got := r.answered(1, 2, 3); !slices.Equal(got, []int{1, 1, 1}) {
			t.Fatalf("outcomes: %v, want one each", got)
		}
		outcome := r.outcome(1)
		if !outcome.Panicked || outcome.Err == nil || outcome.Err.Code != msg.CodePanic || !strings.Contains(outcome.Err.Message, "account/goexit") {
			t.Errorf("got %+v with %v, want a panic that names account/goexit", outcome, outcome.Err)
		}
		r.checkStats(t, executor.Stats{Executors: 1})

		r.submit("later", 4)
		time.Sleep(2 * abandonAfter)
		synctest.Wait()
		r.checkStats(t, executor.Stats{Executors: 1, WrittenOff: 1, Replaced: 1, Abandoned: 1})
		close(gate)
		synctest.Wait()
		if got := r.answered(4); got[0] != 1 || !r.outcome(4).Panicked {
			t.Errorf("%d outcomes of one that was written off, want 1, a panic", got[0])
		}
		r.checkStats(t, executor.Stats{Executors: 1, Replaced: 1, Abandoned: 1})
		if got := marks.Read(memory); len(got) != 0 {
			t.Errorf("marks are left: %v", got)
		}
		r.submit("quick", 5)
		synctest.Wait()
		if got := r.answered(5); got[0] != 1 {
			t.Error("the pool does not go on")
		}
		r.end(t)
	})
}

// TestABugInAProgramIsNotHidden: a program must turn panics of handlers into
// outcomes, so a panic that comes out of it ends the process, and says where.
func TestABugInAProgramIsNotHidden(t *testing.T) {
	const variable = "HOLDFAST_EXECUTOR_TEST_BUG"
	if os.Getenv(variable) != "" {
		r := newRig(executor.Config{Executors: 1}, map[string]func(context.Context, *msg.Turn){
			"bug": func(context.Context, *msg.Turn) { panic("a bug of the program") },
		})
		r.submit("bug", 1)
		select {}
	}
	command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestABugInAProgramIsNotHidden$")
	command.Env = append(os.Environ(), variable+"=1")
	output, err := command.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || !bytes.Contains(output, []byte("a bug of the program")) || !bytes.Contains(output, []byte("(*rig).Turn")) {
		t.Errorf("got error %v and output %s, want an exit with the panic and where it came from", err, output)
	}
}

func TestDefaultsAreTheDocumentedOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigOf(executor.Config{Executors: 1}, nil)
		r.submit("hold", 1)
		time.Sleep(9 * time.Millisecond)
		synctest.Wait()
		before := r.Stats()
		time.Sleep(8 * time.Millisecond)
		synctest.Wait()
		if got := r.Stats(); before.WrittenOff != 0 || got.WrittenOff != 1 {
			t.Errorf("written off: %d at 9 ms and %d at 17 ms, want 0 and 1", before.WrittenOff, got.WrittenOff)
		}
		time.Sleep(time.Second)
		if got := r.logged(t, slog.LevelWarn); len(got) != 1 {
			t.Errorf("%d warnings after a second, want 1", len(got))
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if !reflect.DeepEqual(r.abandoned(), []uint64{1}) {
			t.Errorf("abandoned after a minute: %v, want [1]", r.abandoned())
		}
		r.end(t, 1)
	})
}

// TestWhatComesOfAnOutcomeIsRun: whoever is told an outcome may submit turns,
// and the executor that tells it takes the first of them; no other sleeps while
// there are more, and none waits for an executor that does not come back.
func TestWhatComesOfAnOutcomeIsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(executor.Config{Executors: 2}, nil)
		synctest.Wait() // both are idle
		r.telling = func() { r.telling = nil; r.submit("hold", 2, 3, 4) }
		r.submit("quick", 1)
		synctest.Wait()
		if got := r.began(); len(got) != 3 {
			t.Fatalf("began: %v, want 1 and two of those that came of it", got)
		}
		r.release(2, 3, 4)
		synctest.Wait()
		r.submit("hold", 5)
		time.Sleep(writeOffMax + time.Millisecond)
		r.checkStats(t, executor.Stats{Executors: 2, WrittenOff: 1, Replaced: 1})
		r.telling = func() { r.telling = nil; r.submit("quick", 6) }
		r.release(5)
		synctest.Wait()
		if got := r.answered(6); got[0] != 1 {
			t.Error("a turn waits for an executor that has ended")
		}
		r.end(t)
	})
}

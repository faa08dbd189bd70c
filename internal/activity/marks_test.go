package activity_test

import (
	"context"
	"reflect"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/holdfast-io/holdfast/internal/activity"
	"github.com/holdfast-io/holdfast/internal/marks"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/program"
)

// TestAnAttemptElsewhereIsNotMarkedAndTakesNoRoom: what runs here is what the
// end of this process interrupts.
func TestAnAttemptElsewhereIsNotMarkedAndTakesNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory, hold, ran := make([]byte, 4*marks.Bytes), make(chan struct{}), 0
		r := newRig(t, activity.Config{RunningMax: 1, Marks: marks.New(memory)}, map[string]function{
			"elsewhere": func(*call) error { <-hold; return nil },
			"here":      func(*call) error { ran++; return nil },
		}, program.Activity{Name: "elsewhere", Remote: true})
		r.ask(run(1, "elsewhere"), run(2, "elsewhere"), run(3, "here"))
		if got := marks.Read(memory); len(got) > 0 || ran != 1 {
			t.Errorf("marks are %v, want none; %d attempts were made here, want 1", got, ran)
		}
		close(hold)
		r.end()
	})
}

// TestAnAttemptIsMarkedWhileItRuns: not while it waits, and however it ends. One
// that has not returned stays marked when the pool is closed, and nothing is
// written to the memory any more.
func TestAnAttemptIsMarkedWhileItRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory, hold := make([]byte, 4*marks.Bytes), make(chan struct{})
		r := newRig(t, activity.Config{RunningMax: 2, Marks: marks.New(memory)}, map[string]function{
			"hold":   func(*call) error { <-hold; return nil },
			"goexit": func(*call) error { runtime.Goexit(); return nil },
		})
		want := func(when string, runs ...*msg.TaskRun) {
			t.Helper()
			marked := map[msg.Partition][]msg.Fingerprint{}
			for _, run := range runs {
				marked[partitionOf(run.Task.Step)] = []msg.Fingerprint{run.Fingerprint()}
			}
			if got := marks.Read(memory); !reflect.DeepEqual(got, marked) {
				t.Errorf("%s: marks are %v, want %v", when, got, marked)
			}
		}
		first, second, third := run(1, "hold"), run(2, "hold"), run(3, "hold")
		r.ask(first, second, third)
		want("when two run and one waits", first, second)
		hold <- struct{}{}
		hold <- struct{}{}
		synctest.Wait()
		want("when the third runs", third)
		r.ask(run(4, "goexit"))
		want("when one has ended its goroutine", third)

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := r.Close(ctx); err == nil {
			t.Error("Close does not report the attempt that has not returned")
		}
		want("when the pool is closed", third)
		closed := slices.Clone(memory)
		close(hold)
		synctest.Wait()
		if !slices.Equal(memory, closed) {
			t.Error("the memory was written to after Close")
		}
	})
}

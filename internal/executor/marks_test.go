package executor_test

import (
	"bytes"
	"context"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-io/holdfast/internal/executor"
	"github.com/holdfast-io/holdfast/internal/marks"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// markBytes is what one mark takes, as a host has to know it.
const markBytes = 128

// TestWhatRunsIsMarked: and nothing else, whatever became of the handler.
func TestWhatRunsIsMarked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := bytes.Repeat([]byte{1}, 8*markBytes) // of a process that has died
		r := newRig(executor.Config{Executors: 2, Marks: marks.New(memory)}, map[string]func(context.Context, *msg.Turn){
			"goexit": goexit,
		})
		want := map[msg.Partition][]msg.Fingerprint{}
		check := func(when string) {
			t.Helper()
			synctest.Wait()
			if got := marks.Read(memory); !reflect.DeepEqual(got, want) {
				t.Errorf("%s: marks are %v, want %v", when, got, want)
			}
		}
		check("before the first turn")
		r.submit("hold", 1)
		want[partitionOf(1)] = []msg.Fingerprint{inputOf(1)}
		check("while one runs")
		r.submit("quick", 2)
		r.submit("goexit", 3)
		check("while one runs and others have ended")
		time.Sleep(writeOffMax + time.Millisecond)
		check("when it was written off")
		r.submit("hold", 4)
		want[partitionOf(4)] = []msg.Fingerprint{inputOf(4)}
		check("while another runs")
		r.release(1)
		delete(want, partitionOf(1))
		check("when the first has returned")
		r.release(4)
		delete(want, partitionOf(4))
		check("when all have returned")
		r.end(t)
		check("when the pool is closed")
	})
}

// TestMarksSurviveTheirPool: a handler that has not returned when the pool is
// closed stays marked, and nothing is written to the memory any more.
func TestMarksSurviveTheirPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := make([]byte, 2*markBytes)
		r := newRig(executor.Config{Executors: 1, Marks: marks.New(memory)}, nil)
		r.submit("hold", 8)
		synctest.Wait()
		if err := r.Close(t.Context()); err == nil {
			t.Error("Close does not report the handler that has not returned")
		}
		closed := slices.Clone(memory)
		if got, want := marks.Read(closed), (map[msg.Partition][]msg.Fingerprint{1: {inputOf(8)}}); !reflect.DeepEqual(got, want) {
			t.Errorf("marks: %v, want %v", got, want)
		}
		r.release(8)
		synctest.Wait()
		if !bytes.Equal(memory, closed) {
			t.Error("the memory was written to after Close")
		}
	})
}

// TestMoreExecutorsThanMarksRunUnmarked, and a place that is free again is
// used again.
func TestMoreExecutorsThanMarksRunUnmarked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := make([]byte, 2*markBytes+markBytes/2) // half a place is none
		r := newRig(executor.Config{Executors: 3, Marks: marks.New(memory)}, nil)
		r.submit("hold", 7, 14, 21) // of partition 0
		synctest.Wait()
		if got := len(marks.Read(memory)[0]); got != 2 {
			t.Errorf("%d marks, want 2", got)
		}
		time.Sleep(2 * writeOffMax) // three new executors, without a place
		r.release(7, 14, 21)
		synctest.Wait()
		if got := marks.Read(memory); len(got) != 0 {
			t.Errorf("marks are left: %v", got)
		}
		r.submit("hold", 28, 35, 42)
		time.Sleep(2 * writeOffMax) // three more, of which two have a place
		r.submit("hold", 49, 56, 63)
		synctest.Wait()
		got := marks.Read(memory)[0]
		if len(got) != 2 || got[0] == inputOf(28) || got[0] == inputOf(35) || got[0] == inputOf(42) {
			t.Errorf("marks %v, want two of the last three runs", got)
		}
		r.end(t, 28, 35, 42, 49, 56, 63)
	})
}

func TestWithoutMemoryNothingIsMarked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, memory := range []*marks.Memory{nil, marks.New(nil)} {
			r := newRig(executor.Config{Executors: 1, Marks: memory}, nil)
			r.submit("quick", 1)
			synctest.Wait()
			if got := r.answered(1); got[0] != 1 {
				t.Errorf("%d outcomes, want 1", got[0])
			}
			r.end(t)
		}
		if got := marks.Read(nil); len(got) != 0 {
			t.Errorf("marks of no memory: %v", got)
		}
	})
}

// TestAMarkRecognisesWhatWasAsked: an input without identity is marked by what
// it asks, whether there is room for that or not, and the mark says the same of
// it as the turn does. A shorter one leaves nothing of a longer one before it.
func TestAMarkRecognisesWhatWasAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := make([]byte, markBytes)
		r := newRig(executor.Config{Executors: 1, Marks: marks.New(memory)}, nil)
		for run := uint64(1); run <= 4*markBytes; run++ {
			body := bytes.Repeat([]byte{'x'}, int(run*37)%(3*markBytes/2))
			asked := turn(run, "hold")
			asked.Input, asked.Message.Payload.Body = msg.Fingerprint{}, body
			r.Submit(0, asked)
			synctest.Wait()
			want := map[msg.Partition][]msg.Fingerprint{0: {asked.Fingerprint()}}
			if got := marks.Read(memory); !reflect.DeepEqual(got, want) {
				t.Fatalf("with a body of %d bytes: marks are %v, want %v", len(body), got, want)
			}
			r.release(run)
			synctest.Wait()
		}
		r.end(t)
	})
}

package marks

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// TestAnActivityIsMarkedByWhatAllItsAttemptsShare, until it is cleared, and not
// once the memory was given back.
func TestAnActivityIsMarkedByWhatAllItsAttemptsShare(t *testing.T) {
	memory := make([]byte, Bytes)
	m := New(memory)
	mark := m.Take()
	run := &msg.TaskRun{Target: msg.Ref{Kind: "order", Key: "1"}, Task: msg.Task{Run: 7, Step: 2, Attempt: 1}}
	second := *run
	second.Task.Attempt = 2
	mark.SetTask(3, run)
	if got, want := Read(memory), (map[msg.Partition][]msg.Fingerprint{3: {second.Fingerprint()}}); !reflect.DeepEqual(got, want) {
		t.Errorf("marks are %v, want %v", got, want)
	}
	mark.Clear()
	if got := Read(memory); len(got) != 0 {
		t.Errorf("marks are %v after it was cleared", got)
	}
	m.Close()
	if mark.SetTask(3, run); memory[0] != markNone {
		t.Error("the memory was written to after Close")
	}
}

// TestHalfAMarkIsNone: the flag is written last, so memory that was being
// written when the process died marks nothing.
func TestHalfAMarkIsNone(t *testing.T) {
	memory := bytes.Repeat([]byte{0xff}, Bytes)
	memory[0] = 0
	if got := Read(memory); len(got) != 0 {
		t.Errorf("got %v, want nothing", got)
	}
}

// TestMarksOfAnythingCanBeRead: the file may hold what another version wrote.
func TestMarksOfAnythingCanBeRead(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	memory := make([]byte, 64*Bytes)
	for range 100 {
		for n := range memory {
			memory[n] = byte(random.Uint32())
		}
		for n := 0; n < len(memory); n += Bytes {
			memory[n] = byte(random.IntN(4))
		}
		Read(memory) // does not panic
	}
}

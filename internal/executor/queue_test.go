package executor

import (
	"math/rand/v2"
	"testing"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// TestQueueIsAQueueOfBoundedMemory: against a naive twin, over random pushes
// and pops of at most most tasks at a time, the order holds, the memory stays
// within four times the most, and what was taken is not kept alive.
func TestQueueIsAQueueOfBoundedMemory(t *testing.T) {
	const most, batchMax = 50, 10
	random := rand.New(rand.NewPCG(1, 2))
	var q queue
	var twin []Task
	for step := range 100_000 {
		switch n := random.IntN(batchMax) + 1; {
		case len(twin) > 0 && (random.IntN(2) == 0 || len(twin)+n > most):
			if got := q.pop(); got != twin[0] {
				t.Fatalf("step %d: got %v, want %v", step, got, twin[0])
			}
			twin = twin[1:]
		default:
			var tasks []Task
			for range n {
				tasks = append(tasks, Task{msg.Partition(step), &msg.Turn{Run: uint64(step)}})
			}
			q.push(tasks)
			twin = append(twin, tasks...)
		}
		if q.len() != len(twin) {
			t.Fatalf("step %d: length is %d, want %d", step, q.len(), len(twin))
		}
	}
	if cap(q.tasks) > 4*most {
		t.Errorf("room for %d tasks, of which never more than %d were there", cap(q.tasks), most)
	}
	kept := 0
	for _, task := range q.tasks[:cap(q.tasks)] {
		if task.Turn != nil {
			kept++
		}
	}
	if kept != q.len() {
		t.Errorf("%d turns are kept alive, want %d", kept, q.len())
	}
}

package executor_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"github.com/holdfast-io/holdfast/internal/executor"
	"github.com/holdfast-io/holdfast/internal/marks"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/program"
)

// instant is a program that does nothing.
type instant struct{ outcome msg.Outcome }

func (p *instant) Describe() program.Description                { return program.Description{} }
func (p *instant) Turn(context.Context, *msg.Turn) *msg.Outcome { return &p.outcome }

// BenchmarkTurn asks what the pool costs a turn whose handler does nothing, and
// what handing turns over in batches saves. One goroutine submits, as one loop
// does, and waits for each batch.
func BenchmarkTurn(b *testing.B) {
	for _, batch := range []int{1, 8, 64} {
		for _, together := range []bool{false, true} {
			b.Run(fmt.Sprintf("batch=%d/together=%v", batch, together), func(b *testing.B) {
				benchmarkTurn(b, batch, together)
			})
		}
	}
}

func benchmarkTurn(b *testing.B, batch int, together bool) {
	var done sync.WaitGroup
	p := executor.New(executor.Config{
		Program: &instant{}, Executors: 2, Logger: slog.Default(), Marks: marks.New(make([]byte, 4096)),
		Done:    func(executor.Task, *msg.Outcome, bool) { done.Done() },
		Abandon: func(executor.Task) {},
	})
	tasks := make([]executor.Task, batch)
	for i := range tasks {
		tasks[i] = executor.Task{Partition: msg.Partition(i), Turn: turn(uint64(i), "none")}
	}
	b.ReportAllocs()
	for b.Loop() {
		done.Add(batch)
		if together {
			p.SubmitAll(tasks)
		} else {
			for _, t := range tasks {
				p.Submit(t.Partition, t.Turn)
			}
		}
		done.Wait()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch), "ns/turn")
	if err := p.Close(context.Background()); err != nil {
		b.Error(err)
	}
}

func (*instant) Perform(_ context.Context, t *msg.TaskRun, _ func(msg.Payload)) *msg.TaskOutcome {
	return program.NotServed(t, "nothing here")
}

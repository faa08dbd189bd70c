package activity_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast/internal/activity"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/program"
)

// instant is a program whose activities do nothing, or wait for a while.
type instant struct{ wait time.Duration }

func (*instant) Describe() program.Description {
	return program.Description{Activities: []program.Activity{{Name: "one"}}}
}

func (*instant) Turn(context.Context, *msg.Turn) *msg.Outcome { return nil }

func (p *instant) Perform(_ context.Context, t *msg.TaskRun, _ func(msg.Payload)) *msg.TaskOutcome {
	if p.wait > 0 {
		time.Sleep(p.wait)
	}
	return &msg.TaskOutcome{Target: t.Target, Name: t.Task.Name(), Attempt: t.Task.Attempt}
}

// BenchmarkAttempt asks what the pool costs an attempt, by how many are asked
// for at once, with and without a timeout, and if each waits for a millisecond.
// One goroutine asks, as one loop does, and waits for each batch.
func BenchmarkAttempt(b *testing.B) {
	for _, batch := range []int{1, 64, 1000} {
		for _, timeout := range []time.Duration{0, time.Minute} {
			b.Run(fmt.Sprintf("batch=%d/timeout=%v", batch, timeout), func(b *testing.B) {
				benchmarkAttempt(b, &instant{}, batch, timeout)
			})
		}
	}
	b.Run("batch=1000/wait=1ms", func(b *testing.B) { benchmarkAttempt(b, &instant{time.Millisecond}, 1000, time.Minute) })
}

func benchmarkAttempt(b *testing.B, program *instant, batch int, timeout time.Duration) {
	var done sync.WaitGroup
	p := activity.New(activity.Config{
		Program: program, Logger: slog.Default(),
		Done:      func(msg.Partition, *msg.TaskOutcome) { done.Done() },
		Heartbeat: func(msg.Partition, *msg.TaskOutcome) {},
	})
	tasks := make([]activity.Task, batch)
	for i := range tasks {
		step := msg.StepNumber(i + 1)
		tasks[i] = activity.Task{Partition: partitionOf(step), Run: timed(step, "one", timeout)}
	}
	b.ReportAllocs()
	for b.Loop() {
		done.Add(batch)
		p.SubmitAll(tasks)
		done.Wait()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch), "ns/attempt")
	if err := p.Close(context.Background()); err != nil {
		b.Error(err)
	}
}

package node_test

import (
	"context"
	"fmt"
	"syscall"
	"testing"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// BenchmarkActivity asks what an activity that does nothing costs a node in all:
// a workflow asks for a thousand at once and waits for them, on a host in
// memory. The time of the processors is that of the whole process.
func BenchmarkActivity(b *testing.B) {
	const activities = 1000
	f := newFlows(nil)
	f.written = map[string]attemptFunc{"one": func(context.Context, *msg.TaskRun, func(string)) (string, error) { return "", nil }}
	r := newRig(b).with(f)
	var p plan
	for range activities {
		p.Activities = append(p.Activities, "one")
	}
	before := processorTime(b)
	n := 0
	for b.Loop() {
		r.must(r.flow(fmt.Sprint("w", n), p))
		n++
	}
	b.ReportMetric(float64(processorTime(b)-before)/float64(n*activities)/1000, "cpu-µs/activity")
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(n*activities), "µs/activity")
	r.stop()
}

// processorTime is what the process has used, in nanoseconds.
func processorTime(b *testing.B) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

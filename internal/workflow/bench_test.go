package workflow_test

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/workflow"
)

// What does a turn cost that finds its run in memory: a delivery, one switch
// there and back, one step?
func BenchmarkTurnOfARunInMemory(b *testing.B) {
	s := serve(b, func(x *workflow.Context, _ string) (string, *msg.Error) {
		for {
			get(x, activity(x, "input"))
		}
	})
	e := s.engine()
	i := e.Start("w", "1", "")
	t := e.Next(i)
	s.Turn(context.Background(), t)
	step := msg.StepNumber(0)
	fields := length{1}
	b.ReportAllocs()
	for b.Loop() {
		step++
		next := *t
		next.State.Fields, next.Previous, next.Run = &fields, t.Run, t.Run+1
		next.Deliveries = []msg.Delivery{{Kind: msg.DeliveryOutcome, Step: step, Payload: text("output")}}
		if o := s.Turn(context.Background(), &next); o.Fault != "" || len(o.Steps) != 1 {
			b.Fatal(o.Fault)
		}
		t = &next
		fields.n++
	}
	if hits := s.runtime.Stats().Resumed; hits != uint64(step) {
		b.Fatalf("%d of %d turns found their run in memory", hits, step)
	}
}

// length is a journal of which only the length is asked for.
type length struct{ n int }

func (l *length) Names() []string                           { return nil }
func (l *length) IsList(string) bool                        { return true }
func (l *length) Entry(string, string) ([]byte, bool)       { return nil, false }
func (l *length) Entries(string, func(string, []byte) bool) {}
func (l *length) Items(string, func(int, []byte) bool)      {}
func (l *length) Len(string) int                            { return l.n }

// What does it cost to take up a run of 100 entries that is not in memory?
// At most 150 µs.
func BenchmarkExecuteAJournalOf100Entries(b *testing.B) {
	s := serve(b, func(x *workflow.Context, _ string) (string, *msg.Error) {
		for range 99 {
			get(x, activity(x, `{"name":"an input of a common size","amount":12345}`))
		}
		return get(x, x.Receive("never")), nil
	})
	e := s.engine()
	i := e.Start("w", "1", "")
	e.Run()
	if len(i.Journal) != 100 {
		b.Fatalf("the journal has %d entries", len(i.Journal))
	}
	b.ReportAllocs()
	for b.Loop() {
		s.runtime.Evict()
		if o := e.Query(i, "", ""); o.Fault != "" {
			b.Fatal(o.Fault)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/entry")
}

// How much memory does a run take that waits?
func BenchmarkMemoryOfARunThatWaits(b *testing.B) {
	const runs = 4000
	for b.Loop() {
		s := serve(b, func(x *workflow.Context, _ string) (string, *msg.Error) { return get(x, x.Receive("never")), nil })
		e := s.engine()
		before := inUse()
		o := make([]*msg.Turn, 0, runs)
		for range runs {
			i := e.Start("w", x(len(o)), "")
			t := e.Next(i)
			s.Turn(context.Background(), t)
			o = append(o, t)
		}
		b.ReportMetric(float64(inUse()-before)/runs, "B/run")
		b.ReportMetric(float64(s.runtime.Stats().HotBytes)/runs, "estimated-B/run")
		s.runtime.Evict()
		s.settle()
		runtime.KeepAlive(o)
	}
}

func x(n int) string { return string(rune('a'+n%26)) + time.Duration(n).String() }

func inUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

package engine

import (
	"fmt"
	"testing"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// bench is a partition with things, driven without a log or executors: what is
// measured is the engine alone.
type bench struct {
	p       *Partition
	now     msg.Time
	out     Output
	request msg.Request
	outcome msg.Outcome
	roots   [16]msg.Payload
	refs    []msg.Ref
	waiter  *told
	records []*msg.Record // kept if keep
	keep    bool
}

func newBench(things int) *bench {
	e := &bench{now: startTime, waiter: &told{}}
	e.p = New(Config{Partitions: 1, Kinds: []msg.Kind{thing("add", "get")}})
	e.p.Recover(e.now, 1, nil, &e.out)
	for n := range e.roots {
		e.roots[n] = msg.Payload{Body: fmt.Appendf(nil, `{"Balance":%d,"Owner":"somebody with a name","Limit":1000000,"Open":true}`, 1000+n)}
	}
	for n := range things {
		e.refs = append(e.refs, ref(fmt.Sprint("thing", n)))
	}
	return e
}

func (e *bench) step(c *msg.Command) {
	c.Now = e.now
	e.out.Reset()
	e.p.Step(c, &e.out)
	for n := 0; e.keep && n < len(e.out.Records); n++ {
		r, err := msg.DecodeRecord(msg.AppendRecord(nil, e.out.Records[n]))
		if err != nil {
			panic(err)
		}
		e.records = append(e.records, r)
	}
}

// update is a request, its run and its outcome, from one of 64 sessions.
func (e *bench) update(n int) {
	e.now += 1000
	e.request = msg.Request{Target: e.refs[n%len(e.refs)], Handler: "add", Identity: session(byte(n%64+1), uint64(n/64+1)),
		Invocation: msg.NewInvocationID(0, 1<<16, uint64(n+1))}
	e.step(&msg.Command{Kind: msg.CommandRequest, Request: &e.request, Waiter: e.waiter})
	e.outcome = msg.Outcome{Run: e.out.Effects[0].Turn.Run, Root: &e.roots[(n+n/len(e.refs))%len(e.roots)], Version: 1, Output: e.roots[0]}
	e.step(&msg.Command{Kind: msg.CommandOutcome, Outcome: &e.outcome})
}

// BenchmarkUpdate: what does an update cost the engine, with its answer
// remembered for its session?
func BenchmarkUpdate(b *testing.B) {
	for _, things := range []int{1, 100_000} {
		b.Run(fmt.Sprint("things=", things), func(b *testing.B) {
			e := newBench(things)
			for n := range things {
				e.update(n)
			}
			b.ReportAllocs()
			for n := things; b.Loop(); n++ {
				e.update(n)
			}
		})
	}
}

// BenchmarkRead: what does a read cost the engine?
func BenchmarkRead(b *testing.B) {
	for _, things := range []int{100, 100_000} {
		b.Run(fmt.Sprint("things=", things), func(b *testing.B) {
			e := newBench(things)
			for n := range things {
				e.update(n)
			}
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				e.request = msg.Request{Target: e.refs[n%things], Handler: "get", Invocation: msg.NewInvocationID(0, 1<<16, uint64(n+1))}
				e.step(&msg.Command{Kind: msg.CommandRequest, Request: &e.request, Waiter: e.waiter})
				e.outcome = msg.Outcome{Run: e.out.Effects[0].Turn.Run, Output: e.roots[0]}
				e.step(&msg.Command{Kind: msg.CommandOutcome, Outcome: &e.outcome})
			}
		})
	}
}

// BenchmarkSend: what does a message between partitions cost both engines
// together: sent, delivered, run, consumed, acknowledged?
func BenchmarkSend(b *testing.B) {
	f := newFlood(4, 400)
	b.ReportAllocs()
	total := 0
	for b.Loop() {
		total += 20
		f.run(total)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(f.messages), "ns/message")
}

// BenchmarkApply: what does a record cost recovery, after it is decoded?
func BenchmarkApply(b *testing.B) {
	const things = 10_000
	e := newBench(things)
	e.keep = true
	for n := range 20 * things {
		e.update(n)
	}
	b.ReportAllocs()
	n, p := 0, New(e.p.config)
	for b.Loop() {
		if n == len(e.records) {
			n, p = 0, New(e.p.config)
		}
		if err := p.Apply(e.records[n]); err != nil {
			b.Fatal(err)
		}
		n++
	}
}

// BenchmarkSlice: what does a checkpoint cost for each entity, and how long is
// the longest slice of 64 KiB?
func BenchmarkSlice(b *testing.B) {
	const things = 100_000
	e := newBench(things)
	for n := range things {
		e.update(n)
	}
	buffer := make([]byte, 0, 128<<10)
	bytes := 0
	b.ReportAllocs()
	for b.Loop() {
		e.p.BeginCheckpoint()
		bytes = 0
		for done := false; !done; {
			buffer, done = e.p.Slice(buffer[:0], 64<<10)
			bytes += len(buffer)
		}
	}
	b.SetBytes(int64(bytes))
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*things), "ns/entity")
}

// BenchmarkLoad: what does an entity cost recovery?
func BenchmarkLoad(b *testing.B) {
	const things = 100_000
	e := newBench(things)
	for n := range things {
		e.update(n)
	}
	var slices [][]byte
	e.p.BeginCheckpoint()
	for done := false; !done; {
		var slice []byte
		slice, done = e.p.Slice(nil, 64<<10)
		slices = append(slices, slice)
	}
	b.ReportAllocs()
	for b.Loop() {
		p := New(e.p.config)
		for _, slice := range slices {
			if err := p.Load(slice); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*things), "ns/entity")
}

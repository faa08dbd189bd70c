package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"time"

	"github.com/holdfast-io/holdfast"
)

// sleepResult is the line of the workload sleep.
type sleepResult struct {
	Workload      string  `json:"workload"`
	Concurrency   int     `json:"concurrency"`
	Keys          int     `json:"keys"` // workflows that sleep
	GOMAXPROCS    int     `json:"gomaxprocs"`
	StartSeconds  float64 `json:"start_seconds"`
	OpsPerSecond  float64 `json:"ops_per_second"`     // workflows that began to sleep
	MemoryMB      float64 `json:"memory_mb"`          // of heap and stacks that all of them take
	BytesEach     float64 `json:"bytes_per_workflow"` //
	CPUShare      float64 `json:"cpu_percent"`        // of one processor, while all of them sleep
	BareCPUShare  float64 `json:"bare_cpu_percent"`   // while the same server had none
	SyncsAsleep   uint64  `json:"syncs_asleep"`       // written while they slept
	WatchedSecond float64 `json:"seconds"`
}

// settleTime is how long the server may finish what the beginnings left behind,
// such as checkpoints, before its idleness is measured.
const settleTime = 2 * time.Second

// runSleep measures what workflows cost that do nothing but wait.
func runSleep(ctx context.Context, b *bench, callers int) (err error) {
	keys := b.options.Keys
	if keys == 0 {
		keys = sleepers
	}
	directory, err := makeDirectory(b.options.Data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, removeDirectory(directory)) }()
	e, err := startEnvironment(ctx, directory, 0, 0, callers, warnings(b.stderr))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.close()) }()
	r := &sleepResult{Workload: "sleep", Concurrency: callers, Keys: keys, GOMAXPROCS: runtime.GOMAXPROCS(0)}
	b.progress.say("sleep: a server without workflows")
	bare, err := e.idle(ctx, b.options.Duration)
	if err != nil {
		return err
	}
	before := memoryInUse()
	b.progress.say("sleep: begin %d workflows", keys)
	began := time.Now()
	if err := e.putToSleep(ctx, keys); err != nil {
		return err
	}
	took := time.Since(began)
	if err := pause(ctx, min(settleTime, b.options.Duration)); err != nil {
		return err
	}
	used := memoryInUse() - before
	b.progress.say("sleep: %d workflows", keys)
	if err := b.profiles.begin(); err != nil {
		return err
	}
	asleep, err := e.idle(ctx, b.options.Duration)
	if err != nil {
		return err
	}
	r.StartSeconds, r.OpsPerSecond = round(took.Seconds(), 2), round(float64(keys)/took.Seconds(), 0)
	r.MemoryMB, r.BytesEach = round(float64(used)/1e6, 1), round(float64(used)/float64(keys), 0)
	r.CPUShare, r.BareCPUShare = asleep.share(), bare.share()
	r.SyncsAsleep, r.WatchedSecond = asleep.frames, round(asleep.elapsed.Seconds(), 2)
	b.progress.clear()
	return b.print(r, func() error { return b.sleepTable(r) })
}

func (b *bench) sleepTable(r *sleepResult) error {
	_, err := fmt.Fprintf(b.stdout, `%d workflows that sleep, begun in %.1f s (%.0f/s)
  memory  %.1f MB, %.0f bytes each
  CPU     %.2f %% of a processor, %.2f %% without them
`, r.Keys, r.StartSeconds, r.OpsPerSecond, r.MemoryMB, r.BytesEach, r.CPUShare, r.BareCPUShare)
	return err
}

// putToSleep begins workflows that sleep, and waits until all of them do.
func (e *environment) putToSleep(ctx context.Context, n int) error {
	c := e.typed.With(ctx)
	if err := fill(ctx, n, func(i int) error {
		_, err := rest.Submit(c, strconv.Itoa(i), holdfast.None)
		return err
	}); err != nil {
		return err
	}
	// A run is asleep when its first turn has been written down, and the turn
	// comes after the answer: stop when nothing has been written for a while.
	for last := e.host.log.written(); ; {
		if err := pause(ctx, quietTime); err != nil {
			return err
		}
		now := e.host.log.written()
		if now == last {
			return nil
		}
		last = now
	}
}

// quietTime without anything written says that the server has nothing to do:
// hundreds of syncs fit in.
const quietTime = 100 * time.Millisecond

// idleness is what a server used that nobody called.
type idleness struct {
	elapsed, cpu time.Duration
	frames       uint64
}

// share is in percent of one processor.
func (i *idleness) share() float64 { return round(100*i.cpu.Seconds()/i.elapsed.Seconds(), 3) }

// idle watches the server do nothing.
func (e *environment) idle(ctx context.Context, howLong time.Duration) (*idleness, error) {
	before, written, began := usageNow(), e.host.log.written(), time.Now()
	err := pause(ctx, howLong)
	return &idleness{time.Since(began), usageNow().cpu - before.cpu, e.host.log.written().minus(written).frames}, err
}

// pause lets time pass.
func pause(ctx context.Context, howLong time.Duration) error {
	timer := time.NewTimer(howLong)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// memoryInUse is what heap and stacks hold once garbage is collected. Two
// collections also empty the pools.
func memoryInUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

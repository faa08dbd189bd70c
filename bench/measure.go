package bench

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// The parts of a line. Work, comparisons and syncs are measured in turn, because
// what the machine can do drifts.
const (
	warmUpMax      = time.Second
	sliceTime      = time.Second
	probeTime      = 200 * time.Millisecond
	frameBytesSome = 256 // size of appends to compare with where nothing is written
)

// measured is what came out of a time of work, or several.
type measured struct {
	operations, failures uint64
	elapsed, cpu         time.Duration
	allocations          uint64
	times                histogram
	written              written
	failure              error // the first
}

func (m *measured) merge(o *measured) {
	m.operations += o.operations
	m.failures += o.failures
	m.elapsed += o.elapsed
	m.cpu += o.cpu
	m.allocations += o.allocations
	m.times.merge(&o.times)
	m.written.frames += o.written.frames
	m.written.records += o.written.records
	m.written.bytes += o.written.bytes
	if m.failure == nil {
		m.failure = o.failure
	}
}

// perSecond is a rate over the time of the work.
func (m *measured) perSecond(n uint64) float64 { return float64(n) / m.elapsed.Seconds() }

// measure has callers work for a while. Settle waits for what their answers do
// not wait for; it may be nil.
func measure(ctx context.Context, log *watchedLog, operations []operation, howLong time.Duration, settle func(accepted uint64) error) *measured {
	total := new(measured)
	parts := make([]*measured, len(operations))
	var stop atomic.Bool
	var working sync.WaitGroup
	before, writtenBefore, began := usageNow(), log.written(), time.Now()
	timer := time.AfterFunc(howLong, func() { stop.Store(true) })
	defer timer.Stop()
	for i, do := range operations {
		parts[i] = new(measured)
		working.Go(func() { parts[i].repeat(ctx, do, &stop) })
	}
	working.Wait()
	for _, part := range parts {
		total.merge(part)
	}
	if settle != nil {
		total.failure = errors.Join(total.failure, settle(total.operations))
	}
	total.elapsed = time.Since(began)
	after := usageNow()
	total.cpu, total.allocations = after.cpu-before.cpu, after.allocations-before.allocations
	total.written = log.written().minus(writtenBefore)
	return total
}

// failuresMax ends a caller: where nothing works, nothing is to be measured.
const failuresMax = 100

// repeat does an operation until it is told to stop.
func (m *measured) repeat(ctx context.Context, do operation, stop *atomic.Bool) {
	for !stop.Load() && ctx.Err() == nil && m.failures < failuresMax {
		began := time.Now()
		if err := do(); err != nil {
			if m.failures++; m.failure == nil {
				m.failure = err
			}
			continue
		}
		m.times.add(time.Since(began))
		m.operations++
	}
}

// line measures one workload with a number of callers.
func (b *bench) line(ctx context.Context, w *workload, callers int) (r *result, err error) {
	entities, chains := w.sizes(b.options.Keys)
	directory, err := makeDirectory(b.options.Data)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, removeDirectory(directory)) }()
	b.progress.say("%s, %d callers: prepare", w.name, callers)
	probe, err := newProbe(directory)
	if err != nil {
		return nil, err
	}
	defer probe.close()
	e, err := startEnvironment(ctx, directory, entities, chains, callers, warnings(b.stderr))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, e.close()) }()
	if err := w.fill(ctx, e); err != nil {
		return nil, err
	}
	l := &lineRun{bench: b, workload: w, environment: e, probe: probe}
	l.operations = newOperations(callers, func(random *rand.Rand) operation { return w.begin(ctx, e, random) })
	if w.http {
		echo, err := startEcho()
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, echo.close()) }()
		l.echoes = newOperations(callers, func(random *rand.Rand) operation {
			return beginPost(ctx, e.web, echo.base, e.keys, "/add", 200, random)
		})
		defer e.web.CloseIdleConnections()
	}
	if w.beside {
		l.updates = newOperations(callers, func(random *rand.Rand) operation { return beginUpdate(ctx, e, random) })
	}
	if err := l.run(ctx); err != nil {
		return nil, err
	}
	return l.result(max(entities, chains*chainLinks)), nil
}

func newOperations(callers int, begin func(random *rand.Rand) operation) []operation {
	list := make([]operation, callers)
	for i := range list {
		list[i] = begin(rand.New(rand.NewPCG(1, uint64(i))))
	}
	return list
}

// lineRun is a line at work.
type lineRun struct {
	bench       *bench
	workload    *workload
	environment *environment
	probe       *probe
	operations  []operation
	echoes      []operation
	updates     []operation

	work, echo, update measured
	appends            histogram
}

// run measures in slices.
func (l *lineRun) run(ctx context.Context) error {
	duration := l.bench.options.Duration
	slices := max(2, int(duration/sliceTime))
	each := duration / time.Duration(slices)
	warm := min(warmUpMax, duration/4)
	size := l.frameBytes(l.slice(ctx, warm))
	l.compare(ctx, warm, new(measured), new(measured))
	if err := l.probe.run(size, min(probeTime, warm)); err != nil {
		return err
	}
	l.environment.host.log.takeTimes()
	if err := l.bench.profiles.begin(); err != nil {
		return err
	}
	for i := range slices {
		l.bench.progress.say("%s, %d callers: %d of %d", l.workload.name, len(l.operations), i+1, slices)
		m := l.slice(ctx, each)
		l.work.merge(m)
		appends := l.environment.host.log.takeTimes()
		l.appends.merge(&appends)
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if l.work.operations == 0 || m.failures >= failuresMax {
			return l.work.failure
		}
		if l.bench.profiles.cpu != nil {
			continue
		}
		l.compare(ctx, each, &l.echo, &l.update)
		if err := l.probe.run(l.frameBytes(m), min(probeTime, each)); err != nil {
			return err
		}
	}
	return errors.Join(l.echo.failure, l.update.failure)
}

// compare measures what the work is compared with.
func (l *lineRun) compare(ctx context.Context, howLong time.Duration, echo, update *measured) {
	if l.echoes != nil {
		echo.merge(measure(ctx, l.environment.host.log, l.echoes, howLong, nil))
	}
	if l.updates != nil {
		update.merge(measure(ctx, l.environment.host.log, l.updates, howLong, nil))
	}
	l.environment.host.log.takeTimes() // those are not of the work
}

func (l *lineRun) slice(ctx context.Context, howLong time.Duration) *measured {
	var settle func(uint64) error
	if l.workload.oneWay {
		before := l.environment.app.done.Load()
		settle = func(accepted uint64) error { return l.environment.drain(before + accepted) }
	}
	m := measure(ctx, l.environment.host.log, l.operations, howLong, settle)
	m.operations *= max(1, l.workload.operations)
	return m
}

// frameBytes is the mean size of the frames of a slice.
func (l *lineRun) frameBytes(m *measured) int {
	if m.written.frames == 0 {
		return frameBytesSome
	}
	return int(m.written.bytes / m.written.frames)
}

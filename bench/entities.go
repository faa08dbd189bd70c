package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// The workload entities asks what many entities cost: how long they take to
// recover after a kill, and how long anybody waits because of checkpoints while
// the server is busy. It runs two processes one after the other on one
// directory, both this program: the first one loads, works and is killed, the
// second one recovers.
const (
	workloadLoad    = "entities-load"
	workloadRecover = "entities-recover"
)

const (
	// entityBytes is the size of the state of an entity, as it is stored.
	entityBytes = 200
	// watchers look every watchEvery at an entity that nobody changes: how long
	// they wait is how long a loop was busy with something else.
	watchers   = 4
	watchEvery = time.Millisecond
	// checkpointRounds is how often the work is repeated until a checkpoint has
	// been taken meanwhile.
	checkpointRounds = 10
	// killAfter is how long the work goes on before the kill.
	killAfter = 300 * time.Millisecond
	// checked is how many entities are looked at after recovery.
	checked = 1000
)

// entitiesResult is the line of the workload entities.
type entitiesResult struct {
	Workload    string `json:"workload"`
	Concurrency int    `json:"concurrency"`
	Keys        int    `json:"keys"`
	EntityBytes int    `json:"entity_bytes"`
	GOMAXPROCS  int    `json:"gomaxprocs"`

	loaded
	recovered
	RestartMS float64 `json:"restart_ms"` // from starting the process to its first answer
	DataBytes int64   `json:"data_bytes"` // on the disk after the kill
}

// loaded is what the first process says.
type loaded struct {
	LoadSeconds      float64 `json:"load_seconds"`
	LoadPerSecond    float64 `json:"load_ops_per_second"`
	OpsPerSecond     float64 `json:"ops_per_second"`
	P50              float64 `json:"p50_us"`
	P99              float64 `json:"p99_us"`
	Seconds          float64 `json:"seconds"`
	Checkpoints      int64   `json:"checkpoints"`                      // published during the work
	CheckpointPause  float64 `json:"checkpoint_pause_ms_max"`          // the longest that a watcher waited while one was taken
	CheckpointP999   float64 `json:"checkpoint_pause_ms_p999"`         //
	OtherPause       float64 `json:"other_pause_ms_max"`               // while none was taken
	OtherP999        float64 `json:"other_pause_ms_p999"`              //
	UpdateMax        float64 `json:"checkpoint_update_ms_max"`         // the longest update while one was taken
	OtherUpdateMax   float64 `json:"other_update_ms_max"`              // while none was taken
	AppendMax        float64 `json:"append_ms_max"`                    // the longest append to the log, which an update waits for
	SchedulingPause  float64 `json:"scheduling_pause_ms_max"`          // the longest that a goroutine waited for another, without any server between
	SchedulingP999   float64 `json:"scheduling_pause_ms_p999"`         //
	CheckpointShare  float64 `json:"share_of_looks_during_checkpoint"` // how much of the time checkpoints took
	LoadedMemoryMiB  float64 `json:"memory_mib"`
	UpdatesDiscarded uint64  `json:"errors"`
}

// recovered is what the second process says.
type recovered struct {
	RecoveryMS        float64 `json:"recovery_ms"` // until requests are admitted, from opening the directory
	RecoveredEntities int64   `json:"recovered_entities"`
	RecoveredRecords  int64   `json:"recovered_records"`
	RecoveredFrames   int64   `json:"recovered_frames"`
	Checkpoints       int64   `json:"recovered_checkpoints"`
	StopMS            float64 `json:"stop_ms"` // an orderly shutdown, with its last checkpoint
	MemoryMiB         float64 `json:"recovered_memory_mib"`
}

// runEntities is the workload as its user sees it.
func runEntities(ctx context.Context, b *bench, callers int) (err error) {
	keys, _ := (&workload{special: runEntities}).sizes(b.options.Keys)
	directory, err := makeDirectory(b.options.Data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, removeDirectory(directory)) }()
	r := &entitiesResult{Workload: "entities", Concurrency: callers, Keys: keys, EntityBytes: entityBytes, GOMAXPROCS: runtime.GOMAXPROCS(0)}
	flags := []string{"--data", directory, "--keys", strconv.Itoa(keys), "--concurrency", strconv.Itoa(callers),
		"--duration", b.options.Duration.String(), "--json"}

	b.progress.say("entities: load %d, and work", keys)
	first, err := startChild(b.stderr, append([]string{"bench", "--workload", workloadLoad}, flags...))
	if err != nil {
		return err
	}
	defer first.kill()
	if err := first.line(ctx, &r.loaded); err != nil {
		return err
	}
	if err := first.wait(ctx, killAfter); err != nil {
		return err
	}
	first.kill()
	if r.DataBytes, err = sizeOf(directory); err != nil {
		return err
	}

	b.progress.say("entities: recover")
	if b.options.CPUProfile != "" { // of recovery: the work is that of other workloads
		flags = append(flags, "--cpu-profile", b.options.CPUProfile)
	}
	second, err := startChild(b.stderr, append([]string{"bench", "--workload", workloadRecover}, flags...))
	if err != nil {
		return err
	}
	defer second.kill()
	var ready struct{}
	if err := second.line(ctx, &ready); err != nil {
		return err
	}
	r.RestartMS = milliseconds(time.Since(second.began))
	if err := second.line(ctx, &r.recovered); err != nil {
		return err
	}
	b.progress.clear()
	return b.print(r, func() error { return b.entitiesTable(r) })
}

func (b *bench) entitiesTable(r *entitiesResult) error {
	_, err := fmt.Fprintf(b.stdout, `%d entities of %d bytes, loaded in %.1f s (%.0f/s), %.0f MB on disk
  work      %d callers, %.0f updates/s, p50 %.0f µs, p99 %.0f µs, %d checkpoints in %.1f s
  pauses    %.1f ms at most while a checkpoint is taken, %.1f ms while none is, %.1f ms of scheduling alone
            (updates %.1f and %.1f ms, one append %.1f ms)
  recovery  %.0f ms for %d entities and %d records; first answer %.0f ms after a restart
`, r.Keys, r.EntityBytes, r.LoadSeconds, r.LoadPerSecond, float64(r.DataBytes)/1e6,
		r.Concurrency, r.OpsPerSecond, r.P50, r.P99, r.loaded.Checkpoints, r.Seconds,
		r.CheckpointPause, r.OtherPause, r.SchedulingPause, r.UpdateMax, r.OtherUpdateMax, r.AppendMax,
		r.RecoveryMS, r.RecoveredEntities, r.RecoveredRecords, r.RestartMS)
	return err
}

func sizeOf(directory string) (bytes int64, err error) {
	err = filepath.WalkDir(directory, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			bytes += info.Size()
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("look at the data: %w", err)
	}
	return bytes, nil
}

// textOf makes the text of an entity of entityBytes.
func textOf(random *rand.Rand) string {
	const frame = len(`{"Text":""}`)
	text := strconv.FormatUint(random.Uint64(), 36)
	return text + strings.Repeat("x", entityBytes-frame-len(text))
}

// loadEntities is what the first process does until it is killed.
func loadEntities(ctx context.Context, b *bench, callers int) (err error) {
	keys, _ := (&workload{special: loadEntities}).sizes(b.options.Keys)
	e, err := startEnvironment(ctx, b.options.Data, keys, 0, callers, warnings(b.stderr))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.close()) }()
	c := e.typed.With(ctx)
	began := time.Now()
	random := rand.New(rand.NewPCG(1, 1))
	text := textOf(random)
	if err := fill(ctx, keys, func(i int) error {
		_, err := put.Call(c, e.keys[i], text)
		return err
	}); err != nil {
		return err
	}
	var r loaded
	took := time.Since(began)
	r.LoadSeconds, r.LoadPerSecond = round(took.Seconds(), 2), round(float64(keys)/took.Seconds(), 0)
	l, err := e.watchCheckpoints(ctx, callers, b.options.Duration)
	if err != nil {
		return err
	}
	l.report(&r)
	if err := b.print(&r, nil); err != nil {
		return err
	}
	go func() { // the kill comes while there is work
		operations := newOperations(callers, l.begin(ctx, e, &pauses{}))
		measure(ctx, e.host.log, operations, time.Hour, nil)
	}()
	<-ctx.Done()
	return nil
}

// pauses tells apart how long things took while a checkpoint was taken and
// otherwise.
type pauses struct{ during, other histogram }

// time does something and counts how long it took.
func (p *pauses) time(s *watchedSnapshots, do func() error) error {
	active := s.active.Load() > 0
	began := time.Now()
	err := do()
	took := time.Since(began)
	if active || s.active.Load() > 0 {
		p.during.add(took)
	} else {
		p.other.add(took)
	}
	return err
}

// checkpointRun is work while checkpoints are taken.
type checkpointRun struct {
	work        measured
	updates     pauses
	looks       pauses
	appends     histogram
	scheduling  histogram
	checkpoints int64
}

// watchCheckpoints works until a checkpoint has been taken, at least for a time.
func (e *environment) watchCheckpoints(ctx context.Context, callers int, howLong time.Duration) (*checkpointRun, error) {
	l := new(checkpointRun)
	looking, err := e.newWatchers(ctx)
	if err != nil {
		return nil, err
	}
	e.host.log.takeTimes()
	before := e.host.snapshots.published.Load()
	updates := make([]pauses, callers)
	next := 0
	operations := newOperations(callers, func(random *rand.Rand) operation {
		next++
		return l.begin(ctx, e, &updates[next-1])(random)
	})
	done := make(chan struct{})
	var watching sync.WaitGroup
	for i := range looking {
		watching.Go(func() { looking[i].watch(done) })
	}
	watching.Go(func() { l.watchScheduling(done) })
	for range checkpointRounds {
		l.work.merge(measure(ctx, e.host.log, operations, howLong, nil))
		if l.checkpoints = e.host.snapshots.published.Load() - before; l.checkpoints > 0 || l.work.failure != nil {
			break
		}
	}
	close(done)
	watching.Wait()
	l.appends = e.host.log.takeTimes()
	err = l.work.failure
	for i := range updates {
		l.updates.merge(&updates[i])
	}
	for _, w := range looking {
		l.looks.merge(&w.pauses)
		err = errors.Join(err, w.err)
	}
	return l, errors.Join(err, context.Cause(ctx))
}

func (p *pauses) merge(o *pauses) {
	p.during.merge(&o.during)
	p.other.merge(&o.other)
}

// begin makes a caller that gives random entities new texts.
func (l *checkpointRun) begin(ctx context.Context, e *environment, p *pauses) func(*rand.Rand) operation {
	c := e.typed.With(ctx)
	return func(random *rand.Rand) operation {
		text := textOf(random)
		return func() error {
			return p.time(e.host.snapshots, func() error {
				_, err := put.Call(c, e.keys[random.IntN(len(e.keys))], text)
				return err
			})
		}
	}
}

func (l *checkpointRun) report(r *loaded) {
	r.OpsPerSecond = round(l.work.perSecond(l.work.operations), 1)
	r.P50, r.P99 = microseconds(l.work.times.quantile(0.5)), microseconds(l.work.times.quantile(0.99))
	r.Seconds, r.UpdatesDiscarded = round(l.work.elapsed.Seconds(), 2), l.work.failures
	r.Checkpoints = l.checkpoints
	r.CheckpointPause, r.CheckpointP999 = milliseconds(l.looks.during.largest), milliseconds(l.looks.during.quantile(0.999))
	r.OtherPause, r.OtherP999 = milliseconds(l.looks.other.largest), milliseconds(l.looks.other.quantile(0.999))
	r.UpdateMax, r.OtherUpdateMax = milliseconds(l.updates.during.largest), milliseconds(l.updates.other.largest)
	r.AppendMax = milliseconds(l.appends.largest)
	r.SchedulingPause, r.SchedulingP999 = milliseconds(l.scheduling.largest), milliseconds(l.scheduling.quantile(0.999))
	r.CheckpointShare = round(per(float64(l.looks.during.total), l.looks.during.total+l.looks.other.total), 3)
	r.LoadedMemoryMiB = round(float64(usageNow().memory)/(1<<20), 0)
}

// watcher looks at entities that nobody changes, one on each partition, so that
// no look waits for the disk.
type watcher struct {
	look   func(partition int) error
	snaps  *watchedSnapshots
	first  int
	pauses pauses
	err    error
}

func (e *environment) newWatchers(ctx context.Context) (list []*watcher, err error) {
	c := e.typed.With(ctx)
	keys := make([]string, partitions)
	for p := range keys {
		for salt := 0; ; salt++ {
			keys[p] = "watched-" + strconv.Itoa(p) + "-" + strconv.Itoa(salt)
			if msg.PartitionOf(msg.Ref{Kind: "record", Key: keys[p]}, "", partitions) == msg.Partition(p) {
				break
			}
		}
		if _, err := put.Call(c, keys[p], ""); err != nil {
			return nil, fmt.Errorf("make the entities to watch: %w", err)
		}
	}
	for i := range watchers {
		list = append(list, &watcher{snaps: e.host.snapshots, first: i * partitions / watchers, look: func(p int) error {
			_, err := look.Call(c, keys[p], noInput)
			return err
		}})
	}
	return list, nil
}

func (w *watcher) watch(done <-chan struct{}) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for p := w.first; ; p = (p + 1) % partitions {
		select {
		case <-tick.C:
		case <-done:
			return
		}
		if err := w.pauses.time(w.snaps, func() error { return w.look(p) }); err != nil {
			w.err = err
			return
		}
	}
}

// watchScheduling asks another goroutine that does nothing but answer. A look
// takes three such changes: to the loop, to an executor and back. What it takes
// here at most is what the machine and Go's scheduler do to everybody.
func (l *checkpointRun) watchScheduling(done <-chan struct{}) {
	asked, answered := make(chan struct{}), make(chan struct{})
	defer close(asked)
	go func() {
		for range asked {
			answered <- struct{}{}
		}
	}()
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-done:
			return
		}
		began := time.Now()
		asked <- struct{}{}
		<-answered
		l.scheduling.add(time.Since(began))
	}
}

// recoverEntities is what the second process does: it says when it answers, and
// then how it went.
func recoverEntities(ctx context.Context, b *bench, callers int) error {
	keys, _ := (&workload{special: recoverEntities}).sizes(b.options.Keys)
	if err := b.profiles.begin(); err != nil {
		return err
	}
	began := time.Now()
	said := &recoveryLog{Handler: warnings(b.stderr).Handler()}
	e, err := startEnvironment(ctx, b.options.Data, keys, 0, callers, said.logger())
	if err != nil {
		return err
	}
	r := said.recovered()
	r.RecoveryMS = milliseconds(time.Since(began))
	if err := b.profiles.close(); err != nil {
		return errors.Join(err, e.close())
	}
	c := e.typed.With(ctx)
	random := rand.New(rand.NewPCG(2, 2))
	want := len(textOf(random))
	for i := range min(checked, keys) {
		bytes, err := look.Call(c, e.keys[random.IntN(keys)], noInput)
		if err == nil && bytes != want {
			err = fmt.Errorf("an entity has a text of %d bytes after recovery, want %d", bytes, want)
		}
		if err != nil {
			return errors.Join(err, e.close())
		}
		if i == 0 {
			if err := b.print(struct{}{}, nil); err != nil {
				return errors.Join(err, e.close())
			}
		}
	}
	stopping := time.Now()
	if err := e.close(); err != nil {
		return err
	}
	r.StopMS = milliseconds(time.Since(stopping))
	r.MemoryMiB = round(float64(usageNow().memory)/(1<<20), 0)
	return b.print(&r, nil)
}

// parseLine reads a line of a child process.
func parseLine(line []byte, into any) error {
	if err := json.Unmarshal(line, into); err != nil {
		return fmt.Errorf("the process that is measured says %.200q, want JSON: %w", line, err)
	}
	return nil
}

package embedded

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// BenchmarkAppend asks what a frame costs above one pwrite and one fdatasync of
// the same size into a file that is prepared in the same way. Both are done in
// turn in one run, because the time of a sync drifts.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{400, 32 << 10} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) { benchmarkAppend(b, size) })
	}
}

func benchmarkAppend(b *testing.B, size int) {
	h, err := Open(Config{Dir: filepath.Join(b.TempDir(), "data"), Identity: host.Identity{Partitions: 1}})
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	epoch, _, err := h.Log().Acquire(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	const bareBytes = 64 << 20
	bareName := filepath.Join(b.TempDir(), "bare")
	if err := writeZeros(osFS{}, bareName, bareBytes, func() {}); err != nil {
		b.Fatal(err)
	}
	bare, err := osFS{}.OpenFile(bareName, os.O_RDWR)
	if err != nil {
		b.Fatal(err)
	}
	defer bare.Close()

	var appends, bares []time.Duration
	var offset int64
	plain := make([]byte, itemHeaderBytes+size)
	f := host.Frame{Epoch: epoch, Count: 1, Payload: make([]byte, size)}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		f.Number, f.First = f.Number+1, f.First+1
		started := time.Now()
		if err := h.Log().Append(&f); err != nil {
			b.Fatal(err)
		}
		appends = append(appends, time.Since(started))
		f.Previous = f.Hash()
		if f.Number%1000 == 0 {
			if err := h.Log().Trim(f.Number); err != nil {
				b.Fatal(err)
			}
		}

		started = time.Now()
		if _, err := bare.WriteAt(plain, offset); err != nil {
			b.Fatal(err)
		}
		if err := bare.Datasync(); err != nil {
			b.Fatal(err)
		}
		bares = append(bares, time.Since(started))
		if offset += int64(len(plain)); offset+int64(len(plain)) > bareBytes {
			offset = 0
		}
	}
	report(b, appends, bares)
}

// report gives percentiles, and the ratio that matters.
func report(b *testing.B, appends, bares []time.Duration) {
	for name, list := range map[string][]time.Duration{"append": appends, "bare": bares} {
		slices.Sort(list)
		for _, percent := range []int{50, 99} {
			at := list[len(list)*percent/100]
			b.ReportMetric(float64(at.Nanoseconds())/1e3, fmt.Sprintf("%s_p%d_us", name, percent))
		}
	}
	b.ReportMetric(float64(appends[len(appends)/2])/float64(bares[len(bares)/2]), "p50_ratio")
}

// BenchmarkAppendBesideCheckpoint asks how long an append waits while a checkpoint is
// written as fast as the disk takes it.
func BenchmarkAppendBesideCheckpoint(b *testing.B) {
	h, err := Open(Config{Dir: filepath.Join(b.TempDir(), "data"), Identity: host.Identity{Partitions: 1}})
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	epoch, _, err := h.Log().Acquire(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	stop, done := make(chan struct{}), make(chan int64)
	go func() { done <- writeCheckpoints(b, h, stop) }()
	var appends []time.Duration
	f := host.Frame{Epoch: epoch, Count: 1, Payload: make([]byte, 4<<10)}
	started := time.Now()
	for b.Loop() {
		f.Number, f.First = f.Number+1, f.First+1
		before := time.Now()
		if err := h.Log().Append(&f); err != nil {
			b.Fatal(err)
		}
		appends = append(appends, time.Since(before))
		f.Previous = f.Hash()
	}
	elapsed := time.Since(started)
	close(stop)
	b.ReportMetric(float64(<-done)/1e6/elapsed.Seconds(), "checkpoint_MB/s")
	slices.Sort(appends)
	for _, percent := range []int{50, 99} {
		b.ReportMetric(float64(appends[len(appends)*percent/100].Nanoseconds())/1e3, fmt.Sprintf("append_p%d_us", percent))
	}
	b.ReportMetric(float64(appends[len(appends)-1].Nanoseconds())/1e3, "append_max_us")
}

// writeCheckpoints publishes checkpoints of 32 MiB until it is stopped, and
// gives the bytes.
func writeCheckpoints(b *testing.B, h *Host, stop chan struct{}) (bytes int64) {
	slice := make([]byte, 64<<10)
	for round := msg.Index(1); ; round++ {
		w, err := h.Snapshots().Create(0)
		if err != nil {
			b.Error(err)
			return bytes
		}
		for range 512 {
			select {
			case <-stop:
				w.Abort()
				return bytes
			default:
			}
			if err := w.Write(slice); err != nil {
				b.Error(err)
				return bytes
			}
			bytes += int64(len(slice))
		}
		err = w.Sync()
		if err == nil {
			err = h.Snapshots().Publish([]host.Published{{Checkpoint: host.Checkpoint{Start: round, End: round}, Writer: w}})
		}
		if err != nil {
			b.Error(err)
			return bytes
		}
	}
}

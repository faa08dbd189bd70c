package bench

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// watchedHost counts what goes through a host.
type watchedHost struct {
	host.Host
	log       *watchedLog
	snapshots *watchedSnapshots
}

func watch(h host.Host) *watchedHost {
	return &watchedHost{Host: h, log: &watchedLog{Log: h.Log()}, snapshots: &watchedSnapshots{Snapshots: h.Snapshots()}}
}

var _ host.Host = (*watchedHost)(nil)

// Log implements host.Host.
func (h *watchedHost) Log() host.Log { return h.log }

// Snapshots implements host.Host.
func (h *watchedHost) Snapshots() host.Snapshots { return h.snapshots }

// watchedLog counts and times appends.
type watchedLog struct {
	host.Log
	mu    sync.Mutex
	total written
	times histogram
}

// written is what has been appended.
type written struct{ frames, records, bytes uint64 }

func (w written) minus(o written) written {
	return written{w.frames - o.frames, w.records - o.records, w.bytes - o.bytes}
}

// Append implements host.Log.
func (l *watchedLog) Append(f *host.Frame) error {
	began := time.Now()
	err := l.Log.Append(f)
	took := time.Since(began)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total.frames++
	l.total.records += uint64(f.Count)
	l.total.bytes += uint64(len(f.Payload))
	l.times.add(took)
	return err
}

func (l *watchedLog) written() written {
	if l == nil { // nothing is logged in this process
		return written{}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total
}

// takeTimes gives the times of the appends since it was last called.
func (l *watchedLog) takeTimes() (times histogram) {
	l.mu.Lock()
	defer l.mu.Unlock()
	times, l.times = l.times, histogram{}
	return times
}

// watchedSnapshots counts checkpoints, and those that are being taken.
type watchedSnapshots struct {
	host.Snapshots
	active    atomic.Int64
	published atomic.Int64
}

// Create implements host.Snapshots.
func (s *watchedSnapshots) Create(p msg.Partition) (host.SnapshotWriter, error) {
	w, err := s.Snapshots.Create(p)
	if err != nil {
		return nil, err
	}
	s.active.Add(1)
	return &watchedWriter{SnapshotWriter: w, snapshots: s}, nil
}

// Publish implements host.Snapshots.
func (s *watchedSnapshots) Publish(list []host.Published) error {
	inner := make([]host.Published, len(list))
	for i, p := range list {
		if w, ok := p.Writer.(*watchedWriter); ok {
			p.Writer = w.SnapshotWriter
			defer w.end()
			s.published.Add(1)
		}
		inner[i] = p
	}
	return s.Snapshots.Publish(inner)
}

// watchedWriter is a checkpoint that is being taken.
type watchedWriter struct {
	host.SnapshotWriter
	snapshots *watchedSnapshots
	ended     bool
}

func (w *watchedWriter) end() {
	if !w.ended {
		w.ended = true
		w.snapshots.active.Add(-1)
	}
}

// Abort implements host.SnapshotWriter.
func (w *watchedWriter) Abort() {
	w.SnapshotWriter.Abort()
	w.end()
}

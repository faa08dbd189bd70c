package recovery

import (
	"log/slog"
	"sync"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/invariant"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/partition"
)

// Saver writes checkpoints to the host and trims the log below what they make
// unneeded. Report may be called while another method runs; the others by one
// goroutine at a time.
type Saver struct {
	host   host.Host
	tell   func(loop int, in partition.Input)
	logger *slog.Logger

	writers map[msg.Partition]host.SnapshotWriter
	errs    map[msg.Partition]error

	current map[msg.Partition]host.Checkpoint

	mu    sync.Mutex
	needs []needs // by loop, as last reported
}

// needs is what a loop said that recovery needs.
type needs struct {
	oldest    msg.FrameNumber
	unchanged []host.Checkpoint
	asked     bool // to say it after the next turn
}

// NewSaver makes a saver for a number of loops, which it tells what became of
// what they handed out.
func NewSaver(h host.Host, loops int, tell func(loop int, in partition.Input), logger *slog.Logger) *Saver {
	return &Saver{
		host: h, tell: tell, logger: logger,
		writers: map[msg.Partition]host.SnapshotWriter{}, errs: map[msg.Partition]error{},
		current: map[msg.Partition]host.Checkpoint{}, needs: make([]needs, loops),
	}
}

// Close gives up what was not published, once the loops have ended.
func (s *Saver) Close() {
	for _, w := range s.writers {
		w.Abort()
	}
}

// Last brings up to date what is published, once nothing changes any more, so
// that the next start reads nothing that it does not need.
func (s *Saver) Last(loops []*partition.Loop) {
	for i, l := range loops {
		s.needs[i].oldest, s.needs[i].unchanged = l.Needs()
	}
	if err := s.makeCurrent(nil); err != nil {
		s.logger.Warn("the last checkpoints could not be brought up to date: the next start reads more of the log", "error", err)
	}
}

// Write writes a slice and tells its loop.
func (s *Saver) Write(loop int, slice partition.Slice) {
	slice.Err = s.write(slice)
	s.tell(loop, partition.Input{Kind: partition.InputSaved, Saved: slice})
}

// write appends a slice to the file of its checkpoint. After an error the rest
// of the checkpoint is refused.
func (s *Saver) write(slice partition.Slice) error {
	p := slice.Partition
	if slice.First {
		s.drop(p)
		delete(s.errs, p)
		w, err := s.host.Snapshots().Create(p)
		if err != nil {
			return s.broken(p, err)
		}
		s.writers[p] = w
	}
	if err := s.errs[p]; err != nil {
		return err
	}
	w := s.writers[p]
	if err := w.Write(slice.Bytes); err != nil {
		return s.broken(p, err)
	}
	if slice.Last {
		if err := w.Sync(); err != nil {
			return s.broken(p, err)
		}
	}
	return nil
}

func (s *Saver) broken(p msg.Partition, err error) error {
	s.logger.Error("a checkpoint could not be written; it is tried again when the log has grown", "partition", p, "error", err)
	s.errs[p] = err
	s.drop(p)
	return err
}

func (s *Saver) drop(p msg.Partition) {
	if w := s.writers[p]; w != nil {
		w.Abort()
		delete(s.writers, p)
	}
}

// Publish publishes a checkpoint that a loop has found complete, and tells the
// loop.
func (s *Saver) Publish(loop int, c host.Checkpoint) {
	w := s.writers[c.Partition]
	delete(s.writers, c.Partition)
	err := s.makeCurrent([]host.Published{{Checkpoint: c, Writer: w}})
	s.tell(loop, partition.Input{Kind: partition.InputPublished, Partition: c.Partition, Err: err})
	if err != nil {
		s.logger.Error("a checkpoint could not be published; it is tried again when the log has grown", "partition", c.Partition, "error", err)
		return
	}
	for i := range s.needs {
		s.tell(i, partition.Input{Kind: partition.InputNudge}) // to be told what it needs now
	}
}

// makeCurrent publishes a list, and with it what loops have said of partitions
// that have not changed. Then the log may be trimmed.
func (s *Saver) makeCurrent(list []host.Published) error {
	before, unchanged := s.take()
	for _, later := range unchanged {
		fresh := len(list) > 0 && list[0].Checkpoint.Partition == later.Partition
		if !fresh && later.Start >= s.current[later.Partition].Start {
			list = append(list, host.Published{Checkpoint: later})
		}
	}
	if len(list) == 0 {
		return nil
	}
	if err := s.host.Snapshots().Publish(list); err != nil {
		return err
	}
	for _, p := range list {
		s.current[p.Checkpoint.Partition] = p.Checkpoint
	}
	if err := s.host.Log().Trim(before); err != nil {
		s.logger.Warn("the log could not be trimmed", "before", before, "error", err)
	}
	return nil
}

// take returns what the loops have said they need, and wants to hear it anew.
func (s *Saver) take() (oldest msg.FrameNumber, unchanged []host.Checkpoint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	oldest = s.needs[0].oldest
	for i := range s.needs {
		if oldest = min(oldest, s.needs[i].oldest); invariant.Mutated(invariant.ApplyPastHole) {
			oldest = max(oldest, s.needs[i].oldest)
		}
		unchanged = append(unchanged, s.needs[i].unchanged...)
		s.needs[i].asked = true
	}
	return oldest, unchanged
}

// Report takes what a loop needs, after a turn of it, if it was asked.
func (s *Saver) Report(loop int, l *partition.Loop) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := &s.needs[loop]; n.asked {
		n.asked = false
		n.oldest, n.unchanged = l.Needs()
	}
}

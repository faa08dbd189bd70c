package node

import (
	"log/slog"
	"sync"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/partition"
)

// saver writes checkpoints to the host, on a goroutine of its own, and trims
// the log below what they make unneeded.
type saver struct {
	host   host.Host
	tell   func(loop int, in partition.Input)
	logger *slog.Logger
	jobs   chan job
	ended  sync.WaitGroup

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

type job struct {
	loop      int
	slice     partition.Slice
	published *host.Checkpoint
}

// jobsMax is how many slices may wait: each loop has a few at a time.
const jobsMax = 1024

func newSaver(h host.Host, loops int, tell func(int, partition.Input), logger *slog.Logger) *saver {
	s := &saver{
		host: h, tell: tell, logger: logger, jobs: make(chan job, jobsMax),
		writers: map[msg.Partition]host.SnapshotWriter{}, errs: map[msg.Partition]error{},
		current: map[msg.Partition]host.Checkpoint{}, needs: make([]needs, loops),
	}
	s.ended.Add(1)
	go s.run()
	return s
}

func (s *saver) slice(loop int, slice partition.Slice) { s.jobs <- job{loop: loop, slice: slice} }

func (s *saver) publish(loop int, c host.Checkpoint) { s.jobs <- job{loop: loop, published: &c} }

// close ends the goroutine, once the loops have ended.
func (s *saver) close() {
	close(s.jobs)
	s.ended.Wait()
	for _, w := range s.writers {
		w.Abort()
	}
}

// last brings up to date what is published, once nothing changes any more, so
// that the next start reads nothing that it does not need.
func (s *saver) last(loops []*partition.Loop) {
	for i, l := range loops {
		s.needs[i].oldest, s.needs[i].unchanged = l.Needs()
	}
	if err := s.makeCurrent(nil); err != nil {
		s.logger.Warn("the last checkpoints could not be brought up to date: the next start reads more of the log", "error", err)
	}
}

func (s *saver) run() {
	defer s.ended.Done()
	for j := range s.jobs {
		if j.published != nil {
			s.finish(j.loop, *j.published)
			continue
		}
		j.slice.Err = s.write(j.slice)
		s.tell(j.loop, partition.Input{Kind: partition.InputSaved, Saved: j.slice})
	}
}

// write appends a slice to the file of its checkpoint. After an error the rest
// of the checkpoint is refused.
func (s *saver) write(slice partition.Slice) error {
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

func (s *saver) broken(p msg.Partition, err error) error {
	s.logger.Error("a checkpoint could not be written; it is tried again when the log has grown", "partition", p, "error", err)
	s.errs[p] = err
	s.drop(p)
	return err
}

func (s *saver) drop(p msg.Partition) {
	if w := s.writers[p]; w != nil {
		w.Abort()
		delete(s.writers, p)
	}
}

// finish publishes a checkpoint.
func (s *saver) finish(loop int, c host.Checkpoint) {
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
func (s *saver) makeCurrent(list []host.Published) error {
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
func (s *saver) take() (oldest msg.FrameNumber, unchanged []host.Checkpoint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	oldest = s.needs[0].oldest
	for i := range s.needs {
		oldest = min(oldest, s.needs[i].oldest)
		unchanged = append(unchanged, s.needs[i].unchanged...)
		s.needs[i].asked = true
	}
	return oldest, unchanged
}

// report takes what a loop needs, on its goroutine, if it was asked.
func (s *saver) report(loop int, l *partition.Loop) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := &s.needs[loop]; n.asked {
		n.asked = false
		n.oldest, n.unchanged = l.Needs()
	}
}

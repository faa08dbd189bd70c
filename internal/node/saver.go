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

	mu     sync.Mutex
	needed []msg.FrameNumber // by loop, as last reported
	asked  []bool            // by loop: to report after its next turn
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
		needed: make([]msg.FrameNumber, loops), asked: make([]bool, loops),
	}
	s.ended.Add(1)
	go s.run()
	return s
}

func (s *saver) slice(loop int, slice partition.Slice) { s.jobs <- job{loop: loop, slice: slice} }

func (s *saver) publish(loop int, c host.Checkpoint) { s.jobs <- job{loop: loop, published: &c} }

// close ends the goroutine; no slice comes after it.
func (s *saver) close() {
	close(s.jobs)
	s.ended.Wait()
	for _, w := range s.writers {
		w.Abort()
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

// finish publishes a checkpoint and trims the log.
func (s *saver) finish(loop int, c host.Checkpoint) {
	w := s.writers[c.Partition]
	delete(s.writers, c.Partition)
	err := s.host.Snapshots().Publish([]host.Published{{Checkpoint: c, Writer: w}})
	if err != nil {
		s.logger.Error("a checkpoint could not be published", "partition", c.Partition, "error", err)
	}
	s.tell(loop, partition.Input{Kind: partition.InputPublished, Partition: c.Partition, Err: err})
	s.trim()
}

// trim forgets frames that no loop needed when it last reported, and asks for
// new reports. A loop never needs an older frame than it has reported.
func (s *saver) trim() {
	s.mu.Lock()
	before := s.needed[0]
	for i, n := range s.needed {
		before = min(before, n)
		s.asked[i] = true
	}
	s.mu.Unlock()
	for i := range s.needed {
		s.tell(i, partition.Input{Kind: partition.InputNudge})
	}
	if err := s.host.Log().Trim(before); err != nil {
		s.logger.Warn("the log could not be trimmed", "before", before, "error", err)
	}
}

// report takes what a loop needs, on its goroutine, if it was asked.
func (s *saver) report(loop int, l *partition.Loop) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked[loop] {
		s.asked[loop] = false
		s.needed[loop] = l.Needed()
	}
}

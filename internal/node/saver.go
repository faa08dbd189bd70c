package node

import (
	"sync"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/partition"
	"github.com/holdfast-io/holdfast/internal/recovery"
)

// saver runs a recovery.Saver on a goroutine of its own.
type saver struct {
	*recovery.Saver
	jobs  chan job
	ended sync.WaitGroup
}

type job struct {
	loop      int
	slice     partition.Slice
	published *host.Checkpoint
}

// jobsMax is how many slices may wait: each loop has a few at a time.
const jobsMax = 1024

func newSaver(passive *recovery.Saver) *saver {
	s := &saver{Saver: passive, jobs: make(chan job, jobsMax)}
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
	s.Close()
}

func (s *saver) run() {
	defer s.ended.Done()
	for j := range s.jobs {
		if j.published != nil {
			s.Publish(j.loop, *j.published)
			continue
		}
		s.Write(j.loop, j.slice)
	}
}

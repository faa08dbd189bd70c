package node

import (
	"errors"
	"sync"

	"github.com/holdfast-io/holdfast/internal/recovery"
)

// folders fold records into partitions, several partitions at a time. The
// records of one partition are folded in order, by one goroutine.
type folders struct {
	into    *recovery.Recovery
	workers []*folder
	ended   sync.WaitGroup
	failed  chan error // of each folder that stopped, one
}

// folder is one goroutine with what it is to fold.
type folder struct {
	batch   batch
	batches chan batch
}

// batch holds copies of records.
type batch struct {
	bytes []byte
	ends  []int
}

const (
	batchBytes   = 256 << 10 // enough that handing it over costs nothing
	batchesAhead = 8         // that wait for a folder: 2 MiB
)

func newFolders(into *recovery.Recovery, count int) *folders {
	f := &folders{into: into, failed: make(chan error, count)}
	for range count {
		w := &folder{batches: make(chan batch, batchesAhead)}
		f.workers = append(f.workers, w)
		f.ended.Add(1)
		go f.run(w)
	}
	return f
}

// take copies a record into the batch of its folder.
func (f *folders) take(record []byte) error {
	p, err := f.into.PartitionOf(record)
	if err != nil {
		return err
	}
	w := f.workers[int(p)%len(f.workers)]
	w.batch.bytes = append(w.batch.bytes, record...)
	w.batch.ends = append(w.batch.ends, len(w.batch.bytes))
	if len(w.batch.bytes) < batchBytes {
		return nil
	}
	return f.flush(w)
}

func (f *folders) flush(w *folder) error {
	full := w.batch
	w.batch = batch{bytes: make([]byte, 0, batchBytes+batchBytes/4), ends: make([]int, 0, len(full.ends))}
	select {
	case w.batches <- full:
		return nil
	case err := <-f.failed:
		f.failed <- err // for close, which says it
		return errFolding
	}
}

// errFolding ends the reading of the log; what went wrong is what close says.
var errFolding = errors.New("records cannot be folded")

// close waits until everything is folded.
func (f *folders) close() error {
	for _, w := range f.workers {
		select {
		case w.batches <- w.batch:
		case err := <-f.failed:
			f.failed <- err
		}
		close(w.batches)
	}
	f.ended.Wait()
	close(f.failed)
	return <-f.failed
}

func (f *folders) run(w *folder) {
	defer f.ended.Done()
	for b := range w.batches {
		begin := 0
		for _, end := range b.ends {
			if err := f.into.Fold(b.bytes[begin:end]); err != nil {
				f.failed <- err
				return
			}
			begin = end
		}
	}
}

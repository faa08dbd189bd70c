package node

import (
	"errors"
	"fmt"
	"sync"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/partition"
)

// folders fold records into partitions, several partitions at a time. The
// records of one partition are folded in order, by one goroutine.
type folders struct {
	list    []partition.Recovered
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

func newFolders(list []partition.Recovered, count int) *folders {
	f := &folders{list: list, failed: make(chan error, count)}
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
	p, err := msg.PartitionOfRecord(record)
	if err != nil {
		return fmt.Errorf("%w: %w", host.ErrCorrupt, err)
	}
	if int(p) >= len(f.list) {
		return fmt.Errorf("%w: record of partition %d of %d", host.ErrCorrupt, p, len(f.list))
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
			if err := f.fold(b.bytes[begin:end]); err != nil {
				f.failed <- err
				return
			}
			begin = end
		}
	}
}

// fold folds a record, unless the checkpoint of its partition holds it.
func (f *folders) fold(bytes []byte) error {
	r, err := msg.DecodeRecord(bytes)
	if err != nil {
		return fmt.Errorf("%w: %w", host.ErrCorrupt, err)
	}
	target := &f.list[r.Partition]
	if r.Index <= target.Checkpoint.Start {
		return nil
	}
	if err := target.Engine.Apply(r); err != nil {
		return fmt.Errorf("%w: %w", host.ErrCorrupt, err)
	}
	return nil
}

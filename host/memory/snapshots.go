package memory

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// snapshots is a Host seen as host.Snapshots.
type snapshots Host

// Current lists the published checkpoints by partition.
func (s *snapshots) Current() ([]host.Checkpoint, error) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	if err := (*Host)(s).usable(); err != nil {
		return nil, err
	}
	list := make([]host.Checkpoint, 0, len(s.store.current))
	for _, c := range s.store.current {
		list = append(list, c.checkpoint)
	}
	slices.SortFunc(list, func(a, b host.Checkpoint) int { return int(a.Partition) - int(b.Partition) })
	return list, nil
}

// Slices yields copies of the slices.
func (s *snapshots) Slices(c host.Checkpoint) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		s.store.mu.Lock()
		current, ok := s.store.current[c.Partition]
		err := (*Host)(s).usable()
		s.store.mu.Unlock()
		if err == nil && (!ok || current.checkpoint != c) {
			err = fmt.Errorf("read checkpoint of partition %d: it is not current", c.Partition)
		}
		if err != nil {
			yield(nil, err)
			return
		}
		for _, slice := range current.slices {
			if !yield(bytes.Clone(slice), nil) {
				return
			}
		}
	}
}

// Create begins a checkpoint.
func (s *snapshots) Create(p msg.Partition) (host.SnapshotWriter, error) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	if err := (*Host)(s).usable(); err != nil {
		return nil, err
	}
	return &writer{partition: p}, nil
}

// Publish makes all of the list current.
func (s *snapshots) Publish(list []host.Published) error {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	if err := (*Host)(s).usable(); err != nil {
		return err
	}
	next := make(map[msg.Partition]stored, len(list))
	for _, p := range list {
		entry, err := s.store.published(p)
		if err != nil {
			return fmt.Errorf("publish checkpoint of partition %d: %w", p.Checkpoint.Partition, err)
		}
		if _, twice := next[p.Checkpoint.Partition]; twice {
			return fmt.Errorf("publish checkpoint of partition %d: it is in the list twice", p.Checkpoint.Partition)
		}
		next[p.Checkpoint.Partition] = entry
	}
	for partition, entry := range next {
		s.store.current[partition] = entry
	}
	return nil
}

// published is what one element of a list makes current.
func (s *Store) published(p host.Published) (stored, error) {
	entry := stored{checkpoint: p.Checkpoint}
	if p.Writer == nil {
		old, ok := s.current[p.Checkpoint.Partition]
		if !ok {
			return stored{}, errors.New("it has no writer, and none is current")
		}
		entry.slices = old.slices
		entry.checkpoint.Bytes = old.checkpoint.Bytes
		return entry, nil
	}
	w, ok := p.Writer.(*writer)
	switch {
	case !ok:
		return stored{}, fmt.Errorf("its writer is a %T of another host", p.Writer)
	case w.partition != p.Checkpoint.Partition:
		return stored{}, fmt.Errorf("its writer was created for partition %d", w.partition)
	case !w.synced || w.aborted:
		return stored{}, errors.New("its writer was not synced")
	}
	entry.slices = w.slices
	entry.checkpoint.Bytes = w.bytes
	return entry, nil
}

// writer collects slices.
type writer struct {
	partition msg.Partition
	slices    [][]byte
	bytes     int64
	synced    bool
	aborted   bool
}

// Write appends a copy of the slice.
func (w *writer) Write(slice []byte) error {
	if w.synced || w.aborted {
		return fmt.Errorf("write checkpoint of partition %d: it has ended", w.partition)
	}
	w.slices = append(w.slices, bytes.Clone(slice))
	w.bytes += int64(len(slice))
	return nil
}

// Sync ends the checkpoint.
func (w *writer) Sync() error {
	if w.aborted {
		return fmt.Errorf("sync checkpoint of partition %d: it was aborted", w.partition)
	}
	w.synced = true
	return nil
}

// Abort forgets the checkpoint.
func (w *writer) Abort() { w.aborted = true; w.slices = nil }

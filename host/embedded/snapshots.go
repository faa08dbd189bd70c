package embedded

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// writeBytes is how much of a checkpoint, or of a new file's zeros, is written
// and synced at once. A sync of the log waits behind what is dirty elsewhere:
// with 1 MiB the slowest appends took 80 ms beside a checkpoint, with 128 KiB 6
// to 20 ms, at the same speed of writing (BenchmarkAppendBesideCheckpoint).
const writeBytes = 128 << 10

// snapshots implements host.Snapshots on files.
type snapshots struct {
	config *Config

	mu       sync.Mutex
	current  manifest
	sequence uint64              // of the next file
	garbage  map[string]struct{} // files to be removed after the next manifest
	closed   bool
}

var _ host.Snapshots = (*snapshots)(nil)

// openSnapshots reads the manifest and removes what it does not name.
func openSnapshots(config *Config) (*snapshots, error) {
	s := &snapshots{config: config, current: make(manifest), sequence: 1, garbage: make(map[string]struct{})}
	directory := filepath.Join(config.Dir, checkpointDirectory)
	name := filepath.Join(directory, manifestName)
	text, err := readSmall(config.FS, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w: the file is missing: restore it from a backup", name, host.ErrCorrupt)
	}
	if err != nil {
		return nil, err
	}
	if s.current, err = decodeManifest(name, text); err != nil {
		return nil, err
	}
	// What was read may have a name that is not durable yet. It must be, before
	// anything that an older manifest names is removed.
	if _, err := replaceFile(config.FS, name, text); err != nil {
		return nil, err
	}
	return s, s.removeUnnamed(directory)
}

// removeUnnamed removes every checkpoint file that is not current.
func (s *snapshots) removeUnnamed(directory string) error {
	named := make(map[string]bool, len(s.current))
	for p, c := range s.current {
		named[checkpointName(s.config.Dir, p, c.sequence)] = true
		s.sequence = max(s.sequence, c.sequence+1)
	}
	names, err := s.config.FS.ReadDir(directory)
	if err != nil {
		return err
	}
	for _, name := range names {
		path := filepath.Join(directory, name)
		if named[path] || !isCheckpoint(name) && filepath.Ext(name) != newSuffix {
			continue
		}
		if err := s.config.FS.Remove(path); err != nil {
			return err
		}
	}
	return nil
}

// Current lists the manifest.
func (s *snapshots) Current() ([]host.Checkpoint, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]host.Checkpoint, 0, len(s.current))
	for _, c := range s.current.sorted() {
		list = append(list, c.Checkpoint)
	}
	return list, nil
}

// Slices reads the file of a current checkpoint.
func (s *snapshots) Slices(c host.Checkpoint) iter.Seq2[[]byte, error] {
	s.mu.Lock()
	current, ok := s.current[c.Partition]
	s.mu.Unlock()
	return func(yield func([]byte, error) bool) {
		if !ok || current.Checkpoint != c {
			yield(nil, fmt.Errorf("read checkpoint of partition %d: it is not current", c.Partition))
			return
		}
		readSlices(s.config.FS, s.config.Dir, current, yield)
	}
}

// readSlices yields the slices of a file.
func readSlices(files FS, directory string, c published, yield func([]byte, error) bool) {
	r, err := openCheckpoint(files, checkpointName(directory, c.Partition, c.sequence), c.Partition, c.sequence)
	if err != nil {
		yield(nil, err)
		return
	}
	defer r.close()
	for {
		slice, err := r.next(c.checkpointFile)
		if errors.Is(err, io.EOF) {
			return
		}
		if !yield(slice, err) || err != nil {
			return
		}
	}
}

// Create makes the file of a new checkpoint.
func (s *snapshots) Create(p msg.Partition) (host.SnapshotWriter, error) {
	s.mu.Lock()
	sequence, closed := s.sequence, s.closed
	s.sequence++
	s.mu.Unlock()
	if closed {
		return nil, fmt.Errorf("create checkpoint of partition %d: %w", p, fs.ErrClosed)
	}
	name := checkpointName(s.config.Dir, p, sequence)
	f, err := s.config.FS.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return nil, fmt.Errorf("create checkpoint of partition %d: %w", p, err)
	}
	header := checkpointHeader(p, sequence)
	w := &snapshotWriter{owner: s, file: f, name: name, partition: p, buffer: header}
	w.sequence = sequence
	w.checksum = firstSum(header)
	return w, nil
}

// Publish writes a manifest and gives it its name.
func (s *snapshots) Publish(list []host.Published) error {
	garbage, err := s.publish(list)
	for _, name := range garbage {
		removeGently(s.config.FS, name)
	}
	return err
}

// publish gives the names of the files that no manifest can name any more.
func (s *snapshots) publish(list []host.Published) (garbage []string, err error) {
	if s.config.mutant == mutantListByList && len(list) > 1 {
		return nil, errors.Join(s.Publish(list[:1]), s.Publish(list[1:]))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, fmt.Errorf("publish checkpoints: %w", fs.ErrClosed)
	}
	next, err := s.next(list)
	if err != nil {
		return nil, err
	}
	for _, p := range list {
		if w, ok := p.Writer.(*snapshotWriter); ok {
			w.published = true
		}
	}
	name := filepath.Join(s.config.Dir, checkpointDirectory, manifestName)
	if renamed, err := replaceFile(s.config.FS, name, next.encode()); err != nil {
		s.unpublish(list, renamed)
		return nil, fmt.Errorf("publish %d checkpoints: %w", len(list), err)
	}
	for p, c := range s.current {
		if next[p].sequence != c.sequence {
			s.garbage[checkpointName(s.config.Dir, p, c.sequence)] = struct{}{}
		}
	}
	s.current = next
	garbage = slices.Sorted(maps.Keys(s.garbage))
	clear(s.garbage)
	return garbage, nil
}

// next gives the manifest that the list makes of the current one.
func (s *snapshots) next(list []host.Published) (manifest, error) {
	next := maps.Clone(s.current)
	seen := make(map[msg.Partition]bool, len(list))
	for _, p := range list {
		entry, err := s.entry(p)
		if err == nil && seen[p.Checkpoint.Partition] {
			err = errors.New("it is in the list twice")
		}
		if err != nil {
			return nil, fmt.Errorf("publish checkpoint of partition %d: %w", p.Checkpoint.Partition, err)
		}
		seen[p.Checkpoint.Partition] = true
		next[p.Checkpoint.Partition] = entry
	}
	return next, nil
}

// entry gives what one element of a list makes current.
func (s *snapshots) entry(p host.Published) (published, error) {
	entry := published{Checkpoint: p.Checkpoint}
	if p.Writer == nil {
		old, ok := s.current[p.Checkpoint.Partition]
		if !ok {
			return published{}, errors.New("it has no writer, and none is current")
		}
		entry.checkpointFile, entry.Bytes = old.checkpointFile, old.Bytes
		return entry, nil
	}
	w, ok := p.Writer.(*snapshotWriter)
	switch {
	case !ok || w.owner != s:
		return published{}, fmt.Errorf("its writer (%T) is of another host", p.Writer)
	case w.partition != p.Checkpoint.Partition:
		return published{}, fmt.Errorf("its writer was created for partition %d", w.partition)
	case w.published:
		return published{}, errors.New("its writer was published before")
	case !w.synced:
		return published{}, errors.New("its writer was not synced")
	}
	entry.checkpointFile, entry.Bytes = w.checkpointFile, w.bytes
	return entry, nil
}

// unpublish takes back what could not be published. If the manifest may have
// its name, a restart may find it: then its files stay until the next manifest
// is durable.
func (s *snapshots) unpublish(list []host.Published, renamed bool) {
	for _, p := range list {
		w, ok := p.Writer.(*snapshotWriter)
		if !ok {
			continue
		}
		if renamed {
			s.garbage[w.name] = struct{}{}
		} else {
			w.published = false
		}
	}
}

// close refuses what comes later.
func (s *snapshots) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

// snapshotWriter writes one checkpoint file.
type snapshotWriter struct {
	owner     *snapshots
	file      File
	name      string
	partition msg.Partition
	checkpointFile

	buffer []byte // not written yet
	offset int64  // where it goes
	bytes  int64  // of slices
	err    error  // of the first failure
	synced bool
	closed bool

	published bool // guarded by owner.mu
}

// Write appends a slice.
func (w *snapshotWriter) Write(slice []byte) error {
	if w.closed {
		return fmt.Errorf("write checkpoint of partition %d: it has ended", w.partition)
	}
	if len(slice) > sliceBytesMax {
		return fmt.Errorf("write checkpoint of partition %d: a slice of %d bytes is over the limit of %d", w.partition, len(slice), sliceBytesMax)
	}
	w.checksum = sliceSum(w.checksum, slice)
	w.buffer = appendSliceHeader(w.buffer, len(slice), w.checksum)
	w.buffer = append(w.buffer, slice...)
	w.slices++
	w.bytes += int64(len(slice))
	if len(w.buffer) < writeBytes {
		return w.err
	}
	return w.flush()
}

// flush writes the buffer and syncs it, a part at a time.
func (w *snapshotWriter) flush() error {
	for rest := w.buffer; len(rest) > 0 && w.err == nil; {
		part := rest[:min(len(rest), writeBytes)]
		if _, w.err = w.file.WriteAt(part, w.offset); w.err == nil {
			w.err = w.file.Datasync()
		}
		w.offset += int64(len(part))
		rest = rest[len(part):]
	}
	w.buffer = w.buffer[:0]
	if w.err != nil {
		return fmt.Errorf("write checkpoint of partition %d: %w", w.partition, w.err)
	}
	return nil
}

// Sync ends the file and makes it durable, with its name.
func (w *snapshotWriter) Sync() error {
	if w.closed {
		return fmt.Errorf("sync checkpoint of partition %d: it has ended", w.partition)
	}
	end, sum := checkpointEnd(w.checksum, w.slices, w.bytes)
	w.checksum = sum
	w.buffer = append(w.buffer, end...)
	if err := w.flush(); err != nil {
		return err
	}
	if w.err == nil {
		w.err = w.owner.config.FS.SyncDir(filepath.Dir(w.name))
	}
	w.closed = true
	w.err = errors.Join(w.err, w.file.Close())
	if w.err != nil {
		return fmt.Errorf("sync checkpoint of partition %d: %w", w.partition, w.err)
	}
	w.synced = true
	return nil
}

// Abort removes the file, unless it was published.
func (w *snapshotWriter) Abort() {
	w.owner.mu.Lock()
	published, closed := w.published, w.owner.closed
	w.owner.mu.Unlock()
	if !w.closed {
		w.closed = true
		_ = w.file.Close()
	}
	w.synced = false
	if !published && !closed {
		// What stays is removed at the next start.
		_ = w.owner.config.FS.Remove(w.name)
	}
}

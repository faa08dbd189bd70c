package embedded

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/holdfast-io/holdfast/host"
)

// Host is an open data directory.
type Host struct {
	config    Config
	lock      io.Closer
	log       *log
	snapshots *snapshots
	marks     Mapping
	recovered Recovered
	closed    bool
}

var _ host.Host = (*Host)(nil)

// Recovered says what Open found and did.
type Recovered struct {
	// New says that the directory was made.
	New bool
	// Sealed says that the last process ended the log in order, or wrote
	// nothing.
	Sealed bool
	// CutFile and CutOffset are where a torn frame was cut off; empty if none
	// was. CutReason says what was wrong with it.
	CutFile   string
	CutOffset int64
	CutReason error
	// Segments is the number of log files.
	Segments int
}

// Open opens the data directory, or makes it. It reads the last segment of the
// log, and returns when everything that Frames will yield is durable.
//
// Errors: host.ErrInUse if another process has it; host.ErrIncompatible if it
// was made for something else; host.ErrCorrupt with file and offset if it is
// damaged; fs.ErrPermission; host.ErrFull if the disk has no room to go on.
func Open(config Config) (*Host, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("open data directory: %w", err)
	}
	h := &Host{config: config.withDefaults()}
	if err := h.open(); err != nil {
		h.release()
		return nil, fmt.Errorf("open data directory %s: %w", config.Dir, explain(err))
	}
	return h, nil
}

// open does the steps of Open in order.
func (h *Host) open() error {
	files, directory := h.config.FS, h.config.Dir
	if err := files.MkdirAll(directory); err != nil {
		return err
	}
	var err error
	if h.lock, err = takeLock(&h.config); err != nil {
		return err
	}
	found, err := readFormat(files, directory)
	h.recovered.New = errors.Is(err, fs.ErrNotExist)
	switch {
	case h.recovered.New:
		err = h.layOut()
	case err == nil:
		err = h.resume(found)
	}
	if err != nil {
		return err
	}
	if err := h.openParts(); err != nil {
		return err
	}
	if !h.recovered.New {
		return nil
	}
	// FORMAT comes last: a directory that has it was complete once.
	if _, err := replaceFile(files, filepath.Join(directory, formatName), formatText(h.config.Identity)); err != nil {
		return err
	}
	return files.SyncDir(filepath.Dir(directory))
}

// resume checks that a directory may be used that is there. Its names may have
// been read from the cache: a start that died, or whose sync failed, has made
// them and no more. They are durable before anything is built on them.
func (h *Host) resume(found host.Identity) error {
	directory := h.config.Dir
	if err := checkIdentity(directory, found, h.config.Identity); err != nil {
		return err
	}
	return errors.Join(h.config.FS.SyncDir(directory), h.config.FS.SyncDir(filepath.Dir(directory)))
}

// layOut makes the directories of a new data directory.
func (h *Host) layOut() error {
	files, directory := h.config.FS, h.config.Dir
	if err := mustBeNew(&h.config); err != nil {
		return err
	}
	for _, name := range []string{logDirectory, checkpointDirectory} {
		if err := files.MkdirAll(filepath.Join(directory, name)); err != nil {
			return err
		}
	}
	if _, err := replaceFile(files, filepath.Join(directory, checkpointDirectory, manifestName), manifest{}.encode()); err != nil {
		return err
	}
	return files.SyncDir(directory)
}

// openParts opens log, checkpoints and marks.
func (h *Host) openParts() error {
	segments, err := readSegmentHeaders(h.config.FS, h.config.Dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(segments) == 0 && !h.recovered.New {
		return fmt.Errorf("%s: %w: the log is missing: restore the directory from a backup, or start with an empty one",
			filepath.Join(h.config.Dir, logDirectory), host.ErrCorrupt)
	}
	if err != nil {
		return err
	}
	if h.snapshots, err = openSnapshots(&h.config); err != nil {
		return err
	}
	spares, err := openSpares(&h.config)
	if err != nil {
		return err
	}
	if h.log, err = recoverLog(&h.config, spares, segments, &h.recovered); err != nil {
		return err
	}
	h.marks, err = openMarks(h.config.FS, h.config.Dir)
	return err
}

// release gives back what open took.
func (h *Host) release() {
	if h.marks != nil {
		_ = h.marks.Close()
	}
	if h.log != nil {
		h.log.abandon()
	}
	if h.lock != nil {
		_ = h.lock.Close()
	}
}

// lockRetry is the pace at which a lock is asked for again.
const lockRetry = 20 * time.Millisecond

// takeLock waits for another process to leave.
func takeLock(config *Config) (io.Closer, error) {
	name := filepath.Join(config.Dir, lockName)
	deadline := time.Now().Add(config.LockWait)
	for {
		lock, err := config.FS.Lock(name)
		if !errors.Is(err, host.ErrInUse) {
			return lock, err
		}
		if config.LockWait < 0 {
			return nil, err
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("%w: waited %v: stop that process, or name another directory", err, config.LockWait)
		}
		time.Sleep(lockRetry)
	}
}

// explain adds what to do about errors of the system.
func explain(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: the user that runs this program must be able to read and write the directory and all in it", err)
	case isNoSpace(err) && !errors.Is(err, host.ErrFull):
		return fmt.Errorf("%w: %w: make room on the disk", host.ErrFull, err)
	}
	return err
}

// Capabilities says that data is on a disk.
func (h *Host) Capabilities() host.Capabilities {
	return host.Capabilities{Name: hostName, Disk: true, Durable: true, FrameBytesMax: h.config.FrameBytesMax}
}

// Identity says what the directory was made for.
func (h *Host) Identity() host.Identity { return h.config.Identity }

// Log is the log in the directory.
func (h *Host) Log() host.Log { return h.log }

// Snapshots are the checkpoints in the directory.
func (h *Host) Snapshots() host.Snapshots { return h.snapshots }

// Marks is a mapped file of 64 KiB.
func (h *Host) Marks() []byte { return h.marks.Bytes() }

// Recovered says what Open found.
func (h *Host) Recovered() Recovered { return h.recovered }

// Close seals the log, waits for background work, zeroes the marks and lets the
// directory go. Nothing may use the host at the same time or later. Closing
// twice is allowed.
func (h *Host) Close() error {
	if h.closed {
		return nil
	}
	h.closed = true
	err := h.log.close()
	h.snapshots.close()
	err = errors.Join(err, closeMarks(h.marks, h.config.mutant), h.lock.Close())
	if err != nil {
		return fmt.Errorf("close data directory %s: %w", h.config.Dir, err)
	}
	return nil
}

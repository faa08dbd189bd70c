package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/holdfast-io/holdfast/host"
)

const (
	// sparesMax bounds the prepared files: one that the log needs next, and two
	// that were trimmed in one go and save writing their zeros again.
	sparesMax = 3
	// spareRetry is the pace at which room is asked for again on a full disk.
	spareRetry = time.Second
)

// spare is a prepared file: allocated, and written once, because the first
// write into allocated room costs a sync of metadata.
type spare struct {
	name  string
	bytes int64
}

// spares keeps the next segment prepared. Its methods are called from any
// goroutine.
type spares struct {
	config *Config

	mu      sync.Mutex
	changed sync.Cond
	ready   []spare
	next    uint64 // number of the next name
	busy    bool   // one is being prepared
	held    bool   // its room is taken, only the zeros are missing
	err     error  // of the last attempt
	tried   time.Time
	closed  bool
}

// openSpares finds the files that were prepared earlier and removes what was
// left half made.
func openSpares(config *Config) (*spares, error) {
	s := &spares{config: config}
	s.changed.L = &s.mu
	if err := removeLeftovers(config.FS, filepath.Join(config.Dir, logDirectory)); err != nil {
		return nil, err
	}
	numbers, err := listNumbered(config.FS, config.Dir, spareSuffix)
	if err != nil {
		return nil, err
	}
	for _, number := range numbers {
		s.next = number + 1
		name := spareName(config.Dir, number)
		bytes, err := config.FS.Size(name)
		if err != nil {
			return nil, err
		}
		if bytes >= config.spareBytes(0) && len(s.ready) < sparesMax {
			s.ready = append(s.ready, spare{name, bytes})
			continue
		}
		if err := config.FS.Remove(name); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// prepare sees to it that a file of the size is made, unless there is one.
func (s *spares) prepare(bytes int64) {
	s.mu.Lock()
	if s.busy || s.closed || len(s.ready) > 0 {
		s.mu.Unlock()
		return
	}
	s.busy = true
	number := s.number()
	s.mu.Unlock()
	s.config.Background(func() {
		made, err := makeSpare(s.config.FS, s.config.Dir, number, bytes, s.hold)
		s.mu.Lock()
		defer s.mu.Unlock()
		if err == nil {
			s.ready = append(s.ready, made)
		}
		s.busy, s.held, s.err, s.tried = false, false, err, s.config.Now()
		s.changed.Broadcast()
	})
}

// hold notes that the room for the file that is being prepared is taken.
func (s *spares) hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = true
	s.changed.Broadcast()
}

// number draws the next name. The lock is held.
func (s *spares) number() uint64 {
	s.next++
	return s.next - 1
}

// secure returns when the room for the next segment is taken, or when it is
// known that there is none: then it says so to room, which asks again.
func (s *spares) secure(bytes int64) {
	s.mu.Lock()
	for len(s.ready) == 0 && s.busy && !s.held {
		s.changed.Wait()
	}
	secured := len(s.ready) > 0 || s.held
	s.mu.Unlock()
	if !secured {
		_ = s.room(bytes)
	}
}

// take gives a file, the largest that is ready, or makes one of the size.
func (s *spares) take(bytes int64) (spare, error) {
	s.mu.Lock()
	for s.busy {
		s.changed.Wait()
	}
	if n := len(s.ready); n > 0 {
		largest := 0
		for i := range s.ready {
			if s.ready[i].bytes > s.ready[largest].bytes {
				largest = i
			}
		}
		taken := s.ready[largest]
		s.ready = append(s.ready[:largest], s.ready[largest+1:]...)
		s.mu.Unlock()
		return taken, nil
	}
	number := s.number()
	s.mu.Unlock()
	return makeSpare(s.config.FS, s.config.Dir, number, bytes, func() {})
}

// first gives a small new file for the first segment of a start, so that a
// start leaves the prepared one for later and takes little room; on a full disk
// it gives the prepared one.
func (s *spares) first(bytes int64) (spare, error) {
	s.mu.Lock()
	number := s.number()
	s.mu.Unlock()
	made, err := makeSpare(s.config.FS, s.config.Dir, number, bytes, func() {})
	if isNoSpace(err) {
		return s.take(bytes)
	}
	return made, err
}

// offer asks whether a file of the size is worth keeping, and gives it a name.
func (s *spares) offer(bytes int64) (name string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.ready) >= sparesMax || bytes < s.config.spareBytes(0) {
		return "", false
	}
	return spareName(s.config.Dir, s.number()), true
}

// add keeps a file whose name is durable.
func (s *spares) add(f spare) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready = append(s.ready, f)
	s.err = nil
}

// room says why there is no next segment, and asks for it again from time to
// time.
func (s *spares) room(bytes int64) error {
	if err := s.shortage(); err == nil {
		return nil
	}
	s.mu.Lock()
	due := s.config.Now().Sub(s.tried) >= spareRetry
	s.mu.Unlock()
	if due {
		s.prepare(bytes)
	}
	if err := s.shortage(); err != nil {
		return fmt.Errorf("%w: prepare the next log segment of %d bytes: %w", host.ErrFull, bytes, err)
	}
	return nil
}

// shortage is the error of the last attempt, if nothing is ready.
func (s *spares) shortage() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.ready) > 0 {
		return nil
	}
	return s.err
}

// close waits for what is being prepared.
func (s *spares) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for s.busy {
		s.changed.Wait()
	}
}

// makeSpare makes a file whose name is only visible when it is complete. It
// calls held when the room is taken.
func makeSpare(files FS, directory string, number uint64, bytes int64, held func()) (spare, error) {
	name := spareName(directory, number)
	if err := writeZeros(files, name+newSuffix, bytes, held); err != nil {
		// What was reserved goes back to who needs it more. If that does not
		// work either, the next start does it.
		_ = files.Remove(name + newSuffix)
		return spare{}, err
	}
	if err := files.Rename(name+newSuffix, name); err != nil {
		return spare{}, err
	}
	if err := files.SyncDir(filepath.Dir(name)); err != nil {
		return spare{}, err
	}
	return spare{name, bytes}, nil
}

// writeZeros makes a file of zeros that are on the disk.
func writeZeros(files FS, name string, bytes int64, held func()) (err error) {
	f, err := files.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.Allocate(bytes); err != nil {
		return err
	}
	held()
	zeros := make([]byte, min(bytes, writeBytes))
	for at := int64(0); at < bytes; at += int64(len(zeros)) {
		if _, err := f.WriteAt(zeros[:min(int64(len(zeros)), bytes-at)], at); err != nil {
			return err
		}
		if err := f.Datasync(); err != nil {
			return err
		}
	}
	return nil
}

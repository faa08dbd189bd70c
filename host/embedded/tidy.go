package embedded

import (
	"path/filepath"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// Trim removes segments that hold only frames below the number, in the
// background. The last frame always stays.
func (l *log) Trim(before msg.FrameNumber) error {
	l.mu.Lock()
	l.trimBefore = max(l.trimBefore, before)
	l.mu.Unlock()
	l.tidy()
	return nil
}

// tidy starts the background work on files, unless it runs. It is the only one
// that takes files away from the log.
func (l *log) tidy() {
	l.mu.Lock()
	if l.tidying || l.poison != nil || l.removable() == nil && l.shrinkable() == nil {
		l.mu.Unlock()
		return
	}
	l.tidying = true
	l.running.Add(1)
	l.mu.Unlock()
	l.config.Background(func() {
		defer l.running.Done()
		l.mu.Lock()
		defer l.mu.Unlock()
		for l.poison == nil && (l.trimOne() || l.shrinkOne()) {
		}
		l.tidying = false
	})
}

// trimOne removes the oldest segment if nobody needs it, and says whether it
// did. The lock is held, and given up while the disk works. What cannot be
// removed stays, with all after it: a gap would look like damage.
func (l *log) trimOne() bool {
	s := l.removable()
	if s == nil {
		return false
	}
	oldest := *s
	l.mu.Unlock()
	err := l.discard(&oldest)
	l.mu.Lock()
	if err != nil {
		return false // the next Trim tries again
	}
	l.segments = l.segments[1:]
	return true
}

// removable gives the oldest segment if nobody needs it. The lock is held.
func (l *log) removable() *segment {
	if len(l.segments) < 2 {
		return nil
	}
	if next := l.segments[1].first; next > l.trimBefore || next > l.lastNumber {
		return nil
	}
	return &l.segments[0]
}

// discard removes the file, or keeps it as a spare. The directory is synced
// either way: a file must have lost its old name for good before it is written
// again, and names must go in order.
func (l *log) discard(s *segment) error {
	files := l.config.FS
	bytes, err := files.Size(s.name)
	if err != nil {
		return err
	}
	name, keep := l.spares.offer(bytes)
	if !keep {
		name = s.name + removedSuffix
	}
	if err := files.Rename(s.name, name); err != nil {
		return err
	}
	if err := files.SyncDir(filepath.Dir(s.name)); err != nil {
		return err
	}
	if keep {
		l.spares.add(spare{name, bytes})
	} else {
		removeGently(files, name)
	}
	return nil
}

// shrinkOne gives back the room behind the end of one segment, and says whether
// it did. The lock is held, and given up while the disk works.
func (l *log) shrinkOne() bool {
	s := l.shrinkable()
	if s == nil {
		return false
	}
	wasteful, to := *s, s.end+itemHeaderBytes
	s.size = to // once is enough, also if it fails
	l.mu.Unlock()
	shrink(l.config.FS, wasteful.name, to)
	l.mu.Lock()
	return true
}

// shrinkable gives a segment that ended long before its file does, which is one
// that was the last when a process ended. Processes that crash again and again
// would fill the disk with them. It gives none while there is work: giving back
// room slows it down. The lock is held.
func (l *log) shrinkable() *segment {
	if !l.idle {
		return nil
	}
	for i := range len(l.segments) - 1 {
		if s := &l.segments[i]; s.size-s.end > shrinkBytes {
			return s
		}
	}
	return nil
}

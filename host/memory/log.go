package memory

import (
	"bytes"
	"context"
	"fmt"
	"iter"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// log is a Host seen as a host.Log.
type log Host

// Acquire makes the caller the writer.
func (l *log) Acquire(ctx context.Context) (msg.Epoch, host.Frame, error) {
	s := l.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return 0, host.Frame{}, fmt.Errorf("acquire memory log: %w", err)
	}
	if err := (*Host)(l).usable(); err != nil {
		return 0, host.Frame{}, err
	}
	if l.poison != nil {
		return 0, host.Frame{}, l.poison
	}
	s.epoch++
	l.acquired = s.epoch
	return s.epoch, clone(s.last), nil
}

// Frames yields what is stored.
func (l *log) Frames(from msg.FrameNumber) iter.Seq2[host.Frame, error] {
	return func(yield func(host.Frame, error) bool) {
		l.store.mu.Lock()
		frames := l.store.frames
		err := (*Host)(l).usable()
		l.store.mu.Unlock()
		if err != nil {
			yield(host.Frame{}, err)
			return
		}
		for _, f := range frames {
			if f.Number >= from && !yield(clone(f), nil) {
				return
			}
		}
	}
}

// Oldest is the number of the oldest frame that has not been trimmed.
func (l *log) Oldest() msg.FrameNumber {
	l.store.mu.Lock()
	defer l.store.mu.Unlock()
	return l.store.oldest
}

// Append stores a copy of the frame.
func (l *log) Append(f *host.Frame) error {
	s := l.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := (*Host)(l).usable(); err != nil {
		return err
	}
	if l.poison != nil {
		return l.poison
	}
	if err := s.accepts(f); err != nil {
		return err
	}
	if s.fail == nil {
		s.store(f)
		return nil
	}
	if s.fail.stored {
		s.store(f)
	}
	l.poison = fmt.Errorf("append frame %d: %w: %w", f.Number, host.ErrPoisoned, s.fail.cause)
	s.fail = nil
	return l.poison
}

// accepts says whether f is the next frame of the newest writer.
func (s *Store) accepts(f *host.Frame) error {
	switch {
	case f.Epoch < s.epoch:
		return fmt.Errorf("append frame %d: %w: its epoch is %d, the newest is %d", f.Number, host.ErrFenced, f.Epoch, s.epoch)
	case f.Epoch > s.epoch:
		return fmt.Errorf("append frame %d: %w: epoch %d was never acquired, the newest is %d", f.Number, host.ErrConflict, f.Epoch, s.epoch)
	case f.Number != s.last.Number+1:
		return fmt.Errorf("append frame %d: %w: the next is %d", f.Number, host.ErrConflict, s.last.Number+1)
	case len(f.Payload) > s.frameBytesMax:
		return fmt.Errorf("append frame %d: payload of %d bytes is over the limit of %d", f.Number, len(f.Payload), s.frameBytesMax)
	}
	if want := s.lastHash(); f.Previous != want {
		return fmt.Errorf("append frame %d: %w: it follows a frame with hash %x, the last one has %x", f.Number, host.ErrConflict, f.Previous, want)
	}
	return nil
}

// lastHash is zero before the first frame.
func (s *Store) lastHash() host.FrameHash {
	if s.last.Number == 0 {
		return host.FrameHash{}
	}
	return s.last.Hash()
}

// store keeps a copy of the frame.
func (s *Store) store(f *host.Frame) {
	s.last = clone(*f)
	s.frames = append(s.frames, s.last)
}

// Seal does nothing: no frame here is ever torn.
func (l *log) Seal() error {
	l.store.mu.Lock()
	defer l.store.mu.Unlock()
	if err := (*Host)(l).usable(); err != nil {
		return err
	}
	return l.poison
}

// Confirm says whether the epoch is the newest.
func (l *log) Confirm(epoch msg.Epoch) error {
	l.store.mu.Lock()
	defer l.store.mu.Unlock()
	if epoch < l.store.epoch {
		return fmt.Errorf("confirm epoch %d: %w %d", epoch, host.ErrFenced, l.store.epoch)
	}
	return nil
}

// Trim forgets at once.
func (l *log) Trim(before msg.FrameNumber) error {
	s := l.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if before > s.last.Number+1 {
		before = s.last.Number + 1
	}
	if before > s.oldest {
		// The slice is copied, so that a running Frames keeps its own.
		s.frames = append([]host.Frame(nil), s.frames[before-s.oldest:]...)
		s.oldest = before
	}
	return nil
}

// Room answers what SetRoom said.
func (l *log) Room() error {
	l.store.mu.Lock()
	defer l.store.mu.Unlock()
	if l.store.room != nil {
		return fmt.Errorf("memory log: %w: %w", host.ErrFull, l.store.room)
	}
	return nil
}

// clone copies a frame with its payload.
func clone(f host.Frame) host.Frame {
	f.Payload = bytes.Clone(f.Payload)
	return f
}

package world

import (
	"errors"
	"fmt"
	"io"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/host/embedded"
	"github.com/holdfast-io/holdfast/internal/world/sim"
)

// filesystem is a simulated disk as the embedded host sees it.
type filesystem struct{ *sim.Disk }

var _ embedded.FS = filesystem{}

func (s filesystem) OpenFile(name string, flag int) (embedded.File, error) {
	f, err := s.Disk.OpenFile(name, flag)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (s filesystem) Lock(name string) (io.Closer, error) {
	l, err := s.Disk.Lock(name)
	if errors.Is(err, sim.ErrLocked) {
		return nil, fmt.Errorf("%w: %w", host.ErrInUse, err)
	}
	if err != nil {
		return nil, err
	}
	return l, nil
}

// Holder is for offline tools, which a world does not have.
func (s filesystem) Holder(string) (string, error) { return "", nil }

func (s filesystem) Map(name string, bytes int) (embedded.Mapping, error) {
	m, err := s.Disk.Map(name, bytes)
	if err != nil {
		return nil, err
	}
	return m, nil
}

package embedded

import (
	"errors"
	"fmt"
	"io"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/world/sim"
)

// simulated is a simulated disk as an FS.
type simulated struct{ *sim.Disk }

var _ FS = simulated{}

func (s simulated) OpenFile(name string, flag int) (File, error) {
	f, err := s.Disk.OpenFile(name, flag)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (s simulated) Lock(name string) (io.Closer, error) {
	l, err := s.Disk.Lock(name)
	if errors.Is(err, sim.ErrLocked) {
		return nil, fmt.Errorf("%w: %w", host.ErrInUse, err)
	}
	if err != nil {
		return nil, err
	}
	return l, nil
}

func (s simulated) Holder(name string) (string, error) {
	l, err := s.Disk.Lock(name)
	if errors.Is(err, sim.ErrLocked) {
		return "a simulated process", nil
	}
	if err != nil {
		return "", err
	}
	return "", l.Close()
}

func (s simulated) Map(name string, bytes int) (Mapping, error) {
	m, err := s.Disk.Map(name, bytes)
	if err != nil {
		return nil, err
	}
	return m, nil
}

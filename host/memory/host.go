package memory

import (
	"fmt"
	"io/fs"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// Host is the opened host of a Store. It is safe for concurrent use.
type Host struct {
	store    *Store
	acquired msg.Epoch
	poison   error
}

var (
	_ host.Host      = (*Host)(nil)
	_ host.Log       = (*log)(nil)
	_ host.Snapshots = (*snapshots)(nil)
)

// Capabilities says that nothing outlives the process.
func (h *Host) Capabilities() host.Capabilities {
	return host.Capabilities{Name: "memory", FrameBytesMax: h.store.frameBytesMax}
}

// Identity says what the store was made for.
func (h *Host) Identity() host.Identity { return h.store.identity }

// Log is the host's log.
func (h *Host) Log() host.Log { return (*log)(h) }

// Snapshots are the host's checkpoints.
func (h *Host) Snapshots() host.Snapshots { return (*snapshots)(h) }

// Marks is zero unless the host before this one crashed.
func (h *Host) Marks() []byte { return h.store.marks }

// Close gives the store back. Closing twice is allowed.
func (h *Host) Close() error {
	h.store.mu.Lock()
	defer h.store.mu.Unlock()
	if h.store.open != h {
		return nil
	}
	clear(h.store.marks)
	h.store.open = nil
	return nil
}

// usable says whether the store still belongs to this host.
func (h *Host) usable() error {
	if h.store.open != h {
		return fmt.Errorf("memory host: %w", fs.ErrClosed)
	}
	return nil
}

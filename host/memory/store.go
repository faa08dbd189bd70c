package memory

import (
	"fmt"
	"sync"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// frameBytesMaxDefault is that of the embedded host, so that what fits there
// fits here.
const frameBytesMaxDefault = 16 << 20

// marksBytes is that of the embedded host.
const marksBytes = 64 << 10

// Config says what a store is made for. The zero value works.
type Config struct {
	Identity      host.Identity
	FrameBytesMax int // largest payload of a frame; default 16 MiB
}

// Store keeps the data of a host that is closed or has crashed. It is safe for
// concurrent use.
type Store struct {
	mu            sync.Mutex
	identity      host.Identity
	frameBytesMax int

	open   *Host
	epoch  msg.Epoch
	frames []host.Frame // frames[0].Number is oldest
	oldest msg.FrameNumber
	last   host.Frame // kept after it was trimmed
	room   error
	fail   *failure
	marks  []byte

	current map[msg.Partition]stored
}

// failure is what the next append meets.
type failure struct {
	cause  error
	stored bool
}

// stored is a published checkpoint.
type stored struct {
	checkpoint host.Checkpoint
	slices     [][]byte
}

// New makes an empty store.
func New(c Config) *Store {
	if c.FrameBytesMax == 0 {
		c.FrameBytesMax = frameBytesMaxDefault
	}
	return &Store{
		identity:      c.Identity,
		frameBytesMax: c.FrameBytesMax,
		oldest:        1,
		marks:         make([]byte, marksBytes),
		current:       make(map[msg.Partition]stored),
	}
}

// Open gives the host of the store. It is host.ErrInUse while another one is
// open.
func (s *Store) Open() (*Host, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open != nil {
		return nil, fmt.Errorf("open memory store: %w: close its host first", host.ErrInUse)
	}
	s.open = &Host{store: s}
	return s.open, nil
}

// Crash takes the store away from its host, as the death of a process would:
// nothing is closed, marks stay, and the old host can do nothing more.
func (s *Store) Crash() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = nil
}

// SetRoom sets what Room answers: nil, or the reason why there is none.
func (s *Store) SetRoom(reason error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.room = reason
}

// FailAppend makes the next append fail for the cause and poison the log. Its
// frame is in the log after a restart if stored is true, as it may be after a
// failed sync.
func (s *Store) FailAppend(cause error, stored bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = &failure{cause: cause, stored: stored}
}

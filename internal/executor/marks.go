package executor

import (
	"encoding/binary"
	"sync"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// markBytes is what one mark takes: a flag, the partition, the fingerprint.
const markBytes = 32

// Marks is memory, shared with the file system, in which executors note what
// they run: after the process has died, it says what it may have died of. It is
// safe for concurrent use; nil marks nothing.
type Marks struct {
	mu     sync.Mutex
	memory []byte
	free   []*mark
	all    []*mark
}

// mark is a place in the memory. Its lock is there for close: the owner of the
// memory takes it away while a handler that nobody waits for still runs.
type mark struct {
	mu     sync.Mutex
	memory []byte // nil: closed
}

// NewMarks takes over memory, whose content is lost. Nil memory marks nothing.
func NewMarks(memory []byte) *Marks {
	clear(memory)
	return &Marks{memory: memory}
}

// ReadMarks says what was marked, by partition.
func ReadMarks(memory []byte) map[msg.Partition][]msg.Fingerprint {
	found := map[msg.Partition][]msg.Fingerprint{}
	for ; len(memory) >= markBytes; memory = memory[markBytes:] {
		if memory[0] == 1 {
			p := msg.Partition(binary.LittleEndian.Uint16(memory[2:]))
			found[p] = append(found[p], msg.Fingerprint(memory[4:20]))
		}
	}
	return found
}

// take hands out a place; nil when there is none: more executors than places
// run unmarked.
func (m *Marks) take() *mark {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := len(m.free); n > 0 {
		place := m.free[n-1]
		m.free = m.free[:n-1]
		return place
	}
	used := len(m.all) * markBytes
	if used+markBytes > len(m.memory) {
		return nil
	}
	place := &mark{memory: m.memory[used : used+markBytes]}
	m.all = append(m.all, place)
	return place
}

func (m *Marks) put(place *mark) {
	if m == nil || place == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.free = append(m.free, place)
}

// close gives the memory back: nothing is written to it any more.
func (m *Marks) close() {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.memory = nil
	for _, place := range m.all {
		place.mu.Lock()
		place.memory = nil
		place.mu.Unlock()
	}
}

// set marks an input; the flag comes last, so that half a mark is none.
func (k *mark) set(p msg.Partition, input msg.Fingerprint) {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.memory != nil {
		binary.LittleEndian.PutUint16(k.memory[2:], uint16(p))
		copy(k.memory[4:20], input[:])
		k.memory[0] = 1
	}
}

func (k *mark) clear() {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.memory != nil {
		k.memory[0] = 0
	}
}

package executor

import (
	"encoding/binary"
	"sync"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// markBytes is what one mark takes: a flag, the partition, and what the input is
// recognised by. It holds what most requests without identity ask, and there
// are enough marks in the 64 KiB of a host for hundreds of handlers at once.
const markBytes = 128

// The flags: what a mark contains.
const (
	markNone        = 0
	markFingerprint = 1
	markAsked       = 2 // what was asked, to be hashed by whoever wants to know
)

// Places in a mark.
const (
	markPartition = 2
	markInput     = 4
)

// Marks is memory, shared with the file system, in which executors note what
// they run: after the process has died, it says what it may have died of. It is
// safe for concurrent use; nil marks nothing.
type Marks struct {
	mu     sync.Mutex
	memory []byte
	free   []*Mark
	all    []*Mark
}

// Mark is a place in the memory; nil marks nothing. Its lock is there for Close: the owner of the
// memory takes it away while a handler that nobody waits for still runs.
type Mark struct {
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
		p, input := msg.Partition(binary.LittleEndian.Uint16(memory[markPartition:])), memory[markInput:markBytes]
		switch memory[0] {
		case markFingerprint:
			found[p] = append(found[p], msg.Fingerprint(input[:len(msg.Fingerprint{})]))
		case markAsked:
			found[p] = append(found[p], readAsked(input))
		}
	}
	return found
}

// asked is what the fingerprint of an input without identity is made of.
func asked(m *msg.Message) [4]string {
	return [...]string{m.Target.Namespace, m.Target.Kind, m.Target.Key, m.Handler}
}

// putAsked writes what a message asks, each part after its length, and reports
// whether there was room.
func putAsked(memory []byte, m *msg.Message) bool {
	for _, part := range asked(m) {
		if len(memory) < 2+len(part) {
			return false
		}
		binary.LittleEndian.PutUint16(memory, uint16(len(part)))
		memory = memory[2+copy(memory[2:], part):]
	}
	if len(memory) < 2+len(m.Payload.Body) {
		return false
	}
	binary.LittleEndian.PutUint16(memory, uint16(len(m.Payload.Body)))
	copy(memory[2:], m.Payload.Body)
	return true
}

// readAsked is the fingerprint of what putAsked wrote. The memory may hold
// anything: another version of the code may have written it.
func readAsked(memory []byte) msg.Fingerprint {
	var parts [5]string
	for n := 0; n < len(parts) && len(memory) >= 2; n++ {
		length := min(int(binary.LittleEndian.Uint16(memory)), len(memory)-2)
		parts[n], memory = string(memory[2:2+length]), memory[2+length:]
	}
	m := msg.Message{Target: msg.Ref{Namespace: parts[0], Kind: parts[1], Key: parts[2]}, Handler: parts[3]}
	m.Payload.Body = []byte(parts[4])
	return m.Asked()
}

// Take hands out a place; nil when there is none: more executors than places
// run unmarked.
func (m *Marks) Take() *Mark {
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
	place := &Mark{memory: m.memory[used : used+markBytes]}
	m.all = append(m.all, place)
	return place
}

// Put takes a place back.
func (m *Marks) Put(place *Mark) {
	if m == nil || place == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.free = append(m.free, place)
}

// Close gives the memory back: nothing is written to it any more.
func (m *Marks) Close() {
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

// Set marks the input of a task; the flag comes last, so that half a mark is
// none.
func (k *Mark) Set(t Task) {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.memory == nil {
		return
	}
	binary.LittleEndian.PutUint16(k.memory[markPartition:], uint16(t.Partition))
	if t.Turn.Input == (msg.Fingerprint{}) && putAsked(k.memory[markInput:], t.Turn.Message) {
		k.memory[0] = markAsked
		return
	}
	input := t.Turn.Fingerprint()
	copy(k.memory[markInput:], input[:])
	k.memory[0] = markFingerprint
}

// Clear says that the input is done with.
func (k *Mark) Clear() {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.memory != nil {
		k.memory[0] = markNone
	}
}

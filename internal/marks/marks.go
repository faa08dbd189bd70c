// Package marks notes, in memory that outlives the process, what user code runs:
// after the process has died, that says what it may have died of.
//
// Invariants:
//
//  1. Half a mark is none: the flag is written last.
//  2. Whatever the memory holds can be read.
//  3. Nothing is written to the memory once Close has returned.
//
// The package does not count and does not decide: the engine does.
package marks

import (
	"encoding/binary"
	"sync"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// Bytes is what one mark takes: a flag, the partition, and what the input is
// recognised by. It holds what most requests without identity ask, and there
// are enough marks in the 64 KiB of a host for hundreds of handlers and of
// activities at once.
const Bytes = 128

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

// Memory is memory, shared with the file system, in which pools note what they
// run. It is safe for concurrent use; nil marks nothing.
type Memory struct {
	mu     sync.Mutex
	memory []byte
	free   []*Mark
	all    []*Mark
}

// Mark is a place in the memory; nil marks nothing. Its lock is there for close: the owner of the
// memory takes it away while a handler that nobody waits for still runs.
type Mark struct {
	mu     sync.Mutex
	memory []byte // nil: closed
}

// New takes over memory, whose content is lost. Nil memory marks nothing.
func New(memory []byte) *Memory {
	clear(memory)
	return &Memory{memory: memory}
}

// Read says what was marked, by partition.
func Read(memory []byte) map[msg.Partition][]msg.Fingerprint {
	found := map[msg.Partition][]msg.Fingerprint{}
	for ; len(memory) >= Bytes; memory = memory[Bytes:] {
		p, input := msg.Partition(binary.LittleEndian.Uint16(memory[markPartition:])), memory[markInput:Bytes]
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

// Take hands out a place; nil when there is none: what is more than places runs
// unmarked.
func (m *Memory) Take() *Mark {
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
	used := len(m.all) * Bytes
	if used+Bytes > len(m.memory) {
		return nil
	}
	place := &Mark{memory: m.memory[used : used+Bytes]}
	m.all = append(m.all, place)
	return place
}

// Put takes a place back, which marks nothing any more.
func (m *Memory) Put(place *Mark) {
	if m == nil || place == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.free = append(m.free, place)
}

// Close gives the memory back: nothing is written to it any more.
func (m *Memory) Close() {
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

// SetTurn marks the input of a turn.
func (k *Mark) SetTurn(p msg.Partition, t *msg.Turn) {
	k.write(p, func(to []byte) byte {
		if t.Input == (msg.Fingerprint{}) && putAsked(to, t.Message) {
			return markAsked
		}
		return putFingerprint(to, t.Fingerprint())
	})
}

// SetTask marks an activity: all attempts of it have the same mark.
func (k *Mark) SetTask(p msg.Partition, r *msg.TaskRun) {
	k.write(p, func(to []byte) byte { return putFingerprint(to, r.Fingerprint()) })
}

func putFingerprint(to []byte, f msg.Fingerprint) (flag byte) {
	copy(to, f[:])
	return markFingerprint
}

// write marks what put writes; the flag comes last, so that half a mark is none.
func (k *Mark) write(p msg.Partition, put func(to []byte) (flag byte)) {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.memory == nil {
		return
	}
	binary.LittleEndian.PutUint16(k.memory[markPartition:], uint16(p))
	flag := put(k.memory[markInput:])
	k.memory[0] = flag
}

// Clear marks nothing.
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

// Package host holds the interfaces that a provider of durability implements:
// a log per log group, and checkpoints. It is to Holdfast what
// database/sql/driver is to database/sql. hosttest proves a provider.
//
// Invariants:
//
//  1. A frame is stored whole or not at all.
//  2. Frames are dense and in order: frame n is only accepted after frame n-1
//     is durable.
//  3. What a reader was given after opening survives any later failure.
//  4. A writer of an older epoch is refused.
//
// The package does not know what a record is: a frame's payload is bytes.
package host

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"iter"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// Errors of hosts. They are wrapped with what is known; match with errors.Is.
var (
	// ErrFenced: a newer epoch has written.
	ErrFenced = errors.New("fenced by a newer epoch")
	// ErrConflict: the expected frame is not the next one.
	ErrConflict = errors.New("not the next frame")
	// ErrPoisoned: a write or sync has failed; what was not durable is unknown.
	ErrPoisoned = errors.New("log is poisoned by a failed write")
	// ErrCorrupt: stored bytes are not what was written.
	ErrCorrupt = errors.New("corrupt")
	// ErrInUse: another process has the data.
	ErrInUse = errors.New("in use by another process")
	// ErrFull: there is no room for new work.
	ErrFull = errors.New("no space left")
	// ErrIncompatible: the data belongs to another version, host or partition count.
	ErrIncompatible = errors.New("incompatible data")
)

// Identity says what a data directory was made for. It never changes.
type Identity struct {
	Partitions int
}

// Capabilities says what a host can do.
type Capabilities struct {
	Name          string // "embedded", "memory", …
	Disk          bool   // it writes to a disk: disk faults apply
	Durable       bool   // data outlives the process
	FrameBytesMax int    // largest payload of a frame
}

// Host is an opened provider. It has one log group.
type Host interface {
	Capabilities() Capabilities
	Identity() Identity
	Log() Log
	Snapshots() Snapshots
	// Marks is memory that outlives a crash of the process, though not of the
	// machine, for what was in progress; nil if the host has none. It was
	// zeroed when the last process closed the host in order.
	Marks() []byte
	// Close releases everything. The log is sealed if it is not poisoned.
	Close() error
}

// FrameHash is the first 16 bytes of the SHA-256 of a frame.
type FrameHash [16]byte

// Frame is the unit of writing: what one swap of the open buffer holds.
type Frame struct {
	Group    uint16
	Epoch    msg.Epoch
	Number   msg.FrameNumber
	First    msg.Position // of the first record that ends in this frame
	Count    uint32       // records that end in this frame
	Previous FrameHash    // of frame Number-1; zero for frame 1
	Payload  []byte       // see package partition
}

// Hash chains frames. It covers everything in the frame and nothing about
// where the frame is stored.
func (f *Frame) Hash() (h FrameHash) {
	var head [2 + 8 + 8 + 8 + 4 + 16]byte
	binary.BigEndian.PutUint16(head[0:], f.Group)
	binary.BigEndian.PutUint64(head[2:], uint64(f.Epoch))
	binary.BigEndian.PutUint64(head[10:], uint64(f.Number))
	binary.BigEndian.PutUint64(head[18:], uint64(f.First))
	binary.BigEndian.PutUint32(head[26:], f.Count)
	copy(head[30:], f.Previous[:])
	d := sha256.New()
	d.Write(head[:])
	d.Write(f.Payload)
	var sum [sha256.Size]byte
	copy(h[:], d.Sum(sum[:0]))
	return h
}

// Log is a fenced, totally ordered log of frames.
//
// Append, Seal and Acquire are called by one goroutine at a time; Frames before
// the first Append; Room, Confirm and Trim from any goroutine.
type Log interface {
	// Acquire makes the caller the writer: it returns an epoch newer than all
	// before, and the last frame that is durable (zero if none). Writers of
	// older epochs are refused from then on.
	Acquire(ctx context.Context) (epoch msg.Epoch, last Frame, err error)

	// Frames yields the durable frames from number from on, in order. An error
	// is yielded last. Payloads are valid until the next one.
	Frames(from msg.FrameNumber) iter.Seq2[Frame, error]

	// Oldest is the number of the oldest frame that has not been trimmed; one
	// above the last if there is none.
	Oldest() msg.FrameNumber

	// Append stores the frame and returns when it is durable. f.Number must be
	// one above the last and f.Previous its hash: else ErrConflict. A smaller
	// epoch is ErrFenced. Any failure to write or sync is ErrPoisoned, as is
	// every Append after it. The payload is not kept.
	Append(f *Frame) error

	// Seal marks the last frame as complete, so that it is not taken for torn.
	// The live driver calls it after a second without work. It is a no-op if
	// nothing was appended since.
	Seal() error

	// Confirm returns nil if no newer epoch exists: what was read is current.
	Confirm(epoch msg.Epoch) error

	// Trim forgets frames below the number, some time. It never fails work.
	Trim(before msg.FrameNumber) error

	// Room says whether new work may be taken: nil, or ErrFull with the reason
	// when the room that is reserved is only enough for what is in flight.
	Room() error
}

// Checkpoint names a stored checkpoint of one partition.
type Checkpoint struct {
	Partition msg.Partition
	Start     msg.Index       // L: records up to it are in the checkpoint
	End       msg.Index       // E: no slice has seen a record above it
	Frame     msg.FrameNumber // the record after Start is in this frame or later
	Bytes     int64           // of its slices; the host fills it in
}

// Snapshots stores checkpoints. Current and Open are called before anything is
// created; Create, Publish and Remove from any goroutine.
type Snapshots interface {
	// Current lists the newest published checkpoint of each partition that has
	// one.
	Current() ([]Checkpoint, error)

	// Slices yields the slices of a current checkpoint as they were written.
	// The bytes are valid until the next one. A checksum error is ErrCorrupt.
	Slices(c Checkpoint) iter.Seq2[[]byte, error]

	// Create begins a checkpoint of a partition. It is invisible until it is
	// published; what is not published when the host is opened is removed.
	Create(p msg.Partition) (SnapshotWriter, error)

	// Publish makes checkpoints current, durably and all at once, and removes
	// those that they replace. A checkpoint with a nil writer only gets a new
	// Start, End and Frame for what is current already.
	Publish(list []Published) error
}

// Published is a checkpoint to be published.
type Published struct {
	Checkpoint Checkpoint
	Writer     SnapshotWriter
}

// SnapshotWriter takes the slices of one checkpoint.
type SnapshotWriter interface {
	// Write appends a slice.
	Write(slice []byte) error
	// Sync makes what was written durable; no Write after it.
	Sync() error
	// Abort forgets the checkpoint.
	Abort()
}

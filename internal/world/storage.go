package world

import (
	"errors"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/host/embedded"
	"github.com/holdfast-io/holdfast/host/memory"
	"github.com/holdfast-io/holdfast/internal/world/sim"
)

// storage is where a process keeps what outlives it.
type storage interface {
	open() (host.Host, error)
	crash(kind FaultKind) // the process has ended
	power()               // and what was not synced with it, later
	doomed() bool         // an operation has ended the process
	doom() FaultKind      // how
	fill()                // a disk is full for a while
	heal()                // no more faults
}

func newStorage(w *World) storage {
	identity := host.Identity{Partitions: w.config.Partitions}
	if w.config.Memory {
		return &memoryStorage{world: w, store: memory.New(memory.Config{Identity: identity, FrameBytesMax: frameBytes})}
	}
	s := &diskStorage{world: w, identity: identity, disk: sim.NewDisk(w.config.Seed), salt: rand.New(rand.NewPCG(w.config.Seed, 2))}
	s.disk.Intercept(s.intercept)
	return s
}

// Sizes are small, so that segments end, records go on in the next frame, and
// preparing files costs little.
const (
	frameBytes        = 16 << 10
	segmentBytes      = 64 << 10
	firstSegmentBytes = 16 << 10
	fullDiskMax       = 20 * time.Second // a disk is full at most so long
)

// diskStorage is the embedded host on a simulated disk.
type diskStorage struct {
	world    *World
	identity host.Identity
	disk     *sim.Disk
	salt     *rand.Rand
	dying    FaultKind // how the process dies after the operation; FaultCrash: it does not
}

func (s *diskStorage) open() (host.Host, error) {
	h, err := embedded.Open(embedded.Config{
		Dir: "data", Identity: s.identity, FS: filesystem{s.disk}, Random: randomBytes{s.salt},
		FrameBytesMax: frameBytes, SegmentBytes: segmentBytes, FirstSegmentBytes: firstSegmentBytes,
		LockWait: -1, Now: s.world.Now, Background: func(work func()) { work() },
	})
	if err != nil {
		return nil, err
	}
	return h, nil
}

func (s *diskStorage) crash(kind FaultKind) {
	s.dying = FaultCrash
	if kind == FaultPowerCut || kind == FaultTornPower {
		s.disk.PowerCut(nil)
		return
	}
	s.disk.Crash()
}

func (s *diskStorage) power() { s.disk.PowerCut(nil) }

func (s *diskStorage) doomed() bool    { return s.dying != FaultCrash }
func (s *diskStorage) doom() FaultKind { return s.dying }

func (s *diskStorage) fill() {
	details := s.world.faults.details()
	s.disk.SetCapacity(s.disk.Used() + details.Int64N(4)*sim.PageBytes)
	s.world.after(time.Duration(details.Int64N(int64(fullDiskMax))), nil, s.heal)
}

func (s *diskStorage) heal() { s.disk.SetCapacity(0) }

// intercept lets operations of the disk fail, and processes die in them.
func (s *diskStorage) intercept(op sim.Op) sim.Fault {
	if s.doomed() {
		return sim.Fault{}
	}
	switch op.Kind {
	case sim.OpOpen, sim.OpRead, sim.OpReadDir, sim.OpSize, sim.OpLock, sim.OpMap:
		return sim.Fault{}
	case sim.OpSync, sim.OpSyncDir:
		if s.world.faults.happen(FaultSync) {
			s.world.trace.line(s.world.clock, "fault: %v fails", op)
			return sim.Fault{Err: syscall.EIO}
		}
	}
	torn, power := s.world.faults.happen(FaultTornDisk), s.world.faults.happen(FaultTornPower)
	if !torn && !power {
		return sim.Fault{}
	}
	if s.dying = FaultTornDisk; power {
		s.dying = FaultTornPower
	}
	s.world.trace.line(s.world.clock, "fault: the process dies at %v (%v)", op, s.dying)
	s.disk.StopAfter(0)
	if op.Kind == sim.OpWrite {
		return sim.Fault{Err: sim.ErrStopped, Bytes: s.world.faults.details().Int64N(op.Bytes + 1)}
	}
	return sim.Fault{}
}

// randomBytes is a source of bytes from a seed.
type randomBytes struct{ *rand.Rand }

func (r randomBytes) Read(b []byte) (int, error) {
	for n := range b {
		b[n] = byte(r.Uint32())
	}
	return len(b), nil
}

// memoryStorage is the host in memory.
type memoryStorage struct {
	world *World
	store *memory.Store
}

var (
	errFull = errors.New("the simulated disk is full")
	errSync = errors.New("the simulated sync failed")
)

func (s *memoryStorage) open() (host.Host, error) {
	h, err := s.store.Open()
	if err != nil {
		return nil, err
	}
	return h, nil
}

func (s *memoryStorage) crash(FaultKind) { s.store.Crash() }
func (s *memoryStorage) power()          { s.store.Crash() }
func (s *memoryStorage) doomed() bool    { return false }
func (s *memoryStorage) doom() FaultKind { return FaultCrash }
func (s *memoryStorage) heal()           { s.store.SetRoom(nil) }

func (s *memoryStorage) fill() {
	s.store.SetRoom(errFull)
	s.world.after(time.Duration(s.world.faults.details().Int64N(int64(fullDiskMax))), nil, s.heal)
}

// failAppend lets the next frame fail, if a sync does.
func (s *memoryStorage) failAppend() {
	if s.world.faults.happen(FaultSync) {
		s.store.FailAppend(errSync, s.world.faults.details().IntN(2) == 0)
	}
}

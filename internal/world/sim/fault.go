package sim

import (
	"errors"
	"fmt"
)

// Errors of a simulated disk.
var (
	// ErrStopped: the process has died, by Crash, PowerCut or StopAfter.
	ErrStopped = errors.New("simulated process has stopped")
	// ErrLocked: another opener holds the lock.
	ErrLocked = errors.New("simulated lock is held")
)

// OpKind says what is done to a disk.
type OpKind uint8

// The operations, as Intercept sees them.
const (
	OpOpen   OpKind = iota + 1
	OpCreate        // open with O_CREATE or O_TRUNC
	OpRead
	OpWrite
	OpSync
	OpTruncate
	OpAllocate
	OpRename
	OpRemove
	OpMakeDir
	OpSyncDir
	OpReadDir
	OpSize
	OpLock
	OpMap
	OpSyncMap
)

var opNames = [...]string{
	OpOpen: "open", OpCreate: "create", OpRead: "read", OpWrite: "write", OpSync: "sync", OpTruncate: "truncate",
	OpAllocate: "allocate", OpRename: "rename", OpRemove: "remove", OpMakeDir: "make directory",
	OpSyncDir: "sync directory", OpReadDir: "read directory", OpSize: "size", OpLock: "lock",
	OpMap: "map", OpSyncMap: "sync map",
}

// String gives the operation in words.
func (k OpKind) String() string {
	if int(k) < len(opNames) && opNames[k] != "" {
		return opNames[k]
	}
	return fmt.Sprintf("operation %d", uint8(k))
}

// changes says whether the operation may change what is on the disk.
func (k OpKind) changes() bool {
	switch k {
	case OpOpen, OpRead, OpReadDir, OpSize, OpLock, OpMap:
		return false
	}
	return true
}

// Op is an operation that is about to be done.
type Op struct {
	Kind   OpKind
	Name   string
	To     string // of a rename
	Offset int64
	Bytes  int64
	// Number counts the operations that may change the disk, from 1; it is
	// that of the last one for the others.
	Number int64
}

// String describes the operation for a trace.
func (o Op) String() string {
	switch o.Kind {
	case OpRename:
		return fmt.Sprintf("%d rename %s to %s", o.Number, o.Name, o.To)
	case OpRead, OpWrite:
		return fmt.Sprintf("%d %v %s at %d, %d bytes", o.Number, o.Kind, o.Name, o.Offset, o.Bytes)
	}
	return fmt.Sprintf("%d %v %s", o.Number, o.Kind, o.Name)
}

// Fault is what an operation meets. The zero value is none.
type Fault struct {
	// Err is returned. A failed sync makes some of the pages durable, chosen
	// from the seed, and marks all of them clean. A failed sync of a directory
	// does nothing.
	Err error
	// Bytes of a write or read are done before Err is returned.
	Bytes int64
}

// Intercept sets what is asked before every operation; nil for nothing. The
// disk is not locked while it runs: it may wait, which is a slow disk, or use
// the disk. It must be set while nobody uses the disk.
func (d *Disk) Intercept(hook func(Op) Fault) { d.hook = hook }

// StopAfter lets n more operations that may change the disk happen and makes
// every one after them fail with ErrStopped and change nothing, as if the
// process died there. Crash and PowerCut end it.
func (d *Disk) StopAfter(n int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopAt = d.operations + n
}

// Operations counts the operations so far that may have changed the disk.
func (d *Disk) Operations() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.operations
}

// begin counts an operation of a process and asks the hook about it.
func (d *Disk) begin(process int, op Op) (Fault, error) {
	d.mu.Lock()
	if process != d.process {
		d.mu.Unlock()
		return Fault{}, fmt.Errorf("%v %s: %w", op.Kind, op.Name, ErrStopped)
	}
	if op.Kind.changes() {
		if d.stopAt >= 0 && d.operations >= d.stopAt {
			// What a dead process goes on to write into memory is not seen.
			d.endMappings()
			d.mu.Unlock()
			return Fault{}, fmt.Errorf("%v %s: %w", op.Kind, op.Name, ErrStopped)
		}
		d.operations++
	}
	op.Number = d.operations
	hook := d.hook
	d.mu.Unlock()
	if hook == nil {
		return Fault{}, nil
	}
	return hook(op), nil
}

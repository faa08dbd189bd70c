package embedded

import "io"

// FS is the disk as this package sees it. Names are paths with the separator of
// the system. Errors match fs.ErrNotExist, fs.ErrPermission and syscall.ENOSPC
// where that is the cause.
//
// The real one is used by default. A simulated one shows what a disk may do
// that a test machine's disk never does.
type FS interface {
	// OpenFile opens with the flags of package os. Files are created with mode
	// 0600: they hold user data.
	OpenFile(name string, flag int) (File, error)
	// MkdirAll makes a directory and its parents, with mode 0700.
	MkdirAll(name string) error
	// ReadDir lists the names in a directory, sorted.
	ReadDir(name string) ([]string, error)
	// Size is the length of a file in bytes.
	Size(name string) (int64, error)
	// Rename replaces to by from, atomically. It is durable after SyncDir.
	Rename(from, to string) error
	// Remove deletes a file. It is durable after SyncDir.
	Remove(name string) error
	// SyncDir makes the names in a directory durable.
	SyncDir(name string) error
	// Lock takes an exclusive lock on a file, which it creates, and ends with
	// the process. It does not wait: host.ErrInUse names the holder.
	Lock(name string) (io.Closer, error)
	// Holder says in words who holds the lock on a file; "" if nobody does. It
	// changes nothing, and needs no more than the permission to read.
	Holder(name string) (string, error)
	// Map maps a file of at least the size into memory, shared, so that what is
	// written there outlives the process.
	Map(name string, bytes int) (Mapping, error)
}

// File is an open file.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Datasync makes what was written durable, with the file's size.
	Datasync() error
	// Truncate sets the size.
	Truncate(bytes int64) error
	// Allocate reserves room, all or nothing, and sets the size.
	Allocate(bytes int64) error
	// Size is the length in bytes.
	Size() (int64, error)
}

// Mapping is a file in memory.
type Mapping interface {
	Bytes() []byte
	// Sync makes the bytes durable.
	Sync() error
	io.Closer
}

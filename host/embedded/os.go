package embedded

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/holdfast-io/holdfast/host"
)

// osFS is the machine's own file system.
type osFS struct{}

var (
	_ FS      = osFS{}
	_ File    = osFile{}
	_ Mapping = (*osMapping)(nil)
)

func (osFS) OpenFile(name string, flag int) (File, error) {
	f, err := os.OpenFile(name, flag, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osFS) MkdirAll(name string) error { return os.MkdirAll(name, 0o700) }

func (osFS) ReadDir(name string) ([]string, error) {
	entries, err := os.ReadDir(name)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, entry := range entries {
		names[i] = entry.Name()
	}
	return names, nil
}

func (osFS) Size(name string) (int64, error) {
	info, err := os.Stat(name)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (osFS) Rename(from, to string) error { return os.Rename(from, to) }

func (osFS) Remove(name string) error { return os.Remove(name) }

func (osFS) SyncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// lockTextBytes bounds what is read back from a lock file.
const lockTextBytes = 256

func (osFS) Lock(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = retryInterrupted(func() error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) })
	if errors.Is(err, syscall.EWOULDBLOCK) {
		holder, _ := io.ReadAll(io.LimitReader(f, lockTextBytes))
		f.Close()
		return nil, fmt.Errorf("%w: %s holds %s", host.ErrInUse, describeHolder(string(holder)), name)
	}
	if err != nil {
		f.Close()
		return nil, &fs.PathError{Op: "flock", Path: name, Err: err}
	}
	// What is written only serves the message above: errors do not matter.
	_ = f.Truncate(0)
	_, _ = f.WriteAt([]byte(lockText()), 0)
	return f, nil
}

func (osFS) Holder(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	// The lock is tried, and given back at once: a process that wants it at
	// this instant asks again.
	err = retryInterrupted(func() error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) })
	if errors.Is(err, syscall.EWOULDBLOCK) {
		holder, _ := io.ReadAll(io.LimitReader(f, lockTextBytes))
		return describeHolder(string(holder)), nil
	}
	if err != nil {
		return "", &fs.PathError{Op: "flock", Path: name, Err: err}
	}
	return "", nil
}

// lockText says who holds the lock.
func lockText() string {
	text := fmt.Sprintf("process %d", os.Getpid())
	if name, err := os.Hostname(); err == nil {
		text += " on " + name
	}
	return text + "\n"
}

// describeHolder turns the text of a lock file into words.
func describeHolder(text string) string {
	if text = strings.TrimSpace(text); text == "" {
		return "another process"
	}
	return text
}

func (osFS) Map(name string, bytes int) (Mapping, error) {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close() // the mapping outlives the descriptor
	b, err := unix.Mmap(int(f.Fd()), 0, bytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, &fs.PathError{Op: "mmap", Path: name, Err: err}
	}
	return &osMapping{bytes: b}, nil
}

// osMapping is a shared mapping of a file.
type osMapping struct{ bytes []byte }

func (m *osMapping) Bytes() []byte { return m.bytes }

func (m *osMapping) Sync() error { return unix.Msync(m.bytes, unix.MS_SYNC) }

func (m *osMapping) Close() error { return unix.Munmap(m.bytes) }

// osFile is a file of the machine.
type osFile struct{ *os.File }

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f osFile) Datasync() error {
	err := retryInterrupted(func() error { return datasync(f.File) })
	if err != nil {
		return &fs.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
	}
	return nil
}

func (f osFile) Allocate(bytes int64) error {
	err := retryInterrupted(func() error { return allocate(f.File, bytes) })
	if err != nil {
		return &fs.PathError{Op: "allocate", Path: f.Name(), Err: err}
	}
	return nil
}

// retryInterrupted repeats a system call that a signal interrupted: the
// runtime's own preemption signals do.
func retryInterrupted(call func() error) error {
	for {
		if err := call(); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// isNoSpace says whether the disk, or the user's share of it, is full.
func isNoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

package embedded

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// datasync leaves out the metadata that is not needed to read the data back.
func datasync(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }

// allocate falls back to setting the size where the file system cannot reserve:
// the zeros that are written next then take the room.
func allocate(f *os.File, bytes int64) error {
	err := unix.Fallocate(int(f.Fd()), 0, 0, bytes)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return f.Truncate(bytes)
	}
	return err
}

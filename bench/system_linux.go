package bench

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// inMemory says whether a directory is on a file system that has no disk.
func inMemory(directory string) bool {
	var status unix.Statfs_t
	if unix.Statfs(directory, &status) != nil {
		return false // whoever uses the directory gets the error
	}
	kind := int64(status.Type)
	return kind == unix.TMPFS_MAGIC || kind == unix.RAMFS_MAGIC
}

func datasync(file *os.File) error {
	for {
		if err := unix.Fdatasync(int(file.Fd())); err != unix.EINTR {
			return err
		}
	}
}

// dependent makes a process that ends with this one.
func dependent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// rusageBytes is the unit of the memory in a rusage.
const rusageBytes = 1024

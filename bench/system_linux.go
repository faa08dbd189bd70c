package bench

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

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

// ticksPerSecond is the unit of times in /proc: USER_HZ, which is 100 everywhere.
const ticksPerSecond = 100

// processCPU is what another process has used.
func processCPU(pid int) time.Duration {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(after)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * time.Second / ticksPerSecond
}

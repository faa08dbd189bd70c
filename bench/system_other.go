//go:build !linux

package bench

import (
	"os"
	"syscall"
	"time"
)

// inMemory says whether a directory is on a file system that has no disk: it is
// not known here.
func inMemory(string) bool { return false }

func datasync(file *os.File) error { return file.Sync() }

// dependent makes a process of its own group; it does not end with this one.
func dependent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// rusageBytes is the unit of the memory in a rusage.
const rusageBytes = 1

// processCPU is not known here.
func processCPU(int) time.Duration { return 0 }

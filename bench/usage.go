package bench

import (
	"runtime"
	"syscall"
	"time"
)

// usage is what the process has used.
type usage struct {
	cpu         time.Duration
	allocations uint64
	memory      int64 // bytes: the most that was resident at a time
}

func usageNow() usage {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r) // fails for other arguments only
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return usage{
		cpu:         time.Duration(r.Utime.Nano() + r.Stime.Nano()),
		allocations: m.Mallocs,
		memory:      int64(r.Maxrss) * rusageBytes,
	}
}

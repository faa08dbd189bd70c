package bench

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
)

// profiles are the files that profiles go to; nil where none is wanted.
type profiles struct {
	cpu, allocations *os.File
	begun            bool
}

// allocationRate is the mean number of bytes between two samples: 28
// allocations of an update are 3 kB.
const allocationRate = 16 << 10

func startProfiles(o *Options) (*profiles, error) {
	p := new(profiles)
	for _, f := range []struct {
		name string
		file **os.File
	}{{o.CPUProfile, &p.cpu}, {o.Allocations, &p.allocations}} {
		if f.name == "" {
			continue
		}
		file, err := os.Create(f.name)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("make the file of the profile: %w", err), p.close())
		}
		*f.file = file
	}
	if p.allocations != nil {
		runtime.MemProfileRate = allocationRate
	}
	return p, nil
}

// begin starts the CPU profile, when there is something to measure.
func (p *profiles) begin() error {
	if p.cpu == nil || p.begun {
		return nil
	}
	p.begun = true
	if err := pprof.StartCPUProfile(p.cpu); err != nil {
		return fmt.Errorf("begin the CPU profile: %w", err)
	}
	return nil
}

// close writes what there is. What is closed is not written again.
func (p *profiles) close() (err error) {
	defer func() { *p = profiles{} }()
	if p.begun {
		pprof.StopCPUProfile()
	}
	if p.allocations != nil {
		err = pprof.Lookup("allocs").WriteTo(p.allocations, 0)
	}
	for _, file := range []*os.File{p.cpu, p.allocations} {
		if file != nil {
			err = errors.Join(err, file.Close())
		}
	}
	if err != nil {
		return fmt.Errorf("write the profile: %w", err)
	}
	return nil
}

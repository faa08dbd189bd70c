package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// makeDirectory makes a new directory on a disk, below the one that is named.
func makeDirectory(below string) (name string, err error) {
	if below == "" {
		if below, err = os.Getwd(); err != nil {
			return "", fmt.Errorf("find the working directory: %w", err)
		}
	}
	if inMemory(existing(below)) {
		return "", fmt.Errorf("%s is on a file system in memory, where a sync costs nothing and figures mean nothing: "+
			"name a directory on a disk with --data", below)
	}
	if err := os.MkdirAll(below, 0o755); err != nil {
		return "", fmt.Errorf("make the directory for the log: %w", err)
	}
	if name, err = os.MkdirTemp(below, "holdfast-bench-"); err != nil {
		return "", fmt.Errorf("make a directory for the log: %w", err)
	}
	return name, nil
}

// existing is the directory, or the first one above it that is there.
func existing(directory string) string {
	directory = filepath.Clean(directory)
	for {
		above := filepath.Dir(directory)
		if _, err := os.Stat(directory); err == nil || above == directory {
			return directory
		}
		directory = above
	}
}

// Sizes of the file that syncs are measured with. It is written with zeros
// first, as segments of the log are.
const (
	probeFileBytes = 32 << 20
	probeHeader    = 128 // bytes that a frame has beside its payload, and some
)

// probe measures what a sync of the disk costs: appends to a prepared file, each
// with its own fdatasync.
type probe struct {
	file   *os.File
	offset int64
	times  histogram
	cpu    time.Duration
}

func newProbe(directory string) (*probe, error) {
	file, err := os.Create(filepath.Join(directory, "fdatasync"))
	if err != nil {
		return nil, fmt.Errorf("make a file to measure syncs: %w", err)
	}
	p := &probe{file: file}
	zeros := make([]byte, 1<<20)
	for offset := int64(0); offset < probeFileBytes && err == nil; offset += int64(len(zeros)) {
		_, err = file.WriteAt(zeros, offset)
	}
	if err == nil {
		err = file.Sync()
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("prepare a file to measure syncs: %w", err)
	}
	return p, nil
}

// run appends entries of a size for a while.
func (p *probe) run(size int, howLong time.Duration) error {
	entry := make([]byte, min(size+probeHeader, probeFileBytes/2))
	for i := range entry {
		entry[i] = byte(i)
	}
	before := usageNow()
	defer func() { p.cpu += usageNow().cpu - before.cpu }()
	for end := time.Now().Add(howLong); ; {
		if p.offset+int64(len(entry)) > probeFileBytes {
			p.offset = 0
		}
		began := time.Now()
		if _, err := p.file.WriteAt(entry, p.offset); err != nil {
			return fmt.Errorf("measure syncs: %w", err)
		}
		if err := datasync(p.file); err != nil {
			return fmt.Errorf("measure syncs: %w", err)
		}
		now := time.Now()
		p.times.add(now.Sub(began))
		p.offset += int64(len(entry))
		if now.After(end) {
			return nil
		}
	}
}

func (p *probe) close() { _ = p.file.Close() } // the file is removed anyway

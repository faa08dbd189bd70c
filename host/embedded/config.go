package embedded

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/holdfast-io/holdfast/host"
)

// Defaults and bounds. DESIGN.md has the sums behind the sizes.
const (
	// frameBytesMaxDefault is twice the largest record.
	frameBytesMaxDefault = 16 << 20
	// segmentBytesDefault keeps the cost of a new segment (two syncs) and of
	// reading the last one at start (about 30 ms) both small.
	segmentBytesDefault = 64 << 20
	// firstSegmentBytesDefault makes the first start quick: 1 MiB and the spare
	// of 16 MiB behind it are written before Open returns, and are 18 MB of
	// idle data.
	firstSegmentBytesDefault = 1 << 20
	// lockWaitDefault outlasts a restart: the old process is still shutting
	// down when a supervisor starts the new one.
	lockWaitDefault = 5 * time.Second
	// partitionsMax is that of the system.
	partitionsMax = 1024
)

// Config says where the data is and how it is kept. Dir and Identity are
// required; the zero value of everything else is the default.
type Config struct {
	// Dir is the data directory. It is made if it does not exist.
	Dir string
	// Identity must be what the directory was made for.
	Identity host.Identity

	// FrameBytesMax is the largest payload of a frame; default 16 MiB.
	FrameBytesMax int
	// SegmentBytes is the size to which segments grow; default 64 MiB. Every
	// segment but the first of a start holds at least one largest frame.
	SegmentBytes int64
	// FirstSegmentBytes is the size of the segment that is made when a start
	// finds none prepared; default 1 MiB.
	FirstSegmentBytes int64

	// LockWait is how long to wait for another process to leave; default 5 s,
	// negative for not at all.
	LockWait time.Duration

	// FS is the disk; default is the machine's.
	FS FS
	// Random is where salts come from; default crypto/rand.
	Random io.Reader
	// Now is the clock, for the pace of retries only; default time.Now.
	Now func() time.Time
	// Background runs work that nobody waits for; default a goroutine. It may
	// run the work before it returns.
	Background func(work func())

	mutant mutant // set by tests of the tests
}

// withDefaults is the one place where defaults are applied.
func (c Config) withDefaults() Config {
	if c.FrameBytesMax == 0 {
		c.FrameBytesMax = frameBytesMaxDefault
	}
	if c.SegmentBytes == 0 {
		c.SegmentBytes = segmentBytesDefault
	}
	if c.FirstSegmentBytes == 0 {
		c.FirstSegmentBytes = min(firstSegmentBytesDefault, c.SegmentBytes)
	}
	if c.LockWait == 0 {
		c.LockWait = lockWaitDefault
	}
	if c.FS == nil {
		c.FS = osFS{}
	}
	if c.Random == nil {
		c.Random = rand.Reader
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Background == nil {
		c.Background = func(work func()) { go work() }
	}
	return c
}

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	var mistakes []error
	mistake := func(ok bool, format string, args ...any) {
		if !ok {
			mistakes = append(mistakes, fmt.Errorf(format, args...))
		}
	}
	mistake(c.Dir != "", "Dir is empty: name the data directory")
	mistake(c.Identity.Partitions >= 1 && c.Identity.Partitions <= partitionsMax,
		"Identity.Partitions is %d: it must be from 1 to %d", c.Identity.Partitions, partitionsMax)
	mistake(c.FrameBytesMax >= 0 && c.FrameBytesMax <= 1<<30,
		"FrameBytesMax is %d: it must be from 0 (the default) to %d", c.FrameBytesMax, 1<<30)
	mistake(c.SegmentBytes == 0 || c.SegmentBytes >= 2*pageBytes,
		"SegmentBytes is %d: it must be 0 (the default) or at least %d", c.SegmentBytes, 2*pageBytes)
	mistake(c.FirstSegmentBytes == 0 || c.FirstSegmentBytes >= 2*pageBytes,
		"FirstSegmentBytes is %d: it must be 0 (the default) or at least %d", c.FirstSegmentBytes, 2*pageBytes)
	return errors.Join(mistakes...)
}

// spareBytes is the size of the segment to prepare while one of the size is in
// use: twice, up to the bound, and enough for any frame.
func (c *Config) spareBytes(current int64) int64 {
	bytes := min(2*current, c.SegmentBytes)
	return roundUp(max(bytes, pageBytes+int64(c.FrameBytesMax)+2*itemHeaderBytes))
}

// roundUp gives whole pages.
func roundUp(bytes int64) int64 { return (bytes + pageBytes - 1) / pageBytes * pageBytes }

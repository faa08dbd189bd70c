package hosttest

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/world/sim"
)

// Harness makes hosts for the suite.
type Harness struct {
	// Open opens the host on the data, without waiting for another opener and
	// with all background work done inline. The suite calls it again on the
	// same data after Close and after a crash.
	Open func(d *Data) (host.Host, error)
	// Crash is called when the process is said to die. The suite has dealt with
	// the simulated disk; a host that keeps its data elsewhere does that here.
	// It may be nil.
	Crash func(d *Data)
	// Unchecked says whether the bytes of a file carry no promise, by its base
	// name. It may be nil.
	Unchecked func(name string) bool

	// Seeds is how many random histories are run, from FirstSeed on; default
	// 150 of about 100 steps each. A failure names its seed.
	Seeds     int
	FirstSeed uint64
}

// Data is what outlives a process: one data directory and the machine around
// it.
type Data struct {
	Disk     *sim.Disk // all that a host with a disk may use
	Dir      string    // its data directory
	Kept     any       // what a host without a disk keeps
	Identity host.Identity

	FrameBytesMax int   // the host must use this limit
	SegmentBytes  int64 // a host with files should use ones of about this size

	clock  time.Time
	random io.Reader
}

// Now is the clock that the host must use.
func (d *Data) Now() time.Time { return d.clock }

// Random is where the host must take random bytes from.
func (d *Data) Random() io.Reader { return d.random }

// newData is an empty machine. The seed decides everything random.
func newData(seed uint64) *Data {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	return &Data{
		Disk: sim.NewDisk(seed), Dir: "/data", Identity: host.Identity{Partitions: 8},
		FrameBytesMax: 8 << 10, SegmentBytes: 32 << 10,
		clock: time.Unix(1_700_000_000, 0), random: rand.NewChaCha8(key),
	}
}

// clone copies the machine as it is after a crash. It is for hosts with a disk.
func (d *Data) clone() *Data {
	c := newData(1)
	c.Disk, c.Dir, c.Identity = d.Disk.Clone(), d.Dir, d.Identity
	c.FrameBytesMax, c.SegmentBytes, c.clock = d.FrameBytesMax, d.SegmentBytes, d.clock
	return c
}

// Case is one claim about a host.
type Case struct {
	Name string
	Disk bool // it needs Capabilities().Disk
	Run  func(tb testing.TB, h Harness)
}

// Cases lists the suite.
func Cases() []Case {
	var cases []Case
	for _, group := range [][]Case{logCases, snapshotCases, lifeCases, tornCases, faultCases, damageCases, historyCases} {
		cases = append(cases, group...)
	}
	return cases
}

// Run runs every case as a subtest.
func Run(t *testing.T, h Harness) {
	data := newData(1)
	opened, err := h.Open(data)
	if err != nil {
		t.Fatalf("open an empty host: %v", err)
	}
	capabilities := opened.Capabilities()
	if err := opened.Close(); err != nil {
		t.Fatalf("close an empty host: %v", err)
	}
	for _, c := range Cases() {
		t.Run(c.Name, func(t *testing.T) {
			if c.Disk && !capabilities.Disk {
				t.Skipf("not applicable: host %s has no disk", capabilities.Name)
			}
			c.Run(t, h)
		})
	}
}

// Fails runs a case aside and says whether it fails, and with which message: it
// is for showing that the suite finds a planted mistake.
func Fails(c Case, h Harness) (message string, failed bool) {
	r := &recorder{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if p := recover(); p != nil {
				r.failed = true
				fmt.Fprintf(&r.text, "panic: %v\n", p)
			}
		}()
		c.Run(r, h)
	}()
	<-done
	return r.text.String(), r.failed
}

// recorder is a testing.TB that remembers failures. Methods that cases do not
// use are missing, and panic.
type recorder struct {
	testing.TB
	text   bytes.Buffer
	failed bool
}

func (r *recorder) Helper() {}

func (r *recorder) Context() context.Context { return context.Background() }

func (r *recorder) Logf(string, ...any) {}

func (r *recorder) Failed() bool { return r.failed }

func (r *recorder) Errorf(format string, args ...any) {
	r.failed = true
	fmt.Fprintf(&r.text, format+"\n", args...)
}

func (r *recorder) Error(args ...any) { r.Errorf("%s", fmt.Sprint(args...)) }

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

func (r *recorder) Fatal(args ...any) { r.Fatalf("%s", fmt.Sprint(args...)) }

func (r *recorder) FailNow() {
	r.failed = true
	runtime.Goexit()
}

package embedded

import (
	"flag"
	"strings"
	"testing"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/host/hosttest"
)

// harness opens hosts on simulated disks, with a planted mistake or none.
func harness(planted mutant) hosttest.Harness {
	return hosttest.Harness{
		Open: func(d *hosttest.Data) (host.Host, error) {
			h, err := Open(configOf(d, planted))
			if err != nil {
				return nil, err
			}
			return h, nil
		},
		Unchecked: func(name string) bool {
			return name == lockName || name == marksName || strings.HasSuffix(name, spareSuffix)
		},
	}
}

// configOf puts a host on the suite's machine. Nothing runs beside the caller.
func configOf(d *hosttest.Data, planted mutant) Config {
	return Config{
		Dir: d.Dir, Identity: d.Identity, FS: simulated{d.Disk}, Random: d.Random(), Now: d.Now,
		FrameBytesMax: d.FrameBytesMax, SegmentBytes: d.SegmentBytes, LockWait: -1,
		Background: func(work func()) { work() },
		mutant:     planted,
	}
}

// Flags for long runs, and for one seed again:
//
//	go test ./host/embedded -run TestConformance/random -seeds=100000
//	go test ./host/embedded -run TestConformance/random -seed=4711 -seeds=1
var (
	seeds     = flag.Int("seeds", 0, "number of random histories; 0 is the default")
	firstSeed = flag.Uint64("seed", 0, "seed of the first random history")
)

func TestConformance(t *testing.T) {
	h := harness(mutantNone)
	h.Seeds, h.FirstSeed = *seeds, *firstSeed
	hosttest.Run(t, h)
}

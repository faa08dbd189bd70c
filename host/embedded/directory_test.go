package embedded

// Goal: whoever starts a node on the wrong directory, or on a broken one, reads
// what is wrong, what was expected and what to do.

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/world/sim"
)

// writeFile replaces a file of a simulated disk.
func writeFile(t testing.TB, disk *sim.Disk, name, content string) {
	t.Helper()
	f, err := disk.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err == nil {
		_, err = f.WriteAt([]byte(content), 0)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// removeAll removes the files with the prefix.
func removeAll(t testing.TB, disk *sim.Disk, prefix string) {
	t.Helper()
	for _, file := range disk.Files() {
		if !strings.HasPrefix(file.Name, prefix) {
			continue
		}
		if err := disk.Remove(file.Name); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	for _, tc := range []struct {
		name  string
		spoil func(t *testing.T, disk *sim.Disk, config *Config)
		is    error
		words []string
	}{
		{"no directory named", func(_ *testing.T, _ *sim.Disk, c *Config) { c.Dir = "" }, nil, []string{"Dir is empty"}},
		{"too many partitions", func(_ *testing.T, _ *sim.Disk, c *Config) { c.Identity.Partitions = 5000 }, nil, []string{"5000", "1 to 1024"}},
		{"another number of partitions", func(_ *testing.T, _ *sim.Disk, c *Config) { c.Identity.Partitions = 5 },
			host.ErrIncompatible, []string{"/data/FORMAT", "made for 4 partitions", "5 were asked for", "ask for 4"}},
		{"another host", func(t *testing.T, d *sim.Disk, _ *Config) {
			writeFile(t, d, "/data/FORMAT", string(sumLine([]byte("holdfast data directory\nformat 1\nreader 1\nhost raft\npartitions 4\n"))))
		}, host.ErrIncompatible, []string{`host "raft"`, `this is host "embedded"`}},
		{"a newer format", func(t *testing.T, d *sim.Disk, _ *Config) {
			writeFile(t, d, "/data/FORMAT", string(sumLine([]byte("holdfast data directory\nformat 9\nreader 7\nsomething new\n"))))
		}, host.ErrIncompatible, []string{"format 9", "reader of format 7", "reads up to 1", "newer version of holdfast"}},
		{"a damaged FORMAT", func(t *testing.T, d *sim.Disk, _ *Config) { writeFile(t, d, "/data/FORMAT", "holdfast") },
			host.ErrCorrupt, []string{"/data/FORMAT", "checksum"}},
		{"a missing FORMAT", func(t *testing.T, d *sim.Disk, _ *Config) { removeAll(t, d, "/data/FORMAT") },
			host.ErrCorrupt, []string{"/data/FORMAT", "missing", "restore"}},
		{"a missing log", func(t *testing.T, d *sim.Disk, _ *Config) { removeAll(t, d, "/data/log/") },
			host.ErrCorrupt, []string{"/data/log", "missing"}},
		{"a missing segment", func(t *testing.T, d *sim.Disk, _ *Config) { removeAll(t, d, segmentName("/data", 2)) },
			host.ErrCorrupt, []string{segmentName("/data", 2), "missing"}},
		{"a missing last segment", func(t *testing.T, d *sim.Disk, _ *Config) { removeAll(t, d, segmentName("/data", 3)) },
			host.ErrCorrupt, []string{segmentName("/data", 2), "segment after this one", "missing"}},
		{"an emptied segment", func(t *testing.T, d *sim.Disk, _ *Config) { writeFile(t, d, segmentName("/data", 3), "") },
			host.ErrCorrupt, []string{segmentName("/data", 3), "cut short at 0 bytes"}},
		{"a missing manifest", func(t *testing.T, d *sim.Disk, _ *Config) { removeAll(t, d, "/data/checkpoints/MANIFEST") },
			host.ErrCorrupt, []string{"MANIFEST", "missing"}},
		{"a directory of somebody else", func(t *testing.T, d *sim.Disk, c *Config) {
			c.Dir = "/elsewhere"
			if err := d.MkdirAll("/elsewhere"); err != nil {
				t.Fatal(err)
			}
			writeFile(t, d, "/elsewhere/letter.txt", "dear")
		}, host.ErrIncompatible, []string{"letter.txt", "empty or a new directory"}},
		{"no permission", func(_ *testing.T, d *sim.Disk, _ *Config) {
			d.Intercept(func(op sim.Op) sim.Fault {
				if op.Kind == sim.OpOpen {
					return sim.Fault{Err: syscall.EACCES}
				}
				return sim.Fault{}
			})
		}, fs.ErrPermission, []string{"permission denied", "the user that runs this program"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			disk := simulatedDirectory(t, true)
			config := simulatedConfig(disk)
			tc.spoil(t, disk, &config)
			_, err := Open(config)
			if err == nil || tc.is != nil && !errors.Is(err, tc.is) {
				t.Fatalf("got %v, want %v", err, tc.is)
			}
			for _, word := range tc.words {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("got %q, want it to say %q", err, word)
				}
			}
		})
	}
}

func TestOpenOnAFullDiskSaysSo(t *testing.T) {
	disk := simulatedDirectory(t, true)
	for _, file := range disk.Files() {
		if strings.HasSuffix(file.Name, spareSuffix) {
			removeAll(t, disk, file.Name)
		}
	}
	disk.SetCapacity(disk.Used())
	_, err := Open(simulatedConfig(disk))
	if !errors.Is(err, host.ErrFull) || !strings.Contains(err.Error(), "make room") {
		t.Errorf("got %v, want ErrFull and what to do", err)
	}
	disk.SetCapacity(0)
	mustClose(t, mustOpenHost(t, simulatedConfig(disk)))
}

func TestRefusedOpenChangesNoLog(t *testing.T) {
	disk := simulatedDirectory(t, true)
	config := simulatedConfig(disk)
	config.Identity.Partitions = 9
	before := disk.Files()
	if _, err := Open(config); err == nil {
		t.Fatal("got nil, want an error")
	}
	after := disk.Files()
	if len(before) != len(after) {
		t.Errorf("got %v, want %v", after, before)
	}
	mustClose(t, mustOpenHost(t, simulatedConfig(disk)))
}

func TestOpenWaitsForTheProcessBeforeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := sim.NewDisk(1)
		config := simulatedConfig(disk)
		config.LockWait = 0 // the default
		first := mustOpenHost(t, config)
		started := time.Now()
		_, err := Open(config)
		if !errors.Is(err, host.ErrInUse) || !strings.Contains(err.Error(), "waited 5s") {
			t.Errorf("got %v, want ErrInUse after 5s", err)
		}
		if waited := time.Since(started); waited < 5*time.Second || waited > 6*time.Second {
			t.Errorf("waited %v, want 5s", waited)
		}
		time.AfterFunc(2*time.Second, func() { _ = first.Close() })
		second, err := Open(config)
		if err != nil {
			t.Fatal(err)
		}
		mustClose(t, second)
	})
}

func TestARealLockNamesItsHolder(t *testing.T) {
	config := Config{Dir: filepath.Join(t.TempDir(), "data"), Identity: host.Identity{Partitions: 1}, SegmentBytes: 64 << 10, FrameBytesMax: 4 << 10, LockWait: -1}
	first := mustOpenHost(t, config)
	_, err := Open(config)
	if !errors.Is(err, host.ErrInUse) || !strings.Contains(err.Error(), "process ") {
		t.Errorf("got %v, want ErrInUse naming a process", err)
	}
	mustClose(t, first)
	mustClose(t, mustOpenHost(t, config))
}

// A new directory with the defaults must stay under 20 MB while nothing happens.
func TestIdleDataIsSmall(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "data")
	config := Config{Dir: directory, Identity: host.Identity{Partitions: 64}}
	for range 3 {
		h := mustOpenHost(t, config)
		mustClose(t, h)
		var bytes int64
		err := filepath.WalkDir(directory, func(_ string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := entry.Info()
			bytes += info.Size()
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if bytes > 20_000_000 {
			t.Errorf("got %d bytes, want at most 20 MB", bytes)
		}
	}
}

func TestADirectoryMayBeMovedToAnotherDisk(t *testing.T) {
	// Nothing in it depends on its path.
	disk := simulatedDirectory(t, true)
	moved := sim.NewDisk(2)
	for _, directory := range []string{"/other", "/other/log", "/other/checkpoints"} {
		if err := moved.MkdirAll(directory); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range disk.Files() {
		content, err := readSmall(simulated{disk}, file.Name)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, moved, "/other"+strings.TrimPrefix(file.Name, "/data"), string(content))
	}
	config := simulatedConfig(moved)
	config.Dir = "/other"
	if err := useAll(config); err != nil {
		t.Error(err)
	}
}

// TestWhatTheFirstStartLeftInTheCacheIsMadeDurableByTheNext lets the first start
// die at every operation, the second one serve, and the power go. A start that
// read a name only from the cache must not build on it.
func TestWhatTheFirstStartLeftInTheCacheIsMadeDurableByTheNext(t *testing.T) {
	for operations := int64(1); ; operations++ {
		disk := sim.NewDisk(uint64(operations))
		config := simulatedConfig(disk)
		disk.StopAfter(operations)
		_, err := Open(config)
		disk.Crash()
		second, failed := Open(config)
		if failed != nil {
			t.Fatalf("stopped after %d operations, the second start: %v", operations, failed)
		}
		appendFrames(t, second, 1, 100)
		disk.PowerCut(sim.KeepNone)
		third, failed := Open(config)
		if failed != nil {
			t.Fatalf("stopped after %d operations, after a power cut: %v", operations, failed)
		}
		if _, last, err := third.Log().Acquire(t.Context()); err != nil || last.Number != 1 {
			t.Fatalf("stopped after %d operations: the log ends at frame %d, %v; want 1", operations, last.Number, err)
		}
		if err == nil {
			return // the first start came to its end
		}
	}
}

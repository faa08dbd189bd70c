package sim

// Goal: the disk must be as bad as it says, and never worse. Each test states
// one claim of the package; the last ones compare random use with a naive twin.

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
)

func mustOpen(t *testing.T, d *Disk, name string) *File {
	t.Helper()
	f, err := d.OpenFile(name, os.O_RDWR|os.O_CREATE)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func mustWrite(t *testing.T, f *File, content string, offset int64) {
	t.Helper()
	if n, err := f.WriteAt([]byte(content), offset); n != len(content) || err != nil {
		t.Fatalf("write: %d, %v", n, err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// content reads a file whole; "" if it does not exist.
func content(t *testing.T, d *Disk, name string) string {
	t.Helper()
	f, err := d.OpenFile(name, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	must(t, err)
	size, err := f.Size()
	must(t, err)
	b := make([]byte, size)
	if _, err := f.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return string(b)
}

// durable makes a file with content that survives.
func durable(t *testing.T, d *Disk, name, text string) *File {
	t.Helper()
	f := mustOpen(t, d, name)
	mustWrite(t, f, text, 0)
	must(t, f.Datasync())
	must(t, d.SyncDir("/"))
	return f
}

func TestCrashKeepsWhatWasWrittenAndPowerCutTakesIt(t *testing.T) {
	d := NewDisk(1)
	f := durable(t, d, "/a", "old")
	mustWrite(t, f, "new", 0)
	d.Crash()
	if got := content(t, d, "/a"); got != "new" {
		t.Errorf("after a crash: got %q, want new", got)
	}
	if _, err := f.WriteAt([]byte("x"), 0); !errors.Is(err, ErrStopped) {
		t.Errorf("write by the dead process: got %v, want ErrStopped", err)
	}
	d.PowerCut(KeepNone)
	if got := content(t, d, "/a"); got != "old" {
		t.Errorf("after a power cut: got %q, want old", got)
	}
}

func TestPowerCutKeepsAnySubsetOfPages(t *testing.T) {
	d := NewDisk(1)
	f := durable(t, d, "/a", string(bytes.Repeat([]byte{'o'}, 3*PageBytes)))
	mustWrite(t, f, string(bytes.Repeat([]byte{'n'}, 3*PageBytes)), 0)
	if got := len(d.Unsynced()); got != 3 {
		t.Fatalf("got %d choices, want 3: %v", got, d.Unsynced())
	}
	for mask := range 8 {
		clone := d.Clone()
		clone.PowerCut(KeepExactly([]int{mask & 1, mask >> 1 & 1, mask >> 2}))
		got := content(t, clone, "/a")
		for i := range 3 {
			want := byte("on"[mask>>i&1])
			if page := got[i*PageBytes : (i+1)*PageBytes]; page[0] != want || page[PageBytes-1] != want {
				t.Errorf("mask %b: page %d is %q, want %q", mask, i, page[:1], want)
			}
		}
	}
}

func TestPowerCutMayLeaveAnyVersionOfAPage(t *testing.T) {
	d := NewDisk(1)
	f := durable(t, d, "/a", "0")
	mustWrite(t, f, "1", 0)
	mustWrite(t, f, "2", 0)
	for choice, want := range []string{"0", "1", "2"} {
		clone := d.Clone()
		clone.PowerCut(KeepExactly([]int{choice}))
		if got := content(t, clone, "/a"); got != want {
			t.Errorf("choice %d: got %q, want %q", choice, got, want)
		}
	}
}

func TestNamesAreDurableOnlyAfterTheirDirectoryIsSynced(t *testing.T) {
	d := NewDisk(1)
	durable(t, d, "/a", "old")
	f := mustOpen(t, d, "/b")
	mustWrite(t, f, "new", 0)
	must(t, f.Datasync())
	must(t, d.Rename("/b", "/a"))
	for _, tc := range []struct {
		choose      Chooser
		a, b, words string
	}{
		{KeepNone, "old", "", "nothing kept"},
		{KeepAll, "new", "", "all kept"},
		{KeepExactly([]int{1, 0}), "old", "new", "only the creation kept"},
		{KeepExactly([]int{0, 1}), "new", "", "only the rename kept"},
	} {
		clone := d.Clone()
		clone.PowerCut(tc.choose)
		if a, b := content(t, clone, "/a"), content(t, clone, "/b"); a != tc.a || b != tc.b {
			t.Errorf("%s: got a=%q b=%q, want a=%q b=%q", tc.words, a, b, tc.a, tc.b)
		}
	}
	must(t, d.SyncDir("/"))
	d.PowerCut(KeepNone)
	if got := content(t, d, "/a"); got != "new" {
		t.Errorf("after a sync of the directory: got %q, want new", got)
	}
}

func TestRemovedFileComesBackUnlessItsDirectoryIsSynced(t *testing.T) {
	d := NewDisk(1)
	durable(t, d, "/a", "text")
	must(t, d.Remove("/a"))
	if got := content(t, d, "/a"); got != "" {
		t.Errorf("got %q, want nothing", got)
	}
	d.PowerCut(KeepNone)
	if got := content(t, d, "/a"); got != "text" {
		t.Errorf("after a power cut: got %q, want text", got)
	}
}

// A kernel marks pages clean when it could not write them. They are read as if
// all was well, and a second sync returns nil without writing them.
func TestFailedSyncIsNotRepairedByTheNextOne(t *testing.T) {
	lost := false
	for seed := range uint64(20) {
		d := NewDisk(seed)
		f := durable(t, d, "/a", "old")
		mustWrite(t, f, "new", 0)
		d.Intercept(func(op Op) Fault {
			if op.Kind == OpSync {
				return Fault{Err: syscall.EIO}
			}
			return Fault{}
		})
		if err := f.Datasync(); !errors.Is(err, syscall.EIO) {
			t.Fatalf("got %v, want EIO", err)
		}
		d.Intercept(nil)
		must(t, f.Datasync())
		if got := content(t, d, "/a"); got != "new" {
			t.Fatalf("got %q, want new: it is in the page cache", got)
		}
		evicted := d.Clone()
		evicted.DropCaches()
		d.PowerCut(KeepAll)
		got := content(t, d, "/a")
		if seen := content(t, evicted, "/a"); seen != got {
			t.Errorf("seed %d: the page cache fell back to %q, the power cut left %q", seed, seen, got)
		}
		lost = lost || got == "old"
	}
	if !lost {
		t.Error("no seed lost the page")
	}
}

func TestFullDisk(t *testing.T) {
	d := NewDisk(1)
	f := durable(t, d, "/a", "text")
	d.SetCapacity(3 * PageBytes)
	if err := f.Allocate(4 * PageBytes); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("allocate: got %v, want ENOSPC", err)
	}
	n, err := f.WriteAt(make([]byte, 4*PageBytes), 0)
	if n != 3*PageBytes || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("write: got %d, %v, want %d, ENOSPC", n, err, 3*PageBytes)
	}
	must(t, f.Truncate(PageBytes))
	if got := d.Used(); got != PageBytes {
		t.Errorf("got %d bytes used, want one page", got)
	}
	must(t, f.Allocate(3*PageBytes))
	must(t, d.Remove("/a"))
	if got := d.Used(); got != 0 {
		t.Errorf("got %d bytes used, want 0", got)
	}
}

func TestAllocatedRoomIsNotTakenByOthers(t *testing.T) {
	d := NewDisk(1)
	d.SetCapacity(2 * PageBytes)
	a, b := mustOpen(t, d, "/a"), mustOpen(t, d, "/b")
	must(t, a.Allocate(2*PageBytes))
	if _, err := b.WriteAt([]byte("x"), 0); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v, want ENOSPC", err)
	}
	mustWrite(t, a, "x", PageBytes)
}

func TestShortWrite(t *testing.T) {
	d := NewDisk(1)
	f := mustOpen(t, d, "/a")
	d.Intercept(func(op Op) Fault {
		if op.Kind == OpWrite {
			return Fault{Err: io.ErrShortWrite, Bytes: 2}
		}
		return Fault{}
	})
	n, err := f.WriteAt([]byte("abcd"), 0)
	if n != 2 || !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("got %d, %v, want 2 and a short write", n, err)
	}
	if got := content(t, d, "/a"); got != "ab" {
		t.Errorf("got %q, want ab", got)
	}
}

func TestStopAfterLetsExactlyThatManyOperationsHappen(t *testing.T) {
	for n := range int64(4) {
		d := NewDisk(1)
		f := durable(t, d, "/a", "0")
		d.StopAfter(n)
		done := int64(0)
		for _, text := range []string{"1", "2", "3"} {
			if _, err := f.WriteAt([]byte(text), 0); err == nil {
				done++
			} else if !errors.Is(err, ErrStopped) {
				t.Fatal(err)
			}
		}
		d.Crash()
		if got, want := content(t, d, "/a"), string(byte('0')+byte(n)); got != want || done != n {
			t.Errorf("stop after %d: got %q after %d writes, want %q", n, got, done, want)
		}
	}
}

func TestMappingOutlivesTheProcessButNotThePower(t *testing.T) {
	d := NewDisk(1)
	durable(t, d, "/a", string(make([]byte, PageBytes)))
	m, err := d.Map("/a", PageBytes)
	must(t, err)
	m.Bytes()[0] = 'x'
	d.Crash()
	m.Bytes()[1] = 'y'
	if got := content(t, d, "/a"); got[:2] != "x\x00" {
		t.Errorf("after a crash: got %q, want x and nothing of what came later", got[:2])
	}
	d.PowerCut(KeepNone)
	if got := content(t, d, "/a"); got[0] != 0 {
		t.Errorf("after a power cut: got %q, want zero", got[:1])
	}
	m, err = d.Map("/a", PageBytes)
	must(t, err)
	m.Bytes()[0] = 'z'
	must(t, m.Sync())
	d.PowerCut(KeepNone)
	if got := content(t, d, "/a"); got[0] != 'z' {
		t.Errorf("after a sync: got %q, want z", got[:1])
	}
}

func TestMappingEndsWhereTheProcessStops(t *testing.T) {
	d := NewDisk(1)
	durable(t, d, "/a", string(make([]byte, PageBytes)))
	m, err := d.Map("/a", PageBytes)
	must(t, err)
	m.Bytes()[0] = 'x'
	d.StopAfter(0)
	if err := d.Remove("/a"); !errors.Is(err, ErrStopped) {
		t.Fatalf("got %v, want ErrStopped", err)
	}
	m.Bytes()[0] = 'y'
	d.Crash()
	if got := content(t, d, "/a"); got[0] != 'x' {
		t.Errorf("got %q, want x", got[:1])
	}
}

func TestMappingBehindTheEndIsRefused(t *testing.T) {
	d := NewDisk(1)
	durable(t, d, "/a", "short")
	if _, err := d.Map("/a", PageBytes); err == nil {
		t.Error("got nil, want an error")
	}
}

func TestLockEndsWithItsProcess(t *testing.T) {
	d := NewDisk(1)
	first, err := d.Lock("/LOCK")
	must(t, err)
	if _, err := d.Lock("/LOCK"); !errors.Is(err, ErrLocked) {
		t.Errorf("got %v, want ErrLocked", err)
	}
	d.Crash()
	if _, err := d.Lock("/LOCK"); err != nil {
		t.Error(err)
	}
	must(t, first.Close())
	if _, err := d.Lock("/LOCK"); !errors.Is(err, ErrLocked) {
		t.Errorf("a dead process gave the lock away: got %v, want ErrLocked", err)
	}
}

func TestDamageIsOnTheDisk(t *testing.T) {
	d := NewDisk(1)
	durable(t, d, "/a", "abc")
	must(t, d.Damage("/a", 1, 1))
	d.PowerCut(KeepNone)
	if got := content(t, d, "/a"); got != "acc" {
		t.Errorf("got %q, want acc", got)
	}
	if err := d.Damage("/a", 3, 1); err == nil {
		t.Error("damage behind the end: got nil, want an error")
	}
}

func TestCloneIsIndependent(t *testing.T) {
	d := NewDisk(1)
	f := durable(t, d, "/a", "old")
	mustWrite(t, f, "new", 0)
	clone := d.Clone()
	mustWrite(t, f, "xxx", 0)
	if got := content(t, clone, "/a"); got != "new" {
		t.Errorf("got %q, want new", got)
	}
	clone.PowerCut(KeepNone)
	if got := content(t, d, "/a"); got != "xxx" {
		t.Errorf("got %q, want xxx", got)
	}
}

func TestReadOnlyFileCannotBeWritten(t *testing.T) {
	d := NewDisk(1)
	durable(t, d, "/a", "text")
	f, err := d.OpenFile("/a", os.O_RDONLY)
	must(t, err)
	if _, err := f.WriteAt([]byte("x"), 0); !errors.Is(err, syscall.EBADF) {
		t.Errorf("got %v, want EBADF", err)
	}
}

func TestMissingNamesAreNamed(t *testing.T) {
	d := NewDisk(1)
	for _, err := range []error{
		func() error { _, err := d.OpenFile("/x/a", os.O_CREATE|os.O_RDWR); return err }(),
		func() error { _, err := d.OpenFile("/a", os.O_RDONLY); return err }(),
		func() error { _, err := d.ReadDir("/x"); return err }(),
		func() error { _, err := d.Size("/a"); return err }(),
		d.Rename("/a", "/b"), d.Remove("/a"), d.SyncDir("/x"), d.Damage("/a", 0, 1),
	} {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("got %v, want fs.ErrNotExist", err)
		}
	}
}

// use does random operations on a disk and its twin, which is a map of what is
// read. It returns what must survive a power cut: files that were synced, with
// their directory, and not touched since.
func use(t *testing.T, d *Disk, seed uint64) map[string]string {
	random := rand.New(rand.NewPCG(seed, 3))
	twin, kept := map[string]string{}, map[string]string{}
	for range 60 {
		name := "/" + string(rune('a'+random.IntN(3)))
		switch random.IntN(5) {
		case 0, 1:
			f := mustOpen(t, d, name)
			old := []byte(twin[name])
			offset := random.IntN(3 * PageBytes)
			text := bytes.Repeat([]byte{byte('a' + random.IntN(26))}, 1+random.IntN(2*PageBytes))
			for len(old) < offset+len(text) {
				old = append(old, 0)
			}
			copy(old[offset:], text)
			twin[name] = string(old)
			mustWrite(t, f, string(text), int64(offset))
			delete(kept, name)
		case 2:
			f := mustOpen(t, d, name)
			must(t, f.Datasync())
			must(t, d.SyncDir("/"))
			if _, ok := twin[name]; !ok {
				twin[name] = ""
			}
			kept[name] = twin[name]
		case 3:
			if _, ok := twin[name]; ok {
				must(t, d.Remove(name))
				delete(twin, name)
				delete(kept, name)
			}
		case 4:
			d.Crash()
		}
		if got := content(t, d, name); got != twin[name] {
			t.Fatalf("seed %d: %s reads differently from its twin", seed, name)
		}
	}
	return kept
}

func TestRandomUseReadsLikeATwinAndSyncedFilesSurvive(t *testing.T) {
	for seed := range uint64(200) {
		d := NewDisk(seed)
		kept := use(t, d, seed)
		d.PowerCut(KeepSome(seed))
		for name, want := range kept {
			if got := content(t, d, name); got != want {
				t.Fatalf("seed %d: %s was synced and did not survive", seed, name)
			}
		}
	}
}

func TestTheSameSeedGivesTheSameDisk(t *testing.T) {
	for seed := range uint64(20) {
		var dumps [2]bytes.Buffer
		for i := range dumps {
			d := NewDisk(seed)
			use(t, d, seed)
			d.PowerCut(nil)
			must(t, d.Dump(&dumps[i]))
		}
		if !bytes.Equal(dumps[0].Bytes(), dumps[1].Bytes()) {
			t.Fatalf("seed %d: two runs differ", seed)
		}
	}
}

package hosttest

import (
	"errors"
	"os"
	"path"
	"testing"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/world/sim"
)

// damageCases flip bits.
var damageCases = []Case{
	{Name: "a flipped bit anywhere in a sealed log is reported or harmless", Disk: true, Run: damageSealed},
	{Name: "a flipped bit anywhere in an unsealed log is reported or harmless, or takes the last frame", Disk: true, Run: damageUnsealed},
	{Name: "a flipped bit anywhere in a checkpoint is reported or harmless", Disk: true, Run: damageCheckpoint},
	{Name: "a file that is gone or cut short is reported or harmless", Disk: true, Run: damageFiles},
}

// smallLog makes a log of a few frames in two segments or so.
func smallLog(tb testing.TB, h Harness) *machine {
	m := start(tb, h, sizes(1<<10, 8<<10))
	m.acquire()
	m.append(1000, 30, 1000, 700, 0, 1000, 600)
	m.close()
	m.open()
	m.acquire()
	m.append(200, 40, 300)
	return m
}

func damageSealed(tb testing.TB, h Harness) {
	m := smallLog(tb, h)
	m.close()
	m.damageAll(nil, false)
}

func damageUnsealed(tb testing.TB, h Harness) {
	m := smallLog(tb, h)
	m.crash()
	m.damageAll(nil, true)
}

func damageCheckpoint(tb testing.TB, h Harness) {
	m := start(tb, h, sizes(1<<10, 8<<10))
	want := map[msg.Partition]content{}
	for p := range msg.Partition(3) {
		c := content{checkpoint: host.Checkpoint{Partition: p, Start: 3, End: 4, Frame: 5}, slices: slicesOf(p, 1, 4, 60)}
		for _, slice := range c.slices {
			c.checkpoint.Bytes += int64(len(slice))
		}
		want[p] = c
	}
	if err := m.publish(want); err != nil {
		tb.Fatal(err)
	}
	m.close()
	m.damageAll(want, false)
}

// zeroStride thins out the bytes in the middle of room that nothing was written
// to: they are all alike.
const zeroStride = 31

// zeros says for each byte of a file whether it is far from any that is not
// zero.
func (m *machine) zeros(file sim.FileSize) []bool {
	m.Helper()
	const near = 80
	f, err := m.Disk.OpenFile(file.Name, os.O_RDONLY)
	if err != nil {
		m.Fatal(err)
	}
	content := make([]byte, file.Bytes)
	if _, err := f.ReadAt(content, 0); err != nil {
		m.Fatal(err)
	}
	zeros := make([]bool, len(content))
	last := -near - 1
	for i, b := range content {
		zeros[i] = i-last > near
		if b == 0 {
			continue
		}
		for j := max(0, i-near); j < i; j++ {
			zeros[j] = false
		}
		last, zeros[i] = i, false
	}
	return zeros
}

// damageAll flips one bit in each byte of each file, each time in a copy. Which
// bit differs from byte to byte.
func (m *machine) damageAll(checkpoints map[msg.Partition]content, lastMayGo bool) {
	m.Helper()
	found := 0
	for _, file := range m.Disk.Files() {
		if m.harness.Unchecked != nil && m.harness.Unchecked(path.Base(file.Name)) {
			continue
		}
		zeros := m.zeros(file)
		for offset := range file.Bytes {
			if zeros[offset] && offset%zeroStride != 0 {
				continue
			}
			b := m.branch()
			if err := b.Disk.Damage(file.Name, offset, 1<<((offset*5+offset/8)%8)); err != nil {
				m.Fatal(err)
			}
			reported, wrong := b.afterDamage(checkpoints, lastMayGo)
			if wrong != nil {
				m.Fatalf("bit flipped in byte %d of %s: %v", offset, file.Name, wrong)
			}
			if reported {
				found++
			}
		}
	}
	if found == 0 {
		m.Fatalf("no flipped bit was reported: the suite does not reach what the host stores")
	}
}

// afterDamage opens and reads everything. It says whether the damage was
// reported, and what was wrong if it was neither reported nor harmless.
func (m *machine) afterDamage(checkpoints map[msg.Partition]content, lastMayGo bool) (reported bool, wrong error) {
	opened, err := m.harness.Open(m.Data)
	if err != nil {
		return reportsDamage(err)
	}
	m.host = opened
	defer opened.Close()
	// A log that begins later is harmless: who recovers compares the oldest
	// frame with the checkpoints.
	for oldest := opened.Log().Oldest(); len(m.kept) > 0 && m.kept[0].Number < oldest; {
		m.kept = m.kept[1:]
	}
	frames, err := m.read()
	for i, f := range frames {
		if i >= len(m.kept) || !equal(f, m.kept[i]) {
			return false, errors.New("a wrong frame was read: " + describe(f))
		}
	}
	if err != nil {
		return reportsDamage(err)
	}
	missing := len(m.kept) - len(frames)
	if missing > 1 || missing == 1 && !lastMayGo {
		return false, errors.New("frames are missing: " + lastOf(frames))
	}
	if err := m.compare(checkpoints); err != nil {
		return reportsDamage(err)
	}
	return false, nil
}

// reportsDamage says whether an error is the right one.
func reportsDamage(err error) (reported bool, wrong error) {
	if errors.Is(err, host.ErrCorrupt) {
		return true, nil
	}
	return false, err
}

// damageFiles removes each file, and cuts it short, each time in a copy.
func damageFiles(tb testing.TB, h Harness) {
	m := smallLog(tb, h)
	checkpoints := publication(1, 0, 1)
	if err := m.publish(checkpoints); err != nil {
		tb.Fatal(err)
	}
	m.close()
	for _, file := range m.Disk.Files() {
		for _, keep := range []int64{-1, 0, 1, file.Bytes / 2, file.Bytes - 1} {
			b := m.branch()
			if err := b.shorten(file.Name, keep); err != nil {
				tb.Fatal(err)
			}
			if _, wrong := b.afterDamage(checkpoints, false); wrong != nil {
				tb.Errorf("%s cut to %d of %d bytes (-1: removed): %v", file.Name, keep, file.Bytes, wrong)
			}
		}
	}
}

package hosttest

import (
	"math/rand/v2"
	"os"
	"testing"

	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/world/sim"
)

// historyCases do random things from a seed.
var historyCases = []Case{
	{Name: "random histories with crashes and power cuts keep every promise", Disk: true, Run: histories},
	{Name: "the same seed gives the same disk", Disk: true, Run: sameSeed},
}

// shorten cuts a file to a size, or removes it if that is negative.
func (m *machine) shorten(name string, keep int64) error {
	if keep < 0 {
		return m.Disk.Remove(name)
	}
	f, err := m.Disk.OpenFile(name, os.O_RDWR)
	if err != nil {
		return err
	}
	return f.Truncate(keep)
}

// seedsDefault is how many histories are run.
const seedsDefault = 150

func histories(tb testing.TB, h Harness) {
	seeds := h.Seeds
	if seeds == 0 {
		seeds = seedsDefault
	}
	for seed := h.FirstSeed; seed < h.FirstSeed+uint64(seeds); seed++ {
		m := start(tb, h, seeded(seed))
		m.history(seed, 100)
		m.onward("history of seed %d", seed)
	}
}

// history does steps at random. The host is not open afterwards.
func (m *machine) history(seed uint64, steps int) {
	m.Helper()
	random := rand.New(rand.NewPCG(seed, 5))
	known := map[msg.Partition]content{}
	m.acquire()
	version := 0
	for step := range steps {
		switch n := random.IntN(100); {
		case n < 60:
			m.append(random.IntN(1 + random.IntN(m.FrameBytesMax)))
		case n < 65:
			if err := m.host.Log().Seal(); err != nil {
				m.Fatalf("seed %d, step %d: seal: %v", seed, step, err)
			}
		case n < 75:
			version++
			list := publication(version, msg.Partition(random.IntN(4)), msg.Partition(4+random.IntN(4)))
			if err := m.publish(list); err != nil {
				m.Fatalf("seed %d, step %d: publish: %v", seed, step, err)
			}
			known = merge(known, list)
		case n < 85 && len(m.kept) > 0:
			m.forget(m.kept[0].Number + msg.FrameNumber(random.IntN(len(m.kept)+1)))
		default:
			m.fall(random, step)
			m.open()
			m.verify("seed %d, step %d", seed, step)
			m.same(known, "seed %d, step %d", seed, step)
			m.acquire()
		}
	}
	m.crash()
}

// fall ends the process in one of many ways.
func (m *machine) fall(random *rand.Rand, step int) {
	m.Helper()
	switch random.IntN(6) {
	case 0:
		m.close()
		return
	case 1: // in the middle of an append
		m.Disk.StopAfter(int64(random.IntN(8)))
		_ = m.try(noise(uint64(step), random.IntN(m.FrameBytesMax)))
	case 2: // a disk that fails
		failed := false
		m.with(failNth(m.Disk.Operations()+1+int64(random.IntN(6)), &failed), func() {
			for range 4 {
				if m.try(noise(uint64(step), random.IntN(m.FrameBytesMax))) != nil {
					break
				}
			}
		})
	case 3: // in the middle of closing
		m.Disk.StopAfter(int64(random.IntN(4)))
		_ = m.host.Close()
	}
	m.crash()
	for range random.IntN(4) { // in the middle of opening
		m.Disk.StopAfter(int64(random.IntN(14)))
		if opened, err := m.harness.Open(m.Data); err == nil {
			m.host = opened
			m.verify("opened after %d steps", step)
		}
		m.crash()
		if random.IntN(2) == 0 {
			m.cut(sim.KeepSome(random.Uint64()))
		}
	}
}

// sameSeed runs histories twice and compares every byte: without it no seed
// reproduces anything.
func sameSeed(tb testing.TB, h Harness) {
	for seed := range uint64(5) {
		var dumps [2]string
		for i := range dumps {
			m := start(tb, h, seeded(seed))
			m.history(seed, 60)
			dumps[i] = m.dump()
		}
		if dumps[0] != dumps[1] {
			tb.Fatalf("seed %d: two runs of one history leave different disks", seed)
		}
	}
}

// dump gives the content of the disk.
func (m *machine) dump() string {
	m.Helper()
	var text dumpWriter
	if err := m.Disk.Dump(&text); err != nil {
		m.Fatal(err)
	}
	return string(text)
}

// dumpWriter collects text.
type dumpWriter []byte

func (w *dumpWriter) Write(b []byte) (int, error) {
	*w = append(*w, b...)
	return len(b), nil
}

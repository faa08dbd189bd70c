package hosttest

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/world/sim"
)

// snapshotCases are about checkpoints.
var snapshotCases = []Case{
	{Name: "a published checkpoint is read as it was written", Run: checkpointsAreRead},
	{Name: "what is not published is never seen", Run: unpublished},
	{Name: "a checkpoint without a writer keeps its slices", Run: withoutWriter},
	{Name: "a wrong list publishes nothing", Run: wrongLists},
	{Name: "only what is current is read", Run: onlyCurrent},
	{Name: "an idle partition does not hold back trimming", Run: idlePartition},
	{Name: "a publication is atomic wherever the process dies and the power is cut", Disk: true, Run: atomicPublication},
	{Name: "a failed publication leaves the one before or the new one", Disk: true, Run: failedPublication},
	{Name: "replaced and abandoned checkpoints take no room", Disk: true, Run: checkpointRoom},
}

// content is what one partition has in its checkpoint.
type content struct {
	checkpoint host.Checkpoint
	slices     [][]byte
}

// slicesOf makes slices that no other version of a partition has.
func slicesOf(p msg.Partition, version, count, size int) [][]byte {
	list := make([][]byte, count)
	for i := range list {
		list[i] = noise(uint64(p)<<40|uint64(version)<<20|uint64(i), size*i)
	}
	return list
}

// write writes slices and syncs.
func (m *machine) write(p msg.Partition, slices [][]byte) (host.SnapshotWriter, error) {
	w, err := m.host.Snapshots().Create(p)
	if err != nil {
		return nil, err
	}
	for _, slice := range slices {
		if err := w.Write(slice); err != nil {
			w.Abort()
			return nil, err
		}
	}
	if err := w.Sync(); err != nil {
		w.Abort()
		return nil, err
	}
	return w, nil
}

// publication makes version v of the partitions' checkpoints.
func publication(version int, partitions ...msg.Partition) map[msg.Partition]content {
	list := make(map[msg.Partition]content)
	for _, p := range partitions {
		c := content{
			checkpoint: host.Checkpoint{Partition: p, Start: msg.Index(version * 10), End: msg.Index(version*10 + 5), Frame: msg.FrameNumber(version)},
			slices:     slicesOf(p, version, 4, 700),
		}
		for _, slice := range c.slices {
			c.checkpoint.Bytes += int64(len(slice))
		}
		list[p] = c
	}
	return list
}

// publish writes and publishes all of the list at once.
func (m *machine) publish(list map[msg.Partition]content) error {
	var all []host.Published
	for p := range msg.Partition(m.Identity.Partitions) {
		c, ok := list[p]
		if !ok {
			continue
		}
		w, err := m.write(p, c.slices)
		if err != nil {
			return err
		}
		all = append(all, host.Published{Checkpoint: c.checkpoint, Writer: w})
	}
	return m.host.Snapshots().Publish(all)
}

// compare says how what is current differs from what is wanted; nil if it does
// not.
func (m *machine) compare(want map[msg.Partition]content) error {
	current, err := m.host.Snapshots().Current()
	if err != nil {
		return err
	}
	if len(current) != len(want) {
		return fmt.Errorf("got %d current checkpoints, want %d: %v", len(current), len(want), current)
	}
	for _, c := range current {
		if c != want[c.Partition].checkpoint {
			return fmt.Errorf("got %+v, want %+v", c, want[c.Partition].checkpoint)
		}
		i := 0
		for slice, err := range m.host.Snapshots().Slices(c) {
			if err != nil {
				return fmt.Errorf("slice %d of %+v: %w", i, c, err)
			}
			if i >= len(want[c.Partition].slices) || !bytes.Equal(slice, want[c.Partition].slices[i]) {
				return fmt.Errorf("slice %d of %+v is not what was written", i, c)
			}
			i++
		}
		if i != len(want[c.Partition].slices) {
			return fmt.Errorf("got %d slices of %+v, want %d", i, c, len(want[c.Partition].slices))
		}
	}
	return nil
}

// same fails the test if what is current is not what is wanted.
func (m *machine) same(want map[msg.Partition]content, format string, args ...any) {
	m.Helper()
	if err := m.compare(want); err != nil {
		m.Fatalf("%s: %v", fmt.Sprintf(format, args...), err)
	}
}

// merge gives a with b over it.
func merge(a, b map[msg.Partition]content) map[msg.Partition]content {
	merged := make(map[msg.Partition]content, len(a)+len(b))
	for _, list := range []map[msg.Partition]content{a, b} {
		for p, c := range list {
			merged[p] = c
		}
	}
	return merged
}

func checkpointsAreRead(tb testing.TB, h Harness) {
	m := start(tb, h)
	m.same(nil, "empty")
	want := publication(1, 0, 3, 7)
	// A checkpoint may have no slice, or many, or one of no bytes.
	want[3] = content{checkpoint: host.Checkpoint{Partition: 3}}
	many := content{checkpoint: host.Checkpoint{Partition: 7, Start: 1, End: 1 << 60, Frame: 1 << 50}, slices: slicesOf(7, 1, 300, 100)}
	for _, slice := range many.slices {
		many.checkpoint.Bytes += int64(len(slice))
	}
	want[7] = many
	if err := m.publish(want); err != nil {
		tb.Fatal(err)
	}
	m.same(want, "after publishing")
	m.crash()
	m.open()
	m.same(want, "after a crash")
	for version := 2; version < 5; version++ {
		newer := publication(version, 0, 1)
		if err := m.publish(newer); err != nil {
			tb.Fatal(err)
		}
		want = merge(want, newer)
		m.same(want, "version %d", version)
		m.close()
		m.open()
		m.same(want, "version %d after closing", version)
	}
	for range m.host.Snapshots().Slices(want[7].checkpoint) {
		break // a reader may stop
	}
	m.close()
}

func unpublished(tb testing.TB, h Harness) {
	m := start(tb, h)
	want := publication(1, 0)
	if err := m.publish(want); err != nil {
		tb.Fatal(err)
	}
	aborted, err := m.write(0, slicesOf(0, 2, 3, 100))
	if err != nil {
		tb.Fatal(err)
	}
	aborted.Abort()
	aborted.Abort()
	if err := m.host.Snapshots().Publish([]host.Published{{Checkpoint: want[0].checkpoint, Writer: aborted}}); err == nil {
		tb.Error("publish what was aborted: got nil, want an error")
	}
	if _, err := m.write(0, slicesOf(0, 3, 3, 100)); err != nil {
		tb.Fatal(err)
	}
	half, err := m.host.Snapshots().Create(1)
	if err != nil {
		tb.Fatal(err)
	}
	if err := half.Write([]byte("half")); err != nil {
		tb.Fatal(err)
	}
	m.same(want, "with others begun")
	m.crash()
	m.open()
	m.same(want, "after a crash")
	half.Abort()
	m.same(want, "after the dead process aborted")
	m.close()
}

func withoutWriter(tb testing.TB, h Harness) {
	m := start(tb, h)
	want := publication(1, 0, 1)
	if err := m.publish(want); err != nil {
		tb.Fatal(err)
	}
	moved := want[1]
	moved.checkpoint.Start, moved.checkpoint.End, moved.checkpoint.Frame = 90, 95, 9
	w, err := m.write(0, slicesOf(0, 2, 4, 700))
	if err != nil {
		tb.Fatal(err)
	}
	newer := publication(2, 0)[0]
	err = m.host.Snapshots().Publish([]host.Published{
		{Checkpoint: host.Checkpoint{Partition: 1, Start: 90, End: 95, Frame: 9}},
		{Checkpoint: newer.checkpoint, Writer: w},
	})
	if err != nil {
		tb.Fatal(err)
	}
	want = map[msg.Partition]content{0: newer, 1: moved}
	m.same(want, "after publishing")
	w.Abort() // what was published stays
	m.close()
	m.open()
	m.same(want, "after closing")
	m.close()
}

func wrongLists(tb testing.TB, h Harness) {
	m := start(tb, h)
	want := publication(1, 0, 1)
	if err := m.publish(want); err != nil {
		tb.Fatal(err)
	}
	writer := func(p msg.Partition) host.SnapshotWriter {
		w, err := m.write(p, slicesOf(p, 2, 2, 50))
		if err != nil {
			tb.Fatal(err)
		}
		return w
	}
	unsynced, err := m.host.Snapshots().Create(1)
	if err != nil {
		tb.Fatal(err)
	}
	good := host.Published{Checkpoint: host.Checkpoint{Partition: 0, Start: 50}, Writer: writer(0)}
	for name, bad := range map[string]host.Published{
		"no writer and none current": {Checkpoint: host.Checkpoint{Partition: 2}},
		"a writer of another one":    {Checkpoint: host.Checkpoint{Partition: 2}, Writer: writer(3)},
		"a writer that is unsynced":  {Checkpoint: host.Checkpoint{Partition: 1}, Writer: unsynced},
		"a partition twice":          {Checkpoint: host.Checkpoint{Partition: 0}},
	} {
		if err := m.host.Snapshots().Publish([]host.Published{good, bad}); err == nil {
			tb.Errorf("publish with %s: got nil, want an error", name)
		}
		m.same(want, "after a list with %s", name)
	}
	if err := unsynced.Sync(); err != nil {
		tb.Fatal(err)
	}
	if err := unsynced.Write([]byte("late")); err == nil {
		tb.Error("write after sync: got nil, want an error")
	}
	if err := m.host.Snapshots().Publish([]host.Published{good}); err != nil {
		tb.Errorf("publish the good one after refused lists: %v", err)
	}
	m.close()
}

func onlyCurrent(tb testing.TB, h Harness) {
	m := start(tb, h)
	old, newer := publication(1, 0), publication(2, 0)
	for _, list := range []map[msg.Partition]content{old, newer} {
		if err := m.publish(list); err != nil {
			tb.Fatal(err)
		}
	}
	for _, c := range []host.Checkpoint{old[0].checkpoint, {Partition: 5}} {
		var last error
		for _, err := range m.host.Snapshots().Slices(c) {
			last = err
		}
		if last == nil {
			tb.Errorf("slices of %+v, which is not current: got no error", c)
		}
	}
	m.close()
}

// idlePartition does what a server does whose partition 1 gets no work: it is
// published again without a writer, so that its frame moves on.
func idlePartition(tb testing.TB, h Harness) {
	m := start(tb, h)
	m.acquire()
	m.append(100)
	want := publication(1, 0, 1)
	if err := m.publish(want); err != nil {
		tb.Fatal(err)
	}
	idle := slices.Clone(want[1].slices)
	for range 60 {
		m.append(2000)
		busy := publication(int(m.last.Number), 0)
		w, err := m.write(0, busy[0].slices)
		if err != nil {
			tb.Fatal(err)
		}
		moved := want[1].checkpoint
		moved.Frame = m.last.Number
		err = m.host.Snapshots().Publish([]host.Published{{Checkpoint: busy[0].checkpoint, Writer: w}, {Checkpoint: moved}})
		if err != nil {
			tb.Fatal(err)
		}
		want = map[msg.Partition]content{0: busy[0], 1: {moved, idle}}
		m.forget(m.last.Number)
	}
	if oldest := m.host.Log().Oldest(); oldest < 30 {
		tb.Errorf("oldest is %d after 61 frames that nobody needs", oldest)
	}
	m.crash()
	m.open()
	m.verify("after a crash")
	m.same(want, "after a crash")
	m.close()
}

// dieAt runs a piece of work again and again on copies of a machine, and lets
// the process die before the first, second, … operation that changes the disk,
// until it survives. The copy is not open afterwards.
func (m *machine) dieAt(work func(b *machine), dead func(b *machine, at int64)) {
	for at := int64(0); ; at++ {
		b := m.branch()
		b.open()
		before := b.Disk.Operations()
		b.Disk.StopAfter(at)
		work(b)
		finished := b.Disk.Operations()-before < at
		dead(b, at)
		if finished {
			return
		}
		if at > 10_000 {
			m.Fatalf("the work does not end")
		}
	}
}

// exhaustiveMax bounds the subsets that are all tried.
const exhaustiveMax = 128

// cuts calls do with every way in which the power can be cut now, or with some
// of them from seeds if there are too many.
func (m *machine) cuts(do func(choose sim.Chooser, name string)) {
	choices := m.Disk.Unsynced()
	total := 1
	for _, c := range choices {
		if total *= c.Options; total > exhaustiveMax {
			break
		}
	}
	if total > exhaustiveMax {
		do(sim.KeepNone, "nothing kept")
		do(sim.KeepAll, "all kept")
		for seed := range uint64(exhaustiveMax - 2) {
			do(sim.KeepSome(seed), fmt.Sprintf("seed %d", seed))
		}
		return
	}
	for n := range total {
		list := make([]int, len(choices))
		rest := n
		for i, c := range choices {
			list[i], rest = rest%c.Options, rest/c.Options
		}
		do(sim.KeepExactly(list), fmt.Sprintf("kept %v of %v", list, choices))
	}
}

func atomicPublication(tb testing.TB, h Harness) {
	m := start(tb, h)
	old := publication(1, 0, 1)
	if err := m.publish(old); err != nil {
		tb.Fatal(err)
	}
	m.close()
	newer := merge(old, publication(2, 0, 2))
	work := func(b *machine) { _ = b.publish(publication(2, 0, 2)) }
	m.dieAt(work, func(b *machine, at int64) {
		b.crash()
		b.cuts(func(choose sim.Chooser, name string) {
			c := b.branch()
			c.cut(choose)
			c.open()
			c.oldOrNew(old, newer, "died at operation %d, %s", at, name)
			c.close()
		})
		b.open()
		seen := b.oldOrNew(old, newer, "died at operation %d", at)
		b.crash()
		b.cuts(func(choose sim.Chooser, name string) {
			c := b.branch()
			c.cut(choose)
			c.open()
			c.same(seen, "died at operation %d, read, then %s", at, name)
			c.close()
		})
	})
}

// oldOrNew checks that all of one is current, and gives it.
func (m *machine) oldOrNew(old, newer map[msg.Partition]content, format string, args ...any) map[msg.Partition]content {
	m.Helper()
	where := fmt.Sprintf(format, args...)
	err := m.compare(old)
	if err == nil {
		return old
	}
	if other := m.compare(newer); other != nil {
		m.Fatalf("%s: neither old (%v) nor new (%v)", where, err, other)
	}
	return newer
}

func failedPublication(tb testing.TB, h Harness) {
	m := start(tb, h)
	old := publication(1, 0, 1)
	if err := m.publish(old); err != nil {
		tb.Fatal(err)
	}
	m.close()
	newer := merge(old, publication(2, 0, 2))
	for at := int64(1); ; at++ {
		b := m.branch()
		b.open()
		first, failed := b.Disk.Operations(), false
		b.with(failNth(first+at, &failed), func() { _ = b.publish(publication(2, 0, 2)) })
		if !failed {
			b.close()
			return
		}
		// The host goes on: what it publishes next must be whole.
		c := b.branch()
		c.open()
		c.oldOrNew(old, newer, "operation %d failed", at)
		third := merge(newer, publication(3, 0, 2, 4))
		if err := b.publish(third); err != nil {
			tb.Fatalf("publish after operation %d failed: %v", at, err)
		}
		b.same(third, "operation %d failed, then another publication", at)
		b.cut(sim.KeepNone)
		b.open()
		b.same(third, "operation %d failed, then another publication and a power cut", at)
		b.close()
	}
}

func checkpointRoom(tb testing.TB, h Harness) {
	m := start(tb, h)
	var used int64
	for version := 1; version < 40; version++ {
		if err := m.publish(publication(version, 0, 1, 2)); err != nil {
			tb.Fatal(err)
		}
		if _, err := m.write(3, slicesOf(3, version, 4, 700)); err != nil {
			tb.Fatal(err)
		}
		if version%10 == 9 {
			m.crash()
			m.open()
		}
		if version == 9 {
			used = m.Disk.Used()
		}
	}
	m.crash()
	m.open()
	if now := m.Disk.Used(); now > used+used/4 {
		tb.Errorf("%d bytes are used after 39 publications, %d after 9", now, used)
	}
	m.close()
}

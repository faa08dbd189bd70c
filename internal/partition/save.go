package partition

import (
	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/invariant"
	"github.com/holdfast-io/holdfast/internal/msg"
)

const (
	// sliceBytes is how much of a checkpoint is taken between commands: about
	// 100 µs of copying.
	sliceBytes = 64 << 10
	// slicesInFlight bounds what waits to be written, and so the memory and
	// the unsynced bytes of a checkpoint.
	slicesInFlight = 4
	// saveRetry is how many bytes of log pass after a failed checkpoint before
	// the next is tried.
	saveRetry = 1 << 20
)

// Slice is a piece of a checkpoint on its way to its file.
type Slice struct {
	Partition msg.Partition
	Bytes     []byte
	First     bool // begins a file
	Last      bool // ends it: it is to be synced
	Err       error
}

// saving is a checkpoint being taken.
type saving struct {
	checkpoint host.Checkpoint
	first      bool
	taken      bool // every slice was handed out
	flying     int  // slices that are being written
	waiting    bool // until the log is durable at the end
	publishing bool
	err        error
}

// saver takes one checkpoint at a time.
type saver struct {
	current  *member // being saved
	grown    int64   // bytes of log since the last one began
	flushing bool
	asked    bool     // for one checkpoint, whatever grown is
	slice    int      // bytes of one
	spare    [][]byte // buffers of slices that were written
}

// wants says that there is a slice to be taken now.
func (s *saver) wants() bool {
	m := s.current
	return m != nil && !m.saving.taken && m.saving.flying < slicesInFlight || m == nil && (s.flushing || s.asked)
}

// checkpoint takes the next slice, begins the next checkpoint if it is time,
// or finds one complete.
func (l *Loop) checkpoint() {
	s := &l.saver
	if s.current == nil {
		l.beginCheckpoint()
	}
	m := s.current
	if m == nil {
		return
	}
	if !m.saving.taken && m.saving.flying < slicesInFlight {
		l.takeSlice(m)
	}
	l.completeCheckpoint(m)
}

// beginCheckpoint picks the partition whose checkpoint is oldest, if the log
// has grown enough. Over CheckpointBytes of log every partition has its turn.
func (l *Loop) beginCheckpoint() {
	s := &l.saver
	if !s.flushing && !s.asked && s.grown < l.checkpointEvery() {
		return
	}
	s.asked = false
	oldest := l.oldestChanged()
	if oldest == nil && s.flushing {
		oldest = l.neverSaved()
	}
	if oldest == nil {
		l.out.Flushed, s.flushing = s.flushing, false
		s.grown = 0
		return
	}
	s.grown = 0
	frame := l.config.Buffer.Frame()
	oldest.saving = &saving{first: true, checkpoint: host.Checkpoint{
		Partition: oldest.id, Start: oldest.engine.BeginCheckpoint(), Frame: frame}}
	s.current = oldest
}

// logBytesMin is what the log may always grow to: less would write checkpoints
// of little state over and over, and the log's segments are reused at this size.
const logBytesMin = 64 << 20

// checkpointEvery is how many bytes of log lie between two checkpoints. All
// partitions together have their turn while the log grows by as much as their
// checkpoints hold, within bounds: then writing checkpoints costs about as much
// as writing the log, and reading the log at a start about as much as reading
// the checkpoints.
func (l *Loop) checkpointEvery() int64 {
	var bytes int64
	for _, m := range l.owned {
		bytes += m.saved.Bytes
	}
	bytes = min(max(bytes, logBytesMin), l.config.CheckpointBytes)
	return max(bytes/int64(len(l.owned)), saveRetry)
}

// oldestChanged is the partition with records after its checkpoint whose
// checkpoint is the oldest.
func (l *Loop) oldestChanged() (oldest *member) {
	for _, m := range l.owned {
		if m.changed() && (oldest == nil || m.saved.Frame < oldest.saved.Frame) {
			oldest = m
		}
	}
	return oldest
}

// neverSaved is a partition that has no checkpoint. There is nothing in it, but
// only a checkpoint says so: without one, recovery looks for its records in the
// whole log.
func (l *Loop) neverSaved() *member {
	for _, m := range l.owned {
		if m.saved.Frame == 0 {
			return m
		}
	}
	return nil
}

// changed says whether there are records after the checkpoint.
func (m *member) changed() bool { return m.engine.Index() > m.saved.Start }

func (l *Loop) takeSlice(m *member) {
	s := &l.saver
	var b []byte
	if n := len(s.spare); n > 0 {
		b, s.spare = s.spare[n-1], s.spare[:n-1]
	}
	b, done := m.engine.Slice(b[:0], s.slice)
	l.stats.LargestSlice = max(l.stats.LargestSlice, int64(len(b)))
	l.out.Slices = append(l.out.Slices, Slice{Partition: m.id, Bytes: b, First: m.saving.first, Last: done})
	m.saving.first = false
	m.saving.flying++
	m.saving.checkpoint.Bytes += int64(len(b))
	if done {
		m.saving.taken = true
		m.saving.checkpoint.End = m.engine.Index()
	}
}

// completeCheckpoint hands a checkpoint out to be published once its file is
// written and the log is durable at its end; one that failed is dropped.
func (l *Loop) completeCheckpoint(m *member) {
	switch sv := m.saving; {
	case sv.flying > 0 || sv.publishing:
	case sv.err != nil:
		l.dropCheckpoint(m)
	case sv.taken && (m.durable >= sv.checkpoint.End || invariant.Mutated(invariant.PublishEarly)):
		sv.publishing = true
		l.out.Published = append(l.out.Published, sv.checkpoint)
	case sv.taken && !sv.waiting:
		sv.waiting = true
		l.config.Buffer.Want(l.position, 1)
		l.out.Appended = true
	}
}

// dropCheckpoint gives one up. It is tried again when the log has grown, so
// that a full disk does not keep the loop busy; a flush ends without it.
func (l *Loop) dropCheckpoint(m *member) {
	m.saving = nil
	l.saver.current = nil
	l.stats.CheckpointFailures++
	if l.saver.flushing {
		l.saver.flushing, l.out.Flushed = false, true
	}
}

func (l *Loop) takeSaved(in *Input, _ msg.Time) {
	m := l.members[in.Saved.Partition]
	if m.saving == nil {
		return
	}
	m.saving.flying--
	if in.Saved.Err != nil {
		m.saving.err, m.saving.taken = in.Saved.Err, true
	}
	l.saver.spare = append(l.saver.spare, in.Saved.Bytes)
}

func (l *Loop) takePublished(in *Input, _ msg.Time) {
	m := l.members[in.Partition]
	if in.Err != nil {
		l.dropCheckpoint(m)
		return
	}
	m.saved = m.saving.checkpoint
	m.saving = nil
	l.saver.current = nil
	l.stats.Checkpoints++
}

// Needs says what recovery of the loop's partitions needs: the oldest frame, and
// the checkpoints that are still all there is to say about their partition, as
// of a later frame. What is appended after the call is in that frame or later,
// so the log may be trimmed up to the oldest frame once the list is published.
// Until it is, recovery begins where the published checkpoints say, so the loop
// does not count on it.
func (l *Loop) Needs() (oldest msg.FrameNumber, unchanged []host.Checkpoint) {
	frame := l.config.Buffer.Frame()
	oldest = frame
	for _, m := range l.owned {
		switch {
		case m.changed():
			oldest = min(oldest, m.saved.Frame)
		case m.saved.Frame > 0:
			later := m.saved
			later.Frame = frame
			unchanged = append(unchanged, later)
		}
	}
	return oldest, unchanged
}

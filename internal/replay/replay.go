package replay

import (
	"errors"
	"fmt"
	"os"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/host/embedded"
	"github.com/holdfast-io/holdfast/internal/engine"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/partition"
)

// ErrRange: a position that the log does not have, or that can not be known any
// more.
var ErrRange = errors.New("no such position")

// Record is a record and where it stands.
type Record struct {
	*msg.Record
	Position msg.Position
	Frame    msg.FrameNumber
}

// Replay stands at a position of a log. It belongs to one goroutine.
type Replay struct {
	scratch    string
	host       *embedded.Host
	records    []place
	first      int // how many records at the front can only be taken together
	at         int // how many records have been folded
	partitions []*engine.Partition
	starts     []msg.Index // of the checkpoints that are used
}

// place is where a record stands.
type place struct {
	position msg.Position
	frame    msg.FrameNumber
	time     msg.Time
	bytes    []byte
}

// Open copies a data directory and stands at the end of its log. Close removes the
// copy.
func Open(dir string) (r *Replay, err error) {
	r = new(Replay)
	if r.scratch, err = os.MkdirTemp("", "holdfast-replay-"); err != nil {
		return nil, err
	}
	if r.host, err = openCopy(dir, r.scratch); err == nil {
		err = r.read()
	}
	if err == nil {
		err = r.fold(len(r.records))
	}
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// Close removes the copy.
func (r *Replay) Close() error {
	var err error
	if r.host != nil {
		err = r.host.Close()
	}
	return errors.Join(err, os.RemoveAll(r.scratch))
}

// read notes where the records of the log are, and from which on the state is
// known: a checkpoint is of several moments, until its last.
func (r *Replay) read() error {
	checkpoints, err := r.checkpoints()
	if err != nil {
		return err
	}
	ends := make([]msg.Index, r.host.Identity().Partitions)
	r.starts = make([]msg.Index, len(ends))
	for _, c := range checkpoints {
		r.starts[c.Partition], ends[c.Partition] = c.Start, c.End
	}
	var reader partition.Reader
	for frame, err := range r.host.Log().Frames(r.host.Log().Oldest()) {
		if err != nil {
			return err
		}
		err := reader.Read(&frame, func(position msg.Position, bytes []byte) error {
			record, err := msg.DecodeRecord(bytes)
			if err != nil {
				return fmt.Errorf("record at position %d: %w", position, err)
			}
			r.records = append(r.records, place{position, frame.Number, record.Time, append([]byte(nil), bytes...)})
			if int(record.Partition) < len(ends) && record.Index <= ends[record.Partition] {
				r.first = len(r.records)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("read frame %d: %w", frame.Number, err)
		}
	}
	return nil
}

// checkpoints are those without which the log is not enough.
func (r *Replay) checkpoints() ([]host.Checkpoint, error) {
	if r.host.Log().Oldest() <= 1 {
		return nil, nil // the log has everything
	}
	return r.host.Snapshots().Current()
}

// fold stands after the first n records, beginning from the front.
func (r *Replay) fold(n int) error {
	r.partitions = make([]*engine.Partition, r.host.Identity().Partitions)
	for p := range r.partitions {
		r.partitions[p] = engine.New(engine.Config{Partition: msg.Partition(p), Partitions: len(r.partitions)})
	}
	r.at = 0
	checkpoints, err := r.checkpoints()
	if err != nil {
		return err
	}
	for _, c := range checkpoints {
		if err := r.load(c); err != nil {
			return err
		}
	}
	return r.forward(n)
}

// load folds a checkpoint.
func (r *Replay) load(c host.Checkpoint) error {
	for slice, err := range r.host.Snapshots().Slices(c) {
		if err == nil {
			err = r.partitions[c.Partition].Load(slice)
		}
		if err != nil {
			return fmt.Errorf("load the checkpoint of partition %d: %w", c.Partition, err)
		}
	}
	return nil
}

// forward folds records until n are.
func (r *Replay) forward(n int) error {
	for ; r.at < n; r.at++ {
		record, err := r.record(r.at)
		if err != nil {
			return err
		}
		if int(record.Partition) >= len(r.partitions) {
			return fmt.Errorf("%w: record of partition %d of %d", host.ErrCorrupt, record.Partition, len(r.partitions))
		}
		if record.Index <= r.starts[record.Partition] {
			continue
		}
		if err := r.partitions[record.Partition].Apply(record.Record); err != nil {
			return fmt.Errorf("replay position %d: %w", record.Position, err)
		}
	}
	return nil
}

func (r *Replay) record(n int) (Record, error) {
	p := &r.records[n]
	record, err := msg.DecodeRecord(p.bytes)
	return Record{record, p.position, p.frame}, err
}

// Range is the first position that can be stood at, and the last. 0 is before
// the first record.
func (r *Replay) Range() (first, last msg.Position) {
	return r.positionOf(r.first), r.positionOf(len(r.records))
}

func (r *Replay) positionOf(n int) msg.Position {
	if n == 0 {
		return 0
	}
	return r.records[n-1].position
}

// Position is where the replay stands: after the record at this position.
func (r *Replay) Position() msg.Position { return r.positionOf(r.at) }

// Record is the record at which the replay stands; false before the first.
func (r *Replay) Record() (Record, bool) {
	if r.at == 0 {
		return Record{}, false
	}
	record, err := r.record(r.at - 1)
	return record, err == nil
}

// Go stands after the last record whose position is at most this one. Backwards
// costs as much as from the front.
func (r *Replay) Go(to msg.Position) error {
	first, last := r.Range()
	if to < first || to > last {
		return fmt.Errorf("%w: %d is not from %d to %d%s", ErrRange, to, first, last, r.why())
	}
	return r.stand(r.count(func(p *place) bool { return p.position <= to }))
}

// GoTime stands after the last record that was made at this time or before.
func (r *Replay) GoTime(to msg.Time) error {
	n := r.count(func(p *place) bool { return p.time <= to })
	if n < r.first {
		return fmt.Errorf("%w: %s is before the first time that is known%s", ErrRange, to.Std(), r.why())
	}
	return r.stand(n)
}

// GoFrame stands at the end of a frame.
func (r *Replay) GoFrame(to msg.FrameNumber) error {
	n := r.count(func(p *place) bool { return p.frame <= to })
	if n < r.first || n == 0 || r.records[n-1].frame != to {
		return fmt.Errorf("%w: there is no frame %d with records that can be stood at%s", ErrRange, to, r.why())
	}
	return r.stand(n)
}

// count is how many records from the front on are so. Times of partitions are not
// in order, so all of them count that come before the last.
func (r *Replay) count(so func(*place) bool) int {
	for n := len(r.records); n > 0; n-- {
		if so(&r.records[n-1]) {
			return n
		}
	}
	return 0
}

func (r *Replay) why() string {
	if r.first == 0 {
		return ""
	}
	return "; what was before is in checkpoints, and only their end is known"
}

// Step goes so many records forwards, or backwards if it is below zero, and
// stops at the ends.
func (r *Replay) Step(by int) error {
	return r.stand(min(max(r.at+by, r.first), len(r.records)))
}

// Find stands at the next record, forwards or backwards, of which something is
// true; false: there is none, and it stays.
func (r *Replay) Find(forwards bool, is func(*Record) bool) (bool, error) {
	by := 1
	if !forwards {
		by = -1
	}
	for n := r.at + by; n > r.first && n <= len(r.records) || n == r.first && n > 0; n += by {
		record, err := r.record(n - 1)
		if err != nil {
			return false, err
		}
		if is(&record) {
			return true, r.stand(n)
		}
	}
	return false, nil
}

func (r *Replay) stand(n int) error {
	if n < r.at {
		return r.fold(n)
	}
	return r.forward(n)
}

// Touches says whether a record changes an instance, or sends to it.
func (r *Record) Touches(ref msg.Ref) bool {
	if r.Instance == ref || r.Accepted != nil && r.Accepted.Target == ref {
		return true
	}
	for _, m := range r.Outbox {
		if m.Target == ref {
			return true
		}
	}
	return false
}

// Look is what there is of an instance, as it stood: like an answer to
// msg.OperationHistory.
func (r *Replay) Look(ref msg.Ref) msg.Reply {
	for _, p := range r.partitions {
		if reply := p.Look(ref); reply.Found {
			return reply
		}
	}
	return msg.Reply{}
}

// Entities yields the refs of all entities that existed.
func (r *Replay) Entities(yield func(msg.Ref) bool) {
	for _, p := range r.partitions {
		more := true
		p.Entities(func(ref msg.Ref) bool { more = yield(ref); return more })
		if !more {
			return
		}
	}
}

// Messages yields what was under way: in outboxes, and waiting in inboxes.
func (r *Replay) Messages(yield func(m *msg.Message, waits bool)) {
	for _, p := range r.partitions {
		p.Messages(yield)
	}
}

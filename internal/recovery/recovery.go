package recovery

import (
	"fmt"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/engine"
	"github.com/holdfast-io/holdfast/internal/invariant"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/partition"
	"github.com/holdfast-io/holdfast/internal/program"
)

// Config is what partitions are recovered from, and for.
type Config struct {
	Host        host.Host
	Description program.Description
	Limits      engine.Limits
}

// Recovery builds partitions. Its methods are called in their order here: Load
// for every partition, From, Read with Fold for every record, Done. Load and
// Fold may be called for different partitions at once.
type Recovery struct {
	host host.Host
	list []partition.Recovered
}

// Begin makes empty partitions and finds their checkpoints.
func Begin(c Config) (*Recovery, error) {
	checkpoints, err := c.Host.Snapshots().Current()
	if err != nil {
		return nil, fmt.Errorf("list checkpoints: %w", err)
	}
	r := &Recovery{host: c.Host, list: make([]partition.Recovered, c.Host.Identity().Partitions)}
	for p := range r.list {
		r.list[p] = partition.Recovered{ID: msg.Partition(p), Engine: engine.New(engine.Config{
			Partition: msg.Partition(p), Partitions: len(r.list), Kinds: c.Description.Kinds, Events: c.Description.EngineEvents(),
			CodeVersion: c.Description.CodeVersion, Limits: c.Limits,
		})}
	}
	for _, found := range checkpoints {
		if int(found.Partition) >= len(r.list) {
			return nil, fmt.Errorf("%w: checkpoint of partition %d of %d", host.ErrCorrupt, found.Partition, len(r.list))
		}
		r.list[found.Partition].Checkpoint = found
	}
	return r, nil
}

// Partitions is how many there are.
func (r *Recovery) Partitions() int { return len(r.list) }

// Checkpoint is where the recovery of a partition begins; the zero value if it
// has none.
func (r *Recovery) Checkpoint(p msg.Partition) host.Checkpoint { return r.list[p].Checkpoint }

// Load reads the checkpoint of a partition, if it has one.
func (r *Recovery) Load(p msg.Partition) error {
	one := &r.list[p]
	if one.Checkpoint.Frame == 0 {
		return nil
	}
	for slice, err := range r.host.Snapshots().Slices(one.Checkpoint) {
		if err != nil {
			return fmt.Errorf("read the checkpoint of partition %d: %w", p, err)
		}
		if err := one.Engine.Load(slice); err != nil {
			return fmt.Errorf("%w: %w", host.ErrCorrupt, err)
		}
	}
	if got := one.Engine.Index(); got != one.Checkpoint.Start {
		return fmt.Errorf("%w: the checkpoint of partition %d begins at %d, its manifest says %d", host.ErrCorrupt, p, got, one.Checkpoint.Start)
	}
	return nil
}

// From is the first frame that is to be read. Last is where the log ends.
func (r *Recovery) From(last msg.FrameNumber) (msg.FrameNumber, error) {
	from, oldest := msg.FrameNumber(0), r.host.Log().Oldest()
	for p := range r.list {
		f := r.list[p].Checkpoint.Frame
		if p == 0 || f < from {
			from = f
		}
		switch {
		case f > 0 && f < oldest && !invariant.Mutated(invariant.ApplyPastHole):
			return 0, fmt.Errorf("%w: recovery of partition %d needs the log from frame %d on, it begins at frame %d", host.ErrCorrupt, p, f, oldest)
		case f > last+1:
			return 0, fmt.Errorf("%w: the checkpoint of partition %d was published when frame %d was durable, the log ends at frame %d", host.ErrCorrupt, p, f-1, last)
		}
	}
	return max(from, oldest), nil
}

// Read takes the frames of the log apart, from a number on, and gives their
// records to a function; they are valid during the call. After each frame it
// tells another function, whose error ends it.
func (r *Recovery) Read(from msg.FrameNumber, take func(record []byte) error, after func(*host.Frame) error) error {
	var reader partition.Reader
	for frame, err := range r.host.Log().Frames(from) {
		if err != nil {
			return fmt.Errorf("read the log: %w", err)
		}
		if err := reader.Read(&frame, func(_ msg.Position, record []byte) error { return take(record) }); err != nil {
			return fmt.Errorf("replay frame %d: %w", frame.Number, err)
		}
		if err := after(&frame); err != nil {
			return err
		}
	}
	return nil
}

// PartitionOf is the partition of a record, if there is one of this number.
func (r *Recovery) PartitionOf(record []byte) (msg.Partition, error) {
	p, err := msg.PartitionOfRecord(record)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", host.ErrCorrupt, err)
	}
	if int(p) >= len(r.list) {
		return 0, fmt.Errorf("%w: record of partition %d of %d", host.ErrCorrupt, p, len(r.list))
	}
	return p, nil
}

// Fold folds a record into its partition, unless the checkpoint holds it.
func (r *Recovery) Fold(record []byte) error {
	decoded, err := msg.DecodeRecord(record)
	if err != nil {
		return fmt.Errorf("%w: %w", host.ErrCorrupt, err)
	}
	one := &r.list[decoded.Partition]
	if decoded.Index <= one.Checkpoint.Start {
		return nil
	}
	if err := one.Engine.Apply(decoded); err != nil {
		return fmt.Errorf("%w: %w", host.ErrCorrupt, err)
	}
	return nil
}

// Done gives the partitions, once every record is folded.
func (r *Recovery) Done() ([]partition.Recovered, error) {
	for p := range r.list {
		if end := r.list[p].Checkpoint.End; r.list[p].Engine.Index() < end {
			return nil, fmt.Errorf("%w: the checkpoint of partition %d has seen record %d, the log ends at %d",
				host.ErrCorrupt, p, end, r.list[p].Engine.Index())
		}
	}
	return r.list, nil
}

// Start lets a loop take up what recovery has found under way, and returns what
// it asks for. Rules are the kinds that are new, interrupted the inputs that the
// last process may have died of, by partition.
func Start(l *partition.Loop, now msg.Time, epoch msg.Epoch, rules []msg.KindRule, interrupted map[msg.Partition][]msg.Fingerprint) *partition.Output {
	added := l.Owns(0) && len(rules) > 0 && l.AddKinds(0, now, rules).Appended
	first := l.Recover(now, epoch, interrupted)
	first.Appended = first.Appended || added
	return first
}

package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/engine"
	"github.com/holdfast-io/holdfast/internal/executor"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/partition"
	"github.com/holdfast-io/holdfast/internal/partition/driver"
)

// recover builds every partition from its checkpoint and the records after it,
// up to the last frame of the log.
func (n *Node) recover(ctx context.Context, last msg.FrameNumber) ([]partition.Recovered, error) {
	snapshots := n.config.Host.Snapshots()
	checkpoints, err := snapshots.Current()
	if err != nil {
		return nil, fmt.Errorf("list checkpoints: %w", err)
	}
	description := n.config.Program.Describe()
	list := make([]partition.Recovered, n.config.Host.Identity().Partitions)
	for p := range list {
		list[p] = partition.Recovered{ID: msg.Partition(p), Engine: engine.New(engine.Config{
			Partition: msg.Partition(p), Partitions: len(list), Kinds: description.Kinds, Events: description.Events,
			CodeVersion: description.CodeVersion, Limits: n.config.Limits,
		})}
	}
	for _, c := range checkpoints {
		if int(c.Partition) >= len(list) {
			return nil, fmt.Errorf("%w: checkpoint of partition %d of %d", host.ErrCorrupt, c.Partition, len(list))
		}
		list[c.Partition].Checkpoint = c
		n.recovery.Checkpoints++
		n.recovery.CheckpointMiB += int(c.Bytes >> 20)
	}
	if err := n.load(snapshots, list); err != nil {
		return nil, err
	}
	if err := n.replay(ctx, list, last); err != nil {
		return nil, err
	}
	for _, r := range list {
		n.recovery.Entities += r.Engine.Stats().Entities
	}
	return list, nil
}

// load reads the checkpoints, several at a time.
func (n *Node) load(snapshots host.Snapshots, list []partition.Recovered) error {
	next := make(chan *partition.Recovered, len(list))
	for p := range list {
		if list[p].Checkpoint.Frame > 0 {
			next <- &list[p]
		}
	}
	close(next)
	errs := make(chan error, len(list))
	var wait sync.WaitGroup
	for range n.config.Loops {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for r := range next {
				if err := loadOne(snapshots, r); err != nil {
					errs <- err
				}
			}
		}()
	}
	wait.Wait()
	close(errs)
	return <-errs
}

func loadOne(snapshots host.Snapshots, r *partition.Recovered) error {
	for slice, err := range snapshots.Slices(r.Checkpoint) {
		if err != nil {
			return fmt.Errorf("read the checkpoint of partition %d: %w", r.ID, err)
		}
		if err := r.Engine.Load(slice); err != nil {
			return fmt.Errorf("%w: %w", host.ErrCorrupt, err)
		}
	}
	if got := r.Engine.Index(); got != r.Checkpoint.Start {
		return fmt.Errorf("%w: the checkpoint of partition %d begins at %d, its manifest says %d", host.ErrCorrupt, r.ID, got, r.Checkpoint.Start)
	}
	return nil
}

// progressEvery is how often a long replay says how far it is.
const progressEvery = 2 * time.Second

// replay folds the records after the checkpoints. Last is where the log ends.
func (n *Node) replay(ctx context.Context, list []partition.Recovered, last msg.FrameNumber) error {
	from := msg.FrameNumber(0)
	for p := range list {
		if p == 0 || list[p].Checkpoint.Frame < from {
			from = list[p].Checkpoint.Frame
		}
	}
	oldest := n.config.Host.Log().Oldest()
	for _, r := range list {
		switch f := r.Checkpoint.Frame; {
		case f > 0 && f < oldest:
			return fmt.Errorf("%w: recovery of partition %d needs the log from frame %d on, it begins at frame %d", host.ErrCorrupt, r.ID, f, oldest)
		case f > last+1:
			return fmt.Errorf("%w: the checkpoint of partition %d was published when frame %d was durable, the log ends at frame %d", host.ErrCorrupt, r.ID, f-1, last)
		}
	}
	from = max(from, oldest)
	if err := n.readLog(ctx, from, newFolders(list, n.config.Loops)); err != nil {
		return err
	}
	for p := range list {
		if end := list[p].Checkpoint.End; list[p].Engine.Index() < end {
			return fmt.Errorf("%w: the checkpoint of partition %d has seen record %d, the log ends at %d",
				host.ErrCorrupt, p, end, list[p].Engine.Index())
		}
	}
	return nil
}

// takeUp starts what recovery has found under way, and returns what the loops
// ask for.
func (n *Node) takeUp(epoch msg.Epoch, rules []msg.KindRule) ([]*partition.Output, error) {
	interrupted := executor.ReadMarks(n.config.Host.Marks())
	for _, inputs := range interrupted {
		n.recovery.Interrupted += len(inputs)
	}
	first := make([]*partition.Output, len(n.loops))
	var wait sync.WaitGroup
	for i, l := range n.loops {
		wait.Add(1)
		go func() {
			defer wait.Done()
			added := l.Owns(0) && len(rules) > 0 && l.AddKinds(0, n.now(), rules).Appended
			first[i] = l.Recover(n.now(), epoch, interrupted)
			first[i].Appended = first[i].Appended || added
		}()
	}
	wait.Wait()
	if n.recovery.Interrupted > 0 {
		return first, n.writeDown()
	}
	return first, nil
}

// writeDown makes durable what recovery has noted, before any handler runs and
// before the marks that it read are cleared: an input that ends the process
// has its attempts counted, however soon it ends it again.
func (n *Node) writeDown() error {
	n.buffer.With(func(c *partition.Committer) { c.Want(c.Stats().Appended, 1) })
	for {
		var next partition.Work
		n.buffer.With(func(c *partition.Committer) { next = c.Next(n.now()) })
		if next.Frame == nil {
			return nil
		}
		err := driver.Write(n.buffer, n.config.Host.Log(), n.now, next, func(position msg.Position) {
			for _, l := range n.loops {
				l.Push(partition.Input{Kind: partition.InputDurable, Position: position})
			}
		})
		if err != nil {
			return fmt.Errorf("write down what was interrupted: %w", err)
		}
	}
}

// readLog takes frames apart and hands their records out to be folded.
func (n *Node) readLog(ctx context.Context, from msg.FrameNumber, f *folders) (err error) {
	defer func() { err = errors.Join(err, f.close()) }()
	said := time.Now()
	var reader partition.Reader
	for frame, err := range n.config.Host.Log().Frames(from) {
		if err != nil {
			return fmt.Errorf("read the log: %w", err)
		}
		if err := reader.Read(&frame, func(_ msg.Position, record []byte) error { return f.take(record) }); err != nil {
			return fmt.Errorf("replay frame %d: %w", frame.Number, err)
		}
		n.recovery.Frames++
		n.recovery.Records += uint64(frame.Count)
		if time.Since(said) > progressEvery {
			said = time.Now()
			n.config.Logger.Info("recovering", "frame", frame.Number, "records", n.recovery.Records)
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("recovery was interrupted: %w", err)
			}
		}
	}
	return nil
}

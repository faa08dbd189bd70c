package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/marks"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/partition"
	"github.com/holdfast-io/holdfast/internal/partition/driver"
	"github.com/holdfast-io/holdfast/internal/recovery"
)

// recover builds every partition from its checkpoint and the records after it,
// up to the last frame of the log.
func (n *Node) recover(ctx context.Context, last msg.FrameNumber) ([]partition.Recovered, error) {
	r, err := recovery.Begin(recovery.Config{
		Host: n.config.Host, Description: n.config.Program.Describe(), Limits: n.config.Limits,
	})
	if err != nil {
		return nil, err
	}
	if err := n.load(r); err != nil {
		return nil, err
	}
	from, err := r.From(last)
	if err != nil {
		return nil, err
	}
	if err := n.readLog(ctx, r, from); err != nil {
		return nil, err
	}
	list, err := r.Done()
	for _, one := range list {
		n.recovery.Entities += one.Engine.Stats().Entities
	}
	return list, err
}

// load reads the checkpoints, several at a time.
func (n *Node) load(r *recovery.Recovery) error {
	next := make(chan msg.Partition, r.Partitions())
	for p := range msg.Partition(r.Partitions()) {
		if c := r.Checkpoint(p); c.Frame > 0 {
			n.recovery.Checkpoints++
			n.recovery.CheckpointMiB += int(c.Bytes >> 20)
			next <- p
		}
	}
	close(next)
	errs := make(chan error, r.Partitions())
	var wait sync.WaitGroup
	for range n.config.Loops {
		wait.Go(func() {
			for p := range next {
				if err := r.Load(p); err != nil {
					errs <- err
				}
			}
		})
	}
	wait.Wait()
	close(errs)
	return <-errs
}

// takeUp starts what recovery has found under way, and returns what the loops
// ask for.
func (n *Node) takeUp(epoch msg.Epoch, rules []msg.KindRule) ([]*partition.Output, error) {
	interrupted := marks.Read(n.config.Host.Marks())
	for _, inputs := range interrupted {
		n.recovery.Interrupted += len(inputs)
	}
	first := make([]*partition.Output, len(n.loops))
	var wait sync.WaitGroup
	for i, l := range n.loops {
		wait.Add(1)
		go func() {
			defer wait.Done()
			first[i] = recovery.Start(l, n.now(), epoch, rules, interrupted)
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

// progressEvery is how often a long replay says how far it is.
const progressEvery = 2 * time.Second

// readLog takes frames apart and hands their records out to be folded.
func (n *Node) readLog(ctx context.Context, r *recovery.Recovery, from msg.FrameNumber) (err error) {
	f := newFolders(r, n.config.Loops)
	defer func() { err = errors.Join(err, f.close()) }()
	said := time.Now()
	return r.Read(from, f.take, func(frame *host.Frame) error {
		n.recovery.Frames++
		n.recovery.Records += uint64(frame.Count)
		if time.Since(said) <= progressEvery {
			return nil
		}
		said = time.Now()
		n.config.Logger.Info("recovering", "frame", frame.Number, "records", n.recovery.Records)
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("recovery was interrupted: %w", err)
		}
		return nil
	})
}

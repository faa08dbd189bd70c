package partition

import (
	"time"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/invariant"
	"github.com/holdfast-io/holdfast/internal/msg"
)

const (
	// openBytesMax bounds what waits in the open buffer: a quarter of a second
	// of writing at 250 MB/s. Loops are not ready beyond it.
	openBytesMax = 64 << 20
	// lazyDelay is how long a record that nobody waits for may wait for
	// others: the price of a crash is that its step runs again.
	lazyDelay = 5 * time.Millisecond
	// lazyBytes ends that wait: enough that a frame costs little per byte.
	lazyBytes = 1 << 20
	// gatherPart is the part of a sync's time that may be spent on waiting for
	// callers that the last frame had and this one has not yet: a fifth.
	gatherPart = 5
)

// Committer collects records in an open buffer and hands them out as frames,
// one at a time. It is not safe for concurrent use.
type Committer struct {
	epoch    msg.Epoch
	limit    int // bytes of a frame's payload
	number   msg.FrameNumber
	previous host.FrameHash
	position msg.Position // of the last record that was appended
	durable  msg.Position

	open      []byte
	spare     []byte
	openSince msg.Time
	written   msg.Position // last position in a frame that was handed out
	wanted    int          // answers that wait for the open buffer

	flying     *host.Frame
	frame      host.Frame
	flyingEnd  msg.Position
	flown      int // answers that waited for the last frame
	syncTime   time.Duration
	landed     msg.Time // when the last frame became durable
	continuing bool     // the open buffer begins inside a record
}

// NewCommitter makes a committer that goes on after a frame; the zero frame is
// before the first.
func NewCommitter(epoch msg.Epoch, last host.Frame, payloadMax int) *Committer {
	c := &Committer{epoch: epoch, limit: payloadMax, number: last.Number}
	if last.Number > 0 {
		c.previous = last.Hash()
		c.position = last.First + msg.Position(last.Count) - 1
	}
	c.durable, c.written = c.position, c.position
	return c
}

// Reserve says whether n bytes may be appended.
func (c *Committer) Reserve(n int) bool { return len(c.open)+n <= openBytesMax }

// Append adds a record and gives it its position. The record is copied.
func (c *Committer) Append(now msg.Time, record []byte) msg.Position {
	if len(c.open) == 0 {
		c.openSince = now
	}
	c.open = appendChunk(c.open, record)
	c.position++
	return c.position
}

// Want says that n answers wait for the position.
func (c *Committer) Want(position msg.Position, n int) {
	if position > c.written {
		c.wanted += n
	}
}

// Frame is the number of the frame that the next record will begin in, or of
// one before it.
func (c *Committer) Frame() msg.FrameNumber { return c.number + 1 }

// Durable is the position up to which everything is durable.
func (c *Committer) Durable() msg.Position { return c.durable }

// Empty says that nothing waits to be written.
func (c *Committer) Empty() bool { return len(c.open) == 0 && c.flying == nil }

// Next hands out a frame to be written. With nil it says how long to wait
// before asking again, unless something happens; 0 is for ever.
func (c *Committer) Next(now msg.Time) (*host.Frame, time.Duration) {
	if c.flying != nil || len(c.open) == 0 {
		return nil, 0
	}
	if wait := c.wait(now); wait > 0 {
		return nil, wait
	}
	payload, count := c.swap()
	c.number++
	c.frame = host.Frame{
		Epoch: c.epoch, Number: c.number, First: c.written + 1, Count: uint32(count),
		Previous: c.previous, Payload: payload,
	}
	c.flying = &c.frame
	c.written += msg.Position(count)
	c.flyingEnd = c.written
	c.flown, c.wanted = c.wanted, 0
	return c.flying, 0
}

// wait is how long the open buffer may wait for more.
func (c *Committer) wait(now msg.Time) time.Duration {
	if len(c.open) >= lazyBytes || c.continuing {
		return 0
	}
	if c.wanted == 0 {
		return time.Duration(c.openSince-now) + lazyDelay
	}
	if c.wanted < c.flown {
		return time.Duration(max(c.landed, c.openSince)-now) + c.syncTime/gatherPart
	}
	return 0
}

// swap takes a frame's payload out of the open buffer and counts the records
// that end in it.
func (c *Committer) swap() (payload []byte, count int) {
	if len(c.open) <= c.limit {
		payload, c.open, c.spare = c.open, c.spare[:0], nil
		count = int(c.position - c.written)
		c.continuing = false
		return payload, count
	}
	return c.split()
}

// split takes as much of the open buffer as one frame holds.
func (c *Committer) split() (payload []byte, count int) {
	rest := c.open
	for {
		chunk, flags, after, err := chunkAt(rest)
		invariant.Check(err == nil && flags&chunkGoesOn == 0, "open buffer: %v", err)
		if size := len(rest) - len(after); len(payload)+size <= c.limit {
			payload = append(payload, rest[:size]...)
			rest = after
			count++
			continue
		}
		if len(payload) == 0 { // a record that no frame holds
			part := c.limit - chunkHeadMax
			payload = appendPart(payload, chunk[:part], flags|chunkGoesOn)
			c.open = append(appendPart(nil, chunk[part:], chunkGoneOn), after...)
			c.continuing = true
			return payload, 0
		}
		c.open = append([]byte(nil), rest...)
		c.continuing = false
		return payload, count
	}
}

// Written says that the frame handed out last is durable, how long that took,
// and the frame's hash, which the caller computes where nobody waits for it.
func (c *Committer) Written(now msg.Time, took time.Duration, hash host.FrameHash) {
	invariant.Check(c.flying != nil, "a frame was written that was not handed out")
	c.previous = hash
	c.spare = c.flying.Payload[:0]
	c.durable = c.flyingEnd
	c.flying = nil
	c.syncTime, c.landed = took, now
}

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
	// sealAfter is how long the log is at rest before its last frame is sealed:
	// an unsealed one may be taken for torn if it is damaged later.
	sealAfter = time.Second
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

	flying    *host.Frame
	frame     host.Frame
	flyingEnd msg.Position
	flown     int // answers that waited for the last frame
	syncTime  time.Duration
	landed    msg.Time // when the last frame became durable
	left      bool     // the open buffer begins with what the last frame had no room for
	sealed    bool     // the last frame is sealed, or was before this committer began
	stats     CommitterStats
}

// Work is what a committer wants done next: one of its fields is set, or none
// if there is nothing to do until records are appended.
type Work struct {
	Frame *host.Frame   // is to be written; then Written
	Seal  bool          // the last frame is to be sealed; then Sealed
	Wait  time.Duration // ask again after it, or when something happens
}

// CommitterStats counts what a committer has taken and written.
type CommitterStats struct {
	Frames, Records, Bytes uint64
	SyncSeconds            float64
	SyncTimes              SyncHistogram
	Appended, Durable      msg.Position
}

// SyncHistogram counts syncs by time: bucket i holds those of at most
// 2^i × 10 µs; the last holds the rest.
type SyncHistogram [18]uint64

func (h *SyncHistogram) add(took time.Duration) {
	bucket, bound := 0, 10*time.Microsecond
	for ; took > bound && bucket < len(h)-1; bound *= 2 {
		bucket++
	}
	h[bucket]++
}

// NewCommitter makes a committer that goes on after a frame; the zero frame is
// before the first.
func NewCommitter(epoch msg.Epoch, last host.Frame, payloadMax int) *Committer {
	invariant.Check(payloadMax > chunkHeadMax, "a frame of %d bytes has no room for a record", payloadMax)
	c := &Committer{epoch: epoch, limit: payloadMax, number: last.Number, sealed: true}
	if last.Number > 0 {
		c.previous = last.Hash()
		c.position = last.First + msg.Position(last.Count) - 1
	}
	c.durable, c.written = c.position, c.position
	return c
}

// Reserve says whether n bytes may be appended.
func (c *Committer) Reserve(n int) bool {
	return len(c.open)+n <= openBytesMax && (len(c.open) == 0 || !invariant.Sometimes(invariant.FillBuffer))
}

// Append adds a record and gives it its position. The record is copied.
func (c *Committer) Append(now msg.Time, record []byte) msg.Position {
	if len(c.open) == 0 {
		c.openSince = now
	}
	c.open = appendChunk(c.open, record)
	c.position++
	c.stats.Records++
	return c.position
}

// Want says that n answers, or activities, wait for the position.
func (c *Committer) Want(position msg.Position, n int) {
	if position > c.written {
		c.wanted += n
	}
}

// Frame is the number of the first frame that is not durable. The next record
// will begin in it, or in a later one.
func (c *Committer) Frame() msg.FrameNumber {
	if c.flying != nil {
		return c.number
	}
	return c.number + 1
}

// Stats says what has been taken and written.
func (c *Committer) Stats() CommitterStats {
	s := c.stats
	s.Appended, s.Durable = c.position, c.durable
	return s
}

// Empty says that everything that was appended is durable.
func (c *Committer) Empty() bool { return len(c.open) == 0 && c.flying == nil }

// Next says what is to be done. While a frame is being written that is
// nothing.
func (c *Committer) Next(now msg.Time) Work {
	// A clock that was set back must not hold anything up.
	c.openSince, c.landed = min(c.openSince, now), min(c.landed, now)
	switch {
	case c.flying != nil:
		return Work{}
	case len(c.open) == 0:
		return c.rest(now)
	}
	if wait := c.wait(now); wait > 0 {
		return Work{Wait: wait}
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
	return Work{Frame: c.flying}
}

// rest seals the last frame when nothing has been appended for a while.
func (c *Committer) rest(now msg.Time) Work {
	if c.sealed {
		return Work{}
	}
	if wait := time.Duration(c.landed-now) + sealAfter; wait > 0 {
		return Work{Wait: wait}
	}
	return Work{Seal: true}
}

// wait is how long the open buffer may wait for more.
func (c *Committer) wait(now msg.Time) time.Duration {
	switch {
	case len(c.open) >= lazyBytes || c.left || invariant.Sometimes(invariant.WriteAtOnce):
		return 0
	case c.wanted == 0:
		return time.Duration(c.openSince-now) + lazyDelay
	case c.wanted < c.flown:
		return time.Duration(max(c.landed, c.openSince)-now) + c.syncTime/gatherPart
	}
	return 0
}

// swap takes a frame's payload out of the open buffer and counts the records
// that end in it.
func (c *Committer) swap() (payload []byte, count int) {
	c.left = len(c.open) > c.limit
	if c.left {
		return c.split()
	}
	payload, c.open, c.spare = c.open, c.spare[:0], nil
	return payload, int(c.position - c.written)
}

// split takes as much of the open buffer as one frame holds.
func (c *Committer) split() (payload []byte, count int) {
	end := 0
	for {
		_, _, rest, err := chunkAt(c.open[end:])
		invariant.Check(err == nil, "open buffer: %v", err)
		next := len(c.open) - len(rest)
		if next > c.limit {
			break
		}
		end = next
		count++
	}
	if count == 0 {
		return c.cut(), 0
	}
	payload = c.open[:end]
	c.open, c.spare = append(c.spare[:0], c.open[end:]...), nil
	return payload, count
}

// cut takes the first part of a record that no frame holds.
func (c *Committer) cut() (payload []byte) {
	record, flags, rest, err := chunkAt(c.open)
	invariant.Check(err == nil && flags&chunkGoesOn == 0, "open buffer: flags %d, %v", flags, err)
	part := c.limit - chunkHeadMax
	payload = appendPart(nil, record[:part], flags|chunkGoesOn)
	open := make([]byte, 0, chunkHeadMax+len(record)-part+len(rest))
	c.open = append(appendPart(open, record[part:], chunkGoneOn), rest...)
	return payload
}

// Written says that the frame handed out last is durable, how long that took,
// and the frame's hash, which the caller computes where nobody waits for it.
func (c *Committer) Written(now msg.Time, took time.Duration, hash host.FrameHash) {
	invariant.Check(c.flying != nil, "a frame was written that was not handed out")
	c.stats.Frames++
	c.stats.Bytes += uint64(len(c.flying.Payload))
	c.stats.SyncSeconds += took.Seconds()
	c.stats.SyncTimes.add(took)
	c.previous = hash
	c.spare = c.flying.Payload[:0]
	c.durable = c.flyingEnd
	c.flying = nil
	c.syncTime, c.landed, c.sealed = took, now, false
}

// Sealed says that the last frame has been sealed.
func (c *Committer) Sealed() { c.sealed = true }

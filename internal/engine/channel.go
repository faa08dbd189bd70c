package engine

import (
	"github.com/holdfast-io/holdfast/internal/fifo"
	"github.com/holdfast-io/holdfast/internal/invariant"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// window is how far the newest message in flight on a channel may be ahead of
// the oldest that is not acknowledged, and so how many numbers a receiver ever
// has to remember above its low mark. 1,024 bits are 128 bytes a channel.
const window = 1024

// gapsMax is how far consumption may run ahead of the oldest message that
// waits before that message is accepted. Half the window: the sender goes on
// while the acceptance travels back.
const gapsMax = window / 2

// outbox holds the messages to one partition that are not acknowledged.
type outbox struct {
	// base is the highest number up to which everything is acknowledged.
	base msg.Number
	// next is the highest number that was given out.
	next msg.Number
	// messages[i] is number base+1+i; nil when it has been acknowledged.
	messages fifo.Queue[*msg.Message]
	// delivered is the highest number that was handed over since the start.
	delivered msg.Number
	count     int // messages, without those that have been acknowledged
	bytes     int
}

// assign gives out the next number.
func (o *outbox) assign() msg.Number {
	o.next++
	return o.next
}

// put stores a message. A number that is acknowledged already is left out:
// that happens when records are replayed onto a later checkpoint.
func (o *outbox) put(m *msg.Message) {
	n := m.ID.Number
	o.next = max(o.next, n)
	if n <= o.base {
		return
	}
	place := int(n - o.base - 1)
	for o.messages.Len() <= place {
		o.messages.Push(nil)
	}
	if *o.messages.At(place) == nil {
		*o.messages.At(place) = m
		o.bytes += messageBytes(m)
		o.count++
	}
}

// slot is where a message is stored; nil if there is no such place.
func (o *outbox) slot(n msg.Number) **msg.Message {
	if n <= o.base || n-o.base > msg.Number(o.messages.Len()) {
		return nil
	}
	return o.messages.At(int(n - o.base - 1))
}

// has says whether a message has not been acknowledged yet.
func (o *outbox) has(n msg.Number) bool {
	slot := o.slot(n)
	return slot != nil && *slot != nil
}

// remove takes an acknowledged message out, if it is there.
func (o *outbox) remove(n msg.Number) {
	if slot := o.slot(n); slot != nil && *slot != nil {
		o.bytes -= messageBytes(*slot)
		o.count--
		*slot = nil
	}
}

// settle moves the base over what is acknowledged. It is not part of remove:
// while records are replayed onto a checkpoint, a hole may still be filled.
func (o *outbox) settle() {
	for o.messages.Len() > 0 && *o.messages.At(0) == nil {
		o.messages.Pop()
		o.base++
	}
	o.delivered = max(o.delivered, o.base)
}

// recovered ends a replay: numbers that are given out and not stored have been
// acknowledged.
func (o *outbox) recovered() {
	for o.messages.Len() < int(o.next-o.base) {
		o.messages.Push(nil)
	}
	if invariant.Mutated(invariant.DropOutbox) && o.messages.Len() > 0 {
		*o.messages.At(0) = nil
	}
	o.settle()
}

// deliverable returns the next message that may be handed over, or nil.
func (o *outbox) deliverable() *msg.Message {
	for o.delivered < o.next && o.delivered-o.base < window {
		place := int(o.delivered - o.base)
		if place >= o.messages.Len() {
			invariant.Check(false, "outbox: number %d given out and not stored", o.delivered+1)
		}
		o.delivered++
		if m := *o.messages.At(place); m != nil {
			return m
		}
	}
	return nil
}

// consumed remembers which numbers of one channel have been consumed: a low
// mark, and the numbers above it one by one. A high-water mark alone would
// lose a message that is overtaken while it waits.
type consumed struct {
	low  msg.Number // everything up to it has been consumed
	high msg.Number // the highest that has been consumed
	bits [window / 64]uint64
}

func (c *consumed) has(n msg.Number) bool {
	if invariant.Mutated(invariant.HighWaterMark) {
		return n <= c.high
	}
	if n <= c.low {
		return true
	}
	return n <= c.high && c.bits[n%window/64]&(1<<(n%64)) != 0
}

// above lists what has been consumed above the low mark.
func (c *consumed) above() (list []msg.Number) {
	for n := c.low + 1; n <= c.high; n++ {
		if c.has(n) {
			list = append(list, n)
		}
	}
	return list
}

// inWindow says whether n can be remembered.
func (c *consumed) inWindow(n msg.Number) bool { return n <= c.low+window }

func (c *consumed) add(n msg.Number) {
	if c.has(n) {
		return
	}
	if !c.inWindow(n) {
		invariant.Check(false, "message %d is outside the window above %d", n, c.low)
	}
	c.bits[n%window/64] |= 1 << (n % 64)
	c.high = max(c.high, n)
	for c.low < c.high && c.bits[(c.low+1)%window/64]&(1<<((c.low+1)%64)) != 0 {
		c.low++
		c.bits[c.low%window/64] &^= 1 << (c.low % 64)
	}
}

// blocked returns the number that keeps the low mark down, or 0 if the numbers
// above it are few.
func (c *consumed) blocked() msg.Number {
	if c.high-c.low < gapsMax && (c.high == c.low || !invariant.Sometimes(invariant.FewGaps)) {
		return 0
	}
	return c.low + 1
}

// inlet is the volatile side of a channel at its receiver. It takes messages in
// the order of their numbers, so that what one instance sends to a key arrives
// in the order in which it was sent, whatever happened on the way.
type inlet struct {
	// arrived is the number up to which every message waits here or has been
	// consumed.
	arrived msg.Number
	// early holds what came before its turn; nil: nothing did. The window of the
	// sender bounds it.
	early map[msg.Number]*msg.Message
	// blocked says that the channel is in Partition.blocked.
	blocked bool
}

// settle moves on over what has been consumed.
func (l *inlet) settle(c *consumed) {
	l.arrived = max(l.arrived, c.low)
	for l.arrived < c.high && c.has(l.arrived+1) {
		l.arrived++
	}
}

// hold keeps a message until those before it have arrived.
func (l *inlet) hold(m *msg.Message) {
	if l.early == nil {
		l.early = map[msg.Number]*msg.Message{}
	}
	l.early[m.ID.Number] = m
}

// next takes the message whose turn it is out of those that came early; nil if
// it is not there.
func (l *inlet) next() *msg.Message {
	if l.early == nil {
		return nil
	}
	m := l.early[l.arrived+1]
	if delete(l.early, l.arrived+1); len(l.early) == 0 {
		l.early = nil
	}
	return m
}

// messageBytes is what a message counts for against bounds.
func messageBytes(m *msg.Message) int {
	const fixed = 256 // the struct and its place in a queue
	n := fixed + len(m.Target.Kind) + len(m.Target.Key) + len(m.Handler) + len(m.Payload.Body) + errorBytes(m.Err)
	for _, h := range m.Headers {
		n += len(h.Name) + len(h.Value)
	}
	return n
}

func errorBytes(e *msg.Error) int {
	if e == nil {
		return 0
	}
	return len(e.Code) + len(e.Message) + len(e.Detail)
}

package engine

import (
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
	messages fifo[*msg.Message]
	// delivered is the highest number that was handed over since the start.
	delivered msg.Number
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
	for o.messages.len() <= place {
		o.messages.push(nil)
	}
	if *o.messages.at(place) == nil {
		*o.messages.at(place) = m
		o.bytes += messageBytes(m)
	}
}

// remove takes an acknowledged message out and reports whether it was there.
func (o *outbox) remove(n msg.Number) bool {
	if n <= o.base || int(n-o.base-1) >= o.messages.len() {
		return false
	}
	slot := o.messages.at(int(n - o.base - 1))
	if *slot == nil {
		return false
	}
	o.bytes -= messageBytes(*slot)
	*slot = nil
	return true
}

// settle moves the base over what is acknowledged. It is not part of remove:
// while records are replayed onto a checkpoint, a hole may still be filled.
func (o *outbox) settle() {
	for o.messages.len() > 0 && *o.messages.at(0) == nil {
		o.messages.pop()
		o.base++
	}
	o.delivered = max(o.delivered, o.base)
}

// recovered ends a replay: numbers that are given out and not stored have been
// acknowledged.
func (o *outbox) recovered() {
	for o.messages.len() < int(o.next-o.base) {
		o.messages.push(nil)
	}
	o.settle()
}

// deliverable returns the next message that may be handed over, or nil.
func (o *outbox) deliverable() *msg.Message {
	for o.delivered < o.next && o.delivered-o.base < window {
		place := int(o.delivered - o.base)
		invariant.Check(place < o.messages.len(), "outbox: number %d given out and not stored", o.delivered+1)
		o.delivered++
		if m := *o.messages.at(place); m != nil {
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
	if n <= c.low {
		return true
	}
	return n <= c.high && c.bits[n%window/64]&(1<<(n%64)) != 0
}

// inWindow says whether n can be remembered.
func (c *consumed) inWindow(n msg.Number) bool { return n <= c.low+window }

func (c *consumed) add(n msg.Number) {
	if c.has(n) {
		return
	}
	invariant.Check(c.inWindow(n), "message %d is outside the window above %d", n, c.low)
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
	if c.high-c.low < gapsMax {
		return 0
	}
	return c.low + 1
}

// messageBytes is what a message counts for against bounds.
func messageBytes(m *msg.Message) int {
	const fixed = 256 // the struct and its place in a queue
	n := fixed + len(m.Target.Kind) + len(m.Target.Key) + len(m.Handler) + len(m.Payload.Body)
	for _, h := range m.Headers {
		n += len(h.Name) + len(h.Value)
	}
	return n
}

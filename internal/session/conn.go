package session

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/holdfast-io/holdfast/internal/remote"
)

// Protocol is the value of the header Upgrade.
const Protocol = "holdfast-session/1"

// Version is that of the protocol.
const Version = 1

// Path is where a server takes sessions.
const Path = "/v1/session"

// The limits that a server has.
const (
	LeaseDefault = 3 * time.Second
	BytesMax     = 16 << 20 // of a frame
	Window       = 8 << 20  // of frames that are under way; a larger frame may begin when there is any credit
	unreadMax    = 256 << 20
)

// writeTime bounds how long a write may take: the other side does not read.
const writeTime = 30 * time.Second

// FrameType says what a frame holds. The numbers are on the wire.
type FrameType uint8

// The types of frames.
const (
	FrameHello      FrameType = iota + 1
	FrameWelcome              // answers FrameHello
	FrameRequest              // to the server
	FrameAnswer               // to a request
	FrameAssignment           // to the client
	FrameCompletion           // of an assignment
	FrameStale                // Attempt: it is not listened to, to the client
	FrameCredit               // of either side
	FramePing                 // nothing
	FrameGoodbye              // of either side: the session ends
	FrameInactive             // to the server
)

// limited reports whether frames of a type need credit.
func (t FrameType) limited() bool {
	return t == FrameRequest || t == FrameAssignment || t == FrameCompletion
}

// noun is what a frame holds.
type noun = remote.Noun

// Conn is one connection. Send may be called from many goroutines.
type Conn struct {
	conn  net.Conn
	raw   syscall.RawConn // nil: there is none
	lease time.Duration   // of the reader
	in    *bufio.Reader

	mu     sync.Mutex
	ready  sync.Cond // there is something to write, or the connection has ended
	room   sync.Cond // there is credit, or the connection has ended
	out    []byte
	credit int64     // that the other side has given
	window int64     // what the credit of both sides began with
	sent   bool      // since the last heartbeat
	busy   bool      // somebody writes
	wrote  time.Time // when somebody last wrote who had something to send
	err    error     // why the connection has ended

	owed int64 // bytes that were taken and for which no credit has been given; of the reader
	done chan struct{}
}

// newConn makes a Conn of a connection that has been upgraded. What was read
// beyond the upgrade is in r.
func newConn(c net.Conn, r *bufio.Reader, lease time.Duration) *Conn {
	k := &Conn{conn: c, in: r, lease: lease, credit: Window, window: Window, done: make(chan struct{})}
	k.ready.L, k.room.L = &k.mu, &k.mu
	if tcp, ok := c.(*net.TCPConn); ok {
		k.raw, _ = tcp.SyscallConn() // without it, one goroutine writes everything
	}
	go k.write()
	return k
}

// setWindow lets the credit of both sides begin with what Welcome says. It is
// called before anything is sent or read that needs credit.
func (c *Conn) setWindow(bytes uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.credit, c.window = int64(bytes), int64(bytes)
}

// errEnded says that a connection has ended in order.
var errEnded = errors.New("the connection has ended")

// Send puts a frame into the buffer, and waits for credit if its type needs it.
func (c *Conn) Send(t FrameType, n noun) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for t.limited() && c.credit <= 0 && c.err == nil {
		c.room.Wait()
	}
	return c.put(t, n)
}

// Post is Send for those who must not wait: it is false if there is no credit,
// and otherwise as if the frame had been sent.
func (c *Conn) Post(t FrameType, n noun) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.limited() && c.credit <= 0 && c.err == nil {
		return false
	}
	_ = c.put(t, n) // the reader of the connection sees what is wrong
	return true
}

// put puts a frame into the buffer. It is called with mu held.
func (c *Conn) put(t FrameType, n noun) error {
	if c.err != nil {
		return c.err
	}
	if len(c.out) > unreadMax {
		c.fail(fmt.Errorf("the other side has left %d bytes unread", len(c.out)))
		return c.err
	}
	begin := len(c.out)
	c.out = append(c.out, 0, 0, 0, 0, byte(t))
	if n != nil {
		c.out = remote.Append(c.out, n)
	}
	size := len(c.out) - begin - 4
	if size > BytesMax {
		c.out = c.out[:begin]
		return fmt.Errorf("a frame has %d bytes; at most %d can be sent", size, BytesMax)
	}
	binary.BigEndian.PutUint32(c.out[begin:], uint32(size))
	if t.limited() {
		c.credit -= int64(size)
	}
	c.sent = true
	c.flush()
	return nil
}

// apart is how far apart frames are that are written by whoever has them, without
// waiting. What comes closer together is written together, by the goroutine that
// is there for that.
const apart = 100 * time.Microsecond

// flush writes what is in the buffer, or lets it be written. It is called with mu
// held, and lets go of it meanwhile.
func (c *Conn) flush() {
	now := time.Now()
	if c.busy || c.raw == nil || now.Sub(c.wrote) < apart {
		c.ready.Signal()
		return
	}
	c.wrote, c.busy = now, true
	mine := c.out
	c.out = nil
	c.mu.Unlock()
	n := c.tryWrite(mine)
	c.mu.Lock()
	c.busy = false
	c.out = append(mine[n:], c.out...)
	if len(c.out) > 0 || c.err != nil {
		c.ready.Signal()
	}
}

// tryWrite writes as much as the system takes at once.
func (c *Conn) tryWrite(b []byte) (n int) {
	_ = c.raw.Write(func(fd uintptr) bool { // an error shows when the rest is written
		n = writeNow(fd, b)
		return true
	})
	return n
}

// write is the goroutine that writes what has gathered.
func (c *Conn) write() {
	var spare []byte
	for {
		c.mu.Lock()
		for c.busy || len(c.out) == 0 && c.err == nil {
			c.ready.Wait()
		}
		if c.err != nil && (len(c.out) == 0 || !errors.Is(c.err, errEnded)) {
			c.mu.Unlock()
			_ = c.conn.Close()
			return
		}
		c.out, spare = spare[:0], c.out
		c.busy = true
		c.mu.Unlock()
		_ = c.conn.SetWriteDeadline(time.Now().Add(writeTime))
		_, err := c.conn.Write(spare)
		c.mu.Lock()
		c.busy = false
		c.mu.Unlock()
		if err != nil {
			c.Fail(err)
			_ = c.conn.Close()
			return
		}
		if cap(spare) > 1<<20 {
			spare = nil
		}
	}
}

// Keep says how long a side may be silent, and lets this side be heard of three
// times as often. It is called once, before Receive.
func (c *Conn) Keep(lease time.Duration) {
	c.lease = lease
	go c.beat(lease / 3)
}

func (c *Conn) beat(every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-c.done:
			return
		case <-tick.C:
		}
		c.mu.Lock()
		quiet := !c.sent
		c.sent = false
		c.mu.Unlock()
		if quiet && c.Send(FramePing, nil) != nil {
			return
		}
	}
}

// Fail ends the connection. What was not written is lost.
func (c *Conn) Fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail(err)
}

func (c *Conn) fail(err error) {
	if c.err != nil {
		return
	}
	c.err = err
	close(c.done)
	c.ready.Broadcast()
	c.room.Broadcast()
	if !errors.Is(err, errEnded) {
		_ = c.conn.Close()
	}
}

// End ends the connection when everything that was sent has been written.
func (c *Conn) End() { c.Fail(errEnded) }

// Done is closed when the connection has ended.
func (c *Conn) Done() <-chan struct{} { return c.done }

// receive reads one frame. The body is valid until the next call.
func (c *Conn) receive(body []byte) (t FrameType, _ []byte, err error) {
	_ = c.conn.SetReadDeadline(time.Now().Add(c.lease))
	var head [5]byte
	if _, err := io.ReadFull(c.in, head[:]); err != nil {
		return 0, body, err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size < 1 || size > BytesMax {
		return 0, body, fmt.Errorf("a frame of %d bytes: it must have from 1 to %d", size, BytesMax)
	}
	body = append(body[:0], make([]byte, size-1)...)
	if _, err := io.ReadFull(c.in, body); err != nil {
		return 0, body, err
	}
	return FrameType(head[4]), body, nil
}

// Receive calls take with every frame until the connection ends or take fails. A
// body is valid until take returns. Credit and heartbeats are seen to here.
func (c *Conn) Receive(take func(t FrameType, body []byte) error) error {
	var body []byte
	for {
		t, b, err := c.receive(body)
		if err == nil {
			body = b
			err = c.handle(t, body, take)
		}
		if err != nil {
			c.Fail(err)
			return err
		}
		if cap(body) > 1<<20 {
			body = nil
		}
	}
}

func (c *Conn) handle(t FrameType, body []byte, take func(t FrameType, body []byte) error) error {
	switch t {
	case FramePing:
		return nil
	case FrameCredit:
		var credit remote.Credit
		if err := remote.Decode("Credit", body, &credit); err != nil {
			return err
		}
		c.mu.Lock()
		c.credit += int64(credit.Bytes)
		c.room.Broadcast()
		c.mu.Unlock()
		return nil
	}
	if err := take(t, body); err != nil {
		return err
	}
	if t.limited() {
		if c.owed += int64(len(body)) + 1; c.owed >= c.window/4 {
			credit := remote.Credit{Bytes: uint32(c.owed)}
			c.owed = 0
			return c.Send(FrameCredit, &credit)
		}
	}
	return nil
}

package sidecar

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// wires are idle connections to the application, for HTTP/1.1. A request is
// written and its answer read by the goroutine that asks: the transport of
// net/http has two goroutines for each connection, and each of them that has to
// wake up costs more than what is done here.
type wires struct {
	address string

	mu   sync.Mutex
	idle []*wire // the one that was used last is at the end
}

// wire is one connection.
type wire struct {
	conn net.Conn
	in   *bufio.Reader
	out  *bufio.Writer
	used time.Time
}

const (
	wiresMax     = 256
	wireIdleTime = 3 * time.Second // servers close idle connections: those of Node after five seconds
	dialTime     = 10 * time.Second
)

// take gives an idle connection that is as it should be, or a new one.
func (w *wires) take() (c *wire, err error) {
	for c := w.pop(); c != nil; c = w.pop() {
		if time.Since(c.used) < wireIdleTime && c.quiet() {
			return c, nil
		}
		_ = c.conn.Close()
	}
	d := net.Dialer{Timeout: dialTime}
	conn, err := d.Dial("tcp", w.address)
	if err != nil {
		return nil, err
	}
	return &wire{conn: conn, in: bufio.NewReader(conn), out: bufio.NewWriter(conn)}, nil
}

func (w *wires) pop() (c *wire) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.idle); n > 0 {
		c, w.idle = w.idle[n-1], w.idle[:n-1]
	}
	return c
}

// put gives a connection back.
func (w *wires) put(c *wire) {
	c.used = time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.idle) >= wiresMax {
		_ = c.conn.Close()
		return
	}
	w.idle = append(w.idle, c)
}

// close closes the idle connections.
func (w *wires) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.idle {
		_ = c.conn.Close()
	}
	w.idle = nil
}

// quiet reports whether nothing has come over an idle connection, not even its
// end.
func (c *wire) quiet() bool {
	if c.in.Buffered() > 0 {
		return false
	}
	return isQuiet(c.conn)
}

// errNotSent wraps an error of a request of which nothing can have reached the
// application.
type errNotSent struct{ error }

func (e errNotSent) Unwrap() error { return e.error }

// do makes a request.
func (w *wires) do(r *http.Request) (status int, header http.Header, body []byte, err error) {
	c, err := w.take()
	if err != nil {
		return 0, nil, nil, errNotSent{err}
	}
	status, header, body, keep, err := c.do(r)
	if err != nil || !keep {
		_ = c.conn.Close()
		return status, header, body, err
	}
	w.put(c)
	return status, header, body, nil
}

func (c *wire) do(r *http.Request) (status int, header http.Header, body []byte, keep bool, err error) {
	if err := r.Write(c.out); err != nil {
		return 0, nil, nil, false, err
	}
	if err := c.out.Flush(); err != nil {
		return 0, nil, nil, false, err
	}
	response, err := http.ReadResponse(c.in, r)
	for err == nil && response.StatusCode < 200 { // a hint that the answer comes
		response, err = http.ReadResponse(c.in, r)
	}
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, nil, false, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(response.Body)
	return response.StatusCode, response.Header, body, err == nil && !response.Close, err
}

package session

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/holdfast-io/holdfast/internal/remote"
)

// Accept takes over the connection of a request that asks for a session, and
// reads the Hello. It answers the request itself if there is no session to be.
func Accept(w http.ResponseWriter, r *http.Request, lease time.Duration) (*Conn, *remote.Hello, error) {
	if !asksFor(r) {
		w.Header().Set("Upgrade", Protocol)
		w.Header().Set("Connection", "Upgrade")
		http.Error(w, "this path takes sessions of programs in other processes: ask with HTTP/1.1 and Upgrade: "+Protocol, http.StatusUpgradeRequired)
		return nil, nil, fmt.Errorf("%s %s asks for no session", r.Method, r.URL.Path)
	}
	c, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "a session needs HTTP/1.1", http.StatusHTTPVersionNotSupported)
		return nil, nil, err
	}
	_ = c.SetDeadline(time.Time{})
	if _, err := fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", Protocol); err != nil {
		return nil, nil, closed(c, err)
	}
	conn := newConn(c, buffered.Reader, lease)
	hello := new(remote.Hello)
	if err := conn.expect(FrameHello, "Hello", hello); err != nil {
		conn.Fail(err)
		return nil, nil, err
	}
	return conn, hello, nil
}

func asksFor(r *http.Request) bool {
	return r.Method == http.MethodGet && r.ProtoMajor == 1 && strings.EqualFold(r.Header.Get("Upgrade"), Protocol) &&
		strings.Contains(strings.ToLower(r.Header.Get("Connection")), "upgrade")
}

func closed(c net.Conn, err error) error {
	_ = c.Close()
	return err
}

// expect reads one frame, which must be of a type. Pings may come before it.
func (c *Conn) expect(want FrameType, name string, n noun) error {
	for {
		t, body, err := c.receive(nil)
		switch {
		case err != nil:
			return err
		case t == FramePing:
		case t != want:
			return fmt.Errorf("got a frame of type %d, want %s", t, name)
		default:
			return remote.Decode(name, body, n)
		}
	}
}

// dial makes a connection and says Hello.
func dial(ctx context.Context, server string, hello *remote.Hello) (*Conn, *remote.Welcome, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", server)
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	request := "GET " + Path + " HTTP/1.1\r\nHost: " + server + "\r\nConnection: Upgrade\r\nUpgrade: " + Protocol + "\r\n\r\n"
	if _, err := c.Write([]byte(request)); err != nil {
		return nil, nil, closed(c, err)
	}
	in := bufio.NewReaderSize(c, 64<<10)
	answer, err := http.ReadResponse(in, nil)
	if err != nil {
		return nil, nil, closed(c, err)
	}
	if answer.StatusCode != http.StatusSwitchingProtocols {
		return nil, nil, closed(c, fmt.Errorf("%s answers %s to a request for a session: is it a holdfast server of this version?", server, answer.Status))
	}
	_ = c.SetDeadline(time.Time{})
	conn := newConn(c, in, LeaseDefault)
	welcome := new(remote.Welcome)
	err = conn.Send(FrameHello, hello)
	if err == nil {
		err = conn.expect(FrameWelcome, "Welcome", welcome)
	}
	if err == nil && welcome.Refused == "" && welcome.Window == 0 {
		err = errors.New("the server's Welcome allows no bytes to be sent: is it a holdfast server of this version?")
	}
	if err != nil {
		conn.Fail(err)
		return nil, nil, err
	}
	if welcome.Refused == "" {
		conn.setWindow(welcome.Window)
		conn.Keep(max(welcome.Lease, 10*time.Millisecond))
	}
	return conn, welcome, nil
}

package sidecar

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/remote"
)

// implPath is where applications serve their actors.
const implPath = "/kar/impl/v1/actor/"

func actorPath(t remote.Target) string {
	return implPath + url.PathEscape(t.Type) + "/" + url.PathEscape(t.ID)
}

// escapePath escapes what may not be in a path, and leaves its slashes.
func escapePath(path string) string { return (&url.URL{Path: path}).EscapedPath() }

// newCallback makes the client with which an application is called that wants
// HTTP/2.
func newCallback() *http.Client {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Client{
		Transport:     &http.Transport{Protocols: protocols, IdleConnTimeout: time.Minute, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// exchange makes a request of the application.
func (s *Sidecar) exchange(r *http.Request) (status int, header http.Header, body []byte, err error) {
	if s.callback == nil {
		return s.wires.do(r)
	}
	response, err := s.callback.Do(r)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) && op.Op == "dial" {
			err = errNotSent{err}
		}
		return 0, nil, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(response.Body)
	return response.StatusCode, response.Header, body, err
}

// callback is one request to the application.
type callback struct {
	method, path string // the path is escaped
	headers      []msg.Header
	contentType  string
	body         []byte
	all          bool // the headers of the answer are wanted, too
}

// The pauses while the application does not listen.
const (
	refusedFirst = 10 * time.Millisecond
	refusedMax   = 500 * time.Millisecond
)

// exitGrace is how long the end of the application may take to be noticed after
// a connection to it broke.
const exitGrace = 500 * time.Millisecond

// ask asks the application. What could not be sent is sent again while the
// application is there; what was sent and not answered is lost. It is nil if the
// application has ended.
func (s *Sidecar) ask(c callback) *remote.Completion {
	for pause := refusedFirst; ; pause = min(2*pause, refusedMax) {
		r, err := s.askOnce(c)
		switch {
		case s.exited():
			return nil
		case err == nil:
			return &remote.Completion{Result: *r}
		case !notSent(err):
			if s.endsWithin(exitGrace) {
				return nil
			}
			return &remote.Completion{Lost: "the application broke off the request: " + err.Error()}
		}
		if s.endsWithin(pause) {
			return nil
		}
	}
}

func (s *Sidecar) exited() bool {
	select {
	case <-s.config.Exited:
		return true
	default:
		return false
	}
}

// endsWithin waits for the end of the application.
func (s *Sidecar) endsWithin(d time.Duration) bool {
	select {
	case <-s.config.Exited:
		return true
	case <-s.shutdown:
		return true
	case <-time.After(d):
		return false
	}
}

// notSent reports whether an error says that nothing has reached the application.
func notSent(err error) bool {
	var known errNotSent
	return errors.As(err, &known)
}

func (s *Sidecar) askOnce(c callback) (*remote.Result, error) {
	request, err := http.NewRequestWithContext(context.Background(), c.method, s.base+c.path, bytes.NewReader(c.body))
	if err != nil {
		failed := remote.Failed(400, "%v", err)
		return &failed, nil
	}
	for _, h := range c.headers {
		if !slices.Contains(hopHeaders, http.CanonicalHeaderKey(h.Name)) {
			request.Header.Add(h.Name, h.Value)
		}
	}
	if c.contentType != "" {
		request.Header.Set("Content-Type", c.contentType)
	}
	status, header, body, err := s.exchange(request)
	if err != nil {
		return nil, err
	}
	r := &remote.Result{Status: uint16(status), ContentType: header.Get("Content-Type"), Body: body}
	if c.all {
		r.Headers = headersOf(header)
	}
	return r, nil
}

// hopHeaders belong to a connection, or are set anew.
var hopHeaders = []string{"Connection", "Content-Length", "Host", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
	"Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

// headersOf gives what is passed on of headers, in order.
func headersOf(h http.Header) (list []msg.Header) {
	for name, values := range h {
		if slices.Contains(hopHeaders, name) || name == "Content-Type" || name == "Date" {
			continue
		}
		for _, value := range values {
			list = append(list, msg.Header{Name: name, Value: value})
		}
	}
	slices.SortStableFunc(list, func(a, b msg.Header) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// welcomeTypes asks the application for each type of actors that it is said to
// have. One that it does not have is a mistake that shows nowhere else.
func (s *Sidecar) welcomeTypes(ctx context.Context) {
	for _, t := range s.config.Types {
		for ctx.Err() == nil && !s.exited() {
			r, err := s.askOnce(callback{method: http.MethodHead, path: implPath + url.PathEscape(t)})
			if err == nil {
				if r.Status != http.StatusOK {
					s.errorf("the application does not have actor type %s: it answers %d to HEAD %s%s", t, r.Status, implPath, t)
				}
				break
			}
			if s.endsWithin(refusedMax / 2) {
				return
			}
		}
	}
}

package native

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/program"
)

// fakeDoor answers every request with the same reply, or with what answer
// says, and remembers what it was asked.
type fakeDoor struct {
	reply       msg.Reply
	answer      func(ctx context.Context, r *msg.Request) msg.Reply
	ready       error
	description program.Description

	mu       sync.Mutex
	requests []msg.Request
}

var _ Door = (*fakeDoor)(nil)

func (d *fakeDoor) Do(ctx context.Context, r *msg.Request) msg.Reply {
	d.mu.Lock()
	d.requests = append(d.requests, *r)
	d.mu.Unlock()
	if d.answer != nil {
		return d.answer(ctx, r)
	}
	return d.reply
}

func (d *fakeDoor) Describe() program.Description { return d.description }

func (d *fakeDoor) Ready() error { return d.ready }

func (d *fakeDoor) asked() []msg.Request {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.requests
}

// noon is the time of every test.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func handlerOf(d *fakeDoor) *Handler {
	return New(Config{Door: d, Now: func() time.Time { return noon }, BodyBytesMax: 1000, Version: "test"})
}

// exchange sends one request to a handler on the door, without a network.
func exchange(d *fakeDoor, method, path, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return record(handlerOf(d), r)
}

func newRequest(method, path string) *http.Request {
	return httptest.NewRequest(method, path, http.NoBody)
}

// record gives what a handler answers.
func record(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// serve opens a server on the door until the test ends.
func serve(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config = NewServer(h, nil)
	s.Start()
	t.Cleanup(s.Close)
	return s
}

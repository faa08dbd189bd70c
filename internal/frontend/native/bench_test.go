package native

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// nowhere is a response writer that costs nothing.
type nowhere struct{ header http.Header }

func (n nowhere) Header() http.Header         { return n.header }
func (n nowhere) WriteHeader(int)             {}
func (n nowhere) Write(p []byte) (int, error) { return len(p), nil }

type echoDoor struct{ fakeDoor }

func (*echoDoor) Do(_ context.Context, r *msg.Request) msg.Reply {
	return msg.Reply{Payload: r.Payload}
}

func callRequest() (*http.Request, *strings.Reader) {
	body := strings.NewReader("12345")
	r, _ := http.NewRequest("POST", "http://x/v1/entities/account/alice/deposit", nil)
	r.Body, r.ContentLength = io.NopCloser(body), body.Size()
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Holdfast-Session", aSession)
	r.Header.Set("User-Agent", "bench")
	return r, body
}

// BenchmarkCall asks what the frontend itself adds to a call: everything
// between net/http and the door.
func BenchmarkCall(b *testing.B) {
	h, w := New(Config{Door: &echoDoor{}}), nowhere{http.Header{}}
	r, body := callRequest()
	b.ReportAllocs()
	for b.Loop() {
		body.Reset("12345")
		h.ServeHTTP(w, r)
	}
}

// TestCallAllocatesLittle keeps the fast path fast: the request and its body.
func TestCallAllocatesLittle(t *testing.T) {
	h, w := New(Config{Door: &echoDoor{}}), nowhere{http.Header{}}
	r, body := callRequest()
	allocations := testing.AllocsPerRun(1000, func() {
		body.Reset("12345")
		h.ServeHTTP(w, r)
	})
	if allocations > 2 {
		t.Errorf("a call takes %v allocations, want at most 2: the request and its body", allocations)
	}
}

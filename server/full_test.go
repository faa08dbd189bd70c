package server

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/holdfast-io/holdfast/host"
)

// Goal: a full disk and a failed one are what the guide for operators says
// they are, as seen over HTTP. Method: a real node on a host in memory whose
// log has no room, or fails, when the test wants it.

// brittleHost is a host whose disk is full or broken on demand.
type brittleHost struct {
	host.Host
	full, broken atomic.Bool
}

func (h *brittleHost) Log() host.Log { return brittleLog{h.Host.Log(), h} }

type brittleLog struct {
	host.Log
	disk *brittleHost
}

func (l brittleLog) Room() error {
	if l.disk.full.Load() {
		return fmt.Errorf("%w: 0 bytes are free", host.ErrFull)
	}
	return l.Log.Room()
}

func (l brittleLog) Append(f *host.Frame) error {
	if l.disk.broken.Load() {
		return fmt.Errorf("%w: input/output error", host.ErrPoisoned)
	}
	return l.Log.Append(f)
}

// TestFullDiskRefusesUpdatesAndServesReads: everything that would write is
// refused with resource_exhausted, whatever reads is answered, and when there is
// room again the server goes on by itself.
func TestFullDiskRefusesUpdatesAndServesReads(t *testing.T) {
	disk := &brittleHost{Host: openMemory(t)}
	s := startServer(t, Config{Host: disk}).waitReady()
	const entity = "/v1/entities/tally/a"
	s.expect("POST", entity+"/add", "40", 200, "40")
	_, submitted := s.ask("POST", entity+"/add/send", "1")
	id := submitted[len(`{"invocation_id":"`) : len(submitted)-len(`"}`)]

	s.expectMetric("holdfast_log_full", 0)
	disk.full.Store(true)
	s.expectMetric("holdfast_log_full", 1)
	for _, request := range [][3]string{{"POST", entity + "/add", "1"}, {"POST", entity + "/add/send", "1"}, {"DELETE", entity, ""}} {
		status, body := s.ask(request[0], request[1], request[2])
		if status != 429 || !strings.Contains(body, `"code":"resource_exhausted"`) || !strings.Contains(body, "0 bytes are free; reads go on") {
			t.Errorf("%s: got %d %s, want 429 resource_exhausted", request, status, body)
		}
	}
	s.expect("GET", "/v1/invocations/"+id+"?wait=10s", "", 200, "") // what was admitted is finished
	s.expect("POST", entity+"/get", "", 200, "41")
	s.expect("POST", entity+"/get?peek=true", "", 200, "41")
	s.expect("GET", entity, "", 200, "")
	s.expect("GET", "/v1/entities/tally", "", 200, `{"entities":["a"],"next":""}`)
	for _, path := range []string{"/readyz", "/healthz", "/metrics", "/v1/parked", "/v1/dead-letters"} {
		s.expect("GET", path, "", 200, "")
	}

	disk.full.Store(false)
	s.expect("POST", entity+"/add", "1", 200, "42")
	if err := s.end(); err != nil {
		t.Errorf("Run: %v", err)
	}
}

// TestPoisonedLogEndsTheServer: the update during which the disk failed gets
// unavailable, because its fate is unknown, and Run returns the reason.
func TestPoisonedLogEndsTheServer(t *testing.T) {
	disk := &brittleHost{Host: openMemory(t)}
	s := startServer(t, Config{Host: disk}).waitReady()
	s.expect("POST", "/v1/entities/tally/a/add", "40", 200, "40")
	disk.broken.Store(true)
	s.expect("POST", "/v1/entities/tally/a/add", "1", http.StatusServiceUnavailable, "")
	err := s.wait()
	if !errors.Is(err, ErrPoisoned) || !errors.Is(err, host.ErrPoisoned) || !strings.Contains(err.Error(), "look after the disk, then start again") {
		t.Errorf("got %v, want ErrPoisoned and what to do", err)
	}
}

var _ host.Log = brittleLog{}

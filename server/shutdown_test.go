package server

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast"
)

// Goal: a shutdown under load takes nothing back and leaves nothing out: what
// was admitted is answered, what comes later is refused as a whole, the process
// ends in time, and the next start has next to nothing to read. Method: a whole
// server under real HTTP clients, of which one is held inside a handler so that
// the shutdown stands still for as long as the test looks at it.

const loadClients = 16

// held is an application with a handler that stays until it is let go.
type held struct{ entered, leave chan struct{} }

var (
	slowTallies = holdfast.NewEntity[tally]("slow")
	hold        = holdfast.NewUpdate[int64, int64](slowTallies, "hold")
)

func (h *held) app() *holdfast.App {
	return holdfast.NewApp("held", hold.Handle(func(ctx *holdfast.UpdateContext[tally], n int64) (int64, error) {
		close(h.entered)
		<-h.leave
		ctx.State.N += n
		return ctx.State.N, nil
	}), tallyApp())
}

// load calls add on keys of its own until it is refused.
type load struct {
	acknowledged [loadClients]int64
	begun        atomic.Int64 // calls that were answered
	refused      [loadClients]string
	clients      sync.WaitGroup
}

func (l *load) start(t *testing.T, address string) {
	for i := range loadClients {
		l.clients.Go(func() {
			for {
				status, body, err := send(t.Context(), "POST", "http://"+address+"/v1/entities/tally/client"+strconv.Itoa(i)+"/add", "1")
				if err == nil && status == 200 {
					l.acknowledged[i]++
					l.begun.Add(1)
					continue
				}
				if l.refused[i] = strconv.Itoa(status) + " " + body; err != nil {
					l.refused[i] = err.Error()
				}
				return
			}
		})
	}
}

func send(ctx context.Context, method, url, body string) (status int, answer string, err error) {
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

const shuttingDown = `{"error":{"code":"unavailable","message":"the server is shutting down"}}`

func TestShutdownUnderLoad(t *testing.T) {
	dir, h := t.TempDir(), held{make(chan struct{}), make(chan struct{})}
	s := startServer(t, Config{App: h.app(), DataDir: dir, Partitions: 4}).waitReady()
	address := s.Addr()
	held := make(chan string, 1)
	go func() {
		status, body, err := send(t.Context(), "POST", "http://"+address+"/v1/entities/slow/a/hold", "7")
		held <- strings.TrimSpace(strconv.Itoa(status) + " " + body)
		if err != nil {
			t.Errorf("the request inside: %v", err)
		}
	}()
	<-h.entered
	var l load
	l.start(t, address)
	waitUntil(t, "clients are answered", func() bool { return l.begun.Load() > 20*loadClients })
	s.expect("GET", "/readyz", "", 200, "")

	s.stop()
	l.clients.Wait()
	for i, refused := range l.refused {
		if refused != "503 "+shuttingDown {
			t.Errorf("client %d ended with %s, want 503 %s", i, refused, shuttingDown)
		}
	}
	s.expect("GET", "/readyz", "", 503, shuttingDown)
	s.expect("GET", "/healthz", "", 200, "")
	s.expect("POST", "/v1/entities/tally/new/add", "1", 503, shuttingDown)
	s.expect("GET", "/v1/entities/slow/a", "", 503, shuttingDown)
	released := time.Now()
	close(h.leave)
	if got := <-held; got != "200 7" {
		t.Errorf("the request inside got %s, want 200 7", got)
	}
	if err := s.wait(); err != nil {
		t.Errorf("Run: %v", err)
	}
	if took := time.Since(released); took > 10*time.Second {
		t.Errorf("the shutdown took %v after the last request", took)
	}
	checkAfterShutdown(t, dir, &l)
}

// checkAfterShutdown starts again and compares.
func checkAfterShutdown(t *testing.T, dir string, l *load) {
	t.Helper()
	s := startServer(t, Config{App: (&held{}).app(), DataDir: dir}).waitReady()
	for i, want := range l.acknowledged {
		s.expect("POST", "/v1/entities/tally/client"+strconv.Itoa(i)+"/get", "", 200, strconv.FormatInt(want, 10))
	}
	if status, body := s.ask("GET", "/v1/entities/slow/a", ""); status != 200 || !strings.Contains(body, `"state":{"N":7}`) {
		t.Errorf("what the request inside did: got %d %s, want a state of 7", status, body)
	}
	s.expect("GET", "/v1/entities/tally/new", "", 404, "")
	// Every partition was used and has a last checkpoint: what is left is what
	// came while those were taken.
	if records := s.metric("holdfast_recovery_records"); records > 10 {
		t.Errorf("the next start read %v records of the log, want next to none of %d", records, l.begun.Load())
	}
	if err := s.end(); err != nil {
		t.Errorf("Run: %v", err)
	}
}

// metric reads a metric without labels.
func (r *runningServer) metric(name string) float64 {
	r.t.Helper()
	_, text := r.ask("GET", "/metrics", "")
	_, rest, _ := strings.Cut(text, "\n"+name+" ")
	line, _, _ := strings.Cut(rest, "\n")
	value, err := strconv.ParseFloat(line, 64)
	if err != nil {
		r.t.Errorf("no metric %s: %v", name, err)
	}
	return value
}

func (r *runningServer) expectMetric(name string, want float64) {
	r.t.Helper()
	if got := r.metric(name); got != want {
		r.t.Errorf("%s is %v, want %v", name, got, want)
	}
}

func waitUntil(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) { // a real server: nothing to wait on
		if time.Now().After(end) {
			t.Fatalf("it does not happen that %s", what)
		}
	}
}

// TestSignalEndsAProcessInOrder: SIGTERM is a shutdown, with exit code 0.
func TestSignalEndsAProcessInOrder(t *testing.T) {
	child := childProcess(t, t.TempDir())
	log := &watchedBuffer{text: `"msg":"serving"`, seen: func() {
		if err := child.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
	}}
	child.Stderr = log
	if err := child.Run(); err != nil {
		t.Errorf("the process ended with %v, want exit code 0", err)
	}
	if text := log.String(); !strings.Contains(text, `"msg":"stopped"`) {
		t.Errorf("the log does not say that it stopped: %s", text)
	}
}

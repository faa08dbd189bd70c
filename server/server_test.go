package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/host/memory"
	"github.com/holdfast-io/holdfast/internal/frontend/native"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/node"
	"github.com/holdfast-io/holdfast/internal/program"
)

type tally struct{ N int64 }

var (
	tallies = holdfast.NewEntity[tally]("tally")
	add     = holdfast.NewUpdate[int64, int64](tallies, "add")
	get     = holdfast.NewRead[holdfast.Void, int64](tallies, "get")

	errTooMuch = holdfast.NewError("too_much", holdfast.Conflict)
)

func tallyApp() *holdfast.App {
	return holdfast.NewApp("tally",
		add.Handle(func(ctx *holdfast.UpdateContext[tally], n int64) (int64, error) {
			if n > 1000 {
				return 0, errTooMuch.Withf("%d is more than 1000", n)
			}
			ctx.State.N += n
			return ctx.State.N, nil
		}),
		get.Handle(holdfast.NoInput(func(ctx *holdfast.ReadContext[tally]) (int64, error) { return ctx.State.N, nil })))
}

// runningServer is a server that a test has started.
type runningServer struct {
	*Server
	t     testing.TB
	stop  context.CancelFunc
	ended chan error
}

func startServer(t testing.TB, c Config, prepare ...func(*Server)) *runningServer {
	t.Helper()
	if c.App == nil && !c.WithoutApp {
		c.App = tallyApp()
	}
	c.Listen, c.Logger = "127.0.0.1:0", slog.New(slog.DiscardHandler)
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range prepare {
		p(s)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &runningServer{Server: s, t: t, stop: stop, ended: make(chan error, 1)}
	go func() { r.ended <- s.Run(ctx) }()
	t.Cleanup(stop)
	return r
}

func (r *runningServer) waitReady() *runningServer {
	r.t.Helper()
	select {
	case <-r.Ready():
	case err := <-r.ended:
		r.t.Fatalf("Run returned %v before it was ready", err)
	case <-time.After(20 * time.Second):
		r.t.Fatal("the server does not get ready")
	}
	return r
}

// end stops the server and gives what Run returned.
func (r *runningServer) end() error {
	r.t.Helper()
	r.stop()
	return r.wait()
}

func (r *runningServer) wait() error {
	r.t.Helper()
	select {
	case err := <-r.ended:
		return err
	case <-time.After(20 * time.Second):
		r.t.Fatal("Run does not return")
		return nil
	}
}

func (r *runningServer) ask(method, path, body string) (status int, answer string) {
	r.t.Helper()
	request, err := http.NewRequest(method, "http://"+r.Addr()+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func (r *runningServer) expect(method, path, body string, status int, answer string) {
	r.t.Helper()
	gotStatus, got := r.ask(method, path, body)
	if gotStatus != status || answer != "" && got != answer {
		r.t.Errorf("%s %s %s: got %d %s, want %d %s", method, path, body, gotStatus, got, status, answer)
	}
}

// waitAddress waits until the server listens, which is before it is ready.
func (r *runningServer) waitAddress() *runningServer {
	r.t.Helper()
	for end := time.Now().Add(20 * time.Second); r.Addr() == ""; {
		if time.Now().After(end) {
			r.t.Fatal("the server does not listen")
		}
		select {
		case err := <-r.ended:
			r.t.Fatalf("Run returned %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	return r
}

// TestServesOverHTTPAndInProcess runs a whole server twice on one directory.
func TestServesOverHTTPAndInProcess(t *testing.T) {
	dir := t.TempDir()
	s := startServer(t, Config{DataDir: dir, Partitions: 4}).waitReady()
	s.expect("POST", "/v1/entities/tally/a%2Fb/add", "40", 200, "40")
	s.expect("POST", "/v1/entities/tally/a%2Fb/add", "2000", 409, `{"error":{"code":"too_much","message":"2000 is more than 1000"}}`)
	if n, err := add.Call(s.Client().With(t.Context()), "a/b", 2); err != nil || n != 42 {
		t.Errorf("got %d, %v in process; want 42", n, err)
	}
	if _, err := add.Call(s.Client().With(t.Context()), "a/b", 1001); !errors.Is(err, errTooMuch) {
		t.Errorf("got %v in process, want too_much", err)
	}
	s.expect("GET", "/v1/entities/tally/a%2Fb", "", 200, "")
	s.expect("POST", "/v1/entities/tally/a%2Fb/get", "", 200, "42")
	s.expect("POST", "/v1/entities/tally/a%2Fb/dance", "", 404, "")
	s.expect("POST", "/v1/entities/nothing/a/add", "1", 404, "")
	s.expect("GET", "/readyz", "", 200, "")
	if err := s.end(); err != nil {
		t.Fatalf("Run: %v", err)
	}
	s = startServer(t, Config{DataDir: dir, Partitions: 4}).waitReady()
	s.expect("POST", "/v1/entities/tally/a%2Fb/get", "", 200, "42")
	s.expect("GET", "/v1/entities/tally", "", 200, `{"entities":["a/b"],"next":""}`)
	if err := s.end(); err != nil {
		t.Fatalf("Run: %v", err)
	}
	http.DefaultClient.CloseIdleConnections()
	goleak.VerifyNone(t)
}

// TestServesWithoutAnApp: there is nothing to call, and the answers say so.
func TestServesWithoutAnApp(t *testing.T) {
	s := startServer(t, Config{WithoutApp: true, Host: openMemory(t)}).waitReady()
	status, body := s.ask("POST", "/v1/entities/tally/a/add", "1")
	if status != 404 || !strings.Contains(body, "not_found") {
		t.Errorf("got %d %s, want 404", status, body)
	}
	if err := s.end(); err != nil {
		t.Error(err)
	}
}

// fakeNode is a node without anything behind it.
type fakeNode struct {
	door   *fakeDoor
	failed chan error
	closed chan struct{}
}

func newFakeNode() *fakeNode {
	return &fakeNode{door: &fakeDoor{entered: make(chan struct{}, 10), leave: make(chan struct{})}, failed: make(chan error, 1), closed: make(chan struct{})}
}

var _ running = (*fakeNode)(nil)

func (n *fakeNode) Door() native.Door                { return n.door }
func (n *fakeNode) Failed() <-chan error             { return n.failed }
func (n *fakeNode) Stats(context.Context) node.Stats { return node.Stats{} }

func (n *fakeNode) Close(context.Context) error {
	close(n.closed)
	return nil
}

// fakeDoor keeps every request inside until the test lets it go.
type fakeDoor struct{ entered, leave chan struct{} }

func (d *fakeDoor) Ready() error                  { return nil }
func (d *fakeDoor) Describe() program.Description { return program.Description{} }

func (d *fakeDoor) Do(ctx context.Context, _ *msg.Request) msg.Reply {
	d.entered <- struct{}{}
	select {
	case <-d.leave:
		return msg.Reply{Payload: msg.Payload{Body: []byte("1")}}
	case <-ctx.Done():
		return msg.Reply{Err: msg.Errorf(msg.CodeCancelled, msg.ClassConflict, "gone")}
	}
}

func openMemory(t *testing.T) host.Host {
	t.Helper()
	h, err := memory.New(memory.Config{Identity: host.Identity{Partitions: 2}}).Open()
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func memoryConfig(t *testing.T) Config {
	t.Helper()
	return Config{Host: openMemory(t)}
}

func withNode(n *fakeNode) func(*Server) {
	return func(s *Server) {
		s.start = func(context.Context, host.Host) (running, error) { return n, nil }
	}
}

// TestNotReadyBeforeRecoveryIsOver: the port answers at once and says how it
// stands; a client in process waits.
func TestNotReadyBeforeRecoveryIsOver(t *testing.T) {
	recovered := make(chan struct{})
	n := newFakeNode()
	close(n.door.leave)
	s := startServer(t, memoryConfig(t), func(s *Server) {
		s.start = func(context.Context, host.Host) (running, error) {
			<-recovered
			return n, nil
		}
	}).waitAddress()
	s.expect("GET", "/healthz", "", 200, "")
	s.expect("GET", "/readyz", "", 503, `{"error":{"code":"unavailable","message":"the server is recovering"}}`)
	s.expect("POST", "/v1/entities/tally/a/add", "1", 503, "")
	s.expect("GET", "/openapi.json", "", 200, "")
	answered := make(chan error, 1)
	go func() {
		_, err := add.Call(s.Client().With(t.Context()), "a", 1)
		answered <- err
	}()
	close(recovered)
	s.waitReady().expect("GET", "/readyz", "", 200, "")
	if err := <-answered; err != nil {
		t.Errorf("a call that began before recovery was over got %v", err)
	}
	if err := s.end(); err != nil {
		t.Error(err)
	}
	if _, err := add.Call(s.Client().With(t.Context()), "a", 1); !errors.Is(err, holdfast.ErrUnavailable) {
		t.Errorf("a call after the end got %v, want ErrUnavailable", err)
	}
}

// TestShutdownFinishesWhatWasAdmitted: the request inside gets its answer, new
// ones are refused, waits are given up, and /readyz says so meanwhile.
func TestShutdownFinishesWhatWasAdmitted(t *testing.T) {
	n := newFakeNode()
	s := startServer(t, memoryConfig(t), withNode(n)).waitReady()
	var answers sync.WaitGroup
	answers.Go(func() { s.expect("POST", "/v1/entities/tally/a/add", "1", 200, "1") })
	answers.Go(func() { s.expect("GET", "/v1/invocations/"+strings.Repeat("1", 32)+"?wait=5m", "", 503, "") })
	<-n.door.entered
	<-n.door.entered
	s.stop()
	for status, end := 0, time.Now().Add(10*time.Second); status != 503; status, _ = s.ask("GET", "/readyz", "") {
		if time.Now().After(end) {
			t.Fatal("readyz does not become 503")
		}
	}
	s.expect("POST", "/v1/entities/tally/a/add", "1", 503, `{"error":{"code":"unavailable","message":"the server is shutting down"}}`)
	select {
	case <-n.closed:
		t.Error("the node was closed while a request was inside")
	default:
	}
	close(n.door.leave)
	answers.Wait()
	if err := s.wait(); err != nil {
		t.Errorf("Run: %v", err)
	}
	<-n.closed
}

// TestShutdownIsBounded: a request that does not end keeps nobody for ever.
func TestShutdownIsBounded(t *testing.T) {
	n := newFakeNode()
	config := memoryConfig(t)
	config.ShutdownTimeout = 10 * time.Millisecond
	s := startServer(t, config, withNode(n)).waitReady()
	go func() { _, _ = http.Post("http://"+s.Addr()+"/v1/entities/tally/a/add", "", strings.NewReader("1")) }()
	<-n.door.entered
	if err := s.end(); err != nil {
		t.Errorf("Run: %v", err)
	}
	<-n.closed
}

// TestFailedLogEndsTheServer: Run says what happened, so that a supervisor
// starts the process again.
func TestFailedLogEndsTheServer(t *testing.T) {
	n := newFakeNode()
	s := startServer(t, memoryConfig(t), withNode(n)).waitReady()
	n.failed <- fmt.Errorf("append frame 7: %w", host.ErrPoisoned)
	if err := s.wait(); !errors.Is(err, ErrPoisoned) || !errors.Is(err, host.ErrPoisoned) {
		t.Errorf("got %v, want ErrPoisoned", err)
	}
	<-n.closed
}

func TestPortInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	config := memoryConfig(t)
	config.App, config.Listen, config.Logger = tallyApp(), l.Addr().String(), slog.New(slog.DiscardHandler)
	s, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	if err = s.Run(t.Context()); !errors.Is(err, ErrAddressInUse) || !strings.Contains(err.Error(), "--listen") {
		t.Errorf("got %v, want ErrAddressInUse and what to do", err)
	}
	if err = s.Run(t.Context()); !errors.Is(err, ErrInvalid) {
		t.Errorf("got %v from a second Run, want ErrInvalid", err)
	}
}

// TestPartitionCountIsFixed: a directory that was made for another number is
// refused, and the message names the right one.
func TestPartitionCountIsFixed(t *testing.T) {
	dir := t.TempDir()
	if err := startServer(t, Config{DataDir: dir, Partitions: 4}).waitReady().end(); err != nil {
		t.Fatal(err)
	}
	err := startServer(t, Config{DataDir: dir, Partitions: 8}).wait()
	if !errors.Is(err, ErrIncompatible) || !strings.Contains(err.Error(), "4") {
		t.Errorf("got %v, want ErrIncompatible that names 4 partitions", err)
	}
}

// TestErrorsAreExplained: every cause has its error and what to do.
func TestErrorsAreExplained(t *testing.T) {
	for _, k := range kinds {
		err := explain("start", fmt.Errorf("cause: %w", k.cause))
		if !errors.Is(err, k.kind) || !errors.Is(err, k.cause) || !strings.Contains(err.Error(), k.advice) {
			t.Errorf("%v became %v, want %v with its advice", k.cause, err, k.kind)
		}
	}
	full := fmt.Errorf("open: %w: %w: make room on the disk", host.ErrFull, syscall.ENOSPC) // as hosts say it
	if err := explain("", full); strings.Count(err.Error(), "make room") != 1 {
		t.Errorf("the advice is not given once: %v", err)
	}
	if err := explain("start", nil); err != nil {
		t.Errorf("nil became %v", err)
	}
	if err := explain("start", io.EOF); err.Error() != "start: EOF" {
		t.Errorf("an error of no kind became %v", err)
	}
}

func TestConfigIsValidated(t *testing.T) {
	_, err := New(Config{Partitions: 2000, Listen: "here", BodyBytesMax: -1, Executors: -1, Retention: -1})
	if !errors.Is(err, ErrInvalid) {
		t.Fatalf("got %v, want ErrInvalid", err)
	}
	for _, part := range []string{"App is nil", "DataDir (--data) is empty", "Partitions (--partitions) is 2000", `Listen (--listen) is "here"`, "BodyBytesMax", "Executors", "Retention"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error does not say %q: %v", part, err)
		}
	}
	unbound := holdfast.NewEntity[tally]("unbound")
	holdfast.NewUpdate[int64, int64](unbound, "add")
	if _, err := New(Config{App: tallyApp(), WithoutApp: true, DataDir: "x"}); !errors.Is(err, ErrInvalid) {
		t.Errorf("an app and none: got %v, want ErrInvalid", err)
	}
	if _, err := New(Config{App: holdfast.NewApp("x", holdfast.NewUpdate[int64, int64](unbound, "b").Handle(nil)), DataDir: "x"}); !errors.Is(err, ErrInvalid) {
		t.Errorf("an app with mistakes: got %v, want ErrInvalid", err)
	}
}

// TestMetricsShowWhatHappened makes requests of several kinds and looks for
// every family that operators are promised.
func TestMetricsShowWhatHappened(t *testing.T) {
	s := startServer(t, Config{DataDir: t.TempDir(), Partitions: 2}).waitReady()
	s.expect("POST", "/v1/entities/tally/a/add", "1", 200, "1")
	s.expect("POST", "/v1/entities/tally/a/add", "2000", 409, "")
	s.expect("POST", "/v1/entities/tally/a/get", "", 200, "1")
	_, text := s.ask("GET", "/metrics", "")
	for begun := time.Now(); !strings.Contains(text, "\nholdfast_log_durable_lag_records 0") && time.Since(begun) < 10*time.Second; {
		time.Sleep(10 * time.Millisecond) // what nobody waits for becomes durable
		_, text = s.ask("GET", "/metrics", "")
	}
	for _, line := range []string{
		`holdfast_http_requests_total{route="call",status="200"} 2`,
		`holdfast_http_requests_total{route="call",status="409"} 1`,
		`holdfast_http_request_duration_seconds_count{route="call"} 3`,
		`holdfast_request_duration_seconds_count{operation="call"} 3`,
		`holdfast_request_errors_total{code="too_much"} 1`,
		`holdfast_turns_total{mode="update"} 2`,
		`holdfast_turns_total{mode="read"} 1`,
		`holdfast_turn_failures_total{reason="outcome"} 1`,
		`holdfast_entities 1`,
		`holdfast_log_durable_lag_records 0`,
		"holdfast_log_records_total ", "holdfast_log_frames_total ", "holdfast_log_frame_bytes_total ", "holdfast_log_sync_duration_seconds_count ",
		"holdfast_outbox_messages 0", "holdfast_queue_inputs 0", "holdfast_checkpoint_age_seconds ", "holdfast_recovery_duration_seconds ",
		"holdfast_executors_written_off 0", "holdfast_remembered_horizon_seconds ", "go_goroutines ", "process_resident_memory_bytes ",
	} {
		if !strings.Contains(text, "\n"+line) {
			t.Errorf("/metrics has no line that begins with %s", line)
		}
	}
	if err := s.end(); err != nil {
		t.Error(err)
	}
	if t.Failed() {
		t.Log(text)
	}
}

// TestErrorCodesAreBounded: an application that makes codes up does not fill
// the memory of whoever collects metrics.
func TestErrorCodesAreBounded(t *testing.T) {
	m := newMetrics()
	for i := range 10 * errorCodesMax {
		m.request(msg.OperationCall, &msg.Error{Code: fmt.Sprint("code", i)}, time.Millisecond)
	}
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == "holdfast_request_errors_total" && len(family.GetMetric()) != errorCodesMax+1 {
			t.Errorf("there are %d codes, want %d and other", len(family.GetMetric()), errorCodesMax)
		}
	}
}

// TestCommandLine runs Main without a process.
func TestCommandLine(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, c := range []struct {
		arguments []string
		code      int
		out, err  string
	}{
		{[]string{"version"}, 0, "tally version ", ""},
		{[]string{"--version"}, 0, "tally version ", ""},
		{[]string{"help"}, 0, "-partitions number", ""},
		{[]string{"--help"}, 0, "-listen address", ""},
		{[]string{"serve", "--help"}, 0, "-data directory", ""},
		{[]string{"dance"}, 2, "", `"dance" is not a command; tally help lists`},
		{[]string{"serve", "--dance"}, 2, "", "-dance"},
		{[]string{"--dance"}, 2, "", "-dance"},
		{[]string{"serve", "data"}, 2, "", `"data" is not a flag`},
		{[]string{"serve", "--partitions", "many"}, 2, "", "many"},
		{[]string{"serve", "--partitions", "2000"}, 2, "", "it must be from 1 to 1024"},
		{[]string{"serve", "--log-format", "yaml"}, 2, "", "want text, json or auto"},
		{[]string{"serve", "--listen", "127.0.0.1:99999"}, 2, "", "(--listen) is \"127.0.0.1:99999\""},
		{[]string{"serve", "--executors", "-1"}, 2, "", "(--executors) is -1"},
		{[]string{"serve", "--listen", taken.Addr().String(), "--data", t.TempDir()}, 1, "", "the address is in use"},
	} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), tallyApp(), append([]string{"tally"}, c.arguments...), &stdout, &stderr)
		if code != c.code || !strings.Contains(stdout.String(), c.out) || !strings.Contains(stderr.String(), c.err) {
			t.Errorf("%q: got %d, %q, %q; want %d, %q, %q", c.arguments, code, &stdout, &stderr, c.code, c.out, c.err)
		}
	}
}

// TestServesByDefaultUntilToldToStop: no command is serve, and logs are JSON
// where there is no terminal.
func TestServesByDefaultUntilToldToStop(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	stderr := &watchedBuffer{text: "serving", seen: cancel}
	code := run(ctx, tallyApp(), []string{"tally", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--partitions", "2"}, io.Discard, stderr)
	if log := stderr.String(); code != 0 || !strings.Contains(log, `"msg":"serving"`) || !strings.Contains(log, `"msg":"stopped"`) {
		t.Errorf("got %d and %s, want 0 and a log in JSON from serving to stopped", code, log)
	}
}

// watchedBuffer calls seen when the text is written to it.
type watchedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
	text   string
	seen   func()
}

func (b *watchedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if bytes.Contains(p, []byte(b.text)) {
		b.seen()
	}
	return b.buffer.Write(p)
}

func (b *watchedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

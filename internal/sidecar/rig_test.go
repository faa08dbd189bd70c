package sidecar_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-io/holdfast/internal/remote"
	"github.com/holdfast-io/holdfast/internal/sidecar"
	"github.com/holdfast-io/holdfast/server"
)

// Goal: what an application that is written for KAR sees, and what becomes of its
// actors when processes end. Method: a real server on a directory, processes
// beside applications in this process, and applications that are HTTP handlers.

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what a test waits for.
const patience = 30 * time.Second

// rig is a server.
type rig struct {
	t       *testing.T
	dir     string
	address string
	kar     server.KARConfig
	stop    func()
	log     *lines
}

// lines keeps what is logged.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newRig(t *testing.T, c server.KARConfig) *rig {
	r := &rig{t: t, dir: t.TempDir(), kar: c, log: &lines{}}
	r.start("127.0.0.1:0")
	t.Cleanup(func() {
		r.stop()
		if t.Failed() {
			t.Logf("log:\n%s", r.log)
		}
	})
	return r
}

// start starts the server.
func (r *rig) start(address string) {
	r.t.Helper()
	s, err := server.New(server.Config{WithoutApp: true, Frontends: []server.Frontend{server.KAR(r.kar)}, DataDir: r.dir, Partitions: 4, Listen: address,
		Logger: slog.New(slog.NewTextHandler(r.log, nil))})
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	r.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			r.t.Errorf("the server ended: %v", err)
		}
		ended <- nil
	}
	select {
	case <-s.Ready():
	case err := <-ended:
		r.t.Fatal(err)
	}
	r.address = s.Addr()
}

// restart stops the server, and starts it again at the same address.
func (r *rig) restart() {
	r.t.Helper()
	r.stop()
	r.start(r.address)
}

// process is an application with the process beside it.
type process struct {
	t      *testing.T
	base   string
	app    *app
	web    *httptest.Server
	exited chan struct{}
	end    context.CancelFunc
	ended  chan error
	once   sync.Once
}

// method is a method of an actor.
type method func(c *call) any

// call is a callback of a method.
type call struct {
	*process
	id, session string
	header      http.Header
	body        []byte
	arguments   []json.RawMessage
}

// raw is an answer that is not wrapped.
type raw struct {
	status      int
	contentType string
	body        string
}

// app is an application.
type app struct {
	methods map[string]method
	service http.HandlerFunc

	mu    sync.Mutex
	trace []string // activations and deactivations
}

func (a *app) note(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.trace = append(a.trace, fmt.Sprintf(format, args...))
}

func (a *app) noted() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return strings.Join(a.trace, ", ")
}

// options change the configuration of a process.
type options func(c *sidecar.Config)

// join starts an application with actors of type A, and service svc if it has one.
func (r *rig) join(a *app, with ...options) *process {
	r.t.Helper()
	p := &process{t: r.t, app: a, exited: make(chan struct{}), ended: make(chan error, 1)}
	p.web = httptest.NewServer(p)
	u, _ := url.Parse(p.web.URL)
	c := sidecar.Config{App: "app", Types: []string{"A"}, Server: r.address, Listen: "127.0.0.1:0", Application: u.Host,
		BusyTimeout: 10 * time.Second, StartWithin: 10 * time.Second, Logger: slog.New(slog.NewTextHandler(r.log, nil)), Exited: p.exited}
	if a.service != nil {
		c.Service = "svc"
	}
	for _, o := range with {
		o(&c)
	}
	s, err := sidecar.New(c)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.end = cancel
	go func() { p.ended <- s.Run(ctx) }()
	p.base = fmt.Sprintf("http://127.0.0.1:%d", s.Port())
	select {
	case <-s.Connected():
	case <-time.After(patience):
		r.t.Fatal("no connection")
	}
	r.t.Cleanup(p.leave)
	return p
}

// leave ends the process as the end of its application does.
func (p *process) leave() {
	p.once.Do(func() {
		close(p.exited)
		p.web.CloseClientConnections()
		p.end()
		<-p.ended
		p.web.Close()
		client.CloseIdleConnections()
	})
}

// ServeHTTP is the application.
func (p *process) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rest, isActor := strings.CutPrefix(r.URL.Path, "/kar/impl/v1/actor/A")
	if !isActor {
		if p.app.service != nil {
			p.app.service(w, r)
			return
		}
		http.NotFound(w, r)
		return
	}
	id, path, isCall := strings.Cut(strings.TrimPrefix(rest, "/"), "/")
	switch {
	case r.Method == http.MethodHead:
	case r.Method == http.MethodGet:
		p.app.note("+%s", id)
		if id == "refused" {
			http.Error(w, "not this one", http.StatusForbidden)
			return
		}
		w.WriteHeader(http.StatusCreated)
	case r.Method == http.MethodDelete:
		p.app.note("-%s", id)
	case isCall && p.app.methods[path] != nil:
		body, _ := io.ReadAll(r.Body)
		c := &call{process: p, id: id, session: r.URL.Query().Get("session"), header: r.Header, body: body}
		_ = json.Unmarshal(body, &c.arguments)
		answer(w, p.app.methods[path](c))
	default:
		http.Error(w, "no method "+path, http.StatusNotFound)
	}
}

func answer(w http.ResponseWriter, value any) {
	switch v := value.(type) {
	case nil:
		w.WriteHeader(http.StatusNoContent)
		return
	case raw:
		w.Header().Set("Content-Type", v.contentType)
		w.WriteHeader(v.status)
		_, _ = io.WriteString(w, v.body)
		return
	case error:
		value = map[string]any{"error": true, "message": v.Error(), "stack": "here"}
	case tail:
		value = map[string]any{"tailCall": true, "value": v}
	default:
		value = map[string]any{"value": v}
	}
	w.Header().Set("Content-Type", "application/kar+json")
	_ = json.NewEncoder(w).Encode(value)
}

// tail is a tail call.
type tail map[string]string

// client speaks HTTP/1.1, h2c HTTP/2 without TLS.
var (
	client = &http.Client{Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 100}}
	h2c    = &http.Client{Transport: &http.Transport{DisableCompression: true, Protocols: onlyH2C()}}
)

func onlyH2C() *http.Protocols {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	return p
}

// response is what came back.
type response struct {
	status            int
	contentType, body string
	header            http.Header
}

func (r response) String() string { return fmt.Sprintf("%d %s %q", r.status, r.contentType, r.body) }

// ask makes a request of the REST interface. Headers are "Name: value".
func (p *process) ask(method, path, body string, headers ...string) response {
	p.t.Helper()
	return p.askBy(client, method, path, body, headers...)
}

func (p *process) askBy(c *http.Client, method, path, body string, headers ...string) response {
	p.t.Helper()
	r, err := p.try(c, method, path, body, headers...)
	if err != nil {
		p.t.Fatalf("%s %s: %v", method, path, err)
	}
	return r
}

func (p *process) try(c *http.Client, method, path, body string, headers ...string) (response, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, method, p.base+path, strings.NewReader(body))
	if err != nil {
		return response{}, err
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		q.Header.Add(name, value)
	}
	r, err := c.Do(q)
	if err != nil {
		return response{}, err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	return response{r.StatusCode, r.Header.Get("Content-Type"), strings.TrimSuffix(string(b), "\n"), r.Header}, err
}

// invoke calls a method of an actor from outside.
func (p *process) invoke(id, method, arguments string, headers ...string) response {
	p.t.Helper()
	return p.ask(http.MethodPost, "/kar/v1/actor/A/"+id+"/call/"+method, arguments, append(headers, "Content-Type: application/kar+json")...)
}

// within calls a method from within a callback.
func (c *call) within(id, method, arguments string, headers ...string) response {
	return c.ask(http.MethodPost, "/kar/v1/actor/A/"+id+"/call/"+method+"?session="+url.QueryEscape(c.session), arguments,
		append(headers, "Content-Type: application/kar+json")...)
}

// get and set are the state of the actor of a callback.
func (c *call) get(key string) string {
	return c.ask(http.MethodGet, "/kar/v1/actor/A/"+c.id+"/state/"+key+"?nilOnAbsent=true", "").body
}

func (c *call) set(key, value string) {
	c.ask(http.MethodPut, "/kar/v1/actor/A/"+c.id+"/state/"+key, value)
}

// number is the state of an entry as a number.
func (c *call) number(key string) (n int) {
	_, _ = fmt.Sscan(c.get(key), &n)
	return n
}

// add adds one to an entry of the state, and gives what it is then.
func (c *call) add(key string) int {
	n := c.number(key) + 1
	c.set(key, fmt.Sprint(n))
	return n
}

// want compares a response.
func want(t *testing.T, got response, status int, contentType, body string) {
	t.Helper()
	if got.status != status || !strings.HasPrefix(got.contentType, contentType) || strings.TrimSpace(got.body) != body {
		t.Errorf("got %v, want %d %s %q", got, status, contentType, body)
	}
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

var discard = slog.New(slog.DiscardHandler)

// quarantined is the request that is in quarantine; empty: there is none.
func quarantined(t *testing.T, c *sidecar.Caller) string {
	t.Helper()
	a, err := c.Ask(t.Context(), &remote.Request{Kind: remote.RequestQuarantined, Target: remote.Target{App: "app"}})
	if err != nil {
		t.Fatal(err)
	}
	var list []struct{ Request string }
	if err := json.Unmarshal(a.Result.Body, &list); err != nil {
		t.Fatal(err)
	}
	if len(list) == 0 {
		return ""
	}
	return list[0].Request
}

func decide(t *testing.T, c *sidecar.Caller, request string, again bool) {
	t.Helper()
	kind := remote.RequestDrop
	if again {
		kind = remote.RequestRelease
	}
	if a, err := c.Ask(t.Context(), &remote.Request{Kind: kind, Name: request}); err != nil || !a.Found {
		t.Fatalf("%v, %+v", err, a)
	}
}

package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-io/holdfast/internal/heap"
	"github.com/holdfast-io/holdfast/internal/remote"
	"github.com/holdfast-io/holdfast/internal/session"
	"github.com/holdfast-io/holdfast/internal/sidecar"
	"github.com/holdfast-io/holdfast/server"
)

// This file has the processes of the workloads of KAR, and the workload of the
// session alone.

// announce tells the parent where this process listens.
func (b *bench) announce(port int) error {
	line, err := json.Marshal(started{port})
	if err == nil {
		_, err = b.stdout.Write(append(line, '\n'))
	}
	return err
}

// runKARSide is the process with server and sidecar.
func runKARSide(ctx context.Context, b *bench, _ int) error {
	heap.Keep() // as both programs do
	logger := warnings(b.stderr)
	s, err := server.New(server.Config{WithoutApp: true, Frontends: []server.Frontend{server.KAR(server.KARConfig{})},
		DataDir: filepath.Join(b.options.Data, "kar"), Listen: "127.0.0.1:0", Logger: logger})
	if err != nil {
		return err
	}
	ended := make(chan error, 2)
	go func() { ended <- s.Run(ctx) }()
	select {
	case <-s.Ready():
	case err := <-ended:
		return err
	}
	side, err := sidecar.New(sidecar.Config{App: "bench", Service: "bench", Types: []string{"Bench"}, Server: s.Addr(), Listen: "127.0.0.1:0",
		Application: "127.0.0.1:" + os.Getenv(karAppPort), BusyTimeout: 2 * time.Minute, StartWithin: 2 * time.Minute, CollectInterval: 10 * time.Second, Logger: logger})
	if err != nil {
		return err
	}
	go func() { ended <- side.Run(ctx) }()
	if err := b.announce(side.Port()); err != nil {
		return err
	}
	return <-ended
}

// runKARNull is the null sidecar.
func runKARNull(ctx context.Context, b *bench, _ int) error {
	app := "http://127.0.0.1:" + os.Getenv(karAppPort)
	web := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}}
	callBack := func(method, path string, body io.Reader, contentType string) (status int, _ string, answer []byte) {
		r, err := http.NewRequestWithContext(context.WithoutCancel(ctx), method, app+path, body)
		if err != nil {
			return http.StatusBadGateway, "", nil
		}
		r.Header.Set("Content-Type", contentType)
		response, err := web.Do(r)
		if err != nil {
			return http.StatusBadGateway, "", nil
		}
		defer response.Body.Close()
		answer, _ = io.ReadAll(response.Body)
		return response.StatusCode, response.Header.Get("Content-Type"), answer
	}
	type instance struct {
		mu     sync.Mutex
		active bool
	}
	var instances sync.Map // by id: each is activated once
	call := func(id, method string, body []byte) (status int, contentType string, answer []byte) {
		path := "/kar/impl/v1/actor/Bench/" + id
		known, _ := instances.LoadOrStore(id, new(instance))
		i := known.(*instance)
		i.mu.Lock()
		if !i.active {
			status, contentType, answer = callBack(http.MethodGet, path+"?session=flow:req", nil, "")
			i.active = status < 300
		}
		i.mu.Unlock()
		if status >= 300 {
			return status, contentType, answer
		}
		return callBack(http.MethodPost, path+"/"+method+"?session=flow:req", bytes.NewReader(body), "application/kar+json")
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /kar/v1/actor/Bench/{id}/call/{method}", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		id, method := r.PathValue("id"), r.PathValue("method")
		if r.Header.Get("Pragma") == "async" {
			w.WriteHeader(http.StatusAccepted)
			_, _ = io.WriteString(w, "OK")
			go call(id, method, body)
			return
		}
		status, contentType, answer := call(id, method, body)
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = w.Write(answer)
	})
	mux.HandleFunc("POST /kar/v1/service/bench/call/{path}", func(w http.ResponseWriter, r *http.Request) {
		status, contentType, answer := callBack(http.MethodPost, "/"+r.PathValue("path"), r.Body, r.Header.Get("Content-Type"))
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = w.Write(answer)
	})
	mux.HandleFunc("GET /kar/v1/actor/Bench/{id}/state/{key}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "1")
	})
	mux.HandleFunc("PUT /kar/v1/actor/Bench/{id}/state/{key}", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusNoContent)
	})
	return b.serve(ctx, "127.0.0.1:0", mux)
}

// serve serves until the parent ends, with HTTP/1.1 and HTTP/2 as a sidecar does.
func (b *bench) serve(ctx context.Context, address string, h http.Handler) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	s := &http.Server{Handler: h, Protocols: protocols}
	defer context.AfterFunc(ctx, func() { _ = s.Close() })()
	if err := b.announce(l.Addr().(*net.TCPAddr).Port); err != nil {
		return err
	}
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// runKARApp is the application in Go.
func runKARApp(ctx context.Context, b *bench, _ int) error {
	base := "http://127.0.0.1:" + os.Getenv(karRuntimePort) + "/kar/v1/actor/Bench/"
	web := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}}
	ask := func(method, path, body string) (string, error) {
		r, err := http.NewRequestWithContext(ctx, method, base+path, strings.NewReader(body))
		if err != nil {
			return "", err
		}
		response, err := web.Do(r)
		if err != nil {
			return "", err
		}
		defer response.Body.Close()
		answer, err := io.ReadAll(response.Body)
		return string(answer), err
	}
	var noted atomic.Uint64
	mux := http.NewServeMux()
	mux.HandleFunc("HEAD /kar/impl/v1/actor/Bench", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /kar/impl/v1/actor/Bench/{id}", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("DELETE /kar/impl/v1/actor/Bench/{id}", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("POST /kar/impl/v1/actor/Bench/{id}/bump", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		id := r.PathValue("id")
		text, err := ask(http.MethodGet, id+"/state/n?nilOnAbsent=true", "")
		n, _ := strconv.Atoi(text)
		if err == nil {
			_, err = ask(http.MethodPut, id+"/state/n", strconv.Itoa(n+1))
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/kar+json")
		fmt.Fprintf(w, `{"value":%d}`, n+1)
	})
	mux.HandleFunc("POST /kar/impl/v1/actor/Bench/{id}/note", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		noted.Add(1)
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /echo", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
		_, _ = io.Copy(w, r.Body)
	})
	mux.HandleFunc("GET /noted", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, noted.Load()) })
	return b.serve(ctx, "127.0.0.1:"+os.Getenv(karAppPort), mux)
}

// sessionResult is the line of the workload of the session.
type sessionResult struct {
	Workload     string  `json:"workload"`
	Concurrency  int     `json:"concurrency"`
	OpsPerSecond float64 `json:"ops_per_second"`
	P50          float64 `json:"p50_us"`
	P99          float64 `json:"p99_us"`
	CPUPerOp     float64 `json:"cpu_us_per_op"` // of both ends
	GOMAXPROCS   int     `json:"gomaxprocs"`
	Operations   uint64  `json:"operations"`
	Seconds      float64 `json:"seconds"`
}

// echoing answers every assignment at once.
type echoing struct{ client *session.Client }

func (e *echoing) Hello() *remote.Hello { return &remote.Hello{App: "bench", Session: "bench"} }

func (e *echoing) Assigned(a *remote.Assignment) {
	_ = e.client.Tell(session.FrameCompletion, &remote.Completion{Token: a.Token, Attempt: a.Attempt, Request: a.Invocation.Request,
		Result: remote.Result{Status: 200, ContentType: a.Invocation.ContentType, Body: a.Invocation.Body}})
}

func (e *echoing) Stale(remote.Attempt) {}
func (e *echoing) Expired()             {}

// runKARSession measures invocations that cross a session and come back.
func runKARSession(ctx context.Context, b *bench, callers int) error {
	inside := make(chan *session.Conn, 1)
	waiting := make([]chan *remote.Completion, callers)
	for i := range waiting {
		waiting[i] = make(chan *remote.Completion, 1)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := session.Accept(w, r, session.LeaseDefault)
		if err != nil {
			return
		}
		_ = conn.Send(session.FrameWelcome, &remote.Welcome{Version: session.Version, Lease: session.LeaseDefault})
		conn.Keep(session.LeaseDefault)
		inside <- conn
		_ = conn.Receive(func(_ session.FrameType, body []byte) error {
			c := new(remote.Completion)
			if err := remote.Decode("Completion", body, c); err != nil || c.Token > uint64(callers) {
				return err
			}
			waiting[c.Token-1] <- c
			return nil
		})
	})}
	go func() { _ = web.Serve(l) }()
	defer web.Close()
	end := &echoing{}
	end.client = session.NewClient(session.ClientConfig{Server: l.Addr().String(), Handler: end, Logger: warnings(b.stderr)})
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- end.client.Run(running) }()
	defer func() { stop(); <-ended }()
	conn := <-inside
	operations := make([]operation, callers)
	for i := range operations {
		a := remote.Assignment{Token: uint64(i + 1), Attempt: 1, Invocation: remote.Invocation{Request: "req-0123456789", Flow: "flow-0123456789",
			Kind: remote.InvocationCall, Target: remote.Target{App: "bench", Type: "Bench", ID: "key"}, Path: "/bump", ContentType: "application/kar+json", Body: []byte("[1,2,3]")}}
		operations[i] = func() error {
			if err := conn.Send(session.FrameAssignment, &a); err != nil {
				return err
			}
			select {
			case <-waiting[i]:
				return nil
			case <-conn.Done():
				return errEnded
			}
		}
	}
	b.progress.say("kar-session, %d callers", callers)
	measure(ctx, nil, operations, min(warmUpMax, b.options.Duration/4), nil)
	m := measure(ctx, nil, operations, b.options.Duration, nil)
	b.progress.clear()
	r := &sessionResult{Workload: "kar-session", Concurrency: callers, OpsPerSecond: round(m.perSecond(m.operations), 0), P50: microseconds(m.times.quantile(0.5)),
		P99: microseconds(m.times.quantile(0.99)), CPUPerOp: round(per(float64(m.cpu.Nanoseconds())/1e3, m.operations), 2), GOMAXPROCS: runtime.GOMAXPROCS(0),
		Operations: m.operations, Seconds: round(m.elapsed.Seconds(), 3)}
	if m.failure != nil {
		return m.failure
	}
	return b.print(r, func() error {
		_, err := fmt.Fprintf(b.stdout, "kar-session %6d callers %9.0f ops/s  p50 %8.1f µs  p99 %9.1f µs  CPU %7.2f µs of both ends\n", r.Concurrency, r.OpsPerSecond, r.P50, r.P99, r.CPUPerOp)
		return err
	})
}

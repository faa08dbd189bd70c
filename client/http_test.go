package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// serve starts a server that answers with handle, and gives a connection to it.
func serve(t *testing.T, handle http.HandlerFunc, options ...HTTPOption) Conn {
	t.Helper()
	server := httptest.NewServer(handle)
	c := HTTP(server.URL, options...)
	t.Cleanup(func() {
		_ = c.(io.Closer).Close()
		server.Close()
	})
	return c
}

// seen is a request as the server saw it.
type seen struct {
	method, uri, body string
	header            http.Header
}

func see(r *http.Request) seen {
	body, _ := io.ReadAll(r.Body)
	return seen{r.Method, r.RequestURI, string(body), r.Header}
}

func TestRequestsInTheFormOfTheHTTPInterface(t *testing.T) {
	at := time.Date(2030, 1, 2, 3, 4, 5, 6, time.FixedZone("x", 3600))
	for name, c := range map[string]struct {
		request Request
		line    string
		session bool
	}{
		"call":        {Request{Kind: "account", Key: "alice", Handler: "deposit", Body: []byte("5")}, "POST /v1/entities/account/alice/deposit 5", true},
		"void call":   {Request{Kind: "account", Key: "alice", Handler: "balance"}, "POST /v1/entities/account/alice/balance ", true},
		"keyed call":  {Request{Kind: "a", Key: "k", Handler: "h", IdempotencyKey: "key 1"}, "POST /v1/entities/a/k/h ", false},
		"strange key": {Request{Kind: "a", Key: "a/b %2F?#ü+&;.", Handler: "h"}, "POST /v1/entities/a/a%2Fb%20%252F%3F%23%C3%BC+&%3B./h ", true},
		"peek":        {Request{Operation: Peek, Kind: "a", Key: "k", Handler: "h"}, "POST /v1/entities/a/k/h?peek=true ", false},
		"submit":      {Request{Operation: Submit, Kind: "a", Key: "k", Handler: "h", Body: []byte("1")}, "POST /v1/entities/a/k/h/send 1", true},
		"one way":     {Request{OneWay: true, Kind: "a", Key: "k", Handler: "h"}, "POST /v1/entities/a/k/h/send ", true},
		"delayed":     {Request{Operation: Submit, Kind: "a", Key: "k", Handler: "h", Delay: 90 * time.Second}, "POST /v1/entities/a/k/h/send?delay=1m30s ", true},
		"at":          {Request{Operation: Submit, Kind: "a", Key: "k", Handler: "h", NotBefore: at}, "POST /v1/entities/a/k/h/send?at=2030-01-02T02%3A04%3A05.000000006Z ", true},
		"inspect":     {Request{Operation: Inspect, Kind: "a", Key: "k"}, "GET /v1/entities/a/k ", false},
		"exists":      {Request{Operation: Exists, Kind: "a", Key: "k"}, "HEAD /v1/entities/a/k ", false},
		"delete":      {Request{Operation: Delete, Kind: "a", Key: "k"}, "DELETE /v1/entities/a/k ", true},
		"reminders":   {Request{Operation: Reminders, Kind: "a", Key: "k"}, "GET /v1/entities/a/k/reminders ", false},
		"list":        {Request{Operation: List, Kind: "a", After: "x&y", Limit: 7}, "GET /v1/entities/a?after=x%26y&limit=7 ", false},
		"list all":    {Request{Operation: List, Kind: "a"}, "GET /v1/entities/a ", false},
		"result":      {Request{Operation: Result, InvocationID: "00ff", Wait: true}, "GET /v1/invocations/00ff?wait=30s ", false},
		"result now":  {Request{Operation: Result, InvocationID: "00ff"}, "GET /v1/invocations/00ff ", false},
	} {
		t.Run(name, func(t *testing.T) {
			var got seen
			conn := serve(t, func(w http.ResponseWriter, r *http.Request) {
				got = see(r)
				_, _ = io.WriteString(w, `{"invocation_id":"1","version":5}`)
			})
			reply, err := conn.Invoke(context.Background(), c.request)
			if err != nil {
				t.Fatal(err)
			}
			if line := got.method + " " + got.uri + " " + got.body; line != c.line {
				t.Errorf("sent %q, want %q", line, c.line)
			}
			if has := got.header.Get("Holdfast-Session") != ""; has != c.session {
				t.Errorf("session %q", got.header.Get("Holdfast-Session"))
			}
			if got.header.Get("Idempotency-Key") != c.request.IdempotencyKey {
				t.Errorf("idempotency key %q", got.header.Get("Idempotency-Key"))
			}
			if c.request.Operation == Inspect && reply.Version != 5 || c.request.Operation == Submit && reply.InvocationID != "1" {
				t.Errorf("reply %+v", reply)
			}
		})
	}
}

func TestKeysArriveAsTheyWere(t *testing.T) {
	var path string
	conn := serve(t, func(w http.ResponseWriter, r *http.Request) { path = r.URL.Path })
	for _, key := range []string{"a/b", "%2F", "ü/日本", "..x", "a b", "?#&=+;", "\x7f", "/", "//", "C:\\x"} {
		if _, err := conn.Invoke(context.Background(), Request{Kind: "k", Key: key, Handler: "h"}); err != nil {
			t.Fatalf("%q: %v", key, err)
		}
		if want := "/v1/entities/k/" + key + "/h"; path != want {
			t.Errorf("key %q: path %q, want %q", key, path, want)
		}
	}
}

func TestHeadersAreSent(t *testing.T) {
	var got http.Header
	conn := serve(t, func(w http.ResponseWriter, r *http.Request) { got = r.Header })
	ctx := WithTraceparent(context.Background(), "00-aa-bb-01")
	_, err := conn.Invoke(ctx, Request{
		Kind: "k", Key: "k", Handler: "h", Body: []byte("x"), ContentType: "text/plain",
		Header: map[string]string{"tenant": "t 1 ü"}, Deadline: time.Now().Add(time.Minute),
	})
	if err != nil {
		t.Fatal(err)
	}
	timeout, err := time.ParseDuration(got.Get("Request-Timeout"))
	if err != nil || timeout > time.Minute || timeout < 30*time.Second {
		t.Errorf("timeout %q", got.Get("Request-Timeout"))
	}
	for name, want := range map[string]string{
		"Content-Type": "text/plain", "X-Holdfast-Header-Tenant": "t 1 ü", "Traceparent": "00-aa-bb-01",
	} {
		if got.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, got.Get(name), want)
		}
	}
}

func TestDeadlineOfTheContextIsSentWithCallsOnly(t *testing.T) {
	var got http.Header
	conn := serve(t, func(w http.ResponseWriter, r *http.Request) { got = r.Header; _, _ = io.WriteString(w, `{}`) })
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for operation, want := range map[Operation]bool{Call: true, Peek: true, Submit: false} {
		if _, err := conn.Invoke(ctx, Request{Operation: operation, Kind: "k", Key: "k", Handler: "h"}); err != nil {
			t.Fatal(err)
		}
		if (got.Get("Request-Timeout") != "") != want {
			t.Errorf("%q: timeout %q", operation, got.Get("Request-Timeout"))
		}
	}
}

func TestRequestsThatCannotBeSent(t *testing.T) {
	conn := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("it was sent") })
	for want, r := range map[string]Request{
		"key is empty":    {Kind: "k", Handler: "h"},
		`".."`:            {Kind: "k", Key: "..", Handler: "h"},
		"name of a kind":  {Key: "k", Handler: "h"},
		"of a handler":    {Kind: "k", Key: "k"},
		"namespaces":      {Namespace: "n", Kind: "k", Key: "k", Handler: "h"},
		"operation":       {Operation: "dance", Kind: "k", Key: "k"},
		"submit it":       {Kind: "k", Key: "k", Handler: "h", Delay: 1},
		"header":          {Kind: "k", Key: "k", Handler: "h", Header: map[string]string{"a b": "c"}},
		"value":           {Kind: "k", Key: "k", Handler: "h", Header: map[string]string{"a": "c\nd"}},
		"idempotency key": {Kind: "k", Key: "k", Handler: "h", IdempotencyKey: "a\nb"},
		"invocation id":   {Operation: Result},
	} {
		_, err := conn.Invoke(context.Background(), r)
		var e *Error
		if !errors.As(err, &e) || e.Code != "invalid_argument" || !strings.Contains(err.Error(), want) || e.Retryable || e.Unknown {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	for _, address := range []string{"ftp://x", "http://", "http://%zz", ""} {
		if _, err := HTTP(address).Invoke(context.Background(), Request{Kind: "k", Key: "k", Handler: "h"}); err == nil || !strings.Contains(err.Error(), "invalid_argument") {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func TestAddressWithoutSchemeIsHTTP(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "1") }))
	defer server.Close()
	c := HTTP(strings.TrimPrefix(server.URL, "http://") + "/")
	defer c.(io.Closer).Close()
	if reply, err := c.Invoke(context.Background(), Request{Kind: "k", Key: "k", Handler: "h"}); err != nil || string(reply.Body) != "1" {
		t.Errorf("got %s, %v", reply.Body, err)
	}
}

func TestErrorsOfTheServer(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		want   Error
	}{
		"outcome":          {409, `{"error":{"code":"insufficient_funds","message":"m"}}`, Error{Code: "insufficient_funds", Class: 3, Message: "m"}},
		"detail":           {400, `{"error":{"code":"c","message":"","detail":{"a": 1}}}`, Error{Code: "c", Class: 1, Detail: []byte(`{"a": 1}`)}},
		"detail in base64": {403, `{"error":{"code":"c","detail_base64":"AAE="}}`, Error{Code: "c", Class: 4, Detail: []byte{0, 1}}},
		"not found":        {404, `{"error":{"code":"not_found","message":"m"}}`, Error{Code: "not_found", Class: 2, Message: "m"}},
		"panic":            {500, `{"error":{"code":"panic","message":"m"}}`, Error{Code: "panic", Message: "m"}},
		"too large":        {413, `{"error":{"code":"payload_too_large"}}`, Error{Code: "payload_too_large", Class: 1}},
		"an outcome with the class of unavailable is final": {503, `{"error":{"code":"closed"}}`, Error{Code: "closed", Class: 6}},
		"deadline":                  {504, `{"error":{"code":"deadline_exceeded"}}`, Error{Code: "deadline_exceeded", Class: 6, Unknown: true}},
		"a proxy's own error":       {418, `<html>teapot`, Error{Code: "failed", Message: "HTTP 418 I'm a teapot: <html>teapot"}},
		"JSON that is not an error": {404, `{}`, Error{Code: "failed", Class: 2, Message: "HTTP 404 Not Found: {}"}},
	} {
		t.Run(name, func(t *testing.T) {
			calls := 0
			conn := serve(t, func(w http.ResponseWriter, r *http.Request) {
				calls++
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			})
			_, err := conn.Invoke(context.Background(), Request{Kind: "k", Key: "k", Handler: "h"})
			var got *Error
			if !errors.As(err, &got) || !reflect.DeepEqual(*got, c.want) || calls != 1 {
				t.Errorf("got %+v after %d calls, want %+v", got, calls, c.want)
			}
		})
	}
}

func TestExistsReadsTheStatus(t *testing.T) {
	status := 200
	conn := serve(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(status) })
	for s, want := range map[int]string{200: "true", 404: "false"} {
		status = s
		if reply, err := conn.Invoke(context.Background(), Request{Operation: Exists, Kind: "k", Key: "k"}); err != nil || string(reply.Body) != want {
			t.Errorf("%d: %s, %v", s, reply.Body, err)
		}
	}
	status = 400
	if _, err := conn.Invoke(context.Background(), Request{Operation: Exists, Kind: "k", Key: "k"}); err == nil {
		t.Error("400 is no answer")
	}
}

func TestAnswerThatIsNoneOfOurs(t *testing.T) {
	conn := serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "hello") })
	for _, operation := range []Operation{Submit, Inspect} {
		if _, err := conn.Invoke(context.Background(), Request{Operation: operation, Kind: "k", Key: "k", Handler: "h"}); err == nil || !strings.Contains(err.Error(), "not what a Holdfast server says") {
			t.Errorf("%s: %v", operation, err)
		}
	}
}

// A server that counts what it has done, by session, as a Holdfast server does,
// and loses every answer in one of many ways.
func TestCallIsDoneOnceHoweverAnswersGetLost(t *testing.T) {
	var (
		mu       sync.Mutex
		answered = map[string]string{} // by session and number
		done     int
		attempts int
	)
	conn := serve(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		attempts++
		if attempts%7 == 1 {
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = io.WriteString(w, `{"error":{"code":"resource_exhausted"}}`)
			return
		}
		session := r.Header.Get("Holdfast-Session")
		if answered[session] == "" {
			done++
			answered[session] = fmt.Sprint(done)
		}
		switch attempts % 7 {
		case 2: // the connection breaks after the work was done
			connection, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_ = connection.Close()
			}
		case 3: // in the middle of the answer
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "1")
		case 4:
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, `{"error":{"code":"unavailable"}}`)
		case 5: // a proxy
			w.WriteHeader(http.StatusBadGateway)
		default:
			_, _ = io.WriteString(w, answered[session])
		}
	})
	for i := range 4 {
		reply, err := conn.Invoke(context.Background(), Request{Kind: "k", Key: "k", Handler: "h", Body: []byte("1")})
		if err != nil || string(reply.Body) != fmt.Sprint(i+1) {
			t.Fatalf("call %d: %s, %v", i, reply.Body, err)
		}
	}
	if done != 4 || attempts < 10 {
		t.Errorf("%d calls were done in %d attempts, want 4", done, attempts)
	}
	sessions := map[string]bool{}
	for session := range answered {
		id, _, _ := strings.Cut(session, "-")
		sessions[id] = true
	}
	if len(sessions) != 1 || len(answered) != 4 {
		t.Errorf("one caller used sessions %v, want four numbers of one", answered)
	}
}

func TestSessionOfACallWhoseFateIsUnknownIsDropped(t *testing.T) {
	block, arrived := make(chan struct{}), make(chan string, 10)
	var blocking atomic.Bool
	conn := serve(t, func(w http.ResponseWriter, r *http.Request) {
		arrived <- r.Header.Get("Holdfast-Session")
		if blocking.Load() {
			<-block
		}
		_, _ = io.WriteString(w, "1")
	})
	defer close(block)
	request := Request{Kind: "k", Key: "k", Handler: "h"}
	if _, err := conn.Invoke(context.Background(), request); err != nil {
		t.Fatal(err)
	}
	first := <-arrived
	blocking.Store(true)
	ctx, cancel := context.WithCancel(context.Background())
	failed := make(chan error)
	go func() {
		_, err := conn.Invoke(ctx, request)
		failed <- err
	}()
	second := <-arrived
	cancel()
	err := <-failed
	var e *Error
	if !errors.Is(err, context.Canceled) || !errors.As(err, &e) || !e.Unknown {
		t.Errorf("got %v", err)
	}
	blocking.Store(false)
	if _, err := conn.Invoke(context.Background(), request); err != nil {
		t.Fatal(err)
	}
	third := <-arrived
	id := func(s string) string { return s[:32] }
	if id(first) != id(second) || !strings.HasSuffix(first, "-1") || !strings.HasSuffix(second, "-2") {
		t.Errorf("sessions %s and %s, want one with numbers 1 and 2", first, second)
	}
	if id(third) == id(second) || !strings.HasSuffix(third, "-1") {
		t.Errorf("session %s came back as %s", second, third)
	}
}

func TestNothingListensIsAKnownFate(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	_, err = HTTP(address, RetryFor(30*time.Millisecond)).Invoke(context.Background(), Request{Kind: "k", Key: "k", Handler: "h"})
	var e *Error
	if !errors.As(err, &e) || e.Code != "unavailable" || e.Unknown || !e.Retryable {
		t.Errorf("got %+v", err)
	}
}

func TestRetryEndsWithTheLimitOrTheContext(t *testing.T) {
	calls := 0
	conn := serve(t, func(w http.ResponseWriter, r *http.Request) {
		calls++
		w.WriteHeader(http.StatusServiceUnavailable)
	}, RetryFor(50*time.Millisecond), WithHTTPClient(&http.Client{Transport: newTransport()}))
	_, err := conn.Invoke(context.Background(), Request{Kind: "k", Key: "k", Handler: "h"})
	var e *Error
	if !errors.As(err, &e) || e.Code != "unavailable" || !e.Unknown || calls < 2 {
		t.Errorf("got %v after %d calls", err, calls)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 80*time.Millisecond)
	defer cancel()
	if _, err = conn.Invoke(ctx, Request{Kind: "k", Key: "k", Handler: "h"}); !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &e) {
		t.Errorf("got %v", err)
	}
}

func TestServerThatSeesTheDeadlineFirst(t *testing.T) {
	conn := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusGatewayTimeout)
		_, _ = io.WriteString(w, `{"error":{"code":"deadline_exceeded","message":"m"}}`)
	})
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	request := Request{Kind: "k", Key: "k", Handler: "h"}
	if _, err := conn.Invoke(ctx, request); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the end of the context", err)
	}
	request.Deadline = time.Now().Add(time.Millisecond)
	_, err := conn.Invoke(context.Background(), request)
	var e *Error
	if !errors.As(err, &e) || e.Code != "deadline_exceeded" {
		t.Errorf("got %v, want the deadline of the request", err)
	}
}

func TestConcurrentCallsHaveSessionsOfTheirOwn(t *testing.T) {
	var (
		mu     sync.Mutex
		active = map[string]bool{}
		last   = map[string]int{}
	)
	conn := serve(t, func(w http.ResponseWriter, r *http.Request) {
		id, number, _ := strings.Cut(r.Header.Get("Holdfast-Session"), "-")
		var n int
		_ = json.Unmarshal([]byte(number), &n)
		mu.Lock()
		if active[id] || n <= last[id] {
			t.Errorf("session %s: number %d while %d is under way or done", id, n, last[id])
		}
		active[id], last[id] = true, n
		mu.Unlock()
		runtime.Gosched()
		mu.Lock()
		delete(active, id) // before the answer: the session is free as soon as that arrives
		mu.Unlock()
		_, _ = io.WriteString(w, "1")
	})
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			for range 25 {
				if _, err := conn.Invoke(context.Background(), Request{Kind: "k", Key: "k", Handler: "h"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if len(last) > 16 {
		t.Errorf("%d sessions for 16 callers", len(last))
	}
}

// What does a call cost on the client's and a bare server's side together?
func BenchmarkHTTPCall(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "1") }))
	defer server.Close()
	conn := HTTP(server.URL)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := conn.Invoke(context.Background(), Request{Kind: "k", Key: "k", Handler: "h", Body: []byte("1")}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

package native

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/program"
)

// TestErrorsHaveTheStatusOfTheirCode: what the door refuses, and what handlers
// answer, has exactly the body and status of DESIGN section 6.
func TestErrorsHaveTheStatusOfTheirCode(t *testing.T) {
	for _, c := range []struct {
		err    msg.Error
		status int
		body   string
	}{
		{msg.Error{Code: "invalid_argument", Class: msg.ClassInvalidArgument, Message: `no "x"`}, 400, `{"error":{"code":"invalid_argument","message":"no \"x\""}}`},
		{msg.Error{Code: "not_found", Class: msg.ClassNotFound}, 404, `{"error":{"code":"not_found","message":""}}`},
		{msg.Error{Code: "conflict", Class: msg.ClassConflict}, 409, `{"error":{"code":"conflict","message":""}}`},
		{msg.Error{Code: "already_exists"}, 409, `{"error":{"code":"already_exists","message":""}}`},
		{msg.Error{Code: "payload_too_large", Class: msg.ClassInvalidArgument}, 413, `{"error":{"code":"payload_too_large","message":""}}`},
		{msg.Error{Code: "unprocessable", Class: msg.ClassInvalidArgument}, 422, `{"error":{"code":"unprocessable","message":""}}`},
		{msg.Error{Code: "failed"}, 500, `{"error":{"code":"failed","message":""}}`},
		{msg.Error{Code: "panic"}, 500, `{"error":{"code":"panic","message":""}}`},
		{msg.Error{Code: "quarantined"}, 500, `{"error":{"code":"quarantined","message":""}}`},
		{msg.Error{Code: "denied", Class: msg.ClassDenied}, 403, `{"error":{"code":"denied","message":""}}`},
		{msg.Error{Code: "cancelled", Class: msg.ClassConflict}, 409, `{"error":{"code":"cancelled","message":""}}`},
		{msg.Error{Code: "resource_exhausted", Class: msg.ClassExhausted}, 429, `{"error":{"code":"resource_exhausted","message":""}}`},
		{msg.Error{Code: "deadline_exceeded", Class: msg.ClassUnavailable}, 504, `{"error":{"code":"deadline_exceeded","message":""}}`},
		{msg.Error{Code: "unavailable", Class: msg.ClassUnavailable}, 503, `{"error":{"code":"unavailable","message":""}}`},

		{msg.Error{Code: "broke", Class: msg.ClassFailed}, 500, `{"error":{"code":"broke","message":""}}`},
		{msg.Error{Code: "bad", Class: msg.ClassInvalidArgument}, 400, `{"error":{"code":"bad","message":""}}`},
		{msg.Error{Code: "gone", Class: msg.ClassNotFound}, 404, `{"error":{"code":"gone","message":""}}`},
		{msg.Error{Code: "insufficient_funds", Class: msg.ClassConflict, Message: "balance is 5", Detail: []byte(`{"balance":5}`)}, 409,
			`{"error":{"code":"insufficient_funds","message":"balance is 5","detail":{"balance":5}}}`},
		{msg.Error{Code: "no", Class: msg.ClassDenied, Detail: []byte("\xff")}, 403, `{"error":{"code":"no","message":"","detail_base64":"/w=="}}`},
		{msg.Error{Code: "busy", Class: msg.ClassExhausted}, 429, `{"error":{"code":"busy","message":""}}`},
		{msg.Error{Code: "later", Class: msg.ClassUnavailable}, 503, `{"error":{"code":"later","message":""}}`},
		{msg.Error{Code: "odd", Class: 99}, 500, `{"error":{"code":"odd","message":""}}`},
	} {
		w := exchange(&fakeDoor{reply: msg.Reply{Err: &c.err}}, "POST", "/v1/entities/account/alice/deposit", "1")
		if w.Code != c.status || w.Body.String() != c.body {
			t.Errorf("%s: got %d %s, want %d %s", c.err.Code, w.Code, w.Body, c.status, c.body)
		}
		if retryable := c.status == 429 || c.status == 503; (w.Header().Get("Retry-After") != "") != retryable {
			t.Errorf("%s: got Retry-After %q with status %d", c.err.Code, w.Header().Get("Retry-After"), c.status)
		}
	}
}

// TestErrorsOfTheDoorReachEveryRoute: no route turns a refusal into a success.
func TestErrorsOfTheDoorReachEveryRoute(t *testing.T) {
	refusal := msg.Reply{Err: msg.Errorf(msg.CodeUnavailable, msg.ClassUnavailable, "shutting down")}
	for _, route := range []string{
		"POST /v1/entities/a/b/c", "POST /v1/entities/a/b/c?peek=1", "POST /v1/entities/a/b/c/send", "GET /v1/entities/a/b",
		"HEAD /v1/entities/a/b", "DELETE /v1/entities/a/b", "GET /v1/entities/a", "GET /v1/entities/a/b/reminders",
		"GET /v1/invocations/" + anIDText, "GET /v1/parked", "POST /v1/parked/a/b/skip", "GET /v1/dead-letters",
		"POST /v1/dead-letters/" + anIDText + "/redeliver", "DELETE /v1/dead-letters/" + anIDText,
		"POST /v1/workflows/a/b", "POST /v1/workflows/a", "POST /v1/workflows/a/b?wait=1s", "GET /v1/workflows/a/b", "GET /v1/workflows/a/b?wait=1s",
		"GET /v1/workflows/a/b/history", "GET /v1/workflows/a", "POST /v1/workflows/a/b/signals/c", "POST /v1/workflows/a/b/queries/c",
		"POST /v1/workflows/a/b/cancel", "POST /v1/workflows/a/b/restart", "POST /v1/promises/" + aPromiseText + "/resolve", "POST /v1/promises/" + aPromiseText + "/reject",
	} {
		method, path, _ := strings.Cut(route, " ")
		if w := exchange(&fakeDoor{reply: refusal}, method, path, ""); w.Code != http.StatusServiceUnavailable {
			t.Errorf("%s: got %d %s, want 503", route, w.Code, w.Body)
		}
	}
}

const startRoute = "POST /v1/workflows/transfer/7"

const callRoute, sendRoute = "POST /v1/entities/account/alice/deposit", "POST /v1/entities/account/alice/deposit/send"

// badRequests are what the frontend itself refuses, and what the message says.
var badRequests = []struct {
	name, route, body string
	header            []string
	says              string
}{
	{"empty key", "POST /v1/entities/account//deposit", "1", nil, "the key is empty"},
	{"empty key of an entity", "GET /v1/entities/account/", "", nil, "the key is empty"},
	{"dot key", "POST /v1/entities/account/./deposit", "1", nil, "meaning of their own in URLs"},
	{"dot dot key", "GET /v1/entities/account/..", "", nil, "meaning of their own in URLs"},
	{"escaped dot dot key", "POST /v1/entities/account/%2E%2e/deposit/send", "1", nil, "meaning of their own in URLs"},
	{"dot key of reminders", "GET /v1/entities/account/./reminders", "", nil, "meaning of their own in URLs"},
	{"dot key of a parked entity", "POST /v1/parked/account/../resume", "", nil, "meaning of their own in URLs"},
	{"overlong key", "POST /v1/entities/account/" + strings.Repeat("k", 1025) + "/deposit", "1", nil, "1025 bytes"},
	{"key that is not UTF-8", "POST /v1/entities/account/%ff/deposit", "1", nil, "is not UTF-8"},
	{"malformed body", callRoute, `{"a":1,}`, nil, "not valid JSON at offset 8"},
	{"body with an end missing", callRoute, ` [1`, nil, "not valid JSON at offset 3"},
	{"body with two values", callRoute, `1 2`, nil, "not valid JSON at offset 3"},
	{"body that is not UTF-8", callRoute, "  \"a\xff\"", nil, "not valid UTF-8 at offset 4"},
	{"malformed body of a send", sendRoute, `x`, nil, "not valid JSON at offset 1"},
	{"negative delay", sendRoute + "?delay=-1s", "1", nil, "not below zero"},
	{"absurd delay", sendRoute + "?delay=2000000h", "1", nil, "after the year 2200"},
	{"delay that is none", sendRoute + "?delay=soon", "1", nil, "want a duration"},
	{"delay beyond what a duration holds", sendRoute + "?delay=99999999999999999999h", "1", nil, "want a duration"},
	{"empty delay", sendRoute + "?delay=", "1", nil, "want a duration"},
	{"two delays", sendRoute + "?delay=1s&delay=2s", "1", nil, "2 times"},
	{"delay and time", sendRoute + "?delay=1s&at=2030-01-01T00:00:00Z", "1", nil, "exclude each other"},
	{"time that is none", sendRoute + "?at=tomorrow", "1", nil, "RFC 3339"},
	{"absurd time", sendRoute + "?at=9999-01-01T00:00:00Z", "1", nil, "after the year 2200"},
	{"slip in a parameter", sendRoute + "?dealy=1s", "1", nil, "takes only delay, at"},
	{"delay of a call", callRoute + "?delay=1s", "1", nil, "takes only peek"},
	{"peek that is neither", callRoute + "?peek=perhaps", "1", nil, "want true or false"},
	{"malformed query", callRoute + "?%zz", "1", nil, "the query is malformed"},
	{"deadline before the delay is over", sendRoute + "?delay=10s", "1", []string{"Request-Timeout", "5s"}, "must not begin before"},
	{"timeout that is none", callRoute, "1", []string{"Request-Timeout", "fast"}, "want a duration above zero"},
	{"timeout of zero", callRoute, "1", []string{"Request-Timeout", "0"}, "want a duration above zero"},
	{"negative timeout", callRoute, "1", []string{"Request-Timeout", "-2s"}, "want a duration above zero"},
	{"absurd timeout", callRoute, "1", []string{"Request-Timeout", "2000000h"}, "after the year 2200"},
	{"empty idempotency key", callRoute, "1", []string{"Idempotency-Key", ""}, "1 to 255 characters"},
	{"overlong idempotency key", callRoute, "1", []string{"Idempotency-Key", strings.Repeat("k", 256)}, "256 bytes"},
	{"unprintable idempotency key", callRoute, "1", []string{"Idempotency-Key", "kü"}, "offset 1"},
	{"two idempotency keys", callRoute, "1", []string{"Idempotency-Key", "a", "Idempotency-Key", "b"}, "one value"},
	{"two identities", callRoute, "1", []string{"Idempotency-Key", "a", "Holdfast-Session", aSession}, "exclude each other"},
	{"short session", callRoute, "1", []string{"Holdfast-Session", "00-1"}, "32 hexadecimal digits"},
	{"session that is not hexadecimal", callRoute, "1", []string{"Holdfast-Session", strings.Repeat("g", 32) + "-1"}, "32 hexadecimal digits"},
	{"session of zeros", callRoute, "1", []string{"Holdfast-Session", strings.Repeat("0", 32) + "-1"}, "not all zero"},
	{"session number zero", callRoute, "1", []string{"Holdfast-Session", strings.Repeat("1", 32) + "-0"}, "a number from 1"},
	{"session without a number", callRoute, "1", []string{"Holdfast-Session", strings.Repeat("1", 32)}, "a number from 1"},
	{"limit of zero", "GET /v1/entities/account?limit=0", "", nil, "from 1 to 1000"},
	{"limit that is none", "GET /v1/entities/account?limit=all", "", nil, "from 1 to 1000"},
	{"parameter of an entity", "GET /v1/entities/account/alice?x=1", "", nil, "takes no parameters"},
	{"parameter of a list", "GET /v1/parked?page=1", "", nil, "takes only limit, after"},
	{"limit of a list", "GET /v1/dead-letters?limit=0", "", nil, "want a number from 1 to 1000"},
	{"cursor of somebody else", "GET /v1/parked?after=account/alice", "", nil, "the next of the page before"},
	{"half a holder", "POST /v1/locks/a/b/release?workflow=transfer", "", nil, "name a holder together"},
	{"run of a holder that is no number", "POST /v1/locks/a/b/release?workflow=transfer&id=7&run=x", "", nil, "the list of locks names"},
	{"dot key of a lock", "POST /v1/locks/account/../release", "", nil, "meaning of their own in URLs"},
	{"parameter of an event", "POST /v1/events/moved?delay=1s", "", nil, "takes no parameters"},
	{"parameter of an operation", "POST /v1/parked/a/b/skip?force=1", "", nil, "takes no parameters"},
	{"invocation that is none", "GET /v1/invocations/7", "", nil, "invocation id has 1 characters"},
	{"invocation that is not hexadecimal", "GET /v1/invocations/" + strings.Repeat("z", 32), "", nil, "not hexadecimal"},
	{"dead letter that is none", "DELETE /v1/dead-letters/7", "", nil, "invocation id has 1 characters"},
	{"malformed input of a workflow", startRoute, `x`, nil, "not valid JSON at offset 1"},
	{"wait that is none", startRoute + "?wait=long", "1", nil, "want a duration"},
	{"negative wait for a workflow", "GET /v1/workflows/transfer/7?wait=-1s", "", nil, "not below zero"},
	{"conflict policy that is none", startRoute + "?on_conflict=dance", "1", nil, "attach, reject, replace"},
	{"waiting for a start that is delayed", startRoute + "?wait=1s&delay=1s", "1", nil, "delayed cannot be waited for"},
	{"start with delay and time", startRoute + "?delay=1s&at=2030-01-01T00:00:00Z", "1", nil, "exclude each other"},
	{"start with a negative delay", startRoute + "?delay=-1s", "1", nil, "not below zero"},
	{"deadline before a start", startRoute + "?delay=10s", "1", []string{"Request-Timeout", "5s"}, "must not begin before"},
	{"slip in a parameter of a start", startRoute + "?onconflict=reject", "1", nil, "takes only wait, on_conflict, delay, at"},
	{"two identities of a start", startRoute, "1", []string{"Idempotency-Key", "a", "Holdfast-Session", aSession}, "exclude each other"},
	{"parameter of a description", "GET /v1/workflows/transfer/7?x=1", "", nil, "takes only wait"},
	{"timeout of a description that is none", "GET /v1/workflows/transfer/7", "", []string{"Request-Timeout", "x"}, "want a duration"},
	{"parameter of a history", "GET /v1/workflows/transfer/7/history?x=1", "", nil, "takes only journal"},
	{"timeout of a history that is none", "GET /v1/workflows/transfer/7/history", "", []string{"Request-Timeout", "x"}, "want a duration"},
	{"limit of runs that is none", "GET /v1/workflows/transfer?limit=0", "", nil, "from 1 to 1000"},
	{"status that is none", "GET /v1/workflows/transfer?status=odd", "", nil, "running, completed"},
	{"cursor that is none", "GET /v1/workflows/transfer?after=!", "", nil, "must be the next of the page before"},
	{"parameter of runs", "GET /v1/workflows/transfer?x=1", "", nil, "takes only status, limit, after"},
	{"timeout of runs that is none", "GET /v1/workflows/transfer", "", []string{"Request-Timeout", "x"}, "want a duration"},
	{"parameter of a signal", startRoute + "/signals/approve?wait=1s", "1", nil, "takes only delay, at"},
	{"malformed signal", startRoute + "/signals/approve", "{", nil, "not valid JSON"},
	{"deadline before a signal", startRoute + "/signals/approve?delay=10s", "1", []string{"Request-Timeout", "5s"}, "must not begin before"},
	{"parameter of a query", startRoute + "/queries/progress?x=1", "1", nil, "takes no parameters"},
	{"malformed query of a workflow", startRoute + "/queries/progress", "{", nil, "not valid JSON"},
	{"parameter of a cancellation", startRoute + "/cancel?x=1", "", nil, "takes no parameters"},
	{"session of a cancellation that is none", startRoute + "/cancel", "", []string{"Holdfast-Session", "x"}, "32 hexadecimal digits"},
	{"promise that is none", "POST /v1/promises/x/resolve", "1", nil, "no id of a promise"},
	{"parameter of a promise", "POST /v1/promises/" + aPromiseText + "/resolve?x=1", "1", nil, "takes no parameters"},
	{"malformed result of a promise", "POST /v1/promises/" + aPromiseText + "/resolve", "{", nil, "not valid JSON"},
	{"rejection that is no error", "POST /v1/promises/" + aPromiseText + "/reject", "1", nil, "the body is no error"},
	{"negative wait", "GET /v1/invocations/" + anIDText + "?wait=-1s", "", nil, "not below zero"},
}

// TestBadRequestsNeverReachTheDoor: each is a 400 that names what is wrong.
func TestBadRequestsNeverReachTheDoor(t *testing.T) {
	for _, c := range badRequests {
		t.Run(c.name, func(t *testing.T) {
			method, path, _ := strings.Cut(c.route, " ")
			door := &fakeDoor{}
			w := exchange(door, method, path, c.body, c.header...)
			if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), `"code":"invalid_argument"`) ||
				!strings.Contains(w.Body.String(), c.says) {
				t.Errorf("got %d %s, want 400 invalid_argument that says %q", w.Code, w.Body, c.says)
			}
			if asked := door.asked(); len(asked) > 0 {
				t.Errorf("the door was asked %+v", asked)
			}
		})
	}
}

// TestBodiesAreBounded sends bodies around the limit of 1,000 bytes, with their
// length named and chunked, over a real connection.
func TestBodiesAreBounded(t *testing.T) {
	door := &fakeDoor{answer: func(_ context.Context, r *msg.Request) msg.Reply {
		return msg.Reply{Payload: msg.Payload{Body: fmt.Append(nil, len(r.Payload.Body))}}
	}}
	server := serve(t, handlerOf(door))
	for _, c := range []struct {
		bytes   int
		chunked bool
		status  int
	}{
		{2, false, 200}, {2, true, 200}, {1000, false, 200}, {1000, true, 200}, {1001, false, 413}, {1001, true, 413}, {1 << 20, true, 413}, {1 << 20, false, 413},
	} {
		text := strings.Repeat("1", c.bytes)
		var body io.Reader = strings.NewReader(text)
		if c.chunked {
			body = io.MultiReader(body) // hides the length
		}
		response, err := server.Client().Post(server.URL+"/v1/entities/a/b/c", "application/json", body)
		if err != nil {
			t.Errorf("%d bytes, chunked %v: %v", c.bytes, c.chunked, err)
			continue
		}
		answer, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != c.status {
			t.Errorf("%d bytes, chunked %v: got %d %s, want %d", c.bytes, c.chunked, response.StatusCode, answer, c.status)
		}
		if c.status == 200 && string(answer) != fmt.Sprint(c.bytes) {
			t.Errorf("%d bytes, chunked %v: the door saw %s bytes", c.bytes, c.chunked, answer)
		}
	}
}

// TestLargeBodiesArriveWhole uses the path for bodies that are read in pieces.
func TestLargeBodiesArriveWhole(t *testing.T) {
	var got string
	door := &fakeDoor{answer: func(_ context.Context, r *msg.Request) msg.Reply {
		got = string(r.Payload.Body)
		return msg.Reply{}
	}}
	server := serve(t, New(Config{Door: door}))
	for _, chunked := range []bool{false, true} {
		text := `"` + strings.Repeat("0123456789", 30_000) + `"`
		var body io.Reader = strings.NewReader(text)
		if chunked {
			body = io.MultiReader(body)
		}
		response, err := server.Client().Post(server.URL+"/v1/entities/a/b/c", "application/json", body)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != 200 || got != text {
			t.Errorf("chunked %v: got %d and %d bytes, want 200 and %d bytes", chunked, response.StatusCode, len(got), len(text))
		}
	}
}

// TestAnnouncedBodyIsRefusedBeforeItIsSent: 413 does not need the body.
func TestAnnouncedBodyIsRefusedBeforeItIsSent(t *testing.T) {
	door := &fakeDoor{}
	server := serve(t, handlerOf(door))
	connection, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	fmt.Fprintf(connection, "POST /v1/entities/a/b/c HTTP/1.1\r\nHost: x\r\nContent-Length: 8000000000\r\n\r\n1")
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusRequestEntityTooLarge || len(door.asked()) > 0 {
		t.Errorf("got %d, want 413 without asking the door", response.StatusCode)
	}
}

// TestTruncatedBodyIsNotARequest: a client that dies in the middle of a body
// has asked for nothing.
func TestTruncatedBodyIsNotARequest(t *testing.T) {
	door := &fakeDoor{}
	r := httptest.NewRequest("POST", "/v1/entities/a/b/c", io.MultiReader(strings.NewReader("12")))
	r.ContentLength = 5
	w := httptest.NewRecorder()
	handlerOf(door).ServeHTTP(w, r)
	if w.Code != http.StatusBadRequest || len(door.asked()) > 0 {
		t.Errorf("got %d %s, want 400 without asking the door", w.Code, w.Body)
	}
}

// TestKeysAreNotCleanedOnTheWire: no redirect, no cleaning, over a real
// connection, where net/http would do both by itself.
func TestKeysAreNotCleanedOnTheWire(t *testing.T) {
	door := &fakeDoor{}
	server := serve(t, handlerOf(door))
	for path, want := range map[string]int{
		"/v1/entities/account/./deposit":         400,
		"/v1/entities/account/../deposit":        400,
		"/v1/entities/account/%2e%2E/deposit":    400,
		"/v1/entities/account//deposit":          400,
		"/v1/entities/account/a%2F..%2Fb/send":   200,
		"/v1/entities/account/a%2Fb%3Fc/deposit": 200,
	} {
		connection, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(connection, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", path)
		response, err := http.ReadResponse(bufio.NewReader(connection), nil)
		if err != nil || response.StatusCode != want {
			t.Errorf("POST %s: got %v %v, want %d", path, response, err, want)
		}
		connection.Close()
	}
}

// TestBothProtocolsOnOnePort: HTTP/1.1 and HTTP/2 without TLS.
func TestBothProtocolsOnOnePort(t *testing.T) {
	server := serve(t, handlerOf(&fakeDoor{reply: msg.Reply{Payload: jsonPayload("1")}}))
	for _, major := range []int{1, 2} {
		protocols := new(http.Protocols)
		protocols.SetHTTP1(major == 1)
		protocols.SetUnencryptedHTTP2(major == 2)
		transport := &http.Transport{Protocols: protocols}
		client := &http.Client{Transport: transport}
		response, err := client.Post(server.URL+"/v1/entities/a/b/c", "", strings.NewReader("1"))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		transport.CloseIdleConnections()
		if response.ProtoMajor != major || string(body) != "1" || response.ContentLength != 1 {
			t.Errorf("got HTTP/%d %q with length %d, want HTTP/%d \"1\" with its length", response.ProtoMajor, body, response.ContentLength, major)
		}
	}
}

// TestWaitEndsWithTheStatusAsItStands: an invocation that does not end in time
// is pending, not an error.
func TestWaitEndsWithTheStatusAsItStands(t *testing.T) {
	door := &fakeDoor{answer: func(ctx context.Context, r *msg.Request) msg.Reply {
		if !r.Wait {
			return msg.Reply{Status: msg.StatusPending}
		}
		<-ctx.Done()
		return msg.Reply{Err: msg.Errorf(msg.CodeDeadlineExceeded, msg.ClassUnavailable, "not yet")}
	}}
	w := exchange(door, "GET", "/v1/invocations/"+anIDText+"?wait=1ms", "")
	if want := `{"id":"` + anIDText + `","status":"pending"}`; w.Code != 200 || w.Body.String() != want {
		t.Errorf("got %d %s, want 200 %s", w.Code, w.Body, want)
	}
}

// TestTimeoutBoundsTheWait: the door is given a context with the deadline.
func TestTimeoutBoundsTheWait(t *testing.T) {
	var until time.Time
	door := &fakeDoor{answer: func(ctx context.Context, _ *msg.Request) msg.Reply {
		until, _ = ctx.Deadline()
		return msg.Reply{}
	}}
	exchange(door, "POST", "/v1/entities/a/b/c", "1", "Request-Timeout", "1h")
	if want := noon.Add(time.Hour); !until.Equal(want) {
		t.Errorf("the context ends at %v, want %v", until, want)
	}
}

// TestPagesOfOtherOriginsAreDenied: a browser may not be made to post here.
func TestPagesOfOtherOriginsAreDenied(t *testing.T) {
	door := &fakeDoor{}
	w := exchange(door, "POST", "/v1/entities/a/b/c", "1", "Sec-Fetch-Site", "cross-site", "Origin", "https://elsewhere.example")
	if w.Code != http.StatusForbidden || len(door.asked()) > 0 {
		t.Errorf("got %d %s, want 403 without asking the door", w.Code, w.Body)
	}
	if w = exchange(door, "POST", "/v1/entities/a/b/c", "1", "Sec-Fetch-Site", "same-origin"); w.Code != http.StatusOK {
		t.Errorf("got %d %s for a page of this server, want 200", w.Code, w.Body)
	}
}

func TestHealthAndReadiness(t *testing.T) {
	door := &fakeDoor{ready: errors.New("recovering")}
	if w := exchange(door, "GET", "/healthz", ""); w.Code != 200 {
		t.Errorf("healthz: got %d, want 200", w.Code)
	}
	w := exchange(door, "GET", "/readyz", "")
	if want := `{"error":{"code":"unavailable","message":"recovering"}}`; w.Code != 503 || w.Body.String() != want {
		t.Errorf("readyz while recovering: got %d %s, want 503 %s", w.Code, w.Body, want)
	}
	door.ready = nil
	if w := exchange(door, "GET", "/readyz", ""); w.Code != 200 {
		t.Errorf("readyz: got %d %s, want 200", w.Code, w.Body)
	}
}

// TestObserverIsToldRouteAndStatus: metrics see every request once.
func TestObserverIsToldRouteAndStatus(t *testing.T) {
	var seen []string
	h := New(Config{
		Door:    &fakeDoor{description: program.Description{App: "x"}},
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "metrics") }),
		Observe: func(route Route, status int, d time.Duration) { seen = append(seen, fmt.Sprint(route, status, d >= 0)) },
	})
	for _, route := range []string{
		"POST /v1/entities/a/b/c", "POST /v1/entities/a/b/c?peek=1", "POST /v1/entities/a/b/c/send", "GET /v1/entities/a/b", "HEAD /v1/entities/a/b",
		"DELETE /v1/entities/a/b", "GET /v1/entities/a", "GET /v1/entities/a/b/reminders", "GET /v1/invocations/x", "GET /v1/parked",
		"GET /healthz", "GET /metrics", "GET /openapi.json", "GET /nothing",
	} {
		method, path, _ := strings.Cut(route, " ")
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(method, path, nil))
	}
	want := "call 200 true,peek 200 true,submit 202 true,inspect 404 true,exists 404 true,delete 204 true,list 200 true," +
		"reminders 200 true,invocation 400 true,operator 200 true,health 200 true,metrics 200 true,openapi 200 true,other 404 true"
	if got := strings.Join(seen, ","); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

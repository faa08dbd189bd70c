package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
)

const (
	// retryForDefault is how long a request is repeated without success when its
	// context has no deadline: a server that is restarted is back well before.
	retryForDefault = time.Minute

	// backOffFirst and backOffMax bound the pauses between attempts; each is
	// twice the one before. A restart takes about 300 ms.
	backOffFirst = 10 * time.Millisecond
	backOffMax   = time.Second

	// waitMax is how long the server may hold one question that waits. It is below
	// the minute after which proxies cut idle requests.
	waitMax = 30 * time.Second

	// answerBytesMax bounds an answer; it is far above what a server sends.
	answerBytesMax = 256 << 20

	// idleConnectionsMax keeps a connection for every caller of a busy process;
	// the standard library's two would make the others reconnect each time.
	idleConnectionsMax = 1024
)

// HTTPOption configures HTTP.
type HTTPOption func(*httpConn)

// RetryFor bounds how long a request whose context has no deadline is repeated
// without success. The default is a minute.
func RetryFor(d time.Duration) HTTPOption { return func(c *httpConn) { c.retryFor = d } }

// WithHTTPClient sends requests through h, for TLS and proxies.
func WithHTTPClient(h *http.Client) HTTPOption { return func(c *httpConn) { c.http = h } }

type traceparentKey struct{}

// WithTraceparent gives a context whose requests carry a W3C traceparent.
func WithTraceparent(ctx context.Context, traceparent string) context.Context {
	return context.WithValue(ctx, traceparentKey{}, traceparent)
}

// Traceparent is what WithTraceparent put into ctx; empty if nothing.
func Traceparent(ctx context.Context) string {
	value, _ := ctx.Value(traceparentKey{}).(string)
	return value
}

// httpConn speaks the native HTTP interface.
type httpConn struct {
	base     string // without a slash at its end
	broken   error  // why base is no URL
	http     *http.Client
	sessions *Sessions
	retryFor time.Duration
}

var _ Conn = (*httpConn)(nil)

// HTTP gives a connection to the server at address, such as
// "http://127.0.0.1:7070". It connects when it is used, keeps connections open,
// and says only then if address is no URL.
//
// Every update is done once, however often it has to be repeated: a request
// without an idempotency key carries the identity of a session. A request is
// repeated, with exponential back-off, after a lost connection and after
// refusals that pass (unavailable, resource_exhausted), until its context ends;
// if that has no deadline, until a minute has passed without success.
//
// The Conn is an io.Closer, too: Close drops idle connections.
func HTTP(address string, options ...HTTPOption) Conn {
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	c := &httpConn{base: strings.TrimRight(address, "/"), sessions: NewSessions(), retryFor: retryForDefault}
	if u, err := url.Parse(c.base); err != nil {
		c.broken = err
	} else if u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		c.broken = fmt.Errorf("%q is no address of a server; want one like http://127.0.0.1:7070", address)
	}
	for _, o := range options {
		o(c)
	}
	if c.http == nil {
		c.http = &http.Client{Transport: newTransport()}
	}
	return c
}

func newTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         dialer.DialContext,
		MaxIdleConnsPerHost: idleConnectionsMax,
		IdleConnTimeout:     90 * time.Second,
		DisableCompression:  true,
		TLSHandshakeTimeout: 5 * time.Second,
	}
}

// Close drops idle connections.
func (c *httpConn) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// Invoke implements Conn.
func (c *httpConn) Invoke(ctx context.Context, r Request) (Reply, error) {
	if c.broken != nil {
		return Reply{}, invalid(c.broken)
	}
	if r.Wait && (r.Operation == Start || r.Operation == Describe) {
		return c.await(ctx, r)
	}
	return c.invoke(ctx, r)
}

func (c *httpConn) invoke(ctx context.Context, r Request) (Reply, error) {
	call, err := c.translate(ctx, r)
	if err != nil {
		return Reply{}, invalid(err)
	}
	if trace := Traceparent(ctx); trace != "" {
		call.header.Set("Traceparent", trace)
	}
	if !call.changes || r.IdempotencyKey != "" {
		reply, _, err := c.repeat(ctx, call)
		return reply, err
	}
	session := c.sessions.Take()
	call.header.Set("Holdfast-Session", session.String())
	reply, known, err := c.repeat(ctx, call)
	if known {
		session.Done()
	} else {
		session.Drop()
	}
	return reply, err
}

func invalid(err error) *Error {
	return &Error{Code: msg.CodeInvalidArgument, Class: uint8(msg.ClassInvalidArgument), Message: err.Error()}
}

// repeat sends the call until there is an answer that will not change. It
// reports whether the fate of the request is known.
func (c *httpConn) repeat(ctx context.Context, call *call) (reply Reply, known bool, err error) {
	known = true
	var firstFailure time.Time
	for pause := backOffFirst; ; pause = min(2*pause, backOffMax) {
		var failure *Error
		reply, failure = c.attempt(ctx, call)
		if failure == nil {
			return reply, true, nil
		}
		if !failure.Retryable && !failure.Unknown {
			return reply, true, failure // an answer, whatever became of earlier attempts
		}
		known = known && !failure.Unknown
		failure.Unknown = !known
		if failure.Code == msg.CodeDeadlineExceeded && call.untilContext {
			<-ctx.Done() // the server's clock was first: this is the end of the context all the same
		}
		if ctx.Err() != nil {
			return reply, known, ended(ctx, call, failure)
		}
		if !failure.Retryable {
			return reply, known, failure
		}
		if firstFailure.IsZero() {
			firstFailure = time.Now()
		}
		if _, limited := ctx.Deadline(); !limited && time.Since(firstFailure) > c.retryFor {
			return reply, known, failure
		}
		if !sleep(ctx, pause/2+rand.N(pause/2)) {
			return reply, known, ended(ctx, call, failure)
		}
	}
}

// ended says that the context was over before there was an answer.
func ended(ctx context.Context, call *call, last *Error) error {
	return fmt.Errorf("wait for the answer to %s %s: %w; last attempt: %w", call.method, call.path, ctx.Err(), last)
}

// sleep waits; it reports false if the context ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// attempt sends the call once.
func (c *httpConn) attempt(ctx context.Context, call *call) (Reply, *Error) {
	request, err := call.request(ctx, c.base)
	if err != nil {
		return Reply{}, invalid(err)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return Reply{}, lost(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, answerBytesMax+1))
	if err != nil {
		return Reply{}, lost(err)
	}
	if len(body) > answerBytesMax {
		return Reply{}, invalid(fmt.Errorf("the answer is larger than %d bytes", answerBytesMax))
	}
	return call.answer(response, body)
}

// lost says that there is no answer. If no connection was made, nothing was
// done.
func lost(err error) *Error {
	var operation *net.OpError
	dialling := errors.As(err, &operation) && operation.Op == "dial"
	return &Error{
		Code: msg.CodeUnavailable, Class: uint8(msg.ClassUnavailable), Message: err.Error(),
		Retryable: true, Unknown: !dialling,
	}
}

// refusal reads an error answer.
func refusal(response *http.Response, body []byte) *Error {
	var answer struct {
		Error *struct {
			Code         string
			Message      string
			Detail       json.RawMessage
			DetailBase64 []byte `json:"detail_base64"`
		}
	}
	status := response.StatusCode
	if json.Unmarshal(body, &answer) != nil || answer.Error == nil || answer.Error.Code == "" {
		// Not one of ours: a proxy in between.
		e := &Error{Code: msg.CodeFailed, Message: fmt.Sprintf("HTTP %s: %.200s", response.Status, body)}
		if status == http.StatusBadGateway || status == http.StatusServiceUnavailable || status == http.StatusGatewayTimeout {
			e.Code, e.Retryable, e.Unknown = msg.CodeUnavailable, true, true
		}
		e.Class = uint8(classOf(status))
		return e
	}
	e := &Error{Code: answer.Error.Code, Class: uint8(classOf(status)), Message: answer.Error.Message, Detail: answer.Error.Detail}
	if answer.Error.DetailBase64 != nil {
		e.Detail = answer.Error.DetailBase64
	}
	switch e.Code {
	case msg.CodeUnavailable:
		e.Retryable, e.Unknown = true, true
	case msg.CodeResourceExhausted:
		e.Retryable = true
	case msg.CodeDeadlineExceeded, msg.CodeCancelled:
		e.Unknown = true
	}
	return e
}

// classOf gives the class that a status stands for.
func classOf(status int) msg.Class {
	switch status {
	case http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return msg.ClassInvalidArgument
	case http.StatusUnauthorized, http.StatusForbidden:
		return msg.ClassDenied
	case http.StatusNotFound:
		return msg.ClassNotFound
	case http.StatusConflict:
		return msg.ClassConflict
	case http.StatusTooManyRequests:
		return msg.ClassExhausted
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return msg.ClassUnavailable
	}
	return msg.ClassFailed
}

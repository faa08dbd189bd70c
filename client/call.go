package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// call is a request in the form of the native HTTP interface.
type call struct {
	operation Operation
	method    string
	path      string // escaped, with its query
	body      []byte
	header    http.Header
	changes   bool // it may change something: it needs an identity
	deadline  time.Time

	untilContext bool // the deadline is that of the context
}

// translate gives the HTTP form of a request; an error says why it has none.
func (c *httpConn) translate(ctx context.Context, r Request) (*call, error) {
	operation := r.Operation
	if r.OneWay && operation == Call {
		operation = Submit
	}
	to := &call{operation: operation, header: http.Header{}}
	if operation == Result {
		return to, to.result(r)
	}
	if r.Namespace != "" {
		return nil, errors.New("namespaces are reserved; leave Request.Namespace empty")
	}
	if translate := workflowCalls[operation]; translate != nil {
		return to, translate(to, ctx, r)
	}
	if err := checkSegment("kind", r.Kind); err != nil {
		return nil, err
	}
	to.path = "/v1/entities/" + url.PathEscape(r.Kind)
	if operation == List {
		to.list(r)
		return to, nil
	}
	if err := CheckKey(r.Key); err != nil {
		return nil, err
	}
	to.path += "/" + url.PathEscape(r.Key)
	switch operation {
	case Call, Submit, Peek:
		to.setDeadline(ctx, r.Deadline)
		return to, to.run(r)
	case Inspect:
		to.method = http.MethodGet
	case Exists:
		to.method = http.MethodHead
	case Delete:
		to.method, to.changes = http.MethodDelete, true
	case Reminders:
		to.method, to.path = http.MethodGet, to.path+"/reminders"
	default:
		return nil, fmt.Errorf("unknown operation %q", operation)
	}
	return to, to.setHeaders(r)
}

// checkSegment refuses names that a URL path cannot carry.
func checkSegment(what, name string) error {
	if name == "" || name == "." || name == ".." {
		return fmt.Errorf("%q is no name of a %s", name, what)
	}
	return nil
}

func (to *call) result(r Request) error {
	if r.InvocationID == "" {
		return errors.New("the invocation id is empty")
	}
	to.method, to.path = http.MethodGet, "/v1/invocations/"+url.PathEscape(r.InvocationID)
	to.setQuery(waiting(r))
	return nil
}

// waiting gives the parameters of a question that may wait for its answer.
func waiting(r Request) url.Values {
	query := url.Values{}
	if r.Wait {
		query.Set("wait", waitMax.String())
	}
	return query
}

func (to *call) list(r Request) {
	query := url.Values{}
	if r.Limit > 0 {
		query.Set("limit", strconv.Itoa(r.Limit))
	}
	if r.After != "" {
		query.Set("after", r.After)
	}
	if r.Status != "" && to.operation == ListRuns {
		query.Set("status", r.Status)
	}
	to.method = http.MethodGet
	to.setQuery(query)
}

func (to *call) setQuery(query url.Values) {
	if len(query) > 0 {
		to.path += "?" + query.Encode()
	}
}

// run asks for a handler.
func (to *call) run(r Request) error {
	if err := checkSegment("handler", r.Handler); err != nil {
		return err
	}
	to.path += "/" + url.PathEscape(r.Handler)
	to.changes = to.operation != Peek
	query := delay(r)
	switch {
	case to.operation == Submit:
		to.path += "/send"
	case len(query) > 0:
		return errors.New("a call cannot be delayed; submit it")
	case to.operation == Peek:
		query.Set("peek", "true")
	}
	to.setQuery(query)
	return to.post(r)
}

// delay gives the parameters that say when a request may begin.
func delay(r Request) url.Values {
	query := url.Values{}
	if r.Delay != 0 {
		query.Set("delay", r.Delay.String())
	} else if !r.NotBefore.IsZero() {
		query.Set("at", r.NotBefore.UTC().Format(time.RFC3339Nano))
	}
	return query
}

// post sends the body.
func (to *call) post(r Request) error {
	to.method, to.body = http.MethodPost, r.Body
	if len(r.Body) > 0 {
		contentType := r.ContentType
		if contentType == "" {
			contentType = "application/json"
		}
		to.header.Set("Content-Type", contentType)
	}
	return to.setHeaders(r)
}

func (to *call) setHeaders(r Request) error {
	if r.IdempotencyKey != "" {
		if !plainText(r.IdempotencyKey) {
			return errors.New("the idempotency key has control characters")
		}
		to.header.Set("Idempotency-Key", r.IdempotencyKey)
	}
	for name, value := range r.Header {
		if !isToken(name) || !plainText(value) {
			return fmt.Errorf("header %q cannot be sent over HTTP: a name has letters, digits and hyphens, a value no control characters", name)
		}
		to.header.Set("X-Holdfast-Header-"+name, value)
	}
	return nil
}

// setDeadline says when the request need not begin any more. Who waits for an
// answer gives up when ctx ends; a submitted request goes on.
func (to *call) setDeadline(ctx context.Context, deadline time.Time) {
	to.deadline = deadline
	until, ok := ctx.Deadline()
	if ok && !submits[to.operation] && (deadline.IsZero() || !deadline.Before(until)) {
		to.deadline, to.untilContext = until, true
	}
}

func plainText(value string) bool {
	return !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) && strings.TrimSpace(value) == value
}

func isToken(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		return !letter && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
	})
}

// request makes the request of one attempt.
func (to *call) request(ctx context.Context, base string) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, to.method, base+to.path, bytes.NewReader(to.body))
	if err != nil {
		return nil, err
	}
	if len(to.body) == 0 {
		request.Body = http.NoBody
	}
	request.Header = to.header
	if !to.deadline.IsZero() {
		// The server counts from when the request arrives: clocks may differ.
		left := max(time.Until(to.deadline), time.Millisecond)
		request.Header = to.header.Clone() // an earlier attempt may still read it
		request.Header.Set("Request-Timeout", left.Round(time.Microsecond).String())
	}
	return request, nil
}

// answer reads what the server said.
func (to *call) answer(response *http.Response, body []byte) (Reply, *Error) {
	if to.operation == Exists {
		switch response.StatusCode {
		case http.StatusOK:
			return Reply{Body: []byte("true")}, nil
		case http.StatusNotFound:
			return Reply{Body: []byte("false")}, nil
		}
	}
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return Reply{}, refusal(response, body)
	}
	reply := Reply{Body: body, ContentType: response.Header.Get("Content-Type")}
	var err error
	switch to.operation {
	case Submit, Start:
		var accepted struct {
			ID string `json:"invocation_id"`
		}
		err = json.Unmarshal(body, &accepted)
		reply.InvocationID = accepted.ID
	case Inspect:
		var entity struct{ Version uint64 }
		err = json.Unmarshal(body, &entity)
		reply.Version = entity.Version
	}
	if err != nil {
		return reply, invalid(fmt.Errorf("%s %s: the answer %.200q is not what a Holdfast server says: %w", to.method, to.path, body, err))
	}
	return reply, nil
}

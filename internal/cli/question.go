package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/holdfast-io/holdfast/client"
	"github.com/holdfast-io/holdfast/internal/msg"
)

const (
	// backOff is the pause between attempts to reach a server.
	backOff = 100 * time.Millisecond
	// refusalBytesMax bounds the body of an error.
	refusalBytesMax = 1 << 20
)

// question is a request for which package client has no operation.
type question struct {
	method, path string
	repeatable   bool   // asking twice does nothing twice
	advice       string // what to do if there is no such thing
}

// advisedError is an error with something particular to do about it.
type advisedError struct {
	error
	advice string
}

func (e *advisedError) Unwrap() error { return e.error }

// ask puts a question to the server, and gives its answer to read unless that
// is nil. It is put again while there is no connection, and after that only if
// it is repeatable: skipping an input twice would skip two.
func (c *commands) ask(ctx context.Context, q question, read func(io.Reader) error) error {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}
	for began := time.Now(); ; {
		err := q.put(ctx, transport, c.server, read)
		var failed *client.Error
		if err == nil || !errors.As(err, &failed) {
			return err
		}
		if q.repeatable {
			failed.Unknown = false
		}
		if !failed.Retryable || failed.Unknown || time.Since(began) > retryFor {
			return q.advise(failed)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the answer to %s %s: %w; last attempt: %w", q.method, q.path, ctx.Err(), failed)
		case <-time.After(backOff):
		}
	}
}

// advise adds what to do if the server knows no such thing.
func (q *question) advise(failed *client.Error) error {
	if q.advice != "" && (failed.Code == msg.CodeNotFound || failed.Code == msg.CodeInvalidArgument) {
		return &advisedError{failed, q.advice}
	}
	return failed
}

// put puts the question once.
func (q *question) put(ctx context.Context, transport http.RoundTripper, server string, read func(io.Reader) error) error {
	if !strings.Contains(server, "://") {
		server = "http://" + server
	}
	request, err := http.NewRequestWithContext(ctx, q.method, strings.TrimRight(server, "/")+q.path, http.NoBody)
	if err != nil {
		return &client.Error{Code: msg.CodeInvalidArgument, Message: err.Error()}
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		var operation *net.OpError
		dialling := errors.As(err, &operation) && operation.Op == "dial"
		return &client.Error{Code: msg.CodeUnavailable, Message: err.Error(), Retryable: true, Unknown: !dialling}
	}
	defer response.Body.Close()
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return refusal(response)
	}
	if read == nil {
		return nil
	}
	return read(response.Body)
}

// refusal reads an error that the server answers, or something before it.
func refusal(response *http.Response) error {
	var answer struct {
		Error struct{ Code, Message string }
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, refusalBytesMax))
	if err == nil {
		err = json.Unmarshal(body, &answer)
	}
	failed := &client.Error{Code: answer.Error.Code, Message: answer.Error.Message}
	if err != nil || failed.Code == "" {
		failed = &client.Error{Code: msg.CodeFailed, Message: fmt.Sprintf("HTTP %s: %.200s", response.Status, body)}
	}
	failed.Retryable = failed.Code == msg.CodeUnavailable || failed.Code == msg.CodeResourceExhausted
	failed.Unknown = failed.Code == msg.CodeUnavailable
	return failed
}

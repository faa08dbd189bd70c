package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
)

// workflowCalls translate the operations of workflows.
var workflowCalls = map[Operation]func(to *call, ctx context.Context, r Request) error{
	Start:     (*call).start,
	Signal:    (*call).signal,
	Query:     (*call).query,
	Describe:  (*call).describe,
	History:   (*call).history,
	ListRuns:  (*call).runs,
	Cancel:    (*call).control,
	Terminate: (*call).control,
	Pause:     (*call).control,
	Resume:    (*call).control,
	Restart:   (*call).control,
	Resolve:   (*call).promise,
	Reject:    (*call).promise,
	Raise:     (*call).raise,
}

// raise raises an event.
func (to *call) raise(ctx context.Context, r Request) error {
	if err := checkSegment("event", r.Handler); err != nil {
		return err
	}
	if r.Delay != 0 || !r.NotBefore.IsZero() {
		return errors.New("an event cannot be delayed from outside")
	}
	to.path, to.changes = "/v1/events/"+url.PathEscape(r.Handler), true
	if r.OneWay {
		to.operation, to.path = Submit, to.path+"/send"
	}
	to.setDeadline(ctx, r.Deadline)
	return to.post(r)
}

// submits are the operations whose work goes on when the context ends.
var submits = map[Operation]bool{Submit: true, Start: true, Signal: true}

// workflow names the run that a request is about.
func (to *call) workflow(r Request) error {
	if err := checkSegment("workflow", r.Kind); err != nil {
		return err
	}
	if err := CheckKey(r.Key); err != nil {
		return fmt.Errorf("the id of a workflow is a key: %w", err)
	}
	to.path = "/v1/workflows/" + url.PathEscape(r.Kind) + "/" + url.PathEscape(r.Key)
	return nil
}

// start begins a workflow. It has its id before it is sent, so that repeats are
// the same start; one that refuses or ends another run needs an identity, too.
func (to *call) start(ctx context.Context, r Request) error {
	if r.Key == "" {
		r.Key = RunID(r.Kind, r.IdempotencyKey)
	}
	if err := to.workflow(r); err != nil {
		return err
	}
	query := delay(r)
	for name, values := range waiting(r) {
		query[name] = values
	}
	if r.OnConflict != "" {
		query.Set("on_conflict", r.OnConflict)
	}
	to.setQuery(query)
	to.setDeadline(ctx, r.Deadline)
	to.changes = r.OnConflict != "" && r.OnConflict != "attach"
	return to.post(r)
}

func (to *call) signal(ctx context.Context, r Request) error {
	if err := to.workflow(r); err != nil {
		return err
	}
	if err := checkSegment("signal", r.Handler); err != nil {
		return err
	}
	to.path += "/signals/" + url.PathEscape(r.Handler)
	to.setQuery(delay(r))
	to.setDeadline(ctx, r.Deadline)
	to.changes = true
	return to.post(r)
}

func (to *call) query(ctx context.Context, r Request) error {
	if err := to.workflow(r); err != nil {
		return err
	}
	if err := checkSegment("query", r.Handler); err != nil {
		return err
	}
	to.path += "/queries/" + url.PathEscape(r.Handler)
	to.setDeadline(ctx, r.Deadline)
	return to.post(r)
}

func (to *call) describe(_ context.Context, r Request) error {
	if err := to.workflow(r); err != nil {
		return err
	}
	to.setQuery(waiting(r))
	to.method = http.MethodGet
	return to.setHeaders(r)
}

func (to *call) history(_ context.Context, r Request) error {
	if err := to.workflow(r); err != nil {
		return err
	}
	to.method, to.path = http.MethodGet, to.path+"/history"
	return to.setHeaders(r)
}

func (to *call) runs(_ context.Context, r Request) error {
	if err := checkSegment("workflow", r.Kind); err != nil {
		return err
	}
	to.path = "/v1/workflows/" + url.PathEscape(r.Kind)
	to.list(r)
	return to.setHeaders(r)
}

// control changes how a workflow goes on.
func (to *call) control(_ context.Context, r Request) error {
	if err := to.workflow(r); err != nil {
		return err
	}
	to.method, to.path, to.changes = http.MethodPost, to.path+"/"+string(to.operation), true
	return to.setHeaders(r)
}

// promise completes a promise.
func (to *call) promise(_ context.Context, r Request) error {
	if err := checkSegment("promise", r.Promise); err != nil {
		return err
	}
	to.path = "/v1/promises/" + url.PathEscape(r.Promise) + "/" + string(to.operation)
	to.changes = true
	return to.post(r)
}

// await asks until the workflow has ended or ctx has: a server holds a question
// only so long.
func (c *httpConn) await(ctx context.Context, r Request) (Reply, error) {
	if r.Operation == Start && r.Key == "" {
		r.Key = RunID(r.Kind, r.IdempotencyKey)
	}
	reply, err := c.invoke(ctx, r)
	for err == nil && goesOn(reply) {
		sleep(ctx, backOffFirst) // in case of a server that does not hold it
		reply, err = c.invoke(ctx, Request{Operation: Describe, Kind: r.Kind, Key: r.Key, Wait: true})
	}
	return reply, err
}

// goesOn reports whether the answer is that a workflow has not ended. An answer
// that is none of ours is for the caller.
func goesOn(reply Reply) bool {
	var workflow struct{ Status string }
	return json.Unmarshal(reply.Body, &workflow) == nil && workflow.Status == "running"
}

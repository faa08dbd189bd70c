package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// server checks the runs of a server that is running: it asks for the workflows
// that are served there, for their runs, and for the journal of each. Runs that
// end meanwhile need nothing any more.
func (c *check) server(ctx context.Context, address string) error {
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	remote := remote{strings.TrimSuffix(address, "/")}
	names, err := remote.workflows(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := c.remoteRuns(ctx, remote, name); err != nil {
			return err
		}
	}
	return nil
}

func (c *check) remoteRuns(ctx context.Context, r remote, name string) error {
	for after, more := "", true; more; more = after != "" {
		var page struct {
			Workflows []struct{ ID string }
			Next      string
		}
		path := "/v1/workflows/" + name + "?status=running&after=" + url.QueryEscape(after)
		if err := r.get(ctx, path, &page); err != nil {
			return err
		}
		for _, run := range page.Workflows {
			t, err := r.turn(ctx, msg.Ref{Kind: name, Key: run.ID})
			if err != nil {
				return err
			}
			if t != nil {
				c.run(ctx, t)
			}
		}
		after = page.Next
	}
	return nil
}

// remote is a server that is asked over HTTP.
type remote struct{ address string }

func (r remote) get(ctx context.Context, path string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.address+path, nil)
	if err != nil {
		return fmt.Errorf("%w: the server %q: %w", ErrInvalid, r.address, err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("ask the server: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("ask the server: GET %s: %s", path, response.Status)
	}
	if err := json.NewDecoder(response.Body).Decode(into); err != nil {
		return fmt.Errorf("read the answer to GET %s: %w", path, err)
	}
	return nil
}

// workflows gives the names of what the server serves, as its document has them.
func (r remote) workflows(ctx context.Context) (names []string, err error) {
	var document struct{ Paths map[string]json.RawMessage }
	if err := r.get(ctx, "/openapi.json", &document); err != nil {
		return nil, err
	}
	for path := range document.Paths {
		if name, ok := strings.CutPrefix(path, "/v1/workflows/"); ok && !strings.ContainsAny(name, "/{") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// turn asks for the journal of a run; nil: the run has ended.
func (r remote) turn(ctx context.Context, target msg.Ref) (*msg.Turn, error) {
	var history struct {
		Status  string
		Run     msg.Index
		Journal [][]byte
	}
	path := "/v1/workflows/" + target.Kind + "/" + url.PathEscape(target.Key) + "/history?journal=true"
	if err := r.get(ctx, path, &history); err != nil {
		return nil, err
	}
	if history.Status != msg.WorkflowRunning.String() {
		return nil, nil
	}
	return &msg.Turn{Mode: msg.ModeQuery, Message: &msg.Message{Target: target},
		State:    msg.Snapshot{Fields: msg.Journal(history.Journal)},
		Workflow: &msg.Workflow{Run: history.Run, Status: msg.WorkflowRunning}}, nil
}

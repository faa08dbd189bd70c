package holdfast_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/client"
)

// The verbs of a client are requests; what they mean is the server's.

var (
	outsideW      = holdfast.NewWorkflow[int, string]("w")
	outsideSignal = holdfast.NewSignal[string](outsideW, "word")
	outsideQuery  = holdfast.NewQuery[int, string](outsideW, "stage")
)

// recorded runs a function with a client whose requests it gives.
func recorded(t *testing.T, answers []string, fn func(c *holdfast.ClientContext) error) (requests []client.Request, err error) {
	t.Helper()
	c := holdfast.NewClient(connection(func(r client.Request) ([]byte, error) {
		requests = append(requests, r)
		if len(answers) == 0 {
			return nil, nil
		}
		answer := answers[0]
		answers = answers[1:]
		return []byte(answer), nil
	})).With(context.Background())
	err = fn(c)
	return requests, err
}

func TestVerbsOfAClientAreRequests(t *testing.T) {
	ref := holdfast.PromiseRef[int]{ID: "promise"}
	for name, c := range map[string]struct {
		do   func(c *holdfast.ClientContext) error
		want client.Request
	}{
		"submit": {func(c *holdfast.ClientContext) error {
			_, err := outsideW.Submit(c, "1", 5, holdfast.OnConflict(holdfast.Replace))
			return err
		}, client.Request{Operation: client.Start, Kind: "w", Key: "1", Handler: "run", Body: []byte("5"), OnConflict: "replace"}},
		"signal": {func(c *holdfast.ClientContext) error { return outsideSignal.Submit(c, "1", "hello") },
			client.Request{Operation: client.Signal, Kind: "w", Key: "1", Handler: "word", Body: []byte(`"hello"`)}},
		"cancel":    {func(c *holdfast.ClientContext) error { return outsideW.Cancel(c, "1") }, client.Request{Operation: client.Cancel, Kind: "w", Key: "1"}},
		"terminate": {func(c *holdfast.ClientContext) error { return outsideW.Terminate(c, "1") }, client.Request{Operation: client.Terminate, Kind: "w", Key: "1"}},
		"pause":     {func(c *holdfast.ClientContext) error { return outsideW.Pause(c, "1") }, client.Request{Operation: client.Pause, Kind: "w", Key: "1"}},
		"resume":    {func(c *holdfast.ClientContext) error { return outsideW.Resume(c, "1") }, client.Request{Operation: client.Resume, Kind: "w", Key: "1"}},
		"restart":   {func(c *holdfast.ClientContext) error { return outsideW.Restart(c, "1") }, client.Request{Operation: client.Restart, Kind: "w", Key: "1"}},
		"resolve":   {func(c *holdfast.ClientContext) error { return ref.Resolve(c, 7) }, client.Request{Operation: client.Resolve, Promise: "promise", Body: []byte("7")}},
		"reject": {func(c *holdfast.ClientContext) error { return ref.Reject(c, errDeclined.Withf("no")) },
			client.Request{Operation: client.Reject, Promise: "promise", Body: []byte(`{"code":"declined","class":4,"message":"no"}`)}},
	} {
		requests, err := recorded(t, nil, c.do)
		if err != nil || len(requests) != 1 || fmt.Sprintf("%+v", requests[0]) != fmt.Sprintf("%+v", c.want) {
			t.Errorf("%s: got %+v, %v\nwant %+v", name, requests, err, c.want)
		}
	}
}

func TestCallOfAWorkflowWaitsForItsEnd(t *testing.T) {
	requests, err := recorded(t, []string{`{"id":"x","status":"running"}`, `{"status":"running"}`, `{"status":"completed","result":"done"}`},
		func(c *holdfast.ClientContext) error {
			out, err := outsideW.Call(c, "", 5)
			if err == nil && out != "done" {
				t.Errorf("got %q", out)
			}
			return err
		})
	if err != nil || len(requests) != 3 {
		t.Fatalf("got %+v, %v", requests, err)
	}
	begin, again := requests[0], requests[2]
	if begin.Operation != client.Start || !begin.Wait || len(begin.Key) != 32 {
		t.Errorf("began with %+v", begin)
	}
	if again.Operation != client.Describe || !again.Wait || again.Kind != "w" || again.Key != begin.Key {
		t.Errorf("waited with %+v", again)
	}
}

func TestTheEndOfAWorkflowArrivesAtTheClient(t *testing.T) {
	failed := `{"id":"1","name":"w","status":"failed","error":{"code":"declined","class":4,"message":"no"},"started_at":"2026-01-02T03:04:05Z"}`
	_, err := recorded(t, []string{failed, failed}, func(c *holdfast.ClientContext) error {
		s, err := outsideW.Status(c, "1")
		if err != nil || s.Status != "failed" || s.ID != "1" || s.Name != "w" || !errors.Is(s.Error, errDeclined) || s.StartedAt.Year() != 2026 || !s.EndedAt.IsZero() {
			t.Errorf("got %+v, %v", s, err)
		}
		_, err = outsideW.Result(c, "1")
		return err
	})
	if !errors.Is(err, errDeclined) {
		t.Errorf("got %v", err)
	}
	requests, err := recorded(t, []string{`"second"`}, func(c *holdfast.ClientContext) error {
		stage, err := outsideQuery.Call(c, "1", 3)
		if stage != "second" {
			t.Errorf("got stage %q", stage)
		}
		return err
	})
	if err != nil || requests[0].Operation != client.Query || requests[0].Handler != "stage" || string(requests[0].Body) != "3" {
		t.Errorf("got %+v, %v", requests, err)
	}
}

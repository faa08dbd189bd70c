package world_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/holdfast-io/holdfast/client"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/program"
	"github.com/holdfast-io/holdfast/internal/world"
)

// flows is a program with a workflow beside another program: it asks for some
// activities, one after the other, and answers with what they came to.
type flows struct {
	program.Program
	made map[string]int // attempts that were made, by what they were asked: the world outside
}

func newFlows(p program.Program) *flows { return &flows{Program: p, made: map[string]int{}} }

// Describe implements program.Program.
func (f *flows) Describe() program.Description {
	d := f.Program.Describe()
	d.Activities = []program.Activity{{Name: "work"}}
	flow := msg.Kind{Name: "flow", Form: msg.FormWorkflow, Handlers: []msg.Handler{{Name: msg.HandlerRun, Mode: msg.ModeWorkflow}}}
	var kinds []msg.Kind
	for _, k := range d.Kinds {
		if flow.Name != "" && k.Name > flow.Name {
			kinds, flow.Name = append(kinds, flow), ""
		}
		kinds = append(kinds, k)
	}
	d.Kinds = kinds
	return d
}

// Turn implements program.Program.
func (f *flows) Turn(ctx context.Context, t *msg.Turn) *msg.Outcome {
	if t.Mode != msg.ModeWorkflow {
		return f.Program.Turn(ctx, t)
	}
	var told flowing
	if t.State.Fields != nil {
		t.State.Fields.Items(msg.JournalField, func(_ int, item []byte) bool {
			entry, err := msg.DecodeEntry(item)
			if err != nil {
				panic(err)
			}
			told.take(entry.Deliveries)
			told.asked += len(entry.Steps)
			return true
		})
	}
	told.take(t.Deliveries)
	o := &msg.Outcome{Run: t.Run}
	switch {
	case len(told.outcomes) < told.asked:
	case told.asked >= told.steps:
		o.Ended = true
		o.Output.Body, _ = json.Marshal(told.outcomes)
	default:
		o.Steps = []msg.Step{{Kind: msg.StepActivity, Name: "work"}}
		o.Tasks = []msg.Task{{Activity: "work", Step: msg.StepNumber(told.asked + 1)}}
	}
	return o
}

// flowing is what a flow has been told.
type flowing struct {
	steps, asked int
	outcomes     []string
}

func (f *flowing) take(list []msg.Delivery) {
	for _, d := range list {
		switch d.Kind {
		case msg.DeliveryStart:
			_ = json.Unmarshal(d.Payload.Body, &f.steps)
		case msg.DeliveryOutcome:
			f.outcomes = append(f.outcomes, string(d.Payload.Body))
		}
	}
}

// Perform implements program.Program.
func (f *flows) Perform(_ context.Context, t *msg.TaskRun, _ func(msg.Payload)) *msg.TaskOutcome {
	name := fmt.Sprint(t.Target.Key, " ", t.Task.Step)
	f.made[name]++
	body, _ := json.Marshal(name)
	return &msg.TaskOutcome{Target: t.Target, Name: t.Task.Name(), Attempt: t.Task.Attempt, Output: msg.Payload{Body: body}}
}

// check says whether something was made for a workflow that nobody knows.
func (f *flows) check(s world.State) error {
	for name := range f.made {
		id, _, _ := strings.Cut(name, " ")
		if flow := s.Entity("flow", id); flow.Version == 0 && flow.Fields == nil {
			return fmt.Errorf("work was made for workflow %s, which does not exist", id)
		}
	}
	return nil
}

// flow runs a workflow, and checks that each step came to its end once, in
// order, and was made at least once.
func (f *flows) flow(w *world.World, c *world.Client, id string, steps int) {
	reply, err := c.Conn().Invoke(c.Context(), client.Request{
		Operation: client.Call, Kind: "flow", Key: id, Handler: msg.HandlerRun, Body: fmt.Append(nil, steps)})
	if failed := (*client.Error)(nil); errors.As(err, &failed) && (failed.Unknown || failed.Retryable) {
		return // it goes on without its client
	}
	if err != nil {
		w.Fail("workflow %s: %v", id, err)
	}
	var got []string
	if err := json.Unmarshal(reply.Body, &got); err != nil {
		w.Fail("workflow %s answers %s: %v", id, reply.Body, err)
	}
	for n, outcome := range got {
		if want := fmt.Sprintf("%q", fmt.Sprint(id, " ", n+1)); outcome != want || f.made[fmt.Sprint(id, " ", n+1)] == 0 {
			w.Fail("step %d of workflow %s came to %s, want %s", n+1, id, outcome, want)
		}
	}
	if len(got) != steps {
		w.Fail("workflow %s has %d outcomes, want %d", id, len(got), steps)
	}
}

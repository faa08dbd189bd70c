package world_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/internal/world"
)

// job is the input of a workflow: activities that it waits for, one after the
// other, and a token that it brings to a cell in between.
type job struct {
	Steps       int
	Token, Cell string
	Pause       time.Duration
}

var (
	flow = holdfast.NewWorkflow[job, []string]("flow")
	work = holdfast.NewActivity[string, string]("work")

	errNotYet = errors.New("not yet")
)

func doFlow(ctx *holdfast.WorkflowContext, j job) (outcomes []string, err error) {
	for n := range j.Steps {
		out, err := work.Call(ctx, fmt.Sprint(ctx.ID(), " ", n+1))
		if err != nil {
			return nil, err
		}
		outcomes = append(outcomes, out)
	}
	if err := ctx.Sleep(j.Pause); err != nil {
		return nil, err
	}
	_, err = cellAdd.Call(ctx, j.Cell, j.Token)
	return outcomes, err
}

// outside is what activities have done to the world: how often, by what they
// were asked.
type outside map[string]int

// work does something. Some of it fails at first.
func (o outside) work(ctx context.Context, name string) (string, error) {
	if o[name]++; len(name)%3 == 0 && holdfast.AttemptFrom(ctx).Number == 1 {
		return "", errNotYet
	}
	return name + " done", nil
}

// check says whether something was made for a workflow that nobody knows.
func (o outside) check(s world.State) error {
	for name := range o {
		id, _, _ := strings.Cut(name, " ")
		if id == "step" || id == "open" {
			continue // nobody waits until it is durable, or its entity may be gone
		}
		kind := "flow"
		if id[0] == 'f' {
			kind = "family"
		}
		if run := s.Entity(kind, id); run.Version == 0 && run.Fields == nil {
			return fmt.Errorf("work was made for %s %s, which does not exist", kind, id)
		}
	}
	return nil
}

// flow runs a workflow, and checks that each step came to its end once, in
// order, and was made at least once.
func (l *ledger) flow(w *world.World, c *world.Client, door *holdfast.ClientContext) {
	t := l.newToken(key(c))
	id := "w" + t.name
	j := job{Steps: 1 + c.Random.IntN(4), Token: t.name, Cell: t.cell, Pause: time.Duration(c.Random.Int64N(int64(time.Second)))}
	got, err := flow.Call(door, id, j)
	if expect(w, err); err != nil {
		return // it goes on without its client
	}
	t.acked = true
	if len(got) == j.Steps+1 && got[j.Steps] == id+" thanks done" {
		got = got[:j.Steps] // it began with the second version
	}
	for n, outcome := range got {
		if name := fmt.Sprint(id, " ", n+1); outcome != name+" done" || l.outside[name] == 0 {
			w.Fail("step %d of workflow %s came to %s", n+1, id, outcome)
		}
	}
	if len(got) != j.Steps {
		w.Fail("workflow %s has %d outcomes, want %d", id, len(got), j.Steps)
	}
}

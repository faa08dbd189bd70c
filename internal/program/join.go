package program

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// joined is several programs as one.
type joined struct {
	first       Program
	all         []Program
	kinds       map[string]Program
	activities  map[string]Program
	description Description
}

// Join makes one program of several. Each kind and each activity is served by
// the program that describes it, and what nobody describes goes to the first,
// whose name and version count. No two may describe the same.
func Join(first Program, more ...Program) Program {
	j := &joined{first: first, all: append([]Program{first}, more...), kinds: map[string]Program{}, activities: map[string]Program{}}
	j.description = first.Describe()
	j.description.Kinds = slices.Clone(j.description.Kinds)
	j.description.Activities = slices.Clone(j.description.Activities)
	for n, p := range j.all {
		d := p.Describe()
		for _, k := range d.Kinds {
			j.kinds[k.Name] = p
		}
		for _, a := range d.Activities {
			j.activities[a.Name] = p
		}
		if n > 0 {
			j.description.Kinds = append(j.description.Kinds, d.Kinds...)
			j.description.Activities = append(j.description.Activities, d.Activities...)
			j.description.Events = append(slices.Clone(j.description.Events), d.Events...)
			j.description.Startup = append(slices.Clone(j.description.Startup), d.Startup...)
		}
	}
	slices.SortFunc(j.description.Kinds, func(a, b msg.Kind) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(j.description.Activities, func(a, b Activity) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(j.description.Events, func(a, b Event) int { return strings.Compare(a.Name, b.Name) })
	return j
}

// Describe implements Program.
func (j *joined) Describe() Description { return j.description }

// Turn implements Program.
func (j *joined) Turn(ctx context.Context, t *msg.Turn) *msg.Outcome {
	if p := j.kinds[t.Message.Target.Kind]; p != nil {
		return p.Turn(ctx, t)
	}
	return j.first.Turn(ctx, t)
}

// Perform implements Program.
func (j *joined) Perform(ctx context.Context, t *msg.TaskRun, heartbeat func(detail msg.Payload)) *msg.TaskOutcome {
	if p := j.activities[t.Task.Activity]; p != nil {
		return p.Perform(ctx, t, heartbeat)
	}
	return j.first.Perform(ctx, t, heartbeat)
}

// Close closes those that keep something in memory.
func (j *joined) Close() (err error) {
	for _, p := range j.all {
		if keeps, ok := p.(io.Closer); ok {
			err = errors.Join(err, keeps.Close())
		}
	}
	return err
}

package holdfasttest

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/program"
)

// faked is a program some of whose activities are another's.
type faked struct {
	program.Program
	fakes program.Program
	names map[string]bool
}

// withFakes lets the activities of parts stand in for those of a program.
func withFakes(p program.Program, parts []holdfast.Part) program.Program {
	if len(parts) == 0 {
		return p
	}
	f := faked{p, holdfast.NewApp("fakes", parts...).Program(), map[string]bool{}}
	for _, a := range f.fakes.Describe().Activities {
		f.names[a.Name] = true
	}
	return f
}

// checkFakes says what cannot stand in for anything.
func checkFakes(p program.Program, parts []holdfast.Part) error {
	app := holdfast.NewApp("fakes", parts...)
	if len(parts) == 0 {
		return nil
	}
	if err := app.Validate(); err != nil {
		return fmt.Errorf("fakes: %w", err)
	}
	d, real := app.Program().Describe(), p.Describe().Activities
	if len(d.Kinds) > 0 || len(d.Events) > 0 {
		return fmt.Errorf("fakes: only activities can be faked, and there are %d kinds and %d events", len(d.Kinds), len(d.Events))
	}
	for _, fake := range d.Activities {
		if !slices.ContainsFunc(real, func(a program.Activity) bool { return a.Name == fake.Name }) {
			return fmt.Errorf("fakes: the app binds no activity %q", fake.Name)
		}
	}
	return nil
}

// Perform implements program.Program.
func (f faked) Perform(ctx context.Context, t *msg.TaskRun, heartbeat func(msg.Payload)) *msg.TaskOutcome {
	if f.names[t.Task.Activity] {
		return f.fakes.Perform(ctx, t, heartbeat)
	}
	return f.Program.Perform(ctx, t, heartbeat)
}

// Close implements io.Closer: the program keeps runs of workflows in memory.
func (f faked) Close() error {
	if keeps, ok := f.Program.(io.Closer); ok {
		return keeps.Close()
	}
	return nil
}

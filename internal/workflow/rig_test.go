package workflow_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/program"
	"github.com/holdfast-io/holdfast/internal/workflow"
	"github.com/holdfast-io/holdfast/internal/workflow/workflowtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// served is a program of workflows without types.
type served struct {
	runtime    *workflow.Runtime
	functions  map[string]function
	panicFails bool
	unwinding  sync.WaitGroup
}

type function func(x *workflow.Context, input string) (string, *msg.Error)

var _ program.Program = (*served)(nil)

// serve makes a program whose one workflow is "w".
func serve(t testing.TB, fn function) *served {
	s := &served{functions: map[string]function{"w": fn}}
	s.forget(workflow.Config{})
	t.Cleanup(func() { s.runtime.Evict(); s.settle() })
	return s
}

// forget throws all runs out of memory, and begins with other bounds.
func (s *served) forget(c workflow.Config) {
	if s.runtime != nil {
		s.runtime.Evict()
	}
	c.Logger = func(context.Context) *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }
	c.Unwind = s.unwinding.Go
	s.runtime = workflow.New(c)
}

// settle waits until nothing is being unwound.
func (s *served) settle() { s.unwinding.Wait() }

func (s *served) Describe() program.Description { return program.Description{} }

func (s *served) Turn(ctx context.Context, t *msg.Turn) *msg.Outcome {
	fn := s.functions[t.Message.Target.Kind]
	return s.runtime.Turn(ctx, &workflow.Definition{Name: t.Message.Target.Kind, PanicFails: s.panicFails,
		Run: func(x *workflow.Context, input msg.Payload) (msg.Payload, *msg.Error) {
			output, err := fn(x, string(input.Body))
			return msg.Payload{Body: []byte(output)}, err
		}}, t)
}

// Perform runs the one activity: it gives its input back in upper case, and
// refuses an empty one.
func (s *served) Perform(ctx context.Context, t *msg.TaskRun, heartbeat func(msg.Payload)) *msg.TaskOutcome {
	return s.runtime.Perform(ctx, t, upper, heartbeat)
}

func upper(_ context.Context, input msg.Payload) workflow.Verdict {
	if len(input.Body) == 0 {
		return workflow.Verdict{Err: msg.Errorf("empty", msg.ClassFailed, "")}
	}
	return workflow.Verdict{Output: text(strings.ToUpper(string(input.Body)))}
}

func text(s string) msg.Payload { return msg.Payload{Body: []byte(s)} }

func (s *served) engine() *workflowtest.Engine {
	return &workflowtest.Engine{Program: s, Now: 1e18, Entity: func(m *msg.Outgoing) (msg.Payload, *msg.Error) {
		return text(m.Handler + "ed " + string(m.Payload.Body)), nil
	}}
}

// get waits for a future and gives what it came to as text.
func get(x *workflow.Context, f *workflow.Future) string {
	if err := x.Await(f); err != nil {
		return err.Code
	}
	payload, err := f.Outcome()
	if err != nil {
		return err.Code
	}
	return string(payload.Body)
}

func call(x *workflow.Context, input string) *workflow.Future {
	return x.Call(msg.Outgoing{Target: msg.Ref{Kind: "entity", Key: "e"}, Handler: "do", Payload: text(input)})
}

func activity(x *workflow.Context, input string) *workflow.Future {
	return x.Activity("upper", text(input), &workflow.Options{})
}

func in(x *workflow.Context, d time.Duration) *workflow.Future { return x.Timer(x.Now() + msg.Time(d)) }

// ended checks how a workflow ended.
func ended(t *testing.T, i *workflowtest.Instance, want string) {
	t.Helper()
	got := string(i.Header.Output.Body)
	if i.Header.Err != nil {
		got = i.Header.Err.Error()
	}
	if !i.Header.Status.Ended() || got != want {
		t.Errorf("got %v, want %q", i, want)
	}
}

// parked checks that a workflow does not go on, and why.
func parked(t *testing.T, i *workflowtest.Instance, reasons ...string) {
	t.Helper()
	for _, reason := range reasons {
		if !strings.Contains(i.Parked, reason) {
			t.Errorf("got %v, want it parked with %q", i, reason)
		}
	}
}

func list(parts ...string) string { return fmt.Sprint(parts) }

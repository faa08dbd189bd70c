package executor_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-io/holdfast/internal/executor"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/program"
)

// Goal: what the package promises about handlers that return late, never, or
// not at all. Method: a program whose handlers the test holds and lets go,
// mostly in virtual time (testing/synctest), which also finds goroutines that
// are left.

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The times of a rig: the watchdog looks every 5 ms.
const (
	writeOffAfter = 10 * time.Millisecond
	writeOffMax   = 3 * writeOffAfter / 2 // when a handler is written off at the latest, as it is noticed
	warnAfter     = 100 * time.Millisecond
	abandonAfter  = time.Second
)

// rig is a pool and all that was heard of it.
type rig struct {
	*executor.Pool

	mu        sync.Mutex
	gates     map[uint64]chan struct{} // by run: closed to let the handler "hold" return
	contexts  map[uint64]context.Context
	begun     []uint64
	outcomes  map[uint64][]*msg.Outcome
	partition map[uint64]msg.Partition // that heard the outcome
	late      map[uint64]bool          // as it was told with the outcome
	givenUp   []uint64
	log       bytes.Buffer
	handlers  map[string]func(context.Context, *msg.Turn) // beyond "hold"
	telling   func()                                      // before an outcome is noted; nil: nothing
}

func newRig(c executor.Config, handlers map[string]func(context.Context, *msg.Turn)) *rig {
	c.WriteOffAfter, c.WarnAfter, c.AbandonAfter = writeOffAfter, warnAfter, abandonAfter
	return newRigOf(c, handlers)
}

// newRigOf leaves the times to the configuration.
func newRigOf(c executor.Config, handlers map[string]func(context.Context, *msg.Turn)) *rig {
	r := &rig{
		gates: map[uint64]chan struct{}{}, contexts: map[uint64]context.Context{},
		outcomes: map[uint64][]*msg.Outcome{}, partition: map[uint64]msg.Partition{}, late: map[uint64]bool{}, handlers: handlers,
	}
	c.Program, c.Done = r, r.done
	if c.Abandon == nil {
		c.Abandon = r.abandon
	}
	c.Logger = slog.New(slog.NewJSONHandler(&guarded{r}, nil))
	r.Pool = executor.New(c)
	return r
}

// guarded is the rig's log.
type guarded struct{ rig *rig }

func (g *guarded) Write(b []byte) (int, error) {
	g.rig.mu.Lock()
	defer g.rig.mu.Unlock()
	return g.rig.log.Write(b)
}

var _ program.Program = (*rig)(nil)

func (r *rig) Describe() program.Description { return program.Description{} }

// Turn implements program.Program: "hold" returns when it is let go, and
// "quick" at once.
func (r *rig) Turn(ctx context.Context, t *msg.Turn) *msg.Outcome {
	r.mu.Lock()
	r.begun = append(r.begun, t.Run)
	r.contexts[t.Run] = ctx
	r.mu.Unlock()
	switch handler := r.handlers[t.Message.Handler]; {
	case handler != nil:
		handler(ctx, t)
	case t.Message.Handler == "hold":
		<-r.gate(t.Run)
	}
	return &msg.Outcome{Run: t.Run}
}

func (r *rig) gate(run uint64) chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gates[run] == nil {
		r.gates[run] = make(chan struct{})
	}
	return r.gates[run]
}

// release lets handlers return.
func (r *rig) release(runs ...uint64) {
	for _, run := range runs {
		close(r.gate(run))
	}
}

func (r *rig) done(t executor.Task, o *msg.Outcome, late bool) {
	if r.telling != nil {
		r.telling()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.outcomes[o.Run] = append(r.outcomes[o.Run], o)
	r.partition[o.Run] = t.Partition
	r.late[o.Run] = late
}

func (r *rig) abandon(t executor.Task) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.givenUp = append(r.givenUp, t.Turn.Run)
}

// answered counts the outcomes of runs.
func (r *rig) answered(runs ...uint64) []int {
	r.mu.Lock()
	defer r.mu.Unlock()
	counts := make([]int, len(runs))
	for i, run := range runs {
		counts[i] = len(r.outcomes[run])
	}
	return counts
}

// outcome is the first outcome of a run.
func (r *rig) outcome(run uint64) *msg.Outcome {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.outcomes[run][0]
}

// began are the runs that have begun, in order.
func (r *rig) began() []uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.begun)
}

// abandoned are the runs that were given up, in the order of their numbers.
func (r *rig) abandoned() []uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(slices.Values(r.givenUp))
}

func (r *rig) context(run uint64) context.Context {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.contexts[run]
}

// logged are the lines of a level, by attribute.
func (r *rig) logged(t *testing.T, level slog.Level) (lines []map[string]any) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for line := range strings.Lines(r.log.String()) {
		attributes := map[string]any{}
		if err := json.Unmarshal([]byte(line), &attributes); err != nil {
			t.Fatalf("log line %q: %v", line, err)
		}
		if attributes["level"] == level.String() {
			lines = append(lines, attributes)
		}
	}
	return lines
}

// submit queues a turn of each run.
func (r *rig) submit(handler string, runs ...uint64) {
	for _, run := range runs {
		r.Submit(partitionOf(run), turn(run, handler))
	}
}

func partitionOf(run uint64) msg.Partition { return msg.Partition(run % 7) }

func turn(run uint64, handler string) *msg.Turn {
	return &msg.Turn{Run: run, Input: inputOf(run), Message: &msg.Message{
		Target: msg.Ref{Kind: "account", Key: "alice"}, Handler: handler, Invocation: msg.NewInvocationID(1, 2, run),
	}}
}

func inputOf(run uint64) msg.Fingerprint {
	return msg.Fingerprint{0: byte(run), 1: byte(run >> 8), 15: 1}
}

func (r *rig) checkStats(t *testing.T, want executor.Stats) {
	t.Helper()
	if got := r.Stats(); got != want {
		t.Errorf("stats: got %+v, want %+v", got, want)
	}
}

// end lets runs return and closes the pool.
func (r *rig) end(t *testing.T, runs ...uint64) {
	t.Helper()
	if len(runs) > 0 {
		r.release(runs...)
		synctest.Wait()
	}
	if err := r.Close(context.Background()); err != nil {
		t.Errorf("close: %v", err)
	}
}

func (*rig) Perform(_ context.Context, t *msg.TaskRun, _ func(msg.Payload)) *msg.TaskOutcome {
	return program.NotServed(t, "nothing here")
}

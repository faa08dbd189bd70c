package workflow

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"runtime/debug"
	"sync/atomic"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// Config says what a runtime uses, and bounds what it keeps in memory.
type Config struct {
	Logger      func(context.Context) *slog.Logger // of a turn; default: slog.Default
	HotMax      int                                // runs; default 4,096
	HotBytesMax int                                // estimated; default 128 MiB
	Unwind      func(func())                       // runs the unwinding of a run; default: on a goroutine of its own
}

func (c Config) withDefaults() Config {
	if c.HotMax == 0 {
		c.HotMax = 4096 // × 10 KiB: 40 MiB of runs that wait
	}
	if c.HotBytesMax == 0 {
		c.HotBytesMax = 128 << 20
	}
	if c.Logger == nil {
		c.Logger = func(context.Context) *slog.Logger { return slog.Default() }
	}
	if c.Unwind == nil {
		c.Unwind = func(unwind func()) { go unwind() }
	}
	return c
}

// Definition is a workflow that a program serves.
type Definition struct {
	Name string

	// Run is the workflow's function. If it has used Tail, what it returns is
	// not looked at unless it is an error.
	Run func(x *Context, input msg.Payload) (msg.Payload, *msg.Error)

	// PanicFails makes a panic the outcome of the workflow. Without it the
	// workflow is parked, and goes on where it was once the code is mended.
	PanicFails bool
}

// Runtime runs workflows. It is safe for concurrent use.
type Runtime struct {
	config Config
	hot    cache
	counts counts
}

type counts struct {
	resumed, executed, evicted atomic.Uint64
	unwinding                  atomic.Int64
}

// Stats counts runs.
type Stats struct {
	Hot       int    // in memory
	HotBytes  int    // estimated
	Resumed   uint64 // turns that found their run in memory
	Executed  uint64 // turns that had to execute a journal, if only an empty one
	Evicted   uint64 // runs thrown away because there was no room
	Unwinding int64  // runs whose deferred user code has not returned yet
}

// New makes a runtime.
func New(c Config) *Runtime {
	r := &Runtime{config: c.withDefaults()}
	r.hot.init(r.config.HotMax, r.config.HotBytesMax)
	return r
}

// Stats says how many runs there are.
func (r *Runtime) Stats() Stats {
	s := Stats{
		Resumed: r.counts.resumed.Load(), Executed: r.counts.executed.Load(), Evicted: r.counts.evicted.Load(),
		Unwinding: r.counts.unwinding.Load(),
	}
	s.Hot, s.HotBytes = r.hot.size()
	return s
}

// Evict throws away every run in memory. Turns execute their journals again.
func (r *Runtime) Evict() {
	for _, run := range r.hot.drain() {
		r.unwind(run)
	}
}

// Turn runs one turn of a workflow, or answers a query.
func (r *Runtime) Turn(ctx context.Context, d *Definition, t *msg.Turn) *msg.Outcome {
	run, resumed := r.take(ctx, d, t)
	kept := false
	defer func() { // also if user code has ended this goroutine
		if !kept {
			r.unwind(run)
		}
	}()
	run.context = ctx
	if !resumed {
		run.execute(t.State.Fields)
	}
	outcome := &msg.Outcome{Run: t.Run}
	switch {
	case run.failure != nil:
	case t.Mode == msg.ModeQuery:
		run.answer(t.Message, outcome)
	default:
		run.turn(t, outcome)
	}
	run.context, run.outcome = context.Background(), nil
	if run.failure != nil {
		return r.park(ctx, run, t)
	}
	if !run.ended && (t.Mode == msg.ModeQuery || run.expects()) {
		kept = r.keep(run)
	}
	return outcome
}

// take gives the run that the turn goes on with, which is the caller's alone
// from here on.
func (r *Runtime) take(ctx context.Context, d *Definition, t *msg.Turn) (found *run, resumed bool) {
	found = r.hot.take(t.Message.Target)
	if found != nil && found.fits(t) {
		r.counts.resumed.Add(1)
		return found, true
	}
	if found != nil {
		r.unwind(found)
	}
	r.counts.executed.Add(1)
	run := newRun(r, d, t.Message.Target, t.Workflow.Run, r.config.Logger(ctx))
	run.inherits = !t.Workflow.Hold.IsZero()
	return run, false
}

// keep puts a run into memory and throws others away to make room.
func (r *Runtime) keep(run *run) bool {
	kept, evicted := r.hot.put(run)
	for _, old := range evicted {
		if old != run {
			r.counts.evicted.Add(1)
			r.unwind(old)
		}
	}
	return kept
}

// park makes the outcome of a run that cannot go on.
func (r *Runtime) park(ctx context.Context, run *run, t *msg.Turn) *msg.Outcome {
	attributes := []any{"kind", run.target.Kind, "key", run.target.Key, "error", run.failure.Error()}
	if run.stack != "" {
		attributes = append(attributes, "stack", run.stack)
	}
	r.config.Logger(ctx).ErrorContext(ctx, "workflow cannot go on", attributes...)
	o := &msg.Outcome{Run: t.Run, Fault: run.failure.Error(), Park: t.Mode != msg.ModeQuery}
	var m *Mismatch
	if t.Mode == msg.ModeQuery && t.Message.Handler == "" && errors.As(run.failure, &m) {
		o.Output.Body, _ = json.Marshal(m) // strings and numbers always have a JSON form
	}
	return o
}

// unwind ends a run's coroutines so that their memory comes free. Deferred user
// code runs, and what it asks for goes nowhere.
func (r *Runtime) unwind(run *run) {
	if run.dead {
		return
	}
	run.dead = true
	if !run.begun() {
		return
	}
	r.counts.unwinding.Add(1)
	r.config.Unwind(func() {
		defer r.counts.unwinding.Add(-1)
		for _, c := range run.coroutines {
			c.unwind()
		}
	})
}

// answer answers a query. The answer function runs outside of all coroutines,
// where it can look but not ask.
func (r *run) answer(m *msg.Message, into *msg.Outcome) {
	if m.Handler == "" { // only to see whether the code fits the journal
		return
	}
	fn := r.queries[m.Handler]
	if fn == nil {
		into.Err = msg.Errorf(msg.CodeNotFound, msg.ClassNotFound,
			"workflow %v has not installed an answer to query %s; Answer belongs at the beginning of its function", r.target, m.Handler)
		return
	}
	defer func() {
		if p := recover(); p != nil {
			stack := string(debug.Stack())
			r.logger.Error("query panicked", "kind", r.target.Kind, "key", r.target.Key, "query", m.Handler,
				"panic", panicText(p), "stack", stack)
			into.Panicked = true
			into.Err = msg.Errorf(msg.CodePanic, msg.ClassFailed, "panic in query %s of workflow %v: %s", m.Handler, r.target, panicText(p))
		}
	}()
	into.Output, into.Err = fn(m.Payload)
}

// quiet is a logger's handler that is silent while a journal is executed.
type quiet struct {
	slog.Handler
	run *run
}

func (q quiet) Enabled(ctx context.Context, level slog.Level) bool {
	return !q.run.replaying && q.Handler.Enabled(ctx, level)
}

func (q quiet) WithAttrs(attributes []slog.Attr) slog.Handler {
	return quiet{q.Handler.WithAttrs(attributes), q.run}
}

func (q quiet) WithGroup(name string) slog.Handler { return quiet{q.Handler.WithGroup(name), q.run} }

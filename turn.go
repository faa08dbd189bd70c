package holdfast

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync/atomic"

	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/program"
)

// phase says what a turn is doing, so that a panic is put down to the right
// thing.
type phase uint8

const (
	phaseInput phase = iota
	phaseState
	phaseHandler
	phaseOutcome
)

// scope is one turn: what contexts, maps and lists of the turn share.
type scope struct {
	context  context.Context
	turn     *msg.Turn
	handler  *servedHandler
	outcome  msg.Outcome
	root     msg.Payload
	bound    []boundField
	failure  error  // why the turn cannot commit
	fault    string // why the turn could not run
	phase    phase
	complete bool        // the outcome is final
	encoding bool        // the root is being encoded: maps and lists stay out of it
	ended    atomic.Bool // the handler has returned
}

// steps are the parts of a turn that know its types.
type steps interface {
	decodeInput() error
	loadState(s *scope) error
	invoke(ctx context.Context) error
	encodeOutput() (msg.Payload, error)
	storeState(s *scope) error
}

func (s *scope) begin(h *servedHandler, ctx context.Context, t *msg.Turn) {
	s.handler, s.context, s.turn = h, ctx, t
	s.outcome.Run = t.Run
}

// live returns s, and panics if its handler has returned.
func (s *scope) live() *scope {
	if s == nil {
		panic("holdfast: a context that no turn has made; run handlers in tests with holdfasttest.Turn")
	}
	if s.ended.Load() {
		panic("holdfast: context of " + s.name() + " used after the handler returned")
	}
	return s
}

func (s *scope) name() string { return s.handler.name }

func (s *scope) readOnly() bool { return s.handler.declaration.mode == msg.ModeRead }

// fail notes the first reason why the turn cannot commit.
func (s *scope) fail(err error) {
	if s.failure == nil {
		s.failure = err
	}
}

func (s *scope) info() InvocationInfo {
	m := s.turn.Message
	info := InvocationInfo{
		Target:  Ref{Kind: m.Target.Kind, Key: m.Target.Key},
		Handler: s.handler.declaration.name, Attempt: int(s.turn.Attempt),
		Header: headerMap(m.Headers),
	}
	if !m.Invocation.IsZero() {
		info.ID = m.Invocation.String()
	}
	return info
}

func headerMap(headers []msg.Header) map[string]string {
	m := make(map[string]string, len(headers))
	for _, h := range headers {
		m[strings.ToLower(h.Name)] = h.Value
	}
	return m
}

// run takes the turn through its phases and always gives an outcome, except
// where user code ends the goroutine: then run does not return, and its caller
// finds out in a deferred call (see program.Program).
func (s *scope) run(steps steps) (outcome *msg.Outcome) {
	outcome = &s.outcome // the result of a recovered panic, too
	defer s.finish()
	if err := steps.decodeInput(); err != nil {
		input := &s.handler.declaration.input
		s.reject(msg.Errorf(msg.CodeInvalidArgument, msg.ClassInvalidArgument,
			"%s expects %s as input: %v", s.name(), describe(input), err))
		return outcome
	}
	s.phase = phaseState
	if err := steps.loadState(s); err != nil {
		s.giveUp(err.Error())
		return outcome
	}
	s.phase = phaseHandler
	err := s.intercept(steps)
	s.phase = phaseOutcome
	s.conclude(steps, err)
	s.complete = true
	return outcome
}

func describe(s *shape) string {
	if s.void {
		return "nothing (an empty body or null)"
	}
	return s.value.String()
}

// reject makes the outcome an error and nothing else.
func (s *scope) reject(e *msg.Error) {
	s.outcome, s.complete = msg.Outcome{Run: s.turn.Run, Err: e}, true
}

// giveUp makes the outcome a fault: the attempt consumed nothing.
func (s *scope) giveUp(reason string) {
	s.outcome, s.complete = msg.Outcome{Run: s.turn.Run, Fault: reason}, true
}

// finish ends the scope, and turns a panic into an outcome.
func (s *scope) finish() {
	defer s.ended.Store(true)
	if s.complete {
		return
	}
	cause := "runtime.Goexit: the handler ended its goroutine"
	if p := recover(); p != nil {
		cause = panicText(p)
	}
	switch {
	case s.fault != "":
		s.giveUp(s.fault)
		return
	case s.phase == phaseState:
		s.giveUp(s.stateFault(fmt.Errorf("panic: %s", cause)))
	default:
		s.reject(msg.Errorf(msg.CodePanic, msg.ClassFailed, "panic in %s: %s", s.name(), cause))
		s.outcome.Panicked = true
	}
	program.Logger(s.context).ErrorContext(s.context, "handler panicked",
		"kind", s.turn.Message.Target.Kind, "key", s.turn.Message.Target.Key,
		"handler", s.handler.declaration.name, "invocation", s.turn.Message.Invocation.String(),
		"attempt", s.turn.Attempt, "panic", cause, "stack", string(debug.Stack()))
}

// panicText prints what a panic carried, which may itself panic when printed.
func panicText(p any) (text string) {
	if err, ok := p.(error); ok {
		return textOf(err)
	}
	defer func() {
		if recover() != nil {
			text = fmt.Sprintf("a value of type %T that cannot be printed", p)
		}
	}()
	return fmt.Sprint(p)
}

// stateFault says that the stored state cannot be used.
func (s *scope) stateFault(err error) string {
	snapshot := &s.turn.State
	return fmt.Sprintf("state of %v (version %d, %d bytes) cannot be read by code of version %d: %v",
		s.turn.Message.Target, snapshot.StateVersion, len(snapshot.Root.Body), s.handler.kind.stateVersion, err)
}

// intercept runs the handler inside of the app's interceptors, the first one
// outermost.
func (s *scope) intercept(steps steps) error {
	interceptors := s.handler.interceptors
	if len(interceptors) == 0 {
		return steps.invoke(s.context)
	}
	var outcome error
	calls := 0
	next := func(ctx context.Context) error {
		calls++
		if calls > 1 {
			return fmt.Errorf("an interceptor called next %d times for %s; it may run a handler once", calls, s.name())
		}
		s.context = ctx
		outcome = steps.invoke(ctx)
		if outcome == errTailed {
			return nil // to an interceptor, a handler that passes its caller on has succeeded
		}
		return outcome
	}
	for i := len(interceptors) - 1; i > 0; i-- {
		next = surround(interceptors[i], s.info(), next)
	}
	err := interceptors[0](s.context, s.info(), next)
	switch {
	case err != nil:
		return err
	case calls == 0:
		return fmt.Errorf("an interceptor of %s returned neither an error nor called next", s.name())
	case outcome == errTailed:
		return errTailed
	}
	return nil
}

type interceptor func(ctx context.Context, info InvocationInfo, next func(context.Context) error) error

func surround(by interceptor, info InvocationInfo, next func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error { return by(ctx, info, next) }
}

// conclude makes the outcome of what the handler returned.
func (s *scope) conclude(steps steps, err error) {
	if s.fault != "" {
		s.giveUp(s.fault)
		return
	}
	if s.failure != nil {
		s.rejectFailed(s.failure)
		return
	}
	var kept *keptError
	keep := errors.As(err, &kept)
	switch tail := s.outcome.Tail; {
	case tail != nil && err == errTailed:
		err = nil
	case tail != nil && (err == nil || keep || errors.Is(err, errTailed)):
		s.rejectFailed(fmt.Errorf("Tail was used and its result was not returned as it is; write: return %s.Tail(ctx, key, in)", tail.Handler))
		return
	case err != nil && !keep:
		s.reject(outcomeOf(err))
		return
	case err != nil:
		s.outcome.Err, s.outcome.Keep = outcomeOf(err), true
	}
	if err := s.encode(steps); err != nil {
		s.rejectFailed(err)
	}
}

// encode writes output and state into the outcome.
func (s *scope) encode(steps steps) error {
	o := &s.outcome
	if o.Err == nil && o.Tail == nil {
		output, err := steps.encodeOutput()
		if err != nil {
			return fmt.Errorf("encode the output, a %v: %w", s.handler.declaration.output.value, err)
		}
		o.Output = output
	}
	if o.Delete {
		o.Changes, o.Remind, o.Forget = nil, nil, nil
		return nil
	}
	if err := steps.storeState(s); err != nil {
		return fmt.Errorf("encode the state: %w", err)
	}
	return nil
}

func (s *scope) rejectFailed(err error) {
	s.reject(msg.Errorf(msg.CodeFailed, msg.ClassFailed, "%s: %v", s.name(), err))
}

// updateRun is one turn of an update, in one piece of memory.
type updateRun[S, In, Out any] struct {
	scope scope
	ctx   UpdateContext[S]
	codec *stateCodec[S]
	fn    func(*UpdateContext[S], In) (Out, error)
	in    In
	out   Out
}

func (r *updateRun[S, In, Out]) decodeInput() error {
	return r.scope.handler.declaration.input.decode(r.scope.turn.Message.Payload, &r.in)
}

func (r *updateRun[S, In, Out]) loadState(s *scope) error { return r.codec.load(s, &r.ctx.State) }

func (r *updateRun[S, In, Out]) invoke(context.Context) (err error) {
	r.out, err = r.fn(&r.ctx, r.in)
	return err
}

func (r *updateRun[S, In, Out]) encodeOutput() (msg.Payload, error) {
	return r.scope.handler.declaration.output.encode(&r.out)
}

func (r *updateRun[S, In, Out]) storeState(s *scope) error { return r.codec.store(s, &r.ctx.State) }

// readRun is one turn of a read.
type readRun[S, In, Out any] struct {
	scope scope
	ctx   ReadContext[S]
	codec *stateCodec[S]
	fn    func(*ReadContext[S], In) (Out, error)
	in    In
	out   Out
}

func (r *readRun[S, In, Out]) decodeInput() error {
	return r.scope.handler.declaration.input.decode(r.scope.turn.Message.Payload, &r.in)
}

func (r *readRun[S, In, Out]) loadState(s *scope) error { return r.codec.load(s, &r.ctx.State) }

func (r *readRun[S, In, Out]) invoke(context.Context) (err error) {
	r.out, err = r.fn(&r.ctx, r.in)
	return err
}

func (r *readRun[S, In, Out]) encodeOutput() (msg.Payload, error) {
	return r.scope.handler.declaration.output.encode(&r.out)
}

// storeState keeps nothing: a read looks at a copy.
func (r *readRun[S, In, Out]) storeState(*scope) error { return nil }

package holdfast

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-io/holdfast/client"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/program"
)

// InvocationInfo describes the handler call that an Interceptor surrounds.
type InvocationInfo struct {
	ID      string // empty if nobody can ask about the invocation
	Target  Ref
	Handler string
	Attempt int               // from 1
	Header  map[string]string // names without upper case
}

// turn is what the contexts of all handlers have.
type turn struct{ scope *scope }

// Key is the key of the entity.
func (t *turn) Key() string { return t.scope.live().turn.Message.Target.Key }

// Now is the time of the turn: it does not advance while the handler runs, and
// never goes back from turn to turn of one entity.
func (t *turn) Now() time.Time { return t.scope.live().turn.Now.Std() }

// Header gives a piece of metadata of the request; empty if it has none of this
// name. Case does not matter.
func (t *turn) Header(name string) string {
	for _, h := range t.scope.live().turn.Message.Headers {
		if strings.EqualFold(h.Name, name) {
			return h.Value
		}
	}
	return ""
}

// Info says which invocation this is.
func (t *turn) Info() InvocationInfo { return t.scope.live().info() }

// Context carries what interceptors put into it, and ends when nobody needs the
// outcome any more. It is for libraries that ask for one: a handler that waits
// holds up its entity.
func (t *turn) Context() context.Context { return t.scope.live().context }

// sends is what the contexts have that may change something.
type sends struct{ scope *scope }

func (s *sends) newID() string { return program.NewID(s.scope.live().context) }

// canSend takes a message over.
func (s *sends) canSend(r client.Request) {
	scope := s.scope.live()
	out, err := outgoing(scope.turn.Now, r)
	if err != nil {
		scope.fail(fmt.Errorf("send to %s/%s %s: %w", r.Kind, r.Key, r.Handler, err))
		return
	}
	scope.outcome.Sends = append(scope.outcome.Sends, out)
}

// tail takes over the message that will answer the caller.
func (s *sends) tail(r client.Request) {
	scope := s.scope.live()
	out, err := outgoing(scope.turn.Now, r)
	switch {
	case err != nil:
		scope.fail(fmt.Errorf("tail call of %s/%s %s: %w", r.Kind, r.Key, r.Handler, err))
	case scope.outcome.Tail != nil:
		scope.fail(fmt.Errorf("Tail was used twice; a handler can pass its caller on once, as in: return %s.Tail(ctx, key, in)", r.Handler))
	default:
		scope.outcome.Tail = &out
	}
}

// fail says why the turn cannot commit, whatever its handler returns.
func (s *sends) fail(err error) { s.scope.live().fail(err) }

// Buffered gives what has been sent in this turn so far, for tests. NotBefore
// is set where a message is delayed.
func (s *sends) Buffered() []client.Request {
	scope := s.scope.live()
	list := make([]client.Request, 0, len(scope.outcome.Sends))
	for i := range scope.outcome.Sends {
		list = append(list, requestOf(&scope.outcome.Sends[i]))
	}
	return list
}

// requestOf is the inverse of outgoing.
func requestOf(o *msg.Outgoing) client.Request {
	r := client.Request{
		Kind: o.Target.Kind, Affinity: o.Affinity, Key: o.Target.Key, Handler: o.Handler,
		Body: o.Payload.Body, ContentType: o.Payload.ContentType, IdempotencyKey: o.Identity.IdempotencyKey,
	}
	if o.Kind == msg.MessageEventPrepare {
		r.Operation = client.Raise
		for _, ref := range o.Refs {
			r.Refs = append(r.Refs, client.Ref{Kind: ref.Kind, Key: ref.Key})
		}
	}
	if o.NotBefore != 0 {
		r.NotBefore = o.NotBefore.Std()
	}
	if o.Deadline != 0 {
		r.Deadline = o.Deadline.Std()
	}
	for _, h := range o.Headers {
		if r.Header == nil {
			r.Header = map[string]string{}
		}
		r.Header[h.Name] = h.Value
	}
	return r
}

// outgoing checks a request of a turn and gives it the form of the engine.
func outgoing(now msg.Time, r client.Request) (out msg.Outgoing, err error) {
	if r.Operation != client.Raise {
		err = client.CheckKey(r.Key)
	}
	if err != nil {
		return out, err
	}
	out = msg.Outgoing{
		Target: msg.Ref{Kind: r.Kind, Key: r.Key}, Affinity: r.Affinity, Handler: r.Handler,
		Payload:  msg.Payload{ContentType: r.ContentType, Body: r.Body},
		Identity: msg.Identity{IdempotencyKey: r.IdempotencyKey},
	}
	if !r.Deadline.IsZero() {
		out.Deadline = msg.TimeOf(r.Deadline)
	}
	switch r.Operation {
	case client.Signal:
		out.Kind = msg.MessageSignal
	case client.Raise:
		raise(&out, &r)
	}
	out.Headers = headersOf(r.Header)
	if out.OnConflict, err = conflictPolicy(r.OnConflict); err == nil && (r.Delay != 0 || !r.NotBefore.IsZero()) {
		out.NotBefore, err = dueAt(now, r.Delay, r.NotBefore)
	}
	return out, err
}

func headersOf(from map[string]string) (headers []msg.Header) {
	for name, value := range from {
		headers = append(headers, msg.Header{Name: name, Value: value})
	}
	slices.SortFunc(headers, func(a, b msg.Header) int { return strings.Compare(a.Name, b.Name) })
	return headers
}

func conflictPolicy(name string) (msg.ConflictPolicy, error) {
	switch ConflictPolicy(name) {
	case "", Attach:
		return msg.ConflictAttach, nil
	case Reject:
		return msg.ConflictReject, nil
	case Replace:
		return msg.ConflictReplace, nil
	}
	return 0, ErrInvalidArgument.Withf("%q is no ConflictPolicy", name)
}

// UpdateContext is the context of an update: it may change state and send, and
// never waits. It belongs to its handler's goroutine and to this one call.
type UpdateContext[S any] struct {
	turn
	sends
	State S // encoded when the handler returns
}

// Delete removes the entity when the turn commits: its state, maps, lists and
// reminders, also those that this turn sets. What the turn sends leaves.
func (c *UpdateContext[S]) Delete() { c.turn.scope.live().outcome.Delete = true }

// CancelReminder stops a named reminder, if it is set.
func (c *UpdateContext[S]) CancelReminder(name string) { c.turn.scope.live().cancelReminder(name) }

func (s *scope) cancelReminder(name string) {
	s.forgetReminder(name)
	s.outcome.Forget = append(s.outcome.Forget, name)
}

func (s *scope) remind(d *handlerDeclaration, name string, when Schedule, r client.Request, err error) {
	kind := s.turn.Message.Target.Kind
	var due msg.Time
	var repeat msg.Schedule
	switch {
	case err != nil:
	case name == "":
		err = fmt.Errorf("it has no name")
	case when == nil:
		err = fmt.Errorf("it has no schedule; use After, At, Every or Cron")
	case kind != d.kind.name && kind != "": // no kind: holdfasttest runs the function alone
		err = fmt.Errorf("%v is no handler of kind %s; a reminder is a message of an entity to itself", d, kind)
	default:
		due, repeat, err = when.schedule(s.turn.Now)
	}
	if err != nil {
		s.fail(fmt.Errorf("reminder %q: %w", name, err))
		return
	}
	s.forgetReminder(name)
	s.outcome.Remind = append(s.outcome.Remind, msg.Reminder{
		Name: name, Handler: d.name, Due: due, Schedule: repeat,
		Payload: msg.Payload{ContentType: r.ContentType, Body: r.Body},
	})
}

// forgetReminder takes the name out of what this turn has asked for so far: the
// last word on a reminder counts, and an outcome's lists have no common order.
func (s *scope) forgetReminder(name string) {
	o := &s.outcome
	o.Forget = slices.DeleteFunc(o.Forget, func(f string) bool { return f == name })
	o.Remind = slices.DeleteFunc(o.Remind, func(r msg.Reminder) bool { return r.Name == name })
}

// ReadContext is the context of a read: it may look, nothing else. Its State is
// a copy; a change of a Map or List panics.
type ReadContext[S any] struct {
	turn
	State S
}

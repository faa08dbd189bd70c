package holdfasttest

import (
	"context"
	"encoding/json"
	"reflect"
	"runtime"
	"strings"
	"time"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/client"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// TurnResult is what one turn came to.
type TurnResult[S, Out any] struct {
	Out Out
	Err error // as the handler returned it; holdfast.ErrPanic with its text if it panicked

	// State is the state after the turn. If the turn was undone, because Err is
	// not wrapped in holdfast.Keep, it is a copy of the state before, without
	// the fields that are not stored.
	State S

	Sent      []client.Request    // in order; a delayed message has NotBefore
	Tail      *client.Request     // the message that answers the caller instead, if any
	Reminders []holdfast.Reminder // set in this turn
	Cancelled []string            // names of reminders cancelled in this turn
	Deleted   bool                // the entity deletes itself
}

// TurnOption sets what a handler finds.
type TurnOption func(*msg.Turn)

// Key sets the entity's key; the default is "key".
func Key(key string) TurnOption { return func(t *msg.Turn) { t.Message.Target.Key = key } }

// Now sets the time of the turn; the default is the beginning of 2026 in UTC.
func Now(now time.Time) TurnOption { return func(t *msg.Turn) { t.Now = msg.TimeOf(now) } }

// Header sets a piece of metadata of the request.
func Header(name, value string) TurnOption {
	return func(t *msg.Turn) {
		t.Message.Headers = append(t.Message.Headers, msg.Header{Name: strings.ToLower(name), Value: value})
	}
}

// Attempt sets which attempt this is; the default is 1.
func Attempt(n int) TurnOption { return func(t *msg.Turn) { t.Attempt = uint32(n) } }

// nameOf gives the name of the function under test, as in "bank.withdraw". Its
// kind has no name: it stands for any kind.
func nameOf(fn any) string {
	name := runtime.FuncForPC(reflect.ValueOf(fn).Pointer()).Name()
	return name[strings.LastIndexByte(name, '/')+1:]
}

func newTurn(mode msg.Mode, handler string, opts []TurnOption) *msg.Turn {
	t := &msg.Turn{
		Mode: mode, Attempt: 1,
		Now:     msg.TimeOf(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)),
		Message: &msg.Message{Kind: msg.MessageCall, Target: msg.Ref{Key: "key"}, Handler: handler},
	}
	for _, o := range opts {
		o(t)
	}
	return t
}

// Turn runs an update once.
//
//	r := holdfasttest.Turn(withdraw, Account{Balance: 5}, 7)
//	if !errors.Is(r.Err, ErrInsufficient) {
//		t.Fatal(r.Err)
//	}
func Turn[S, In, Out any](fn func(*holdfast.UpdateContext[S], In) (Out, error), state S, in In, opts ...TurnOption) TurnResult[S, Out] {
	update := holdfast.NewUpdate[holdfast.Void, Out](holdfast.NewEntity[S](""), nameOf(fn))
	return once(msg.ModeUpdate, nameOf(fn), state, opts, func(after *TurnResult[S, Out]) holdfast.Part {
		return update.Handle(func(ctx *holdfast.UpdateContext[S], _ holdfast.Void) (Out, error) {
			ctx.State = state
			after.Out, after.Err = fn(ctx, in)
			after.State, after.Sent = ctx.State, ctx.Buffered()
			return after.Out, after.Err
		})
	})
}

// Take runs once what a kind does when an event names one of its entities. An
// error is the refusal, and undoes the turn.
func Take[S, E any](fn func(*holdfast.EventContext[S], E) error, state S, e E, opts ...TurnOption) TurnResult[S, holdfast.Void] {
	event := holdfast.NewEvent(nameOf(fn), func(holdfast.Void) []holdfast.Ref { return nil })
	return once(msg.ModeEvent, nameOf(fn), state, opts, func(after *TurnResult[S, holdfast.Void]) holdfast.Part {
		return holdfast.On(holdfast.NewEntity[S](""), event, func(ctx *holdfast.EventContext[S], _ holdfast.Void) error {
			ctx.State = state
			after.Err = fn(ctx, e)
			after.State, after.Sent = ctx.State, ctx.Buffered()
			return after.Err
		})
	})
}

// once runs a handler once. What bind makes of it notes what it came to.
func once[S, Out any](mode msg.Mode, name string, state S, opts []TurnOption, bind func(after *TurnResult[S, Out]) holdfast.Part) TurnResult[S, Out] {
	var after TurnResult[S, Out]
	undone := TurnResult[S, Out]{State: copyOf(state)}
	outcome := holdfast.NewApp("", bind(&after)).Program().Turn(context.Background(), newTurn(mode, name, opts))
	err := errorOf(outcome, after.Err)
	if outcome.Err != nil && !outcome.Keep {
		undone.Err = err
		return undone
	}
	after.Err = err
	after.collect(outcome)
	return after
}

// Read runs a read once. It gives what the handler returned; a panic is
// holdfast.ErrPanic with its text.
func Read[S, In, Out any](fn func(*holdfast.ReadContext[S], In) (Out, error), state S, in In, opts ...TurnOption) (out Out, err error) {
	var returned error
	entity := holdfast.NewEntity[S]("")
	read := holdfast.NewRead[holdfast.Void, Out](entity, nameOf(fn))
	binding := read.Handle(func(ctx *holdfast.ReadContext[S], _ holdfast.Void) (Out, error) {
		out, returned = fn(ctx, in)
		return out, returned
	})
	initial := entity.Options(holdfast.EntityOptions[S]{Initial: func(string) S { return state }})
	outcome := holdfast.NewApp("", binding, initial).Program().Turn(context.Background(), newTurn(msg.ModeRead, nameOf(fn), opts))
	return out, errorOf(outcome, returned)
}

// errorOf gives the error of an outcome: the very one that the handler
// returned, if that is what the outcome is about.
func errorOf(o *msg.Outcome, returned error) error {
	e := o.Err
	switch {
	case e == nil:
		return nil
	case returned != nil && strings.Contains(returned.Error(), e.Message):
		return returned
	default:
		return &holdfast.Error{Code: e.Code, Class: holdfast.Class(e.Class), Message: e.Message, Detail: e.Detail}
	}
}

// copyOf gives the state as it would be read from the log; as it is if it has
// no JSON form.
func copyOf[S any](state S) S {
	body, err := json.Marshal(state)
	var read S
	if err == nil && json.Unmarshal(body, &read) == nil {
		return read
	}
	return state
}

func remindersOf(o *msg.Outcome) (list []holdfast.Reminder) {
	for _, reminder := range o.Remind {
		list = append(list, holdfast.Reminder{
			Name: reminder.Name, Handler: reminder.Handler,
			Due: reminder.Due.Std(), Every: reminder.Schedule.Every, Cron: reminder.Schedule.Cron,
		})
	}
	return list
}

func (r *TurnResult[S, Out]) collect(o *msg.Outcome) {
	r.Reminders = remindersOf(o)
	r.Cancelled, r.Deleted = o.Forget, o.Delete
	if o.Tail != nil {
		r.Tail = &client.Request{
			Kind: o.Tail.Target.Kind, Affinity: o.Tail.Affinity, Key: o.Tail.Target.Key,
			Handler: o.Tail.Handler, Body: o.Tail.Payload.Body, ContentType: o.Tail.Payload.ContentType,
		}
	}
}

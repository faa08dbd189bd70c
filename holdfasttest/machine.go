package holdfasttest

import (
	"context"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/client"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// ReactionResult is what one reaction of a machine came to.
type ReactionResult[S any] struct {
	Err error // as the reaction returned it; holdfast.ErrPanic with its text if it panicked

	// Data is the data after the reaction. If the step would be undone, because
	// Err is not wrapped in holdfast.Keep, it is a copy of the data before,
	// without the fields that are not stored.
	Data S

	Transition string              // goto, push, pop or halt; empty: the machine stays in its state
	To         string              // name of the state of a goto or push
	Raised     []client.Request    // in order
	Sent       []client.Request    // in order; a delayed message has NotBefore
	Reminders  []holdfast.Reminder // set by the reaction
	Cancelled  []string            // names of reminders that it cancelled
}

// React runs the reaction to a message once, alone: transitions and raised
// messages are told and not followed.
func React[S, In any](fn func(*holdfast.MachineContext[S], In) error, data S, in In, opts ...TurnOption) ReactionResult[S] {
	return react(nameOf(fn), func(m *holdfast.MachineContext[S]) error { return fn(m, in) }, data, opts)
}

// Enter runs the action of an Entry or Exit once, alone.
func Enter[S any](fn func(*holdfast.MachineContext[S]) error, data S, opts ...TurnOption) ReactionResult[S] {
	return react(nameOf(fn), fn, data, opts)
}

func react[S any](name string, fn func(*holdfast.MachineContext[S]) error, data S, opts []TurnOption) ReactionResult[S] {
	var after ReactionResult[S]
	undone := ReactionResult[S]{Data: copyOf(data)}
	machine := holdfast.NewMachine[S]("")
	message := holdfast.NewMessage[holdfast.Void](machine, name)
	binding := machine.Handle(machine.State("only").When(message.Do(func(m *holdfast.MachineContext[S], _ holdfast.Void) error {
		m.Data = data
		after.Err = fn(m)
		after.Data, after.Sent, after.Raised = m.Data, m.Buffered(), m.Raised()
		after.Transition, after.To = m.Transition()
		return after.Err
	})))
	outcome := holdfast.NewApp("", binding).Program().Turn(context.Background(), newTurn(msg.ModeUpdate, name, opts))
	err := errorOf(outcome, after.Err)
	if outcome.Err != nil && !outcome.Keep {
		undone.Err = err
		return undone
	}
	after.Err, after.Reminders, after.Cancelled = err, remindersOf(outcome), outcome.Forget
	return after
}

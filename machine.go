package holdfast

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	"github.com/holdfast-io/holdfast/client"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// Machine declares a kind of state machine with key K and data S. A machine is
// always in a state, and takes one message after the other: what the state's
// reaction changes, sends and sets, and that the message was taken, is one
// atomic step. A machine comes to be with the first message to its key.
type Machine[K ~string, S any] struct{ objects[K] }

// NewMachine declares a kind of machine with string keys.
func NewMachine[S any](kind string, opts ...HandleOption) Machine[string, S] {
	return Machine[string, S]{objects[string]{newMachine[S](kind, position(), opts)}}
}

// NewMachineIn declares a kind of machine in an affinity: it has the affinity's
// typed keys, and shares partition and lock with the other kinds there.
func NewMachineIn[S any, K ~string](in Affinity[K], kind string, opts ...HandleOption) Machine[K, S] {
	k := newMachine[S](kind, position(), opts)
	k.placeIn(in.declaration)
	return Machine[K, S]{objects[K]{k}}
}

func newMachine[S any](name, at string, opts []HandleOption) *kindDeclaration {
	k := newKind[S](name, at, opts)
	k.form = msg.FormMachine
	return k
}

// Options is the part that gives a machine its options. Initial is the data of
// a machine that comes to be; Strict is for entities.
func (m Machine[K, S]) Options(o EntityOptions[S]) Part {
	return newKindOptions(m.declaration, position(), o)
}

// MachineState is what a machine is: its states, the present one last, and its
// data.
type MachineState[S any] struct {
	Stack []string
	Data  S
}

// Inspect gives the committed state and the index of the last change, for
// operators and tests. ErrNotFound if the machine does not exist.
func (m Machine[K, S]) Inspect(c *ClientContext, key K) (s MachineState[S], version uint64, err error) {
	stored, version, err := m.inspect(c, key)
	if err != nil {
		return s, 0, err
	}
	root, err := openRoot(stored)
	if err == nil {
		s.Stack = root.Stack
		err = newStateCodec[S](m.declaration, nil).decodeInspected(root.Data, &s.Data)
	}
	if err != nil {
		err = fmt.Errorf("decode the state of %s/%s as %T: %w", m.declaration.name, key, s, err)
	}
	return s, version, err
}

// stateDeclaration is one State of a machine.
type stateDeclaration struct {
	contract
	kind *kindDeclaration
	name string
	at   string
}

// State is a named state of a machine with data S.
type State[S any] struct{ declaration *stateDeclaration }

// State declares a state. Alias keeps an old name alive for the machines that
// are in it.
func (m Machine[K, S]) State(name string, opts ...HandleOption) State[S] {
	k := m.declaration
	if k == nil { // the zero Machine: Validate says so
		k = &kindDeclaration{form: msg.FormMachine}
	}
	d := &stateDeclaration{contract: newContract(opts), kind: k, name: name, at: position()}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.states = append(k.states, d)
	return State[S]{d}
}

// Message is a typed message to a machine.
type Message[K ~string, S, In any] struct{ declaration *handlerDeclaration }

// NewMessage declares a message of a machine.
func NewMessage[In, S any, K ~string](m Machine[K, S], name string, opts ...HandleOption) Message[K, S, In] {
	return Message[K, S, In]{newHandler(m.declaration, msg.ModeUpdate, name, position(),
		reflect.TypeFor[In](), voidType, opts)}
}

// reactionVerb says what a row of a state's table does.
type reactionVerb uint8

const (
	verbDo reactionVerb = iota
	verbDefer
	verbIgnore
	verbEntry
	verbExit
)

// reactionRow is a Reaction without its type parameter.
type reactionRow struct {
	verb    reactionVerb
	message *handlerDeclaration // verbDo, verbDefer and verbIgnore
	at      string
	unset   bool // the function is nil
}

// Reaction is one row of a state's table: what a machine with data S does with
// a message, or when it enters or leaves the state.
type Reaction[S any] struct {
	reactionRow
	act func(m *MachineContext[S], input msg.Payload) error
}

// Do reacts to the message. An error undoes the step, and the message becomes a
// dead letter together with the machine's state; the machine goes on.
func (g Message[K, S, In]) Do(fn func(m *MachineContext[S], in In) error) Reaction[S] {
	d := g.declaration
	return Reaction[S]{reactionRow{verbDo, d, position(), fn == nil}, func(m *MachineContext[S], input msg.Payload) error {
		var in In
		if err := d.input.decode(input, &in); err != nil {
			return NewError(msg.CodeInvalidArgument, InvalidArgument).Withf("%v expects %s as input: %v", d, describe(&d.input), err)
		}
		return fn(m, in)
	}}
}

// Defer keeps the message, durably, until the machine has changed its state. It
// comes before what has arrived since then.
func (g Message[K, S, In]) Defer() Reaction[S] {
	return Reaction[S]{reactionRow: reactionRow{verb: verbDefer, message: g.declaration, at: position()}}
}

// Ignore takes the message and does nothing.
func (g Message[K, S, In]) Ignore() Reaction[S] {
	return Reaction[S]{reactionRow: reactionRow{verb: verbIgnore, message: g.declaration, at: position()}}
}

// Entry runs when the machine enters the state, also when it comes to be.
func Entry[S any](fn func(m *MachineContext[S]) error) Reaction[S] {
	return transitional(verbEntry, position(), fn)
}

// Exit runs when the machine leaves the state, also when it halts. It makes no
// transition of its own.
func Exit[S any](fn func(m *MachineContext[S]) error) Reaction[S] {
	return transitional(verbExit, position(), fn)
}

func transitional[S any](verb reactionVerb, at string, fn func(m *MachineContext[S]) error) Reaction[S] {
	return Reaction[S]{reactionRow{verb: verb, at: at, unset: fn == nil}, func(m *MachineContext[S], _ msg.Payload) error { return fn(m) }}
}

// StateBinding is a state with its reactions.
type StateBinding[S any] struct {
	state     *stateDeclaration
	at        string
	reactions []Reaction[S]
}

// When gives the state its table of reactions. A message that it does not name
// is looked up in the states below, if it was entered by Push; one that no
// state of the stack names becomes a dead letter.
func (s State[S]) When(reactions ...Reaction[S]) StateBinding[S] {
	return StateBinding[S]{s.declaration, position(), reactions}
}

// boundState is what Validate knows about a StateBinding.
type boundState struct {
	state *stateDeclaration
	at    string
	rows  []reactionRow
}

// machineBinding is the part that Machine.Handle makes.
type machineBinding struct {
	declaration *kindDeclaration
	at          string
	states      []boundState
	prepare     func(state any) func(*servedHandler, context.Context, *msg.Turn) *msg.Outcome
}

func (b *machineBinding) addTo(a *App) { a.machines = appendNew(a.machines, b) }

// handlers binds every message of the machine to its states.
func (b *machineBinding) handlers() (list []*handlerBinding) {
	if b.declaration == nil { // the zero Machine: Validate says so
		return nil
	}
	for _, d := range b.declaration.declared() {
		list = append(list, &handlerBinding{declaration: d, at: b.at, prepare: b.prepare})
	}
	return list
}

// Handle binds the machine's states. The first is the one in which a machine
// comes to be.
func (m Machine[K, S]) Handle(initial StateBinding[S], others ...StateBinding[S]) Part {
	b := &machineBinding{declaration: m.declaration, at: position()}
	table := &machineTable[S]{states: map[string]*tableState[S]{}}
	for _, binding := range append([]StateBinding[S]{initial}, others...) {
		bound := boundState{state: binding.state, at: binding.at}
		for _, r := range binding.reactions {
			bound.rows = append(bound.rows, r.reactionRow)
		}
		b.states = append(b.states, bound)
		table.add(binding)
	}
	b.prepare = func(state any) func(*servedHandler, context.Context, *msg.Turn) *msg.Outcome {
		codec := state.(*stateCodec[S])
		return func(h *servedHandler, ctx context.Context, t *msg.Turn) *msg.Outcome {
			return runMachine(h, ctx, t, codec, table)
		}
	}
	return b
}

// Send hands the message over when the current turn commits. It cannot fail:
// what cannot be sent fails the turn.
func (g Message[K, S, In]) Send(s Sender, key K, in In, opts ...SendOption) {
	r, err := g.declaration.request(string(key), &in)
	send(s, r, err, opts)
}

// Submit hands the message over from outside. It is durable when Submit returns
// without an error.
func (g Message[K, S, In]) Submit(c *ClientContext, key K, in In, opts ...SendOption) error {
	_, err := g.declaration.submit(c, string(key), &in, opts)
	return err
}

// Raise makes the machine take the message next, in the same step, before
// anything in its inbox, once the reaction has returned and its transition is
// done. If the state defers it then, the machine sends it to itself.
func (g Message[K, S, In]) Raise(m *MachineContext[S], in In) {
	s := m.turn.scope.live()
	r, err := g.declaration.request(s.turn.Message.Target.Key, &in)
	if err == nil && !s.owns(g.declaration.kind) {
		err = fmt.Errorf("it is no message of machine %s; Send it", s.turn.Message.Target.Kind)
	}
	if err != nil {
		s.fail(fmt.Errorf("raise %v: %w", g.declaration, err))
		return
	}
	m.raised = append(m.raised, r)
}

// Remind sets a named timer: when it fires, the machine gets the message. A
// reminder of the same name is replaced.
func (g Message[K, S, In]) Remind(m *MachineContext[S], name string, when Schedule, in In) {
	r, err := g.declaration.request("", &in)
	m.turn.scope.live().remind(g.declaration, name, when, r, err)
}

// To gives an address that can be stored and sent: whoever has it can send In.
func (g Message[K, S, In]) To(key K) Address[In] { return addressOf[In](g.declaration, string(key)) }

// MachineContext is the context of a reaction. It belongs to the reaction's
// goroutine and to this one call.
type MachineContext[S any] struct {
	turn
	sends
	Data S // encoded at the end of the step

	next   transition
	raised []client.Request
}

// Goto leaves the present state for another, once the reaction has returned:
// exit, change, entry.
func (m *MachineContext[S]) Goto(to State[S]) { m.transit(transition{transitionGoto, to.declaration}) }

// Push enters a state above the present one, which is not left, once the
// reaction has returned.
func (m *MachineContext[S]) Push(to State[S]) { m.transit(transition{transitionPush, to.declaration}) }

// Pop leaves the present state for the one below, once the reaction has
// returned. The state below is not entered again.
func (m *MachineContext[S]) Pop() { m.transit(transition{verb: transitionPop}) }

// Halt leaves all states and ends the machine, once the reaction has returned:
// its data and reminders are gone. What it deferred, and what comes later,
// finds a fresh machine.
func (m *MachineContext[S]) Halt() { m.transit(transition{verb: transitionHalt}) }

// CancelReminder stops a named reminder, if it is set, also one that has fired
// and was deferred.
func (m *MachineContext[S]) CancelReminder(name string) {
	m.turn.scope.live().cancelReminder(name)
}

// Transition gives what the reaction has asked for so far, for tests: goto,
// push, pop or halt, and the name of the state; empty if there is none.
func (m *MachineContext[S]) Transition() (verb, state string) {
	m.turn.scope.live()
	if m.next.to != nil {
		state = m.next.to.name
	}
	return m.next.verb.String(), state
}

// Raised gives what the reaction has raised so far, for tests.
func (m *MachineContext[S]) Raised() []client.Request {
	m.turn.scope.live()
	return slices.Clone(m.raised)
}

package holdfast

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/holdfast-io/holdfast/client"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// settleMax bounds the transitions and raised messages of one step: far more
// than a machine needs that comes to rest.
const settleMax = 1000

// transitionVerb says how a machine changes its state.
type transitionVerb uint8

const (
	transitionNone transitionVerb = iota
	transitionGoto
	transitionPush
	transitionPop
	transitionHalt
)

func (v transitionVerb) String() string { return [...]string{"", "goto", "push", "pop", "halt"}[v] }

// transition is what a reaction has asked for.
type transition struct {
	verb transitionVerb
	to   *stateDeclaration // goto and push
}

// machineTable is what a machine does in each of its states.
type machineTable[S any] struct {
	initial *tableState[S]
	states  map[string]*tableState[S] // by name and alias
}

// tableState is a state with its reactions.
type tableState[S any] struct {
	name        string
	entry, exit *Reaction[S]            // nil: none
	reactions   map[string]*Reaction[S] // by name of the message
}

// add takes a state into the table. Of what is there twice the first counts;
// Validate complains.
func (t *machineTable[S]) add(b StateBinding[S]) {
	if b.state == nil {
		return
	}
	s := &tableState[S]{name: b.state.name, reactions: map[string]*Reaction[S]{}}
	for i := range b.reactions {
		switch r := &b.reactions[i]; {
		case r.verb == verbEntry:
			s.entry = r
		case r.verb == verbExit:
			s.exit = r
		case r.message != nil && s.reactions[r.message.name] == nil:
			s.reactions[r.message.name] = r
		}
	}
	if t.initial == nil {
		t.initial = s
	}
	for _, name := range append([]string{b.state.name}, b.state.aliases...) {
		if t.states[name] == nil {
			t.states[name] = s
		}
	}
}

// storedRoot is the stored form of a machine.
type storedRoot struct {
	Stack []string        `json:"stack"`
	Data  json.RawMessage `json:"data"`
}

func openRoot(body []byte) (root storedRoot, err error) {
	if err = json.Unmarshal(body, &root); err == nil && len(root.Stack) == 0 {
		err = fmt.Errorf("it has no stack of states")
	}
	return root, err
}

// machineRun is one step of a machine, in one piece of memory.
type machineRun[S any] struct {
	scope     scope
	ctx       MachineContext[S]
	codec     *stateCodec[S]
	table     *machineTable[S]
	stack     []*tableState[S] // the present state last; empty: the machine does not exist
	halted    bool
	untouched bool // the step keeps nothing
}

func runMachine[S any](h *servedHandler, ctx context.Context, t *msg.Turn, codec *stateCodec[S], table *machineTable[S]) *msg.Outcome {
	r := &machineRun[S]{codec: codec, table: table}
	r.ctx.turn.scope, r.ctx.sends.scope = &r.scope, &r.scope
	r.scope.begin(h, ctx, t)
	o := r.scope.run(r)
	switch {
	case o.Fault != "" || o.Panicked:
	case o.Err != nil && !o.Keep:
		o.DeadLetter = o.Err.Error() // nobody else would hear of it
	case r.untouched:
		return &msg.Outcome{Run: t.Run, Defer: o.Defer}
	}
	return o
}

// alone says that holdfasttest runs one reaction: there are no states.
func (r *machineRun[S]) alone() bool { return r.scope.handler.declaration.kind.name == "" }

// decodeInput does nothing: only a reaction looks at the input.
func (r *machineRun[S]) decodeInput() error { return nil }

func (r *machineRun[S]) encodeOutput() (p msg.Payload, err error) { return p, nil }

// loadState takes the root apart: the codec knows the data only.
func (r *machineRun[S]) loadState(s *scope) error {
	if !s.turn.State.Exists || len(s.turn.State.Root.Body) == 0 {
		return r.codec.load(s, &r.ctx.Data)
	}
	root, err := openRoot(s.turn.State.Root.Body)
	data := msg.Payload{Body: root.Data}
	if err == nil && r.codec.codec != nil {
		data, err = unwrapJSON(root.Data)
	}
	for _, name := range root.Stack {
		state := r.table.states[name]
		if state == nil && err == nil {
			err = fmt.Errorf("it is in state %q, which this code does not declare; give the state that takes its place Alias(%q)", name, name)
		}
		r.stack = append(r.stack, state)
	}
	if err != nil {
		return fmt.Errorf("%s", s.stateFault(err))
	}
	opened := *s.turn
	opened.State.Root = data
	s.turn = &opened
	return r.codec.load(s, &r.ctx.Data)
}

// storeState puts stack and data together.
func (r *machineRun[S]) storeState(s *scope) error {
	if r.untouched || r.halted || r.alone() {
		return nil
	}
	if err := r.codec.store(s, &r.ctx.Data); err != nil {
		return err
	}
	data := s.root.Body
	if r.codec.codec != nil {
		wrapped, err := wrapJSON(s.root)
		if err != nil {
			return err
		}
		data = wrapped
	}
	stack, err := json.Marshal(r.names())
	if err != nil {
		return err
	}
	s.root = msg.Payload{Body: slices.Concat([]byte(`{"stack":`), stack, []byte(`,"data":`), data, []byte("}"))}
	return nil
}

func (r *machineRun[S]) names() []string {
	names := make([]string, len(r.stack))
	for i, s := range r.stack {
		names[i] = s.name
	}
	return names
}

// invoke takes the message. A machine that does not exist comes to be first; it
// stays if the message is handled, or deferred: its entry may be what ends the
// waiting. A message that is ignored, or that nobody knows, makes no machine.
func (r *machineRun[S]) invoke(context.Context) error {
	before, fresh := r.names(), len(r.stack) == 0 && !r.alone()
	if fresh {
		if err := r.enter(r.table.initial); err != nil {
			return err
		}
		if err := r.settle(); err != nil {
			return err
		}
	}
	o := &r.scope.outcome
	reaction, err := r.reaction(r.scope.handler.declaration.name)
	switch {
	case err != nil:
		return err
	case reaction.verb == verbIgnore:
		r.untouched = true
		return nil
	case reaction.verb == verbDefer:
		o.Defer, r.untouched = true, !fresh
		return nil
	}
	if err := reaction.act(&r.ctx, r.scope.turn.Message.Payload); err != nil || r.alone() {
		return err
	}
	if err := r.settle(); err != nil {
		return err
	}
	o.Delete = r.halted
	o.Offer = !slices.Equal(before, r.names())
	return nil
}

// reaction finds what the machine does with a message: the present state
// decides, and after it those below.
func (r *machineRun[S]) reaction(message string) (*Reaction[S], error) {
	if r.alone() {
		return r.table.initial.reactions[message], nil
	}
	for _, s := range slices.Backward(r.stack) {
		if found := s.reactions[message]; found != nil {
			return found, nil
		}
	}
	return nil, NewError(msg.CodeUnhandled, Failed).Withf("machine %s has no reaction to %s in state %v",
		r.scope.turn.Message.Target.Kind, message, r.names())
}

// settle follows transitions and takes raised messages until the machine rests.
func (r *machineRun[S]) settle() error {
	for range settleMax {
		var err error
		switch {
		case r.scope.failure != nil:
			err = r.scope.failure
		case r.ctx.next.verb != transitionNone:
			err = r.follow()
		case len(r.ctx.raised) > 0:
			err = r.takeRaised()
		default:
			return nil
		}
		if err != nil {
			return err
		}
	}
	return fmt.Errorf("the machine does not come to rest: %d transitions and raised messages in one step, the last state is %v", settleMax, r.names())
}

// follow makes the transition that a reaction has asked for.
func (r *machineRun[S]) follow() error {
	t := r.ctx.next
	r.ctx.next = transition{}
	switch t.verb {
	case transitionHalt:
		return r.halt()
	case transitionPop:
		if len(r.stack) < 2 {
			return fmt.Errorf("Pop in state %v, which has none below", r.names())
		}
		return r.leave()
	case transitionGoto:
		if err := r.leave(); err != nil {
			return err
		}
	}
	state := r.table.states[t.to.name]
	if state == nil {
		return fmt.Errorf("state %s is not bound", t.to.name)
	}
	return r.enter(state)
}

func (r *machineRun[S]) enter(s *tableState[S]) error {
	r.stack = append(r.stack, s)
	if s.entry == nil {
		return nil
	}
	return s.entry.act(&r.ctx, msg.Payload{})
}

func (r *machineRun[S]) leave() error {
	last := len(r.stack) - 1
	s := r.stack[last]
	if s.exit != nil {
		if err := s.exit.act(&r.ctx, msg.Payload{}); err != nil {
			return err
		}
	}
	if verb := r.ctx.next.verb; verb != transitionNone {
		return fmt.Errorf("the exit of state %s asked for a transition (%v): it is part of one already", s.name, verb)
	}
	r.stack = r.stack[:last]
	return nil
}

// halt leaves all states, the present one first.
func (r *machineRun[S]) halt() error {
	for len(r.stack) > 0 {
		if err := r.leave(); err != nil {
			return err
		}
	}
	if len(r.ctx.raised) > 0 {
		return fmt.Errorf("the machine halts and has raised %s, which it could not take any more", r.ctx.raised[0].Handler)
	}
	r.halted = true
	return nil
}

// takeRaised takes the first message that was raised.
func (r *machineRun[S]) takeRaised() error {
	raised := r.ctx.raised[0]
	r.ctx.raised = r.ctx.raised[1:]
	reaction, err := r.reaction(raised.Handler)
	switch {
	case err != nil:
		return err
	case reaction.verb == verbDefer:
		r.ctx.canSend(raised)
		return nil
	case reaction.verb == verbIgnore:
		return nil
	}
	return reaction.act(&r.ctx, msg.Payload{ContentType: raised.ContentType, Body: raised.Body})
}

// transit notes the transition that a reaction asks for.
func (m *MachineContext[S]) transit(t transition) {
	s := m.turn.scope.live()
	switch {
	case m.next.verb != transitionNone:
		s.fail(fmt.Errorf("two transitions in one reaction: %v after %v", t.verb, m.next.verb))
	case t.to == nil && (t.verb == transitionGoto || t.verb == transitionPush):
		s.fail(fmt.Errorf("%v of a State that is a zero value; declare it with the machine's State method", t.verb))
	case t.to != nil && !s.owns(t.to.kind):
		s.fail(fmt.Errorf("%v of %s, which is no state of machine %s", t.verb, t.to.name, s.turn.Message.Target.Kind))
	default:
		m.next = t
	}
}

// owns says whether a declaration belongs to the kind of the turn. A kind
// without a name stands for any: holdfasttest runs the function alone.
func (s *scope) owns(k *kindDeclaration) bool {
	own := s.handler.declaration.kind
	return own == k || own.name == ""
}

// tail refuses to pass a caller on that there is not.
func (m *MachineContext[S]) tail(r client.Request) {
	m.turn.scope.live().fail(fmt.Errorf("tail call of %s/%s %s: nobody waits for a machine; Send", r.Kind, r.Key, r.Handler))
}

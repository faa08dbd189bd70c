package holdfast_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// These tests take machines from step to step as the engine does: the root that
// one outcome gives is the state of the next turn.

// trace is the data of the test machine: what has happened.
type trace struct {
	Log   []string
	cache int `holdfast:"volatile"`
}

type traceContext = holdfast.MachineContext[trace]

func note(text string) func(*traceContext) error {
	return func(m *traceContext) error { m.Data.Log = append(m.Data.Log, text); return nil }
}

// lights is a machine whose message "do" is told what to do.
type lights struct {
	machine         holdfast.Machine[string, trace]
	off, on, asking holdfast.State[trace]
	do, plain       holdfast.Message[string, trace, string]
	later, useless  holdfast.Message[string, trace, int]
	app             *holdfast.App
}

func newLights() *lights {
	l := &lights{machine: holdfast.NewMachine[trace]("light")}
	l.off, l.on, l.asking = l.machine.State("off", holdfast.Alias("dark")), l.machine.State("on"), l.machine.State("asking")
	l.do = holdfast.NewMessage[string](l.machine, "do")
	l.plain = holdfast.NewMessage[string](l.machine, "plain", holdfast.Alias("old"))
	l.later = holdfast.NewMessage[int](l.machine, "later")
	l.useless = holdfast.NewMessage[int](l.machine, "useless")
	l.app = holdfast.NewApp("lights", l.machine.Handle(
		l.off.When(holdfast.Entry(note("enter off")), holdfast.Exit(note("exit off")), l.do.Do(l.act), l.later.Defer(), l.useless.Ignore()),
		l.on.When(holdfast.Entry(note("enter on")), holdfast.Exit(note("exit on")), l.do.Do(l.act), l.plain.Do(l.noted), l.later.Do(taken)),
		l.asking.When(holdfast.Entry(note("enter asking")), holdfast.Exit(l.exitAsking), l.useless.Do(taken)),
	), l.machine.Options(holdfast.EntityOptions[trace]{Activate: func(s *trace) error { s.cache = len(s.Log) + 1; return nil }}))
	return l
}

func taken(m *traceContext, n int) error { return note("taken " + string(rune('0'+n)))(m) }

func (l *lights) noted(m *traceContext, text string) error { return note("plain " + text)(m) }

func (l *lights) exitAsking(m *traceContext) error {
	if slices.Contains(m.Data.Log, "trap") {
		m.Pop()
	}
	return note("exit asking")(m)
}

// act does what the words of a text say.
func (l *lights) act(m *traceContext, text string) error {
	for _, word := range strings.Fields(text) {
		switch word {
		case "on":
			m.Goto(l.on)
		case "off":
			m.Goto(l.off)
		case "ask":
			m.Push(l.asking)
		case "pop":
			m.Pop()
		case "halt":
			m.Halt()
		case "raise":
			l.plain.Raise(m, "1")
			l.plain.Raise(m, "2")
		case "raise-later":
			l.later.Raise(m, 7)
		case "raise-do":
			l.do.Raise(m, "on raise")
		case "loop":
			l.do.Raise(m, "loop")
		case "fail":
			return errors.New("it fails")
		case "panic":
			panic("it panics")
		case "send":
			l.do.Send(m, "other", "on")
		case "remind":
			l.later.Remind(m, "r", holdfast.After(time.Minute), 5)
		case "cancel":
			m.CancelReminder("r")
		case "trap":
			m.Data.Log = append(m.Data.Log, "trap")
		case "cache":
			if m.Data.cache != len(m.Data.Log)+1 {
				return errors.New("volatile fields were not rebuilt")
			}
		}
	}
	m.Data.Log = append(m.Data.Log, "did "+text)
	return nil
}

// stepper keeps what the engine would keep of one machine.
type stepper struct {
	t    *testing.T
	app  *holdfast.App
	kind string
	root []byte
}

func (s *stepper) turn(message, input string) *msg.Outcome {
	s.t.Helper()
	turn := &msg.Turn{Run: 3, Mode: msg.ModeUpdate, Attempt: 1, Now: msg.TimeOf(time.Unix(1e9, 0)),
		Message: &msg.Message{Kind: msg.MessageSend, Target: msg.Ref{Kind: s.kind, Key: "a"}, Handler: message, Payload: msg.Payload{Body: []byte(input)}},
		State:   msg.Snapshot{Exists: s.root != nil, Root: msg.Payload{Body: s.root}, Machine: true}}
	return run(s.t, s.app, turn)
}

// step takes a message that must be handled, and keeps what it changes.
func (s *stepper) step(message, input string) *msg.Outcome {
	s.t.Helper()
	o := s.turn(message, input)
	if o.Err != nil || o.DeadLetter != "" || o.Fault != "" {
		s.t.Fatalf("%s %s: got %v, dead letter %q, fault %q", message, input, o.Err, o.DeadLetter, o.Fault)
	}
	s.keep(o)
	return o
}

func (s *stepper) keep(o *msg.Outcome) {
	switch {
	case o.Delete:
		s.root = nil
	case o.Root != nil:
		s.root = o.Root.Body
	}
}

func (s *stepper) want(root string) {
	s.t.Helper()
	if string(s.root) != root {
		s.t.Fatalf("got  %s\nwant %s", s.root, root)
	}
}

func newStepper(t *testing.T) (*stepper, *lights) {
	l := newLights()
	return &stepper{t: t, app: l.app, kind: "light"}, l
}

func TestTransitionsRunExitAndEntryInOrder(t *testing.T) {
	for _, c := range []struct{ name, first, then, want string }{
		{"goto leaves one state and enters the other", "", "on",
			`{"stack":["on"],"data":{"Log":["enter off","did on","exit off","enter on"]}}`},
		{"goto to the same state leaves and enters it", "", "off",
			`{"stack":["off"],"data":{"Log":["enter off","did off","exit off","enter off"]}}`},
		{"push leaves nothing", "", "ask",
			`{"stack":["off","asking"],"data":{"Log":["enter off","did ask","enter asking"]}}`},
		{"pop does not enter the state below", "ask", "pop",
			`{"stack":["off"],"data":{"Log":["enter off","did ask","enter asking","did pop","exit asking"]}}`},
		{"goto above another state takes the place of the upper one", "ask", "on",
			`{"stack":["off","on"],"data":{"Log":["enter off","did ask","enter asking","did on","exit asking","enter on"]}}`},
		{"raised messages come after the transition, in order", "", "on raise",
			`{"stack":["on"],"data":{"Log":["enter off","did on raise","exit off","enter on","plain 1","plain 2"]}}`},
		{"a raised message may go on", "", "raise-do",
			`{"stack":["on"],"data":{"Log":["enter off","did raise-do","did on raise","exit off","enter on","plain 1","plain 2"]}}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, _ := newStepper(t)
			if c.first != "" {
				s.step("do", `"`+c.first+`"`)
			}
			s.step("do", `"`+c.then+`"`)
			s.want(c.want)
		})
	}
}

func TestAChangeOfTheStackOffersWhatWasDeferred(t *testing.T) {
	s, _ := newStepper(t)
	for _, c := range []struct {
		text  string
		offer bool
	}{{"", true}, {"", false}, {"off", false}, {"ask", true}, {"pop", true}, {"on", true}} {
		if o := s.step("do", `"`+c.text+`"`); o.Offer != c.offer {
			t.Errorf("after %q: offers %v, want %v", c.text, o.Offer, c.offer)
		}
	}
}

func TestAMessageIsDeferredUntilAStateTakesIt(t *testing.T) {
	s, _ := newStepper(t)
	o := s.turn("later", "1")
	if !o.Defer || o.Err != nil || o.Root == nil {
		t.Fatalf("the first message: got %+v, want it deferred and the machine made", o)
	}
	s.keep(o)
	s.want(`{"stack":["off"],"data":{"Log":["enter off"]}}`)
	if o = s.turn("later", "1"); !o.Defer || o.Root != nil || o.Sends != nil || o.Offer {
		t.Fatalf("again: got %+v, want it deferred and nothing else", o)
	}
	s.step("do", `"on"`)
	s.step("later", "1")
	s.want(`{"stack":["on"],"data":{"Log":["enter off","did on","exit off","enter on","taken 1"]}}`)
}

func TestAnIgnoredMessageMakesNoMachine(t *testing.T) {
	s, _ := newStepper(t)
	if o := s.turn("useless", "1"); o.Err != nil || o.DeadLetter != "" || o.Root != nil || o.Defer {
		t.Fatalf("got %+v, want nothing", o)
	}
	s.step("do", `"ask"`)
	s.step("useless", "2") // the upper state takes it, though the lower one would ignore it
	s.want(`{"stack":["off","asking"],"data":{"Log":["enter off","did ask","enter asking","taken 2"]}}`)
}

func TestAMessageWithoutReactionBecomesADeadLetter(t *testing.T) {
	s, _ := newStepper(t)
	o := s.turn("plain", `"x"`)
	undone(t, o, "unhandled", "machine light has no reaction to plain in state [off]")
	if !strings.Contains(o.DeadLetter, "no reaction to plain") {
		t.Errorf("the dead letter says %q", o.DeadLetter)
	}
	s.step("do", `"ask"`)
	undone(t, s.turn("plain", `"x"`), "unhandled", "in state [off asking]")
	s.step("do", `""`) // and the machine goes on
}

func TestWhatFailsIsUndoneAndBecomesADeadLetter(t *testing.T) {
	for _, c := range []struct{ name, first, message, input, code, says string }{
		{"a reaction that returns an error", "", "do", `"send on fail"`, "failed", "it fails"},
		{"an input of another type", "", "do", `{}`, "invalid_argument", "light/do expects string"},
		{"two transitions", "", "do", `"on ask"`, "failed", "two transitions in one reaction: push after goto"},
		{"a pop of the only state", "", "do", `"pop"`, "failed", "Pop in state [off], which has none below"},
		{"a transition in an exit", "trap ask", "do", `"pop"`, "failed", "exit of state asking asked for a transition (pop)"},
		{"a raised message that nobody knows", "", "do", `"raise"`, "unhandled", "no reaction to plain in state [off]"},
		{"messages that are raised for ever", "", "do", `"loop"`, "failed", "does not come to rest"},
		{"a halt that leaves raised messages", "on", "do", `"halt raise"`, "failed", "halts and has raised plain"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, _ := newStepper(t)
			if c.first != "" {
				s.step("do", `"`+c.first+`"`)
			}
			o := s.turn(c.message, c.input)
			undone(t, o, c.code, c.says)
			if !strings.Contains(o.DeadLetter, c.says) || o.Defer || o.Offer {
				t.Errorf("got dead letter %q, defer %v, offer %v", o.DeadLetter, o.Defer, o.Offer)
			}
		})
	}
}

func TestAPanicIsNoDeadLetterYet(t *testing.T) {
	s, _ := newStepper(t)
	var o *msg.Outcome
	if log := captured(t, func() { o = s.turn("do", `"panic"`) }); !strings.Contains(log, "it panics") {
		t.Errorf("the log says %q", log)
	}
	if !o.Panicked || o.DeadLetter != "" {
		t.Errorf("got %+v, want a panic, which is tried again", o)
	}
}

func TestHaltLeavesAllStatesAndDeletes(t *testing.T) {
	l := newLights()
	var left []string
	leaving := func(name string) func(*traceContext) error {
		return func(m *traceContext) error {
			left = append(left, name)
			l.do.Send(m, "other", name)
			return nil
		}
	}
	app := holdfast.NewApp("lights", l.machine.Handle(
		l.off.When(holdfast.Exit(leaving("off")), l.do.Do(l.act), l.plain.Ignore(), l.later.Ignore(), l.useless.Ignore()),
		l.asking.When(holdfast.Exit(leaving("asking"))), l.on.When()))
	s := &stepper{t: t, app: app, kind: "light"}
	s.step("do", `"ask"`)
	o := s.step("do", `"remind halt"`)
	if !o.Delete || o.Root != nil || len(o.Remind) != 0 || len(o.Sends) != 2 || !slices.Equal(left, []string{"asking", "off"}) {
		t.Fatalf("got %+v after leaving %v", o, left)
	}
	s.step("do", `""`)
	s.want(`{"stack":["off"],"data":{"Log":["did "]}}`)
}

func TestARaisedMessageThatIsDeferredIsSentToTheMachine(t *testing.T) {
	s, _ := newStepper(t)
	o := s.step("do", `"raise-later"`)
	if len(o.Sends) != 1 || o.Sends[0].Target != (msg.Ref{Kind: "light", Key: "a"}) || o.Sends[0].Handler != "later" || string(o.Sends[0].Payload.Body) != "7" {
		t.Fatalf("got %+v, want later 7 to itself", o.Sends)
	}
}

func TestRemindersVolatileFieldsAndAliasesOfMachines(t *testing.T) {
	s, _ := newStepper(t)
	s.root = []byte(`{"stack":["dark"],"data":{"Log":["x"]}}`)
	o := s.step("do", `"cache remind"`)
	if len(o.Remind) != 1 || o.Remind[0].Handler != "later" || string(o.Remind[0].Payload.Body) != "5" {
		t.Errorf("got reminders %+v", o.Remind)
	}
	s.want(`{"stack":["off"],"data":{"Log":["x","did cache remind"]}}`)
	if o = s.step("do", `"cancel"`); !slices.Equal(o.Forget, []string{"r"}) {
		t.Errorf("got %v cancelled", o.Forget)
	}
}

func TestAStateThatCannotBeReadIsAFault(t *testing.T) {
	for root, says := range map[string]string{
		`{"stack":["gone"],"data":{}}`: `it is in state "gone", which this code does not declare`,
		`{"data":{}}`:                  "it has no stack of states",
		`[]`:                           "cannot unmarshal array",
		`{"stack":["on"],"data":[]}`:   "cannot unmarshal array",
	} {
		s, _ := newStepper(t)
		s.root = []byte(root)
		if o := s.turn("do", `"on"`); !strings.Contains(o.Fault, says) || o.DeadLetter != "" {
			t.Errorf("%s: got fault %q, dead letter %q, want a fault about %q", root, o.Fault, o.DeadLetter, says)
		}
	}
}

func TestAnErrorThatIsKeptKeepsTheStep(t *testing.T) {
	m := holdfast.NewMachine[trace]("keeper")
	only := m.State("only")
	do := holdfast.NewMessage[holdfast.Void](m, "do")
	s := &stepper{t: t, kind: "keeper", app: holdfast.NewApp("app", m.Handle(only.When(do.Do(func(m *traceContext, _ holdfast.Void) error {
		m.Data.Log = append(m.Data.Log, "kept")
		return holdfast.Keep(errors.New("nevertheless"))
	}))))}
	o := s.turn("do", "")
	if o.Err == nil || !o.Keep || o.DeadLetter != "" || string(o.Root.Body) != `{"stack":["only"],"data":{"Log":["kept"]}}` {
		t.Fatalf("got %+v", o)
	}
}

func TestACodecOfTheDataIsKeptInsideOfTheRoot(t *testing.T) {
	m := holdfast.NewMachine[account]("coded", holdfast.WithCodec(upper{}))
	only := m.State("only")
	do := holdfast.NewMessage[holdfast.Void](m, "do")
	s := &stepper{t: t, kind: "coded", app: holdfast.NewApp("app", m.Handle(only.When(do.Do(func(m *holdfast.MachineContext[account], _ holdfast.Void) error {
		m.Data.Owner += "x"
		return nil
	}))))}
	s.step("do", "")
	if !strings.Contains(string(s.root), `"content_type":"text/upper"`) {
		t.Fatalf("got %s", s.root)
	}
	s.step("do", "")
}

func TestAnEntryMayGoOnToAnotherState(t *testing.T) {
	m := holdfast.NewMachine[trace]("chain")
	first, second := m.State("first"), m.State("second")
	do := holdfast.NewMessage[holdfast.Void](m, "do")
	failing := false
	app := holdfast.NewApp("app", m.Handle(
		first.When(holdfast.Entry(func(m *traceContext) error { m.Goto(second); return nil }), holdfast.Exit(note("exit first"))),
		second.When(holdfast.Entry(func(m *traceContext) error {
			if failing {
				return errors.New("the entry fails")
			}
			return note("enter second")(m)
		}), do.Do(func(m *traceContext, _ holdfast.Void) error { return note("did")(m) }))))
	s := &stepper{t: t, kind: "chain", app: app}
	failing = true
	o := s.turn("do", "")
	undone(t, o, "failed", "the entry fails")
	failing = false
	s.step("do", "")
	s.want(`{"stack":["second"],"data":{"Log":["exit first","enter second","did"]}}`)
}

func TestMachinesAreValidated(t *testing.T) {
	a, b := holdfast.NewMachine[trace]("a"), holdfast.NewMachine[trace]("b")
	one, two, three, foreign := a.State("one"), a.State("two"), a.State("one"), b.State("foreign")
	good := holdfast.NewMessage[int](a, "good")
	never := holdfast.NewMessage[int](a, "never")
	waits := holdfast.NewMessage[int](a, "waits", holdfast.Creates())
	other := holdfast.NewMessage[int](b, "other")
	var zeroState holdfast.State[trace]
	var zeroMessage holdfast.Message[string, trace, int]
	var zeroMachine holdfast.Machine[string, trace]
	_ = never
	app := holdfast.NewApp("app",
		a.Handle(one.When(good.Do(taken), good.Ignore(), other.Ignore(), waits.Defer(), zeroMessage.Ignore(), holdfast.Reaction[trace]{},
			holdfast.Entry(note("")), holdfast.Entry(note("")), holdfast.Exit[trace](nil)),
			one.When(), foreign.When(), zeroState.When(), three.When(good.Do(nil)), holdfast.StateBinding[trace]{}),
		a.Handle(one.When()), zeroMachine.Handle(zeroState.When()),
		b.Options(holdfast.EntityOptions[trace]{}), a.Options(holdfast.EntityOptions[trace]{Strict: true}))
	_ = two
	err := app.Validate()
	if err == nil {
		t.Fatal("the app validates")
	}
	for _, want := range []string{
		"machine a is bound twice, first at ", "Strict is for entities", "message a/waits is declared with Creates()",
		"state one reacts to good twice, first at ", "state one reacts to b/other, a message of another machine", "message a/waits is deferred, and no state ever takes it",
		"state one reacts to a Message that is a zero value", "state one has a reaction that is the zero value", "state one has Entry twice",
		"Exit of state one is bound to a nil function", "state one is bound twice, first at", "foreign is a state of another machine",
		"a State is a zero value", "a state is the zero value; give Handle what When returns", "good in state one is bound to a nil function",
		"state two is declared and not bound", `the name "one" is taken by the state declared at`, "message a/never is declared and no state reacts to it",
		"machine b is declared and not bound", "its Machine is a zero value",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("nothing is said about %q", want)
		}
	}
	for _, line := range strings.Split(err.Error(), "\n") {
		if !strings.Contains(line, "machine_test.go:") {
			t.Errorf("no source line: %s", line)
		}
	}
	if t.Failed() {
		t.Log(err)
	}
}

func TestTransitionsToWhatIsNotBoundAreRefused(t *testing.T) {
	a, b := holdfast.NewMachine[trace]("a"), holdfast.NewMachine[trace]("b")
	one, foreign := a.State("one"), b.State("foreign")
	do, other := holdfast.NewMessage[int](a, "do"), holdfast.NewMessage[int](b, "other")
	update := holdfast.NewUpdate[int, int](holdfast.NewEntity[account]("account"), "add")
	var zero holdfast.State[trace]
	for n, says := range []string{"foreign, which is no state of machine a", "goto of a State that is a zero value", "no message of machine a; Send it", "nobody waits for a machine; Send"} {
		app := holdfast.NewApp("app", a.Handle(one.When(do.Do(func(m *traceContext, n int) error {
			switch n {
			case 0:
				m.Push(foreign)
			case 1:
				m.Goto(zero)
			case 2:
				other.Raise(m, 1)
			case 3:
				_, err := update.Tail(m, "x", 1)
				return err
			}
			return nil
		}))))
		s := &stepper{t: t, kind: "a", app: app}
		undone(t, s.turn("do", string(rune('0'+n))), "failed", says)
	}
}

func TestAMachineIsDescribedAsOne(t *testing.T) {
	l := newLights()
	kinds := l.app.Program().Describe().Kinds
	if len(kinds) != 1 || kinds[0].Form != msg.FormMachine || len(kinds[0].Handlers) != 4 || kinds[0].Handlers[0].Mode != msg.ModeUpdate {
		t.Fatalf("got %+v", kinds)
	}
	if o := l.app.Program().Turn(context.Background(), &msg.Turn{Message: &msg.Message{Target: msg.Ref{Kind: "light", Key: "a"}, Handler: "old", Payload: msg.Payload{Body: []byte(`"x"`)}},
		State: msg.Snapshot{Exists: true, Root: msg.Payload{Body: []byte(`{"stack":["on"],"data":{}}`)}}}); o.Err != nil {
		t.Errorf("by its alias: %v", o.Err)
	}
}

package world_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/internal/world"
)

// Gates are machines. Tokens that come to one that is shut wait until it opens,
// which it does by itself after a while, and go on to their cells.

type gate struct {
	Taken []string
	Wrong []string
}

// passage is a token on its way through a gate.
type passage struct{ Token, Cell string }

// shutFor is how long a gate stays shut if nobody opens it.
const shutFor = 200 * time.Millisecond

var (
	gates  = holdfast.NewMachine[gate]("gate")
	shut   = gates.State("shut")
	open   = gates.State("open")
	lifted = gates.State("lifted") // above open

	through = holdfast.NewMessage[passage](gates, "through")
	flip    = holdfast.NewMessage[holdfast.Void](gates, "flip")
	lift    = holdfast.NewMessage[holdfast.Void](gates, "lift")
	alarm   = holdfast.NewMessage[holdfast.Void](gates, "alarm")
	taken   = holdfast.NewMessage[passage](gates, "taken")
)

type gateContext = holdfast.MachineContext[gate]

// doThrough raises what it has taken: both are one step.
func doThrough(m *gateContext, p passage) error {
	taken.Raise(m, p)
	return nil
}

func doTaken(m *gateContext, p passage) error {
	if slices.Contains(m.Data.Taken, p.Token) {
		m.Data.Wrong = append(m.Data.Wrong, p.Token+" comes twice")
	}
	m.Data.Taken = append(m.Data.Taken, p.Token)
	cellAdd.Send(m, p.Cell, p.Token)
	return nil
}

func gateParts() holdfast.Part {
	to := func(change func(*gateContext)) func(*gateContext, holdfast.Void) error {
		return func(m *gateContext, _ holdfast.Void) error { change(m); return nil }
	}
	opens := to(func(m *gateContext) { m.Goto(open) })
	return gates.Handle(
		shut.When(
			holdfast.Entry(func(m *gateContext) error {
				alarm.Remind(m, "alarm", holdfast.After(shutFor), holdfast.Void{})
				return nil
			}),
			holdfast.Exit(func(m *gateContext) error { m.CancelReminder("alarm"); return nil }),
			through.Defer(), lift.Ignore(), flip.Do(opens), alarm.Do(opens),
		),
		open.When(
			through.Do(doThrough), taken.Do(doTaken), alarm.Ignore(),
			flip.Do(to(func(m *gateContext) { m.Goto(shut) })), lift.Do(to(func(m *gateContext) { m.Push(lifted) })),
		),
		lifted.When(
			flip.Do(to(func(m *gateContext) { m.Pop() })), lift.Ignore(),
		),
	)
}

// gate brings tokens through a gate, in order, and turns it in between.
func (l *ledger) gate(w *world.World, c *world.Client, door *holdfast.ClientContext) {
	k, order := key(c), []string{}
	for range 1 + c.Random.IntN(4) {
		t := l.newToken(key(c))
		err := through.Submit(door, k, passage{t.name, t.cell})
		expect(w, err)
		if t.acked = err == nil; t.acked {
			order = append(order, t.name)
		}
		switch c.Random.IntN(4) {
		case 0:
			expect(w, flip.Submit(door, k, holdfast.Void{}))
		case 1:
			expect(w, lift.Submit(door, k, holdfast.Void{}))
		}
	}
	l.orders = append(l.orders, passages{k, order})
}

// passages are tokens that a gate has to take in an order.
type passages struct {
	gate   string
	tokens []string
}

// checkOpen says whether every gate is open: one that was shut opens after a
// while.
func checkOpen(s world.State) error {
	for _, k := range s.Keys("gate") {
		if g := gateOf(s, k); g.Stack[0] != "open" {
			return fmt.Errorf("gate %s is %v", k, g.Stack)
		}
	}
	return nil
}

// gateState is what a gate has stored.
type gateState struct {
	Stack []string
	Data  gate
}

func gateOf(s world.State, key string) (g gateState) {
	if err := json.Unmarshal(s.Entity("gate", key).Root.Body, &g); err != nil || len(g.Stack) == 0 {
		g.Stack = []string{fmt.Sprint("not there: ", err)}
	}
	return g
}

// checkGates checks that gates took what came to them in order.
func (l *ledger) checkGates(s world.State) error {
	takenBy := map[string][]string{}
	for _, k := range s.Keys("gate") {
		g := gateOf(s, k)
		if len(g.Data.Wrong) > 0 {
			return fmt.Errorf("gate %s: %+v", k, g)
		}
		takenBy[k] = g.Data.Taken
	}
	for _, o := range l.orders {
		last := -1
		for _, t := range o.tokens {
			at := slices.Index(takenBy[o.gate], t)
			if at <= last {
				return fmt.Errorf("gate %s has taken %v, want %v in order", o.gate, takenBy[o.gate], o.tokens)
			}
			last = at
		}
	}
	return nil
}

package world_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/program"
	"github.com/holdfast-io/holdfast/internal/world"
)

// ledger knows which tokens clients have made, where each has to be, and what
// its client was told.
type ledger struct {
	tokens    int
	entries   []*token
	history   history
	occasions []*occasion
	orders    []passages
	lineages  []lineage
	outside   outside
}

// token was made once and asked for once, however often it was repeated.
type token struct {
	name  string
	cell  string
	then  [][2]string // further tokens that come of it: name and cell
	acked bool        // it was answered: it is there
	never bool        // it was refused: it is not there
	chain bool        // each one comes of the one before, whose handler may have panicked
}

// names of entities; few, so that they meet.
const keys = 6

func key(c *world.Client) string { return fmt.Sprint("k", c.Random.IntN(keys)) }

func (l *ledger) newToken(cell string) *token {
	l.tokens++
	t := &token{name: fmt.Sprint("t", l.tokens), cell: cell}
	l.entries = append(l.entries, t)
	return t
}

// newWorld gives a world with clients that do random things with the program.
func newWorld(c world.Config, clients, operations int) (*world.World, *ledger) {
	return newWorldOf((*ledger).act, c, clients, operations)
}

// deed is one thing that a client does.
type deed func(*ledger, *world.World, *world.Client, *holdfast.ClientContext)

// newWorldOf gives a world with clients that do one thing again and again.
func newWorldOf(do deed, c world.Config, clients, operations int) (*world.World, *ledger) {
	l := &ledger{outside: outside{}}
	first, second := versions(l.outside)
	c.Program, c.Upgrades = first.Program(), []program.Program{second.Program()}
	w := world.New(c)
	for n := range clients {
		w.Go(fmt.Sprint("client ", n), func(c *world.Client) {
			door := holdfast.NewClient(c.Conn()).With(c.Context())
			for n := 0; n < operations && w.More(); n++ {
				c.Sleep(time.Duration(c.Random.Int64N(int64(4 * time.Millisecond))))
				do(l, w, c, door)
			}
			c.Sleep(5 * time.Second) // longer than every delay
		})
	}
	w.Always("money is conserved", conserved)
	w.Eventually("every token that was promised is there", l.checkAcked)
	w.Eventually("every gate is open", checkOpen)
	w.Finally("nothing is made for nobody", l.outside.check)
	w.Finally("every occasion was in all of its rooms, in one order", l.checkRooms)
	w.Finally("what begins by a schedule begins once", checkChimes)
	w.Finally("families say what they have done", l.checkFamilies)
	w.Finally("inns are open", l.checkInns)
	w.Finally("gates let through in order", l.checkGates)
	w.Finally("every token is where it has to be", l.check)
	return w, l
}

// act does one random thing.
func (l *ledger) act(w *world.World, c *world.Client, door *holdfast.ClientContext) {
	switch n := c.Random.IntN(142); {
	case n >= 138:
		l.beat(w, c, door)
	case n >= 134:
		l.inn(w, c, door)
	case n >= 128:
		l.family(w, c, door)
	case n >= 124:
		l.lamp(w, c, door)
	case n >= 118:
		l.gate(w, c, door)
	case n >= 112:
		l.vigil(w, c, door)
	case n >= 100:
		l.room(w, c, door)
	case n < 40:
		l.errand(w, c, door)
	case n < 65:
		l.history.act(w, c, door)
	case n < 80:
		_, err := pay.Call(door, key(c), transfer{To: key(c), Amount: c.Random.IntN(40)})
		expect(w, err, errRefused)
	case n < 88:
		l.scribble(w, c, door)
	case n < 93:
		l.flow(w, c, door)
	case n < 96:
		got, err := cellRead.Call(door, key(c), holdfast.Void{})
		expect(w, err)
		l.seen(w, got)
	default:
		l.submit(w, c, door)
	}
}

// errand makes a token in one of the ways that there are.
func (l *ledger) errand(w *world.World, c *world.Client, door *holdfast.ClientContext) {
	t := l.newToken(key(c))
	e := errand{Token: t.name, Name: key(c), After: time.Duration(c.Random.Int64N(int64(3 * time.Second)))}
	handle := spread
	switch c.Random.IntN(6) {
	case 0:
		handle = pass
		t.path(&e, c, 1+c.Random.IntN(4))
	case 1:
		handle = later
		e.To = []string{key(c)}
		t.then = append(t.then, [2]string{t.name + ">" + e.To[0], e.To[0]})
	case 2:
		handle = remind
		t.then = append(t.then, [2]string{t.name + ">" + t.cell, t.cell})
	case 3:
		handle = label
	case 4:
		handle, t.never = refuse, true
		e.To = []string{key(c)}
	default:
		if c.Random.IntN(20) == 0 {
			e.Wide = 1 + c.Random.IntN(400) // more than half of what a channel takes at once
		}
		t.fan(&e, c, c.Random.IntN(4))
	}
	if c.Random.IntN(20) == 0 {
		e.Pad = strings.Repeat("x", c.Random.IntN(60_000)) // records that no frame holds
	}
	var options []holdfast.CallOption
	keyed := c.Random.IntN(4) == 0
	if keyed {
		options = append(options, holdfast.IdempotencyKey(t.name))
	}
	_, err := handle.Call(door, t.cell, e, options...)
	if keyed && (err != nil || c.Random.IntN(2) == 0) {
		_, err = handle.Call(door, t.cell, e, options...) // again is not twice
	}
	expect(w, err, errRefused)
	t.acked = err == nil
}

// fan sends further tokens to other cells.
func (t *token) fan(e *errand, c *world.Client, count int) {
	used := map[string]bool{}
	for range count {
		to := key(c)
		if used[to] {
			continue
		}
		used[to] = true
		e.To = append(e.To, to)
		for n := range max(e.Wide, 1) {
			t.then = append(t.then, [2]string{spreadToken(t.name, to, n), to})
		}
	}
}

// path lets the token travel.
func (t *token) path(e *errand, c *world.Client, count int) {
	name := t.name
	t.chain = true
	for range count {
		to := key(c)
		name += ">" + to
		e.To = append(e.To, to)
		t.then = append(t.then, [2]string{name, to})
	}
}

// submit sends a token without waiting for its turn, and may ask for the
// result.
func (l *ledger) submit(w *world.World, c *world.Client, door *holdfast.ClientContext) {
	t := l.newToken(key(c))
	invocation, err := cellAdd.Submit(door, t.cell, t.name, holdfast.After(time.Duration(c.Random.Int64N(int64(time.Second)))))
	expect(w, err)
	t.acked = err == nil
	if err == nil && c.Random.IntN(2) == 0 {
		n, err := invocation.Await(door)
		if expect(w, err); err == nil && n < 1 {
			w.Fail("the result of %s is %d", t.name, n)
		}
	}
}

func (l *ledger) scribble(w *world.World, c *world.Client, door *holdfast.ClientContext) {
	var err error
	switch c.Random.IntN(5) {
	case 4:
		err = scratches.Delete(door, key(c))
	case 0:
		_, err = erase.Call(door, key(c), holdfast.Void{})
	case 1:
		_, err = visit.Call(door, key(c), holdfast.Void{})
	default:
		_, err = scribble.Call(door, key(c), holdfast.Void{})
	}
	expect(w, err)
}

// expect checks that an error is one that faults explain, or one of a list.
func expect(w *world.World, err error, known ...error) {
	for _, e := range append(known, passing...) {
		if err == nil || errors.Is(err, e) {
			return
		}
	}
	w.Fail("a client is told: %v", err)
}

// seen checks what a read has seen: every token once.
func (l *ledger) seen(w *world.World, tokens []string) {
	once := map[string]bool{}
	for _, t := range tokens {
		if once[t] {
			w.Fail("a client has seen token %s twice", t)
		}
		once[t] = true
	}
}

// checkAcked says whether tokens are there of which clients were told, and those that
// come of what is there, also after a pause.
func (l *ledger) checkAcked(s world.State) error {
	there := l.there(s)
	for _, t := range l.entries {
		count := there[t.name+" in "+t.cell]
		if t.acked && count == 0 {
			return fmt.Errorf("token %s is not in %s", t.name, t.cell)
		}
		for _, next := range t.then {
			if count > 0 && (t.acked || !t.chain) && there[next[0]+" in "+next[1]] == 0 {
				return fmt.Errorf("token %s is not in %s", next[0], next[1])
			}
		}
	}
	return nil
}

// there counts tokens.
func (l *ledger) there(s world.State) map[string]int {
	there := map[string]int{}
	for _, k := range s.Keys("cell") {
		for _, name := range cellOf(s, k).Tokens {
			there[name+" in "+k]++
		}
	}
	return there
}

// check compares what is there with what clients were told.
func (l *ledger) check(s world.State) error {
	there := l.there(s)
	for _, t := range l.entries {
		count := there[t.name+" in "+t.cell]
		delete(there, t.name+" in "+t.cell)
		switch {
		case t.acked && count != 1, count > 1, t.never && count > 0:
			return fmt.Errorf("token %s in %s, acknowledged %v, refused %v, is there %d times", t.name, t.cell, t.acked, t.never, count)
		}
		for _, next := range t.then {
			got := there[next[0]+" in "+next[1]]
			if t.chain && !t.acked && got < count {
				count = got
			}
			if got != count {
				return fmt.Errorf("token %s in %s is there %d times, %s is there %d times", next[0], next[1], got, t.name, count)
			}
			delete(there, next[0]+" in "+next[1])
		}
	}
	for name := range there {
		return fmt.Errorf("token %s was never made", name)
	}
	return nil
}

func cellOf(s world.State, key string) (c struct{ Tokens []string }) {
	_ = json.Unmarshal(s.Entity("cell", key).Root.Body, &c)
	return c
}

// conserved checks that accounts and what is between them hold all gifts.
func conserved(s world.State) error {
	sum, want := 0, 0
	for _, k := range s.Keys("account") {
		var a account
		_ = json.Unmarshal(s.Entity("account", k).Root.Body, &a)
		sum, want = sum+a.Balance, want+gift
		if a.Balance < 0 {
			return fmt.Errorf("account %s has %d", k, a.Balance)
		}
	}
	for _, m := range s.UnderWay() {
		if m.Target.Kind == "account" && m.Kind == msg.MessageSend {
			amount := 0
			_ = json.Unmarshal(m.Payload.Body, &amount)
			sum += amount
		}
	}
	if sum != want {
		return fmt.Errorf("accounts hold %d, the gifts were %d", sum, want)
	}
	return nil
}

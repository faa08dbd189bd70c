package world_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/internal/world"
)

// Inns are entities that an initialiser opens, which runs activities and may
// refuse, and that somebody deletes. Beats are loops.

type inn struct {
	Opened int // which opening of this inn it was
	Guests int
}

var (
	inns     = holdfast.NewEntity[inn]("inn")
	lodge    = holdfast.NewUpdate[passage, int](inns, "lodge")
	openInn  = holdfast.NewActivity[string, int]("open")
	beats    = holdfast.NewLoop[beat]("beat")
	howLong  = holdfast.NewQuery[holdfast.Void, int](beats, "how-long")
	beatEach = 30 * time.Millisecond
)

// open counts how often an inn was opened. The first time it is refused.
func (o outside) open(_ context.Context, key string) (int, error) {
	name := "open " + key
	if o[name]++; o[name] == 1 {
		return 0, errRefused
	}
	return o[name], nil
}

func createInn(ctx *holdfast.InitContext) (inn, error) {
	opened, err := openInn.Call(ctx, ctx.Key())
	return inn{Opened: opened}, err
}

func doLodge(ctx *holdfast.UpdateContext[inn], p passage) (int, error) {
	cellAdd.Send(ctx, p.Cell, p.Token)
	ctx.State.Guests++
	return ctx.State.Opened, nil
}

// beat is the state of a loop, which brings a token in each of its rounds.
type beat struct {
	Token, Cell string
	Round, Last int
}

func doBeat(ctx *holdfast.WorkflowContext, b *beat) (done bool, err error) {
	howLong.Answer(ctx, func(holdfast.Void) (int, error) { return b.Last - b.Round, nil })
	token := fmt.Sprint(b.Token, ".", b.Round)
	if err := until(ctx, func() error { _, err := cellAdd.Call(ctx, b.Cell, token); return err }); err != nil {
		return false, err
	}
	b.Round++
	return b.Round > b.Last, ctx.Sleep(beatEach)
}

func (o outside) innParts() holdfast.Parts {
	return holdfast.Parts{
		inns.Options(holdfast.EntityOptions[inn]{OnCreate: createInn}), lodge.Handle(doLodge), openInn.Handle(o.open),
		beats.Handle(doBeat),
	}
}

// inn lodges at an inn, or deletes it.
func (l *ledger) inn(w *world.World, c *world.Client, door *holdfast.ClientContext) {
	k := key(c)
	if c.Random.IntN(4) == 0 {
		insist(w, c, "delete inn "+k, func() error { return inns.Delete(door, k) })
	}
	t := l.newToken(key(c))
	opened, err := lodge.Call(door, k, passage{t.name, t.cell})
	expect(w, err, errRefused)
	if t.acked = err == nil; t.acked && opened < 2 {
		w.Fail("inn %s was opened by opening %d, which was refused", k, opened)
	}
}

// beat begins a loop and asks how long it goes on.
func (l *ledger) beat(w *world.World, c *world.Client, door *holdfast.ClientContext) {
	l.tokens++
	b := beat{Token: fmt.Sprint("b", l.tokens), Cell: key(c), Last: c.Random.IntN(5)}
	insist(w, c, "begin loop "+b.Token, func() error { _, err := beats.Submit(door, b.Token, b); return err })
	for round := range b.Last + 1 {
		l.entries = append(l.entries, &token{name: fmt.Sprint(b.Token, ".", round), cell: b.Cell, acked: true})
	}
	left, err := howLong.Call(door, b.Token, holdfast.None)
	if expect(w, err); err == nil && (left < -1 || left > b.Last) {
		w.Fail("loop %s has %d rounds left of %d", b.Token, left, b.Last)
	}
	if c.Random.IntN(2) == 0 {
		var end beat
		insist(w, c, "result of loop "+b.Token, func() (err error) { end, err = beats.Result(door, b.Token); return err })
		if end.Round != b.Last+1 {
			w.Fail("loop %s ends with %+v", b.Token, end)
		}
	}
}

// checkInns checks that every inn was opened, by an opening that there was.
func (l *ledger) checkInns(s world.State) error {
	for _, k := range s.Keys("inn") {
		var i inn
		if err := json.Unmarshal(s.Entity("inn", k).Root.Body, &i); err != nil || i.Opened < 2 || i.Opened > l.outside["open "+k] {
			return fmt.Errorf("inn %s is %+v, it was opened %d times: %v", k, i, l.outside["open "+k], err)
		}
	}
	return nil
}

// migrate reads registers as the first version has stored them.
func migrate(version int, state []byte) (r register, err error) {
	if version != 0 {
		return r, fmt.Errorf("a register of version %d", version)
	}
	err = json.Unmarshal(state, &r)
	r.Migrated = !strings.Contains(string(state), "Migrated")
	return r, err
}

package world_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/internal/world"
)

// Families are workflows with children, that wait for several things at once and
// for a promise, begin anew, refuse, and undo.

// brood is the input of a family.
type brood struct {
	Kids   []chore       // children that it waits for, in each round
	Left   chore         // one that it leaves alone
	Late   chore         // one that ends before the family does
	Undo   passage       // a token that comes if the family fails
	Pause  time.Duration // of a timer
	Asks   bool          // for a promise
	Refuse bool          // in the end
	Rounds int           // that come after this one
	Told   []string      // what has happened so far
}

// chore is what a child does: it waits, and brings a token to a cell.
type chore struct {
	Token, Cell string
	Pause       time.Duration
	Forever     bool // it waits for a signal that does not come
}

// diary is what a family writes down, and where it leaves a promise.
type diary struct {
	Lines   []string
	Promise holdfast.PromiseRef[string]
}

var (
	families = holdfast.NewWorkflow[brood, []string]("family")
	kids     = holdfast.NewWorkflow[chore, string]("kid")
	call     = holdfast.NewSignal[string](kids, "call")
	hurry    = holdfast.NewActivity[string, string]("hurry") // that has little time

	diaries = holdfast.NewEntity[diary]("diary")
	write   = holdfast.NewUpdate[string, holdfast.Void](diaries, "write")
	promise = holdfast.NewUpdate[holdfast.PromiseRef[string], holdfast.Void](diaries, "promise")
	pledge  = holdfast.NewRead[holdfast.Void, holdfast.PromiseRef[string]](diaries, "pledge")
)

func (o outside) familyParts() holdfast.Parts {
	return holdfast.Parts{
		families.Handle(o.family), kids.Handle(doKid),
		write.Handle(func(ctx *holdfast.UpdateContext[diary], line string) (v holdfast.Void, err error) {
			ctx.State.Lines = append(ctx.State.Lines, line)
			return v, nil
		}),
		promise.Handle(func(ctx *holdfast.UpdateContext[diary], r holdfast.PromiseRef[string]) (v holdfast.Void, err error) {
			ctx.State.Promise = r
			return v, nil
		}),
		pledge.Handle(func(ctx *holdfast.ReadContext[diary], _ holdfast.Void) (holdfast.PromiseRef[string], error) {
			return ctx.State.Promise, nil
		}),
	}
}

func doKid(ctx *holdfast.WorkflowContext, c chore) (string, error) {
	if c.Forever {
		return call.Receive(ctx).Await(ctx)
	}
	if err := ctx.Sleep(c.Pause); err != nil {
		return "", err
	}
	return c.Token, until(ctx, func() error { _, err := cellAdd.Call(ctx, c.Cell, c.Token); return err })
}

func (o outside) family(ctx *holdfast.WorkflowContext, b brood) ([]string, error) {
	ctx.OnFailure(func(ctx *holdfast.WorkflowContext) error {
		return until(ctx, func() error { _, err := cellAdd.Call(ctx, b.Undo.Cell, b.Undo.Token); return err })
	})
	var asked *holdfast.Promise[string]
	if b.Asks {
		asked = holdfast.NewPromise[string](ctx)
		promise.Send(ctx, ctx.ID(), asked.Ref())
	}
	told, err := o.raise(ctx, &b)
	if err != nil {
		return nil, err
	}
	if b.Asks {
		answer, err := asked.Await(ctx)
		if err != nil {
			return nil, err
		}
		told = append(told, answer)
	}
	if b.Rounds > 0 {
		next := b
		next.Rounds, next.Asks, next.Told = b.Rounds-1, false, told
		return families.Tail(ctx, ctx.ID(), next)
	}
	kids.Start(ctx, ctx.ID()+"/forever", chore{Forever: true})
	kids.Start(ctx, ctx.ID()+"/left", b.Left, holdfast.OnParentClose(holdfast.AbandonChild))
	kids.Start(ctx, ctx.ID()+"/late", b.Late, holdfast.OnParentClose(holdfast.WaitForChild))
	if err := ctx.Sleep(b.Pause); err != nil || !b.Refuse {
		return told, err
	}
	return nil, errRefused
}

// raise lets children, activities and a timer go on at once, and writes down in
// which order it has heard of them, and what else is never the same twice.
func (o outside) raise(ctx *holdfast.WorkflowContext, b *brood) (told []string, err error) {
	told = b.Told
	round := fmt.Sprint("round ", b.Rounds)
	note := func(line string) error {
		told = append(told, line)
		return until(ctx, func() error { _, err := write.Call(ctx, ctx.ID(), line); return err })
	}
	var open, all []holdfast.Awaitable
	for n, k := range b.Kids {
		k.Token = fmt.Sprint(k.Token, ".", b.Rounds)
		open = append(open, kids.Start(ctx, fmt.Sprint(ctx.ID(), "/", b.Rounds, ".", n), k))
	}
	quick := hurry.Start(ctx, ctx.ID()+" hurry "+round)
	open = append(open, work.Start(ctx, ctx.ID()+" "+round), ctx.Timer(b.Pause), quick)
	for all = slices.Clone(open); len(open) > 0; {
		first, err := holdfast.Select(ctx, open...)
		if err != nil {
			return nil, err
		}
		if err := note(fmt.Sprint(round, ": ", slices.Index(all, first))); err != nil {
			return nil, err
		}
		open = slices.DeleteFunc(open, func(a holdfast.Awaitable) bool { return a == first })
	}
	if _, err = quick.Await(ctx); errors.Is(err, holdfast.ErrCancelled) {
		return nil, err
	}
	inTime, step := err == nil, "step "+ctx.ID()
	run, err := holdfast.Step(ctx, "count", func(context.Context) (int, error) {
		o[step]++
		return o[step], nil
	})
	if err == nil {
		err = note(fmt.Sprint(round, " in time: ", inTime, ", run ", run, ", drawn: ", ctx.Rand().IntN(1000), " ", ctx.NewID()))
	}
	return told, err
}

// pollMax is between two looks of a client.
const pollMax = 2 * time.Second

// lineage is a family as its client knows it.
type lineage struct {
	id   string
	told []string // nil: it has not ended well
}

// family begins one, answers its promise, and checks what becomes of it.
func (l *ledger) family(w *world.World, c *world.Client, door *holdfast.ClientContext) {
	l.tokens++
	id := fmt.Sprint("f", l.tokens)
	pause := func() time.Duration { return time.Duration(c.Random.Int64N(int64(200 * time.Millisecond))) }
	b := brood{Pause: pause(), Rounds: c.Random.IntN(3), Asks: c.Random.IntN(2) == 0, Refuse: c.Random.IntN(4) == 0}
	var all []*token // of children
	bring := func(name string) chore {
		t := &token{name: name, cell: key(c)}
		all = append(all, t)
		return chore{Token: t.name, Cell: t.cell, Pause: pause()}
	}
	for n := range c.Random.IntN(4) {
		k := bring(fmt.Sprint(id, "-", n, ".", b.Rounds))
		for round := range b.Rounds {
			all = append(all, &token{name: fmt.Sprint(id, "-", n, ".", round), cell: k.Cell})
		}
		k.Token = fmt.Sprint(id, "-", n)
		b.Kids = append(b.Kids, k)
	}
	b.Left, b.Late = bring(id+"-left"), bring(id+"-late")
	undo := l.newToken(key(c))
	b.Undo = passage{undo.name, undo.cell}
	l.entries = append(l.entries, all...)

	insist(w, c, "start family "+id, func() error { _, err := families.Submit(door, id, b); return err })
	want, answer := "completed", ""
	if b.Refuse {
		want = "failed"
	}
	if b.Asks {
		want, answer = l.pledge(w, c, door, id, want)
	}
	status := ""
	for pause := repeatPause; status == "" || status == "running"; pause = min(2*pause, pollMax) {
		c.Sleep(pause)
		insist(w, c, "status of family "+id, func() error { s, err := families.Status(door, id); status = s.Status; return err })
	}
	if status != want {
		w.Fail("family %s is %s, want %s", id, status, want)
	}
	for _, t := range all {
		t.acked = want == "completed"
	}
	if undo.acked, undo.never = want != "completed", want == "completed"; undo.acked {
		l.lineages = append(l.lineages, lineage{id: id})
		return
	}
	var told []string
	insist(w, c, "result of family "+id, func() (err error) { told, err = families.Result(door, id); return err })
	if b.Asks && !slices.Contains(told, answer) {
		w.Fail("family %s was told %q and says %v", id, answer, told)
	}
	told = slices.DeleteFunc(told, func(line string) bool { return line == answer })
	l.lineages = append(l.lineages, lineage{id, told})
}

// pledge waits for the promise of a family and completes it, or cancels the
// family, and says how that ends.
func (l *ledger) pledge(w *world.World, c *world.Client, door *holdfast.ClientContext, id, end string) (want, answer string) {
	var ref holdfast.PromiseRef[string]
	for pause := repeatPause; ref.ID == ""; pause = min(2*pause, pollMax) {
		c.Sleep(pause)
		insist(w, c, "promise of family "+id, func() (err error) { ref, err = pledge.Call(door, id, holdfast.None); return err })
	}
	again := false
	once := func(err error) error {
		if again && (errors.Is(err, holdfast.ErrAlreadyExists) || errors.Is(err, holdfast.ErrConflict)) {
			return nil // the attempt before has come, and maybe the run went on
		}
		again = true
		return err
	}
	switch c.Random.IntN(5) {
	case 0:
		insist(w, c, "cancel family "+id, func() error { return families.Cancel(door, id) })
		return "cancelled", ""
	case 1:
		insist(w, c, "reject the promise of family "+id, func() error { return once(ref.Reject(door, errRefused)) })
		return "failed", ""
	}
	answer = "answer to " + id
	insist(w, c, "resolve the promise of family "+id, func() error { return once(ref.Resolve(door, answer)) })
	return end, answer
}

// checkFamilies checks that families have written down what they say, and once.
func (l *ledger) checkFamilies(s world.State) error {
	for _, f := range l.lineages {
		var d diary
		_ = json.Unmarshal(s.Entity("diary", f.id).Root.Body, &d)
		if f.told != nil && !slices.Equal(d.Lines, f.told) {
			return fmt.Errorf("family %s has written %v and says %v", f.id, d.Lines, f.told)
		}
		if lines := slices.Compact(slices.Sorted(slices.Values(d.Lines))); len(lines) != len(d.Lines) {
			return fmt.Errorf("family %s has written a line twice: %v", f.id, d.Lines)
		}
	}
	return nil
}

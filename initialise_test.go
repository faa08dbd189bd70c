package holdfast_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// Goal: an entity whose kind has OnCreate begins with what that returned, made
// once, whatever crashes meanwhile. Method: apps on the real engine.

// member is a state with everything that an initialiser fills.
type member struct {
	ID    string
	Score int
	Tags  holdfast.Map[string, int]
	Log   holdfast.List[string]
	fresh bool `holdfast:"volatile"`
}

// club is an app whose entities are created by an initialiser.
type club struct {
	parts   holdfast.Parts
	members holdfast.Entity[string, member]
	scored  int // attempts of the activity
	refuse  error
	create  func(*holdfast.InitContext) (member, error)
}

func newClub() *club {
	c := &club{members: holdfast.NewEntity[member]("member")}
	rate := holdfast.NewActivity[string, int]("rate")
	join := holdfast.NewUpdate[string, string](c.members, "join")
	show := holdfast.NewRead[void, string](c.members, "show")
	c.create = func(ctx *holdfast.InitContext) (m member, err error) {
		m.ID = ctx.NewID()
		if m.Score, err = rate.Call(ctx, ctx.Key(), holdfast.Retry{Attempts: 1}); err != nil {
			return m, err
		}
		bonus, err := holdfast.Step(ctx, "bonus", func(context.Context) (int, error) { return 7, nil })
		m.Tags.Put("bonus", bonus)
		m.Log.Append("created at " + ctx.Now().Format("2006"))
		return m, err
	}
	c.parts = holdfast.Parts{
		rate.Handle(func(_ context.Context, key string) (int, error) {
			c.scored++
			return len(key), c.refuse
		}),
		c.members.Options(holdfast.EntityOptions[member]{
			Version: 3, Migrate: func(int, []byte) (member, error) { return member{}, errors.New("nothing is that old") },
			OnCreate: func(ctx *holdfast.InitContext) (member, error) { return c.create(ctx) },
			Activate: func(m *member) error { m.fresh = true; return nil },
		}),
		join.Handle(func(ctx *holdfast.UpdateContext[member], who string) (string, error) {
			ctx.State.Log.Append(who)
			return ctx.State.text(), nil
		}),
		show.Handle(holdfast.NoInput(func(ctx *holdfast.ReadContext[member]) (string, error) { return ctx.State.text(), nil })),
	}
	return c
}

func (m *member) text() string {
	bonus, _ := m.Tags.Get("bonus")
	text := fmt.Sprint(len(m.ID), " ", m.Score, " ", bonus, " ", m.fresh)
	for entry := range m.Log.All() {
		text += " " + entry
	}
	return text
}

func (c *club) ask(p *plant, handler, input string) msg.Reply {
	q := ask(msg.OperationCall, c.members.Ref("alice"), handler, input)
	if handler == "show" {
		q.Identity = msg.Identity{}
	}
	return p.request(q)
}

func (c *club) run(t *testing.T, crashAt int) (records int) {
	t.Helper()
	p := newPlant(t, crashAt, c.parts)
	if r := c.ask(p, "show", "null"); r.Err == nil || r.Err.Code != msg.CodeNotFound {
		t.Errorf("crash at %d: a read of what was not created gives %s, %v, want not_found", crashAt, r.Payload.Body, r.Err)
	}
	for n, want := range []string{`"32 5 7 true created at 2001 a"`, `"32 5 7 true created at 2001 a b"`} {
		if r := c.ask(p, "join", [...]string{`"a"`, `"b"`}[n]); string(r.Payload.Body) != want {
			t.Errorf("crash at %d: got %s, %v, want %s", crashAt, r.Payload.Body, r.Err, want)
		}
	}
	if r := c.ask(p, "show", "null"); string(r.Payload.Body) != `"32 5 7 true created at 2001 a b"` {
		t.Errorf("crash at %d: a read gives %s, %v", crashAt, r.Payload.Body, r.Err)
	}
	return len(p.log)
}

func TestAnEntityBeginsWithWhatItsInitialiserMadeWhateverCrashes(t *testing.T) {
	c := newClub()
	records := c.run(t, 0)
	if c.scored != 1 {
		t.Errorf("the activity ran %d times without a crash, want once", c.scored)
	}
	for n := 1; n <= records; n++ {
		c.run(t, n)
	}
}

func TestWhoWantsAnEntityHearsWhyItsInitialiserFailed(t *testing.T) {
	c := newClub()
	c.refuse = errDeclined.Withf("not today")
	p := newPlant(t, 0, c.parts)
	if r := c.ask(p, "join", `"a"`); r.Err == nil || r.Err.Code != "declined" {
		t.Errorf("got %s, %v, want declined", r.Payload.Body, r.Err)
	}
	if r := p.request(msg.Request{Operation: msg.OperationExists, Target: msg.Ref{Kind: "member", Key: "alice"}}); r.Found {
		t.Error("the entity exists although its initialiser failed")
	}
	create := c.create
	c.create = func(*holdfast.InitContext) (member, error) { panic("out of paper") }
	if r := c.ask(p, "join", `"b"`); r.Err == nil || r.Err.Code != msg.CodePanic {
		t.Errorf("got %s, %v, want panic", r.Payload.Body, r.Err)
	}
	c.refuse, c.create = nil, create
	if r := c.ask(p, "join", `"c"`); r.Err != nil || c.scored != 2 {
		t.Errorf("the next one gets %v after %d attempts, want a new entity after the second", r.Err, c.scored)
	}
}

// TestStrictKindsAreInitialisedByWhatCreates, and by nothing else.
func TestStrictKindsAreInitialisedByWhatCreates(t *testing.T) {
	kind := holdfast.NewEntity[account]("account")
	open := holdfast.NewUpdate[void, int64](kind, "open", holdfast.Creates())
	look := holdfast.NewUpdate[void, int64](kind, "look")
	made := 0
	balance := func(ctx *holdfast.UpdateContext[account], _ void) (int64, error) { return ctx.State.Balance, nil }
	p := newPlant(t, 0, open.Handle(balance), look.Handle(balance), kind.Options(holdfast.EntityOptions[account]{
		Strict: true, OnCreate: func(*holdfast.InitContext) (account, error) {
			made++
			return account{Balance: 3}, nil
		}}))
	if r := p.request(ask(msg.OperationCall, kind.Ref("a"), "look", "null")); r.Err == nil || r.Err.Code != msg.CodeNotFound || made > 0 {
		t.Errorf("got %s, %v, and %d initialised, want not_found", r.Payload.Body, r.Err, made)
	}
	if r := p.request(ask(msg.OperationCall, kind.Ref("a"), "open", "null")); string(r.Payload.Body) != "3" || made != 1 {
		t.Errorf("got %s, %v, and %d initialised, want 3", r.Payload.Body, r.Err, made)
	}
}

func TestOneThingMakesTheFirstState(t *testing.T) {
	kind := holdfast.NewEntity[account]("k")
	machine := holdfast.NewMachine[account]("m")
	idle := machine.State("idle")
	create := func(*holdfast.InitContext) (account, error) { return account{}, nil }
	wants(t, holdfast.NewApp("a", holdfast.NewUpdate[void, void](kind, "u").Handle(update),
		kind.Options(holdfast.EntityOptions[account]{OnCreate: create, Initial: func(string) account { return account{} }}),
		machine.Handle(idle.When()), machine.Options(holdfast.EntityOptions[account]{OnCreate: create})),
		"kind k: Initial and OnCreate both make the first state", "machine m: OnCreate is for entities")
}

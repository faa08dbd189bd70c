package world_test

import (
	"fmt"
	"time"

	"github.com/holdfast-io/holdfast"
)

// The program of the random worlds: what the programming model has, in kinds
// whose end state can be checked.

// cell collects tokens, each of which was made once by a client.
type cell struct {
	Tokens []string
	Names  holdfast.Map[string, string]
	Log    holdfast.List[string]
}

// errand asks a cell to take a token and to send others on.
type errand struct {
	Token string
	To    []string      `json:",omitempty"` // cells
	After time.Duration `json:",omitempty"`
	Name  string        `json:",omitempty"` // of an entry in a map
	Wide  int           `json:",omitempty"` // how many tokens each of the others gets; 0: one
	Pad   string        `json:",omitempty"` // makes it long
}

var (
	cells    = holdfast.NewEntity[cell]("cell")
	cellAdd  = holdfast.NewUpdate[string, int](cells, "add")
	cellRead = holdfast.NewRead[holdfast.Void, []string](cells, "read")
	spread   = holdfast.NewUpdate[errand, int](cells, "spread")
	pass     = holdfast.NewUpdate[errand, int](cells, "pass")
	later    = holdfast.NewUpdate[errand, int](cells, "later")
	remind   = holdfast.NewUpdate[errand, int](cells, "remind")
	label    = holdfast.NewUpdate[errand, int](cells, "label")
	refuse   = holdfast.NewUpdate[errand, int](cells, "refuse")

	errRefused = holdfast.NewError("refused", holdfast.Conflict)
)

func (c *cell) take(token string) int {
	c.Tokens = append(c.Tokens, token)
	return len(c.Tokens)
}

func doAdd(ctx *holdfast.UpdateContext[cell], token string) (int, error) {
	return ctx.State.take(token), nil
}

func doRead(ctx *holdfast.ReadContext[cell], _ holdfast.Void) ([]string, error) {
	return ctx.State.Tokens, nil
}

func doSpread(ctx *holdfast.UpdateContext[cell], e errand) (int, error) {
	for _, to := range e.To {
		for n := range max(e.Wide, 1) {
			cellAdd.Send(ctx, to, spreadToken(e.Token, to, n))
		}
	}
	return ctx.State.take(e.Token), nil
}

func spreadToken(token, to string, n int) string { return fmt.Sprint(token, ">", to, "#", n) }

// doPass goes from cell to cell before it answers.
func doPass(ctx *holdfast.UpdateContext[cell], e errand) (int, error) {
	ctx.State.take(e.Token)
	if len(e.To) == 0 {
		return len(ctx.State.Tokens), nil
	}
	return pass.Tail(ctx, e.To[0], errand{Token: e.Token + ">" + e.To[0], To: e.To[1:]})
}

func doLater(ctx *holdfast.UpdateContext[cell], e errand) (int, error) {
	cellAdd.Send(ctx, e.To[0], e.Token+">"+e.To[0], holdfast.After(e.After))
	return ctx.State.take(e.Token), nil
}

func doRemind(ctx *holdfast.UpdateContext[cell], e errand) (int, error) {
	cellAdd.Remind(ctx, e.Token, holdfast.After(e.After), e.Token+">"+ctx.Key())
	return ctx.State.take(e.Token), nil
}

// doLabel keeps the token in a map and a list as well.
func doLabel(ctx *holdfast.UpdateContext[cell], e errand) (int, error) {
	if old, ok := ctx.State.Names.Get(e.Name); ok && ctx.State.Log.Len() > 8 {
		ctx.State.Names.Delete(old)
		ctx.State.Log.Clear()
	}
	ctx.State.Names.Put(e.Name, e.Token+e.Pad)
	ctx.State.Log.Append(e.Token)
	return ctx.State.take(e.Token), nil
}

// doRefuse changes everything and takes it back.
func doRefuse(ctx *holdfast.UpdateContext[cell], e errand) (int, error) {
	_, _ = doSpread(ctx, e)
	return 0, errRefused
}

// register holds a value that clients replace: its history must have an order.
type register struct {
	Value    string
	Migrated bool `json:",omitempty"` // by the second version
}

var (
	registers = holdfast.NewEntity[register]("register")
	replace   = holdfast.NewUpdate[string, string](registers, "replace")
	look      = holdfast.NewRead[holdfast.Void, string](registers, "look")
)

func doReplace(ctx *holdfast.UpdateContext[register], value string) (old string, err error) {
	old, ctx.State.Value = ctx.State.Value, value
	return old, nil
}

func doLook(ctx *holdfast.ReadContext[register], _ holdfast.Void) (string, error) {
	return ctx.State.Value, nil
}

// account begins with a gift, so that what all have is known.
type account struct{ Balance int }

const gift = 100

type transfer struct {
	To     string
	Amount int
}

var (
	accounts = holdfast.NewEntity[account]("account")
	pay      = holdfast.NewUpdate[transfer, int](accounts, "pay")
	credit   = holdfast.NewUpdate[int, int](accounts, "credit")
)

func doPay(ctx *holdfast.UpdateContext[account], t transfer) (int, error) {
	if ctx.State.Balance < t.Amount {
		return 0, errRefused
	}
	ctx.State.Balance -= t.Amount
	credit.Send(ctx, t.To, t.Amount)
	return ctx.State.Balance, nil
}

func doCredit(ctx *holdfast.UpdateContext[account], amount int) (int, error) {
	ctx.State.Balance += amount
	return ctx.State.Balance, nil
}

// scratch comes and goes.
type scratch struct{ Count int }

var (
	scratches = holdfast.NewEntity[scratch]("scratch")
	scribble  = holdfast.NewUpdate[holdfast.Void, int](scratches, "scribble")
	tick      = holdfast.NewUpdate[holdfast.Void, int](scratches, "tick")
	erase     = holdfast.NewUpdate[holdfast.Void, holdfast.Void](scratches, "erase")
)

func doScribble(ctx *holdfast.UpdateContext[scratch], _ holdfast.Void) (int, error) {
	ctx.State.Count++
	tick.Remind(ctx, "tick", holdfast.Every(700*time.Millisecond), holdfast.Void{})
	return ctx.State.Count, nil
}

// doTick ends by itself, so that a world comes to rest.
func doTick(ctx *holdfast.UpdateContext[scratch], _ holdfast.Void) (int, error) {
	ctx.State.Count++
	if ctx.State.Count%4 == 0 {
		ctx.CancelReminder("tick")
	}
	return ctx.State.Count, nil
}

func doErase(ctx *holdfast.UpdateContext[scratch], _ holdfast.Void) (holdfast.Void, error) {
	ctx.Delete()
	return holdfast.Void{}, nil
}

// guest is an entity that goes when nobody comes, and shares partitions with
// others of its house.
type guest struct{ Visits int }

// guestTTL is shorter than a world.
const guestTTL = 2 * time.Second

var (
	houses = holdfast.NewAffinity[string]("house")
	guests = holdfast.NewEntityIn[guest](houses, "guest")
	visit  = holdfast.NewUpdate[holdfast.Void, int](guests, "visit")
)

func doVisit(ctx *holdfast.UpdateContext[guest], _ holdfast.Void) (int, error) {
	ctx.State.Visits++
	return ctx.State.Visits, nil
}

// app is all of it but what begins by itself. Activities work on the world
// outside.
func app(o outside) *holdfast.App {
	return holdfast.NewApp("world", holdfast.Version("1"), o.parts(), pass.Handle(doPass), flow.Handle(doFlow),
		scratches.Options(holdfast.EntityOptions[scratch]{}))
}

// parts are those that no version changes.
func (o outside) parts() holdfast.Parts {
	return holdfast.Parts{
		cellAdd.Handle(doAdd), cellRead.Handle(doRead), spread.Handle(doSpread), later.Handle(doLater),
		remind.Handle(doRemind), label.Handle(doLabel), refuse.Handle(doRefuse),
		replace.Handle(doReplace), look.Handle(doLook),
		pay.Handle(doPay), credit.Handle(doCredit),
		accounts.Options(holdfast.EntityOptions[account]{Initial: func(string) account { return account{Balance: gift} }}),
		enter.Handle(doEnter), leave.Handle(doLeave), holdfast.On(rooms, rings, doRing),
		stays.Handle(doStay).Locks(func(s stay) []holdfast.Ref { return refsOf(s.Rooms) }), vigils.Handle(doVigil), gateParts(), lampParts(), o.familyParts(), o.innParts(),
		work.Handle(o.work, holdfast.Timeout(time.Second)), hurry.Handle(o.work, holdfast.Timeout(100*time.Millisecond), holdfast.Within(300*time.Millisecond)),
		visit.Handle(doVisit), guests.Options(holdfast.EntityOptions[guest]{IdleTTL: guestTTL}),
		scribble.Handle(doScribble), tick.Handle(doTick), erase.Handle(doErase),
	}
}

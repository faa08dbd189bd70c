package market

import (
	"time"

	"github.com/holdfast-io/holdfast"
)

// Supply is the state of the loop that refills a shop.
type Supply struct {
	Orders int `json:"orders"`
}

// Diary is the state of what notes each census.
type Diary struct {
	Censuses holdfast.Map[string, int] // how often each was noted
}

// Plan is a debt that is paid by instalments.
type Plan struct {
	Wallet string `json:"wallet"`
	To     string `json:"to"`
	Left   int    `json:"left"`
}

// The contract of what goes round. The id of a supply is the name of its shop.
var (
	Supplies = holdfast.NewLoop[Supply]("supply", holdfast.Doc("Refills a shop for as long as it is open."))
	Shortage = holdfast.NewSignal[string](Supplies, "shortage", holdfast.Doc("An article is sold out."))
	Close    = holdfast.NewSignal[holdfast.Void](Supplies, "close", holdfast.Doc("The shop closes."))

	Census  = holdfast.NewWorkflow[holdfast.Void, holdfast.Void]("census", holdfast.Doc("Notes in the diary that it ran."))
	Diaries = holdfast.NewEntity[Diary]("diary")
	Write   = holdfast.NewUpdate[string, int](Diaries, "write", holdfast.Doc("Notes a census; gives how often."))

	Instalments = holdfast.NewWorkflow[Plan, int]("instalments", holdfast.Doc("Pays a cent at a time, each in a run of its own."))

	// Naps and Benches are for operators: somebody has to end them.
	Nap     = holdfast.NewWorkflow[int, holdfast.Void]("nap", holdfast.Doc("Sleeps for a long time."))
	Benches = holdfast.NewEntity[int]("bench")
	Sit     = holdfast.NewUpdate[int, int](Benches, "sit", holdfast.Doc("Sits down; gives how many have."))
	Squat   = holdfast.NewWorkflow[string, holdfast.Void]("squat", holdfast.Doc("Holds a bench for a long time."))
)

const (
	censusEvery = 250 * time.Millisecond
	forLong     = 24 * time.Hour
)

// supply is one turn of the loop.
func supply(ctx *holdfast.WorkflowContext, s *Supply) (done bool, err error) {
	shortage, end := Shortage.Receive(ctx), Close.Receive(ctx)
	first, err := holdfast.Select(ctx, shortage, end)
	if err != nil {
		return false, err
	}
	if first == end {
		_, err = end.Await(ctx)
		return true, err
	}
	article, err := shortage.Await(ctx)
	if err != nil {
		return false, err
	}
	s.Orders++
	Refill.Send(ctx, ShopID(ctx.ID()), Delivery{Article: article, Count: refillCount})
	return false, nil
}

func census(ctx *holdfast.WorkflowContext) error {
	_, err := Write.Call(ctx, "market", ctx.ID())
	return err
}

func write(ctx *holdfast.UpdateContext[Diary], name string) (int, error) {
	times, _ := ctx.State.Censuses.Get(name)
	ctx.State.Censuses.Put(name, times+1)
	return times + 1, nil
}

// instalments begins anew after each cent: the journal stays short however long
// it takes.
func instalments(ctx *holdfast.WorkflowContext, p Plan) (int, error) {
	if p.Left == 0 {
		return 0, nil
	}
	if err := Exchanged.Raise(ctx, Exchange{Name: ctx.NewID(), From: p.Wallet, To: p.To, Amount: 1}); err != nil {
		return p.Left, err
	}
	if err := ctx.Sleep(time.Millisecond); err != nil {
		return p.Left, err
	}
	p.Left--
	return Instalments.Tail(ctx, ctx.ID(), p)
}

func nap(ctx *holdfast.WorkflowContext, _ int) (holdfast.Void, error) {
	return holdfast.None, ctx.Sleep(forLong)
}

func squat(ctx *holdfast.WorkflowContext, _ string) (holdfast.Void, error) {
	return holdfast.None, ctx.Sleep(forLong)
}

func sit(ctx *holdfast.UpdateContext[int], _ int) (int, error) {
	ctx.State++
	return ctx.State, nil
}

func bench(name string) []holdfast.Ref { return []holdfast.Ref{Benches.Ref(name)} }

func rounds() holdfast.Parts {
	return holdfast.Parts{
		Supplies.Handle(supply),
		Census.Handle(holdfast.Plain(census)).Schedule("census", holdfast.Every(censusEvery), holdfast.None).Retain(time.Hour),
		Write.Handle(write), Instalments.Handle(instalments),
		Nap.Handle(nap), Sit.Handle(sit), Squat.Handle(squat).Locks(bench),
	}
}

package market

import (
	"time"

	"github.com/holdfast-io/holdfast"
)

// ShopID names a shop: whatever kind an entity has that belongs to it.
type ShopID string

// Stock is the state of a shop's shelves.
type Stock struct {
	Articles  map[string]int // in stock
	Delivered int            // to the shop, of all articles
	Gone      int            // to customers
	Ticks     int            // of the inspection
	Early     int            // inspections that came too early: must stay 0
	Next      time.Time      // when the next one may come
	Total     int            `holdfast:"volatile"` // in stock, of all articles
}

// Till is the state of a shop's till.
type Till struct {
	Total int64
	Sales holdfast.Map[string, Sale] // by order
}

// Sale is an amount that was paid for an order.
type Sale struct {
	Order  string `json:"order"`
	Wallet string `json:"wallet"`
	Amount int64  `json:"amount"`
}

// Delivery brings articles to a shop.
type Delivery struct {
	Article string `json:"article"`
	Count   int    `json:"count"`
}

// Errors of shops.
var (
	// ErrSoldOut: there is none left; more has been asked for.
	ErrSoldOut = holdfast.NewError("sold_out", holdfast.Conflict)
	// ErrUnsteady: what was seen under a lock has changed.
	ErrUnsteady = holdfast.NewError("unsteady", holdfast.Failed)
)

// The contract of shops. Stock and till of a shop have one key, one partition and
// one lock.
var (
	Shops = holdfast.NewAffinity[ShopID]("shop")

	Stocks  = holdfast.NewEntityIn[Stock](Shops, "stock", holdfast.Doc("What a shop has."))
	Take    = holdfast.NewUpdate[string, int](Stocks, "take", holdfast.Doc("Takes one of an article; gives how many are left."))
	PutBack = holdfast.NewUpdate[string, int](Stocks, "put-back", holdfast.Doc("Puts one of an article back."))
	Refill  = holdfast.NewUpdate[Delivery, int](Stocks, "refill", holdfast.Doc("Adds articles."))
	Inspect = holdfast.NewUpdate[holdfast.Void, holdfast.Void](Stocks, "inspect", holdfast.Doc("Looks at the shelves, by a reminder."))
	Count   = holdfast.NewRead[holdfast.Void, int](Stocks, "count", holdfast.Doc("Gives how many articles there are."))

	Tills    = holdfast.NewEntityIn[Till](Shops, "till", holdfast.Doc("What a shop has taken."))
	Collect  = holdfast.NewUpdate[Sale, int64](Tills, "collect", holdfast.Doc("Takes a payment; gives the total."))
	GiveBack = holdfast.NewUpdate[string, bool](Tills, "give-back", holdfast.Doc("Gives back what was paid for an order, if it was."))
	Taken    = holdfast.NewRead[holdfast.Void, int64](Tills, "taken", holdfast.Doc("Gives the total."))

	Stocktake = holdfast.NewWorkflow[ShopID, int64]("stocktake", holdfast.Doc("Looks twice at a shop that nobody may use meanwhile."))
	Recount   = holdfast.NewWorkflow[ShopID, int64]("recount", holdfast.Doc("Looks at a shop that whoever asks has locked."))
	Compare   = holdfast.NewWorkflow[[]ShopID, int64]("compare", holdfast.Doc("Looks twice at shops that others may look at meanwhile."))
)

const (
	inspectEvery   = time.Second
	inspectionName = "inspection"
	refillCount    = 20
)

// activate rebuilds what is not stored.
func activate(s *Stock) error {
	s.Total = 0
	for _, count := range s.Articles {
		s.Total += count
	}
	return nil
}

// take asks for more when there is none: the error undoes nothing, see Keep.
func take(ctx *holdfast.UpdateContext[Stock], article string) (int, error) {
	if ctx.State.Articles[article] == 0 {
		Shortage.Send(ctx, ctx.Key(), article)
		return 0, holdfast.Keep(ErrSoldOut.Withf("no %s", article))
	}
	if ctx.State.Gone == 0 {
		Inspect.Remind(ctx, inspectionName, holdfast.Every(inspectEvery), holdfast.None)
		ctx.State.Next = ctx.Now().Add(inspectEvery)
	}
	ctx.State.Articles[article]--
	ctx.State.Gone++
	return ctx.State.Articles[article], nil
}

func putBack(ctx *holdfast.UpdateContext[Stock], article string) (int, error) {
	ctx.State.Articles[article]++
	ctx.State.Gone--
	return ctx.State.Articles[article], nil
}

func refill(ctx *holdfast.UpdateContext[Stock], d Delivery) (int, error) {
	if ctx.State.Articles == nil {
		ctx.State.Articles = map[string]int{}
	}
	ctx.State.Articles[d.Article] += d.Count
	ctx.State.Delivered += d.Count
	return ctx.State.Articles[d.Article], nil
}

func inspect(ctx *holdfast.UpdateContext[Stock]) error {
	if ctx.Now().Before(ctx.State.Next) {
		ctx.State.Early++
	}
	ctx.State.Ticks++
	ctx.State.Next = ctx.State.Next.Add(inspectEvery)
	return nil
}

func count(ctx *holdfast.ReadContext[Stock]) (int, error) { return ctx.State.Total, nil }

func collect(ctx *holdfast.UpdateContext[Till], s Sale) (int64, error) {
	ctx.State.Sales.Put(s.Order, s)
	ctx.State.Total += s.Amount
	return ctx.State.Total, nil
}

func giveBack(ctx *holdfast.UpdateContext[Till], order string) (bool, error) {
	sale, ok := ctx.State.Sales.Get(order)
	if !ok {
		return false, nil
	}
	ctx.State.Sales.Delete(order)
	ctx.State.Total -= sale.Amount
	PayIn.Send(ctx, sale.Wallet, sale.Amount)
	return true, nil
}

func taken(ctx *holdfast.ReadContext[Till]) (int64, error) { return ctx.State.Total, nil }

// stocktake holds the key of the shop: for stock and till.
func stocktake(ctx *holdfast.WorkflowContext, shop ShopID) (int64, error) {
	before, err := Taken.Call(ctx, shop, holdfast.None)
	if err != nil {
		return 0, err
	}
	after, err := Recount.Call(ctx, "", shop)
	if err == nil && before != after {
		err = ErrUnsteady.Withf("%s: %d and then %d were in the till under a lock", shop, before, after)
	}
	return after, err
}

func recount(ctx *holdfast.WorkflowContext, shop ShopID) (int64, error) {
	if _, err := Count.Call(ctx, shop, holdfast.None); err != nil {
		return 0, err
	}
	return Taken.Call(ctx, shop, holdfast.None)
}

func compare(ctx *holdfast.WorkflowContext, list []ShopID) (int64, error) {
	before, err := totals(ctx, list)
	if err != nil {
		return 0, err
	}
	after, err := totals(ctx, list)
	if err == nil && before != after {
		err = ErrUnsteady.Withf("%v: %d and then %d were in the tills under a shared lock", list, before, after)
	}
	return after, err
}

func totals(ctx *holdfast.WorkflowContext, list []ShopID) (total int64, err error) {
	var asked []*holdfast.Future[int64]
	for _, shop := range list {
		asked = append(asked, Taken.Start(ctx, shop, holdfast.None))
	}
	answers, err := holdfast.All(ctx, asked...)
	for _, answer := range answers {
		total += answer
	}
	return total, err
}

func keyOf(shop ShopID) []holdfast.Ref { return []holdfast.Ref{Shops.Ref(shop)} }

func keysOf(list []ShopID) (refs []holdfast.Ref) {
	for _, shop := range list {
		refs = append(refs, Tills.Ref(shop))
	}
	return refs
}

func shops() holdfast.Parts {
	return holdfast.Parts{
		Stocks.Options(holdfast.EntityOptions[Stock]{Activate: activate}),
		Take.Handle(take), PutBack.Handle(putBack), Refill.Handle(refill), Inspect.Handle(holdfast.Plain(inspect)), Count.Handle(holdfast.NoInput(count)),
		Collect.Handle(collect), GiveBack.Handle(giveBack), Taken.Handle(holdfast.NoInput(taken)),
		Stocktake.Handle(stocktake).Locks(keyOf), Recount.Handle(recount).Requires(keyOf), Compare.Handle(compare).Shares(keysOf),
	}
}

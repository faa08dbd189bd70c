package market

import (
	"context"

	"github.com/holdfast-io/holdfast"
)

// Wallet is the state of a wallet. Amounts are cents.
type Wallet struct {
	Balance   int64
	Limit     int64                       // what may be owed: Balance is not less than -Limit
	Held      holdfast.Map[string, int64] // for orders that are not paid yet
	Exchanges holdfast.List[string]       // the exchanges that it took part in
	Thanks    int                         // how often a shop said so
}

// Claim is an amount for an order.
type Claim struct {
	Order  string `json:"order"`
	Shop   ShopID `json:"shop"`
	Amount int64  `json:"amount"`
}

// Exchange moves an amount between two wallets.
type Exchange struct {
	Name   string `json:"name"`
	From   string `json:"from"`
	To     string `json:"to"`
	Amount int64  `json:"amount"`
}

// Errors of wallets.
var (
	// ErrInsufficient: the wallet has less than the amount.
	ErrInsufficient = holdfast.NewError("insufficient_funds", holdfast.Conflict)
)

// The contract of wallets.
var (
	Wallets = holdfast.NewEntity[Wallet]("wallet", holdfast.Doc("The money of a customer."))
	Open    = holdfast.NewUpdate[int64, int64](Wallets, "open", holdfast.Creates(), holdfast.Doc("Opens a wallet with an amount, or pays in; gives the balance."))
	PayIn   = holdfast.NewUpdate[int64, int64](Wallets, "pay-in", holdfast.Doc("Pays in; gives the balance."))
	Hold    = holdfast.NewUpdate[Claim, holdfast.Void](Wallets, "hold", holdfast.Doc("Puts an amount aside for an order."))
	Free    = holdfast.NewUpdate[string, holdfast.Void](Wallets, "free", holdfast.Doc("Takes back what is held for an order, if anything is."))
	Pay     = holdfast.NewUpdate[Claim, int64](Wallets, "pay", holdfast.Doc("Pays what is held to the till of a shop; gives the total of the till."))
	Thank   = holdfast.NewUpdate[string, int](Wallets, "thank", holdfast.Doc("Notes that a shop is glad of an order."))
	Worth   = holdfast.NewRead[holdfast.Void, int64](Wallets, "worth", holdfast.Doc("Gives what is in the wallet, held or not."))

	Exchanged = holdfast.NewEvent("exchanged", Exchange.wallets, holdfast.Doc("Moves an amount between two wallets."))
	Score     = holdfast.NewActivity[string, int64]("score", holdfast.Doc("Says how much a customer may owe."))
)

func (e Exchange) wallets() []holdfast.Ref {
	return []holdfast.Ref{Wallets.Ref(e.From), Wallets.Ref(e.To)}
}

// create runs once, before anything else happens at the wallet.
func create(ctx *holdfast.InitContext) (Wallet, error) {
	limit, err := Score.Call(ctx, ctx.Key())
	return Wallet{Limit: limit}, err
}

// score asks somebody who knows: ordinary code.
func score(_ context.Context, name string) (int64, error) { return int64(len(name)) * 100, nil }

func payIn(ctx *holdfast.UpdateContext[Wallet], amount int64) (int64, error) {
	ctx.State.Balance += amount
	return ctx.State.Balance, nil
}

func (w *Wallet) take(amount int64) error {
	if w.Balance-amount < -w.Limit {
		return ErrInsufficient.Withf("balance is %d, limit %d, amount %d", w.Balance, w.Limit, amount)
	}
	w.Balance -= amount
	return nil
}

func hold(ctx *holdfast.UpdateContext[Wallet], c Claim) error {
	if err := ctx.State.take(c.Amount); err != nil {
		return err
	}
	ctx.State.Held.Put(c.Order, c.Amount)
	return nil
}

func free(ctx *holdfast.UpdateContext[Wallet], order string) error {
	if amount, ok := ctx.State.Held.Get(order); ok {
		ctx.State.Held.Delete(order)
		ctx.State.Balance += amount
	}
	return nil
}

// pay hands its caller on to the till: one record has the money in neither place,
// and the message that brings it.
func pay(ctx *holdfast.UpdateContext[Wallet], c Claim) (int64, error) {
	amount, ok := ctx.State.Held.Get(c.Order)
	if !ok {
		return 0, ErrInsufficient.Withf("nothing is held for order %s", c.Order)
	}
	ctx.State.Held.Delete(c.Order)
	return Collect.Tail(ctx, c.Shop, Sale{Order: c.Order, Wallet: ctx.Key(), Amount: amount})
}

func thank(ctx *holdfast.UpdateContext[Wallet], _ string) (int, error) {
	ctx.State.Thanks++
	return ctx.State.Thanks, nil
}

func worth(ctx *holdfast.ReadContext[Wallet]) (int64, error) {
	total := ctx.State.Balance
	for _, amount := range ctx.State.Held.All() {
		total += amount
	}
	return total, nil
}

// exchanged runs at both wallets; if one refuses, nothing has happened at either.
func exchanged(ctx *holdfast.EventContext[Wallet], e Exchange) error {
	ctx.State.Exchanges.Append(e.Name)
	if ctx.Key() == e.From {
		return ctx.State.take(e.Amount)
	}
	ctx.State.Balance += e.Amount
	return nil
}

func wallets() holdfast.Parts {
	return holdfast.Parts{
		Wallets.Options(holdfast.EntityOptions[Wallet]{Strict: true, OnCreate: create}),
		Open.Handle(payIn), PayIn.Handle(payIn), Hold.Handle(holdfast.NoResult(hold)), Free.Handle(holdfast.NoResult(free)),
		Pay.Handle(pay), Thank.Handle(thank), Worth.Handle(holdfast.NoInput(worth)),
		holdfast.On(Wallets, Exchanged, exchanged), Score.Handle(score),
	}
}

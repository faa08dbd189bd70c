// Package shop fulfils orders with a saga: what was done is undone if what comes
// after it fails.
//
// Invariants:
//
//  1. An order that has completed was paid for once and shipped once.
//  2. Of an order that has failed or was cancelled, what was paid has been given
//     back, and what was shipped has been called back.
//  3. The price of an order is the one at its beginning, whatever becomes of the
//     price list meanwhile.
//
// A compensation is registered before what it undoes: whether an attempt whose
// answer was lost has done its work, nobody knows. It does not count stock.
package shop

import (
	"context"
	"time"

	"github.com/holdfast-io/holdfast"
)

// Order is the input of the workflow.
type Order struct {
	Article string `json:"article"`
	Count   int64  `json:"count"`
	Address string `json:"address"`
}

// Payment is what is charged.
type Payment struct {
	Token string
	Order string
	Cents int64
}

// Question is put to a human, who resolves the promise.
type Question struct {
	Order string
	Cents int64
	Reply holdfast.PromiseRef[bool]
}

// Parcel is what is shipped.
type Parcel struct {
	Token   string `json:"token"`
	Order   string `json:"order"`
	Article string `json:"article"`
	Count   int64  `json:"count"`
	Address string `json:"address"`
}

// World is what is outside. Every request may come more than once: a token stands
// for one payment or parcel, and what was undone must not be done after that. An
// *holdfast.Error is final; after any other error the request is repeated.
type World interface {
	Charge(ctx context.Context, p Payment) error
	Refund(ctx context.Context, token string) error // if it was charged
	Ask(ctx context.Context, q Question) error
	Ship(ctx context.Context, p Parcel) error
	Recall(ctx context.Context, token string) error // if it was shipped
}

// The contract.
var (
	Fulfil  = holdfast.NewWorkflow[Order, Parcel]("order", holdfast.Doc("Fulfils an order, and gives what was shipped."))
	Stage   = holdfast.NewQuery[holdfast.Void, string](Fulfil, "stage", holdfast.Doc("Says how far the order is."))
	Address = holdfast.NewSignal[string](Fulfil, "address", holdfast.Doc("Changes where to ship to."))

	Charge = holdfast.NewActivity[Payment, holdfast.Void]("charge", holdfast.Doc("Charges a card."))
	Refund = holdfast.NewActivity[string, holdfast.Void]("refund", holdfast.Doc("Gives the payment of a token back."))
	Ask    = holdfast.NewActivity[Question, holdfast.Void]("ask", holdfast.Doc("Asks a human."))
	Ship   = holdfast.NewActivity[Parcel, holdfast.Void]("ship", holdfast.Doc("Ships a parcel."))
	Recall = holdfast.NewActivity[string, holdfast.Void]("recall", holdfast.Doc("Calls the parcel of a token back."))

	// ErrArticle: there is no such article, or not so many of it.
	ErrArticle = holdfast.NewError("bad_article", holdfast.InvalidArgument)
	// ErrDeclined: the card company or a human does not want it, or no human has
	// answered in time.
	ErrDeclined = holdfast.NewError("declined", holdfast.Denied)
	// ErrSoldOut: the warehouse has none.
	ErrSoldOut = holdfast.NewError("sold_out", holdfast.Conflict)
)

const (
	// PatienceDefault is how long a human may think.
	PatienceDefault = 24 * time.Hour
	// approvalCents is from where a human is asked.
	approvalCents = 50_000
	// countMax keeps every sum far below what an int64 can hold.
	countMax = 1_000
)

// Shop is what the workflow and the activities need.
type Shop struct {
	World    World
	Prices   map[string]int64 // cents
	Patience time.Duration
}

// order is one run of the workflow: its variables are what the saga remembers.
type order struct {
	*Shop
	Order
	id      string
	stage   string
	address *holdfast.Future[string] // the next change
}

func (s *Shop) fulfil(ctx *holdfast.WorkflowContext, in Order) (Parcel, error) {
	o := &order{Shop: s, Order: in, id: ctx.ID(), stage: "pricing", address: Address.Receive(ctx)}
	Stage.Answer(ctx, func(holdfast.Void) (string, error) { return o.stage, nil })
	cents, err := holdfast.Step(ctx, "price", func(context.Context) (int64, error) { return s.price(in) })
	if err != nil {
		return Parcel{}, err
	}
	if err := o.charge(ctx, cents); err != nil {
		return Parcel{}, err
	}
	if cents >= approvalCents {
		if err := o.approve(ctx, cents); err != nil {
			return Parcel{}, err
		}
	}
	return o.ship(ctx)
}

// price looks into the price list, which another version of the program may have
// changed: so it is a step, and what it gives is recorded.
func (s *Shop) price(o Order) (int64, error) {
	cents, ok := s.Prices[o.Article]
	if !ok || o.Count < 1 || o.Count > countMax {
		return 0, ErrArticle.Withf("no %d of %q", o.Count, o.Article)
	}
	return cents * o.Count, nil
}

func (o *order) charge(ctx *holdfast.WorkflowContext, cents int64) error {
	o.stage = "charging"
	payment := Payment{Token: ctx.NewID(), Order: o.id, Cents: cents}
	o.onFailure(ctx, Refund, payment.Token)
	_, err := Charge.Call(ctx, payment)
	return err
}

// onFailure registers an activity that undoes what is done under a token.
func (o *order) onFailure(ctx *holdfast.WorkflowContext, undo holdfast.Activity[string, holdfast.Void], token string) {
	ctx.OnFailure(func(ctx *holdfast.WorkflowContext) error {
		o.stage = "undoing"
		_, err := undo.Call(ctx, token)
		return err
	})
}

// approve asks a human and waits for the answer. Meanwhile the address may change
// as often as the customer likes.
func (o *order) approve(ctx *holdfast.WorkflowContext, cents int64) error {
	o.stage = "waiting for approval"
	approval, late := holdfast.NewPromise[bool](ctx), ctx.Timer(o.Patience)
	Ask.Send(ctx, Question{Order: o.id, Cents: cents, Reply: approval.Ref()})
	for {
		first, err := holdfast.Select(ctx, approval, o.address, late)
		if err != nil {
			return err
		}
		switch first {
		case o.address:
			if err := o.move(ctx); err != nil {
				return err
			}
		case late:
			return ErrDeclined.Withf("nobody has answered within %v", o.Patience)
		default:
			approved, err := approval.Await(ctx)
			if err == nil && !approved {
				err = ErrDeclined.Withf("by a human")
			}
			return err
		}
	}
}

// move takes a new address.
func (o *order) move(ctx *holdfast.WorkflowContext) (err error) {
	o.Address, err = o.address.Await(ctx)
	o.address = Address.Receive(ctx)
	return err
}

func (o *order) ship(ctx *holdfast.WorkflowContext) (Parcel, error) {
	o.stage = "shipping to " + o.Address
	parcel := Parcel{Token: ctx.NewID(), Order: o.id, Article: o.Article, Count: o.Count, Address: o.Address}
	o.onFailure(ctx, Recall, parcel.Token)
	if _, err := Ship.Call(ctx, parcel); err != nil {
		return Parcel{}, err
	}
	o.stage = "shipped"
	return parcel, nil
}

// App is the application on its own. What undoes something is tried until it is
// done.
func (s *Shop) App() *holdfast.App {
	retry := holdfast.Retry{First: 50 * time.Millisecond, Max: 10 * time.Second}
	attempt, forAnHour := holdfast.Timeout(10*time.Second), holdfast.Within(time.Hour)
	return holdfast.NewApp("shop",
		Fulfil.Handle(s.fulfil),
		Charge.Handle(holdfast.NoResult(s.World.Charge), retry, attempt, forAnHour),
		Refund.Handle(holdfast.NoResult(s.World.Refund), retry, attempt),
		Ask.Handle(holdfast.NoResult(s.World.Ask), retry, attempt, forAnHour),
		Ship.Handle(holdfast.NoResult(s.World.Ship), retry, attempt, forAnHour, holdfast.Concurrency(20)),
		Recall.Handle(holdfast.NoResult(s.World.Recall), retry, attempt))
}

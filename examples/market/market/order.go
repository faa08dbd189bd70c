package market

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/holdfast-io/holdfast"
)

// Order is the input of the workflow, whose id is the order's name.
type Order struct {
	Wallet  string `json:"wallet"`
	Shop    ShopID `json:"shop"`
	Article string `json:"article"`
	Large   bool   `json:"large"` // somebody has to approve it
	Suspect bool   `json:"suspect"`
}

// Question waits at the desk for somebody who resolves the promise.
type Question struct {
	Order string                    `json:"order"`
	Reply holdfast.PromiseRef[bool] `json:"reply"`
}

// Desk is the state of where questions wait, and of how many orders are under way.
type Desk struct {
	Questions []Question
	Begun     int
	Ended     int
}

// Errors of orders.
var (
	// ErrSuspect: the order looks like a fraud.
	ErrSuspect = holdfast.NewError("suspect", holdfast.Denied)
	// ErrRefused: nobody has approved the order.
	ErrRefused = holdfast.NewError("refused", holdfast.Denied)
	// ErrWithdrawn: the customer does not want it any more.
	ErrWithdrawn = holdfast.NewError("withdrawn", holdfast.Conflict)
	// ErrLost: the parcel has not come.
	ErrLost = holdfast.NewError("parcel_lost", holdfast.Failed)
)

// The contract of orders.
var (
	Orders    = holdfast.NewWorkflow[Order, string]("order", holdfast.Doc("Takes an order from wallet to parcel; gives the courier."))
	Withdraw  = holdfast.NewSignal[string](Orders, "withdraw", holdfast.Doc("The customer does not want it any more."))
	Delivered = holdfast.NewSignal[int](Orders, "delivered", holdfast.Doc("The parcel has arrived."))
	Stage     = holdfast.NewQuery[holdfast.Void, string](Orders, "stage", holdfast.Doc("Says how far the order is."))
	Wrap      = holdfast.NewWorkflow[string, string]("wrap", holdfast.Doc("Wraps one thing."))

	Screen  = holdfast.NewActivity[Order, holdfast.Void]("screen", holdfast.Doc("Looks for fraud; its word is final."))
	Label   = holdfast.NewActivity[string, string]("label", holdfast.Doc("Prints a label; the printer jams."))
	Courier = holdfast.NewActivity[string, string]("courier", holdfast.Doc("Asks a courier for an offer."))
	Weigh   = holdfast.NewActivity[string, int]("weigh", holdfast.Doc("Weighs an article, here and now."))

	Desks   = holdfast.NewEntity[Desk]("desk")
	Ask     = holdfast.NewUpdate[Question, holdfast.Void](Desks, "ask", holdfast.Doc("Puts a question on the desk."))
	Begun   = holdfast.NewUpdate[string, holdfast.Void](Desks, "begun", holdfast.Doc("An order has begun."))
	Ended   = holdfast.NewUpdate[string, holdfast.Void](Desks, "ended", holdfast.Doc("An order has ended, however it did."))
	Answers = holdfast.NewUpdate[holdfast.Void, []Question](Desks, "answers", holdfast.Doc("Takes the questions from the desk."))
)

const (
	price        = 70
	thankAfter   = 10 * time.Millisecond
	approvalTime = time.Minute
	parcelTime   = time.Minute
	deskName     = "front"
	depotName    = "central"
)

// order is one run: what the workflow knows.
type order struct {
	Order
	id    string
	stage string
}

func fulfil(ctx *holdfast.WorkflowContext, in Order) (courier string, err error) {
	o := &order{Order: in, id: ctx.ID(), stage: "begun"}
	Stage.Answer(ctx, func(holdfast.Void) (string, error) { return o.stage, nil })
	Begun.Send(ctx, deskName, o.id)
	ctx.Cleanup(func(ctx *holdfast.WorkflowContext) error {
		_, err := Ended.Call(ctx, deskName, o.id)
		return err
	})
	for _, step := range []func(*holdfast.WorkflowContext) error{o.screen, o.reserve, o.approve, o.prepare} {
		if err := step(ctx); err != nil {
			return "", err
		}
	}
	if courier, err = o.choose(ctx); err != nil {
		return "", err
	}
	if err := o.pay(ctx); err != nil {
		return "", err
	}
	return courier, o.deliver(ctx)
}

func (o *order) screen(ctx *holdfast.WorkflowContext) error {
	o.stage = "screening"
	_, err := Screen.Call(ctx, o.Order)
	return err
}

// reserve holds the money and takes the article. An answer that was not waited
// for may still come: what undoes waits for it.
func (o *order) reserve(ctx *holdfast.WorkflowContext) error {
	o.stage = "reserving"
	held := Hold.Start(ctx, o.Wallet, Claim{Order: o.id, Shop: o.Shop, Amount: price})
	ctx.OnFailure(func(ctx *holdfast.WorkflowContext) error {
		if _, err := held.Await(ctx); err != nil {
			return nil
		}
		_, err := Free.Call(ctx, o.Wallet, o.id)
		return err
	})
	if _, err := held.Await(ctx); err != nil {
		return err
	}
	taken := Take.Start(ctx, o.Shop, o.Article)
	ctx.OnFailure(func(ctx *holdfast.WorkflowContext) error {
		if _, err := taken.Await(ctx); err != nil {
			return nil
		}
		_, err := PutBack.Call(ctx, o.Shop, o.Article)
		return err
	})
	_, err := taken.Await(ctx)
	return err
}

// approve waits for somebody, or for the customer who changes his mind.
func (o *order) approve(ctx *holdfast.WorkflowContext) error {
	if !o.Large {
		return nil
	}
	o.stage = "waiting for approval"
	approval, withdrawn, late := holdfast.NewPromise[bool](ctx), Withdraw.Receive(ctx), ctx.Timer(approvalTime)
	Ask.Send(ctx, deskName, Question{Order: o.id, Reply: approval.Ref()})
	first, err := holdfast.Select(ctx, approval, withdrawn, late)
	switch {
	case err != nil:
		return err
	case first == late:
		return ErrRefused.Withf("nobody has answered")
	case first == withdrawn:
		why, err := withdrawn.Await(ctx)
		return errors.Join(err, ErrWithdrawn.Withf("%s", why))
	}
	if approved, err := approval.Await(ctx); err != nil || !approved {
		return ErrRefused.Withf("by the desk (%v)", err)
	}
	return nil
}

// prepare does many things side by side: children, an activity, and a strand.
func (o *order) prepare(ctx *holdfast.WorkflowContext) error {
	o.stage = "preparing"
	copies := 1 + ctx.Rand().IntN(2)
	if ctx.Patch("wrap-twice") {
		copies = 2
	}
	wrapped := []*holdfast.Future[string]{Label.Start(ctx, o.id)}
	for n := range copies {
		wrapped = append(wrapped, Wrap.Start(ctx, o.id+"-"+string(rune('a'+n)), o.Article, holdfast.OnParentClose(holdfast.WaitForChild)))
	}
	wrapped = append(wrapped, holdfast.Go(ctx, func(ctx *holdfast.WorkflowContext) (string, error) {
		grams, err := Weigh.Call(ctx, o.Article)
		if err == nil && grams > 0 {
			err = ctx.Sleep(time.Millisecond)
		}
		return "weighed", err
	}))
	_, err := holdfast.All(ctx, wrapped...)
	return err
}

// choose takes the first courier that has an offer.
func (o *order) choose(ctx *holdfast.WorkflowContext) (string, error) {
	o.stage = "choosing a courier"
	return holdfast.Any(ctx, Courier.Start(ctx, "never"), Courier.Start(ctx, "swift"), Courier.Start(ctx, "steady"))
}

func (o *order) pay(ctx *holdfast.WorkflowContext) error {
	o.stage = "paying"
	paid := Pay.Start(ctx, o.Wallet, Claim{Order: o.id, Shop: o.Shop})
	ctx.OnFailure(func(ctx *holdfast.WorkflowContext) error {
		if _, err := paid.Await(ctx); err != nil {
			return nil
		}
		_, err := GiveBack.Call(ctx, o.Shop, o.id)
		return err
	})
	_, err := paid.Await(ctx)
	return err
}

// deliver sends the parcel, and ends when it has arrived and everybody knows.
func (o *order) deliver(ctx *holdfast.WorkflowContext) error {
	o.stage = "delivering"
	Dispatch.Send(ctx, o.id, Trip{Order: o.id, Arrived: Note.To(depotName)})
	hurry, err := holdfast.Step(ctx, "is it urgent", func(context.Context) (bool, error) { return urgent(o.id), nil })
	if err != nil {
		return err
	}
	if hurry {
		Hurry.Send(ctx, o.id, holdfast.None)
	}
	arrived, late := Delivered.Receive(ctx), ctx.Timer(parcelTime)
	first, err := holdfast.Select(ctx, arrived, late)
	if err != nil {
		return err
	}
	if first == late {
		return ErrLost
	}
	o.stage = "delivered"
	Thank.Send(ctx, o.Wallet, o.id, holdfast.After(thankAfter))
	return ctx.Finish()
}

// urgent is ordinary code: another version of it may answer something else, and what
// it has said to a run stays.
func urgent(order string) bool { return strings.ContainsAny(order[len(order)-1:], "02468") }

func wrap(ctx *holdfast.WorkflowContext, article string) (string, error) {
	return article + " in paper " + ctx.NewID()[:4], ctx.Sleep(time.Millisecond)
}

func screen(_ context.Context, o Order) error {
	if o.Suspect {
		return ErrSuspect
	}
	return nil
}

// label fails the first time and says how far it has come; the next attempt goes
// on from there.
func label(ctx context.Context, order string) (string, error) {
	printed, ok := holdfast.HeartbeatDetail[int](ctx)
	if holdfast.AttemptFrom(ctx).Number == 1 {
		return "", errors.Join(holdfast.Heartbeat(ctx, len(order)/2), errors.New("the printer is jammed"))
	}
	if ok && printed != len(order)/2 {
		return "", ErrLost.Withf("the attempt before had printed %d letters, and says %d", len(order)/2, printed)
	}
	return "label of " + order, nil
}

func courier(_ context.Context, name string) (string, error) {
	if name == "never" {
		return "", ErrRefused.Withf("%s does not drive", name)
	}
	return name, nil
}

func weigh(_ context.Context, article string) (int, error) { return len(article), nil }

func ask(ctx *holdfast.UpdateContext[Desk], q Question) error {
	ctx.State.Questions = append(ctx.State.Questions, q)
	return nil
}

func answers(ctx *holdfast.UpdateContext[Desk]) (list []Question, err error) {
	list, ctx.State.Questions = ctx.State.Questions, nil
	return list, nil
}

func begun(ctx *holdfast.UpdateContext[Desk], _ string) error {
	ctx.State.Begun++
	return nil
}

func ended(ctx *holdfast.UpdateContext[Desk], _ string) error {
	ctx.State.Ended++
	return nil
}

func orders() holdfast.Parts {
	retry := holdfast.Retry{First: time.Millisecond, Max: 100 * time.Millisecond}
	return holdfast.Parts{
		Orders.Handle(fulfil), Wrap.Handle(wrap),
		Screen.Handle(holdfast.NoResult(screen), retry), Label.Handle(label, retry, holdfast.HeartbeatTimeout(time.Minute)),
		Courier.Handle(courier, retry, holdfast.Concurrency(50), holdfast.Timeout(time.Minute)), Weigh.Handle(weigh, holdfast.Local()),
		Ask.Handle(holdfast.NoResult(ask)), Answers.Handle(holdfast.NoInput(answers)),
		Begun.Handle(holdfast.NoResult(begun)), Ended.Handle(holdfast.NoResult(ended)),
	}
}

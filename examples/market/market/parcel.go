package market

import (
	"time"

	"github.com/holdfast-io/holdfast"
)

// Trip is what a parcel is for.
type Trip struct {
	Order   string
	Arrived holdfast.Address[string] // is told the order, once
}

// Travel is the data of a parcel.
type Travel struct {
	Trip    Trip
	Hurried int
}

// Depot is the state of where parcels arrive.
type Depot struct {
	Arrivals holdfast.Map[string, int] // how often the parcel of an order came
}

// The contract of parcels. The key of a parcel is its order.
var (
	Parcels    = holdfast.NewMachine[Travel]("parcel", holdfast.Doc("A parcel on its way."))
	Shelf      = Parcels.State("shelf")
	Packing    = Parcels.State("packing")
	Travelling = Parcels.State("travelling")
	Arrived    = Parcels.State("arrived")

	Dispatch = holdfast.NewMessage[Trip](Parcels, "dispatch")
	Hurry    = holdfast.NewMessage[holdfast.Void](Parcels, "hurry")
	Packed   = holdfast.NewMessage[holdfast.Void](Parcels, "packed")
	There    = holdfast.NewMessage[holdfast.Void](Parcels, "there")

	Depots = holdfast.NewEntity[Depot]("depot")
	Note   = holdfast.NewUpdate[string, holdfast.Void](Depots, "note", holdfast.Doc("Notes that the parcel of an order has arrived."))
)

const (
	packingTime = 5 * time.Millisecond
	travelTime  = 20 * time.Millisecond
)

type parcel = holdfast.MachineContext[Travel]

func dispatch(m *parcel, t Trip) error {
	m.Data.Trip = t
	m.Goto(Packing)
	return nil
}

func pack(m *parcel) error {
	Packed.Remind(m, "packed", holdfast.After(packingTime), holdfast.None)
	return nil
}

func packed(m *parcel, _ holdfast.Void) error {
	m.Goto(Travelling)
	return nil
}

func travel(m *parcel) error {
	There.Remind(m, "there", holdfast.After(travelTime), holdfast.None)
	return nil
}

// hurry takes the rest of the way at once.
func hurry(m *parcel, _ holdfast.Void) error {
	m.Data.Hurried++
	m.CancelReminder("there")
	There.Raise(m, holdfast.None)
	return nil
}

// arrive tells the depot, by the address that came with the order, and the order.
func arrive(m *parcel, _ holdfast.Void) error {
	m.Data.Trip.Arrived.Send(m, m.Data.Trip.Order)
	Delivered.Send(m, m.Data.Trip.Order, m.Data.Hurried)
	m.Goto(Arrived)
	return nil
}

func note(ctx *holdfast.UpdateContext[Depot], order string) error {
	times, _ := ctx.State.Arrivals.Get(order)
	ctx.State.Arrivals.Put(order, times+1)
	return nil
}

// parcels: who hurries a parcel that is being packed waits until it travels.
func parcels() holdfast.Parts {
	return holdfast.Parts{
		Parcels.Handle(
			Shelf.When(Dispatch.Do(dispatch), Hurry.Defer()),
			Packing.When(holdfast.Entry(pack), Packed.Do(packed), Hurry.Defer(), Dispatch.Ignore()),
			Travelling.When(holdfast.Entry(travel), Hurry.Do(hurry), There.Do(arrive), Dispatch.Ignore()),
			Arrived.When(Hurry.Ignore(), There.Ignore(), Dispatch.Ignore()),
		),
		Note.Handle(holdfast.NoResult(note)),
	}
}

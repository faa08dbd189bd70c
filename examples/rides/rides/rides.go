// Package rides brings riders and drivers together. The map is a row of cells;
// people wait in one, and may ride with who waits there or next to it.
//
// Invariants:
//
//  1. Nobody is in two rides: a rider rides with a driver if and only if that
//     driver rides with that rider.
//  2. A cell lists those who wait in it, and nobody else.
//  3. When all offers have ended, no rider waits near a waiting driver.
//
// Every change concerns several of them, and is an event: all of them take it, or
// one refuses it for all. So what an offer has read may be old, and the worst that
// happens is a refusal. Distance and fairness are left to others.
package rides

import (
	"errors"
	"slices"
	"strconv"

	"github.com/holdfast-io/holdfast"
)

// The roles, which are the names of the kinds as well.
const (
	Rider  = "rider"
	Driver = "driver"
)

const (
	cellsMax = 1_000_000
	// postTries bounds how often an offer is repeated that others of the same person
	// overtake.
	postTries = 10
)

// Person is the state of a rider or a driver.
type Person struct {
	Cell  int    // where they wait; 0: nowhere
	With  string // whom they ride with
	Rides int
}

// Cell is the state of a cell: who waits there, by role.
type Cell struct{ Riders, Drivers []string }

// Offer is the input of the workflow.
type Offer struct {
	Role string `json:"role"`
	Name string `json:"name"`
	Cell int    `json:"cell"`
}

// Move is an event: somebody waits elsewhere.
type Move struct {
	Role, Name string
	From, To   int
}

// Match is an event: two people who wait begin a ride.
type Match struct {
	Rider, Driver         string
	RiderCell, DriverCell int
}

// Ride is an event: it is over.
type Ride struct {
	Rider  string `json:"rider"`
	Driver string `json:"driver"`
}

// The contract.
var (
	Riders  = holdfast.NewEntity[Person](Rider)
	Drivers = holdfast.NewEntity[Person](Driver)
	Cells   = holdfast.NewEntity[Cell]("cell")

	SeeRider  = holdfast.NewRead[holdfast.Void, Person](Riders, "see")
	SeeDriver = holdfast.NewRead[holdfast.Void, Person](Drivers, "see")
	SeeCell   = holdfast.NewRead[holdfast.Void, Cell](Cells, "see")

	Moved   = holdfast.NewEvent("moved", Move.touches)
	Matched = holdfast.NewEvent("matched", Match.touches)
	Ended   = holdfast.NewEvent("ended", Ride.touches, holdfast.Doc("Ends a ride."))

	Offers = holdfast.NewWorkflow[Offer, string]("offer", holdfast.Doc("Waits in a cell, and gives who was there to ride with; nobody, if nobody was."))

	// ErrOffer: an offer that makes no sense.
	ErrOffer = holdfast.NewError("bad_offer", holdfast.InvalidArgument)
	// ErrRiding: who rides cannot wait.
	ErrRiding = holdfast.NewError("riding", holdfast.Conflict)
	// ErrGone: somebody is not where they were, or not in this ride.
	ErrGone = holdfast.NewError("gone", holdfast.Conflict)
)

func cellKey(cell int) string { return strconv.Itoa(cell) }

func person(role, name string) holdfast.Ref {
	if role == Rider {
		return Riders.Ref(name)
	}
	return Drivers.Ref(name)
}

func (m Move) touches() []holdfast.Ref {
	refs := []holdfast.Ref{person(m.Role, m.Name), Cells.Ref(cellKey(m.To))}
	if m.From != 0 {
		refs = append(refs, Cells.Ref(cellKey(m.From)))
	}
	return refs
}

func (m Match) touches() []holdfast.Ref {
	return []holdfast.Ref{Riders.Ref(m.Rider), Drivers.Ref(m.Driver), Cells.Ref(cellKey(m.RiderCell)), Cells.Ref(cellKey(m.DriverCell))}
}

func (r Ride) touches() []holdfast.Ref {
	return []holdfast.Ref{Riders.Ref(r.Rider), Drivers.Ref(r.Driver)}
}

// offer waits in the cell first and looks for others then: of two who do so at
// the same time, one at least finds the other.
func offer(ctx *holdfast.WorkflowContext, o Offer) (string, error) {
	if o.Role != Rider && o.Role != Driver || o.Cell < 1 || o.Cell > cellsMax {
		return "", ErrOffer.Withf("a %q in cell %d; there are riders and drivers, and cells 1 to %d", o.Role, o.Cell, cellsMax)
	}
	if err := post(ctx, o); err != nil {
		return "", err
	}
	for cell := max(1, o.Cell-1); cell <= o.Cell+1; cell++ {
		there, err := SeeCell.Call(ctx, cellKey(cell), holdfast.None)
		if err != nil {
			return "", err
		}
		if other, err := matchAny(ctx, o, cell, there); other != "" || err != nil {
			return other, err
		}
	}
	return "", nil // whoever comes next will find us
}

// post moves the person from where they wait to where they want to.
func post(ctx *holdfast.WorkflowContext, o Offer) (err error) {
	for range postTries {
		p, err := see(ctx, o)
		if err != nil {
			return err
		}
		err = Moved.Raise(ctx, Move{Role: o.Role, Name: o.Name, From: p.Cell, To: o.Cell})
		if !errors.Is(err, ErrGone) {
			return err
		}
	}
	return ErrGone.Withf("%s was elsewhere %d times", o.Name, postTries)
}

func see(ctx *holdfast.WorkflowContext, o Offer) (Person, error) {
	if o.Role == Rider {
		return SeeRider.Call(ctx, o.Name, holdfast.None)
	}
	return SeeDriver.Call(ctx, o.Name, holdfast.None)
}

// matchAny begins a ride with the first of the others in a cell who can.
func matchAny(ctx *holdfast.WorkflowContext, o Offer, cell int, there Cell) (other string, err error) {
	others := there.Riders
	if o.Role == Rider {
		others = there.Drivers
	}
	for _, other := range others {
		m := Match{Rider: other, Driver: o.Name, RiderCell: cell, DriverCell: o.Cell}
		if o.Role == Rider {
			m = Match{Rider: o.Name, Driver: other, RiderCell: o.Cell, DriverCell: cell}
		}
		switch err := Matched.Raise(ctx, m); {
		case err == nil:
			return other, nil
		case !errors.Is(err, ErrGone):
			return "", err
		}
	}
	return "", nil
}

func moved(ctx *holdfast.EventContext[Person], m Move) error {
	switch p := &ctx.State; {
	case p.With != "":
		return ErrRiding.Withf("%s rides with %s", m.Name, p.With)
	case p.Cell != m.From:
		return ErrGone.Withf("%s waits in %d, not in %d", m.Name, p.Cell, m.From)
	}
	ctx.State.Cell = m.To
	return nil
}

// ride begins a ride of somebody who waits in a cell.
func (p *Person) ride(cell int, with string) error {
	if p.Cell != cell {
		return ErrGone.Withf("waits in %d, not in %d, and rides with %q", p.Cell, cell, p.With)
	}
	*p = Person{With: with, Rides: p.Rides + 1}
	return nil
}

func (p *Person) end(with string) error {
	if p.With != with {
		return ErrGone.Withf("rides with %q, not with %q", p.With, with)
	}
	p.With = ""
	return nil
}

func riderMatched(ctx *holdfast.EventContext[Person], m Match) error {
	return ctx.State.ride(m.RiderCell, m.Driver)
}

func driverMatched(ctx *holdfast.EventContext[Person], m Match) error {
	return ctx.State.ride(m.DriverCell, m.Rider)
}

func riderEnded(ctx *holdfast.EventContext[Person], r Ride) error  { return ctx.State.end(r.Driver) }
func driverEnded(ctx *holdfast.EventContext[Person], r Ride) error { return ctx.State.end(r.Rider) }

// of gives the list of a role.
func (c *Cell) of(role string) *[]string {
	if role == Rider {
		return &c.Riders
	}
	return &c.Drivers
}

func (c *Cell) remove(role, name string) {
	list := c.of(role)
	*list = slices.DeleteFunc(*list, func(n string) bool { return n == name })
}

func cellMoved(ctx *holdfast.EventContext[Cell], m Move) error {
	ctx.State.remove(m.Role, m.Name)
	if ctx.Key() == cellKey(m.To) {
		list := ctx.State.of(m.Role)
		*list = append(*list, m.Name)
	}
	return nil
}

func cellMatched(ctx *holdfast.EventContext[Cell], m Match) error {
	ctx.State.remove(Rider, m.Rider)
	ctx.State.remove(Driver, m.Driver)
	return nil
}

func seePerson(ctx *holdfast.ReadContext[Person]) (Person, error) { return ctx.State, nil }
func seeCell(ctx *holdfast.ReadContext[Cell]) (Cell, error)       { return ctx.State, nil }

// App is the application on its own.
func App() *holdfast.App {
	return holdfast.NewApp("rides",
		Offers.Handle(offer),
		holdfast.On(Riders, Moved, moved), holdfast.On(Drivers, Moved, moved), holdfast.On(Cells, Moved, cellMoved),
		holdfast.On(Riders, Matched, riderMatched), holdfast.On(Drivers, Matched, driverMatched), holdfast.On(Cells, Matched, cellMatched),
		holdfast.On(Riders, Ended, riderEnded), holdfast.On(Drivers, Ended, driverEnded),
		SeeRider.Handle(holdfast.NoInput(seePerson)), SeeDriver.Handle(holdfast.NoInput(seePerson)), SeeCell.Handle(holdfast.NoInput(seeCell)))
}

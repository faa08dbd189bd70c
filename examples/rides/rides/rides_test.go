package rides

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/holdfasttest"
	"github.com/holdfast-io/holdfast/internal/crashtest"
)

func TestMain(m *testing.M) { crashtest.Main(m, App()) }

func TestAppValidates(t *testing.T) {
	if err := App().Validate(); err != nil {
		t.Fatal(err)
	}
}

func TestWhoRidesRefusesEverythingElse(t *testing.T) {
	riding := Person{With: "dora", Rides: 1}
	if r := holdfasttest.Take(moved, riding, Move{Role: Rider, Name: "rob", To: 2}); !errors.Is(r.Err, ErrRiding) {
		t.Errorf("a move: %+v", r)
	}
	if r := holdfasttest.Take(riderMatched, riding, Match{"rob", "dan", 2, 2}); !errors.Is(r.Err, ErrGone) || r.State != riding {
		t.Errorf("a match: %+v", r)
	}
	if r := holdfasttest.Take(riderEnded, riding, Ride{"rob", "dan"}); !errors.Is(r.Err, ErrGone) || r.State != riding {
		t.Errorf("the end of another ride: %+v", r)
	}
	if r := holdfasttest.Take(riderEnded, riding, Ride{"rob", "dora"}); r.Err != nil || r.State != (Person{Rides: 1}) {
		t.Errorf("the end of the ride: %+v", r)
	}
}

func TestACellListsWhoMovesThere(t *testing.T) {
	in := holdfasttest.Key("2")
	r := holdfasttest.Take(cellMoved, Cell{Riders: []string{"rob"}}, Move{Rider, "rob", 2, 2}, in)
	if r.Err != nil || !slices.Equal(r.State.Riders, []string{"rob"}) {
		t.Errorf("to where they are: %+v", r)
	}
	r = holdfasttest.Take(cellMoved, Cell{Riders: []string{"rob"}}, Move{Rider, "rob", 2, 3}, in)
	if r.Err != nil || len(r.State.Riders) > 0 {
		t.Errorf("away: %+v", r)
	}
}

const cells, people = 5, 8 // people of each role

func name(role string, n int) string { return fmt.Sprint(role, n) }

// Riders and drivers offer themselves again and again, and rides end, while the
// process is killed. Then the invariants are looked at.
func TestNobodyIsInTwoRidesThroughCrashes(t *testing.T) {
	const kills = 8
	s := crashtest.Start(t, 1)
	c := s.Client()
	random := rand.New(rand.NewPCG(1, 1))
	var ids []string
	var ending sync.WaitGroup
	some := func(kill int) {
		for _, role := range []string{Rider, Driver} {
			for n := range people {
				id := fmt.Sprint(kill, name(role, n))
				if _, err := Offers.Submit(c, id, Offer{role, name(role, n), 1 + random.IntN(cells)}); err != nil {
					t.Fatal(err)
				}
				ids = append(ids, id)
			}
		}
		ending.Go(func() { endRides(t, c) })
	}
	s.Survive(kills, some, "all offers have ended", func() bool {
		for _, id := range ids {
			if status, err := Offers.Status(c, id); err != nil || status.Status == "running" {
				return false
			}
		}
		return true
	})
	ending.Wait()
	checkOffers(t, c, ids)
	checkPeople(t, c)
}

// endRides ends every ride that it sees, once.
func endRides(t *testing.T, c *holdfast.ClientContext) {
	for n := range people {
		p, _, err := Riders.Inspect(c, name(Rider, n))
		if err != nil || p.With == "" {
			continue
		}
		if err := Ended.Raise(c, Ride{name(Rider, n), p.With}); err != nil && !errors.Is(err, ErrGone) {
			t.Error(err)
		}
	}
}

func checkOffers(t *testing.T, c *holdfast.ClientContext, ids []string) {
	t.Helper()
	matched := 0
	for _, id := range ids {
		other, err := Offers.Result(c, id)
		if err != nil && !errors.Is(err, ErrRiding) {
			t.Errorf("offer %s: %v", id, err)
		}
		if other != "" {
			matched++
		}
	}
	rides := 0
	for n := range people {
		p, _, err := Drivers.Inspect(c, name(Driver, n))
		if err != nil {
			t.Error(err)
		}
		rides += p.Rides
	}
	if rides != matched || rides < people {
		t.Errorf("%d offers have found somebody, and the drivers had %d rides", matched, rides)
	}
}

// checkPeople wants rides to have two ends, and cells to list who waits.
func checkPeople(t *testing.T, c *holdfast.ClientContext) {
	t.Helper()
	waiting := map[string][]int{}
	var there [cells + 1]Cell
	for cell := 1; cell <= cells; cell++ {
		state, _, err := Cells.Inspect(c, cellKey(cell))
		if err != nil && !errors.Is(err, holdfast.ErrNotFound) {
			t.Fatal(err)
		}
		there[cell] = state
	}
	for n := range people {
		for _, side := range []struct {
			role         string
			mine, theirs holdfast.Entity[string, Person]
		}{{Rider, Riders, Drivers}, {Driver, Drivers, Riders}} {
			me := name(side.role, n)
			p, _, err := side.mine.Inspect(c, me)
			if err != nil {
				t.Fatal(err)
			}
			if p.With != "" {
				if other, _, err := side.theirs.Inspect(c, p.With); err != nil || other.With != me {
					t.Errorf("%s rides with %s, who rides with %q (error %v)", me, p.With, other.With, err)
				}
			}
			if p.Cell != 0 {
				waiting[side.role] = append(waiting[side.role], p.Cell)
			}
			for cell := 1; cell <= cells; cell++ {
				if listed := slices.Contains(*there[cell].of(side.role), me); listed != (p.Cell == cell) {
					t.Errorf("%s waits in %d, and cell %d has %+v", me, p.Cell, cell, there[cell])
				}
			}
		}
	}
	for _, rider := range waiting[Rider] {
		for _, driver := range waiting[Driver] {
			if max(rider, driver)-min(rider, driver) <= 1 {
				t.Errorf("a rider waits in %d, and a driver in %d", rider, driver)
			}
		}
	}
}

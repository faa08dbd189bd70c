package world_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/internal/world"
)

// Rooms are what locks and events are about: a workflow stays in several rooms
// under their locks, and bells ring in several rooms at once. A room notes who
// was there, what rang, and everything that should not have been.

type room struct {
	Holder  string
	Heard   []string // visits and bells, in order
	Clashes []string
}

// stay is the input of a visit: rooms in any order, and maybe some twice.
type stay struct {
	Rooms []string
	Pause time.Duration
	Ring  bool // a bell in its own rooms, under its locks
}

// bell is an event.
type bell struct {
	Name, By string
	Rooms    []string
	Refuser  string // the room that refuses it
}

var (
	rooms = holdfast.NewEntity[room]("room")
	enter = holdfast.NewUpdate[string, holdfast.Void](rooms, "enter")
	leave = holdfast.NewUpdate[bell, holdfast.Void](rooms, "leave")
	rings = holdfast.NewEvent("ring", func(b bell) []holdfast.Ref { return refsOf(b.Rooms) })
	stays = holdfast.NewWorkflow[stay, int]("stay")
)

func refsOf(keys []string) (refs []holdfast.Ref) {
	for _, k := range keys {
		refs = append(refs, rooms.Ref(k))
	}
	return refs
}

func (r *room) hear(name string) {
	if slices.Contains(r.Heard, name) {
		r.Clashes = append(r.Clashes, name+" comes twice")
	}
	r.Heard = append(r.Heard, name)
}

func doEnter(ctx *holdfast.UpdateContext[room], id string) (v holdfast.Void, err error) {
	r := &ctx.State
	if r.Holder != "" {
		r.Clashes = append(r.Clashes, fmt.Sprintf("%s enters while %s is there", id, r.Holder))
	}
	r.Holder = id
	r.hear(id)
	return v, nil
}

func doLeave(ctx *holdfast.UpdateContext[room], b bell) (v holdfast.Void, err error) {
	r := &ctx.State
	if r.Holder != b.By {
		r.Clashes = append(r.Clashes, fmt.Sprintf("%s leaves while %q is there", b.By, r.Holder))
	}
	if b.Name != "" && !slices.Contains(r.Heard, b.Name) {
		r.Clashes = append(r.Clashes, fmt.Sprintf("%s has not heard its own bell", b.By))
	}
	r.Holder = ""
	return v, nil
}

func doRing(ctx *holdfast.EventContext[room], b bell) error {
	r := &ctx.State
	if r.Holder != b.By {
		r.Clashes = append(r.Clashes, fmt.Sprintf("%s rings while %q is there", b.Name, r.Holder))
	}
	r.hear(b.Name)
	if ctx.Key() == b.Refuser {
		return errRefused
	}
	return nil
}

// until repeats what a fault of a handler has spoiled.
func until(ctx *holdfast.WorkflowContext, do func() error) error {
	for {
		err := do()
		if err == nil || !errors.Is(err, holdfast.ErrPanic) && !errors.Is(err, holdfast.ErrDeadline) && !errors.Is(err, holdfast.ErrQuarantined) {
			return err
		}
		if err := ctx.Sleep(10 * time.Millisecond); err != nil {
			return err
		}
	}
}

// doStay enters its rooms one after the other and leaves them in the same order;
// its locks make that one moment for everybody else.
func doStay(ctx *holdfast.WorkflowContext, s stay) (int, error) {
	once := slices.Compact(slices.Sorted(slices.Values(s.Rooms)))
	mine := bell{By: ctx.ID(), Rooms: once}
	for _, k := range once {
		if err := until(ctx, func() error { _, err := enter.Call(ctx, k, ctx.ID()); return err }); err != nil {
			return 0, err
		}
	}
	if err := ctx.Sleep(s.Pause); err != nil {
		return 0, err
	}
	if s.Ring {
		mine.Name = "bell of " + ctx.ID()
		if err := until(ctx, func() error { return rings.Raise(ctx, mine) }); err != nil {
			return 0, err
		}
	}
	for _, k := range once {
		if err := until(ctx, func() error { _, err := leave.Call(ctx, k, mine); return err }); err != nil {
			return 0, err
		}
	}
	return len(once), nil
}

// occasion is a visit or a bell as its client knows it.
type occasion struct {
	name  string
	rooms []string
	acked bool
	never bool
}

// room lets somebody stay in rooms, or rings a bell in them.
func (l *ledger) room(w *world.World, c *world.Client, door *holdfast.ClientContext) {
	l.tokens++
	o := &occasion{name: fmt.Sprint("o", l.tokens)}
	l.occasions = append(l.occasions, o)
	for range 1 + c.Random.IntN(3) {
		o.rooms = append(o.rooms, fmt.Sprint("r", c.Random.IntN(3))) // few: they are to meet
	}
	if c.Random.IntN(2) == 0 {
		s := stay{Rooms: o.rooms, Pause: time.Duration(c.Random.Int64N(int64(300 * time.Millisecond))), Ring: c.Random.IntN(2) == 0}
		if s.Ring {
			l.occasions = append(l.occasions, &occasion{name: "bell of " + o.name, rooms: o.rooms})
		}
		_, err := stays.Call(door, o.name, s)
		expect(w, err)
		o.acked = err == nil
		return
	}
	b := bell{Name: o.name, Rooms: o.rooms}
	if c.Random.IntN(4) == 0 {
		b.Refuser, o.never = o.rooms[len(o.rooms)-1], true
	}
	err := rings.Raise(door, b)
	expect(w, err, errRefused, holdfast.ErrDeadline, holdfast.ErrQuarantined) // a clock jumps over its patience, a handler hangs
	o.acked = err == nil
}

// checkRooms checks that every occasion was in all of its rooms or in none, and
// that there is one order in which all were.
func (l *ledger) checkRooms(s world.State) error {
	heard, after := map[string]int{}, map[string][]string{}
	for _, k := range s.Keys("room") {
		var r room
		_ = json.Unmarshal(s.Entity("room", k).Root.Body, &r)
		if len(r.Clashes) > 0 || r.Holder != "" {
			return fmt.Errorf("room %s is left to %q after %v", k, r.Holder, r.Clashes)
		}
		for n, name := range r.Heard {
			heard[name]++
			if n > 0 {
				after[r.Heard[n-1]] = append(after[r.Heard[n-1]], name)
			}
		}
	}
	for _, o := range l.occasions {
		want := len(slices.Compact(slices.Sorted(slices.Values(o.rooms))))
		got := heard[o.name]
		delete(heard, o.name)
		if got != 0 && got != want || o.acked && got == 0 || o.never && got > 0 {
			return fmt.Errorf("%s, acknowledged %v, refused %v, was in %d of its rooms %v", o.name, o.acked, o.never, got, o.rooms)
		}
	}
	for name := range heard {
		return fmt.Errorf("%s was never asked for", name)
	}
	return acyclic(after)
}

// acyclic says whether everything has a place before all that comes after it.
func acyclic(after map[string][]string) error {
	const open, closed = 1, 2
	state := map[string]int{}
	var visit func(name string) error
	visit = func(name string) error {
		switch state[name] {
		case open:
			return fmt.Errorf("%s comes before itself", name)
		case closed:
			return nil
		}
		state[name] = open
		for _, next := range after[name] {
			if err := visit(next); err != nil {
				return fmt.Errorf("%w, by %s", err, name)
			}
		}
		state[name] = closed
		return nil
	}
	for name := range after {
		if err := visit(name); err != nil {
			return err
		}
	}
	return nil
}

package world_test

import (
	"fmt"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/internal/world"
)

// Lamps are machines that somebody deletes again and again. What has come to one
// and waits does not go with it.

type lamp struct{ Glows int }

var (
	lamps = holdfast.NewMachine[lamp]("lamp")
	dark  = lamps.State("dark")
	lit   = lamps.State("lit")

	glow  = holdfast.NewMessage[passage](lamps, "glow")
	light = holdfast.NewMessage[holdfast.Void](lamps, "light")
)

func lampParts() holdfast.Part {
	return lamps.Handle(
		dark.When(
			holdfast.Entry(func(m *holdfast.MachineContext[lamp]) error {
				light.Remind(m, "light", holdfast.After(shutFor), holdfast.Void{})
				return nil
			}),
			glow.Defer(),
			light.Do(func(m *holdfast.MachineContext[lamp], _ holdfast.Void) error {
				m.CancelReminder("light")
				m.Goto(lit)
				return nil
			}),
		),
		lit.When(
			light.Ignore(),
			glow.Do(func(m *holdfast.MachineContext[lamp], p passage) error {
				m.Data.Glows++
				cellAdd.Send(m, p.Cell, p.Token)
				return nil
			}),
		),
	)
}

// lamp brings a token through a lamp, and may delete the lamp meanwhile.
func (l *ledger) lamp(w *world.World, c *world.Client, door *holdfast.ClientContext) {
	k, t := key(c), l.newToken(key(c))
	err := glow.Submit(door, k, passage{t.name, t.cell})
	expect(w, err)
	t.acked = err == nil
	switch c.Random.IntN(3) {
	case 0:
		expect(w, light.Submit(door, k, holdfast.Void{}))
	case 1:
		insist(w, c, fmt.Sprint("delete lamp ", k), func() error { return lamps.Delete(door, k) })
	}
}

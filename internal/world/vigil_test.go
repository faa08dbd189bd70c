package world_test

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/internal/world"
)

// Vigils are workflows that hear signals, and to which operators do everything
// they can.

var (
	vigils = holdfast.NewWorkflow[string, []string]("vigil")
	nudge  = holdfast.NewSignal[string](vigils, "nudge")
)

// lastNudge ends a vigil.
const lastNudge = "last"

// repeatPause is between two attempts of a client.
const repeatPause = 20 * time.Millisecond

func doVigil(ctx *holdfast.WorkflowContext, _ string) (heard []string, err error) {
	for {
		got, err := nudge.Receive(ctx).Await(ctx)
		if err != nil || got == lastNudge {
			return heard, err
		}
		heard = append(heard, got)
	}
}

// vigil is what the client of a vigil knows of it.
type vigil struct {
	world *world.World
	door  *holdfast.ClientContext
	id    string
	want  string   // how it stands
	sent  []string // all signals
	must  []string // those that the last run has to hear
}

// passing are the errors after which the same may be asked again.
var passing = []error{holdfast.ErrUnavailable, holdfast.ErrCancelled, holdfast.ErrPanic, holdfast.ErrResourceExhausted}

// insist asks until it is answered. The client stays: what somebody has asked who
// goes may come later than what is asked next.
func insist(w *world.World, c *world.Client, what string, ask func() error) {
	c.Stays = true
	defer func() { c.Stays = false }()
	for {
		err := ask()
		if err == nil {
			return
		}
		if !slices.ContainsFunc(passing, func(known error) bool { return errors.Is(err, known) }) {
			w.Fail("%s: %v", what, err)
		}
		c.Sleep(repeatPause)
	}
}

func (v *vigil) insist(c *world.Client, what string, ask func() error) {
	insist(v.world, c, fmt.Sprintf("%s of vigil %s, which is %s", what, v.id, v.want), ask)
}

// vigil begins one, does things to it, and ends it.
func (l *ledger) vigil(w *world.World, c *world.Client, door *holdfast.ClientContext) {
	l.tokens++
	v := &vigil{world: w, door: door, id: fmt.Sprint("v", l.tokens), want: "running"}
	v.insist(c, "start", func() error { _, err := vigils.Submit(door, v.id, "x"); return err })
	for n := range c.Random.IntN(6) {
		v.act(c, n)
	}
	again := false
	last := func() error {
		err := nudge.Submit(door, v.id, lastNudge)
		if again && errors.Is(err, holdfast.ErrConflict) {
			return nil // the one before has come
		}
		again = true
		return err
	}
	if v.want == "running" {
		v.insist(c, "last signal", last)
	}
	v.end(c)
}

// act does one random thing to it.
func (v *vigil) act(c *world.Client, n int) {
	switch kind := c.Random.IntN(10); {
	case v.want != "running" || kind == 0:
		v.want, v.must = "running", nil
		v.insist(c, "restart", func() error { return vigils.Restart(v.door, v.id) })
	case kind == 1:
		v.want = "cancelled"
		v.insist(c, "cancel", func() error { return vigils.Cancel(v.door, v.id) })
		v.insist(c, "result", func() error { return v.ended("cancelled") })
	case kind == 2:
		v.want = "terminated"
		v.insist(c, "terminate", func() error { return vigils.Terminate(v.door, v.id) })
	case kind < 5:
		v.insist(c, "pause", func() error { return vigils.Pause(v.door, v.id) })
		v.insist(c, "resume", func() error { return vigils.Resume(v.door, v.id) })
	default:
		name := fmt.Sprint("s", n)
		v.sent = append(v.sent, name)
		err := nudge.Submit(v.door, v.id, name)
		if expect(v.world, err); err == nil {
			v.must = append(v.must, name)
		}
	}
}

// ended waits for the end and says whether it came as it should.
func (v *vigil) ended(want string) error {
	_, err := vigils.Result(v.door, v.id)
	if err != nil && errors.Is(err, holdfast.ErrUnavailable) {
		return err
	}
	s, err := vigils.Status(v.door, v.id)
	if err != nil {
		return err
	}
	if s.Status == "running" {
		return holdfast.ErrUnavailable // it was the client that was gone
	}
	if s.Status != want {
		v.world.Fail("vigil %s is %s, want %s", v.id, s.Status, want)
	}
	return nil
}

// end checks what the last run has heard: what was taken, in order, and nothing
// twice. What its client has given up may come at any time.
func (v *vigil) end(c *world.Client) {
	if v.want != "running" {
		v.insist(c, "status", func() error { return v.ended(v.want) })
		return
	}
	var heard []string
	v.insist(c, "result", func() (err error) { heard, err = vigils.Result(v.door, v.id); return err })
	must, once := v.must, map[string]bool{}
	for _, name := range heard {
		if once[name] || !slices.Contains(v.sent, name) {
			v.world.Fail("vigil %s has heard %v, %v were sent", v.id, heard, v.sent)
		}
		once[name] = true
		if len(must) > 0 && must[0] == name {
			must = must[1:]
		}
	}
	if len(must) > 0 {
		v.world.Fail("vigil %s has heard %v, %v were taken", v.id, heard, v.must)
	}
}

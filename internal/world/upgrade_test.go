package world_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/internal/world"
)

// The program has two versions, and each begins runs by schedules of its own.

// forward is what pass is called in the second version, which has renamed it.
var forward = holdfast.NewUpdate[errand, int](cells, "forward", holdfast.Alias("pass"))

func doForward(ctx *holdfast.UpdateContext[cell], e errand) (int, error) {
	ctx.State.take(e.Token)
	if len(e.To) == 0 {
		return len(ctx.State.Tokens), nil
	}
	return forward.Tail(ctx, e.To[0], errand{Token: e.Token + ">" + e.To[0], To: e.To[1:]})
}

// doFlowAndThank is doFlow as the second version has it: runs that begin with it
// do one thing more.
func doFlowAndThank(ctx *holdfast.WorkflowContext, j job) ([]string, error) {
	thank := ctx.Patch("thank")
	outcomes, err := doFlow(ctx, j)
	if err != nil || !thank {
		return outcomes, err
	}
	out, err := work.Call(ctx, ctx.ID()+" thanks")
	return append(outcomes, out), err
}

// tower hears chimes, which are runs that begin by schedules.
type tower struct{ Heard []string }

var (
	towers = holdfast.NewEntity[tower]("tower")
	toll   = holdfast.NewUpdate[string, holdfast.Void](towers, "toll")
	chimes = holdfast.NewWorkflow[string, holdfast.Void]("chime")
)

func doToll(ctx *holdfast.UpdateContext[tower], chime string) (v holdfast.Void, err error) {
	ctx.State.Heard = append(ctx.State.Heard, chime)
	return v, nil
}

func doChime(ctx *holdfast.WorkflowContext, _ string) (holdfast.Void, error) {
	return holdfast.None, until(ctx, func() error { _, err := toll.Call(ctx, "the", ctx.ID()); return err })
}

// versions are the programs that are deployed one after the other.
func versions(o outside) (first, second *holdfast.App) {
	first = holdfast.NewApp("world", holdfast.Version("1"), o.parts(), toll.Handle(doToll),
		pass.Handle(doPass), flow.Handle(doFlow), scratches.Options(holdfast.EntityOptions[scratch]{}),
		chimes.Handle(doChime).
			Schedule("pulse", holdfast.Every(3*time.Second), "").
			Schedule("gone", holdfast.Every(2*time.Second), "").
			Schedule("once", holdfast.After(time.Second), ""))
	second = holdfast.NewApp("world", holdfast.Version("2"), o.parts(), toll.Handle(doToll),
		forward.Handle(doForward), flow.Handle(doFlowAndThank),
		registers.Options(holdfast.EntityOptions[register]{Version: 2, Migrate: migrate}),
		scratches.Options(holdfast.EntityOptions[scratch]{IdleTTL: guestTTL}),
		chimes.Handle(doChime).
			Schedule("pulse", holdfast.Every(2*time.Second), "").
			Schedule("once", holdfast.After(time.Second), "").
			Schedule("late", holdfast.After(time.Second/2), ""))
	return first, second
}

// checkChimes checks that what was to begin once did, and that nothing began
// twice.
func checkChimes(s world.State) error {
	var t tower
	_ = json.Unmarshal(s.Entity("tower", "the").Root.Body, &t)
	count, once := map[string]int{}, map[string]bool{}
	for _, id := range t.Heard {
		if once[id] {
			return fmt.Errorf("chime %s is heard twice", id)
		}
		once[id] = true
		name, _, _ := strings.Cut(id, "@")
		count[name]++
	}
	if count["once"] != 1 || count["late"] > 1 {
		return fmt.Errorf("chimes were heard so often: %v", count)
	}
	return nil
}

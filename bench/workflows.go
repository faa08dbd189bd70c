package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-io/holdfast"
)

// Sizes of the workloads of workflows and machines.
const (
	greetings  = 5    // activities of a workflow, one after the other
	fanOut     = 1000 // activities of a workflow, all at once
	rallyHits  = 100  // messages of a rally
	sleepTime  = 24 * time.Hour
	sleepers   = 100_000
	fanOutMany = 16 // callers: as many times fanOut activities are under way
)

// ball is what two machines send each other.
type ball struct {
	Rally, Left int64
	To, From    string
}

// pair names two counters.
type pair struct{ One, Other string }

func (p pair) tallies() []holdfast.Ref {
	return []holdfast.Ref{tallies.Ref(p.One), tallies.Ref(p.Other)}
}

var (
	greet      = holdfast.NewActivity[int64, int64]("greet")
	greetLocal = holdfast.NewActivity[int64, int64]("greet-local")
	hello      = holdfast.NewWorkflow[int64, int64]("hello")
	helloLocal = holdfast.NewWorkflow[int64, int64]("hello-local")
	spread     = holdfast.NewWorkflow[int64, int64]("spread")
	rest       = holdfast.NewWorkflow[holdfast.Void, holdfast.Void]("rest")

	addBoth = holdfast.NewWorkflow[pair, holdfast.Void]("add-both")
	counted = holdfast.NewEvent("counted", pair.tallies)

	players = holdfast.NewMachine[tally]("player")
	playing = players.State("playing")
	hit     = holdfast.NewMessage[ball](players, "hit")
)

// rallies are those that have not ended.
type rallies struct {
	last    atomic.Int64
	waiting sync.Map // by number: a channel that is closed when the last ball is hit
}

// workflowParts is what the workloads of workflows and machines call.
func (a *application) workflowParts() holdfast.Parts {
	return holdfast.Parts{
		greet.Handle(answerGreeting),
		greetLocal.Handle(answerGreeting, holdfast.Local()),
		hello.Handle(func(ctx *holdfast.WorkflowContext, n int64) (int64, error) { return greetInTurn(ctx, greet, n) }),
		helloLocal.Handle(func(ctx *holdfast.WorkflowContext, n int64) (int64, error) { return greetInTurn(ctx, greetLocal, n) }),
		spread.Handle(greetAtOnce),
		rest.Handle(func(ctx *holdfast.WorkflowContext, _ holdfast.Void) (none holdfast.Void, err error) {
			return none, ctx.Sleep(sleepTime)
		}),
		addBoth.Handle(addUnderLocks).Locks(pair.tallies),
		holdfast.On(tallies, counted, func(ctx *holdfast.EventContext[tally], _ pair) error { ctx.State.N++; return nil }),
		players.Handle(playing.When(hit.Do(a.hit))),
	}
}

func answerGreeting(_ context.Context, n int64) (int64, error) { return n + 1, nil }

func greetInTurn(ctx *holdfast.WorkflowContext, by holdfast.Activity[int64, int64], n int64) (sum int64, err error) {
	for range greetings {
		if n, err = by.Call(ctx, n); err != nil {
			return 0, err
		}
	}
	return n, nil
}

func greetAtOnce(ctx *holdfast.WorkflowContext, n int64) (sum int64, err error) {
	futures := make([]*holdfast.Future[int64], fanOut)
	for i := range futures {
		futures[i] = greet.Start(ctx, n)
	}
	answers, err := holdfast.All(ctx, futures...)
	for _, answer := range answers {
		sum += answer
	}
	return sum, err
}

func addUnderLocks(ctx *holdfast.WorkflowContext, p pair) (none holdfast.Void, err error) {
	_, err = holdfast.All(ctx, add.Start(ctx, p.One, 1), add.Start(ctx, p.Other, 1))
	return none, err
}

// hit sends the ball back. Who waits for the rally is told at its end; a step
// that is run again finds nobody.
func (a *application) hit(m *holdfast.MachineContext[tally], b ball) error {
	m.Data.N++
	if b.Left--; b.Left > 0 {
		b.To, b.From = b.From, b.To
		hit.Send(m, b.To, b)
		return nil
	}
	if ended, waiting := a.rallies.waiting.LoadAndDelete(b.Rally); waiting {
		close(ended.(chan struct{})) //holdfast:allow closing waits for nobody, and only the benchmark listens
	}
	return nil
}

// beginRuns runs a workflow again and again, each time with an id of its own,
// and checks what it comes to.
func beginRuns(w holdfast.Workflow[int64, int64], want func(n int64) int64) func(context.Context, *environment, *rand.Rand) operation {
	return func(ctx context.Context, e *environment, random *rand.Rand) operation {
		c := e.typed.With(ctx)
		return func() error {
			n := random.Int64N(1000)
			got, err := w.Call(c, "", n)
			if err == nil && got != want(n) {
				err = fmt.Errorf("%s of %d came to %d, want %d", w.Ref("").Kind, n, got, want(n))
			}
			return err
		}
	}
}

// beginPairs does something to two random counters.
func beginPairs(do func(c *holdfast.ClientContext, p pair) error) func(context.Context, *environment, *rand.Rand) operation {
	return func(ctx context.Context, e *environment, random *rand.Rand) operation {
		c := e.typed.With(ctx)
		key := func() string { return e.keys[random.IntN(len(e.keys))] }
		return func() error { return do(c, pair{key(), key()}) }
	}
}

func lockPair(c *holdfast.ClientContext, p pair) error {
	_, err := addBoth.Call(c, "", p)
	return err
}

func raisePair(c *holdfast.ClientContext, p pair) error { return counted.Raise(c, p) }

func greetedInTurn(n int64) int64 { return n + greetings }

func greetedAtOnce(n int64) int64 { return fanOut * (n + 1) }

// beginRally has two machines send each other a ball, and waits until it has
// been hit for the last time.
func beginRally(ctx context.Context, e *environment, random *rand.Rand) operation {
	c := e.typed.With(ctx)
	number := strconv.FormatUint(random.Uint64(), 36)
	one, other := "ann-"+number, "bob-"+number
	return func() error {
		b := ball{Rally: e.app.rallies.last.Add(1), Left: rallyHits, To: one, From: other}
		ended := make(chan struct{})
		e.app.rallies.waiting.Store(b.Rally, ended)
		if err := hit.Submit(c, one, b); err != nil {
			e.app.rallies.waiting.Delete(b.Rally)
			return err
		}
		select {
		case <-ended:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

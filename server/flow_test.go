package server

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-io/holdfast"
)

// Goal: an app with workflows goes through its steps on a real server, also
// across a restart on the same data. Runs are begun and signalled by updates,
// whose callers they answer by tail calls.

var (
	wfTallies = holdfast.NewEntity[tally]("tally")
	wfAdd     = holdfast.NewUpdate[int64, int64](wfTallies, "add")
	wfBegin   = holdfast.NewUpdate[string, string](wfTallies, "begin")
	wfPoke    = holdfast.NewUpdate[string, holdfast.Void](wfTallies, "poke")
	wfSum     = holdfast.NewWorkflow[string, string]("sum")
	wfGo      = holdfast.NewSignal[int64](wfSum, "go")
	wfTwice   = holdfast.NewActivity[int64, int64]("twice")
)

// flowApp counts how often its function begins and its activity runs.
func flowApp(begun, ran *atomic.Int64) *holdfast.App {
	return holdfast.NewApp("flow",
		wfAdd.Handle(func(ctx *holdfast.UpdateContext[tally], n int64) (int64, error) {
			ctx.State.N += n
			return ctx.State.N, nil
		}),
		wfBegin.Handle(func(ctx *holdfast.UpdateContext[tally], id string) (string, error) {
			return wfSum.Tail(ctx, id, ctx.Key())
		}),
		wfPoke.Handle(func(ctx *holdfast.UpdateContext[tally], id string) (holdfast.Void, error) {
			wfGo.Send(ctx, id, 5)
			return holdfast.None, nil
		}),
		wfTwice.Handle(func(ctx context.Context, n int64) (int64, error) {
			ran.Add(1)
			_, err := wfAdd.Call(holdfast.ClientFrom(ctx), "inside", n)
			return 2 * n, err
		}),
		wfSum.Handle(func(ctx *holdfast.WorkflowContext, key string) (string, error) {
			begun.Add(1)
			if _, err := wfAdd.Call(ctx, key, 1); err != nil {
				return "", err
			}
			if err := ctx.Sleep(time.Millisecond); err != nil {
				return "", err
			}
			n, err := wfGo.Receive(ctx).Await(ctx)
			if err != nil {
				return "", err
			}
			doubled, err := wfTwice.Call(ctx, n)
			if err != nil {
				return "", err
			}
			total, err := wfAdd.Call(ctx, key, doubled)
			return fmt.Sprint(total), err
		}))
}

func TestWorkflowsGoOnAfterARestart(t *testing.T) {
	var begun, ran atomic.Int64
	data, others := t.TempDir(), goleak.IgnoreCurrent()
	s := startServer(t, Config{App: flowApp(&begun, &ran), DataDir: data}).waitReady()
	c := s.Client().With(t.Context())
	if _, err := wfBegin.Submit(c, "a", "1"); err != nil {
		t.Fatal(err)
	}
	for wait := time.Now().Add(10 * time.Second); begun.Load() == 0 && time.Now().Before(wait); {
		if _, err := wfAdd.Call(c, "other", 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.end(); err != nil {
		t.Fatal(err)
	}

	s = startServer(t, Config{App: flowApp(&begun, &ran), DataDir: data}).waitReady()
	c = s.Client().With(t.Context())
	if _, err := wfPoke.Call(c, "a", "1"); err != nil {
		t.Fatal(err)
	}
	got, err := wfBegin.Call(c, "a", "1") // the same id and input is the same run
	if err != nil || got != "11" {
		t.Errorf("got %s, %v, want 11", got, err)
	}
	inside, err := wfAdd.Call(c, "inside", 0)
	if err != nil || inside != 5 || ran.Load() != 1 {
		t.Errorf("the activity ran %d times and added %d, %v", ran.Load(), inside, err)
	}
	if begun.Load() < 2 {
		t.Errorf("the function was begun %d times, want again after the restart", begun.Load())
	}
	if err := s.end(); err != nil {
		t.Error(err)
	}
	goleak.VerifyNone(t, others)
}

// TestAClientStartsSignalsAsksAndAwaits goes through the verbs of the typed
// client, in process and over HTTP.
func TestAClientStartsSignalsAsksAndAwaits(t *testing.T) {
	w := holdfast.NewWorkflow[string, string]("wait")
	word := holdfast.NewSignal[string](w, "word")
	stage := holdfast.NewQuery[holdfast.Void, string](w, "stage")
	references := make(chan holdfast.PromiseRef[int], 1)
	ask := holdfast.NewActivity[holdfast.PromiseRef[int], holdfast.Void]("ask")
	app := holdfast.NewApp("client", ask.Handle(func(_ context.Context, ref holdfast.PromiseRef[int]) (holdfast.Void, error) {
		references <- ref
		return holdfast.None, nil
	}), w.Handle(func(ctx *holdfast.WorkflowContext, in string) (string, error) {
		at := "word"
		stage.Answer(ctx, func(holdfast.Void) (string, error) { return at, nil })
		said, err := word.Receive(ctx).Await(ctx)
		if err != nil {
			return "", err
		}
		at = "promise"
		promise := holdfast.NewPromise[int](ctx)
		ask.Send(ctx, promise.Ref())
		n, err := promise.Await(ctx)
		return fmt.Sprint(in, said, n), err
	}))
	s := startServer(t, Config{App: app, Host: openMemory(t)}).waitReady()
	for id, c := range map[string]*holdfast.Client{"inside": s.Client(), "http": holdfast.Dial("http://" + s.Addr())} {
		c := c.With(t.Context())
		run, err := w.Submit(c, id, "in")
		if err != nil {
			t.Fatal(err)
		}
		if at, err := stage.Call(c, id, holdfast.None); err != nil || at != "word" {
			t.Errorf("%s: at %q, %v", id, at, err)
		}
		if err := word.Submit(c, id, "said"); err != nil {
			t.Fatal(err)
		}
		ref := <-references
		if err := ref.Resolve(c, 7); err != nil {
			t.Fatal(err)
		}
		if got, err := run.Await(c); err != nil || got != "insaid7" {
			t.Errorf("%s: got %q, %v", id, got, err)
		}
		if again, err := w.Call(c, id, "in"); err != nil || again != "insaid7" {
			t.Errorf("%s: the same id and input gives %q, %v", id, again, err)
		}
		status, err := w.Status(c, id)
		if err != nil || status.Status != "completed" || status.ID != id || status.EndedAt.Before(status.StartedAt) {
			t.Errorf("%s: status %+v, %v", id, status, err)
		}
		if _, err := w.Call(c, id, "other"); !errors.Is(err, holdfast.ErrConflict) {
			t.Errorf("%s: another input gives %v", id, err)
		}
		if err := w.Cancel(c, "nobody"); !errors.Is(err, holdfast.ErrNotFound) {
			t.Errorf("%s: cancelling what nobody has begun gives %v", id, err)
		}
		if _, err := w.Submit(c, id+"-cancelled", "in"); err != nil {
			t.Fatal(err)
		}
		if err := w.Cancel(c, id+"-cancelled"); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Result(c, id+"-cancelled"); !errors.Is(err, holdfast.ErrCancelled) {
			t.Errorf("%s: a cancelled run gives %v", id, err)
		}
	}
	if err := s.end(); err != nil {
		t.Error(err)
	}
}

package holdfasttest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/holdfasttest"
)

var twice = holdfast.NewWorkflow[holdfast.Void, int]("twice")

// twiceOf counts a tally twice, and asks in between what a version asks for.
func twiceOf(between func(*holdfast.WorkflowContext) error) func(*holdfast.WorkflowContext, holdfast.Void) (int, error) {
	return func(ctx *holdfast.WorkflowContext, _ holdfast.Void) (int, error) {
		if _, err := count.Call(ctx, "a", holdfast.None); err != nil {
			return 0, err
		}
		if err := between(ctx); err != nil {
			return 0, err
		}
		return count.Call(ctx, "a", holdfast.None)
	}
}

func version(name string, run func(*holdfast.WorkflowContext, holdfast.Void) (int, error)) *holdfast.App {
	return holdfast.NewApp("tally", holdfast.Version(name), count.Handle(doCount), ask.Handle(doAsk), total.Handle(doTotal), twice.Handle(run))
}

func runsTwice(w *holdfasttest.World) {
	w.Do(func(c *holdfast.ClientContext) {
		for range 3 {
			if _, err := twice.Call(c, "", holdfast.None); err != nil {
				w.Fatalf("twice: %v", err)
			}
		}
	})
	w.Finally("everything is counted", func(s holdfasttest.State) bool {
		n, err := total.Call(s, "a", holdfast.None)
		return err == nil && n == 6
	})
}

// TestUpgradesAreDeployedWhileRunsGoOn has versions that fit, and one that does not.
func TestUpgradesAreDeployedWhileRunsGoOn(t *testing.T) {
	pause := func(ctx *holdfast.WorkflowContext) error { return ctx.Sleep(time.Second) }
	none := func(*holdfast.WorkflowContext) error { return nil }
	first := version("1", twiceOf(pause))
	patched := version("2", twiceOf(func(ctx *holdfast.WorkflowContext) error {
		if ctx.Patch("at once") {
			return nil
		}
		return pause(ctx)
	}))
	if r := recorded(t, first, runsTwice, holdfasttest.AllFaults(), holdfasttest.CrashEverywhere(), holdfasttest.Upgrades(patched)); r.failure != "" {
		t.Errorf("a version that fits: %s", r.failure)
	}
	r := recorded(t, first, runsTwice, holdfasttest.CrashEverywhere(), holdfasttest.Upgrades(version("2", twiceOf(none))))
	if !strings.Contains(r.failure, "does not do what it did before") || !strings.Contains(r.failure, "upgrade:") {
		t.Errorf("a version that does not fit: got %q", r.failure)
	}
}

func TestAnUpgradeThatIsNotValid(t *testing.T) {
	first := version("1", twiceOf(func(*holdfast.WorkflowContext) error { return nil }))
	wrong := holdfast.NewApp("", count.Handle(doCount), count.Handle(doCount))
	for want, next := range map[string]*holdfast.App{"count": wrong, "version 2 of the app is nil": nil} {
		if r := recorded(t, first, runsTwice, holdfasttest.Upgrades(next)); !strings.Contains(r.failure, want) {
			t.Errorf("got %q, want %q", r.failure, want)
		}
	}
}

func TestGoldenTraces(t *testing.T) {
	file := filepath.Join(t.TempDir(), "testdata", "counts.trace")
	golden := holdfasttest.Golden(file)
	if r := recorded(t, counting(doCount), counts, golden); !strings.Contains(r.failure, "HOLDFAST_UPDATE=1") {
		t.Errorf("without a file: got %q", r.failure)
	}
	t.Setenv("HOLDFAST_UPDATE", "1")
	if r := recorded(t, counting(doCount), counts, golden); r.failure != "" || !strings.Contains(r.logs.String(), "wrote the golden trace") {
		t.Fatalf("writing: got %q, %s", r.failure, &r.logs)
	}
	t.Setenv("HOLDFAST_UPDATE", "")
	if r := recorded(t, counting(doCount), counts, golden); r.failure != "" {
		t.Errorf("the same again: %s", r.failure)
	}
	text, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(text), "tally/") {
		t.Fatalf("%.200s %v", text, err)
	}
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(text), "\n", "\r\n")), 0o644); err != nil {
		t.Fatal(err)
	}
	if r := recorded(t, counting(doCount), counts, golden); r.failure != "" {
		t.Errorf("with the line ends of another system: %s", r.failure)
	}
	byTwo := func(ctx *holdfast.UpdateContext[tally], _ holdfast.Void) (int, error) {
		ctx.State.Count += 2
		return ctx.State.Count, nil
	}
	r := recorded(t, counting(byTwo), func(w *holdfasttest.World) {
		w.Do(func(c *holdfast.ClientContext) { _, _ = count.Call(c, "a", holdfast.None) })
	}, golden)
	if !strings.Contains(r.failure, "line ") || !strings.Contains(r.failure, "got ") || !strings.Contains(r.failure, file) {
		t.Errorf("another program: got %q", r.failure)
	}
}

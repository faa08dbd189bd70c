package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast"
)

// Goal: the command says before a rollout what would break, from a directory and
// from a running server, and changes nothing. Method: one version of an app
// makes runs that wait; others are checked against them.

// shop is an app in one of its versions.
type shop struct {
	order   holdfast.Workflow[string, string]
	stock   holdfast.Entity[string, tally]
	charge  holdfast.Activity[string, string]
	inspect holdfast.Activity[string, string]
	word    holdfast.Signal[string]
}

func newShop(signals bool) *shop {
	s := &shop{order: holdfast.NewWorkflow[string, string]("order"), stock: holdfast.NewEntity[tally]("stock"),
		charge: holdfast.NewActivity[string, string]("charge"), inspect: holdfast.NewActivity[string, string]("inspect")}
	if signals {
		s.word = holdfast.NewSignal[string](s.order, "word")
	}
	return s
}

func echo(_ context.Context, in string) (string, error) { return in, nil }

// never is an activity that ends when the server does.
func never(ctx context.Context, _ string) (string, error) {
	<-ctx.Done()
	return "", ctx.Err()
}

// first is the version that makes the runs.
func (s *shop) first() *holdfast.App {
	gone := holdfast.NewWorkflow[string, string]("gone")
	count := holdfast.NewUpdate[int64, int64](s.stock, "count")
	return holdfast.NewApp("shop", s.charge.Handle(echo), s.inspect.Handle(never), count.Handle(countStock),
		s.stock.Options(holdfast.EntityOptions[tally]{OnCreate: func(ctx *holdfast.InitContext) (tally, error) {
			_, err := s.inspect.Call(ctx, "stock")
			return tally{}, err
		}}),
		gone.Handle(func(ctx *holdfast.WorkflowContext, _ string) (string, error) {
			return holdfast.NewPromise[string](ctx).Await(ctx)
		}),
		s.order.Handle(func(ctx *holdfast.WorkflowContext, in string) (string, error) {
			if in == "slow" {
				return s.inspect.Call(ctx, in)
			}
			if _, err := s.charge.Call(ctx, in); err != nil {
				return "", err
			}
			return holdfast.NewPromise[string](ctx).Await(ctx)
		}))
}

func countStock(ctx *holdfast.UpdateContext[tally], n int64) (int64, error) {
	ctx.State.N += n
	return ctx.State.N, nil
}

// second is a version that breaks everything.
func (s *shop) second() *holdfast.App {
	return holdfast.NewApp("shop", s.charge.Handle(echo),
		s.order.Handle(func(ctx *holdfast.WorkflowContext, in string) (string, error) {
			if in == "slow" {
				return s.inspect.Call(ctx, in) // which is not bound any more
			}
			return s.charge.Call(ctx, "another "+in)
		}))
}

// checked runs the command and gives its findings.
func checked(t *testing.T, app *holdfast.App, want int, arguments ...string) (found []finding) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), app, append([]string{"shop", "workflow", "check", "--json"}, arguments...), &stdout, &stderr)
	if code != want {
		t.Fatalf("the exit code is %d, want %d: %s%s", code, want, &stdout, &stderr)
	}
	for decoder := json.NewDecoder(&stdout); decoder.More(); {
		var f finding
		if err := decoder.Decode(&f); err != nil {
			t.Fatal(err)
		}
		found = append(found, f)
	}
	return found
}

// openRuns makes the runs: each waits for something that does not come.
func openRuns(t *testing.T, s *runningServer) {
	t.Helper()
	s.expect("POST", "/v1/workflows/order/plain", `"plain"`, 202, "")
	s.expect("POST", "/v1/workflows/order/slow", `"slow"`, 202, "")
	s.expect("POST", "/v1/workflows/order/plain/signals/word", `"paris"`, 202, "")
	s.expect("POST", "/v1/workflows/gone/1", `"x"`, 202, "")
	s.expect("POST", "/v1/entities/stock/tea/count/send", "1", 202, "")
	for _, run := range []string{"order/plain", "gone/1"} {
		waitUntil(t, run+" waits for its promise", func() bool {
			_, state := s.ask("GET", "/v1/workflows/"+run, "")
			return strings.Contains(state, `"promises"`)
		})
	}
	waitUntil(t, "the signal is there and the activity was asked for", func() bool {
		_, plain := s.ask("GET", "/v1/workflows/order/plain/history", "")
		_, slow := s.ask("GET", "/v1/workflows/order/slow/history", "")
		return strings.Contains(plain, `"word"`) && strings.Contains(slow, `"inspect"`)
	})
}

func TestACheckSaysWhatWouldBreak(t *testing.T) {
	dir := t.TempDir()
	s := startServer(t, Config{DataDir: dir, App: newShop(true).first(), ShutdownTimeout: 200 * time.Millisecond}).waitReady()
	openRuns(t, s)
	fits, breaks, mute := newShop(true).first(), newShop(true).second(), newShop(false).first()
	test := func(entities int, arguments ...string) {
		t.Helper()
		if found := checked(t, fits, 0, arguments...); len(found) > 0 {
			t.Errorf("%v: the same code would break %+v", arguments, found)
		}
		found := checked(t, breaks, 1, arguments...)
		if len(found) != 3+entities {
			t.Fatalf("%v: found %+v, want %d problems", arguments, found, 3+entities)
		}
		i := slices.IndexFunc(found, func(f finding) bool { return f.ID == "plain" })
		if f := found[max(i, 0)]; f.Workflow != "order" || f.Step != 1 || f.Recorded != "activity charge with another input" ||
			f.Asked != "activity charge" || !strings.Contains(f.Line, "check_test.go:") {
			t.Errorf("%v: found %+v", arguments, f)
		}
		text := fmt.Sprint(found)
		for _, part := range []string{"it waits for activity inspect, which the program does not serve", "the program does not serve it"} {
			if !strings.Contains(text, part) {
				t.Errorf("%v: nothing says %q: %s", arguments, part, text)
			}
		}
		if found := checked(t, mute, 1, arguments...); len(found) != 1 || !strings.Contains(found[0].Problem, "signal word") {
			t.Errorf("%v: without the signal: found %+v", arguments, found)
		}
	}
	test(0, "--server", s.Addr())
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), fits, []string{"shop", "workflow", "check", "--data", dir}, &stdout, &stderr); code != 1 || !strings.Contains(stderr.String(), "the data directory is in use") {
		t.Errorf("a directory in use: exit code %d, %s", code, &stderr)
	}
	if err := s.end(); err != nil {
		t.Logf("Run: %v", err) // an activity has not ended
	}
	test(1, "--data", dir)
	if code := run(t.Context(), breaks, []string{"shop", "workflow", "check", "--data", dir}, &stdout, &stderr); code != 1 ||
		!strings.Contains(stdout.String(), "4 runs checked, 4 problems\n") {
		t.Errorf("exit code %d: %s", code, &stdout)
	}
}

func TestTheCommandLineOfACheck(t *testing.T) {
	for want, lines := range map[int][]string{
		2: {"workflow", "workflow list", "workflow check", "workflow check --data a --server b", "workflow check --data a b",
			"workflow check --data " + t.TempDir()},
		1: {"workflow check --server 127.0.0.1:1"},
	} {
		for _, line := range lines {
			var stdout, stderr bytes.Buffer
			if code := run(t.Context(), newShop(true).first(), append([]string{"shop"}, strings.Fields(line)...), &stdout, &stderr); code != want || stderr.Len() == 0 {
				t.Errorf("%s: exit code %d, want %d: %s", line, code, want, &stderr)
			}
		}
	}
}

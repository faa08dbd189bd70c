package holdfasttest_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/holdfasttest"
	"github.com/holdfast-io/holdfast/server"
)

// Goal: a recorded run fits the code that made it, and what does not fit is said.
// Method: runs of a server that has run here, and other versions of its code.

// route is a workflow that asks for its way in an order.
var route = holdfast.NewWorkflow[[]string, string]("route")

func routing(order func(in []string) []string) *holdfast.App {
	return holdfast.NewApp("route", count.Handle(doCount), ask.Handle(doAsk), total.Handle(doTotal),
		route.Handle(func(ctx *holdfast.WorkflowContext, in []string) (string, error) {
			for _, key := range order(in) {
				if _, err := count.Call(ctx, key, holdfast.None); err != nil {
					return "", err
				}
				if key == "wait" {
					return "", ctx.Sleep(time.Hour)
				}
			}
			return strings.Join(in, " "), nil
		}))
}

func asWritten(in []string) []string { return in }

func backwards(in []string) (out []string) {
	for _, key := range in {
		out = append([]string{key}, out...)
	}
	return out
}

// record runs routes on a server and stores their histories.
func record(t *testing.T, dir string, runs map[string][]string) {
	t.Helper()
	s, err := server.New(server.Config{App: routing(asWritten), DataDir: filepath.Join(t.TempDir(), "data"), Listen: "127.0.0.1:0",
		Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	<-s.Ready()
	for id, in := range runs {
		run, err := route.Submit(s.Client().With(ctx), id, in)
		if err == nil && in[len(in)-1] != "wait" {
			_, err = run.Await(s.Client().With(ctx))
		}
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.Get("http://" + s.Addr() + "/v1/workflows/route/" + id + "/history?journal=true")
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		if err := response.Body.Close(); err != nil {
			t.Fatal(err)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, id+".json"), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

func TestRecordedRunsFitTheCodeThatMadeThem(t *testing.T) {
	dir := t.TempDir()
	record(t, dir, map[string][]string{"a": {"one", "two"}, "b": {"one", "wait"}})
	holdfasttest.Histories(t, routing(asWritten), filepath.Join(dir, "*.json"))
	for name, c := range map[string]struct {
		app     *holdfast.App
		pattern string
		says    []string
	}{
		"other code":   {routing(backwards), "a.json", []string{"a.json: ", "step 1 was recorded as call tally/one count", "the code now asks at", "history_test.go", "call tally/two count"}},
		"no such file": {routing(asWritten), "c*.json", []string{"no histories in", "journal=true"}},
		"another app":  {counting(doCount), "a.json", []string{`the app has no workflow "route"`}},
	} {
		r := &recorder{TB: t}
		func() {
			defer func() {
				if f, ok := recover().(failure); ok {
					r.failure = string(f)
				}
			}()
			holdfasttest.Histories(r, c.app, filepath.Join(dir, c.pattern))
		}()
		for _, want := range c.says {
			if !strings.Contains(r.failure, want) {
				t.Errorf("%s: got %q, want %q in it", name, r.failure, want)
			}
		}
	}
}

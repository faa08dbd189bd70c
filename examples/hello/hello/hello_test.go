package hello

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/internal/crashtest"
)

func TestMain(m *testing.M) { crashtest.Main(m, App()) }

func TestAppValidates(t *testing.T) {
	if err := App().Validate(); err != nil {
		t.Fatal(err)
	}
}

// An activity is a function.
func TestAGreetingHasTheName(t *testing.T) {
	if got, err := greet(context.Background(), "Rome"); got != "Hello, Rome!" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

var want = []string{"Hello, Amsterdam!", "Hello, Berlin!", "Hello, Copenhagen!", "Hello, Dublin!", "Hello, Edinburgh!"}

// Runs are begun while the process is killed. Each comes to the five greetings,
// and its journal has five activities, not one more.
func TestFiveGreetingsThroughCrashes(t *testing.T) {
	const kills, runs = 8, 40 // runs between two kills
	s := crashtest.Start(t, 1)
	c := s.Client()
	id := func(kill, n int) string { return fmt.Sprintf("run-%d-%d", kill, n) }
	begin := func(kill int) {
		for n := range runs {
			if _, err := Hello5.Submit(c, id(kill, n), holdfast.None); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.Survive(kills, begin, "the last run has ended", func() bool {
		status, err := Hello5.Status(c, id(kills-1, runs-1))
		return err == nil && status.Status == "completed"
	})
	for kill := range kills {
		for n := range runs {
			got, err := Hello5.Result(c, id(kill, n))
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%s: got %q, %v, want %q", id(kill, n), got, err, want)
			}
		}
		history := s.Get("/v1/workflows/hello5/" + id(kill, runs-1) + "/history")
		if n := strings.Count(history, `"kind":"activity"`); n != len(want) {
			t.Errorf("%d activities in the journal, want %d: %s", n, len(want), history)
		}
	}
}

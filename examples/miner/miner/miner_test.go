package miner

import (
	"context"
	"encoding/json"
	"errors"
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

func TestSharesCoverTheRangeOnce(t *testing.T) {
	for _, s := range []Search{{0, 10, 1, 3}, {7, 8, 1, 4}, {5, 5, 1, 2}, {1, 1000, 1, 64}} {
		next, least, most := s.From, s.To, uint64(0)
		for _, share := range s.shares("r") {
			if share.From != next || share.Zeros != s.Zeros || share.Result != "r" {
				t.Errorf("%+v: share %+v, want one from %d", s, share, next)
			}
			least, most = min(least, share.To-share.From), max(most, share.To-share.From)
			next = share.To
		}
		if next != s.To || most > least+1 {
			t.Errorf("%+v: shares of %d to %d numbers that end at %d", s, least, most, next)
		}
	}
}

func TestASearchThatMakesNoSenseIsRefused(t *testing.T) {
	for _, s := range []Search{{0, 1, 1, 0}, {0, 1, 1, workersMax + 1}, {2, 1, 1, 1}, {0, numbersMax + 1, 1, 1}, {0, 1, 0, 1}} {
		if err := s.check(); !errors.Is(err, ErrSearch) {
			t.Errorf("%+v: %v", s, err)
		}
	}
	if err := (Search{0, numbersMax, 64, workersMax}).check(); err != nil {
		t.Error(err)
	}
}

// Jobs run while the process is killed: each gives what a loop over its range
// gives, in order and without repetition, and leaves nothing behind.
func TestEveryHitIsFoundOnceThroughCrashes(t *testing.T) {
	const jobs = 6
	search := func(n int) Search {
		from := uint64(n) * 1_000_000
		return Search{From: from, To: from + 3*portionsMax*portionNumbers/2, Zeros: 10, Workers: 1 + n%3}
	}
	s := crashtest.Start(t, 1)
	c := s.Client()
	begin := func(n int) {
		if _, err := Mine.Submit(c, fmt.Sprint(n), search(n)); err != nil {
			t.Fatal(err)
		}
	}
	s.Survive(jobs, begin, "all jobs have ended", func() bool { return ended(c, jobs) })
	for n := range jobs {
		job := search(n)
		want, _ := scan(context.Background(), Portion{job.From, job.To, job.Zeros})
		got, err := Mine.Result(c, fmt.Sprint(n))
		if err != nil || !slices.Equal(got, want) || len(want) < 500 {
			t.Errorf("job %d: got %d hits, %v, want %d", n, len(got), err, len(want))
		}
	}
	for key, err := range Results.List(c, "") {
		t.Errorf("the result %s is left behind (error %v)", key, err)
	}
	checkWorkers(t, s)
}

// checkWorkers looks at the journals of the workers. One that works alone has begun anew.
func checkWorkers(t *testing.T, s *crashtest.Server) {
	t.Helper()
	var list struct{ Workflows []struct{ ID string } }
	if err := json.Unmarshal([]byte(s.Get("/v1/workflows/worker")), &list); err != nil || len(list.Workflows) == 0 {
		t.Fatalf("%d workers, %v", len(list.Workflows), err)
	}
	for _, worker := range list.Workflows {
		history := s.Get("/v1/workflows/worker/" + worker.ID + "/history")
		if n := strings.Count(history, `"kind":"activity"`); n < 1 || n > portionsMax {
			t.Errorf("%d portions in the journal of worker %s, want 1 to %d", n, worker.ID, portionsMax)
		}
	}
}

func ended(c *holdfast.ClientContext, jobs int) bool {
	for n := range jobs {
		if status, err := Mine.Status(c, fmt.Sprint(n)); err != nil || status.Status == "running" {
			return false
		}
	}
	return true
}

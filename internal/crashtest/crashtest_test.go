package crashtest_test

import (
	"os"
	"testing"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/internal/crashtest"
)

type tally struct{ N, Process int }

var (
	tallies = holdfast.NewEntity[tally]("tally")
	add     = holdfast.NewUpdate[int, int](tallies, "add")
)

func TestMain(m *testing.M) {
	crashtest.Main(m, holdfast.NewApp("tally", add.Handle(func(ctx *holdfast.UpdateContext[tally], n int) (int, error) {
		ctx.State.N += n
		ctx.State.Process = os.Getpid()
		return ctx.State.Process, nil
	})))
}

func TestAClientGoesOnWhenTheProcessIsKilled(t *testing.T) {
	s := crashtest.Start(t, 1)
	c := s.Client()
	processes := map[int]bool{}
	for n := range 4 {
		process, err := add.Call(c, "a", 1)
		if err != nil {
			t.Fatal(err)
		}
		if processes[process] {
			t.Errorf("process %d serves again after %d kills", process, n)
		}
		processes[process] = true
		s.Kill()
	}
	got := 0
	more := func(int) {
		if _, err := add.Submit(c, "a", 1); err != nil {
			t.Error(err)
		}
	}
	s.Survive(3, more, "the additions are there", func() bool {
		state, _, err := tallies.Inspect(c, "a")
		got = state.N
		return err == nil && got >= 7
	})
	if got != 7 {
		t.Errorf("got %d, want 7", got)
	}
}

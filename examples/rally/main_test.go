package main

import (
	"testing"

	"github.com/holdfast-io/holdfast/holdfasttest"
	"github.com/holdfast-io/holdfast/internal/crashtest"
)

func TestMain(m *testing.M) { crashtest.Main(m, App()) }

func TestAppValidates(t *testing.T) {
	if err := App().Validate(); err != nil {
		t.Fatal(err)
	}
}

func TestTheLastHitSendsNoBall(t *testing.T) {
	if r := holdfasttest.Take(hit, Player{1}, Hit{"ann", "bob", 3, 4}); r.Err != nil || r.State.Hits != 2 || len(r.Sent) != 1 {
		t.Errorf("got %+v, want the next ball", r)
	}
	if r := holdfasttest.Take(hit, Player{1}, Hit{"bob", "ann", 4, 4}); r.Err != nil || r.State.Hits != 2 || len(r.Sent) > 0 {
		t.Errorf("got %+v, want no ball", r)
	}
}

// Games go on while the process is killed, and every hit counts once, for the
// player and for the score.
func TestEveryHitCountsOnceThroughCrashes(t *testing.T) {
	const games, rounds = 8, 100
	s := crashtest.Start(t, 1)
	c := s.Client()
	begin := func(int) {
		if err := Ball.Raise(c, Hit{By: "ann", To: "bob", Number: 1, Rounds: rounds}); err != nil {
			t.Fatal(err)
		}
	}
	score := func() int {
		state, _, err := Scores.Inspect(c, scoreOf("bob", "ann"))
		if err != nil {
			return -1
		}
		return state.Hits
	}
	s.Survive(games, begin, "all games are over", func() bool { return score() >= games*rounds })
	ann, _, errAnn := Players.Inspect(c, "ann")
	bob, _, errBob := Players.Inspect(c, "bob")
	if errAnn != nil || errBob != nil || ann.Hits != games*rounds/2 || bob.Hits != games*rounds/2 || score() != games*rounds {
		t.Errorf("ann has hit %d times (%v), bob %d (%v), the score is %d; want %d", ann.Hits, errAnn, bob.Hits, errBob, score(), games*rounds)
	}
}

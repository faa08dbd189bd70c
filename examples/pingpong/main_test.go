package main

import (
	"testing"

	"github.com/holdfast-io/holdfast/internal/crashtest"
)

func TestMain(m *testing.M) { crashtest.Main(m, App()) }

func TestAppValidates(t *testing.T) {
	if err := App().Validate(); err != nil {
		t.Fatal(err)
	}
}

// Games that are asked for at once are played one after the other, and every
// hit counts once, while the process is killed.
func TestGamesArePlayedThroughCrashes(t *testing.T) {
	const games, rounds = 10, 400
	s := crashtest.Start(t, 1)
	c := s.Client()
	ask := func(int) {
		if err := Serve.Submit(c, "ann", Game{Opponent: "bob", Rounds: rounds}); err != nil {
			t.Fatal(err)
		}
	}
	hits := func(key string) int {
		p, _, err := Players.Inspect(c, key)
		if err != nil || p.Data.Games != games {
			return -1
		}
		return p.Data.Hits
	}
	s.Survive(games, ask, "both have played all games", func() bool { return hits("ann") >= 0 && hits("bob") >= 0 })
	if ann, bob := hits("ann"), hits("bob"); ann != games*rounds/2 || bob != games*rounds/2 {
		t.Errorf("ann has hit %d times and bob %d, want %d each", ann, bob, games*rounds/2)
	}
}

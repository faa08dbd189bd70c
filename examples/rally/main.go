// Command rally lets two players hit a ball to each other with events: each hit is
// a fact for the player who hits the ball and for the score, at once.
//
//	go run ./examples/rally
//	curl -X POST localhost:7070/v1/events/ball -d '{"by":"ann","to":"bob","number":1,"rounds":100}'
//	curl localhost:7070/v1/entities/score/ann-bob
//
// Invariants:
//
//  1. In a game of n rounds the ball is hit n times, by both in turn, however
//     often the process dies meanwhile.
//  2. Whoever has the ball, the score is what both have hit together.
//
// Two games of the same players at once are counted together. The same game with
// machines is examples/pingpong.
package main

import (
	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/server"
)

// Player is the state of one player.
type Player struct{ Hits int }

// Score is the state of the score of two players.
type Score struct{ Hits int }

// Hit is the event.
type Hit struct {
	By     string `json:"by"`
	To     string `json:"to"`
	Number int    `json:"number"` // from 1
	Rounds int    `json:"rounds"`
}

// The contract.
var (
	Players = holdfast.NewEntity[Player]("player")
	Scores  = holdfast.NewEntity[Score]("score")
	Ball    = holdfast.NewEvent("ball", Hit.touches)
)

func (h Hit) touches() []holdfast.Ref {
	return []holdfast.Ref{Players.Ref(h.By), Scores.Ref(scoreOf(h.By, h.To))}
}

func scoreOf(one, other string) string { return min(one, other) + "-" + max(one, other) }

// hit is what a player does with the ball: the next event leaves if this one is
// applied everywhere.
func hit(ctx *holdfast.EventContext[Player], h Hit) error {
	ctx.State.Hits++
	if h.Number < h.Rounds {
		Ball.Send(ctx, Hit{By: h.To, To: h.By, Number: h.Number + 1, Rounds: h.Rounds})
	}
	return nil
}

func count(ctx *holdfast.EventContext[Score], _ Hit) error {
	ctx.State.Hits++
	return nil
}

// App is what this program serves.
func App() *holdfast.App {
	return holdfast.NewApp("rally", holdfast.On(Players, Ball, hit), holdfast.On(Scores, Ball, count))
}

func main() { server.Main(App()) }

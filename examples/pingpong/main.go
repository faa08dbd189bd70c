// Command pingpong lets two machines send a ball to each other.
//
//	go run ./examples/pingpong
//	curl -X POST localhost:7070/v1/entities/player/ann/serve/send -d '{"Opponent":"bob","Rounds":100}'
//	curl localhost:7070/v1/entities/player/ann
//
// Invariant 1: in a game of n rounds the ball is hit n times, by both in turn,
// however often the process dies meanwhile.
//
// A player who is playing defers the next game. It does not guard against two
// games in which each waits for the other to begin with it.
package main

import (
	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/server"
)

// Player is the data of a machine.
type Player struct {
	Hits  int
	Games int
}

// Game is what a player is asked for.
type Game struct {
	Opponent string
	Rounds   int
}

// Ball flies from one player to the other, who knows whom to send it back.
type Ball struct {
	Hit, Rounds int
	Back        holdfast.Address[Ball]
	Over        holdfast.Address[int]
}

// The contract.
var (
	Players = holdfast.NewMachine[Player]("player")
	Waiting = Players.State("waiting")
	Playing = Players.State("playing")

	Serve  = holdfast.NewMessage[Game](Players, "serve")
	Return = holdfast.NewMessage[Ball](Players, "return")
	Over   = holdfast.NewMessage[int](Players, "over")
)

type context = holdfast.MachineContext[Player]

func serve(m *context, g Game) error {
	m.Goto(Playing)
	return hit(m, Ball{Rounds: g.Rounds, Back: Return.To(g.Opponent), Over: Over.To(g.Opponent)})
}

func begin(m *context, b Ball) error {
	m.Goto(Playing)
	return hit(m, b)
}

// hit sends the ball back, or ends the game for both.
func hit(m *context, b Ball) error {
	if b.Hit == b.Rounds {
		b.Over.Send(m, b.Rounds)
		Over.Send(m, m.Key(), b.Rounds)
		return nil
	}
	m.Data.Hits++
	b.Back.Send(m, Ball{Hit: b.Hit + 1, Rounds: b.Rounds, Back: Return.To(m.Key()), Over: Over.To(m.Key())})
	return nil
}

func over(m *context, _ int) error {
	m.Data.Games++
	m.Goto(Waiting)
	return nil
}

// App is what this program serves.
func App() *holdfast.App {
	return holdfast.NewApp("pingpong", Players.Handle(
		Waiting.When(Serve.Do(serve), Return.Do(begin)),
		Playing.When(Return.Do(hit), Over.Do(over), Serve.Defer()),
	))
}

func main() { server.Main(App()) }

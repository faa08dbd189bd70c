// Package alone has handlers that mention themselves and each other, and its
// app in a package variable.
package alone

import "github.com/holdfast-io/holdfast"

type player struct{ Hits int }

var (
	players = holdfast.NewEntity[player]("player")
	ping    = holdfast.NewUpdate[int, int](players, "ping")
	pong    = holdfast.NewUpdate[int, int](players, "pong")
	again   = holdfast.NewUpdate[holdfast.Void, holdfast.Void](players, "again")
)

// App is a package variable, though the functions in it mention the handles.
var App = holdfast.NewApp("alone", ping.Handle(onPing), pong.Handle(onPong), again.Handle(onAgain))

func onPing(ctx *holdfast.UpdateContext[player], n int) (int, error) {
	pong.Send(ctx, "b", n+1)
	return n, nil
}

func onPong(ctx *holdfast.UpdateContext[player], n int) (int, error) {
	if n > 100 {
		return n, nil
	}
	return ping.Tail(ctx, "a", n+1)
}

func onAgain(ctx *holdfast.UpdateContext[player], _ holdfast.Void) (holdfast.Void, error) {
	again.Send(ctx, players.Key(ctx), holdfast.None, holdfast.After(1))
	again.Remind(ctx, "again", holdfast.Every(1), holdfast.None)
	return again.Tail(ctx, "c", holdfast.None)
}

// Package calls has workflows that call ordinary code.
package calls

import (
	"context"
	"net"
	"slices"
	"time"

	"example.com/library"
	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/examples/bank"
	"github.com/holdfast-io/holdfast/server"
)

func inside(ctx *holdfast.WorkflowContext, in time.Time) (time.Time, error) {
	if expired(in) { // want `expired leads to time.Since \(calls.go:\d+\), which gives another time in each execution: use ctx.Now\(\)`
		return in, nil
	}
	pick := longer // want `longer leads to time.Since`
	_ = pick
	_ = slices.ContainsFunc([]time.Time{in}, expired) // want `expired leads to time.Since`
	var k keeper
	k.keep() // want `keeper.keep leads to the package variable kept`
	_ = even(4)
	return in, holdfastHelper(ctx)
}

func expired(t time.Time) bool { return time.Since(t) > time.Hour }

func longer(t time.Time) bool { return expired(t) }

var kept int

type keeper struct{}

func (keeper) keep() { kept = 1 }

func even(n int) bool { return n == 0 || odd(n-1) }

func odd(n int) bool { return n != 0 && even(n-1) }

func circular(n int) int64 {
	if n > 0 {
		return round(n - 1)
	}
	return time.Now().Unix()
}

func round(n int) int64 { return circular(n) }

func inCircles(ctx *holdfast.WorkflowContext, in int) (int64, error) {
	return round(in), nil // want `round leads to time.Now`
}

// holdfastHelper is workflow code itself: its caller is not to blame.
func holdfastHelper(ctx *holdfast.WorkflowContext) error {
	time.Sleep(1) // want `^time.Sleep`
	return nil
}

// either is called by workflows and others.
func either(c holdfast.Performer) int64 { return time.Now().Unix() }

func across(ctx *holdfast.WorkflowContext, c net.Conn) (int64, error) {
	library.Pause()          // want `Pause leads to time.Sleep \(library.go:\d+\), which waits in real time`
	new(library.Dice).Roll() // want `Dice.Roll leads to rand.Intn`
	library.Generic("x")     // want `Generic leads to time.Sleep`
	library.Talk(c)          // want `Talk leads to net.Conn.Read .* talks to the outside`
	_ = library.Cached("x")
	_ = library.Allowed()
	server.Serve()
	bank.Open()     // want `Open leads to time.Sleep`
	_ = either(ctx) // want `either leads to time.Now`
	var through library.Known = new(library.Dice)
	_ = through.Roll()
	return library.Stamp(), nil // want `Stamp leads to time.Now \(library.go:\d+\)`
}

func charge(ctx context.Context, in int) (int, error) {
	time.Sleep(1)
	return in, nil
}

func activities(ctx *holdfast.WorkflowContext, in int) (int, error) {
	if _, err := holdfast.Step(ctx, "charge", func(ctx context.Context) (int, error) { return charge(ctx, in) }); err != nil {
		return 0, err
	}
	return charge(context.Background(), in) // want `charge leads to time.Sleep`
}

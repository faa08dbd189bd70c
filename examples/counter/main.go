// Command counter is the smallest Holdfast program: a number for each key that
// can be added to and read, and that survives every crash.
//
//	go run ./examples/counter
//	curl -X POST localhost:7070/v1/entities/counter/visits/add -d 1
//
// Invariant 1: a counter is the sum of what was added to it, each addition once.
//
// It does not guard against overflow.
package main

import (
	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/server"
)

// Counter is the state of one counter.
type Counter struct{ N int64 }

// The contract: this is all that a caller needs.
var (
	Counters = holdfast.NewEntity[Counter]("counter")
	Add      = holdfast.NewUpdate[int64, int64](Counters, "add")
	Get      = holdfast.NewRead[holdfast.Void, int64](Counters, "get")
)

func add(ctx *holdfast.UpdateContext[Counter], n int64) (int64, error) {
	ctx.State.N += n
	return ctx.State.N, nil
}

func get(ctx *holdfast.ReadContext[Counter], _ holdfast.Void) (int64, error) {
	return ctx.State.N, nil
}

func main() {
	server.Main(holdfast.NewApp("counter", Add.Handle(add), Get.Handle(get)))
}

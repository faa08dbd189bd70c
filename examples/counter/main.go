// Command counter is the smallest Holdfast program: a number for each key that
// can be added to and read, and that survives every crash.
//
//	go run ./examples/counter
//	curl -X POST localhost:7070/v1/entities/counter/visits/add -d 1
//	curl -X POST localhost:7070/v1/events/counted -d '["visits","clicks"]'
//
// Invariants:
//
//  1. A counter is the sum of what was added to it, each addition once.
//  2. What is counted by an event is counted by all counters that it names, at
//     once.
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
	Counted  = holdfast.NewEvent("counted", counters)
)

// counters are those with some names.
func counters(names []string) (refs []holdfast.Ref) {
	for _, name := range names {
		refs = append(refs, Counters.Ref(name))
	}
	return refs
}

func add(ctx *holdfast.UpdateContext[Counter], n int64) (int64, error) {
	ctx.State.N += n
	return ctx.State.N, nil
}

func get(ctx *holdfast.ReadContext[Counter], _ holdfast.Void) (int64, error) {
	return ctx.State.N, nil
}

func counted(ctx *holdfast.EventContext[Counter], _ []string) error {
	ctx.State.N++
	return nil
}

// App is what this program serves.
func App() *holdfast.App {
	return holdfast.NewApp("counter", Add.Handle(add), Get.Handle(get), holdfast.On(Counters, Counted, counted))
}

func main() { server.Main(App()) }

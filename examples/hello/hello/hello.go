// Package hello greets five cities, one after the other.
//
// Invariants:
//
//  1. The greetings are in the order of the cities, however often the process
//     dies meanwhile.
//  2. A greeting whose outcome is recorded is not made again.
//
// It does not know whether anybody in these cities has heard it.
package hello

import (
	"context"

	"github.com/holdfast-io/holdfast"
)

// The contract.
var (
	Hello5 = holdfast.NewWorkflow[holdfast.Void, []string]("hello5", holdfast.Doc("Greets five cities."))
	Greet  = holdfast.NewActivity[string, string]("greet", holdfast.Doc("Makes a greeting."))
)

func cities() []string { return []string{"Amsterdam", "Berlin", "Copenhagen", "Dublin", "Edinburgh"} }

// hello5 waits for each greeting before it asks for the next. To have all five
// made at once, Start them and wait for All.
func hello5(ctx *holdfast.WorkflowContext, _ holdfast.Void) ([]string, error) {
	var greetings []string
	for _, city := range cities() {
		greeting, err := Greet.Call(ctx, city)
		if err != nil {
			return nil, err
		}
		greetings = append(greetings, greeting)
	}
	return greetings, nil
}

// greet could as well ask somebody on another continent.
func greet(_ context.Context, name string) (string, error) { return "Hello, " + name + "!", nil }

// App is the application on its own.
func App() *holdfast.App {
	return holdfast.NewApp("hello", Hello5.Handle(hello5), Greet.Handle(greet))
}

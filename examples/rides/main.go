// Command rides brings riders and drivers together who wait near each other.
//
//	go run ./examples/rides
//	curl -X POST 'localhost:7070/v1/workflows/offer?wait=5s' -d '{"role":"driver","name":"dora","cell":7}'
//	curl -X POST 'localhost:7070/v1/workflows/offer?wait=5s' -d '{"role":"rider","name":"rob","cell":8}'
//	curl localhost:7070/v1/entities/driver/dora
//	curl -X POST localhost:7070/v1/events/ended -d '{"rider":"rob","driver":"dora"}'
//
// Invariant 1: this package decides nothing but what to serve.
//
// The application is package rides; this is not where to look for it.
package main

import (
	"github.com/holdfast-io/holdfast/examples/rides/rides"
	"github.com/holdfast-io/holdfast/server"
)

func main() { server.Main(rides.App()) }

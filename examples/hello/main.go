// Command hello is the smallest program with a workflow.
//
//	go run ./examples/hello
//	curl -X POST 'localhost:7070/v1/workflows/hello5/first?wait=10s'
//	curl localhost:7070/v1/workflows/hello5/first/history
//
// Invariant 1: this package decides nothing but what to serve.
//
// The application is package hello; this is not where to look for it.
package main

import (
	"github.com/holdfast-io/holdfast/examples/hello/hello"
	"github.com/holdfast-io/holdfast/server"
)

func main() { server.Main(hello.App()) }

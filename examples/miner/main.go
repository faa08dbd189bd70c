// Command miner searches numbers whose hash begins with many zero bits, with
// several workers at once.
//
//	go run ./examples/miner
//	curl -X POST 'localhost:7070/v1/workflows/mine/first?wait=30s' -d '{"from":0,"to":1000000,"zeros":16,"workers":4}'
//	curl localhost:7070/v1/workflows/worker
//
// Invariant 1: this package decides nothing but what to serve.
//
// The application is package miner; this is not where to look for it.
package main

import (
	"github.com/holdfast-io/holdfast/examples/miner/miner"
	"github.com/holdfast-io/holdfast/server"
)

func main() { server.Main(miner.App()) }

// Command feed delivers posts to the readers that follow their topics, for ever.
//
//	go run ./examples/feed
//	curl -X POST localhost:7070/v1/workflows/feed/ann -d '{"topics":["go"]}'
//	curl -X POST localhost:7070/v1/workflows/feed/ann/signals/post -d '{"topic":"go","text":"1.26 is out"}'
//	curl -X POST localhost:7070/v1/entities/inbox/ann/read
//	curl -X POST localhost:7070/v1/workflows/feed/ann/signals/stop
//
// Invariant 1: this package decides nothing but what to serve.
//
// The application is package feed; this is not where to look for it.
package main

import (
	"github.com/holdfast-io/holdfast/examples/feed/feed"
	"github.com/holdfast-io/holdfast/server"
)

func main() { server.Main(feed.App()) }

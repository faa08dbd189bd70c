// Command market serves a market that uses the whole programming model. See
// package market, and README.md beside this file.
//
//	go run ./examples/market
//
// Invariant 1: this package decides nothing but what to run.
package main

import (
	"github.com/holdfast-io/holdfast/examples/market/market"
	"github.com/holdfast-io/holdfast/server"
)

func main() { server.Main(market.App()) }

// Command holdfast-vet finds what another execution of a workflow would do
// differently, and what holds up an entity. The go command runs it:
//
//	go build -o holdfast-vet github.com/holdfast-io/holdfast/cmd/holdfast-vet
//	go vet -vettool=./holdfast-vet ./...
//
// It exits with 1 if it has found something.
package main

import (
	"golang.org/x/tools/go/analysis/unitchecker"

	"github.com/holdfast-io/holdfast/internal/vet"
)

func main() { unitchecker.Main(vet.Analyzer) }

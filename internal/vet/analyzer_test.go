package vet_test

import (
	"testing"

	"golang.org/x/tools/go/analysis/analysistest"

	"github.com/holdfast-io/holdfast/internal/vet"
)

// The packages of testdata carry their findings in comments: on a line with
// // want, the patterns are found and nothing else; on every other, nothing.
// The stub of package holdfast there declares what the analyzer looks at.

func TestFindingsAreThoseOfTheComments(t *testing.T) {
	analysistest.Run(t, analysistest.TestData(), vet.Analyzer,
		"example.com/allows",   // one reason silences one finding
		"example.com/calls",    // calls are followed in the package and beyond
		"example.com/clean",    // what is deterministic, ordinary or a test is left alone
		"example.com/clocks",   // what differs in each execution is found
		"example.com/handlers", // handlers are told what waits, and nothing else
		"example.com/library",  // ordinary code is left alone and leaves facts
		"example.com/loops",    // the order of a map is found where it shows, and only there
		"example.com/threads",  // what ends the process or outlives a workflow is found
		"example.com/waits",    // what waits is found in everything that takes the context
	)
}

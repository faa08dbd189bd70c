// Command wordcount counts words with three kinds of machine: a splitter takes
// texts apart, a counter for each word counts it, and a gatherer keeps the word
// that has been seen most.
//
//	go run ./examples/wordcount
//	curl -X POST localhost:7070/v1/entities/splitter/s/split/send -d '"to be or not to be"'
//	curl localhost:7070/v1/entities/gatherer/all
//
// Invariant 1: each word of each text is counted once, and each count reported
// once, however often the process dies meanwhile.
//
// It does not know what a word is: what stands between spaces is one.
package main

import (
	"strings"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/server"
)

// Splitter is the data of what takes texts apart.
type Splitter struct{ Texts int }

// Counter is the data of what counts one word.
type Counter struct{ N int }

// Report says how often a word has been seen.
type Report struct {
	Word string
	N    int
}

// Gatherer is the data of what gathers reports.
type Gatherer struct {
	Reports int
	Highest Report
}

// gatherer is the key of the only one there is.
const gatherer = "all"

// The contract.
var (
	Splitters = holdfast.NewMachine[Splitter]("splitter")
	Splitting = Splitters.State("splitting")
	Split     = holdfast.NewMessage[string](Splitters, "split")

	Counters = holdfast.NewMachine[Counter]("counter")
	Counting = Counters.State("counting")
	Count    = holdfast.NewMessage[holdfast.Address[Report]](Counters, "count")

	Gatherers = holdfast.NewMachine[Gatherer]("gatherer")
	Gathering = Gatherers.State("gathering")
	Gather    = holdfast.NewMessage[Report](Gatherers, "gather")
)

func split(m *holdfast.MachineContext[Splitter], text string) error {
	m.Data.Texts++
	for _, word := range strings.Fields(text) {
		Count.Send(m, word, Gather.To(gatherer)) // the first makes the counter
	}
	return nil
}

func count(m *holdfast.MachineContext[Counter], report holdfast.Address[Report]) error {
	m.Data.N++
	report.Send(m, Report{m.Key(), m.Data.N})
	return nil
}

func gather(m *holdfast.MachineContext[Gatherer], r Report) error {
	m.Data.Reports++
	if highest := m.Data.Highest; r.N > highest.N || r.N == highest.N && r.Word < highest.Word {
		m.Data.Highest = r
	}
	return nil
}

// App is what this program serves.
func App() *holdfast.App {
	return holdfast.NewApp("wordcount",
		Splitters.Handle(Splitting.When(Split.Do(split))),
		Counters.Handle(Counting.When(Count.Do(count))),
		Gatherers.Handle(Gathering.When(Gather.Do(gather))))
}

func main() { server.Main(App()) }

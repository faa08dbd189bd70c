package main

import (
	"strings"
	"testing"

	"github.com/holdfast-io/holdfast/holdfasttest"
	"github.com/holdfast-io/holdfast/internal/crashtest"
)

func TestMain(m *testing.M) { crashtest.Main(m, App()) }

func TestAppValidates(t *testing.T) {
	if err := App().Validate(); err != nil {
		t.Fatal(err)
	}
}

func TestTheHighestCountIsKept(t *testing.T) {
	for _, c := range []struct{ known, told, want Report }{
		{Report{"a", 1}, Report{"b", 2}, Report{"b", 2}},
		{Report{"a", 2}, Report{"b", 1}, Report{"a", 2}},
		{Report{"b", 2}, Report{"a", 2}, Report{"a", 2}},
	} {
		if r := holdfasttest.React(gather, Gatherer{Highest: c.known}, c.told); r.Data.Highest != c.want || r.Data.Reports != 1 {
			t.Errorf("%v after %v: got %+v, want %v", c.told, c.known, r.Data, c.want)
		}
	}
}

// Texts are split, counted and gathered while the process is killed: every
// count is exact.
func TestCountsAreExactThroughCrashes(t *testing.T) {
	text := strings.Repeat("to be or not to be that is the question ", 30)
	const texts = 10
	s := crashtest.Start(t, 1)
	c := s.Client()
	ask := func(int) {
		if err := Split.Submit(c, "s", text); err != nil {
			t.Fatal(err)
		}
	}
	words := len(strings.Fields(text)) * texts
	var got Gatherer
	s.Survive(texts, ask, "all words are gathered", func() bool {
		g, _, err := Gatherers.Inspect(c, gatherer)
		got = g.Data
		return err == nil && got.Reports >= words
	})
	if want := (Gatherer{Reports: words, Highest: Report{"be", 60 * texts}}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if n, _, err := Counters.Inspect(c, "question"); err != nil || n.Data.N != 30*texts {
		t.Errorf("question: got %+v, %v, want %d", n, err, 30*texts)
	}
}

package world

import (
	"fmt"
	"strings"

	"github.com/holdfast-io/holdfast/internal/engine"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/partition"
)

// twin is a partition that folds every record once it is durable, and does
// nothing else: what every start must come to, and what is looked at from
// outside. It knows the kinds of the last program: folding does not depend on
// them.
type twin struct {
	world  *World
	engine *engine.Partition
}

func newTwin(w *World, p msg.Partition) *twin {
	description := w.config.last().Describe()
	return &twin{world: w, engine: engine.New(engine.Config{
		Partition: p, Partitions: w.config.Partitions, Kinds: description.Kinds, Events: description.EngineEvents(), CodeVersion: description.CodeVersion, Limits: w.config.Limits,
	})}
}

func (t *twin) fold(r *msg.Record) {
	if err := t.engine.Apply(r); err != nil {
		t.world.fail(ByLog, "fold record %d of partition %d, which is durable: %v", r.Index, r.Partition, err)
	}
}

// compareTwins checks that partitions are what their records make them.
func (w *World) compareTwins(how string, list []partition.Recovered) {
	for p := range list {
		w.result.Rebuilt++
		if text := difference(list[p].Engine.Dump(), w.twins[p].engine.Dump()); text != "" {
			w.fail(ByRebuild, "partition %d %s, with its last checkpoint of record %d, and %s", p, how, list[p].Checkpoint.Start, text)
		}
	}
}

// difference says where two dumps differ first; empty if they are equal.
func difference(got, want string) string {
	if got == want {
		return ""
	}
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	n := 0
	for n < min(len(g), len(w)) && g[n] == w[n] {
		n++
	}
	line := func(of []string) string {
		if n < len(of) {
			return of[n]
		}
		return "the end"
	}
	return fmt.Sprintf("line %d is\n  %.900s\nwant\n  %.900s", n+1, line(g), line(w))
}

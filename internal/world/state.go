package world

import (
	"slices"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// State is what is durable, of all partitions at one moment of the log.
type State struct{ world *World }

// Entity is what an entity holds. It exists, or not.
func (s State) Entity(kind, key string) msg.Snapshot {
	ref, affinity := msg.Ref{Kind: kind, Key: key}, ""
	for _, k := range s.world.config.Program.Describe().Kinds {
		if k.Name == kind {
			affinity = k.Affinity
		}
	}
	return s.world.twins[msg.PartitionOf(ref, affinity, len(s.world.twins))].engine.State(ref)
}

// Keys are those of all entities of a kind, in order.
func (s State) Keys(kind string) (keys []string) {
	for _, t := range s.world.twins {
		t.engine.Entities(func(r msg.Ref) bool {
			if r.Kind == kind {
				keys = append(keys, r.Key)
			}
			return true
		})
	}
	slices.Sort(keys)
	return keys
}

// UnderWay are the messages that were sent and have not been consumed.
func (s State) UnderWay() (list []*msg.Message) {
	for _, t := range s.world.twins {
		t.engine.Outgoing(func(m *msg.Message) bool {
			if !s.world.twins[m.ID.Destination].engine.HasConsumed(m.ID) {
				list = append(list, m)
			}
			return true
		})
		t.engine.Waiting(func(m *msg.Message) bool {
			list = append(list, m)
			return true
		})
	}
	return list
}

// checkAlways makes the checks of what must always be true.
func (w *World) checkAlways() {
	for i := range w.checks {
		if err := w.checks[i].holds(State{w}); err != nil {
			w.Fail("not always: %s: %v", w.checks[i].name, err)
		}
	}
}

// settled says whether everything has come to its end.
func (w *World) settled() bool {
	if w.process == nil || !w.clientsDone() || !w.process.idle() {
		return false
	}
	for i := range w.hopes {
		if w.hopes[i].holds(State{w}) != nil {
			return false
		}
	}
	late, kept := w.leftOver()
	return late+kept == 0
}

// unsettled says what has not come to its end.
func (w *World) unsettled() string {
	for _, c := range w.clients {
		if !c.done {
			return c.Name + " waits"
		}
	}
	for i := range w.hopes {
		if err := w.hopes[i].holds(State{w}); err != nil {
			return "not eventually: " + w.hopes[i].name + ": " + err.Error()
		}
	}
	return w.busy()
}

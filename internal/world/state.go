package world

import (
	"context"
	"slices"

	"github.com/holdfast-io/holdfast/internal/engine"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// State is what is durable, of all partitions at one moment of the log. A world
// that is blind sees what its process has now.
type State struct{ world *World }

// engine is what a partition holds.
func (s State) engine(p msg.Partition) *engine.Partition {
	if s.world.config.Blind && s.world.process != nil {
		return s.world.process.engines[p].Engine
	}
	return s.world.twins[p].engine
}

// Context is a context of the world: it never ends.
func (s State) Context() context.Context { return ended{} }

// Entity is what an entity holds. It exists, or not.
func (s State) Entity(kind, key string) msg.Snapshot {
	ref, affinity := msg.Ref{Kind: kind, Key: key}, ""
	for _, k := range s.world.program.Describe().Kinds {
		if k.Name == kind {
			affinity = k.Affinity
		}
	}
	return s.engine(msg.PartitionOf(ref, affinity, len(s.world.twins))).State(ref)
}

// Keys are those of all entities of a kind, in order.
func (s State) Keys(kind string) (keys []string) {
	for p := range s.world.twins {
		s.engine(msg.Partition(p)).Entities(func(r msg.Ref) bool {
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
	for p := range s.world.twins {
		s.engine(msg.Partition(p)).Messages(func(m *msg.Message, waits bool) {
			if waits || !s.engine(m.ID.Destination).HasConsumed(m.ID) {
				list = append(list, m)
			}
		})
	}
	return list
}

// checkAlways makes the checks of what must always be true.
func (w *World) checkAlways() {
	if w.config.Blind && w.process == nil {
		return // it is starting
	}
	for i := range w.checks {
		if err := w.checks[i].holds(State{w}); err != nil {
			w.fail(ByAlways, "not always: %s: %v", w.checks[i].name, err)
		}
	}
}

// checkFinally makes the checks of what has to be true at rest.
func (w *World) checkFinally() {
	for i := range w.ends {
		if err := w.ends[i].holds(State{w}); err != nil {
			w.fail(ByFinally, "not finally: %s: %v", w.ends[i].name, err)
		}
	}
}

// atRest says whether everything has come to its end that can.
func (w *World) atRest() bool {
	if w.process == nil || !w.clientsDone() || !w.process.idle() {
		return false
	}
	late, kept := w.leftOver()
	return late+kept == 0
}

// hopesHold says whether everything has become true that was to.
func (w *World) hopesHold() bool {
	for i := range w.hopes {
		if w.hopes[i].holds(State{w}) != nil {
			return false
		}
	}
	return true
}

// unsettled says what has not come to its end.
func (w *World) unsettled() string {
	for _, c := range w.clients {
		if !c.done {
			return c.Name + " waits" + w.stopped()
		}
	}
	for i := range w.hopes {
		if err := w.hopes[i].holds(State{w}); err != nil {
			return "not eventually: " + w.hopes[i].name + ": " + err.Error()
		}
	}
	return w.busy()
}

// stopped says what has been parked last, as it may be the reason.
func (w *World) stopped() string {
	if w.process == nil {
		return ""
	}
	return w.process.stopped
}

package ingress

import (
	"slices"
	"sort"
	"strings"
	"sync/atomic"

	"github.com/holdfast-io/holdfast/internal/invariant"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// gathering makes one answer of those of all partitions.
type gathering struct {
	left    atomic.Int32
	replies []msg.Reply // by partition
	merge   func([]msg.Reply) msg.Reply
	waiter  msg.Waiter
}

// gatherer takes the answer of one partition.
type gatherer struct {
	*gathering
	partition int
	answered  atomic.Bool
}

var _ msg.Waiter = (*gatherer)(nil)

// Answer implements msg.Waiter.
func (g *gatherer) Answer(r msg.Reply) {
	g.replies[g.partition] = r
	g.answered.Store(true)
	if g.left.Add(-1) == 0 {
		g.waiter.Answer(g.merge(g.replies))
	}
}

// firstError is the first in the order of partitions; nil if there is none.
func firstError(replies []msg.Reply) *msg.Error {
	for p := range replies {
		if err := replies[p].Err; err != nil {
			return err
		}
	}
	return nil
}

// mergeKeys puts the first keys of all partitions in order, and with them how
// the workflows stand whose keys they are.
func mergeKeys(replies []msg.Reply, limit int) msg.Reply {
	if err := firstError(replies); err != nil {
		return msg.Reply{Err: err}
	}
	var all byKey
	for p := range replies {
		all.Keys = append(all.Keys, replies[p].Keys...)
		all.Workflows = append(all.Workflows, replies[p].Workflows...)
	}
	invariant.Check(len(all.Workflows) == 0 || len(all.Workflows) == len(all.Keys),
		"a list has %d keys and %d workflows", len(all.Keys), len(all.Workflows))
	sort.Sort(&all)
	n := min(len(all.Keys), limit)
	return msg.Reply{Found: true, Keys: all.Keys[:n], Workflows: all.Workflows[:min(len(all.Workflows), n)]}
}

// byKey sorts the keys of a reply, and its workflows with them.
type byKey msg.Reply

func (l *byKey) Len() int           { return len(l.Keys) }
func (l *byKey) Less(i, j int) bool { return l.Keys[i] < l.Keys[j] }

func (l *byKey) Swap(i, j int) {
	l.Keys[i], l.Keys[j] = l.Keys[j], l.Keys[i]
	if len(l.Workflows) > 0 {
		l.Workflows[i], l.Workflows[j] = l.Workflows[j], l.Workflows[i]
	}
}

// join puts what partitions list in order of place; a limit of 0 is none.
func join(replies []msg.Reply, limit int) msg.Reply {
	if err := firstError(replies); err != nil {
		return msg.Reply{Err: err}
	}
	all := msg.Reply{Found: true}
	for p := range replies {
		all.Parked = append(all.Parked, replies[p].Parked...)
		all.DeadLetters = append(all.DeadLetters, replies[p].DeadLetters...)
		all.Locks = append(all.Locks, replies[p].Locks...)
	}
	slices.SortStableFunc(all.Parked, func(a, b msg.Parked) int { return strings.Compare(a.Place(), b.Place()) })
	slices.SortStableFunc(all.DeadLetters, func(a, b msg.DeadLetter) int { return strings.Compare(a.Place(), b.Place()) })
	slices.SortStableFunc(all.Locks, func(a, b msg.Lock) int { return strings.Compare(a.Place(), b.Place()) })
	if limit > 0 {
		all.Locks = all.Locks[:min(len(all.Locks), limit)]
		all.Parked = all.Parked[:min(len(all.Parked), limit)]
		all.DeadLetters = all.DeadLetters[:min(len(all.DeadLetters), limit)]
	}
	return all
}

// anywhere takes the answer of the one partition that could do what all were
// asked. If none did it and one could not say, that counts.
func anywhere(replies []msg.Reply) msg.Reply {
	best := replies[0]
	for _, reply := range replies {
		if reply.Err == nil {
			return reply
		}
		if reply.Err.Code != msg.CodeNotFound {
			best = reply
		}
	}
	return best
}

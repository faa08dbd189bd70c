package engine

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// This file lets the worlds raise events and lock keys, and says what must be
// true of them.

// fact is the event of the worlds: so much is moved to each of some accounts, and
// clocks are struck. It adds nothing up.
type fact struct {
	Token  string
	Moves  []move
	Refuse string // key of the account that does not take it
	Flow   string // of the workflow that raises it under locks
}

type move struct {
	Kind, Key string
	Amount    int
}

var facts = []msg.Event{{Name: "moved", Subscribers: []msg.Subscriber{{Kind: "account"}, {Kind: "clock"}, {Kind: "gauge"}}}}

// gauge is beside clock: their locks are one.
var gauge = msg.Kind{Name: "gauge", StateVersion: 1, Affinity: "place", Handlers: []msg.Handler{
	{Name: "do", Mode: msg.ModeUpdate}, {Name: "look", Mode: msg.ModeRead}}}

func (f *fact) refs() (refs []msg.Ref) {
	for _, m := range f.Moves {
		refs = append(refs, msg.Ref{Kind: m.Kind, Key: m.Key})
	}
	return refs
}

func (f *fact) payload() msg.Payload {
	body, err := json.Marshal(f)
	if err != nil {
		panic(err)
	}
	return msg.Payload{Body: body}
}

// tokens lists what accounts remember of a fact.
func (f *fact) tokens() (list []string) {
	if f.Refuse != "" {
		return nil
	}
	for _, m := range f.Moves {
		if token := f.Token + "@" + m.Key; strict(m.Kind) && !slices.Contains(list, token) {
			list = append(list, token)
		}
	}
	return list
}

// raised is the message of a fact, as a program hands it over.
func (f *fact) raised() msg.Outgoing {
	return msg.Outgoing{Kind: msg.MessageEventPrepare, Handler: "moved", Refs: f.refs(), Payload: f.payload()}
}

// executeFact is the handler of the event.
func executeFact(t *msg.Turn, violate func(string, ...any)) *msg.Outcome {
	var f fact
	if err := json.Unmarshal(t.Message.Payload.Body, &f); err != nil {
		violate("fact %q: %v", t.Message.Payload.Body, err)
	}
	if t.Mode != msg.ModeEvent {
		violate("the event %s is taken in mode %d", f.Token, t.Mode)
	}
	o := &msg.Outcome{Run: t.Run}
	if ref := t.Message.Target; f.Refuse == ref.Key && strict(ref.Kind) {
		o.Err = msg.Errorf("refused", msg.ClassConflict, "the fact says so")
		return o
	}
	p := plan{Token: f.Token + "@" + t.Message.Target.Key, Flow: f.Flow}
	for _, m := range f.Moves {
		if m.Kind == t.Message.Target.Kind && m.Key == t.Message.Target.Key {
			p.Amount += m.Amount
		}
	}
	doPlan(t, &p, o, violate)
	if strict(t.Message.Target.Kind) {
		o.Changes = append(o.Changes, msg.Change{Kind: msg.ChangeAppend, Field: "facts", Value: []byte(f.Token)})
	}
	return o
}

// isolate notes that a locked workflow is at work at an entity, and finds out if
// somebody else is there.
func isolate(t *msg.Turn, p *plan, root *ledger, violate func(string, ...any)) {
	if root.Flow != "" && root.Flow != p.Flow {
		violate("%s does %s while %s holds it", t.Message.Target, p.Token, root.Flow)
	}
	switch {
	case p.Enters:
		root.Flow = p.Flow
	case p.Leaves:
		root.Flow = ""
	}
}

// fact makes an event that moves money between accounts, and may touch places.
func (g *planner) fact(keys []string) *fact {
	w := g.w
	f := &fact{Token: g.next()}
	sum := 0
	for range 1 + w.random.IntN(4) {
		m := move{"account", keys[w.random.IntN(len(keys))], w.random.IntN(100)}
		sum += m.Amount
		f.Moves = append(f.Moves, m)
	}
	f.Moves[0].Amount -= sum
	if w.chance(10) {
		f.Refuse = f.Moves[w.random.IntN(len(f.Moves))].Key
	}
	g.facts = append(g.facts, f)
	return f
}

func (g *planner) accounts() (keys []string) {
	for n := range g.w.options.keys {
		keys = append(keys, fmt.Sprint("a", n))
	}
	return keys
}

// placed adds a place to a fact, at which two kinds take it.
func (g *planner) placed(f *fact) *fact {
	if g.w.chance(40) {
		f.Moves = append(f.Moves, move{Kind: "clock", Key: fmt.Sprint("c", g.w.random.IntN(4))})
	}
	return f
}

// locked gives a workflow accounts to lock, and what it does there: enter, move
// money by calls and by events, and leave.
func (g *planner) locked(p *plan) {
	w := g.w
	keys := g.accounts()
	w.random.Shuffle(len(keys), func(a, b int) { keys[a], keys[b] = keys[b], keys[a] })
	keys = keys[:1+w.random.IntN(min(3, len(keys)))]
	p.Locks, p.Shared, p.Place = keys, w.chance(25), ""
	if w.chance(30) {
		p.Place = fmt.Sprint("c", w.random.IntN(4))
	}
	p.Fail, p.Sends, p.Tail, p.Raise, p.Flow = false, nil, nil, nil, p.Token
	if w.options.operator {
		p.Flow = "" // what is given up and redelivered comes later
	}
	if p.Shared {
		return
	}
	for n, key := range keys {
		moved := w.random.IntN(100)
		p.Sends = append(p.Sends, branch{"account", key, 0, plan{Token: g.next(), Amount: moved, Enters: true, Flow: p.Flow, Unordered: true}})
		to := keys[(n+1)%len(keys)]
		p.Sends = append(p.Sends, branch{"account", to, 0, plan{Token: g.next(), Amount: -moved, Flow: p.Flow, Unordered: true}})
	}
	// Who has not entered everywhere may meet nobody, so the order does not matter.
	if w.chance(60) && !w.options.operator {
		p.Raise = g.fact(keys)
		p.Raise.Refuse, p.Raise.Flow = "", p.Flow
	}
}

// lockedScript is what a locked workflow does.
func lockedScript(p *plan) msg.Payload {
	lock := deed{Do: "lock"}
	for n := range p.Locks { // in an order of its own, and one twice
		lock.Keys = append(lock.Keys, msg.LockKey{Ref: msg.Ref{Kind: "account", Key: p.Locks[len(p.Locks)-1-n]}, Shared: p.Shared})
	}
	lock.Keys = append(lock.Keys, lock.Keys[0])
	if p.Place != "" {
		lock.Keys = append(lock.Keys, msg.LockKey{Ref: msg.Ref{Kind: "gauge", Key: p.Place}, Shared: p.Shared})
	}
	deeds := []deed{lock}
	if p.Shared {
		look := &branch{Kind: "account", Key: p.Locks[0]}
		deeds = append(deeds, deed{Do: "look", To: look, Hold: true}, deed{Do: "activity", Name: "look around"}, deed{Do: "look", To: look, Hold: true})
		if !p.Unordered { // otherwise an operator may have given one up
			deeds = append(deeds, deed{Do: "compare"})
		}
		return script(deeds...)
	}
	for n := range p.Sends {
		deeds = append(deeds, deed{Do: "plan", To: &p.Sends[n], Hold: true, Start: n%2 == 1})
	}
	deeds = append(deeds, deed{Do: "gather"}, deed{Do: "activity", Name: "look around"})
	if p.Raise != nil {
		raise := deed{Do: "raise", Name: "moved", Hold: true}
		raise.Task.Input = p.Raise.payload()
		for _, ref := range p.Raise.refs() {
			raise.Keys = append(raise.Keys, msg.LockKey{Ref: ref})
		}
		deeds = append(deeds, raise)
	}
	for _, key := range p.Locks {
		deeds = append(deeds, deed{Do: "plan", Hold: true, Start: true, To: &branch{Kind: "account", Key: key,
			Plan: plan{Token: p.Token + " leaves " + key, Leaves: true, Flow: p.Flow, Unordered: true}}})
	}
	return script(append(deeds, deed{Do: "gather"})...)
}

// lockedTokens lists what accounts remember of a locked workflow.
func (p *plan) lockedTokens() (list []string) {
	for n := range p.Sends {
		list = append(list, p.Sends[n].Plan.Token)
	}
	if p.Raise != nil {
		list = append(list, p.Raise.tokens()...)
	}
	for _, key := range p.Locks {
		if !p.Shared {
			list = append(list, p.Token+" leaves "+key)
		}
	}
	return list
}

// isCut says that a workflow of the tree has lost a lock, so that what it had
// still to do was refused.
func (p *plan) isCut(w *world) bool {
	for n := range p.Sends {
		if p.Sends[n].Plan.isCut(w) {
			return true
		}
	}
	return w.cut[p.Token] || p.Tail != nil && p.Tail.Plan.isCut(w)
}

// finishFacts checks that each fact was taken everywhere or nowhere, and that
// those which met anywhere did so in one order.
func (w *world) finishFacts(done map[string]bool) {
	for _, f := range w.planner.facts {
		found := 0
		for _, token := range f.tokens() {
			if done[token] {
				found++
			}
		}
		if found != 0 && found != len(f.tokens()) {
			w.violate("fact %s was taken at %d of its %d accounts", f.Token, found, len(f.tokens()))
		}
	}
	after := map[string][]string{}
	for _, p := range w.partitions {
		p.order.Scan(func(i *instance) bool {
			if _, f := i.field("facts"); f != nil && strict(i.ref.Kind) {
				for n := 1; n < len(f.Items); n++ {
					after[string(f.Items[n-1])] = append(after[string(f.Items[n-1])], string(f.Items[n]))
				}
			}
			return true
		})
	}
	if round := cycle(after); round != nil {
		w.violate("facts have no common order: %s", strings.Join(round, " before "))
	}
}

// cycle finds a way around in a graph; nil: there is none.
func cycle(after map[string][]string) []string {
	state := map[string]int{} // 1: on the way, 2: done
	var way []string
	var visit func(string) []string
	visit = func(at string) []string {
		switch state[at] {
		case 1:
			return append(way[slices.Index(way, at):], at)
		case 2:
			return nil
		}
		state[at] = 1
		way = append(way, at)
		for _, next := range after[at] {
			if round := visit(next); round != nil {
				return round
			}
		}
		state[at], way = 2, way[:len(way)-1]
		return nil
	}
	starts := make([]string, 0, len(after))
	for at := range after {
		starts = append(starts, at)
	}
	slices.Sort(starts)
	for _, at := range starts {
		if round := visit(at); round != nil {
			return round
		}
	}
	return nil
}

package vet

import (
	"cmp"
	"fmt"
	"go/token"
	"go/types"
	"path/filepath"
	"slices"

	"golang.org/x/tools/go/analysis"
)

// behaviour is the fact about a function of ordinary code: what workflows and
// handlers must know who call it.
type behaviour struct {
	Causes   []cause // at most one for each rule, the most serious first
	Recovers bool    // deferred, it ends every unwinding
}

// cause is the place that is at fault for a finding elsewhere.
type cause struct {
	Rule  int // its rank
	What  string
	Where string // file:line
}

// AFact marks behaviour as a fact of an analyzer.
func (*behaviour) AFact() {}

func (b *behaviour) String() string {
	text := ""
	for _, c := range b.Causes {
		text += fmt.Sprintf("%s (%s) ", c.What, ranked[c.Rule].name)
	}
	if b.Recovers {
		text += "recovers"
	}
	return text
}

// behaviours has what is known about functions of this package and of others.
type behaviours struct {
	*survey
	allowed *allowances
	of      map[*types.Func]*behaviour
	told    []analysis.Diagnostic
}

// newBehaviours follows the calls of a package until nothing more is learnt. It
// ends, because each function learns of each rule once.
func newBehaviours(s *survey, allowed *allowances) *behaviours {
	b := &behaviours{survey: s, allowed: allowed, of: map[*types.Func]*behaviour{}}
	for _, u := range s.units {
		if u.object != nil && u.role == ordinary {
			b.of[u.object] = b.direct(u)
		}
	}
	for learnt := true; learnt; {
		learnt = false
		for _, u := range s.units {
			if own := b.of[u.object]; own != nil {
				learnt = b.follow(u, own) || learnt
			}
		}
	}
	return b
}

// direct is what the body of a function does itself.
func (b *behaviours) direct(u *unit) *behaviour {
	own := &behaviour{Recovers: b.swallows[u.object]}
	for _, f := range u.found {
		own.learn(cause{f.rule.rank(), f.what, b.place(f.at)})
	}
	return own
}

// follow learns from the functions that a function calls.
func (b *behaviours) follow(u *unit, own *behaviour) (learnt bool) {
	for _, c := range u.calls {
		if b.allowed.silences(c.at) {
			continue
		}
		for _, cause := range b.causes(c) {
			learnt = own.learn(cause) || learnt
		}
	}
	return learnt
}

// learn adds a cause, unless there is one of its rule.
func (own *behaviour) learn(c cause) bool {
	at, known := slices.BinarySearchFunc(own.Causes, c.Rule, func(c cause, rule int) int { return cmp.Compare(c.Rule, rule) })
	if !known {
		own.Causes = slices.Insert(own.Causes, at, c)
	}
	return !known
}

// causes lists what a call leads to. Of another package that is what travels.
func (b *behaviours) causes(c call) []cause {
	known := b.of[c.callee]
	if known == nil && c.callee.Pkg() != nil && c.callee.Pkg() != b.pass.Pkg {
		known = &behaviour{}
		b.pass.ImportObjectFact(c.callee, known)
		b.of[c.callee] = known
	}
	if known == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(known.Causes), func(found cause) bool {
		return c.sorted && ranked[found.Rule] == order
	})
}

// export leaves for other packages what travels.
func (b *behaviours) export() {
	if !keepsFacts(b.pass.Pkg.Path()) {
		return
	}
	for _, u := range b.units {
		own := b.of[u.object]
		if own == nil || !u.object.Exported() {
			continue
		}
		fact := &behaviour{Recovers: own.Recovers, Causes: slices.DeleteFunc(slices.Clone(own.Causes), func(c cause) bool {
			return !ranked[c.Rule].travels
		})}
		if fact.Recovers || len(fact.Causes) > 0 {
			b.pass.ExportObjectFact(u.object, fact)
		}
	}
}

// place names a place briefly, and alike on every machine.
func (s *survey) place(at token.Pos) string {
	position := s.pass.Fset.Position(at)
	return fmt.Sprintf("%s:%d", filepath.Base(position.Filename), position.Line)
}

package vet

import (
	"cmp"
	"fmt"
	"go/token"
	"slices"

	"golang.org/x/tools/go/analysis"
)

// Analyzer reports what workflow code and handlers must not do. It is for
// unitchecker, which go vet runs, and for every other driver of analyzers.
var Analyzer = &analysis.Analyzer{
	Name: "holdfast",
	Doc: `report what another execution of a workflow would do differently

Workflow code must do the same whenever it is executed: the clock, randomness,
I/O, goroutines, channels, locks, the order of maps and package variables are
reported, each with what replaces it. In handlers of entities and machines only
what waits is reported. //holdfast:allow with a reason silences one finding.`,
	Run:       run,
	FactTypes: []analysis.Fact{(*behaviour)(nil)},
}

func run(pass *analysis.Pass) (any, error) {
	if standard(pass) || pass.Pkg.Path() == root {
		return nil, nil
	}
	s := newSurvey(pass)
	allowed, err := newAllowances(s)
	if err != nil {
		return nil, err
	}
	for _, u := range s.units {
		u.silence(allowed)
	}
	b := newBehaviours(s, allowed)
	b.export()
	for _, u := range s.units {
		b.judge(u)
	}
	slices.SortStableFunc(b.told, func(a, b analysis.Diagnostic) int { return cmp.Compare(a.Pos, b.Pos) })
	for _, d := range b.told {
		pass.Report(d)
	}
	return nil, nil
}

// silence drops the findings that are allowed where they are, and those that do
// not matter in the role of the unit.
func (u *unit) silence(allowed *allowances) {
	slices.SortStableFunc(u.found, func(a, b finding) int { return cmp.Compare(a.at, b.at) })
	u.found = slices.DeleteFunc(u.found, func(f finding) bool {
		return u.role != ordinary && f.rule.advice(u.role) == "" || allowed.silence(f.at)
	})
}

// judge tells what a unit does that its role forbids.
func (b *behaviours) judge(u *unit) {
	if u.role == ordinary {
		return
	}
	for _, f := range u.found {
		b.tell(u.role, f.at, f.rule, f.what)
	}
	for _, c := range u.calls {
		causes := b.causes(c)
		first := slices.IndexFunc(causes, func(found cause) bool { return ranked[found.Rule].advice(c.role) != "" })
		if first < 0 || b.allowed.silence(c.at) {
			continue
		}
		found := causes[first]
		what := fmt.Sprintf("%s leads to %s (%s), which", nameOf(c.callee), found.What, found.Where)
		b.tell(c.role, c.at, ranked[found.Rule], what)
	}
}

// tell keeps a finding for the report, which is in the order of the source.
func (b *behaviours) tell(in role, at token.Pos, r *rule, what string) {
	effect := r.effect
	if in == turn {
		effect = "holds up the entity"
	}
	b.told = append(b.told, analysis.Diagnostic{
		Pos: at, Category: r.name, Message: what + " " + effect + ": " + r.advice(in),
	})
}

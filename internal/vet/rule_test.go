package vet

import (
	"go/types"
	"path"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/go/packages"
)

// Tests of the tables themselves: a name that is misspelt, or that a release of
// Go has removed, would silently find nothing.

func TestEveryRuleIsRankedOnceAndTellsWhatToDo(t *testing.T) {
	for i, r := range ranked {
		if r.rank() != i {
			t.Errorf("rule %s is ranked %d and %d", r.name, r.rank(), i)
		}
		if r.name == "" || r.effect == "" || r.use == "" && r.turn == "" {
			t.Errorf("rule %d lacks a word: %+v", i, r)
		}
	}
	for path, entries := range functions {
		for _, e := range entries {
			if !slices.Contains(ranked, e.rule) {
				t.Errorf("%s: rule %s is not ranked", path, e.rule.name)
			}
		}
	}
	for name, r := range variables {
		if !slices.Contains(ranked, r) {
			t.Errorf("%s: rule %s is not ranked", name, r.name)
		}
	}
}

// What travels says so in both directions of a call: a fact that is not about
// what waits or differs would blame callers for the insides of a library.
func TestLocksOrderAndOutputOfALibraryAreItsOwnBusiness(t *testing.T) {
	for _, r := range ranked {
		own := slices.Contains([]*rule{once, lock, thread, recovery, variable, order, output}, r)
		if r.travels == own {
			t.Errorf("rule %s travels: %t, want %t", r.name, r.travels, !own)
		}
	}
}

// namesOf lists what a package exports: functions, methods as Type.Method, and
// variables.
func namesOf(p *types.Package) (list []string) {
	for _, name := range p.Scope().Names() {
		switch object := p.Scope().Lookup(name).(type) {
		case *types.Func, *types.Var:
			list = append(list, name)
		case *types.TypeName:
			methods := types.NewMethodSet(types.NewPointer(object.Type()))
			if types.IsInterface(object.Type()) {
				methods = types.NewMethodSet(object.Type())
			}
			for method := range methods.Methods() {
				list = append(list, name+"."+method.Obj().Name())
			}
		}
	}
	return list
}

// load gives the packages of the standard library that the tables name.
func load(t *testing.T) map[string]*types.Package {
	t.Helper()
	var paths []string
	for name := range functions {
		if !strings.HasPrefix(name, root) {
			paths = append(paths, name)
		}
	}
	list, err := packages.Load(&packages.Config{Mode: packages.NeedName | packages.NeedTypes | packages.NeedExportFile}, paths...)
	if err != nil {
		t.Fatal(err)
	}
	loaded := map[string]*types.Package{}
	for _, p := range list {
		if len(p.Errors) > 0 {
			t.Fatal(p.Errors)
		}
		loaded[p.PkgPath] = p.Types
	}
	return loaded
}

func TestEveryNameOfTheTablesExists(t *testing.T) {
	loaded := load(t)
	for name, p := range loaded {
		exported := namesOf(p)
		for _, e := range functions[name] {
			for pattern := range strings.FieldsSeq(e.names) {
				fits := func(exported string) bool {
					ok, err := path.Match(strings.TrimPrefix(pattern, "!"), exported)
					return ok && err == nil
				}
				if !slices.ContainsFunc(exported, fits) {
					t.Errorf("%s has nothing like %s", name, pattern)
				}
			}
		}
	}
	for name := range variables {
		at := strings.LastIndex(name, ".")
		if _, ok := loaded[name[:at]].Scope().Lookup(name[at+1:]).(*types.Var); !ok {
			t.Errorf("%s is no variable", name)
		}
	}
}

package archtest

import (
	"fmt"
	"strings"
)

// layers is the table of DESIGN: a package imports strictly lower layers. A
// pattern that ends in "/*" stands for everything below, not for itself. The
// first pattern that fits decides.
var layers = []struct {
	pattern string
	layer   int
}{
	{"internal/invariant", 0},
	{"internal/heap", 0},
	{"internal/field", 0},
	{"internal/fifo", 0},
	{"internal/plain", 0},
	{"crdt", 0},
	{"internal/world/sim", 0},
	{"ui", 0},
	{"internal/msg", 1},
	{"internal/form", 0},
	{"internal/delta", 0},
	{"internal/launcher", 0},
	{"internal/share", 2},
	{"internal/marks", 2},
	{"internal/engine", 2},
	{"internal/program", 2},
	{"internal/remote", 2},
	{"internal/workflow", 2},
	{"internal/workflow/workflowtest", 3},
	{"host", 2},
	{"replica", 2},
	{"client", 2},
	{"", 3},
	{"internal/kar", 3},
	{"internal/session", 3},
	{"internal/partition", 3},
	{"internal/executor", 3},
	{"internal/activity", 3},
	{"host/*", 3},
	{"internal/ingress", 4},
	{"internal/partition/driver", 4},
	{"internal/recovery", 4},
	{"internal/replay", 5},
	{"internal/node", 5}, // the composition of host, loops, executors and ingress
	{"internal/frontend/*", 5},
	{"internal/sidecar", 5},
	{"server", 6},
	{"internal/world", 6},
	{"holdfasttest", 7},
	{"internal/cli", 7},
	{"internal/karcli", 7},
	{"internal/crashtest", 7},
	{"internal/vet", 7}, // imports nothing of ours; here, only commands may import it
	{"bench", 7},
	{"cmd/*", 8},
	{".ci/report", 8},
	{"examples/*", 8},
}

// testOnly packages consist of tests: nothing imports them, and what they
// have outside of test files imports nothing of ours.
var testOnly = []string{"internal/archtest", "internal/compiletest", "internal/doctest"}

func layerRules() []rule {
	return []rule{{
		name: "packages import strictly lower layers",
		reason: "a package that can be understood without knowing what stands on it can be changed, tested and " +
			"replaced alone; where a layer is in the way, add a small interface below",
		check: checkLayers,
	}, {
		name: "the root imports the standard library, client, program, msg, form, plain and workflow",
		reason: "package holdfast is compiled into every service; the narrower its seam to the inside, the longer " +
			"its promises hold and the less its users compile; workflow is the half of the SDK that needs no types",
		check: checkRootImports,
	}}
}

// layerOf finds a package in the table.
func layerOf(dir string) (layer int, ok bool) {
	for _, row := range layers {
		base, below := strings.CutSuffix(row.pattern, "/*")
		if below && strings.HasPrefix(dir, base+"/") || !below && dir == base {
			return row.layer, true
		}
	}
	return 0, false
}

func isTestOnly(dir string) bool {
	for _, base := range testOnly {
		if within(dir, base) {
			return true
		}
	}
	return false
}

func checkLayers(m *module) (found []violation) {
	dirs, of := packages(m.production())
	for _, dir := range dirs {
		if _, ok := layerOf(dir); !ok && !isTestOnly(dir) {
			found = append(found, violation{named(dir), "is not in the table of layers (layers_test.go)"})
			continue
		}
		for _, s := range of[dir] {
			found = append(found, checkImportsOf(m, s)...)
		}
	}
	return found
}

func checkImportsOf(m *module, s *source) (found []violation) {
	layer, _ := layerOf(s.dir)
	for _, spec := range s.file.Imports {
		target, ok := ours(importPath(spec))
		if !ok || sameExample(s.dir, target) {
			continue
		}
		below, known := layerOf(target)
		var what string
		switch {
		case isTestOnly(target):
			what = fmt.Sprintf("imports %s, which consists of tests", target)
		case isTestOnly(s.dir):
			what = fmt.Sprintf("imports %s: outside of test files, a package of tests imports nothing of ours", named(target))
		case !known:
			what = fmt.Sprintf("imports %s, which is not in the table of layers", named(target))
		case below >= layer:
			what = fmt.Sprintf("%s (layer %d) imports %s (layer %d)", named(s.dir), layer, named(target), below)
		default:
			continue
		}
		found = append(found, violation{m.at(spec.Pos()), what})
	}
	return found
}

// sameExample says whether both packages belong to one example program: a thin
// main may import its own application.
func sameExample(a, b string) bool {
	first, second := strings.Split(a, "/"), strings.Split(b, "/")
	return len(first) > 1 && len(second) > 1 && first[0] == "examples" && second[0] == "examples" && first[1] == second[1]
}

func checkRootImports(m *module) (found []violation) {
	for _, s := range m.production() {
		if s.dir != "" {
			continue
		}
		for _, spec := range s.file.Imports {
			imported := importPath(spec)
			dir, own := ours(imported)
			allowed := standard(imported) || own && (dir == "client" || dir == "internal/program" || dir == "internal/msg" || dir == "internal/form" || dir == "internal/plain" || dir == "internal/workflow")
			if !allowed {
				found = append(found, violation{m.at(spec.Pos()), "the root package imports " + imported})
			}
		}
	}
	return found
}

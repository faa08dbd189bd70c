package archtest

import (
	"fmt"
	"go/ast"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

func hygieneRules() []rule {
	return []rule{{
		name: "nothing runs by being imported",
		reason: "wiring that happens in init or behind a blank or dot import cannot be seen, ordered or left out; server " +
			"and cmd wire by calling",
		check: checkImplicitWiring,
	}, {
		name:   "production does not import testing",
		reason: "helpers of tests belong into test files or into a package whose name ends in test",
		check:  checkTestingImports,
	}, {
		name:   "a skip says why",
		reason: "a test that is skipped in silence is a test that does not exist; .ci/run counts skips with their reasons",
		check:  checkSkips,
	}, {
		name:   "no work is left in comments",
		reason: "what is left to do belongs into an issue, where somebody decides about it",
		check:  checkLeftovers,
	}, {
		name: "the project names nobody's machine",
		reason: "a path, a proxy or a host of one workplace works nowhere else; what a reader needs stands in the " +
			"repository",
		check: checkMentions,
	}}
}

// isTestPackage says whether a package exists to be imported by tests.
func isTestPackage(dir string) bool { return strings.HasSuffix(path.Base(dir), "test") }

func checkImplicitWiring(m *module) (found []violation) {
	for _, s := range m.production() {
		for _, spec := range s.file.Imports {
			if spec.Name == nil || importPath(spec) == "embed" {
				continue
			}
			if name := spec.Name.Name; name == "_" || name == "." {
				found = append(found, violation{m.at(spec.Pos()), "imports " + importPath(spec) + " as " + name})
			}
		}
		for _, declaration := range s.file.Decls {
			f, ok := declaration.(*ast.FuncDecl)
			if ok && f.Recv == nil && f.Name.Name == "init" && !s.generated {
				found = append(found, violation{m.at(f.Pos()), "has an init function"})
			}
		}
	}
	return found
}

func checkTestingImports(m *module) (found []violation) {
	for _, s := range m.production() {
		if isTestPackage(s.dir) {
			continue
		}
		for _, spec := range s.file.Imports {
			imported := importPath(spec)
			if within(imported, "testing") || strings.HasSuffix(imported, "test") && !standard(imported) || imported == "net/http/httptest" {
				found = append(found, violation{m.at(spec.Pos()), "production imports " + imported})
			}
		}
	}
	return found
}

func checkSkips(m *module) (found []violation) {
	for _, s := range m.sources {
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			selector, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			name := selector.Sel.Name
			silent := name == "SkipNow" || (name == "Skip" || name == "Skipf") && len(call.Args) == 0
			if id, ok := selector.X.(*ast.Ident); ok && silent && (id.Name == "t" || id.Name == "b" || id.Name == "f" || id.Name == "tb") {
				found = append(found, violation{m.at(call.Pos()), "skips without a reason"})
			}
			return true
		})
	}
	return found
}

var leftover = regexp.MustCompile(`\b(TODO|FIXME|XXX|HACK)\b`)

func checkLeftovers(m *module) (found []violation) {
	for _, s := range m.sources {
		for _, group := range s.file.Comments {
			if word := leftover.FindString(group.Text()); word != "" {
				found = append(found, violation{m.at(group.Pos()), "has a " + word})
			}
		}
	}
	return found
}

// The shapes of names that mean something on one machine only.
var (
	homePath    = regexp.MustCompile(`(?:^|[^\w.:])/(?:home|root|Users|work|farm|workspace)/`)
	privateHost = regexp.MustCompile(`https?://[\w.-]+\.(?:internal|local|lan|corp|intranet)\b`)
	proxy       = regexp.MustCompile(`\b(?:GOPROXY|GONOSUMDB|GONOSUMCHECK|GOINSECURE)=`)
	upward      = regexp.MustCompile(`(?:\.\./)+[\w.-]+`)
)

func checkMentions(m *module) (found []violation) {
	for _, name := range slices.Sorted(maps.Keys(m.texts)) {
		number := 0
		for line := range strings.Lines(m.texts[name]) {
			number++
			what := mention(line)
			if what == "" && path.Ext(name) != ".go" {
				what = escape(name, line)
			}
			if what != "" {
				found = append(found, violation{fmt.Sprintf("%s:%d", name, number), what})
			}
		}
	}
	for _, s := range m.sources { // strings in code may hold hostile paths, comments may not
		for _, group := range s.file.Comments {
			if what := escape(s.path, group.Text()); what != "" {
				found = append(found, violation{m.at(group.Pos()), what})
			}
		}
	}
	return found
}

// mention says what a line names that only one machine has, or nothing.
func mention(line string) string {
	switch {
	case homePath.MatchString(line):
		return "names a directory of one machine: " + strings.TrimSpace(line)
	case privateHost.MatchString(line):
		return "names a private host: " + strings.TrimSpace(line)
	case proxy.MatchString(line):
		return "sets up a module proxy: " + strings.TrimSpace(line)
	}
	return ""
}

// escape says which relative path in a text leads out of the repository.
func escape(name, text string) string {
	for _, relative := range upward.FindAllString(text, -1) {
		if strings.HasPrefix(path.Join(path.Dir(name), relative), "..") {
			return "names something outside of the repository: " + relative
		}
	}
	return ""
}

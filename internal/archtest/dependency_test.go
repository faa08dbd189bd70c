package archtest

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
)

// budget says which packages may import which third-party modules outside of
// tests. A module that is in go.mod and in neither list fails: what a project
// depends on is decided in a diff of this file.
var budget = []struct {
	module string
	users  []string // directories, with what is below them; none: tests only
}{
	{"github.com/spf13/cobra", []string{"internal/cli", "cmd"}},
	{"github.com/spf13/pflag", []string{"internal/cli", "cmd"}},
	{"github.com/prometheus/client_golang", []string{"internal/ingress", "internal/frontend", "internal/node", "server", "internal/cli", "internal/sidecar"}},
	{"github.com/prometheus/client_model", nil},
	{"github.com/tidwall/btree", []string{"internal/engine", "internal/field", "internal/partition", "internal/world"}},
	{"golang.org/x/sys", []string{"host/embedded", "internal/executor", "internal/node", "internal/cli", "bench"}},
	{"golang.org/x/tools", []string{"cmd/holdfast-vet", "internal/vet"}}, // the protocol of go vet -vettool, facts across packages
	{"google.golang.org/protobuf", []string{"internal/frontend/cloudstate"}},
	{"google.golang.org/grpc", []string{"internal/frontend/cloudstate"}},
	{"pgregory.net/rapid", nil},
	{"github.com/cockroachdb/datadriven", nil},
	{"github.com/anishathalye/porcupine", nil},
	{"go.uber.org/goleak", nil},
}

// underneath are modules that those of the budget bring along.
var underneath = []string{
	"github.com/beorn7/perks", "github.com/cespare/xxhash/v2", "github.com/inconshreveable/mousetrap",
	"github.com/munnerz/goautoneg", "github.com/pmezard/go-difflib", "github.com/prometheus/common",
	"github.com/prometheus/procfs", "go.yaml.in/yaml/v2", "github.com/kylelemons/godebug",
	"golang.org/x/mod", "golang.org/x/sync", // under golang.org/x/tools
}

// analyzer is the package with the rules of holdfast-vet, and analyzerUser the
// only one that may be compiled with it.
const (
	analyzer     = "internal/vet"
	analyzerUser = "cmd/holdfast-vet"
)

// reach says which third-party modules a package may reach, directly or not.
// What a service author imports must stay small: it is compiled into every
// service.
var reach = []struct {
	dir     string
	modules []string
}{
	{"", nil},
	{"client", nil},
	{"holdfasttest", []string{"github.com/tidwall/btree", "golang.org/x/sys"}}, // it simulates a server
	{"server", []string{
		"github.com/tidwall/btree", "golang.org/x/sys",
		"github.com/prometheus/client_golang", "github.com/prometheus/client_model", "github.com/prometheus/common",
		"github.com/prometheus/procfs", "github.com/beorn7/perks", "github.com/cespare/xxhash/v2",
		"github.com/munnerz/goautoneg", "google.golang.org/protobuf", // underneath prometheus
	}},
}

func dependencyRules() []rule {
	const reason = "every module is code that nobody here reviews, that every user compiles and that the simulator cannot fault"
	return []rule{{
		name:   "third-party modules stay where the budget puts them",
		reason: reason,
		check:  checkDirectDependencies,
	}, {
		name:   "go.mod names only modules of the budget",
		reason: reason,
		check:  checkGoMod,
	}, {
		name: "what a service author imports reaches few modules",
		reason: "root, client and server are compiled into every service; commands, gRPC, brokers and the like live in " +
			"packages that only cmd/holdfast reaches",
		check: checkReach,
	}, {
		name: "only holdfast-vet is compiled with the analyzer",
		reason: "an analyzer brings golang.org/x/tools and a type checker along; a service, the command line and what " +
			"tests import must not get bigger because of it",
		check: checkAnalyzer,
	}}
}

// moduleOf finds the module of an import in the budget.
func moduleOf(imported string) (users []string, known bool) {
	for _, row := range budget {
		if within(imported, row.module) {
			return row.users, true
		}
	}
	return nil, false
}

func checkDirectDependencies(m *module) (found []violation) {
	for _, s := range m.sources {
		for _, spec := range s.file.Imports {
			imported := importPath(spec)
			if _, own := ours(imported); own || standard(imported) || imported == "C" {
				continue
			}
			users, known := moduleOf(imported)
			allowed := s.test || isTestPackage(s.dir) || slices.ContainsFunc(users, func(u string) bool { return within(s.dir, u) })
			switch {
			case !known:
				found = append(found, violation{m.at(spec.Pos()), imported + " is not in the budget (dependency_test.go)"})
			case !allowed:
				found = append(found, violation{m.at(spec.Pos()), fmt.Sprintf("%s imports %s; outside of tests only %s may", named(s.dir), imported, listed(users))})
			}
		}
	}
	return found
}

func listed(users []string) string {
	if len(users) == 0 {
		return "nobody"
	}
	return strings.Join(users, ", ")
}

func checkGoMod(m *module) (found []violation) {
	inRequire := false
	for line := range strings.Lines(m.gomod) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		switch {
		case fields[0] == "replace":
			found = append(found, violation{"go.mod", "replaces a module: " + strings.TrimSpace(line)})
		case fields[0] == ")":
			inRequire = false
		case fields[0] == "require" && len(fields) > 1 && fields[1] == "(":
			inRequire = true
		case fields[0] == "require" && len(fields) > 1:
			found = append(found, requirement(fields[1])...)
		case inRequire:
			found = append(found, requirement(fields[0])...)
		}
	}
	return found
}

func requirement(required string) []violation {
	for _, row := range budget {
		if row.module == required {
			return nil
		}
	}
	if slices.Contains(underneath, required) {
		return nil
	}
	return []violation{{"go.mod", required + " is not in the budget (dependency_test.go)"}}
}

func checkReach(m *module) (found []violation) {
	_, of := packages(m.production())
	for _, row := range reach {
		if len(of[row.dir]) == 0 {
			continue
		}
		modules, err := m.reached(row.dir)
		if err != nil {
			found = append(found, violation{named(row.dir), err.Error()})
			continue
		}
		for _, reached := range modules {
			if !slices.Contains(row.modules, reached) {
				found = append(found, violation{named(row.dir), "reaches the module " + reached})
			}
		}
	}
	return found
}

func checkAnalyzer(m *module) (found []violation) {
	for _, s := range m.production() {
		for _, spec := range s.file.Imports {
			dir, own := ours(importPath(spec))
			if own && within(dir, analyzer) && s.dir != analyzerUser && !within(s.dir, analyzer) {
				found = append(found, violation{m.at(spec.Pos()), named(s.dir) + " imports " + dir})
			}
		}
	}
	return found
}

// reached lists the third-party modules behind a package: what the module's
// own files import, and what stands behind that according to the go command.
func (m *module) reached(dir string) ([]string, error) {
	_, of := packages(m.production())
	checker := &typeChecker{files: of}
	external := slices.DeleteFunc(checker.externals([]string{dir}), standard)
	if len(external) == 0 {
		return nil, nil
	}
	args := append([]string{"list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}"}, external...)
	out, err := exec.Command("go", args...).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("go list: %w: %s", err, out)
	}
	modules := strings.Fields(string(out))
	slices.Sort(modules)
	return slices.Compact(modules), nil
}

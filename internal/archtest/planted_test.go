package archtest

import (
	"strings"
	"testing"
)

// plant is a small module that breaks a rule in one place, or in none.
type plant struct {
	name  string            // a sentence
	files map[string]string // path → text
	want  string            // in the violation; empty: there must be none
}

// one makes a module of one file.
func one(name, text string) map[string]string { return map[string]string{name: text} }

// pureCode makes a file of the engine with a function body.
func pureCode(imports, body string) map[string]string {
	return one("internal/engine/x.go", "package engine\n"+imports+"\nfunc f(m map[string]int) []string {\n"+body+"\n}\n")
}

// lines makes text of n lines.
func lines(line string, n int) string { return strings.Repeat(line+"\n", n) }

// TestEveryRuleFindsWhatIsPlanted shows for each rule that it can fail, where
// it does, and that it lets pass what obeys.
func TestEveryRuleFindsWhatIsPlanted(t *testing.T) {
	for _, r := range rules() {
		t.Run(r.name, func(t *testing.T) {
			plants := planted[r.name]
			broken := 0
			for _, p := range plants {
				checkPlant(t, r, p)
				if p.want != "" {
					broken++
				}
			}
			if broken == 0 || broken == len(plants) {
				t.Errorf("rule has %d plants of which %d break it, want some of both", len(plants), broken)
			}
			if len(strings.Fields(r.reason)) < 8 {
				t.Errorf("reason %q does not say why", r.reason)
			}
		})
	}
}

// TestEveryPlantBelongsToARule finds plants that are never looked at.
func TestEveryPlantBelongsToARule(t *testing.T) {
	names := map[string]bool{}
	for _, r := range rules() {
		names[r.name] = true
	}
	for name := range planted {
		if !names[name] {
			t.Errorf("there are plants for %q, which is no rule", name)
		}
	}
}

func checkPlant(t *testing.T, r rule, p plant) {
	t.Helper()
	m, err := newModule(p.files)
	if err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
	found := r.check(m)
	switch {
	case p.want == "" && len(found) > 0:
		t.Errorf("%s: got %v, want no violation", p.name, found)
	case p.want != "" && len(found) == 0:
		t.Errorf("%s: got no violation, want one with %q", p.name, p.want)
	case p.want != "" && !strings.Contains(found[0].what, p.want):
		t.Errorf("%s: got %v, want %q", p.name, found, p.want)
	}
}

// importing makes a file that imports packages of the module.
func importing(file, pkg string, dirs ...string) map[string]string {
	text := "package " + pkg + "\n"
	for _, dir := range dirs {
		text += "import _ \"" + strings.TrimSuffix(modulePath+"/"+dir, "/") + "\"\n"
	}
	return one(file, text)
}

// planted holds the plants of each rule by its name.
var planted = map[string][]plant{
	"packages import strictly lower layers": {
		{"an engine that imports the layer above", importing("internal/engine/x.go", "engine", "internal/partition"), "(layer 2) imports internal/partition (layer 3)"},
		{"an engine that imports its own layer", importing("internal/engine/x.go", "engine", "internal/program"), "(layer 2) imports internal/program (layer 2)"},
		{"a server that imports the command line", importing("server/x.go", "server", "internal/cli"), "imports internal/cli (layer 7)"},
		{"two examples that know each other", importing("examples/bank/x.go", "main", "examples/counter/counter"), "imports examples/counter/counter"},
		{"a package without a layer", importing("internal/util/x.go", "util"), "not in the table"},
		{"an import of a package without a layer", importing("server/x.go", "server", "internal/util"), "not in the table"},
		{"production that imports a package of tests", importing("server/x.go", "server", "internal/doctest"), "consists of tests"},
		{"a package of tests that imports the server", importing("internal/doctest/doc.go", "doctest", "server"), "imports nothing of ours"},
		{"a partition driver that imports the partition", importing("internal/partition/driver/x.go", "driver", "internal/partition", "internal/executor"), ""},
		{"a test that imports upwards", importing("internal/engine/x_test.go", "engine", "server"), ""},
		{"an example that imports its application", importing("examples/bank/x.go", "main", "examples/bank/bank", "server", ""), ""},
	},
	"the root imports the standard library, client, program, msg, form, plain and workflow": {
		{"a root that imports the host", importing("x.go", "holdfast", "host"), "imports " + modulePath + "/host"},
		{"a root that imports a third party", one("x.go", "package holdfast\nimport _ \"github.com/tidwall/btree\"\n"), "btree"},
		{"a root that imports what it may", importing("x.go", "holdfast", "client", "internal/msg", "internal/program"), ""},
		{"another package that imports the host", importing("server/x.go", "server", "host"), ""},
	},
	"pure packages import only what is pure": {
		{"an engine with locks", one("internal/engine/x.go", "package engine\nimport _ \"sync\"\n"), "imports sync"},
		{"an engine with atomics", one("internal/engine/x.go", "package engine\nimport _ \"sync/atomic\"\n"), "imports sync/atomic"},
		{"messages that read files", one("internal/msg/x.go", "package msg\nimport _ \"os\"\n"), "imports os"},
		{"a partition with a network", one("internal/partition/x.go", "package partition\nimport _ \"net\"\n"), "imports net"},
		{"a replica that logs", one("replica/raft/x.go", "package raft\nimport _ \"log/slog\"\n"), "imports log/slog"},
		{"an engine with the old random source", one("internal/engine/x.go", "package engine\nimport _ \"math/rand\"\n"), "imports math/rand"},
		{"a partition that imports the driver", importing("internal/partition/x.go", "partition", "internal/partition/driver"), "partition/driver"},
		{"a driver with locks", one("internal/partition/driver/x.go", "package driver\nimport _ \"sync\"\n"), ""},
		{"a test of the engine with locks", one("internal/engine/x_test.go", "package engine\nimport _ \"sync\"\n"), ""},
		{"an engine with messages", importing("internal/engine/x.go", "engine", "internal/msg", "internal/invariant"), ""},
	},
	"pure packages neither start, wait nor look at the world": {
		{"a goroutine", pureCode("", "go f(m); return nil"), "starts a goroutine"},
		{"a select", pureCode("", "select {}"), "selects"},
		{"a channel type", pureCode("", "var c <-chan int; _ = c; return nil"), "channel type"},
		{"a clock", pureCode(`import "time"`, "_ = time.Now(); return nil"), "time.Now"},
		{"a clock under another name", pureCode(`import clock "time"`, "_ = clock.Since; return nil"), "time.Since"},
		{"a clock without a name", pureCode(`import . "time"`, "Sleep(1); return nil"), "time.Sleep"},
		{"the zone of the machine", pureCode(`import "time"`, "_ = time.Local; return nil"), "time.Local"},
		{"the global random source", pureCode(`import "math/rand/v2"`, "_ = rand.IntN(3); return nil"), "global random"},
		{"standard output", pureCode(`import "fmt"`, "fmt.Println(m); return nil"), "fmt.Println"},
		{"standard error", pureCode("", "println(1); return nil"), "println"},
		{"a coroutine", pureCode(`import "iter"`, "iter.Pull[int](nil); return nil"), "iter.Pull"},
		{"code that does not type-check", pureCode("", "return 1"), "does not type-check"},
		{"times and durations as values", pureCode(`import "time"`, "_ = time.Unix(0, 0).Add(time.Second).UTC(); return nil"), ""},
		{"randomness from a seed", pureCode(`import "math/rand/v2"`, "_ = rand.New(rand.NewPCG(1, 2)).IntN(3); return nil"), ""},
		{"a local that is called like a clock", pureCode("", "type clock struct{ Now int }\n time := clock{}; _ = time.Now; return nil"), ""},
		{"a driver with a goroutine", one("internal/partition/driver/x.go", "package driver\nfunc f() { go f() }\n"), ""},
	},
	"pure packages do not depend on the order of a map": {
		{"a range over a map", pureCode("", "for k := range m { return []string{k} }; return nil"), "ranges over a map"},
		{"a range over a named map", pureCode("", "type table map[string]int\nfor k := range table(m) { return []string{k} }; return nil"), "ranges over a map"},
		{"keys that are collected and not sorted", pureCode("", "var keys []string; for k := range m { keys = append(keys, k) }; return keys"), "ranges over a map"},
		{"keys that are sorted elsewhere", pureCode(`import "slices"`, "var keys []string; for k := range m { keys = append(keys, k) }; func() { slices.Sort([]string{}) }(); return keys"), "ranges over a map"},
		{"a sequence of keys", pureCode(`import ("maps"; "slices")`, "return slices.Collect(maps.Keys(m))"), "without sorting"},
		{"a sum of floats", pureCode("", "var x float64; for _, v := range m { x += float64(v) }; _ = x; return nil"), "ranges over a map"},
		{"a call for each entry", pureCode("", "for range m { f(m) }; return nil"), "ranges over a map"},
		{"keys that are sorted in the same function", pureCode(`import "slices"`, "var keys []string; for k, v := range m { if v > 1 { keys = append(keys, k) } }; slices.Sort(keys); return keys"), ""},
		{"keys that are sorted at once", pureCode(`import ("maps"; "slices")`, "return slices.Sorted(maps.Keys(m))"), ""},
		{"a sum of integers", pureCode("", "n := 0; for _, v := range m { n += v }; _ = n; return nil"), ""},
		{"a copy, a minimum and a removal", pureCode("", "o, n := map[string]int{}, 0; for k, v := range m { o[k] = v; n = min(n, v); delete(m, k) }; return nil"), ""},
		{"a range over a slice", pureCode("", "for _, s := range []string{} { return []string{s} }; return nil"), ""},
	},
	"functions have at most 70 lines": {
		{"a function of 71 lines", one("x.go", "package holdfast\nfunc f() {\n"+lines("", 69)+"}\n"), "f has 71 lines"},
		{"a literal of 72 lines", one("x.go", "package holdfast\nvar f = func() {\n"+lines("", 70)+"}\n"), "has 72 lines"},
		{"a test of 71 lines", one("x_test.go", "package holdfast\nfunc f() {\n"+lines("", 69)+"}\n"), "f has 71 lines"},
		{"a function of 70 lines", one("x.go", "package holdfast\nfunc f() {\n"+lines("", 68)+"}\n"), ""},
		{"a generated function", one("x.go", "// Code generated by x. DO NOT EDIT.\npackage holdfast\nfunc f() {\n"+lines("", 90)+"}\n"), ""},
	},
	"files have at most 1,000 lines": {
		{"a file of 1,001 lines", one("host/x.go", "package host\n"+lines("", 1_000)), "has 1001 lines"},
		{"a file of 1,000 lines", one("host/x.go", "package host\n"+lines("", 999)), ""},
		{"a long test", one("host/x_test.go", "package host\n"+lines("", 3_000)), ""},
	},
	"packages have at most 6,000 lines, the root 5,800, the engine 7,500": {
		{"a root of 5,801 lines", one("x.go", "package holdfast\n"+lines("", 5_800)), "has 5801 lines"},
		{"an engine of 7,501 lines", one("internal/engine/x.go", "package engine\n"+lines("", 7_500)), "has 7501 lines"},
		{"a package of 6,002 lines", map[string]string{"host/x.go": "package host\n" + lines("", 3_000), "host/y.go": "package host\n" + lines("", 3_000)}, "has 6002 lines"},
		{"a package of 4,001 lines", one("host/x.go", "package host\n"+lines("", 4_000)), ""},
	},
	"the live driver has at most 150 lines of code": {
		{"a driver of 151 lines of code", one("internal/partition/driver/x.go", "package driver\n"+lines("var _ = 1", 150)), "has 151 lines"},
		{"a driver of 150 lines and comments", one("internal/partition/driver/x.go", "package driver\n\n// Why.\n/* a\nb */\n"+lines("var _ = 1", 149)), ""},
	},
	"every package has a doc": {
		{"a package without a doc", one("host/x.go", "package host\n"), "no package comment"},
		{"a package whose doc is about another", one("host/x.go", "// Package guest is there.\npackage host\n"), "no package comment"},
		{"a package whose only doc is in a test", map[string]string{"host/x.go": "package host\n", "host/x_test.go": "// Package host is.\npackage host\n"}, "no package comment"},
		{"a package with a doc", one("host/x.go", "// Package host is.\npackage host\n"), ""},
		{"a command with a doc", one("cmd/holdfast/main.go", "// Holdfast runs.\npackage main\n"), ""},
	},
	"every exported name has a doc comment": {
		{"a function", one("host/x.go", "package host\nfunc F() {}\n"), "exported F"},
		{"a method", one("host/x.go", "package host\ntype t struct{}\n// T is.\ntype T[A any] struct{}\nfunc (*T[A]) M() {}\n"), "exported M"},
		{"a type in a group", one("host/x.go", "package host\n// Types.\ntype (\n\tT struct{}\n)\n"), "exported T"},
		{"a constant", one("host/x.go", "package host\nconst C = 1\n"), "exported C"},
		{"a variable", one("host/x.go", "package host\nvar a, V int\n"), "exported V"},
		{"a group of constants with a comment", one("host/x.go", "package host\n// The colours.\nconst (\n\tRed = 1\n\tBlue = 2 \n)\n"), ""},
		{"what nobody sees and what is well known", one("host/x.go", "package host\nfunc f() {}\ntype t struct{}\nfunc (t) M() {}\n// T is.\ntype T struct{}\nfunc (T) String() string { return \"\" }\n"), ""},
	},
	"third-party modules stay where the budget puts them": {
		{"a server with cobra", one("server/x.go", "package server\nimport _ \"github.com/spf13/cobra\"\n"), "only internal/cli, cmd may"},
		{"a server with a test library", one("server/x.go", "package server\nimport _ \"go.uber.org/goleak\"\n"), "only nobody may"},
		{"a module nobody decided on", one("server/x_test.go", "package server\nimport _ \"github.com/stretchr/testify\"\n"), "not in the budget"},
		{"a command with cobra", one("internal/cli/x.go", "package cli\nimport _ \"github.com/spf13/cobra\"\n"), ""},
		{"a test with a test library", one("server/x_test.go", "package server\nimport _ \"go.uber.org/goleak\"\n"), ""},
		{"a suite with a test library", one("host/hosttest/x.go", "package hosttest\nimport _ \"pgregory.net/rapid\"\n"), ""},
	},
	"go.mod names only modules of the budget": {
		{"a module in a block", one("go.mod", "module x\nrequire (\n\tgithub.com/stretchr/testify v1.0.0\n)\n"), "testify is not in the budget"},
		{"a module on a line", one("go.mod", "module x\nrequire github.com/stretchr/testify v1.0.0 // indirect\n"), "testify is not in the budget"},
		{"a replacement", one("go.mod", "module x\nreplace a => ./b\n"), "replaces a module"},
		{"modules of the budget", one("go.mod", "module x\n\ngo 1.26.0\n\nrequire (\n\tgithub.com/spf13/cobra v1.0.0\n\tgithub.com/beorn7/perks v1.0.1 // indirect\n)\n"), ""},
	},
	"what a service author imports reaches few modules": {
		{"a root that reaches an ordered map", map[string]string{
			"x.go":                 "package holdfast\nimport _ \"" + modulePath + "/internal/engine\"\n",
			"internal/engine/x.go": "package engine\nimport _ \"github.com/tidwall/btree\"\n",
		}, "reaches the module github.com/tidwall/btree"},
		{"a server that reaches the command line's flags", map[string]string{
			"server/x.go":       "package server\nimport _ \"" + modulePath + "/internal/cli\"\n",
			"internal/cli/x.go": "package cli\nimport _ \"github.com/spf13/cobra\"\n",
		}, "github.com/spf13/"},
		{"a server with metrics", one("server/x.go", "package server\nimport _ \"github.com/prometheus/client_golang/prometheus\"\n"), ""},
		{"a root of the standard library", one("x.go", "package holdfast\nimport _ \"fmt\"\n"), ""},
	},
	"only holdfast-vet is compiled with the analyzer": {
		{"a command line with the analyzer", importing("cmd/holdfast/x.go", "main", "internal/vet"), "cmd/holdfast imports internal/vet"},
		{"holdfast-vet with the analyzer", importing("cmd/holdfast-vet/x.go", "main", "internal/vet"), ""},
		{"an analyzer with its module", one("internal/vet/x.go", "package vet\nimport _ \"golang.org/x/tools/go/analysis\"\n"), ""},
	},
	"nothing runs by being imported": {
		{"an init function", one("host/x.go", "package host\nfunc init() {}\n"), "init function"},
		{"a blank import", one("host/x.go", "package host\nimport _ \"net/http/pprof\"\n"), "as _"},
		{"a dot import", one("host/x.go", "package host\nimport . \"fmt\"\n"), "as ."},
		{"embedded files and a method called init", one("ui/x.go", "package ui\nimport _ \"embed\"\ntype t struct{}\nfunc (t) init() {}\n"), ""},
	},
	"production does not import testing": {
		{"a server with testing", one("server/x.go", "package server\nimport _ \"testing\"\n"), "imports testing"},
		{"a server with a test server", one("server/x.go", "package server\nimport _ \"net/http/httptest\"\n"), "httptest"},
		{"a server with our own suite", importing("server/x.go", "server", "host/hosttest"), "host/hosttest"},
		{"a suite with testing", one("host/hosttest/x.go", "package hosttest\nimport _ \"testing\"\n"), ""},
		{"a test with testing", one("server/x_test.go", "package server\nimport _ \"testing\"\n"), ""},
	},
	"a skip says why": {
		{"a skip without a word", one("host/x_test.go", "package host\nfunc f(t T) { t.SkipNow() }\n"), "without a reason"},
		{"an empty skip", one("host/x_test.go", "package host\nfunc f(t T) { t.Skip() }\n"), "without a reason"},
		{"a skip with a reason", one("host/x_test.go", "package host\nfunc f(t T) { t.Skip(\"needs a disk\") }\n"), ""},
	},
	"no work is left in comments": {
		{"a left-over", one("host/x.go", "package host\n// TO"+"DO: more.\n"), "has a TO"},
		{"a comment", one("host/x.go", "package host\n// What is done is done.\n"), ""},
	},
	"the project names nobody's machine": {
		{"a home directory", one("docs/x.md", "Look into /ho"+"me/ann/notes.\n"), "directory of one machine"},
		{"a workplace in a string", one("host/x.go", "package host\nconst dir = \"/wo"+"rk/main\"\n"), "directory of one machine"},
		{"a directory outside of the repository", one("docs/x.md", "See .."+"/../elsewhere/notes.md.\n"), "outside of the repository"},
		{"the same in a comment", one("host/x.go", "package host\n// See .."+"/../elsewhere/notes.md.\n"), "outside of the repository"},
		{"a private registry", one("docs/x.md", "docker pull https://registry."+"lan/x\n"), "private host"},
		{"a module proxy", one(".ci/run", "export GOPROXY"+"=https://proxy.example.com\n"), "module proxy"},
		{"links inside the repository", one("docs/guide/x.md", "See ../adr/0001.md and https://example.com/home/page.\n"), ""},
		{"a hostile key in a test", one("host/x_test.go", "package host\nconst key = \"../../../etc\"\n"), ""},
	},
}

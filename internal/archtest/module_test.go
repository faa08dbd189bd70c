package archtest

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// modulePath is the import path of the root package.
const modulePath = "github.com/holdfast-io/holdfast"

// source is one parsed Go file.
type source struct {
	path      string // slash-separated, from the root of the module
	dir       string // of its package; "" is the root
	test      bool   // *_test.go
	generated bool   // written by a program
	file      *ast.File
	text      []byte
}

// module is what the rules look at: every Go file, and every text file.
type module struct {
	fset    *token.FileSet
	sources []*source
	texts   map[string]string // path → content, of documents and scripts
	gomod   string
}

// violation is one place that breaks a rule.
type violation struct{ where, what string }

// rule is one thing that must hold everywhere.
type rule struct {
	name   string
	reason string // why the rule exists; printed with every violation
	check  func(*module) []violation
}

// rules lists what the tests in this package hold.
func rules() []rule {
	return slices.Concat(layerRules(), purityRules(), sizeRules(), documentRules(), dependencyRules(), hygieneRules())
}

// TestTheModuleObeysItsRules applies every rule to the code base.
func TestTheModuleObeysItsRules(t *testing.T) {
	m, err := loadModule(moduleRoot(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules() {
		t.Run(r.name, func(t *testing.T) {
			for _, v := range r.check(m) {
				t.Errorf("%s: %s\n\twhy: %s", v.where, v.what, r.reason)
			}
		})
	}
}

// moduleRoot is the directory with go.mod above the test.
func moduleRoot(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("no go.mod above the test")
		}
		dir = parent
	}
}

// loadModule reads every Go file and every document of the module at root.
// Nested modules, test data and what git ignores are other people's.
func loadModule(root string) (*module, error) {
	files := map[string]string{}
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		relative = filepath.ToSlash(relative)
		if entry.IsDir() {
			if relative != "." && foreignDirectory(name, entry.Name()) {
				return filepath.SkipDir
			}
			return nil
		}
		if !isText(relative) || !entry.Type().IsRegular() {
			return nil
		}
		text, err := os.ReadFile(name)
		files[relative] = string(text)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the module at %s: %w", root, err)
	}
	return newModule(files)
}

// foreignDirectory says whether the rules stop at a directory.
func foreignDirectory(name, base string) bool {
	switch {
	case base == ".ci", base == ".github":
		return false
	case strings.HasPrefix(base, "."), strings.HasPrefix(base, "_"), base == "testdata":
		return true
	case strings.HasPrefix(base, "holdfast-bench-"), base == "node_modules": // data of a benchmark run, packages of npm
		return true
	}
	_, err := os.Stat(filepath.Join(name, "go.mod"))
	return err == nil
}

// isText says whether a file is written by people.
func isText(name string) bool {
	switch path.Ext(name) {
	case ".go", ".md", ".sh", ".yml", ".yaml", ".proto", ".mod":
		return true
	}
	return strings.HasPrefix(name, ".ci/")
}

// newModule parses files, which are keyed by their path from the root.
func newModule(files map[string]string) (*module, error) {
	m := &module{fset: token.NewFileSet(), texts: map[string]string{}}
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		m.texts[name] = files[name]
		if name == "go.mod" {
			m.gomod = files[name]
		}
		if path.Ext(name) != ".go" {
			continue
		}
		s, err := parseSource(m.fset, name, []byte(files[name]))
		if err != nil {
			return nil, err
		}
		m.sources = append(m.sources, s)
	}
	return m, nil
}

func parseSource(fset *token.FileSet, name string, text []byte) (*source, error) {
	file, err := parser.ParseFile(fset, name, text, parser.ParseComments)
	if err != nil {
		return nil, fmt.Errorf("parse: %w", err)
	}
	dir := path.Dir(name)
	if dir == "." {
		dir = ""
	}
	return &source{
		path:      name,
		dir:       dir,
		test:      strings.HasSuffix(name, "_test.go"),
		generated: ast.IsGenerated(file),
		file:      file,
		text:      text,
	}, nil
}

// production lists the files that are not tests.
func (m *module) production() []*source {
	var list []*source
	for _, s := range m.sources {
		if !s.test {
			list = append(list, s)
		}
	}
	return list
}

// packages groups sources by directory, in order.
func packages(sources []*source) (dirs []string, of map[string][]*source) {
	of = map[string][]*source{}
	for _, s := range sources {
		if _, ok := of[s.dir]; !ok {
			dirs = append(dirs, s.dir)
		}
		of[s.dir] = append(of[s.dir], s)
	}
	slices.Sort(dirs)
	return dirs, of
}

// at names a place in the way that editors understand.
func (m *module) at(p token.Pos) string {
	position := m.fset.Position(p)
	return fmt.Sprintf("%s:%d", position.Filename, position.Line)
}

// lines counts the lines of a file.
func (s *source) lines() int {
	n := bytes.Count(s.text, []byte("\n"))
	if len(s.text) > 0 && s.text[len(s.text)-1] != '\n' {
		n++
	}
	return n
}

// imports lists what a file imports.
func (s *source) imports() []string {
	list := make([]string, 0, len(s.file.Imports))
	for _, spec := range s.file.Imports {
		list = append(list, importPath(spec))
	}
	return list
}

func importPath(spec *ast.ImportSpec) string {
	p, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		return spec.Path.Value
	}
	return p
}

// ours gives the directory of an import of this module.
func ours(imported string) (dir string, ok bool) {
	if imported == modulePath {
		return "", true
	}
	return strings.CutPrefix(imported, modulePath+"/")
}

// standard says whether an import is of the standard library: the first
// element of its path has no dot.
func standard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".")
}

// within says whether dir is base or below it.
func within(dir, base string) bool {
	return dir == base || strings.HasPrefix(dir, base+"/")
}

// named shows a package directory, also that of the root.
func named(dir string) string {
	if dir == "" {
		return "the root package"
	}
	return dir
}

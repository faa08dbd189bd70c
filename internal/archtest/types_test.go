package archtest

import (
	"errors"
	"fmt"
	"go/ast"
	"go/build/constraint"
	"go/importer"
	"go/types"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
)

// eachPure checks the types of every pure package and looks at its files. What
// does not type-check is a violation itself: nothing could be said about it.
func (m *module) eachPure(look func(*types.Info, *ast.File) []violation) (found []violation) {
	dirs, _ := packages(m.production())
	dirs = slices.DeleteFunc(dirs, func(dir string) bool { return !isPure(dir) })
	checker, err := newTypeChecker(m, dirs)
	if err != nil {
		return []violation{{"go list", err.Error()}}
	}
	for _, dir := range dirs {
		if _, err := checker.check(dir); err != nil {
			found = append(found, violation{dir, "does not type-check: " + err.Error()})
			continue
		}
		for _, s := range checker.files[dir] {
			found = append(found, look(checker.info, s.file)...)
		}
	}
	return found
}

// typeChecker gives names their meaning. Packages of the module are checked
// from their source; others come from the compiler's export data.
type typeChecker struct {
	module   *module
	files    map[string][]*source
	info     *types.Info
	checked  map[string]*types.Package
	external types.Importer
}

func newTypeChecker(m *module, dirs []string) (*typeChecker, error) {
	_, files := packages(m.production())
	c := &typeChecker{
		module:  m,
		files:   files,
		info:    &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{}},
		checked: map[string]*types.Package{},
	}
	for dir := range files {
		files[dir] = slices.DeleteFunc(slices.Clone(files[dir]), func(s *source) bool { return !built(s) })
	}
	exports, err := exportData(c.externals(dirs))
	if err != nil {
		return nil, err
	}
	c.external = importer.ForCompiler(m.fset, "gc", func(path string) (io.ReadCloser, error) {
		name, ok := exports[path]
		if !ok {
			return nil, fmt.Errorf("no export data of %s", path)
		}
		return os.Open(name)
	})
	return c, nil
}

// externals lists what the packages import from outside of the module,
// directly or through other packages of the module.
func (c *typeChecker) externals(dirs []string) []string {
	seen, queue := map[string]bool{}, slices.Clone(dirs)
	var list []string
	for len(queue) > 0 {
		dir := queue[0]
		queue = queue[1:]
		for _, s := range c.files[dir] {
			for _, imported := range s.imports() {
				if seen[imported] {
					continue
				}
				seen[imported] = true
				if own, ok := ours(imported); ok {
					queue = append(queue, own)
				} else {
					list = append(list, imported)
				}
			}
		}
	}
	slices.Sort(list)
	return list
}

// exportData asks the go command where the export data of packages is.
func exportData(paths []string) (map[string]string, error) {
	if len(paths) == 0 {
		return nil, nil
	}
	args := append([]string{"list", "-export", "-deps", "-f", "{{if .Export}}{{.ImportPath}}={{.Export}}{{end}}"}, paths...)
	out, err := exec.Command("go", args...).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		return nil, err
	}
	exports := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if path, file, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			exports[path] = file
		}
	}
	return exports, nil
}

// Import implements types.Importer.
func (c *typeChecker) Import(path string) (*types.Package, error) {
	if dir, ok := ours(path); ok {
		return c.check(dir)
	}
	return c.external.Import(path)
}

// check type-checks one package of the module.
func (c *typeChecker) check(dir string) (*types.Package, error) {
	if p, ok := c.checked[dir]; ok {
		return p, nil
	}
	if len(c.files[dir]) == 0 {
		return nil, fmt.Errorf("package %s has no Go files", named(dir))
	}
	var files []*ast.File
	for _, s := range c.files[dir] {
		files = append(files, s.file)
	}
	path := strings.TrimSuffix(modulePath+"/"+dir, "/")
	config := types.Config{Importer: c}
	p, err := config.Check(path, c.module.fset, files, c.info)
	if err != nil {
		return nil, err
	}
	c.checked[dir] = p
	return p, nil
}

// built says whether a file belongs to the default build of this machine.
func built(s *source) bool {
	for _, group := range s.file.Comments {
		if group.Pos() > s.file.Package {
			break
		}
		for _, comment := range group.List {
			expression, err := constraint.Parse(comment.Text)
			if err == nil && !expression.Eval(defaultTag) {
				return false
			}
		}
	}
	return true
}

func defaultTag(tag string) bool {
	return tag == runtime.GOOS || tag == runtime.GOARCH || tag == "unix" || tag == "gc" || strings.HasPrefix(tag, "go1.")
}

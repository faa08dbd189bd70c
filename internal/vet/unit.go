package vet

import (
	"go/ast"
	"go/token"
	"go/types"
	"strings"

	"golang.org/x/tools/go/analysis"
)

// unit is a function that is judged by itself: a declared one, or a literal
// whose parameters or use give it another role than what surrounds it.
type unit struct {
	object *types.Func // nil for a literal
	body   ast.Node
	role   role
	found  []finding
	calls  []call
}

// finding is one place that breaks a rule.
type finding struct {
	at   token.Pos
	rule *rule
	what string
}

// call is a place where a function is called, or passed on to be called.
type call struct {
	at     token.Pos
	callee *types.Func
	role   role // by which it is judged
	sorted bool // the order of its result does not matter
}

// survey reads a package into units.
type survey struct {
	pass  *analysis.Pass
	units []*unit
	// swallows has the functions that, deferred, end every unwinding.
	swallows map[*types.Func]bool
	// aliases has the package variables that hold a function or variable of
	// the tables, such as var now = time.Now.
	aliases map[types.Object]types.Object
}

// newSurvey finds the functions of a package outside of its tests.
func newSurvey(pass *analysis.Pass) *survey {
	s := &survey{pass: pass, swallows: map[*types.Func]bool{}, aliases: map[types.Object]types.Object{}}
	s.recordAliases()
	files := s.files()
	for _, file := range files {
		s.recordSwallowing(file)
	}
	for _, file := range files {
		for _, declaration := range file.Decls {
			s.declare(declaration)
		}
	}
	for i := 0; i < len(s.units); i++ { // a walk adds units
		newWalker(s, s.units[i]).walk()
	}
	return s
}

// files lists the files that are not tests.
func (s *survey) files() (list []*ast.File) {
	for _, file := range s.pass.Files {
		if name := s.pass.Fset.Position(file.Package).Filename; !strings.HasSuffix(name, "_test.go") {
			list = append(list, file)
		}
	}
	return list
}

// declare makes units of a declaration. Literals in package variables are found
// on the way through them.
func (s *survey) declare(declaration ast.Decl) {
	f, ok := declaration.(*ast.FuncDecl)
	if !ok {
		s.units = append(s.units, &unit{body: declaration})
		return
	}
	object, _ := s.pass.TypesInfo.Defs[f.Name].(*types.Func)
	if f.Body != nil && object != nil {
		s.units = append(s.units, &unit{object: object, body: f.Body, role: roleOf(object.Signature())})
	}
}

// recordSwallowing notes declared functions that recover and do not panic
// again.
func (s *survey) recordSwallowing(file *ast.File) {
	for _, declaration := range file.Decls {
		f, ok := declaration.(*ast.FuncDecl)
		if !ok || f.Body == nil || !s.recovers(f.Body) {
			continue
		}
		if object, ok := s.pass.TypesInfo.Defs[f.Name].(*types.Func); ok {
			s.swallows[object] = true
		}
	}
}

// recordAliases notes package variables that begin as another name for
// something of the tables.
func (s *survey) recordAliases() {
	for _, start := range s.pass.TypesInfo.InitOrder {
		target := s.variableOf(start.Rhs)
		if target == nil {
			continue
		}
		if _, ok := known(target); ok {
			s.aliases[start.Lhs[0]] = target
		}
	}
}

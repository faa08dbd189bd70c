package vet

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
)

// harmless are methods of the context that give the same in every order.
var harmless = []string{"Header", "ID", "Info", "Key", "Log", "Now"}

// effectOf says how the order of a range shows outside of it, as a verb; empty
// if it does not.
func (w *walker) effectOf(statement *ast.RangeStmt) (effect string) {
	ast.Inspect(statement.Body, func(n ast.Node) bool {
		if effect != "" {
			return false
		}
		switch n := n.(type) {
		case *ast.CallExpr:
			effect = w.effectOfCall(n, statement)
		case *ast.AssignStmt:
			effect = w.effectOfAssignment(n, statement)
		}
		return true
	})
	return effect
}

func (w *walker) effectOfCall(c *ast.CallExpr, statement *ast.RangeStmt) string {
	name := calledName(c)
	if name == nil {
		return ""
	}
	f, _ := w.pass.TypesInfo.Uses[name].(*types.Func)
	switch {
	case w.closures[w.pass.TypesInfo.Uses[name]], w.givesContext(c) && !slices.Contains(harmless, name.Name):
		return "calls " + name.Name + " with the context"
	case f == nil || f.Pkg() == nil:
		return ""
	case f.Pkg().Path() == "fmt" && strings.HasPrefix(f.Name(), "Fprint"):
		return w.ifOutside(c.Args[0], statement, "writes")
	case f.Signature().Recv() != nil && strings.HasPrefix(f.Name(), "Write"):
		if selector, ok := ast.Unparen(c.Fun).(*ast.SelectorExpr); ok {
			return w.ifOutside(selector.X, statement, "writes")
		}
	}
	return ""
}

// effectOfAssignment looks for results that depend on the order of additions:
// slices, text, and floating-point numbers, whose sums are rounded.
func (w *walker) effectOfAssignment(assignment *ast.AssignStmt, statement *ast.RangeStmt) (effect string) {
	for i, value := range assignment.Rhs {
		if effect == "" {
			effect = w.effectOn(assignment.Lhs[i], assignment.Tok, value, statement)
		}
	}
	return effect
}

func (w *walker) effectOn(target ast.Expr, operator token.Token, value ast.Expr, statement *ast.RangeStmt) string {
	if w.builtin(value) == "append" {
		v := w.variableOf(target)
		if v == nil || w.sortedAfter(v, statement.End()) {
			return ""
		}
		return w.ifOutside(target, statement, "appends to "+v.Name()+", which nothing sorts afterwards,")
	}
	if _, entry := ast.Unparen(target).(*ast.IndexExpr); entry || !accumulates(target, operator, value) {
		return ""
	}
	basic, ok := w.pass.TypesInfo.TypeOf(target).Underlying().(*types.Basic)
	switch {
	case !ok:
		return ""
	case basic.Info()&types.IsString != 0:
		return w.ifOutside(target, statement, "joins text")
	case basic.Info()&(types.IsFloat|types.IsComplex) != 0:
		return w.ifOutside(target, statement, "adds floating-point numbers, which are rounded,")
	}
	return ""
}

// ifOutside gives the effect if what it has an effect on is older than the
// range.
func (w *walker) ifOutside(target ast.Expr, statement *ast.RangeStmt, effect string) string {
	object := w.base(target)
	if object != nil && statement.Pos() <= object.Pos() && object.Pos() < statement.End() {
		return ""
	}
	return effect
}

// accumulates says whether an assignment changes a variable by its own value:
// x += y, or x = x + y.
func accumulates(target ast.Expr, operator token.Token, value ast.Expr) bool {
	switch operator {
	case token.ADD_ASSIGN, token.SUB_ASSIGN, token.MUL_ASSIGN, token.QUO_ASSIGN:
		return true
	case token.ASSIGN:
		sum, ok := ast.Unparen(value).(*ast.BinaryExpr)
		return ok && types.ExprString(sum.X) == types.ExprString(target)
	}
	return false
}

// unordered says whether an expression iterates over a map.
func (w *walker) unordered(e ast.Expr) bool {
	c, ok := ast.Unparen(e).(*ast.CallExpr)
	if !ok {
		return false
	}
	f := w.callee(c)
	return is(f, "maps", "Keys") || is(f, "maps", "Values") || is(f, "maps", "All")
}

// gathers says whether a call makes a slice of an iterator over a map.
func (w *walker) gathers(f *types.Func, arguments []ast.Expr) bool {
	return (is(f, "slices", "Collect") || is(f, "slices", "AppendSeq")) && w.unordered(arguments[len(arguments)-1])
}

// sorts says whether a function is one that sorts, by its name.
func sorts(f *types.Func) bool {
	if f == nil {
		return false
	}
	inSort := f.Pkg() != nil && f.Pkg().Path() == "sort" && !strings.HasPrefix(f.Name(), "Search")
	return inSort || strings.HasPrefix(strings.ToLower(f.Name()), "sort")
}

// markSorted marks the calls in the arguments of one that sorts.
func (w *walker) markSorted(arguments []ast.Expr) {
	for _, argument := range arguments {
		ast.Inspect(argument, func(n ast.Node) bool {
			if c, ok := n.(*ast.CallExpr); ok {
				if name := calledName(c); name != nil {
					w.sorted[name] = true
				}
			}
			return true
		})
	}
}

// sortedAfter says whether a variable is given to something that sorts, behind
// a place in the unit.
func (w *walker) sortedAfter(v types.Object, after token.Pos) (found bool) {
	ast.Inspect(w.unit.body, func(n ast.Node) bool {
		c, ok := n.(*ast.CallExpr)
		if ok && c.Pos() >= after && sorts(w.callee(c)) {
			found = found || slices.ContainsFunc(c.Args, func(argument ast.Expr) bool { return w.mentions(argument, v) })
		}
		return !found
	})
	return found
}

func (w *walker) mentions(e ast.Expr, v types.Object) (found bool) {
	ast.Inspect(e, func(n ast.Node) bool {
		name, ok := n.(*ast.Ident)
		found = found || ok && w.pass.TypesInfo.Uses[name] == v
		return !found
	})
	return found
}

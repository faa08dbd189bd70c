package vet

import (
	"go/ast"
	"go/types"
	"slices"
)

// calledName gives the name in a call, without package, receiver and type
// arguments; nil if a literal or the result of a call is called.
func calledName(c *ast.CallExpr) *ast.Ident {
	function := ast.Unparen(c.Fun)
	switch f := function.(type) {
	case *ast.IndexExpr:
		function = ast.Unparen(f.X)
	case *ast.IndexListExpr:
		function = ast.Unparen(f.X)
	}
	switch f := function.(type) {
	case *ast.Ident:
		return f
	case *ast.SelectorExpr:
		return f.Sel
	}
	return nil
}

// callee gives the function or method that is called, if it is declared.
func (s *survey) callee(c *ast.CallExpr) *types.Func {
	name := calledName(c)
	if name == nil {
		return nil
	}
	f, _ := s.pass.TypesInfo.Uses[name].(*types.Func)
	return f
}

// is says whether f is a function, or a Type.Method, of a package.
func is(f *types.Func, path, name string) bool {
	return f != nil && f.Pkg() != nil && f.Pkg().Path() == path && nameOf(f) == name
}

// variableOf gives the variable or field that an expression names.
func (s *survey) variableOf(e ast.Expr) types.Object {
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident:
		return s.pass.TypesInfo.ObjectOf(e)
	case *ast.SelectorExpr:
		return s.pass.TypesInfo.ObjectOf(e.Sel)
	}
	return nil
}

// base gives the variable that an expression is reached from: m in m.a[i].b.
func (s *survey) base(e ast.Expr) types.Object {
	for {
		switch x := ast.Unparen(e).(type) {
		case *ast.Ident:
			return s.pass.TypesInfo.ObjectOf(x)
		case *ast.SelectorExpr:
			if name, ok := x.X.(*ast.Ident); ok {
				if _, qualified := s.pass.TypesInfo.Uses[name].(*types.PkgName); qualified {
					return s.pass.TypesInfo.ObjectOf(x.Sel)
				}
			}
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.UnaryExpr:
			e = x.X
		default:
			return nil
		}
	}
}

// givesContext says whether a call has the context of a workflow as its
// receiver or among its arguments.
func (s *survey) givesContext(c *ast.CallExpr) bool {
	if selector, ok := ast.Unparen(c.Fun).(*ast.SelectorExpr); ok && s.isContext(selector.X) {
		return true
	}
	for _, argument := range c.Args {
		if s.isContext(argument) {
			return true
		}
	}
	return false
}

func (s *survey) isContext(e ast.Expr) bool {
	return slices.Contains(workflowContexts, contextName(s.pass.TypesInfo.TypeOf(e)))
}

// usesContext says whether the context of a workflow is mentioned anywhere in a
// function.
func (s *survey) usesContext(function ast.Node) (found bool) {
	ast.Inspect(function, func(n ast.Node) bool {
		e, ok := n.(ast.Expr)
		found = found || ok && s.isContext(e)
		return !found
	})
	return found
}

// coreOf says whether a type, or what a type parameter stands for, is of one
// shape, such as a map.
func coreOf[Shape types.Type](t types.Type) bool {
	if t == nil {
		return false
	}
	switch u := t.Underlying().(type) {
	case Shape:
		return true
	case *types.Interface: // also that of a type parameter
		for embedded := range u.EmbeddedTypes() {
			if coreOf[Shape](embedded) {
				return true
			}
		}
	case *types.Union:
		return u.Len() > 0 && coreOf[Shape](u.Term(0).Type())
	}
	return false
}

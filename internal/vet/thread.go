package vet

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"
)

// immediate are methods and functions that take the context and do not wait.
var immediate = []string{
	"Answer", "Buffered", "Cleanup", "Go", "Header", "ID", "Info", "Log", "NewID", "NewPromise", "Now", "OnFailure",
	"Patch", "Rand", "Receive", "Send", "Start", "Timer",
}

// threads notes a thread that one function locks and then keeps across a wait,
// or for its caller.
func (w *walker) threads(function ast.Node) {
	var locks, unlocks, waits []token.Pos
	deferred := map[*ast.CallExpr]bool{}
	released := false
	within(function, func(n ast.Node) {
		switch n := n.(type) {
		case *ast.DeferStmt:
			deferred[n.Call] = true
			released = released || is(w.callee(n.Call), "runtime", "UnlockOSThread")
		case *ast.CallExpr:
			switch f := w.callee(n); {
			case is(f, "runtime", "LockOSThread"):
				locks = append(locks, n.Pos())
			case deferred[n]:
			case is(f, "runtime", "UnlockOSThread"):
				unlocks = append(unlocks, n.Pos())
			case f != nil && w.givesContext(n) && !slices.Contains(immediate, f.Name()):
				waits = append(waits, n.Pos())
			}
		}
	})
	for _, at := range locks {
		until := function.End()
		for _, unlock := range unlocks {
			if unlock > at {
				until = min(until, unlock)
			}
		}
		waited := slices.ContainsFunc(waits, func(p token.Pos) bool { return at < p && p < until })
		if waited || until == function.End() && !released {
			w.note(at, thread, "runtime.LockOSThread")
		}
	}
}

// visitDefer notes a recover that stops every unwinding of a function that
// waits for something.
func (w *walker) visitDefer(statement *ast.DeferStmt) {
	swallowed := false
	if literal, ok := ast.Unparen(statement.Call.Fun).(*ast.FuncLit); ok {
		swallowed = w.recovers(literal.Body)
	} else if f := w.callee(statement.Call); f != nil {
		swallowed = w.swallow(f.Origin())
	}
	if swallowed && w.usesContext(w.function) {
		w.note(statement.Pos(), recovery, "a recover")
	}
}

// swallow says whether a declared function recovers when it is deferred.
func (s *survey) swallow(f *types.Func) bool {
	var b behaviour
	return s.swallows[f] || s.pass.ImportObjectFact(f, &b) && b.Recovers
}

// recovers says whether a function recovers and never panics with what it got.
func (s *survey) recovers(function ast.Node) bool {
	recovered, again := false, false
	got := map[types.Object]bool{}
	within(function, func(n ast.Node) {
		switch n := n.(type) {
		case *ast.AssignStmt:
			if s.builtin(n.Rhs[0]) == "recover" {
				got[s.variableOf(n.Lhs[0])] = true
			}
		case *ast.CallExpr:
			switch s.builtin(n) {
			case "recover":
				recovered = true
			case "panic":
				again = again || got[s.variableOf(n.Args[0])] || s.builtin(n.Args[0]) == "recover"
			}
		}
	})
	return recovered && !again
}

// builtin gives the name of the builtin function that an expression calls.
func (s *survey) builtin(e ast.Expr) string {
	c, ok := ast.Unparen(e).(*ast.CallExpr)
	if !ok {
		return ""
	}
	name := calledName(c)
	if name == nil {
		return ""
	}
	if b, ok := s.pass.TypesInfo.Uses[name].(*types.Builtin); ok {
		return b.Name()
	}
	return ""
}

// within goes through the body of one function in order, without the literals
// in it.
func within(function ast.Node, look func(ast.Node)) {
	ast.Inspect(function, func(n ast.Node) bool {
		if _, literal := n.(*ast.FuncLit); literal {
			return false
		}
		if n != nil {
			look(n)
		}
		return true
	})
}

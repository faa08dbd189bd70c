package vet

import (
	"go/ast"
	"go/token"
	"go/types"
)

// walker goes through one unit and notes what the rules are about. It notes
// everything; which of it matters depends on the role.
type walker struct {
	*survey
	unit     *unit
	function ast.Node              // innermost function around the present node
	called   map[*ast.Ident]bool   // names that are called, not passed on
	sorted   map[*ast.Ident]bool   // names whose call gives what is sorted afterwards
	answers  map[ast.Node]bool     // literals and names of functions that answer queries
	silent   map[ast.Node]bool     // parts of a select, which is noted as a whole
	closures map[types.Object]bool // variables that hold literals that use the context
}

func newWalker(s *survey, u *unit) *walker {
	return &walker{
		survey: s, unit: u, function: u.body,
		called: map[*ast.Ident]bool{}, sorted: map[*ast.Ident]bool{}, answers: map[ast.Node]bool{},
		silent: map[ast.Node]bool{}, closures: map[types.Object]bool{},
	}
}

func (w *walker) walk() {
	w.threads(w.unit.body)
	ast.Inspect(w.unit.body, w.visit)
}

// note keeps a finding.
func (w *walker) note(at token.Pos, r *rule, what string) {
	w.unit.found = append(w.unit.found, finding{at, r, what})
}

// visit looks at a node and says whether to go into it.
func (w *walker) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.FuncLit:
		w.enter(n)
		return false
	case *ast.GoStmt:
		w.visitGo(n)
		return false
	case *ast.SelectStmt:
		w.visitSelect(n)
	case *ast.SendStmt:
		if !w.silent[n] {
			w.note(n.Pos(), channel, "a send on a channel")
		}
	case *ast.UnaryExpr:
		w.visitReceive(n)
	case *ast.RangeStmt:
		w.visitRange(n)
	case *ast.AssignStmt:
		w.visitAssignment(n)
	case *ast.IncDecStmt:
		w.written(n.X)
	case *ast.ValueSpec:
		for i, value := range n.Values {
			w.bind(n.Names[i], value, n.End())
		}
	case *ast.DeferStmt:
		w.visitDefer(n)
	case *ast.CallExpr:
		w.visitCall(n)
	case *ast.Ident:
		w.visitName(n)
	}
	return true
}

// enter goes into a function literal, or makes a unit of it.
func (w *walker) enter(literal *ast.FuncLit) {
	signature, ok := w.pass.TypesInfo.TypeOf(literal).(*types.Signature)
	if !ok {
		return
	}
	its := roleOf(signature)
	if w.answers[literal] {
		its = turn
	}
	if its != ordinary || takesContext(signature) {
		w.units = append(w.units, &unit{body: literal.Body, role: its})
		return
	}
	outer := w.function
	w.function = literal.Body
	w.threads(literal.Body)
	ast.Inspect(literal.Body, w.visit)
	w.function = outer
}

// visitGo notes a goroutine. What it does, it does not do to its starter.
func (w *walker) visitGo(statement *ast.GoStmt) {
	w.note(statement.Pos(), goroutine, "a go statement")
	if literal, ok := ast.Unparen(statement.Call.Fun).(*ast.FuncLit); ok {
		w.units = append(w.units, &unit{body: literal.Body})
	}
	for _, argument := range statement.Call.Args {
		ast.Inspect(argument, w.visit)
	}
}

func (w *walker) visitSelect(statement *ast.SelectStmt) {
	r := selection
	for _, clause := range statement.Body.List {
		communication := clause.(*ast.CommClause).Comm
		if communication == nil {
			r = poll
		}
		w.silence(communication)
	}
	w.note(statement.Pos(), r, "a select statement")
}

// silence marks the channel operation of a clause.
func (w *walker) silence(communication ast.Stmt) {
	switch c := communication.(type) {
	case *ast.SendStmt:
		w.silent[c] = true
	case *ast.ExprStmt:
		w.silent[ast.Unparen(c.X)] = true
	case *ast.AssignStmt:
		w.silent[ast.Unparen(c.Rhs[0])] = true
	}
}

func (w *walker) visitReceive(expression *ast.UnaryExpr) {
	if expression.Op != token.ARROW || w.silent[expression] {
		return
	}
	r := channel
	if made, ok := ast.Unparen(expression.X).(*ast.CallExpr); ok {
		if f := w.callee(made); f != nil {
			if is, _ := known(f); is == timer {
				r = timerReceive
			}
		}
	}
	w.note(expression.Pos(), r, "a receive from a channel")
}

func (w *walker) visitRange(statement *ast.RangeStmt) {
	switch ranged := w.pass.TypesInfo.TypeOf(statement.X); {
	case coreOf[*types.Chan](ranged):
		w.note(statement.Pos(), channel, "a range over a channel")
	case coreOf[*types.Map](ranged) || w.unordered(statement.X):
		if effect := w.effectOf(statement); effect != "" {
			w.note(statement.Pos(), order, "a range over a map that "+effect)
		}
	}
}

func (w *walker) visitAssignment(statement *ast.AssignStmt) {
	for _, target := range statement.Lhs {
		w.written(target)
	}
	for i, value := range statement.Rhs {
		w.bind(statement.Lhs[i], value, statement.End())
	}
}

// bind remembers what a variable is given: the result of a call that is sorted
// later, or a literal that uses the context.
func (w *walker) bind(target, value ast.Expr, after token.Pos) {
	v := w.variableOf(target)
	if v == nil {
		return
	}
	switch value := ast.Unparen(value).(type) {
	case *ast.CallExpr:
		if name := calledName(value); name != nil && w.sortedAfter(v, after) {
			w.sorted[name] = true
		}
	case *ast.FuncLit:
		w.closures[v] = w.closures[v] || w.usesContext(value.Body)
	}
}

// written notes a change of a package variable.
func (w *walker) written(target ast.Expr) {
	if v, ok := w.base(target).(*types.Var); ok && packageLevel(v) {
		w.note(target.Pos(), variable, "the package variable "+v.Name())
	}
}

func (w *walker) visitCall(c *ast.CallExpr) {
	name := calledName(c)
	if name == nil {
		return
	}
	w.called[name] = true
	switch object := w.pass.TypesInfo.Uses[name].(type) {
	case *types.Builtin:
		w.visitBuiltin(c, object.Name())
	case *types.Func:
		switch {
		case sorts(object):
			w.markSorted(c.Args)
		case is(object, root, "Query.Answer"):
			w.markAnswers(c.Args)
		case w.gathers(object, c.Args) && !w.sorted[name]:
			w.note(c.Pos(), order, "a slice of the keys or values of a map, which nothing sorts,")
		}
	}
}

func (w *walker) visitBuiltin(c *ast.CallExpr, name string) {
	switch name {
	case "close":
		w.note(c.Pos(), channel, "a close of a channel")
	case "delete", "clear", "copy":
		w.written(c.Args[0])
	}
}

// markAnswers marks what answers queries: it is called at any time, and only
// looks.
func (w *walker) markAnswers(arguments []ast.Expr) {
	for _, argument := range arguments {
		switch a := ast.Unparen(argument).(type) {
		case *ast.FuncLit, *ast.Ident:
			w.answers[a] = true
		case *ast.SelectorExpr:
			w.answers[a.Sel] = true
		}
	}
}

// visitName notes the use of a function or a package variable.
func (w *walker) visitName(name *ast.Ident) {
	object := w.pass.TypesInfo.Uses[name]
	if object == nil {
		return
	}
	if target, ok := w.aliases[object]; ok {
		object = target
	}
	if r, ok := known(object); ok {
		w.note(name.Pos(), r, shown(object))
		return
	}
	f, ok := object.(*types.Func)
	if !ok || !w.called[name] && takesContext(f.Signature()) {
		return
	}
	its := w.unit.role
	if w.answers[name] {
		its = turn
	}
	w.unit.calls = append(w.unit.calls, call{at: name.Pos(), callee: f.Origin(), role: its, sorted: w.sorted[name]})
}

package archtest

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
)

// pure lists the packages that are stepped: the same inputs give the same
// outputs, whoever runs them. What is in impure is below one of them and is
// the shell that runs it.
var (
	pure   = []string{"internal/delta", "internal/field", "internal/fifo", "internal/remote", "internal/msg", "internal/engine", "internal/partition", "replica"}
	impure = []string{"internal/partition/driver"}
)

// pureImports are the packages that a pure package may import. One that is not
// in the list may be added if nothing in it reads a clock or a random source,
// does I/O, starts a goroutine or waits; see forbidden for what is then barred
// by name.
var pureImports = []string{
	"bufio", "bytes", "cmp", "container/heap", "container/list", "container/ring", "crypto/sha256",
	"encoding/base64", "encoding/binary", "encoding/hex", "encoding/json", "errors", "fmt", "hash",
	"hash/crc32", "hash/fnv", "io", "iter", "maps", "math", "math/bits", "math/rand/v2", "slices", "sort",
	"strconv", "strings", "time", "unicode", "unicode/utf8",
	"github.com/tidwall/btree", // an ordered map; its lock is switched off by an option
	modulePath + "/internal/invariant", modulePath + "/internal/delta", modulePath + "/internal/field", modulePath + "/internal/fifo", modulePath + "/internal/msg", modulePath + "/internal/engine",
	modulePath + "/internal/program", modulePath + "/internal/partition", modulePath + "/host",
	modulePath + "/replica", modulePath + "/crdt",
}

// forbidden are names in packages that a pure package may import otherwise.
var forbidden = map[string][]string{
	"time": {"Now", "Since", "Until", "After", "AfterFunc", "Sleep", "Tick", "NewTicker", "NewTimer", "Timer",
		"Ticker", "Local", "LoadLocation"},
	"fmt":  {"Print", "Printf", "Println", "Scan", "Scanf", "Scanln"},
	"iter": {"Pull", "Pull2"}, // they start a coroutine
}

// seeded are the names of math/rand/v2 that depend on nothing but their seed.
var seeded = []string{"New", "NewPCG", "NewChaCha8", "NewZipf", "PCG", "ChaCha8", "Rand", "Source", "Zipf"}

func purityRules() []rule {
	const reason = "engine, messages, partition loops and replicas are stepped: the live driver and the simulator run " +
		"the same code, and one seed gives one history; "
	return []rule{{
		name:   "pure packages import only what is pure",
		reason: reason + "clocks, randomness, locks and I/O enter as part of a command",
		check:  checkPureImports,
	}, {
		name:   "pure packages neither start, wait nor look at the world",
		reason: reason + "a goroutine, a channel, a clock or a global random source makes an order that no seed repeats",
		check:  checkPureCode,
	}, {
		name: "pure packages do not depend on the order of a map",
		reason: reason + "Go orders the entries of a map differently on every run; collect the keys, sort them in the " +
			"same function, then range over them, or use an ordered map",
		check: checkMapOrder,
	}}
}

func isPure(dir string) bool {
	inside := func(base string) bool { return within(dir, base) }
	return slices.ContainsFunc(pure, inside) && !slices.ContainsFunc(impure, inside)
}

func checkPureImports(m *module) (found []violation) {
	for _, s := range m.production() {
		if !isPure(s.dir) {
			continue
		}
		for _, spec := range s.file.Imports {
			imported := importPath(spec)
			dir, own := ours(imported)
			if !slices.Contains(pureImports, imported) && !(own && isPure(dir)) {
				found = append(found, violation{m.at(spec.Pos()), fmt.Sprintf("pure package %s imports %s", s.dir, imported)})
			}
		}
	}
	return found
}

func checkPureCode(m *module) []violation {
	return m.eachPure(func(info *types.Info, file *ast.File) (found []violation) {
		ast.Inspect(file, func(n ast.Node) bool {
			if what := impureNode(info, n); what != "" {
				found = append(found, violation{m.at(n.Pos()), what})
			}
			return true
		})
		return found
	})
}

// impureNode says what is wrong with a node, or nothing.
func impureNode(info *types.Info, n ast.Node) string {
	switch n := n.(type) {
	case *ast.GoStmt:
		return "starts a goroutine"
	case *ast.SelectStmt:
		return "selects"
	case *ast.ChanType:
		return "uses a channel type"
	case *ast.SendStmt:
		return "sends on a channel"
	case *ast.UnaryExpr:
		if n.Op == token.ARROW {
			return "receives from a channel"
		}
	case *ast.Ident:
		return impureName(info.Uses[n])
	}
	return ""
}

// impureName says what is wrong with using an object, or nothing. It looks at
// what a name means, so an alias of an import hides nothing.
func impureName(object types.Object) string {
	if object == nil {
		return ""
	}
	if b, ok := object.(*types.Builtin); ok && strings.HasPrefix(b.Name(), "print") {
		return "uses " + b.Name()
	}
	if object.Pkg() == nil || object.Parent() != object.Pkg().Scope() {
		return "" // a method, a field, a local
	}
	from, name := object.Pkg().Path(), object.Name()
	if slices.Contains(forbidden[from], name) {
		return fmt.Sprintf("uses %s.%s", from, name)
	}
	if from == "math/rand/v2" && !slices.Contains(seeded, name) {
		return "uses the global random source: rand." + name
	}
	return ""
}

func checkMapOrder(m *module) []violation {
	return m.eachPure(func(info *types.Info, file *ast.File) (found []violation) {
		ast.Inspect(file, func(n ast.Node) bool {
			var body *ast.BlockStmt
			switch n := n.(type) {
			case *ast.FuncDecl:
				body = n.Body
			case *ast.FuncLit:
				body = n.Body
			}
			if body != nil {
				found = append(found, m.mapOrderIn(info, body)...)
			}
			return true
		})
		return found
	})
}

// mapOrderIn looks at one function body, without the functions inside it.
func (m *module) mapOrderIn(info *types.Info, body *ast.BlockStmt) (found []violation) {
	var sorted []ast.Node // calls that an unordered sequence may be an argument of
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false
		case *ast.RangeStmt:
			r := mapRange{info: info, statement: n, function: body}
			if isMap(info.TypeOf(n.X)) && !r.orderFree() {
				found = append(found, violation{m.at(n.Pos()), "ranges over a map in its random order"})
			}
		case *ast.CallExpr:
			if callOf(info, n, "slices", "Sorted", "SortedFunc", "SortedStableFunc") && len(n.Args) > 0 {
				sorted = append(sorted, n.Args[0])
			}
			if callOf(info, n, "maps", "Keys", "Values", "All") && !slices.Contains(sorted, ast.Node(n)) {
				found = append(found, violation{m.at(n.Pos()), "takes a sequence out of a map without sorting it at once"})
			}
		}
		return true
	})
	return found
}

func isMap(t types.Type) bool {
	if t == nil {
		return false
	}
	if p, ok := t.Underlying().(*types.TypeParam); ok {
		t = p.Constraint()
	}
	_, ok := t.Underlying().(*types.Map)
	return ok
}

// callOf says whether a call is of one of the named functions of a package.
func callOf(info *types.Info, call *ast.CallExpr, from string, names ...string) bool {
	function := call.Fun
	if index, ok := function.(*ast.IndexExpr); ok {
		function = index.X
	}
	var id *ast.Ident
	switch f := function.(type) {
	case *ast.SelectorExpr:
		id = f.Sel
	case *ast.Ident:
		id = f
	default:
		return false
	}
	object := info.Uses[id]
	return object != nil && object.Pkg() != nil && object.Pkg().Path() == from && slices.Contains(names, object.Name())
}

// mapRange is a range statement over a map, and the function it stands in.
type mapRange struct {
	info      *types.Info
	statement *ast.RangeStmt
	function  *ast.BlockStmt
}

// orderFree says whether the statement means the same in every order. It knows
// a few shapes of the body: appending to a slice that is sorted later in the
// same function, counting in integers, taking a minimum or maximum, setting
// or deleting the entry of the key at hand, and conditions around these.
func (r mapRange) orderFree() bool {
	return r.freeBlock(r.statement.Body)
}

func (r mapRange) freeBlock(block *ast.BlockStmt) bool {
	return !slices.ContainsFunc(block.List, func(s ast.Stmt) bool { return !r.freeStatement(s) })
}

func (r mapRange) freeStatement(statement ast.Stmt) bool {
	switch s := statement.(type) {
	case *ast.IfStmt:
		elseFree := s.Else == nil || r.freeStatement(s.Else)
		return elseFree && r.freeBlock(s.Body)
	case *ast.BlockStmt:
		return r.freeBlock(s)
	case *ast.BranchStmt:
		return s.Tok == token.CONTINUE
	case *ast.IncDecStmt:
		return r.isInteger(s.X)
	case *ast.ExprStmt:
		call, ok := s.X.(*ast.CallExpr)
		return ok && r.isBuiltin(call, "delete") && len(call.Args) == 2 && r.isKey(call.Args[1])
	case *ast.AssignStmt:
		return r.freeAssignment(s)
	}
	return false
}

func (r mapRange) freeAssignment(s *ast.AssignStmt) bool {
	if len(s.Lhs) != 1 || len(s.Rhs) != 1 {
		return s.Tok == token.DEFINE
	}
	switch s.Tok {
	case token.DEFINE:
		return true
	case token.ADD_ASSIGN, token.SUB_ASSIGN, token.OR_ASSIGN, token.AND_ASSIGN, token.XOR_ASSIGN:
		return r.isInteger(s.Lhs[0])
	case token.ASSIGN:
		if index, ok := s.Lhs[0].(*ast.IndexExpr); ok {
			return r.isKey(index.Index)
		}
		call, ok := s.Rhs[0].(*ast.CallExpr)
		if !ok || len(call.Args) == 0 || types.ExprString(call.Args[0]) != types.ExprString(s.Lhs[0]) {
			return false
		}
		if r.isBuiltin(call, "append") {
			return r.sortedLater(types.ExprString(s.Lhs[0]))
		}
		return r.isBuiltin(call, "min") || r.isBuiltin(call, "max")
	}
	return false
}

func (r mapRange) isInteger(e ast.Expr) bool {
	t := r.info.TypeOf(e)
	if t == nil {
		return false
	}
	basic, ok := t.Underlying().(*types.Basic)
	return ok && basic.Info()&types.IsInteger != 0
}

func (r mapRange) isBuiltin(call *ast.CallExpr, name string) bool {
	id, ok := call.Fun.(*ast.Ident)
	if !ok || id.Name != name {
		return false
	}
	_, ok = r.info.Uses[id].(*types.Builtin)
	return ok
}

// isKey says whether an expression is the key at hand.
func (r mapRange) isKey(e ast.Expr) bool {
	id, ok := e.(*ast.Ident)
	key, named := r.statement.Key.(*ast.Ident)
	return ok && named && id.Name != "_" && id.Name == key.Name
}

// sortedLater says whether a slice is sorted after the range, in its function.
func (r mapRange) sortedLater(slice string) (sorted bool) {
	ast.Inspect(r.function, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || call.Pos() < r.statement.End() || len(call.Args) == 0 || types.ExprString(call.Args[0]) != slice {
			return true
		}
		sorted = sorted || callOf(r.info, call, "slices", "Sort", "SortFunc", "SortStableFunc") ||
			callOf(r.info, call, "sort", "Slice", "SliceStable", "Strings", "Ints")
		return true
	})
	return sorted
}

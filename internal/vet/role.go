package vet

import (
	"go/types"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"
)

// root is the import path of package holdfast.
const root = "github.com/holdfast-io/holdfast"

// role says what a function may do.
type role int

const (
	ordinary role = iota // everything; judged where it is called
	workflow             // nothing that another execution would do differently
	turn                 // nothing that waits
)

// turnContexts are the contexts of handlers, which hold up their entity.
var turnContexts = []string{"UpdateContext", "EventContext", "ReadContext", "MachineContext"}

// workflowContexts are the contexts of what is executed again.
var workflowContexts = []string{"WorkflowContext", "InitContext"}

// roleOf tells the role of a function from its parameters.
func roleOf(signature *types.Signature) role {
	for parameter := range signature.Params().Variables() {
		switch name := contextName(parameter.Type()); {
		case slices.Contains(workflowContexts, name):
			return workflow
		case slices.Contains(turnContexts, name):
			return turn
		}
	}
	return ordinary
}

// contextName gives the name of the type of package holdfast that t points to.
func contextName(t types.Type) string {
	if t == nil {
		return ""
	}
	pointer, ok := types.Unalias(t).(*types.Pointer)
	if !ok {
		return ""
	}
	named, ok := types.Unalias(pointer.Elem()).(*types.Named)
	if !ok || named.Obj().Pkg() == nil || named.Obj().Pkg().Path() != root {
		return ""
	}
	return named.Obj().Name()
}

// takesContext says whether a function begins with a context.Context, as the
// functions of steps and activities do.
func takesContext(signature *types.Signature) bool {
	if signature.Params().Len() == 0 {
		return false
	}
	named, ok := types.Unalias(signature.Params().At(0).Type()).(*types.Named)
	return ok && named.Obj().Pkg() != nil && named.Obj().Pkg().Path() == "context" && named.Obj().Name() == "Context"
}

// standard says whether a package is of the standard library: it is of no
// module, and the first element of its path has no dot.
func standard(pass *analysis.Pass) bool {
	first, _, _ := strings.Cut(pass.Pkg.Path(), "/")
	return (pass.Module == nil || pass.Module.Path == "") && !strings.Contains(first, ".")
}

// keepsFacts says whether calls into a package are followed. Those into
// Holdfast itself are what workflows are made of; its examples are programs
// like any other.
func keepsFacts(path string) bool {
	inside := path == root || strings.HasPrefix(path, root+"/")
	return !inside || strings.HasPrefix(path, root+"/examples/")
}

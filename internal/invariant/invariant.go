// Package invariant checks what must always be true.
//
// Check is always on: it guards what would otherwise write wrong data, and a
// violation stops the process. Enabled guards checks that cost too much for
// production; it is true under the build tag "invariants". The same tag lets tests
// plant bugs, see Mutant, and simulators make happen what rarely does, see Site.
//
// The package does not report faults of the world: those are errors.
package invariant

import "fmt"

// Check stops the process with a message if ok is false. A violation is a bug
// in Holdfast, never a reaction to input.
func Check(ok bool, format string, args ...any) {
	if !ok {
		panic("invariant violated: " + fmt.Sprintf(format, args...))
	}
}

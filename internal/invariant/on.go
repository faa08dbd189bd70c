//go:build invariants

package invariant

import "sync/atomic"

// Enabled says whether costly checks run.
const Enabled = true

// planted is the bug that this process has; 0: none but its own.
var planted atomic.Int32

// Mutated says whether a bug is planted.
func Mutated(m Mutant) bool { return planted.Load() == int32(m) }

// Plant plants a bug in the whole process, for tests of tests, until it is
// given None.
func Plant(m Mutant) { planted.Store(int32(m)) }

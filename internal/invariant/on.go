//go:build invariants

package invariant

import "sync/atomic"

// Enabled says whether costly checks run.
const Enabled = true

// planted is the bug that this process has; 0: none but its own.
var planted atomic.Int32

// Mutated says whether a bug is planted.
func Mutated(m Mutant) bool { return planted.Load() == int32(m) }

// buggify decides whether something rare happens at a site; nil: it does not.
var buggify atomic.Pointer[func(Site) bool]

// Sometimes says whether what rarely happens at a site is to happen now.
func Sometimes(s Site) bool {
	decide := buggify.Load()
	return decide != nil && (*decide)(s)
}

// Buggify lets a function decide, in the whole process, until it is given nil.
func Buggify(decide func(Site) bool) {
	if decide == nil {
		buggify.Store(nil)
		return
	}
	buggify.Store(&decide)
}

// Plant plants a bug in the whole process, for tests of tests, until it is
// given None.
func Plant(m Mutant) { planted.Store(int32(m)) }

//go:build !invariants

package invariant

// Enabled says whether costly checks run.
const Enabled = false

// Mutated is false without the build tag, and costs nothing.
func Mutated(Mutant) bool { return false }

// Sometimes is false without the build tag, and costs nothing.
func Sometimes(Site) bool { return false }

// Buggify does nothing without the build tag.
func Buggify(func(Site) bool) {}

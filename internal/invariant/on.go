//go:build invariants

package invariant

// Enabled says whether costly checks run.
const Enabled = true

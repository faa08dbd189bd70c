// Package archtest holds the rules of the code base as ordinary tests: which
// package may import which, what the pure packages may not do, how long a
// function, a file and a package may be, what must be documented, and which
// third-party modules may be reached from where.
//
// A rule that a test holds from the first line on costs nothing to keep; one
// that is adopted later costs a rewrite, so it is not adopted.
//
// Invariants:
//
//  1. Every rule says in its failure message why it exists.
//  2. Every rule is shown to fail on a planted violation, and to accept a
//     planted neighbour that obeys it.
//  3. There are no exceptions for single places. Where a rule is wrong, the
//     rule changes, for everybody.
//
// The package does not look at behaviour and has no code outside its tests.
package archtest

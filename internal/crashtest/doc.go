// Package crashtest runs an application in a process of its own and kills it,
// for the tests of programs that must not notice.
//
// Invariants:
//
//  1. A process is killed, never stopped: nothing it would do at an orderly end
//     happens.
//  2. The next process serves the same data at the same address, so that a
//     client goes on.
//  3. At the end of its test no process is left.
//
// The package does not cut the power: what a process has written to its files
// is there for the next one. Package internal/world/sim does that.
package crashtest

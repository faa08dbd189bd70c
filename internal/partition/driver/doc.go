// Package driver runs loops and the committer live: a goroutine each.
//
// Invariants:
//
//  1. A loop is touched by its own goroutine only, the committer under the
//     lock of the buffer.
//  2. The log is appended to by one goroutine, one frame at a time.
//  3. Stop returns when every goroutine has ended.
//
// The package decides nothing: it is what a simulator replaces.
package driver

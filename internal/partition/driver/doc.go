// Package driver runs loops and the committer live: a goroutine each.
//
// Invariants:
//
//  1. A loop is touched by whoever gives it a turn, under its lock: its own
//     goroutine, or one that brings a command and finds it at rest. The
//     committer is touched under the lock of the buffer.
//  2. The log is appended to by one goroutine, one frame at a time.
//  3. Stop returns when every goroutine and every turn has ended.
//  4. What is due, and what has come while somebody gave a turn, wakes the
//     loop's own goroutine: nothing depends on others coming.
//
// The package decides nothing: it is what a simulator replaces.
package driver

// Package launcher runs the command of an application as a child process: with
// its output line by line under a prefix, in the process group of its parent,
// and with an end that follows from the parent's end, however that came.
//
// Invariants:
//
//  1. Exited is closed once, when the process is gone and its output has been
//     passed on.
//  2. On Linux the process is killed when its parent dies, even of a signal that
//     cannot be caught.
//
// The package does not restart anything.
package launcher

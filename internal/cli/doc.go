// Package cli is the command line of holdfast: commands that talk to a server,
// commands that look at a data directory, and the server itself.
//
// Invariants:
//
//  1. The exit code is 0 only if what was asked for was done: 2 says that the
//     command line makes no sense, 1 anything else.
//  2. Results go to standard output, and nothing else does; with --json they
//     are JSON, one object a line.
//  3. A command that changes something does it once, however often it has to
//     be repeated: the connection of package client sees to that.
//
// The package does not look at the process: arguments, standard streams and
// environment are given to it, so that tests run commands as functions.
package cli

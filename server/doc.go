// Package server runs an application as a process: it is the composition root
// as a library. New checks, Run serves until it is told to stop, and Main is a
// whole main function.
//
// Invariants:
//
//  1. The port is open from the beginning of Run until the data is closed, so
//     that /healthz and /readyz always say how it stands; requests are admitted
//     only in between, after recovery and before shutdown.
//  2. Run stops in the reverse order of starting: admission, requests, turns, a
//     last checkpoint, the log, the port. It returns when everything it started
//     has ended.
//  3. An error of Run is one of those declared here, and says what was wrong
//     and what to do.
//
// The package does not decide anything about entities, and reads no
// environment but for the command line that Main takes.
package server

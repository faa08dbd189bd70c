// Package sidecar is the process beside an application that is written for KAR:
// it serves KAR's REST interface to the application, calls it back, and speaks to
// a server through a session.
//
// What an invocation changes is kept here, by hold: state that is written while
// an actor is held is seen by whoever reads it there, and leaves with the
// completion. What an invocation sends waits here, too, until it waits for
// something itself, or has ended.
//
// Invariants:
//
//  1. State that an attempt has written reaches the server with its completion,
//     or not at all.
//  2. What an attempt has sent leaves in the order in which it was sent.
//  3. What the REST interface has acknowledged is there for whoever asks the same
//     process afterwards: while an attempt holds the actor, and when it has ended.
//  4. An attempt ends with one completion, which is said again until a server
//     has taken it; one that is stale says nothing.
//  5. Arguments and results are passed on as they are. Of a result, only whether
//     it is a tail call is looked at.
//
// The package decides neither who runs what nor in which order: see packages kar
// and frontend/kar.
package sidecar

// Package holdfast is what the author of a service imports: durable entities,
// the handlers that run on them, and the typed client.
//
// Write a program in three moves. Declare: a handle ([NewEntity], [NewUpdate],
// [NewRead]) is a name with types, and all that a caller needs. Write: a
// handler is a plain function of a context and an input. Bind: Handle joins
// the two, [NewApp] collects what this program serves, and package server runs
// it.
//
// Invariants:
//
//  1. Nothing is called by a bare string, nothing returns any, and what must
//     not be done in a place does not compile there: an update cannot wait, a
//     read cannot send, a call cannot be delayed.
//  2. A turn gives all or nothing: if a handler returns an error that is not
//     wrapped in [Keep], or panics, neither its changes nor its sends remain.
//  3. A handler sees its own copy of the state, made by decoding. What it
//     keeps after it has returned is dead: every method of its context, and of
//     the maps and lists of its state, panics with the handler's name.
//  4. Declaring registers a handle with its entity and nowhere else: there is
//     no global table, and an app serves what it was given.
//  5. [NewApp] never fails; [App.Validate] reports every mistake at once, each
//     with the source line that made it.
//
// The package decides nothing about durability, order or retries: that is the
// engine's business. It runs nothing by itself: see package server.
package holdfast

// Package kar is the program that actors, services, promises and topics of
// applications in other processes are made of: entities of hidden kinds whose
// turns are short.
//
// An actor is held by one flow at a time. What comes by another flow waits in
// its queue, in the order of arrival. Every invocation that has entered is a
// task of its actor, which a process beside an application attempts; its
// completion brings changes of the state, what is to be sent, and the outcome,
// and all of that is one record.
//
// Invariants:
//
//  1. Active invocations of an actor are of one flow.
//  2. Whoever waits for an invocation is told its outcome once: by its
//     completion, by that of the last of its tail calls, or because it has
//     waited too long in a queue.
//  3. What an invocation sends is sent once, however often it is attempted: it is
//     remembered under its request by what it says.
//  4. A turn decides on what it is given only: no clock, no chance, no map order.
//
// Methods, paths, sessions and what bodies mean are the business of package
// sidecar; who attempts an invocation is decided by package frontend/kar.
package kar

// Package kar is the server's side of programs in other processes: it takes
// their sessions, brings their requests to the entities of package internal/kar,
// and lets them attempt invocations.
//
// An actor is placed at a process that offers its type, at random, and stays
// there while the process lives. Which attempts run where is not durable: after
// a restart of the server, the processes say what they run, and have the time of
// a lease for that.
//
// Invariants:
//
//  1. Of an invocation, at most one attempt is listened to. Before there is
//     another one, its number is durable and the calls of the one before have
//     ended.
//  2. What an attempt sends reaches its entity only while it is listened to.
//  3. A process whose connection broke has its lease to come back; one that said
//     goodbye has none.
//
// What an invocation does to its actor is decided by package internal/kar.
package kar

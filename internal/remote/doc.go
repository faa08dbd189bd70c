// Package remote holds the nouns of programs that run in another process, and
// their encoding: what crosses the session between a server and the process
// beside an application, and what the server keeps of it.
//
// A program in another process serves actors, which have state and take one
// flow at a time, and services, which have none. Whatever it does to the outside
// crosses as a Request; what it is asked to do as an Assignment; what that came
// to as a Completion. The schema is proto/holdfast/session/v1.
//
// Invariants:
//
//  1. A Request has a lane and a number: repeated after a break, it is the same
//     request, and its effect happens once.
//  2. An Assignment has a token and an attempt: of one token, only the newest
//     attempt is listened to.
//  3. Bodies are bytes: nothing here reads what an application says.
//  4. One description of the fields of a noun is used to encode it, to decode it
//     and to check the schema.
//
// The package does not know HTTP or connections and does not decide anything:
// package kar does, as a program of the engine, and package sidecar beside the
// application.
package remote

// Package ingress is the door for requests from outside: it admits them, names
// them, brings them to their partition and waits for the answer.
//
// Invariants:
//
//  1. Only new work from outside is refused here, before anything of it exists.
//  2. Every request that is admitted is answered once: by its partition, or
//     because its caller no longer waits.
//  3. Whatever is random or from the clock enters here and travels with the
//     request.
//
// The package does not know HTTP, and does not decide what a request does.
package ingress

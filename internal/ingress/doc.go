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
//  4. What is asked of a workflow reaches workflows only, and what is asked of an
//     entity entities.
//
// The package does not know HTTP, apart from the paths that it names to whoever
// took a workflow for an entity, and does not decide what a request does.
package ingress

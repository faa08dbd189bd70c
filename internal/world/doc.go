// Package world runs the production code of a node in a simulated world: one
// goroutine, one seed, virtual time. Loops, committer, recovery, savers, ingress
// and connections are those of a live node; what is replaced is who steps them,
// and what surrounds them: clock, disk, network, executors, the process itself.
//
// A World is made from a Config, given clients, and run. Clients are coroutines
// that use a connection as they would outside. Faults come by chance, each kind
// with a rate of its own, or exactly as a Schedule lists them. What must always
// be true is checked while the world goes on; see watch, twin and rest. A
// violation names the seed and can be made smaller with Shrink.
//
// Invariants:
//
//  1. The same Config with the same clients gives the same trace, byte for
//     byte, on any machine.
//  2. Nothing is seen outside of a process after it has died, and nothing of it
//     is left but what is on its disk.
//  3. When the faults are over, whatever was asked comes to its end within a
//     bound of virtual time.
//
// The package does not simulate several nodes. A handler that reads the wall
// clock or global randomness, starts goroutines or ranges over a map in a way
// that shows is outside of what a seed repeats.
package world

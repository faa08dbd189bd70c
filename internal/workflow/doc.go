// Package workflow runs workflows for the Go SDK, without their types: what
// package holdfast puts type parameters on.
//
// A workflow is a function that waits. Each of its strands is a coroutine; a
// turn tells it what has happened, runs the coroutines until all of them wait,
// and returns what they asked for meanwhile. A run that waits is kept in memory
// while there is room, but for one that waits only for a time that is far away. One that is not there is executed again from its journal,
// entry by entry: deliver what the entry delivered, run until everything waits,
// compare what was asked for.
//
// Invariants:
//
//  1. What a run does is a function of its journal: of deliveries in their
//     groups, the times of the turns, and the outcomes of local steps. Coroutines
//     run one at a time, in the order in which they were made.
//  2. A run in memory is used only if it has lived through exactly the journal
//     that a turn comes with; otherwise it is thrown away. Correctness never
//     depends on memory.
//  3. Whoever works on a run owns it: it is not in the cache meanwhile, and no
//     lock is held while user code runs. A turn that never returns keeps nobody
//     from executing its instance afresh.
//  4. User code that panics, ends its goroutine, or asks for something else than
//     before stops its own run and nothing else.
//  5. A run that is thrown away asks for nothing any more. Its coroutines end by
//     runtime.Goexit, which deferred user code sees and cannot stop, on a goroutine
//     that nobody waits for.
//  6. What is kept is bounded by the number of runs and by their estimated size.
//
// The package does not write anything and does not talk to anybody: an outcome
// is data.
package workflow

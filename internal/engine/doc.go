// Package engine is the state machine of one partition: entities, workflows and
// their activities, the queues of both, locks and events, the messages between
// partitions, the answers that are remembered, timers. Everything Holdfast
// promises is decided here.
//
// A Partition is a value that is stepped. Step takes a command, decides on the
// current state, folds the records that it decided on into that state, and
// returns them with the effects that the world is to carry out. Apply folds a
// record that was read back. Durable state is the fold of records and nothing
// else; queues, runs and waiters are volatile and are rebuilt by Recover.
//
// Invariants:
//
//  1. Replaying a partition's records with Apply, from nothing or from any
//     checkpoint, gives the durable state that stepping gave.
//  2. (I1) A message between partitions stays in the sender's outbox until the
//     receiver has consumed it or taken it into an inbox, which happens once.
//  3. (I2) It leaves the outbox only after a record of its consumption or
//     acceptance precedes that in the log.
//  4. An input is consumed by the same record that carries everything it
//     caused, so either all of it happens or none.
//  5. At most one update of an instance runs at a time; its outcome is
//     accepted once and only from the run that is current.
//     A turn of a workflow is told several inputs together: they and what it
//     asks for are one entry of its journal, in that record.
//  6. What one instance sends to one key runs in the order in which it was
//     sent, also when messages are turned around or doubled on the way.
//  7. Time, as handlers see it, never runs backwards.
//  8. No clock, randomness, goroutine, channel, I/O or map order: the same
//     commands give the same records and effects.
//  9. The outcome of an activity counts once, and only that of the attempt that
//     is current; whatever is told to a workflow belongs to its present run.
//  10. Everything that is kept beside entities is bounded, by a constant beside
//     it or in Limits. At a bound, work from outside is refused, and nothing
//     else.
//  11. At a key that is locked nothing begins but what its holder does, or under
//     shared locks, reads. A lock ends with the run that holds it, and what a run
//     does under a lock that it has lost is refused.
//  12. An event is applied at every instance that it touches, or at none. While
//     it is not decided at an instance nothing begins there, and nobody sees it.
//  13. Locks and events visit keys in one order, so none waits for another that
//     waits for it. What could only wait for itself is told so at once.
//
// Under the build tag "invariants", Step checks what is kept twice against
// itself (verify.go). The tests simulate partitions under crashes, and show
// that planted bugs are found.
//
// The package does not run handlers, know positions in a log, or wait for
// durability: an EffectReply only names the index it depends on. It does not
// resend what a transport loses while both sides live: a channel may delay,
// double and reorder, not drop.
package engine

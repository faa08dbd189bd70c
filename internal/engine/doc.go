// Package engine is the state machine of one partition: entities, their
// queues, the messages between partitions, the answers that are remembered,
// timers. Everything Holdfast promises is decided here.
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
//  2. (I1) A message between partitions is exactly one of: in the sender's
//     outbox, in the receiver's inbox, consumed.
//  3. (I2) It leaves the outbox only after a record of its consumption or
//     acceptance precedes that in the log.
//  4. An input is consumed by the same record that carries everything it
//     caused, so either all of it happens or none.
//  5. At most one update of an instance runs at a time; its outcome is
//     accepted once and only from the run that is current.
//  6. No clock, randomness, goroutine, channel, I/O or map order: the same
//     commands give the same records and effects.
//
// The package does not run handlers, know positions in a log, or wait for
// durability: an EffectReply only names the index it depends on.
package engine

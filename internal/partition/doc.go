// Package partition drives engines: loops that step the partitions they own,
// and the committer that turns their records into frames. Both are passive
// values: they are pushed inputs, asked whether they are ready, and given
// turns; package driver runs them live, and a simulator can run them as well.
//
// Invariants:
//
//  1. Order rule: a step's records have their positions in the open buffer
//     before any of the step's effects leave the loop.
//  2. Release rule: a reply leaves the loop only when the log is durable at the
//     position of the newest record that it has seen, and an activity only when
//     the log is durable at that of the record that asks for it. The turn of a
//     read says Direct only if that is so: then whoever runs it may reply.
//  3. A frame is handed out only after the one before is durable.
//  4. A checkpoint is published only when the log is durable at its end.
//  5. After a failed write nothing is released any more: whoever waits hears
//     that the outcome is unknown, and no activity begins.
//  6. An activity that was interrupted before it left the loop never leaves it.
//
// The package does not start goroutines, read clocks, lock or wait, and it does
// not run handlers.
package partition

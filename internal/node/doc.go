// Package node puts a log group to work: it recovers the partitions from a
// host, and runs loops, committer, executors, activities and ingress until it is
// closed.
//
// Invariants:
//
//  1. Nothing is answered before recovery is over.
//  2. The log is trimmed only below what recovery of every partition needs.
//  3. Close ends what Start started: admission, activities, handlers, and then
//     loops with their last checkpoints. What was admitted, and activities that
//     run, are finished first, as far as the time that is given allows; how an
//     activity has ended is written down before the handlers stop.
//
// The package does not listen on the network and does not know frontends.
package node

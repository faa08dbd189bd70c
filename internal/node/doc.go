// Package node puts a log group to work: it recovers the partitions from a
// host, and runs loops, committer, executors and ingress until it is closed.
//
// Invariants:
//
//  1. Nothing is answered before recovery is over.
//  2. The log is trimmed only below what recovery of every partition needs.
//  3. Close ends what Start started, in the reverse order; what was admitted is
//     finished first, as far as the time that is given allows.
//
// The package does not listen on the network and does not know frontends.
package node

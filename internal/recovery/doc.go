// Package recovery brings partitions over a restart: a Saver writes their
// checkpoints to a host and trims the log below them, a Recovery builds them
// again from both.
//
// Invariants:
//
//  1. What was built from checkpoints and log is what was there at the end of
//     the log, or an error says why not.
//  2. The log is trimmed only below what recovery of every partition needs, and
//     only once the checkpoints that make it so are published.
//  3. A checkpoint that has seen records which the log does not hold is refused.
//
// The package starts no goroutines and reads no clocks: the live node spreads
// the work over goroutines, the simulator does it step by step.
package recovery

// Package memory is the in-memory twin of a durable host: the same contract,
// no disk. Tests of everything above the log use it.
//
// A Store is what would be the data directory. Open gives its one Host; closing
// the host, or Crash, leaves the data in the Store, so that a test can restart.
//
// Invariants:
//
//  1. At most one host of a store is open.
//  2. Everything that the contract of package host refuses is refused here.
//  3. Nothing given to a host is shared with it: bytes are copied in and out.
//
// The package does not simulate a disk: internal/world/sim does.
package memory

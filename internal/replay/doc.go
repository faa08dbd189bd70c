// Package replay goes through the log of a data directory, forwards and backwards,
// and shows what was there at any record.
//
// Invariants:
//
//  1. The directory is not changed and not locked: what is read is a copy, so a
//     server may go on with it.
//  2. What is shown at a position is the fold of all records up to it, as recovery
//     would have found it there.
//  3. What can not be known is an error: a position that checkpoints have made
//     unreachable, or that is not in the copy.
//
// The package runs no code of an application, and does not know how things are
// printed.
package replay

// Package sim simulates the world around Holdfast: what may fail, and what is
// slow, from a seed. It holds the disk so far.
//
// A Disk has a page cache in front of pages that are durable, and the same for
// names in directories. It does what disks and kernels are allowed to do and
// what a test machine's disk never does: a power cut keeps any subset of the
// pages of an unsynced write; names are durable only when their directory is
// synced; a failed sync leaves pages that can be read and that no later sync
// writes; a crash of the process leaves them readable until the power cut.
//
// Invariants:
//
//  1. What was synced survives everything but Damage.
//  2. The same calls with the same seed and choices have the same results.
//  3. Nothing here reads a clock or starts a goroutine.
//
// The package imports nothing of Holdfast. It does not simulate permissions,
// links, or tearing within a page.
package sim

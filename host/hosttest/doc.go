// Package hosttest proves that a host keeps the contract of package host.
//
//	func TestConformance(t *testing.T) { hosttest.Run(t, harness) }
//
// A host that writes to a disk does so on a simulated one, which the suite cuts
// off at every point. Cases that need a disk are skipped, with the reason, for
// a host that has none.
//
// Invariants that the suite checks:
//
//  1. What Append acknowledged is in the log after any failure, in order.
//  2. The frame that was being appended is there whole, or not at all.
//  3. What was read after opening is read again after any later failure.
//  4. A damaged byte is reported or harmless; it never gives a wrong frame or
//     slice. The one exception: damage to the last frame, if it was not sealed,
//     may look like a torn write, and the frame is then gone.
//  5. Checkpoints of one Publish become current together, or none does.
//
// The package does not measure, and it does not test what a host does beyond
// the contract: directories, messages and repair are tested beside the host.
package hosttest

// Package embedded keeps log, checkpoints and marks in a directory of a local
// disk. It is the host of a single node. DESIGN.md beside this file explains
// it; docs/rfc/0001-log-format.md has the bytes.
//
// Invariants:
//
//  1. A frame is in the log whole or not at all: its checksum decides.
//  2. A frame is written only after the sync of the one before returned, so
//     only the last one can be torn. Anything else that does not check is
//     damage, and the directory is not opened.
//  3. What was read at the end of the log is written again, into a new file,
//     before anybody sees it: it may have been in the page cache only.
//  4. A file gets the name under which it is found after its content is
//     durable, and it is done when the directory is synced.
//  5. Bytes of an earlier use of a file are never taken for those of this one:
//     every use has its own salt.
//  6. After a failed write or sync nothing more is written.
//
// The package does not look into frames and slices, and does not retry.
package embedded

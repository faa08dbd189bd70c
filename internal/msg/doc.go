// Package msg holds the nouns of Holdfast and how they are written as bytes.
//
// msg.go reads from top to bottom as the system's dictionary: what a request,
// a message, a command, a record, an effect and a reply are. codec files turn
// those that are stored into bytes and back.
//
// Invariants:
//
//  1. decode(encode(x)) = x for every stored noun, and equal nouns have equal
//     bytes.
//  2. Fields numbered below 1,000 are critical: a reader that does not know
//     one stops. Fields from 1,000 on may be skipped.
//  3. Nothing here reads a clock, draws a random number, starts a goroutine or
//     does I/O.
//
// The package does not decide anything: what a record means is the engine's
// business.
package msg

// Package msg holds the nouns of Holdfast and how they are written as bytes.
//
// msg.go reads from top to bottom as the system's dictionary: what a request,
// a message, a command, a record, an effect and a reply are. encode.go and
// decode.go turn those that are stored into bytes and back; wire.go and
// decoder.go are the helpers that they stand on, and with which package engine
// writes its checkpoints. The published schema is
// proto/holdfast/log/v1/record.proto. schedule.go says when a reminder fires
// again, and check.go what may be a key or a name.
//
// Invariants:
//
//  1. decode(encode(x)) = x for every stored noun, and equal nouns have equal
//     bytes. Nil and empty lists are equal.
//  2. Fields numbered below 1,000 are critical: a reader that does not know
//     one stops, as it does at a value of a message kind, change kind or
//     status that it does not know. Fields from 1,000 on may be skipped.
//  3. What is decoded shares no memory with the bytes it came from, and takes
//     memory in proportion to them, whatever lengths they announce.
//  4. Nothing here reads a clock, draws a random number, starts a goroutine or
//     does I/O.
//
// The package does not decide anything: what a record means is the engine's
// business.
package msg

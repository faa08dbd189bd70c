// Package bench measures Holdfast on the machine that it runs on: the command
// bench of holdfast.
//
// Every run has a server of its own, made by package server from its defaults,
// on a new directory of a real disk. Callers in the same process call it as fast
// as they are answered, through the typed client or over HTTP. Figures are
// printed beside what the machine can do at best, measured in the same run and
// in turn with the work: an append with fdatasync, and for HTTP a bare echo with
// the same client.
//
// Invariants:
//
//  1. Everything is as durable as in production: nothing is switched off, and a
//     file system in memory is refused.
//  2. An operation is counted when its answer has come without an error. One-way
//     work is counted when it has been done, and the time until then is, too.
//  3. CPU is that of the whole process, callers and clients included.
//  4. What a run makes on the disk is removed at its end.
//
// The package does not compare with earlier runs or with other systems.
package bench

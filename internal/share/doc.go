// Package share holds what the goroutines of a live node share, and nothing
// that decides: a lock around the open buffer of a log group, mailboxes and who
// works on what comes there, and the signal that wakes who waits.
//
// Invariants:
//
//  1. What a Buffer guards is touched by one goroutine at a time.
//  2. What is put into a Mailbox is taken out once, in the order in which it
//     was put.
//  3. A Signal that was set after a wait began, or since the last one ended,
//     ends the wait.
//  4. One goroutine at a time gives a turn at a Desk. What is there when it
//     ends, or is due, wakes the desk's own.
//
// The package starts no goroutines and knows neither loops nor the log. A
// simulator does without it: it runs passive values in one goroutine.
package share

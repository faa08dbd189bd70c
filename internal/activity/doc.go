// Package activity runs attempts of activities: ordinary code that may do
// anything and take any time.
//
// Invariants:
//
//  1. Every attempt is told exactly one outcome, but for these: one that was
//     interrupted before it was told, one that Close found waiting, and one that
//     fails because of Close or outlasts it. Those are told nothing.
//  2. No more attempts run here at once than Config.RunningMax, nor of one activity
//     than it allows. The others wait, in the order in which they came, and take
//     no goroutine; activities that wait take turns.
//  3. An attempt whose time is over, or that is not heard of, has its context
//     ended. If it does not return either, it is left behind: it makes room for
//     others and is told a retryable deadline_exceeded. How many may be left
//     behind at once is bounded and visible; beyond that, they keep their room.
//  4. What a heartbeat said last is passed on before the outcome; otherwise
//     heartbeats are passed on at most once in a second for each attempt, and at
//     least as often if they say something new. One that repeats what is known
//     already is a sign of life only.
//  5. Nothing is told once Close has returned.
//  6. What runs is marked in memory that outlives the process, while there is
//     room, until it returns and before its outcome is told. Nothing is written
//     to that memory once Close has returned.
//
// What waits has no bound of its own: each is a task of the engine, which
// bounds them.
//
// The package does not decide whether an attempt is tried again, nor what a
// late outcome is worth: the engine does. It keeps nothing: what was not told
// when the process ends is asked for again.
package activity

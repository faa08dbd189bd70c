// Package vet looks into code that uses Holdfast for what the compiler cannot
// refuse: things in a workflow that another execution of it would do
// differently, and things in a handler that hold up its entity. It exists
// because both show late: a workflow that reads the clock works until it is
// executed again from its journal, perhaps months after it was written.
//
// What a function may do follows from its parameters. One that takes a
// *holdfast.WorkflowContext is workflow code (and one that takes a
// *holdfast.InitContext), be it a handler, a helper, the
// turn of a loop, a coroutine or a compensation, and so are the function
// literals in it. One that takes the context of an update, event, read or
// machine is a handler. A function literal that takes a context.Context, as
// for holdfast.Step, and every other function is ordinary code.
//
// Invariants:
//
//  1. Ordinary code is never reported. What it does is reported where workflow
//     code or a handler calls it, or passes it on, with the place that is at
//     fault; calls are followed inside the package, and across packages by
//     facts.
//  2. In handlers only what waits is reported: their clocks, their randomness
//     and their effects on memory are never executed again.
//  3. Every message names what was found, why it matters and what replaces it.
//  4. //holdfast:allow with a reason silences one finding, on its own line or,
//     if it stands alone, on the next. Without a reason it is a finding.
//  5. Facts are kept about what waits or differs by itself. Locks, the order of
//     maps, package variables and output are the business of the package that
//     has them: a library that takes and releases its own lock is no finding.
//  6. The standard library is judged by a table, package holdfast by its
//     contract; neither is examined.
//
// Limits. Calls through interfaces, fields and variables of function type are
// not followed, except for package variables that are another name for
// something of the table, as in var now = time.Now; nor is the data that flows out of a map into a decision: a
// return from the middle of a range is not seen. Reading a package variable
// that others change is not seen either, nor is a wait hidden in cgo or
// assembly. Initialisers (*holdfast.InitContext) count as ordinary code. Files
// of tests are left out, because they make workflows wait on purpose. An allow
// that silences nothing is not reported.
package vet

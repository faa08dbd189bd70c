// Package doctest holds what the documents say to what the code does: every
// Go snippet of README and docs/guide is built against the module, every shell
// command is checked for names that exist, and the sessions of the first
// program are run.
//
// Invariants:
//
//  1. A snippet is built as it is printed. The only things added are a package
//     clause, imports of well-known packages, and a function around bare
//     statements.
//  2. A mistake is reported at its line of the document.
//  3. There is no way to leave a Go snippet out.
//
// In a document, a snippet with a package clause begins a program; snippets
// without one that follow are further files of it. A console block shows
// commands after "$ " and their output below; an sh block shows commands only.
//
// The package does not judge prose and has no code outside its tests.
package doctest

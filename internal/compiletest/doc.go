// Package compiletest holds the programs that must not compile, with what the
// compiler says to their authors, and those that must.
//
// Invariants:
//
//  1. Each line of testdata/refused with a comment of the form // want "text"
//     is refused with a message that contains the text; no other line is.
//  2. The packages of testdata/accepted compile.
//
// The package has tests only, and does not run the programs.
package compiletest

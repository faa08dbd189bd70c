// Package holdfasttest tests programs that are written with package holdfast.
//
// Turn and Read run one handler as the plain function that it is: a state and
// an input go in; output, error, state and messages come out. React and Enter do
// so with one reaction of a machine. No server, no declaration and no binding
// are needed.
//
// Run simulates an app with its server, its disk and its clients, for a number
// of seeds, with whatever may go wrong. See docs/guide/testing.md.
//
// Invariants:
//
//  1. A turn here goes through the same code as in a server: inputs, outputs
//     and states are encoded, errors undo, panics become errors, and a context
//     that is used later panics.
//
//  2. Errors and volatile fields stay as they are: they do not go through an
//     encoding, so that errors.Is finds what the handler returned.
//
//  3. A simulation runs the code that a server runs, and depends on nothing but
//     its seed, as far as the program does.
//
// Turn and Read do not check whether a program validates (call Validate of the
// app), run no interceptors, and deliver no messages; Run does all of that.
package holdfasttest

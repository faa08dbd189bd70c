// Package holdfasttest tests programs that are written with package holdfast.
//
// Turn and Read run one handler as the plain function that it is: a state and
// an input go in; output, error, state and messages come out. React and Enter do
// so with one reaction of a machine. No server, no declaration and no binding
// are needed.
//
// Invariants:
//
//  1. A turn here goes through the same code as in a server: inputs, outputs
//     and states are encoded, errors undo, panics become errors, and a context
//     that is used later panics.
//  2. Errors and volatile fields stay as they are: they do not go through an
//     encoding, so that errors.Is finds what the handler returned.
//
// The package does not check whether a program validates (call Validate of the
// app), runs no interceptors, and delivers no messages.
package holdfasttest

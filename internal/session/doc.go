// Package session carries the nouns of package remote over one connection
// between a server and the process beside an application.
//
// The connection begins as an HTTP/1.1 request with "Upgrade: holdfast-session/1"
// and is frames from then on, in both directions: four bytes of length
// (big-endian, of what follows), one byte of type, and a noun. The client begins
// with Hello, and the server answers Welcome.
//
// Invariants:
//
//  1. Frames that were ready together are written together.
//  2. Requests, assignments and completions are sent within the bytes that the
//     other side has given credit for; everything else is small, or was asked for.
//  3. Each side is heard of three times in a lease while the connection stands; one
//     that is silent for a lease has ended.
//  4. A Client asks the same again, by lane and number, after the connection was
//     broken, until it is answered.
//
// The package does not decide what a session means: the server's side is package
// frontend/kar, and the client's is package sidecar.
package session

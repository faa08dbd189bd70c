// Package native is the HTTP interface of Holdfast: JSON over HTTP/1.1 and h2c.
//
// It turns HTTP requests into requests at a door, and replies and errors into
// HTTP answers. DESIGN section 6 is its table of routes.
//
// Invariants:
//
//  1. A path is taken apart while it is escaped, so every key can be named:
//     a slash in a key is %2F, and a key is never cleaned away. Nothing is
//     answered with a redirect.
//  2. A body is complete, within the limit and well-formed JSON before the door
//     sees it. A body of another content type is left to the handler's codec.
//  3. Every error is {"error":{"code","message"}}, with a "detail" where the
//     handler gave one, and its status follows from its code or its class.
//  4. An answer that is written came from the door. Nothing is remembered
//     between requests.
//
// The package does not know what a kind, a handler or a key may be, does not
// run anything and does not open a port: the door and the server do.
package native

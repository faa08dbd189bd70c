// Package field holds the maps and lists of an entity: entries by key in order,
// items that are appended, and views of both that do not change.
//
// Invariants:
//
//  1. A view never sees what is changed after it was made.
//  2. Making a view copies nothing but what says where things are: a map is
//     copied when it is written to, and a list shares its items.
//
// The package does not know records or entities.
package field

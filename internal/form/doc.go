// Package form says how Go types look when they are stored or sent as JSON:
// whether their values survive it, and what their schema is.
//
// Invariants:
//
//  1. What Check and PlanState do not complain about comes back from
//     encoding/json as it was, apart from volatile fields.
//  2. A view has the memory layout of the type that it stands for, so that
//     encoding/json may look at a value through it.
//  3. It looks at types only, never at values, and remembers nothing.
//
// The package does not know the types Map and List of package holdfast, which
// imports it: a Stored says which types they are.
package form

// Package market is an application that uses the whole programming model in one
// small world: customers with wallets order from shops, which have stock and a
// till, and parcels travel.
//
// Where to find what:
//
//   - wallet.go: a strict kind, whose initialiser runs an activity; maps and lists
//     in a state; tail calls; an event over two wallets
//   - shop.go: two kinds in one affinity, reminders, signals from a turn, Keep;
//     workflows that lock, share and require
//   - order.go: a workflow with children, activities, steps, strands, a promise,
//     signals, a query, compensation, clean-up, a patch and Finish
//   - parcel.go: a machine that defers, with timers and a reply address
//   - round.go: a loop, a schedule, a workflow that begins anew, and two that wait
//     for an operator
//
// Invariants:
//
//  1. Money is in wallets, held or not, and in tills, and there is as much of it
//     as was paid in.
//  2. Of every article as many are in stock, sold and on hold as were delivered.
//  3. A completed order was paid for once, and one parcel of it has arrived once;
//     one that has not was not paid for.
//  4. Exchanges of the same two wallets are in both lists in the same order.
//
// It knows no prices but one: everything costs the same.
package market

import "github.com/holdfast-io/holdfast"

// App is the application.
func App() *holdfast.App {
	return holdfast.NewApp("market", wallets(), shops(), orders(), parcels(), rounds())
}

// Package types mixes types up.
package types

import "github.com/holdfast-io/holdfast"

type account struct{ Balance int64 }
type limit struct{ Max int64 }
type accountID string
type userID string

var (
	owners   = holdfast.NewAffinity[accountID]("account")
	accounts = holdfast.NewEntityIn[account](owners, "account")
	deposit  = holdfast.NewUpdate[int64, int64](accounts, "deposit")
	balance  = holdfast.NewRead[holdfast.Void, int64](accounts, "balance")
)

func mixes(c *holdfast.ClientContext, user userID, text string) {
	_, _ = deposit.Call(c, "bob", "ten") // want "cannot use \"ten\" (untyped string constant) as int64 value in argument to deposit.Call"
	_, _ = deposit.Call(c, user, 1)      // want "cannot use user (variable of string type userID) as accountID value in argument to deposit.Call"
	_, _ = deposit.Call(c, text, 1)      // want "cannot use text (variable of type string) as accountID value in argument to deposit.Call"
	_, _ = balance.Call(c, "bob")        // want "not enough arguments in call to balance.Call"
	var wrong string
	wrong, _ = deposit.Call(c, "bob", 1) // want "cannot use deposit.Call(c, \"bob\", 1) (value of type int64) as string value in assignment"
	_ = wrong
	deposit.To("bob").Send(nil, "ten")                       // want "cannot use \"ten\" (untyped string constant) as int64 value"
	var address holdfast.Address[string] = deposit.To("bob") // want "cannot use deposit.To(\"bob\")"
	_ = address
}

var (
	_ = accounts.Options(holdfast.EntityOptions[limit]{})          // want "cannot use holdfast.EntityOptions[limit]{}"
	_ = holdfast.NewEntityIn[account](owners, "x").Ref(userID("")) // want "as accountID value in argument"
	_ = holdfast.NewApp("a", deposit)                              // want "does not implement holdfast.Part (missing method addTo)"
	_ = holdfast.NewApp("a", func() {})                            // want "does not implement holdfast.Part (missing method addTo)"
	_ = holdfast.NewAffinity[int]("x")                             // want "int does not satisfy ~string"
	_ holdfast.Map[int, int]                                       // want "int does not satisfy ~string"
)

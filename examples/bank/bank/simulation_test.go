package bank

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/holdfasttest"
)

// everybody are the customers of a simulated bank.
var everybody = []string{"alice", "bob", "carol", "dave"}

// salary is what each is paid in at the beginning.
const salary = 100

// TestTransfersSurviveEverything lets customers pay each other while everything
// goes wrong that may.
func TestTransfersSurviveEverything(t *testing.T) {
	holdfasttest.Run(t, App(), func(w *holdfasttest.World) {
		for n, name := range everybody {
			w.Do(func(c *holdfast.ClientContext) {
				if _, err := Deposit.Call(c, name, salary); err != nil {
					w.Fatalf("pay the salary of %s: %v", name, err)
				}
				for range 5 {
					to := everybody[(n+1+w.Rand().IntN(3))%len(everybody)]
					_, err := Transfer.Call(c, name, Move{To: to, Amount: 1 + w.Rand().Int64N(2*salary)})
					if err != nil && !errors.Is(err, ErrInsufficient) && !errors.Is(err, holdfast.ErrUnavailable) {
						w.Fatalf("%s pays %s: %v", name, to, err)
					}
					w.Sleep(c, time.Duration(w.Rand().IntN(5))*time.Millisecond)
				}
			})
		}
		w.Always("nobody has less than nothing", func(s holdfasttest.State) bool { return least(s) >= 0 })
		w.Always("money is paid in, and never made", func(s holdfasttest.State) bool {
			return money(s)%salary == 0 && money(s) <= salary*int64(len(everybody))
		})
		w.Finally("all of it is there, in accounts", func(s holdfasttest.State) bool {
			return money(s) == salary*int64(len(everybody)) && len(s.UnderWay()) == 0
		})
	}, holdfasttest.Seeds(25), holdfasttest.AllFaults(), holdfasttest.CrashEverywhere())
}

// money is what is in accounts, and on its way between them.
func money(s holdfasttest.State) (sum int64) {
	for _, name := range everybody {
		sum += balanceOf(s, name)
	}
	for _, m := range s.UnderWay() {
		var amount int64
		if m.Handler == "deposit" && json.Unmarshal(m.Body, &amount) == nil {
			sum += amount
		}
	}
	return sum
}

func balanceOf(s holdfasttest.State, name string) int64 {
	balance, err := Balance.Call(s, name, holdfast.Void{})
	if err != nil {
		return -1
	}
	return balance
}

// least is the smallest balance.
func least(s holdfasttest.State) int64 {
	smallest := balanceOf(s, everybody[0])
	for _, name := range everybody[1:] {
		smallest = min(smallest, balanceOf(s, name))
	}
	return smallest
}

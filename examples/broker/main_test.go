package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/holdfasttest"
	"github.com/holdfast-io/holdfast/internal/crashtest"
)

func TestMain(m *testing.M) { crashtest.Main(m, App()) }

func TestAppValidates(t *testing.T) {
	if err := App().Validate(); err != nil {
		t.Fatal(err)
	}
}

func TestAnOrderBeginsWithTheWithdrawal(t *testing.T) {
	r := holdfasttest.React(begin, Broker{}, Order{"ann", "bob", 5})
	if r.Err != nil || r.Transition != "goto" || r.To != "withdrawing" || r.Data.Order.Amount != 5 {
		t.Errorf("got %+v", r)
	}
	e := holdfasttest.Enter(withdraw, Broker{Order: Order{"ann", "bob", 5}}, holdfasttest.Key("b1"))
	if e.Err != nil || len(e.Sent) != 1 || e.Sent[0].Key != "ann" || e.Sent[0].Handler != "apply" || len(e.Reminders) != 1 {
		t.Errorf("got %+v", e)
	}
}

const (
	accounts, brokers, orders = 4, 3, 40 // orders of each broker
	kills                     = 10
	paidIn                    = 1000 // to each account
)

// Orders of several brokers between the same accounts, some of which cannot be
// carried out, while the process is killed: no money is made or lost.
func TestTheSumIsConservedThroughCrashes(t *testing.T) {
	s := crashtest.Start(t, 1)
	c := s.Client()
	for n := range accounts {
		if _, err := Open.Call(c, fmt.Sprint("a", n), paidIn); err != nil {
			t.Fatal(err)
		}
	}
	ask := func(kill int) {
		for n := kill * brokers * orders / kills; n < (kill+1)*brokers*orders/kills; n++ {
			order(t, c, n)
		}
	}
	var sum Broker
	s.Survive(kills, ask, "all orders have ended", func() bool {
		sum = Broker{}
		for n := range brokers {
			b, _, err := Brokers.Inspect(c, fmt.Sprint("b", n))
			if err != nil || b.Stack[0] != "idle" {
				return false
			}
			sum.Moved, sum.Refused, sum.GivenBack = sum.Moved+b.Data.Moved, sum.Refused+b.Data.Refused, sum.GivenBack+b.Data.GivenBack
		}
		return sum.Moved+sum.Refused+sum.GivenBack >= brokers*orders
	})
	checkEnd(t, s, c, sum)
}

// order asks a broker for the order of a number.
func order(t *testing.T, c *holdfast.ClientContext, n int) {
	t.Helper()
	o := Order{From: fmt.Sprint("a", n%accounts), To: fmt.Sprint("a", (n*7+1)%accounts), Amount: int64(n%30) * 40}
	if n%5 == 4 {
		o.To = "nobody"
	}
	if err := Begin.Submit(c, fmt.Sprint("b", n%brokers), o); err != nil {
		t.Fatal(err)
	}
}

func checkEnd(t *testing.T, s *crashtest.Server, c *holdfast.ClientContext, sum Broker) {
	t.Helper()
	if sum.Moved+sum.Refused+sum.GivenBack != brokers*orders || sum.Moved == 0 || sum.GivenBack == 0 {
		t.Errorf("%d orders moved, %d were refused, %d given back, of %d", sum.Moved, sum.Refused, sum.GivenBack, brokers*orders)
	}
	total := int64(0)
	for n := range accounts {
		a, _, err := Accounts.Inspect(c, fmt.Sprint("a", n))
		if err != nil || a.Balance < 0 {
			t.Errorf("account %d: %+v, %v", n, a, err)
		}
		total += a.Balance
	}
	if total != accounts*paidIn {
		t.Errorf("the accounts hold %d, %d were paid in", total, accounts*paidIn)
	}
	if letters := s.Get("/v1/dead-letters"); !strings.Contains(letters, `"dead_letters":[]`) {
		t.Errorf("dead letters: %s", letters)
	}
}

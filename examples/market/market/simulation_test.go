package market

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/holdfasttest"
)

// Goal: the market is in order whatever happens, in worlds that can be repeated.
// Method: the same ledger as for the market that is killed, with fewer users, in
// the simulator.

// simulated is a market in a simulated world. Its users are coroutines: nothing
// is done at once.
type simulated struct {
	*holdfasttest.World
	ledger
	users int
}

func TestAMarketSurvivesEverything(t *testing.T) {
	holdfasttest.Run(t, App(), func(w *holdfasttest.World) {
		m := &simulated{World: w, ledger: newLedger()}
		for n := range 3 {
			m.user(func(c *holdfast.ClientContext) { m.buys(c, n) })
		}
		m.user(func(c *holdfast.ClientContext) { m.exchanges(c, 4) })
		m.user(func(c *holdfast.ClientContext) { m.audits(c, 2) })
		m.user(m.answers)
		w.Finally("the market is in order", func(s holdfasttest.State) bool {
			m.look(s.ClientContext)
			faults := m.faults()
			for _, fault := range faults {
				t.Log(fault)
			}
			return len(faults) == 0
		})
	}, holdfasttest.Seeds(60), holdfasttest.AllFaults())
}

// user lets somebody in; the last one who leaves closes the shops.
func (m *simulated) user(do func(c *holdfast.ClientContext)) {
	m.users++
	m.Do(func(c *holdfast.ClientContext) {
		do(c)
		if m.users--; m.users > 0 {
			return
		}
		for _, shop := range shopNames {
			m.must(m.again(c, func() error { return Close.Submit(c, string(shop), holdfast.None) }), nil)
		}
	})
}

// again repeats what can be repeated until its fate is known.
func (m *simulated) again(c *holdfast.ClientContext, do func() error) error {
	for {
		err := do()
		if !errors.Is(err, holdfast.ErrUnavailable) {
			return err
		}
		m.Sleep(c, time.Second)
	}
}

func (m *simulated) must(err error, or ...error) {
	if err != nil && !expected(err, or...) {
		m.Fatalf("%v", err)
	}
}

// buys opens a wallet and a shop, and orders.
func (m *simulated) buys(c *holdfast.ClientContext, n int) {
	name, shop := walletName(n), shopNames[n]
	m.must(m.again(c, func() error {
		return second(Open.Call(c, name, opening, holdfast.IdempotencyKey(name)))
	}))
	m.paidIn += opening
	m.must(m.again(c, func() error { return second(Supplies.Submit(c, string(shop), Supply{})) }))
	for round := range 3 {
		id := fmt.Sprintf("o-%d-%d", n, round)
		o := Order{Wallet: name, Shop: shopNames[m.Rand().IntN(len(shopNames))], Article: articles[round%2],
			Large: m.Rand().IntN(3) == 0, Suspect: m.Rand().IntN(6) == 0}
		m.must(m.again(c, func() error { return second(Orders.Submit(c, id, o)) }))
		switch m.Rand().IntN(6) {
		case 0:
			m.must(m.again(c, func() error { return Orders.Cancel(c, id) }), holdfast.ErrConflict)
		case 1:
			m.must(m.again(c, func() error { return Orders.Pause(c, id) }), holdfast.ErrConflict)
			m.must(m.again(c, func() error { return Orders.Resume(c, id) }), holdfast.ErrConflict)
		case 2:
			m.must(m.again(c, func() error { return Withdraw.Submit(c, id, "too dear", holdfast.IdempotencyKey(id)) }), holdfast.ErrConflict)
		}
		err := m.again(c, func() error { return second(Orders.Result(c, id)) })
		m.must(err, ErrInsufficient, ErrSoldOut, ErrSuspect, ErrRefused, ErrWithdrawn, ErrLost, holdfast.ErrCancelled)
		if err == nil {
			m.completed[id] = o
		} else {
			m.failed[id] = o
		}
	}
}

func (m *simulated) exchanges(c *holdfast.ClientContext, rounds int) {
	for n := range rounds {
		from := m.Rand().IntN(3)
		e := Exchange{Name: fmt.Sprint("e-", n), From: walletName(from), To: walletName((from + 1) % 3), Amount: m.Rand().Int64N(opening)}
		err := m.again(c, func() error { return Exchanged.Raise(c, e, holdfast.IdempotencyKey(e.Name)) })
		m.must(err, ErrInsufficient, holdfast.ErrNotFound, holdfast.ErrDeadline) // clocks jump
		if err == nil {
			m.applied[e.Name] = e
		} else {
			m.refused[e.Name] = e
		}
	}
}

func (m *simulated) audits(c *holdfast.ClientContext, rounds int) {
	for n := range rounds {
		shop, other := shopNames[m.Rand().IntN(len(shopNames))], shopNames[m.Rand().IntN(len(shopNames))]
		m.must(m.again(c, func() error { return second(Stocktake.Call(c, fmt.Sprint("s-", n), shop)) }))
		m.must(m.again(c, func() error {
			return second(Compare.Call(c, fmt.Sprint("c-", n), []ShopID{other, shop, other}))
		}))
	}
}

// answers looks at the desk until everybody else has left, or for an hour.
func (m *simulated) answers(c *holdfast.ClientContext) {
	for n := 0; m.users > 1 && n < 3600; n++ {
		var list []Question
		m.must(m.again(c, func() (err error) {
			list, err = Answers.Call(c, deskName, holdfast.None, holdfast.IdempotencyKey(fmt.Sprint("a-", n)))
			return err
		}))
		for _, q := range list {
			m.must(m.again(c, func() error { return q.Reply.Resolve(c, m.Rand().IntN(2) == 0) }),
				holdfast.ErrAlreadyExists, holdfast.ErrNotFound, holdfast.ErrConflict)
		}
		m.Sleep(c, time.Second)
	}
}

// look takes what is there into the ledger.
func (m *simulated) look(c *holdfast.ClientContext) {
	for n := range 3 {
		m.wallets[walletName(n)], _, _ = Wallets.Inspect(c, walletName(n)) // what is not there is empty
	}
	for _, shop := range shopNames {
		m.stocks[shop], _, _ = Stocks.Inspect(c, shop)
		m.tills[shop], _, _ = Tills.Inspect(c, shop)
	}
	m.desk, _, _ = Desks.Inspect(c, deskName)
	m.depot, _, _ = Depots.Inspect(c, depotName)
}

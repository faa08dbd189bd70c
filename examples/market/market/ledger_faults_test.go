package market

import (
	"strings"
	"testing"
)

// sound is the ledger of a market in which ann has bought an anvil from the north
// shop, bob has thought better of it, and both have exchanged twice.
func sound() *ledger {
	l := &ledger{
		paidIn:    1000,
		completed: map[string]Order{"o-1": {Wallet: "ann", Shop: "north", Article: "anvil"}},
		failed:    map[string]Order{"o-2": {Wallet: "bob", Shop: "north", Article: "anvil"}},
		applied:   map[string]Exchange{"e-1": {"e-1", "ann", "bob", 10}, "e-2": {"e-2", "bob", "ann", 10}},
		refused:   map[string]Exchange{"e-3": {"e-3", "bob", "ann", 10_000}},
		stocks:    map[ShopID]Stock{"north": {Articles: map[string]int{"anvil": 19}, Delivered: 20, Gone: 1}},
		desk:      Desk{Begun: 2, Ended: 2},
		leftover:  map[string]string{"locks": ""},
	}
	var ann, bob Wallet
	ann.Balance, ann.Thanks, bob.Balance = 430, 1, 500
	ann.Exchanges.Append("e-1", "e-2")
	bob.Exchanges.Append("e-1", "e-2")
	var till Till
	till.Total = 70
	till.Sales.Put("o-1", Sale{"o-1", "ann", 70})
	l.depot.Arrivals.Put("o-1", 1)
	l.diary.Censuses.Put("census@1", 1)
	l.wallets = map[string]Wallet{"ann": ann, "bob": bob}
	l.tills = map[ShopID]Till{"north": till}
	return l
}

// wallet changes a wallet of a ledger.
func (l *ledger) wallet(name string, change func(*Wallet)) {
	w := l.wallets[name]
	change(&w)
	l.wallets[name] = w
}

// stock changes the stock of the north shop.
func (l *ledger) stock(change func(*Stock)) {
	s := l.stocks["north"]
	change(&s)
	l.stocks["north"] = s
}

func TestASoundLedgerHasNoFaults(t *testing.T) {
	if faults := sound().faults(); len(faults) > 0 {
		t.Errorf("got %q", faults)
	}
}

func TestEachFaultIsFound(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(*ledger)
		says  string
	}{
		{"money is lost", func(l *ledger) { l.wallet("bob", func(w *Wallet) { w.Balance-- }) }, "there are 999 cents, 1000 were paid in"},
		{"money is made", func(l *ledger) { l.paidIn-- }, "there are 1000 cents, 999 were paid in"},
		{"money stays aside", func(l *ledger) {
			l.wallet("bob", func(w *Wallet) { w.Balance -= 70; w.Held.Put("o-2", 70) })
		}, "wallet bob still holds 70 for order o-2"},
		{"a till does not know its sales", func(l *ledger) {
			till := l.tills["north"]
			till.Sales.Put("o-1", Sale{"o-1", "ann", 60})
			l.tills["north"] = till
		}, "till north says 70, its sales are 60"},
		{"an article is lost", func(l *ledger) { l.stock(func(s *Stock) { s.Articles["anvil"]-- }) }, "20 were delivered, 18 are here"},
		{"an article is gone and not sold", func(l *ledger) { l.stock(func(s *Stock) { s.Articles["anvil"]--; s.Gone++ }) }, "2 are gone, 1 were sold"},
		{"a reminder comes early", func(l *ledger) { l.stock(func(s *Stock) { s.Early, s.Ticks = 1, 3 }) }, "1 of 3 reminders came early"},
		{"an order is not paid for", func(l *ledger) {
			till := l.tills["north"]
			till.Sales.Delete("o-1")
			l.tills["north"] = till
		}, "order o-1 has completed: paid for: false"},
		{"a parcel arrives twice", func(l *ledger) { l.depot.Arrivals.Put("o-1", 2) }, "arrivals: 2"},
		{"a parcel does not arrive", func(l *ledger) { l.depot.Arrivals.Delete("o-1") }, "arrivals: 0"},
		{"a failed order is paid for", func(l *ledger) { l.failed["o-1"] = l.completed["o-1"] }, "order o-1 has failed: paid for: true"},
		{"thanks are lost", func(l *ledger) { l.wallet("ann", func(w *Wallet) { w.Thanks = 0 }) }, "0 thanks for 1 completed orders"},
		{"thanks come twice", func(l *ledger) { l.wallet("ann", func(w *Wallet) { w.Thanks = 2 }) }, "2 thanks for 1 completed orders"},
		{"an order does not clean up", func(l *ledger) { l.desk.Ended-- }, "2 orders have begun and 1 have cleaned up, of 2"},
		{"an order begins twice", func(l *ledger) { l.desk.Begun++ }, "3 orders have begun and 2 have cleaned up, of 2"},
		{"an exchange is half applied", func(l *ledger) { l.wallet("bob", func(w *Wallet) { w.Exchanges.Clear(); w.Exchanges.Append("e-2") }) }, "exchange e-1 was applied at ann: true, at bob: false"},
		{"an exchange is applied twice", func(l *ledger) { l.wallet("bob", func(w *Wallet) { w.Exchanges.Append("e-1") }) }, "wallet bob has exchange e-1 twice"},
		{"a refused exchange is applied", func(l *ledger) { l.wallet("bob", func(w *Wallet) { w.Exchanges.Append("e-3") }) }, "exchange e-3 was refused and is at bob"},
		{"exchanges have two orders", func(l *ledger) {
			l.wallet("bob", func(w *Wallet) { w.Exchanges.Clear(); w.Exchanges.Append("e-2", "e-1") })
		}, "ann and bob saw the exchanges of both in different orders"},
		{"a schedule fires twice", func(l *ledger) { l.diary.Censuses.Put("census@1", 2) }, "census census@1 was noted 2 times"},
		{"a question is forgotten", func(l *ledger) { l.desk.Questions = []Question{{Order: "o-2"}, {Order: "o-1"}} }, "a question of order o-1 waits at the desk"},
		{"a lock stays", func(l *ledger) { l.leftover["locks"] = `[{"kind":"shop"}]` }, `there are locks: [{"kind":"shop"}]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := sound()
			c.spoil(l)
			if faults := strings.Join(l.faults(), "\n"); !strings.Contains(faults, c.says) {
				t.Errorf("got %q, want %q", faults, c.says)
			}
		})
	}
}

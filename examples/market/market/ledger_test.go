package market

import (
	"fmt"
	"slices"
	"strings"
)

// Goal: one place says what must hold when everything has ended. Method: a ledger
// of what was asked for and of what is there, and a list of what does not fit.

// ledger is what customers did and were told, and what is there at the end.
type ledger struct {
	paidIn    int64            // into wallets
	completed map[string]Order // orders that have completed, by name
	failed    map[string]Order // and those that have not
	applied   map[string]Exchange
	refused   map[string]Exchange
	cents     map[string]int // instalments that have ended, by wallet

	wallets  map[string]Wallet
	stocks   map[ShopID]Stock
	tills    map[ShopID]Till
	desk     Desk
	depot    Depot
	diary    Diary
	leftover map[string]string // what operators can list, and must be empty
}

func newLedger() ledger {
	return ledger{
		completed: map[string]Order{}, failed: map[string]Order{}, applied: map[string]Exchange{}, refused: map[string]Exchange{},
		wallets: map[string]Wallet{}, stocks: map[ShopID]Stock{}, tills: map[ShopID]Till{}, leftover: map[string]string{},
	}
}

// faults lists what does not fit.
func (l *ledger) faults() (list []string) {
	for _, check := range []func() []string{l.money, l.goods, l.orders, l.exchanges, l.rest} {
		list = append(list, check()...)
	}
	return list
}

func (l *ledger) money() (list []string) {
	total := int64(0)
	for name, w := range l.wallets {
		total += w.Balance
		for order, amount := range w.Held.All() {
			list = append(list, fmt.Sprintf("wallet %s still holds %d for order %s", name, amount, order))
			total += amount
		}
	}
	for shop, till := range l.tills {
		total += till.Total
		sum := int64(0)
		for _, sale := range till.Sales.All() {
			sum += sale.Amount
		}
		if sum != till.Total {
			list = append(list, fmt.Sprintf("till %s says %d, its sales are %d", shop, till.Total, sum))
		}
	}
	if total != l.paidIn {
		list = append(list, fmt.Sprintf("there are %d cents, %d were paid in", total, l.paidIn))
	}
	return list
}

func (l *ledger) goods() (list []string) {
	sold := map[ShopID]int{}
	for _, o := range l.completed {
		sold[o.Shop]++
	}
	for shop, s := range l.stocks {
		here := 0
		for _, count := range s.Articles {
			here += count
		}
		if here+s.Gone != s.Delivered || s.Gone != sold[shop] {
			list = append(list, fmt.Sprintf("stock %s: %d were delivered, %d are here, %d are gone, %d were sold", shop, s.Delivered, here, s.Gone, sold[shop]))
		}
		if s.Early > 0 {
			list = append(list, fmt.Sprintf("stock %s: %d of %d reminders came early", shop, s.Early, s.Ticks))
		}
	}
	return list
}

func (l *ledger) orders() (list []string) {
	paid := map[string]bool{}
	thanks, order := 0, 0
	for _, till := range l.tills {
		for name := range till.Sales.All() {
			paid[name] = true
		}
	}
	for name := range l.completed {
		arrivals, _ := l.depot.Arrivals.Get(name)
		if !paid[name] || arrivals != 1 {
			list = append(list, fmt.Sprintf("order %s has completed: paid for: %t, arrivals: %d", name, paid[name], arrivals))
		}
	}
	for name := range l.failed {
		arrivals, _ := l.depot.Arrivals.Get(name)
		if paid[name] || arrivals > 1 {
			list = append(list, fmt.Sprintf("order %s has failed: paid for: %t, arrivals: %d", name, paid[name], arrivals))
		}
	}
	for _, w := range l.wallets {
		thanks += w.Thanks
	}
	for range l.depot.Arrivals.All() {
		order++
	}
	if thanks < len(l.completed) || thanks > order {
		list = append(list, fmt.Sprintf("%d thanks for %d completed orders and %d parcels", thanks, len(l.completed), order))
	}
	if all := len(l.completed) + len(l.failed); l.desk.Begun != all || l.desk.Ended != all {
		list = append(list, fmt.Sprintf("%d orders have begun and %d have cleaned up, of %d", l.desk.Begun, l.desk.Ended, all))
	}
	return list
}

// exchanges: each is in both lists once, or in none, and the lists of two wallets
// do not contradict each other.
func (l *ledger) exchanges() (list []string) {
	places := map[string]map[string]int{} // wallet, exchange, place
	for name, w := range l.wallets {
		places[name] = map[string]int{}
		for exchange := range w.Exchanges.All() {
			if _, twice := places[name][exchange]; twice {
				list = append(list, fmt.Sprintf("wallet %s has exchange %s twice", name, exchange))
			}
			places[name][exchange] = len(places[name])
		}
	}
	shared := map[[2]string][]string{}
	for name, e := range l.applied {
		_, from := places[e.From][name]
		_, to := places[e.To][name]
		if !from || !to {
			list = append(list, fmt.Sprintf("exchange %s was applied at %s: %t, at %s: %t", name, e.From, from, e.To, to))
			continue
		}
		pair := [2]string{min(e.From, e.To), max(e.From, e.To)}
		shared[pair] = append(shared[pair], name)
	}
	for name, e := range l.refused {
		for _, wallet := range []string{e.From, e.To} {
			if _, there := places[wallet][name]; there {
				list = append(list, fmt.Sprintf("exchange %s was refused and is at %s", name, wallet))
			}
		}
	}
	for pair, names := range shared {
		at := func(wallet string) []string {
			slices.SortFunc(names, func(a, b string) int { return places[wallet][a] - places[wallet][b] })
			return slices.Clone(names)
		}
		if first, second := at(pair[0]), at(pair[1]); !slices.Equal(first, second) {
			list = append(list, fmt.Sprintf("wallets %s and %s saw the exchanges of both in different orders", pair[0], pair[1]))
		}
	}
	return list
}

func (l *ledger) rest() (list []string) {
	for name, times := range l.diary.Censuses.All() {
		if times != 1 {
			list = append(list, fmt.Sprintf("census %s was noted %d times", name, times))
		}
	}
	for _, q := range l.desk.Questions {
		if _, failed := l.failed[q.Order]; !failed { // of one that has ended without an answer it may be left
			list = append(list, fmt.Sprintf("a question of order %s waits at the desk", q.Order))
		}
	}
	for what, content := range l.leftover {
		if content = strings.TrimSpace(content); content != "" {
			list = append(list, fmt.Sprintf("there are %s: %.500s", what, content))
		}
	}
	return list
}

package drill

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// Goal: the ledger finds every transfer that was lost or done twice. Method: do
// random transfers on an array, leave some out and do some twice, and count.

const ledgerAccounts = 200

func randomLedger(random *rand.Rand, transfers int) *ledger {
	l := &ledger{opening: openingBalance}
	for range transfers {
		t := transfer{from: random.IntN(ledgerAccounts), to: random.IntN(ledgerAccounts - 1), amount: 1 + random.Int64N(amountMax)}
		if t.to >= t.from {
			t.to++
		}
		t.refused = random.IntN(10) == 0
		l.done = append(l.done, t)
	}
	return l
}

func TestWhatHappenedOnceIsSound(t *testing.T) {
	l := randomLedger(rand.New(rand.NewPCG(1, 1)), 5000)
	var r report
	l.compare(l.expected(ledgerAccounts), &r)
	if !r.sound() {
		t.Errorf("the report is %v: %s, want no complaint", &r, r.why())
	}
}

// TestLostAndDoubledAreCounted: exactly, unless several deposits to one account
// went wrong without their withdrawals; then the report says that something is
// left to explain.
func TestLostAndDoubledAreCounted(t *testing.T) {
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 2))
		l := randomLedger(random, 5000)
		balances := l.expected(ledgerAccounts)
		var lost, doubled int
		onlyDeposits := seed%2 == 1
		for _, i := range random.Perm(len(l.done))[:12] {
			change := &l.done[i]
			if change.refused {
				continue
			}
			sign := int64(1)
			if doubled++; random.IntN(2) == 0 {
				sign, doubled, lost = -1, doubled-1, lost+1
			}
			balances[change.to] += sign * change.amount
			if !onlyDeposits {
				balances[change.from] -= sign * change.amount
			}
		}
		var r report
		l.compare(balances, &r)
		counted := r.lost == lost && r.doubled == doubled
		if onlyDeposits {
			counted = counted || r.lost <= lost && r.doubled <= doubled && strings.Contains(r.why(), "no transfer explains")
		}
		if !counted || r.sound() {
			t.Errorf("seed %d: found %v: %s, want lost=%d doubled=%d", seed, &r, r.why(), lost, doubled)
		}
	}
}

func TestWhatNothingExplainsIsReported(t *testing.T) {
	l := randomLedger(rand.New(rand.NewPCG(3, 3)), 100)
	balances := l.expected(ledgerAccounts)
	balances[7] += 1 << 40
	var r report
	l.compare(balances, &r)
	if r.sound() || !strings.Contains(r.why(), "1 of 200 accounts are wrong (account-007 has") ||
		!strings.Contains(r.why(), "1 accounts are wrong in a way that no transfer explains") {
		t.Errorf("the report says %q", r.why())
	}
}

func TestTheLastLineStaysALine(t *testing.T) {
	var r report
	for range 20 {
		r.wrong("two\nlines")
	}
	if got, want := r.why(), "two lines; two lines; two lines; two lines; two lines; and 15 more"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

package drill

import "fmt"

// transfer is one that was answered: done, or refused for lack of money.
type transfer struct {
	from, to int // accounts
	amount   int64
	refused  bool
	way      way
}

// way is how a transfer is made: what is neither of these is an update.
type way int

const (
	byWorkflow way = iota
	byEvent
)

// ledger is what the answers say every account must hold.
type ledger struct {
	opening int64 // of every account
	done    []transfer
}

// expected gives the balances.
func (l *ledger) expected(accounts int) []int64 {
	balances := make([]int64, accounts)
	for i := range balances {
		balances[i] = l.opening
	}
	for _, t := range l.done {
		if !t.refused {
			balances[t.from] -= t.amount
			balances[t.to] += t.amount
		}
	}
	return balances
}

// compare puts into the report how the balances differ from what they must be.
func (l *ledger) compare(balances []int64, r *report) {
	difference := l.expected(len(balances))
	var wrong int
	var total int64
	example := ""
	for i, want := range difference {
		difference[i] = balances[i] - want
		total += difference[i]
		if difference[i] == 0 {
			continue
		}
		if wrong++; example == "" {
			example = fmt.Sprintf("%s has %d cents, want %d", accountName(i), balances[i], want)
		}
	}
	if wrong == 0 {
		return
	}
	var unexplained int
	r.lost, r.doubled, unexplained = explain(difference, l.done)
	r.wrong("%d of %d accounts are wrong (%s), the total by %d cents", wrong, len(balances), example, total)
	if unexplained > 0 {
		r.wrong("%d accounts are wrong in a way that no transfer explains", unexplained)
	}
}

// explain finds the transfers that account for the differences: amounts are
// random, so one that fits hardly ever does by accident. It takes the differences
// away that it explains and counts the accounts whose difference remains.
func explain(difference []int64, done []transfer) (lost, doubled, unexplained int) {
	touching := make([][]transfer, len(difference))
	for _, t := range done { // also those refused: they may have been done all the same
		touching[t.from] = append(touching[t.from], t)
		touching[t.to] = append(touching[t.to], t)
	}
	for _, fits := range []func([]int64, transfer) (int64, int64, bool){wholeTransfer, oneOfSeveral, depositOnly} {
		for again := true; again; {
			again = false
			for account := range difference {
				withdrawn, deposited, ok := apply(difference, touching[account], fits)
				again = again || ok
				switch {
				case !ok:
				case withdrawn < 0 || deposited > 0:
					doubled++
				default:
					lost++
				}
			}
		}
	}
	for _, d := range difference {
		if d != 0 {
			unexplained++
		}
	}
	return lost, doubled, unexplained
}

// apply takes the first transfer that fits out of the differences. Withdrawn
// and deposited are what it had changed at its two ends.
func apply(difference []int64, candidates []transfer, fits func([]int64, transfer) (int64, int64, bool)) (withdrawn, deposited int64, ok bool) {
	for _, t := range candidates {
		if withdrawn, deposited, ok = fits(difference, t); ok {
			difference[t.from] -= withdrawn
			difference[t.to] -= deposited
			return withdrawn, deposited, true
		}
	}
	return 0, 0, false
}

// wholeTransfer fits if the transfer explains both of its accounts.
func wholeTransfer(difference []int64, t transfer) (withdrawn, deposited int64, ok bool) {
	from, to := difference[t.from], difference[t.to]
	return from, to, from == -to && (to == t.amount || to == -t.amount)
}

// oneOfSeveral fits if the transfer explains one of its accounts, and the other
// is wrong for other reasons, too.
func oneOfSeveral(difference []int64, t transfer) (withdrawn, deposited int64, ok bool) {
	from, to := difference[t.from], difference[t.to]
	if from == 0 || to == 0 {
		return 0, 0, false
	}
	switch t.amount {
	case -from, to:
		return -t.amount, t.amount, true
	case from, -to:
		return t.amount, -t.amount, true
	}
	return 0, 0, false
}

// depositOnly fits if only the deposit was lost or done twice: the message
// between the accounts, not the request.
func depositOnly(difference []int64, t transfer) (withdrawn, deposited int64, ok bool) {
	to := difference[t.to]
	return 0, to, to == t.amount || to == -t.amount
}

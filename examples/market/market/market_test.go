package market

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/internal/crashtest"
)

// Goal: whatever dies, the market is in order when everything has ended. Method:
// customers, a desk, auditors and operators are at it at once, while the process
// is killed at random times.

var (
	killFor  = flag.Duration("kill-for", 3*time.Second, "how long the market is killed at random")
	killSeed = flag.Uint64("kill-seed", 0, "decides what happens; 0 draws one")
)

func TestMain(m *testing.M) { crashtest.Main(m, App()) }

func TestAppValidates(t *testing.T) {
	if err := App().Validate(); err != nil {
		t.Fatal(err)
	}
}

const (
	customers  = 6
	walletsMax = 8
	opening    = 3_000
	aliveMin   = 20 * time.Millisecond
	aliveMax   = 1500 * time.Millisecond
	settleMax  = 30 * time.Second // for what nobody waits for: deposits, thanks, parcels
)

var (
	shopNames = []ShopID{"north", "south", "west"}
	articles  = []string{"anvil", "rope"}
)

func walletName(n int) string { return fmt.Sprintf("wallet-%d", n) }

// drill is a market that is killed, and who uses it.
type drill struct {
	*testing.T
	server *crashtest.Server
	client *holdfast.ClientContext
	stop   chan struct{}
	users  sync.WaitGroup

	mu sync.Mutex
	ledger
	kills, audits, sittings int
}

func TestAMarketThatIsKilledIsInOrder(t *testing.T) {
	seed := *killSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-kill-seed=%d", seed)
	d := begin(t, seed)
	for n, user := range d.roles() {
		d.users.Go(func() { d.work(user, rand.New(rand.NewPCG(seed, uint64(n)))) })
	}
	random := rand.New(rand.NewPCG(seed, 1<<32))
	for end := time.Now().Add(*killFor); time.Now().Before(end); d.kills++ {
		<-time.After(aliveMin + time.Duration(random.Int64N(int64(aliveMax-aliveMin))))
		d.server.Kill()
	}
	close(d.stop)
	d.users.Wait()
	d.settle()
	for _, fault := range d.faults() {
		t.Error(fault)
	}
	t.Logf("market: %d kills, %d orders completed and %d not, %d exchanges applied and %d refused, %d censuses, %d audits, %d locks taken away",
		d.kills, len(d.completed), len(d.failed), len(d.applied), len(d.refused), d.diary.Censuses.Len(), d.audits, d.sittings)
	if len(d.completed) == 0 || len(d.failed) == 0 || len(d.applied) == 0 || d.audits == 0 {
		t.Error("some of it did not happen at all")
	}
}

// begin opens wallets and shops.
func begin(t *testing.T, seed uint64) *drill {
	s := crashtest.Start(t, seed)
	d := &drill{T: t, server: s, client: s.Client(), stop: make(chan struct{}), ledger: newLedger()}
	if _, err := Hold.Call(d.client, "nobody", Claim{}); !errors.Is(err, holdfast.ErrNotFound) {
		t.Errorf("a wallet that nobody has opened: %v, want %v", err, holdfast.ErrNotFound)
	}
	for n := range walletsMax {
		d.must(second(Open.Call(d.client, walletName(n), opening)))
		d.paidIn += opening
	}
	for _, shop := range shopNames {
		d.must(second(Supplies.Submit(d.client, string(shop), Supply{})))
	}
	return d
}

// second drops what a call gives beside its error.
func second[T any](_ T, err error) error { return err }

func (d *drill) must(err error) {
	d.Helper()
	if err != nil {
		d.Error(err)
	}
}

// again repeats what can be repeated until the server says something.
func again(do func() error) error {
	for {
		err := do()
		if !errors.Is(err, holdfast.ErrUnavailable) {
			return err
		}
		<-time.After(5 * time.Millisecond)
	}
}

// roles are the users of the market; each is told how often it has come.
func (d *drill) roles() (list []func(r *rand.Rand, name string)) {
	for range customers {
		list = append(list, d.buy)
	}
	return append(list, d.exchange, d.exchange, d.answer, d.answer, d.audit, d.operate, d.payOff)
}

// work lets a user come again and again.
func (d *drill) work(user func(*rand.Rand, string), r *rand.Rand) {
	name := fmt.Sprintf("%08x", r.Uint32())
	for n := 0; ; n++ {
		select {
		case <-d.stop:
			return
		default:
			user(r, fmt.Sprintf("%s-%d", name, n))
		}
	}
}

// buy orders something, and may think better of it.
func (d *drill) buy(r *rand.Rand, name string) {
	o := Order{Wallet: walletName(r.IntN(walletsMax)), Shop: shopNames[r.IntN(len(shopNames))], Article: articles[r.IntN(len(articles))],
		Large: r.IntN(4) == 0, Suspect: r.IntN(10) == 0}
	d.payIn(o.Wallet, name)
	d.must(again(func() error { return second(Orders.Submit(d.client, name, o)) }))
	switch r.IntN(8) {
	case 0:
		d.must(unlessEnded(again(func() error { return Orders.Cancel(d.client, name) })))
	case 1:
		d.must(unlessEnded(again(func() error { return Orders.Pause(d.client, name) })))
		d.must(unlessEnded(again(func() error { return Orders.Resume(d.client, name) })))
	case 2:
		d.must(unlessEnded(again(func() error { return Withdraw.Submit(d.client, name, "too dear") })))
	case 3:
		if err := again(func() error { return second(Stage.Call(d.client, name, holdfast.None)) }); !errors.Is(err, holdfast.ErrNotFound) {
			d.must(err) // it may have installed no answer yet
		}
	}
	err := again(func() error { return second(Orders.Result(d.client, name)) })
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil {
		d.completed[name] = o
		return
	}
	d.failed[name] = o
	if !expected(err, ErrInsufficient, ErrSoldOut, ErrSuspect, ErrRefused, ErrWithdrawn, holdfast.ErrCancelled) {
		d.Errorf("order %s: %v", name, err)
	}
}

// payIn pays in what an order costs.
func (d *drill) payIn(wallet, name string) {
	d.must(again(func() error { return second(PayIn.Call(d.client, wallet, price, holdfast.IdempotencyKey(name))) }))
	d.mu.Lock()
	defer d.mu.Unlock()
	d.paidIn += price
}

// unlessEnded forgives what a run that has ended does not take.
func unlessEnded(err error) error {
	if errors.Is(err, holdfast.ErrConflict) {
		return nil
	}
	return err
}

func expected(err error, list ...error) bool {
	for _, e := range list {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// exchange raises an event, with a key that makes it one.
func (d *drill) exchange(r *rand.Rand, name string) {
	from := r.IntN(walletsMax)
	e := Exchange{Name: name, From: walletName(from), To: walletName((from + 1 + r.IntN(walletsMax-1)) % walletsMax), Amount: r.Int64N(opening)}
	err := again(func() error { return Exchanged.Raise(d.client, e, holdfast.IdempotencyKey(name)) })
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case err == nil:
		d.applied[name] = e
	case errors.Is(err, ErrInsufficient):
		d.refused[name] = e
	default:
		d.Errorf("exchange %s: %v", name, err)
	}
}

// answer resolves the promises that wait at the desk.
func (d *drill) answer(r *rand.Rand, name string) {
	var list []Question
	d.must(again(func() (err error) {
		list, err = Answers.Call(d.client, deskName, holdfast.None, holdfast.IdempotencyKey(name))
		return err
	}))
	for _, q := range list {
		yes := r.IntN(3) > 0
		err := again(func() error { return q.Reply.Resolve(d.client, yes) })
		if !expected(err, nil, holdfast.ErrAlreadyExists, holdfast.ErrNotFound, holdfast.ErrConflict) {
			d.Errorf("answer to order %s: %v", q.Order, err)
		}
	}
	<-time.After(5 * time.Millisecond)
}

// audit looks at shops under locks of both kinds.
func (d *drill) audit(r *rand.Rand, name string) {
	shop, other := shopNames[r.IntN(len(shopNames))], shopNames[r.IntN(len(shopNames))]
	d.must(again(func() error { return second(Stocktake.Call(d.client, name, shop)) }))
	d.must(again(func() error { return second(Compare.Call(d.client, name, []ShopID{other, shop, other})) }))
	d.mu.Lock()
	d.audits++
	d.mu.Unlock()
}

// operate does what operators do: ends what does not end by itself, and takes a
// lock away from its holder.
func (d *drill) operate(r *rand.Rand, name string) {
	d.must(again(func() error { return second(Nap.Submit(d.client, name, 1)) }))
	d.must(again(func() error { return Nap.Restart(d.client, name) }))
	d.must(again(func() error { return Nap.Terminate(d.client, name) }))
	bench := fmt.Sprint("bench-", r.IntN(2))
	d.must(again(func() error { return second(Squat.Submit(d.client, name, bench)) }))
	d.release(bench, name)
	d.must(again(func() error { return second(Sit.Call(d.client, bench, 1, holdfast.IdempotencyKey(name))) }))
	d.must(unlessEnded(again(func() error { return Squat.Terminate(d.client, name) })))
	d.mu.Lock()
	d.sittings++
	d.mu.Unlock()
}

// release waits until a run holds a bench, and takes the lock from it. If nobody
// knows whether it was taken, it is taken once more, from whoever has it.
func (d *drill) release(bench, holder string) {
	d.must(again(func() error {
		for {
			body, err := d.operator(http.MethodGet, "/v1/locks")
			if err != nil || strings.Contains(body, `"`+holder+`"`) {
				return err
			}
			<-time.After(time.Millisecond)
		}
	}))
	d.must(again(func() error { return second(d.operator(http.MethodPost, "/v1/locks/bench/"+bench+"/release")) }))
}

// operator asks what the typed client does not have.
func (d *drill) operator(method, path string) (string, error) {
	body, err := d.server.Ask(method, path)
	if err != nil || strings.Contains(body, `"code":"unavailable"`) {
		return "", holdfast.ErrUnavailable
	}
	return body, nil
}

// payOff pays by instalments.
func (d *drill) payOff(r *rand.Rand, name string) {
	from := r.IntN(walletsMax)
	p := Plan{Wallet: walletName(from), To: walletName((from + 1) % walletsMax), Left: 1 + r.IntN(10)}
	err := again(func() error { return second(Instalments.Call(d.client, name, p)) })
	if !expected(err, nil, ErrInsufficient) {
		d.Errorf("instalments %s: %v", name, err)
	}
}

// settle waits until nothing is under way any more.
func (d *drill) settle() {
	for _, shop := range shopNames {
		d.must(Close.Submit(d.client, string(shop), holdfast.None))
		d.must(second(Supplies.Result(d.client, string(shop))))
	}
	d.server.Wait("all orders have begun, ended and are told of", func() bool {
		desk, _, err := Desks.Inspect(d.client, deskName)
		all := len(d.completed) + len(d.failed)
		return err == nil && desk.Begun == all && desk.Ended == all
	})
	for end := time.Now().Add(settleMax); time.Now().Before(end); <-time.After(50 * time.Millisecond) {
		if d.collect(); len(d.faults()) == 0 {
			return
		}
	}
}

// collect looks at everything.
func (d *drill) collect() {
	for n := range walletsMax {
		w, _, err := Wallets.Inspect(d.client, walletName(n))
		d.must(err)
		d.wallets[walletName(n)] = w
	}
	for _, shop := range shopNames {
		var err error
		if d.stocks[shop], _, err = Stocks.Inspect(d.client, shop); !errors.Is(err, holdfast.ErrNotFound) {
			d.must(err)
		}
		if d.tills[shop], _, err = Tills.Inspect(d.client, shop); !errors.Is(err, holdfast.ErrNotFound) {
			d.must(err)
		}
	}
	var errs [3]error
	d.desk, _, errs[0] = Desks.Inspect(d.client, deskName)
	d.depot, _, errs[1] = Depots.Inspect(d.client, depotName)
	d.diary, _, errs[2] = Diaries.Inspect(d.client, "market")
	d.must(errors.Join(errs[:]...))
	for what, path := range map[string]string{"locks": "/v1/locks", "parked": "/v1/parked", "dead_letters": "/v1/dead-letters"} {
		d.leftover[what] = d.listed(path, what)
	}
}

// listed gives what a list of operators has; empty if it has nothing. A signal
// that came too late for its run is nothing.
func (d *drill) listed(path, field string) string {
	var list map[string]json.RawMessage
	var entries []struct{ Reason string }
	body := d.server.Get(path)
	if err := errors.Join(json.Unmarshal([]byte(body), &list), json.Unmarshal(list[field], &entries)); err != nil {
		return fmt.Sprintf("%s has no %s: %s", path, field, body)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Reason, "the workflow has ended") {
			return string(list[field])
		}
	}
	return ""
}

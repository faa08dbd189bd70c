package shop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/internal/crashtest"
)

// Goal: whatever dies, each order is paid for and shipped once, or neither.
// Method: the World is a directory, which survives the process. Every request
// that has an effect for the first time does it and then says that it has failed,
// as if the answer was lost.

const directoryVariable = "HOLDFAST_SHOP_WORLD"

func TestMain(m *testing.M) {
	crashtest.Main(m, shopIn(os.Getenv(directoryVariable)).App())
}

func shopIn(directory string) *Shop {
	return &Shop{World: world(directory), Prices: map[string]int64{"anvil": 25_000, "rope": 900, "unicorn": 50_000}, Patience: 200 * time.Millisecond}
}

// world has a file for each thing that was done, named by what and token.
type world string

var errLost = errors.New("the answer is lost")

func (w world) path(what, token string) string { return filepath.Join(string(w), what+"-"+token) }

func (w world) once(what, token string, v any) error {
	content, err := json.Marshal(v)
	if err != nil {
		return err
	}
	file, err := os.CreateTemp(string(w), "new-")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	if _, err := file.Write(content); err != nil {
		return errors.Join(err, file.Close())
	}
	if err := file.Close(); err != nil {
		return err
	}
	// It is there whole or not at all: the process may be killed at any point.
	switch err := os.Link(file.Name(), w.path(what, token)); {
	case errors.Is(err, fs.ErrExist):
		return nil
	case err != nil:
		return err
	}
	return errLost
}

// unless does something that has not been undone.
func (w world) unless(undone, what, token string, v any) error {
	if _, err := os.Stat(w.path(undone, token)); err == nil {
		return ErrDeclined.Withf("%s", undone)
	}
	return w.once(what, token, v)
}

func (w world) Charge(_ context.Context, p Payment) error {
	return w.unless("refund", "charge", p.Token, p.Order)
}

func (w world) Refund(_ context.Context, token string) error { return w.once("refund", token, nil) }

func (w world) Ship(_ context.Context, p Parcel) error {
	if p.Article == "unicorn" {
		return ErrSoldOut
	}
	return w.unless("recall", "ship", p.Token, p)
}

func (w world) Recall(_ context.Context, token string) error { return w.once("recall", token, nil) }

// Ask is answered as the name of the order says.
func (w world) Ask(ctx context.Context, q Question) error {
	var err error
	switch kind(q.Order) {
	case "unanswered":
		return nil
	case "cancelled":
		return Fulfil.Cancel(holdfast.ClientFrom(ctx), q.Order)
	case "declined":
		err = q.Reply.Resolve(holdfast.ClientFrom(ctx), false)
	default:
		err = q.Reply.Resolve(holdfast.ClientFrom(ctx), true)
	}
	if errors.Is(err, holdfast.ErrAlreadyExists) { // an attempt before this one has answered
		return nil
	}
	return err
}

var kinds = []string{"approved", "declined", "unanswered", "cancelled", "soldout", "small", "unknown"}

func orderName(n int) string { return fmt.Sprintf("%s %d", kinds[n%len(kinds)], n) }

func kind(order string) (kind string) {
	fmt.Sscan(order, &kind) // without a word the kind is empty, and fits nothing
	return kind
}

func orderOf(kind string) Order {
	switch kind {
	case "soldout":
		return Order{"unicorn", 1, "Elm Street"}
	case "small":
		return Order{"rope", 2, "Elm Street"}
	case "unknown":
		return Order{"phoenix", 1, "Elm Street"}
	}
	return Order{"anvil", 2, "Elm Street"}
}

func TestAppValidates(t *testing.T) {
	if err := shopIn(t.TempDir()).App().Validate(); err != nil {
		t.Fatal(err)
	}
}

func TestAPriceIsThatOfThePriceList(t *testing.T) {
	s := shopIn("")
	if cents, err := s.price(Order{Article: "rope", Count: 3}); cents != 2_700 || err != nil {
		t.Errorf("got %d, %v", cents, err)
	}
	for _, o := range []Order{{Article: "phoenix", Count: 1}, {Article: "rope"}, {Article: "rope", Count: countMax + 1}} {
		if _, err := s.price(o); !errors.Is(err, ErrArticle) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// Orders of all kinds are under way while the process is killed.
func TestOrdersAreFulfilledOrUndoneThroughCrashes(t *testing.T) {
	const kills, each = 8, 7
	directory := t.TempDir()
	t.Setenv(directoryVariable, directory)
	s := crashtest.Start(t, 1)
	c := s.Client()
	begin := func(kill int) {
		for n := kill * each; n < (kill+1)*each; n++ {
			begin(t, c, orderName(n))
		}
	}
	s.Survive(kills, begin, "all orders have ended", func() bool {
		for n := range kills * each {
			if status, err := Fulfil.Status(c, orderName(n)); err != nil || status.Status == "running" {
				return false
			}
		}
		return true
	})
	done := read(t, directory)
	for n := range kills * each {
		checkOrder(t, c, orderName(n), done)
	}
}

// begin changes the address before it begins an order: the signal is kept.
func begin(t *testing.T, c *holdfast.ClientContext, order string) {
	t.Helper()
	if kind(order) == "approved" {
		if err := Address.Submit(c, order, "Oak Street"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Fulfil.Submit(c, order, orderOf(kind(order))); err != nil {
		t.Fatal(err)
	}
}

// deeds is what was done for an order.
type deeds struct {
	charged, refunded, shipped, recalled int
	address                              string
}

// read gives what was done, by order.
func read(t *testing.T, directory string) map[string]*deeds {
	t.Helper()
	done := map[string]*deeds{}
	of := func(order string) *deeds {
		if done[order] == nil {
			done[order] = &deeds{}
		}
		return done[order]
	}
	for what, see := range map[string]func(undone int, content []byte) error{
		"charge": func(refunded int, content []byte) (err error) {
			var order string
			err = json.Unmarshal(content, &order)
			of(order).charged++
			of(order).refunded += refunded
			return err
		},
		"ship": func(recalled int, content []byte) (err error) {
			var p Parcel
			err = json.Unmarshal(content, &p)
			of(p.Order).shipped++
			of(p.Order).recalled += recalled
			of(p.Order).address = p.Address
			return err
		},
	} {
		undo := map[string]string{"charge": "refund", "ship": "recall"}[what]
		paths, _ := filepath.Glob(filepath.Join(directory, what+"-*")) // the pattern is sound
		for _, path := range paths {
			undone := 0
			if _, err := os.Stat(world(directory).path(undo, filepath.Base(path)[len(what)+1:])); err == nil {
				undone = 1
			}
			content, err := os.ReadFile(path)
			if err == nil {
				err = see(undone, content)
			}
			if err != nil {
				t.Fatal(path, err)
			}
		}
	}
	return done
}

func checkOrder(t *testing.T, c *holdfast.ClientContext, order string, done map[string]*deeds) {
	t.Helper()
	refunded := deeds{charged: 1, refunded: 1}
	want := map[string]struct {
		deeds deeds
		err   error
		stage string
	}{
		"approved":   {deeds{charged: 1, shipped: 1, address: "Oak Street"}, nil, "shipped"},
		"small":      {deeds{charged: 1, shipped: 1, address: "Elm Street"}, nil, "shipped"},
		"declined":   {refunded, ErrDeclined, "undoing"},
		"unanswered": {refunded, ErrDeclined, "undoing"},
		"cancelled":  {refunded, holdfast.ErrCancelled, "undoing"},
		"soldout":    {refunded, ErrSoldOut, "undoing"},
		"unknown":    {deeds{}, ErrArticle, "pricing"},
	}[kind(order)]
	var got deeds
	if d := done[order]; d != nil {
		got = *d
	}
	parcel, err := Fulfil.Result(c, order)
	if got != want.deeds || !errors.Is(err, want.err) || parcel.Address != want.deeds.address {
		t.Errorf("order %s: got %+v, parcel %+v, error %v; want %+v", order, got, parcel, err, want)
	}
	if stage, err := Stage.Call(c, order, holdfast.None); err != nil || stage != want.stage {
		t.Errorf("order %s is in stage %q, %v, want %q", order, stage, err, want.stage)
	}
}

package holdfast_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/server"
)

// These tests use the typed handles on a real server, once in process and once
// over HTTP: both must give the same.

type wallet struct {
	Cents int64
	Moves holdfast.List[int64]
	Tags  holdfast.Map[string, int]
	calls int `holdfast:"volatile"`
}

type walletID string

var (
	wallets = holdfast.NewEntityIn[wallet](holdfast.NewAffinity[walletID]("owner"), "wallet")
	pay     = holdfast.NewUpdate[int64, int64](wallets, "pay")
	forward = holdfast.NewUpdate[walletID, int64](wallets, "forward")
	divide  = holdfast.NewUpdate[int64, int64](wallets, "divide")
	keep    = holdfast.NewUpdate[holdfast.Void, holdfast.Void](wallets, "keep")
	later   = holdfast.NewUpdate[time.Duration, holdfast.Void](wallets, "later")
	cents   = holdfast.NewRead[holdfast.Void, int64](wallets, "cents")
	whole   = holdfast.NewRead[holdfast.Void, wallet](wallets, "whole")

	errKept = holdfast.NewError("kept", holdfast.Denied)
)

func walletApp() *holdfast.App {
	return holdfast.NewApp("wallets",
		wallets.Options(holdfast.EntityOptions[wallet]{Activate: func(w *wallet) error { w.calls = 1; return nil }}),
		pay.Handle(func(ctx *holdfast.UpdateContext[wallet], n int64) (int64, error) {
			ctx.State.Cents += n
			ctx.State.Moves.Append(n)
			ctx.State.Tags.Put(fmt.Sprint("tag ", ctx.Header("tag")), ctx.State.calls)
			return ctx.State.Cents, nil
		}),
		forward.Handle(func(ctx *holdfast.UpdateContext[wallet], to walletID) (int64, error) {
			return pay.Tail(ctx, to, ctx.State.Cents)
		}),
		divide.Handle(func(ctx *holdfast.UpdateContext[wallet], by int64) (int64, error) { return ctx.State.Cents / by, nil }),
		keep.Handle(holdfast.Plain(func(ctx *holdfast.UpdateContext[wallet]) error {
			ctx.State.Cents = 77
			return holdfast.Keep(errKept.Withf("cents %d", 77))
		})),
		later.Handle(holdfast.NoResult(func(ctx *holdfast.UpdateContext[wallet], after time.Duration) error {
			pay.Remind(ctx, "pay", holdfast.After(after), 5)
			return nil
		})),
		cents.Handle(holdfast.NoInput(func(ctx *holdfast.ReadContext[wallet]) (int64, error) { return ctx.State.Cents, nil })),
		whole.Handle(holdfast.NoInput(func(ctx *holdfast.ReadContext[wallet]) (wallet, error) { return ctx.State, nil })),
	)
}

// onBoth runs a test with both kinds of client.
func onBoth(t *testing.T, test func(t *testing.T, c *holdfast.ClientContext)) {
	serveOnBoth(t, walletApp(), test)
}

func serveOnBoth(t *testing.T, app *holdfast.App, test func(t *testing.T, c *holdfast.ClientContext)) {
	for _, kind := range []string{"in process", "http"} {
		t.Run(kind, func(t *testing.T) {
			s, err := server.New(server.Config{App: app, DataDir: t.TempDir(), Listen: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(context.Background())
			ended := make(chan error, 1)
			go func() { ended <- s.Run(ctx) }()
			defer func() {
				stop()
				if err := <-ended; err != nil {
					t.Errorf("server: %v", err)
				}
			}()
			select {
			case <-s.Ready():
			case err := <-ended:
				ended <- err
				t.Fatal(err)
			}
			client := s.Client()
			if kind == "http" {
				client = holdfast.Dial("http://" + s.Addr())
			}
			limit, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			test(t, client.With(limit))
		})
	}
}

func TestTypedCallsOnAServer(t *testing.T) {
	defer slog.SetDefault(slog.Default())
	slog.SetDefault(slog.New(slog.DiscardHandler))
	onBoth(t, func(t *testing.T, c *holdfast.ClientContext) {
		const key walletID = "a/b %2F ü"
		for i := range int64(3) {
			if n, err := pay.Call(c, key, 10, holdfast.Header("Tag", "x")); err != nil || n != 10*(i+1) {
				t.Fatalf("pay: %d, %v", n, err)
			}
		}
		if n, err := cents.Call(c, key, holdfast.None); n != 30 || err != nil {
			t.Errorf("cents: %d, %v", n, err)
		}
		if n, err := cents.Peek(c, key, holdfast.None); n != 30 || err != nil {
			t.Errorf("peek: %d, %v", n, err)
		}
		if n, err := forward.Call(c, key, "other"); n != 30 || err != nil {
			t.Errorf("tail call: %d, %v", n, err)
		}
		if _, err := divide.Call(c, key, 0); !errors.Is(err, holdfast.ErrPanic) {
			t.Errorf("panic: %v", err)
		}
		var typed *holdfast.Error
		if _, err := keep.Call(c, key, holdfast.None); !errors.Is(err, errKept) || !errors.As(err, &typed) || typed.Class != holdfast.Denied || typed.Message != "cents 77" {
			t.Errorf("kept: %v", err)
		}
		if n, err := cents.Call(c, key, holdfast.None); n != 77 || err != nil {
			t.Errorf("after Keep: %d, %v", n, err)
		}
		for i := range 2 {
			if n, err := pay.Call(c, "keyed", 1, holdfast.IdempotencyKey("once")); n != 1 || err != nil {
				t.Errorf("repeat %d: %d, %v", i, n, err)
			}
		}
		if _, err := pay.Call(c, "..", 1); !errors.Is(err, holdfast.ErrInvalidArgument) {
			t.Errorf("bad key: %v", err)
		}
	})
}

func TestStateOnAServer(t *testing.T) {
	onBoth(t, func(t *testing.T, c *holdfast.ClientContext) {
		if exists, err := wallets.Exists(c, "k"); exists || err != nil {
			t.Errorf("exists before it was used: %v, %v", exists, err)
		}
		if _, _, err := wallets.Inspect(c, "k"); !errors.Is(err, holdfast.ErrNotFound) {
			t.Errorf("inspect before: %v", err)
		}
		for _, n := range []int64{1, 2} {
			if _, err := pay.Call(c, "k", n, holdfast.Header("tag", fmt.Sprint(n))); err != nil {
				t.Fatal(err)
			}
		}
		inspected, version, err := wallets.Inspect(c, "k")
		if err != nil || version == 0 {
			t.Errorf("inspect: version %d, %v", version, err)
		}
		read, err := whole.Call(c, "k", holdfast.None)
		if err != nil {
			t.Error(err)
		}
		for name, w := range map[string]wallet{"inspect": inspected, "read": read} {
			tags := maps.Collect(w.Tags.All())
			if w.Cents != 3 || w.Moves.Len() != 2 || fmt.Sprint(tags) != "map[tag 1:1 tag 2:1]" {
				t.Errorf("%s: %+v, tags %v", name, w, tags)
			}
		}
		var keys []walletID
		for key, err := range wallets.List(c, "") {
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, key)
		}
		if fmt.Sprint(keys) != "[k]" {
			t.Errorf("keys %v", keys)
		}
		if err := wallets.Delete(c, "k"); err != nil {
			t.Error(err)
		}
		if exists, err := wallets.Exists(c, "k"); exists || err != nil {
			t.Errorf("exists after Delete: %v, %v", exists, err)
		}
		if n, err := pay.Call(c, "k", 1); n != 1 || err != nil {
			t.Errorf("after Delete: %d, %v", n, err)
		}
	})
}

func TestSubmitAndRemindersOnAServer(t *testing.T) {
	onBoth(t, func(t *testing.T, c *holdfast.ClientContext) {
		run, err := pay.Submit(c, "k", 4)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := run.Await(c); n != 4 || err != nil {
			t.Errorf("await: %d, %v", n, err)
		}
		if run, err = keepSubmit(c); err != nil {
			t.Fatal(err)
		}
		if _, err := (holdfast.Invocation[holdfast.Void]{ID: run.ID}).Await(c); !errors.Is(err, errKept) {
			t.Errorf("await: %v", err)
		}
		delayed, err := pay.Submit(c, "late", 6, holdfast.After(30*time.Millisecond))
		if err != nil {
			t.Fatal(err)
		}
		if n, err := delayed.Await(c); n != 6 || err != nil {
			t.Errorf("await: %d, %v", n, err)
		}
		if _, err := later.Call(c, "r", time.Hour); err != nil {
			t.Fatal(err)
		}
		list, err := wallets.Reminders(c, "r")
		if err != nil || len(list) != 1 || list[0].Name != "pay" || list[0].Handler != "pay" || time.Until(list[0].Due) < 50*time.Minute {
			t.Errorf("reminders: %+v, %v", list, err)
		}
		if _, err := (holdfast.Invocation[int64]{ID: "00000000000000000000000000000001"}).Await(c); !errors.Is(err, holdfast.ErrNotFound) {
			t.Errorf("unknown invocation: %v", err)
		}
	})
}

// keepSubmit submits an update whose outcome is an error.
func keepSubmit(c *holdfast.ClientContext) (holdfast.Invocation[int64], error) {
	run, err := keep.Submit(c, "k", holdfast.None)
	return holdfast.Invocation[int64]{ID: run.ID}, err
}

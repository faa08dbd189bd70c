package node_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/examples/bank/bank"
	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/host/embedded"
	"github.com/holdfast-io/holdfast/internal/ingress"
	"github.com/holdfast-io/holdfast/internal/node"
)

func start(t testing.TB, dir string) (*node.Node, *holdfast.ClientContext, func()) {
	t.Helper()
	h, err := embedded.Open(embedded.Config{Dir: dir, Identity: host.Identity{Partitions: 64}})
	if err != nil {
		t.Fatal(err)
	}
	n, err := node.Start(context.Background(), node.Config{Host: h, Program: bank.App().Program(), Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		t.Fatal(err)
	}
	c := holdfast.NewClient(ingress.NewConn(n.Door())).With(context.Background())
	return n, c, func() {
		if err := n.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWhatWasAnsweredIsThereAfterARestart(t *testing.T) {
	dir := t.TempDir()
	_, c, stop := start(t, dir)
	var wait sync.WaitGroup
	for i := range 16 {
		wait.Add(1)
		go func() {
			defer wait.Done()
			key := fmt.Sprint("account-", i)
			for range 50 {
				if _, err := bank.Deposit.Call(c, key, 10); err != nil {
					t.Error(err)
				}
				if _, err := bank.Transfer.Call(c, key, bank.Move{To: fmt.Sprint("account-", (i+1)%16), Amount: 3}); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	wait.Wait()
	stop()
	_, c, stop = start(t, dir)
	defer stop()
	total := int64(0)
	for i := range 16 {
		balance, err := bank.Balance.Call(c, fmt.Sprint("account-", i), holdfast.None)
		if err != nil {
			t.Fatal(err)
		}
		total += balance
	}
	if want := int64(16 * 50 * 10); total != want {
		t.Fatalf("total %d, want %d", total, want)
	}
}

func BenchmarkUpdate(b *testing.B) {
	for _, callers := range []int{1, 64, 256} {
		b.Run(fmt.Sprint(callers), func(b *testing.B) {
			dir, _ := os.MkdirTemp(".", "bench-")
			defer os.RemoveAll(dir)
			_, c, stop := start(b, dir)
			defer stop()
			b.ResetTimer()
			var wait sync.WaitGroup
			for i := range callers {
				wait.Add(1)
				go func() {
					defer wait.Done()
					for k := i; k < b.N; k += callers {
						if _, err := bank.Deposit.Call(c, fmt.Sprint("account-", k%1000), 1); err != nil {
							b.Error(err)
							return
						}
					}
				}()
			}
			wait.Wait()
		})
	}
}

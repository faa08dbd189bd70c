package main

import (
	"fmt"
	"slices"
	"sync"
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

func TestAddGivesTheNewValue(t *testing.T) {
	r := holdfasttest.Turn(add, Counter{N: 40}, 2)
	if r.Err != nil || r.Out != 42 || r.State.N != 42 {
		t.Fatalf("got %d, state %+v, error %v; want 42", r.Out, r.State, r.Err)
	}
}

func TestGetLooks(t *testing.T) {
	n, err := holdfasttest.Read(get, Counter{N: 7}, holdfast.None)
	if err != nil || n != 7 {
		t.Fatalf("got %d and error %v, want 7", n, err)
	}
}

// Events that name overlapping counters are raised while the process is killed:
// every counter ends at the exact number.
func TestEventsCountOnceThroughCrashes(t *testing.T) {
	const kills, each, names = 6, 20, 4
	s := crashtest.Start(t, 1)
	c := s.Client()
	want := map[string]int64{}
	var raising sync.WaitGroup
	some := func(kill int) {
		for n := kill * each; n < (kill+1)*each; n++ {
			event := []string{fmt.Sprint(n % names), fmt.Sprint((n * 3) % names), "all"}
			for _, name := range slices.Compact(slices.Sorted(slices.Values(event))) {
				want[name]++
			}
			raising.Go(func() {
				if err := Counted.Raise(c, event); err != nil {
					t.Error(err)
				}
			})
		}
	}
	s.Survive(kills, some, "most events are applied", func() bool {
		n, err := Get.Call(c, "all", holdfast.None)
		return err == nil && n >= kills*each
	})
	raising.Wait()
	for name, n := range want {
		if got, err := Get.Call(c, name, holdfast.None); err != nil || got != n {
			t.Errorf("counter %s: got %d, %v, want %d", name, got, err, n)
		}
	}
}

package holdfasttest_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/holdfasttest"
)

// countsAndNotes has a client that counts, and notes what calls ended with.
func countsAndNotes(failures map[string]int) func(*holdfasttest.World) {
	return func(w *holdfasttest.World) {
		w.Do(func(c *holdfast.ClientContext) {
			for range 30 {
				if _, err := count.Call(c, "a", holdfast.None); err != nil {
					var e *holdfast.Error
					if errors.As(err, &e) {
						failures[e.Code]++
					}
				}
			}
		})
	}
}

func TestFaultsAreChosen(t *testing.T) {
	app := counting(doCount)
	for _, c := range []struct {
		name     string
		options  []holdfasttest.Option
		crashes  bool
		failures string // code of the errors that clients are told; empty: none
	}{
		{"none", nil, false, ""},
		{"crashes", []holdfasttest.Option{holdfasttest.Faults(holdfasttest.Crash), holdfasttest.Rate(holdfasttest.Crash, 0.02)}, true, ""},
		{"all but those that end the process", []holdfasttest.Option{holdfasttest.AllFaults(), holdfasttest.Without(holdfasttest.Crash, holdfasttest.PowerCut,
			holdfasttest.Relapse, holdfasttest.TornDisk, holdfasttest.TornPower, holdfasttest.FailedSync)}, false, ""},
		{"panics of calls", []holdfasttest.Option{holdfasttest.Faults(holdfasttest.CallPanic)}, false, "panic"},
	} {
		failures := map[string]int{}
		r := recorded(t, app, countsAndNotes(failures), append(c.options, holdfasttest.Seeds(20))...)
		if r.failure != "" {
			t.Errorf("%s: %s", c.name, r.failure)
		}
		if survived := !strings.Contains(r.logs.String(), "survived 0 crash points"); survived != c.crashes {
			t.Errorf("%s: %s", c.name, r.logs.String())
		}
		if c.failures == "" && len(failures) > 0 || c.failures != "" && failures[c.failures] == 0 {
			t.Errorf("%s: clients were told %v, want %q", c.name, failures, c.failures)
		}
	}
}

func TestFaultsThatCannotBe(t *testing.T) {
	for name, make := range map[string]func(){
		"there is no fault 200":  func() { holdfasttest.Run(&recorder{TB: t}, counting(doCount), counts, holdfasttest.Faults(200)) },
		"must be from 0 to 1":    func() { holdfasttest.Rate(holdfasttest.Crash, 2) },
		"the rate of crash is -": func() { holdfasttest.Rate(holdfasttest.Crash, -1) },
	} {
		func() {
			defer func() {
				if p, _ := recover().(string); !strings.Contains(p, name) {
					t.Errorf("got %q, want %q", p, name)
				}
			}()
			make()
		}()
	}
}

package holdfasttest_test

import (
	"errors"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/holdfasttest"
)

type lamp struct {
	Switched int
	cache    chan int `holdfast:"volatile"`
}

var (
	lamps   = holdfast.NewMachine[lamp]("lamp")
	on      = lamps.State("on")
	press   = holdfast.NewMessage[int](lamps, "press")
	errDark = errors.New("it stays dark")
)

func switchOn(m *holdfast.MachineContext[lamp], times int) error {
	m.Data.Switched += times
	press.Remind(m, "again", holdfast.After(time.Hour), 1)
	press.Raise(m, 2)
	press.Send(m, "other", 3)
	m.CancelReminder("old")
	switch times {
	case 0:
		return errDark
	case 9:
		panic("broken")
	case 1:
		m.Goto(on)
	case 2:
		m.Push(on)
	case 3:
		m.Pop()
	case 4:
		m.Halt()
	}
	return nil
}

func TestReactTellsWhatAReactionAskedFor(t *testing.T) {
	for times, want := range map[int][2]string{1: {"goto", "on"}, 2: {"push", "on"}, 3: {"pop", ""}, 4: {"halt", ""}, 5: {"", ""}} {
		cache := make(chan int)
		r := holdfasttest.React(switchOn, lamp{Switched: 1, cache: cache}, times, holdfasttest.Key("k"))
		if r.Err != nil || r.Data.Switched != 1+times || r.Data.cache != cache || [2]string{r.Transition, r.To} != want {
			t.Errorf("%d: got %+v, want transition %v", times, r, want)
		}
		if len(r.Raised) != 1 || string(r.Raised[0].Body) != "2" || len(r.Sent) != 1 || r.Sent[0].Key != "other" ||
			len(r.Reminders) != 1 || r.Reminders[0].Name != "again" || len(r.Cancelled) != 1 {
			t.Errorf("%d: got %+v", times, r)
		}
	}
}

func TestReactUndoesWhatFails(t *testing.T) {
	r := holdfasttest.React(switchOn, lamp{Switched: 1}, 0)
	if r.Err != errDark || r.Data.Switched != 1 || r.Sent != nil || r.Raised != nil || r.Reminders != nil {
		t.Errorf("got %+v", r)
	}
	if r = holdfasttest.React(switchOn, lamp{}, 9); !errors.Is(r.Err, holdfast.ErrPanic) || r.Sent != nil {
		t.Errorf("got %+v", r)
	}
}

func TestEnterRunsAnAction(t *testing.T) {
	r := holdfasttest.Enter(func(m *holdfast.MachineContext[lamp]) error { return switchOn(m, 1) }, lamp{}, holdfasttest.Key("k"))
	if r.Err != nil || r.Transition != "goto" {
		t.Errorf("got %+v", r)
	}
}

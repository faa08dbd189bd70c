package world

// Goal: each check of the log refuses what it is there for. Method: records by
// hand, one wrong thing at a time.

import (
	"strings"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/partition"
	"github.com/holdfast-io/holdfast/internal/program"
)

// nothing serves no kinds.
type nothing struct{ program.Program }

func (nothing) Describe() program.Description { return program.Description{} }

// logbook is a watch that is told records by hand.
type logbook struct {
	*World
	position msg.Position
}

func newLogbook() *logbook { return &logbook{World: New(Config{Program: nothing{}, Memory: true})} }

// write appends a record of partition 0 with the next index.
func (l *logbook) write(r msg.Record) {
	l.position++
	r.Kind = msg.RecordStep
	if r.Index == 0 {
		r.Index = l.watch.last[r.Partition].index + 1
	}
	if r.Time == 0 {
		r.Time = beginning
	}
	l.watch.append(l.position, msg.AppendRecord(nil, &r))
}

var (
	aMessage = msg.MessageID{Source: 0, Destination: 1, Number: 1}
	anEntity = msg.Ref{Kind: "kind", Key: "key"}
	sends    = msg.Record{Outbox: []*msg.Message{{ID: aMessage, Kind: msg.MessageSend, Target: anEntity}}}
	consumes = msg.Record{Partition: 1, Consumed: []msg.MessageID{aMessage}}
	forgets  = msg.Record{Acked: []msg.MessageID{aMessage}}
	reminds  = msg.Record{Instance: anEntity, Remind: []msg.Reminder{{Name: "r", Handler: "h", Due: beginning + 10}}}
	timer    = partition.Turn{Turn: &msg.Turn{Now: beginning + 10, Message: &msg.Message{Kind: msg.MessageTimer, Target: anEntity, Reminder: "r"}}}
)

// wrongs are what a checker has to find, with what is right before it.
var wrongs = []struct {
	name  string
	by    Checker
	wrong func(l *logbook)
	right func(l *logbook)
}{
	{"a record is missing", ByLog, func(l *logbook) { l.write(msg.Record{Index: 3}) }, func(l *logbook) { l.write(msg.Record{}) }},
	{"time goes back", ByLog, func(l *logbook) { l.write(msg.Record{Time: beginning - 1}) }, func(l *logbook) { l.write(msg.Record{}) }},
	{"a message is sent twice", ByMessages, func(l *logbook) { l.write(sends) }, func(l *logbook) { l.write(sends) }},
	{"a message is consumed that nobody sent", ByMessages, func(l *logbook) { l.write(consumes) }, nil},
	{"a message is consumed twice", ByMessages, func(l *logbook) { l.write(consumes) }, func(l *logbook) { l.write(sends); l.write(consumes) }},
	{"a message leaves the outbox that nobody has", ByMessages, func(l *logbook) { l.write(forgets) }, func(l *logbook) { l.write(sends) }},
	{"an inbox message is finished that is not there", ByInboxes, func(l *logbook) { l.write(msg.Record{Finished: []msg.Index{1}}) },
		func(l *logbook) { l.write(msg.Record{}) }},
	{"an inbox message is finished twice", ByInboxes, func(l *logbook) { l.write(msg.Record{Finished: []msg.Index{1}}) }, func(l *logbook) {
		l.write(msg.Record{Accepted: &msg.Message{Kind: msg.MessageSend, Target: anEntity}})
		l.write(msg.Record{Finished: []msg.Index{1}})
	}},
	{"a reminder fires that is not set", ByTimers, func(l *logbook) { l.watch.turn(&timer) }, nil},
	{"a reminder fires that was cleared", ByTimers, func(l *logbook) { l.watch.turn(&timer) }, func(l *logbook) {
		l.write(reminds)
		l.watch.turn(&timer)
		l.write(msg.Record{Instance: anEntity, Forget: []string{"r"}})
	}},
	{"a reminder fires of an entity that was deleted", ByTimers, func(l *logbook) { l.watch.turn(&timer) }, func(l *logbook) {
		l.write(reminds)
		l.write(msg.Record{Instance: anEntity, Changes: []msg.Change{{Kind: msg.ChangeDelete}}})
	}},
	{"a reminder fires early", ByTimers, func(l *logbook) {
		early := timer
		early.Turn = &msg.Turn{Now: beginning + 9, Message: timer.Turn.Message}
		l.watch.turn(&early)
	}, func(l *logbook) { l.write(reminds) }},
	{"a delayed message runs early", ByTimers, func(l *logbook) {
		l.watch.turn(&partition.Turn{Turn: &msg.Turn{Now: 9, Message: &msg.Message{NotBefore: 10}}})
	}, nil},
	{"a message runs that is not in the log", ByOrder, func(l *logbook) {
		l.watch.turn(&partition.Turn{Turn: &msg.Turn{Message: &msg.Message{ID: aMessage}}})
	}, nil},
	{"a message leaves its loop before it is in the log", ByOrder, func(l *logbook) {
		l.watch.routed(&partition.Routed{Cause: 0, Command: msg.Command{Kind: msg.CommandDeliver, Message: sends.Outbox[0]}})
	}, func(l *logbook) { l.write(sends) }},
	{"an acknowledgement leaves its loop before it is in the log", ByOrder, func(l *logbook) {
		l.watch.routed(&partition.Routed{Cause: 1, Command: msg.Command{Kind: msg.CommandAck, Ack: aMessage}})
	}, func(l *logbook) { l.write(sends); l.write(consumes) }},
	{"a checkpoint has seen what is not durable", ByCheckpoint, func(l *logbook) { l.watch.complete(&host.Checkpoint{End: 2}) }, func(l *logbook) {
		l.write(msg.Record{})
		l.watch.durable(1)
		l.watch.complete(&host.Checkpoint{End: 1})
		l.write(msg.Record{})
	}},
	{"what was durable is gone", ByDurability, func(l *logbook) { l.watch.recovered(1) }, func(l *logbook) {
		l.write(msg.Record{})
		l.write(msg.Record{})
		l.watch.durable(2)
	}},
}

func TestEachCheckFindsWhatItIsThereFor(t *testing.T) {
	for _, tc := range wrongs {
		l := newLogbook()
		if tc.right != nil {
			if l.guard(func() { tc.right(l) }); l.result.Violation != "" {
				t.Errorf("%s: what comes before it is taken for wrong: %s", tc.name, l.result.Violation)
			}
		}
		if l.guard(func() { tc.wrong(l) }); l.result.Violation == "" || l.result.Checker != tc.by {
			t.Errorf("%s: got %v, %q, want %v", tc.name, l.result.Checker, l.result.Violation, tc.by)
		}
		blind := newLogbook()
		blind.config.Blind = true
		if blind.guard(func() {
			if tc.right != nil {
				tc.right(blind)
			}
			tc.wrong(blind)
		}); blind.result.Violation != "" {
			t.Errorf("%s: a blind world sees it: %s", tc.name, blind.result.Violation)
		}
	}
}

// TestWhatIsLostIsForgotten loses records and writes them again.
func TestWhatIsLostIsForgotten(t *testing.T) {
	l := newLogbook()
	l.guard(func() {
		l.write(msg.Record{})
		l.watch.durable(1)
		for range 2 {
			l.write(sends)
			l.write(consumes)
			l.write(forgets)
			l.write(reminds)
			l.watch.turn(&timer)
			l.write(msg.Record{Accepted: &msg.Message{Kind: msg.MessageSend, Target: anEntity}})
			l.write(msg.Record{Finished: []msg.Index{l.watch.last[0].index}})
			l.write(msg.Record{Instance: anEntity, Forget: []string{"r"}})
			l.watch.recovered(1)
			l.position = 1
		}
	})
	if l.result.Violation != "" {
		t.Error(l.result.Violation)
	}
	if len(l.watch.sent)+len(l.watch.consumed)+len(l.watch.inbox)+len(l.watch.reminders) > 0 || l.watch.last[0].index != 1 {
		t.Errorf("something is left of what was lost: %+v", l.watch)
	}
}

// TestTwinsFindWhatWasBuiltWrong compares a partition with one that has seen a
// record more.
func TestTwinsFindWhatWasBuiltWrong(t *testing.T) {
	l := newLogbook()
	l.guard(func() {
		l.write(msg.Record{})
		l.watch.durable(1)
	})
	other := newTwin(l.World, 0)
	l.guard(func() { l.compareTwins("lives", []partition.Recovered{{Engine: other.engine}}) })
	if l.result.Checker != ByRebuild || !strings.Contains(l.result.Violation, "line 1 is") {
		t.Errorf("got %v, %q", l.result.Checker, l.result.Violation)
	}
}

func TestEventsComeInTheOrderOfTheirTimes(t *testing.T) {
	var a agenda
	var got []int
	for n, at := range []time.Duration{5, 1, 3, 1, 9, 3, 1} {
		a.plan(at, nil, func() { got = append(got, n) })
	}
	for e, ok := a.next(); ok; e, ok = a.next() {
		e.do()
	}
	want := []int{1, 3, 6, 2, 5, 0, 4}
	for n := range want {
		if got[n] != want[n] {
			t.Fatalf("got %v, want %v: by time, and of one time as they were planned", got, want)
		}
	}
}

func TestFaultsComeAtTheirRate(t *testing.T) {
	c := Config{Seed: 1}
	c.Rates[FaultCrash], c.Rates[FaultSync] = 0.1, 0
	f := newFaults(&c)
	crashes := 0
	for range 100_000 {
		if f.happen(FaultCrash) {
			crashes++
		}
		if f.happen(FaultSync) {
			t.Fatal("a fault happens whose rate is 0")
		}
	}
	if crashes < 9_000 || crashes > 11_000 {
		t.Errorf("got %d crashes in 100,000, want about a tenth", crashes)
	}
}

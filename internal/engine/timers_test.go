package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// ringing is a rig whose things set reminders: input "name delay every", and
// note when they ring.
func ringing(t *testing.T) (r *rig, rung *[]string) {
	r = newRig(t, 1, Limits{AttemptsMax: 3, RetryDelay: time.Millisecond}, thing("set", "forget", "ring", "add", "get"))
	rung = new([]string)
	r.program["add"], r.program["get"] = add, get
	r.program["set"] = func(turn *msg.Turn) *msg.Outcome {
		o := add(turn)
		o.Remind = []msg.Reminder{reminderOf(turn, string(turn.Message.Payload.Body))}
		return o
	}
	r.program["forget"] = func(turn *msg.Turn) *msg.Outcome {
		o := add(turn)
		o.Forget = []string{string(turn.Message.Payload.Body)}
		return o
	}
	r.program["ring"] = func(turn *msg.Turn) *msg.Outcome {
		m := turn.Message
		if turn.Now < m.NotBefore {
			t.Errorf("%s rang %v early", m.Reminder, time.Duration(m.NotBefore-turn.Now))
		}
		*rung = append(*rung, fmt.Sprint(m.Reminder, "@", time.Duration(m.NotBefore-startTime).Round(time.Second)))
		return add(turn)
	}
	return r, rung
}

func reminderOf(t *msg.Turn, text string) msg.Reminder {
	var name string
	var delay, every int
	fmt.Sscan(text, &name, &delay, &every)
	return msg.Reminder{Name: name, Handler: "ring", Due: t.Now + msg.Time(delay)*msg.Time(time.Second),
		Schedule: msg.Schedule{Every: time.Duration(every) * time.Second}}
}

func (r *rig) do(handler, text string) {
	r.t.Helper()
	want(r.t, r.call(msg.Request{Target: ref("a"), Handler: handler, Payload: body(text)}), "")
}

func (r *rig) reminders() (list []string) {
	for _, reminder := range r.call(msg.Request{Operation: msg.OperationReminders, Target: ref("a")}).Reminders {
		list = append(list, fmt.Sprint(reminder.Name, "@", time.Duration(reminder.Due-startTime).Round(time.Second)))
	}
	return list
}

func expect(t *testing.T, what string, got []string, expected string) {
	t.Helper()
	if text := fmt.Sprint(got); text != expected {
		t.Fatalf("%s: got %v, want %s", what, text, expected)
	}
}

// Reminders ring once, when they are due, and periodic ones go on in their
// rhythm, also over restarts; what was missed is left out but for the last.
func TestReminders(t *testing.T) {
	r, rung := ringing(t)
	r.do("set", "once 10 0")
	r.do("set", "often 7 5")
	expect(t, "set", r.reminders(), "[often@7s once@10s]")
	r.advance(11 * time.Second)
	expect(t, "rung", *rung, "[often@7s once@10s]")
	r.sameAfterReplay()
	r.restart(nil)
	r.advance(10 * time.Second)
	expect(t, "rung", *rung, "[often@7s once@10s often@12s often@17s]")
	r.now = startTime + msg.Time(60*time.Second)
	r.restart(nil)
	expect(t, "after a pause", *rung, "[often@7s once@10s often@12s often@17s often@22s]")
	expect(t, "the rhythm stays", r.reminders(), "[often@1m2s]")
	r.do("forget", "often")
	r.advance(time.Minute)
	expect(t, "cancelled", *rung, "[often@7s once@10s often@12s often@17s often@22s]")
	expect(t, "left", r.reminders(), "[]")
	if n := r.partitions[0].timers.set.Len(); n != 0 {
		t.Fatalf("%d timers are left", n)
	}
	r.sameAfterReplay()
}

// A reminder that is set again under its name replaces the one of before, also
// when that has fired and waits behind another turn.
func TestReminderThatIsSetAgainReplaces(t *testing.T) {
	r, rung := ringing(t)
	r.do("set", "n 10 0")
	r.do("set", "n 20 0")
	r.advance(15 * time.Second)
	expect(t, "rung", *rung, "[]")
	expect(t, "set", r.reminders(), "[n@20s]")
	for _, c := range []struct{ handler, input, rung string }{
		{"set", "n 5 0", "[n@25s]"}, {"set", "n -1 0", "[n@19s]"}, {"forget", "n", "[]"},
	} {
		*rung = nil
		r, rung := ringing(t)
		r.do("set", "n 20 0")
		r.holding["add"] = true
		r.ask(msg.Request{Target: ref("a"), Handler: "add"})
		r.ask(msg.Request{Target: ref("a"), Handler: c.handler, Payload: body(c.input)})
		r.advance(20 * time.Second) // it fires, and waits behind both
		r.release("add")
		r.advance(time.Minute)
		expect(t, c.handler+" "+c.input, *rung, c.rung)
		expect(t, "left", r.reminders(), "[]")
		r.sameAfterReplay()
	}
}

// What the handler of a reminder says about its own reminder counts: set again,
// cancelled, and nothing of it if the turn is not kept.
func TestHandlerDecidesAboutItsOwnReminder(t *testing.T) {
	for _, c := range []struct {
		name    string
		outcome func(*msg.Turn) *msg.Outcome
		rung    int // in a minute; a period is 10 s
	}{
		{"says nothing", add, 6},
		{"sets it again, once", func(turn *msg.Turn) *msg.Outcome {
			o := add(turn)
			o.Remind = []msg.Reminder{reminderOf(turn, "n 30 0")}
			return o
		}, 2},
		{"cancels it", func(turn *msg.Turn) *msg.Outcome {
			o := add(turn)
			o.Forget = []string{"n"}
			return o
		}, 1},
		{"fails after cancelling it", func(turn *msg.Turn) *msg.Outcome {
			o := add(turn)
			o.Forget, o.Err = []string{"n"}, msg.Errorf("mine", msg.ClassFailed, "m")
			return o
		}, 6},
		{"fails after cancelling it, and keeps that", func(turn *msg.Turn) *msg.Outcome {
			o := add(turn)
			o.Forget, o.Err, o.Keep = []string{"n"}, msg.Errorf("mine", msg.ClassFailed, "m"), true
			return o
		}, 1},
		{"deletes the entity", func(*msg.Turn) *msg.Outcome { return &msg.Outcome{Delete: true} }, 1},
		{"writes too much", func(*msg.Turn) *msg.Outcome { return &msg.Outcome{Root: &msg.Payload{Body: make([]byte, 2<<20)}} }, 6},
		{"always panics", func(*msg.Turn) *msg.Outcome {
			return &msg.Outcome{Panicked: true, Err: msg.Errorf(msg.CodePanic, msg.ClassFailed, "oh")}
		}, 18},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, _ := ringing(t)
			rung := 0
			r.program["ring"] = func(turn *msg.Turn) *msg.Outcome { rung++; return c.outcome(turn) }
			r.do("set", "n 10 10")
			for range 6 {
				r.advance(5 * time.Second)
				r.restart(nil)
				r.advance(5 * time.Second)
			}
			r.advance(2 * time.Second)
			if rung != c.rung {
				t.Fatalf("it rang %d times, want %d", rung, c.rung)
			}
			r.sameAfterReplay()
		})
	}
}

// A reminder that is in the queue when the process dies rings after the restart.
func TestReminderInTheQueueSurvivesACrash(t *testing.T) {
	r, rung := ringing(t)
	r.do("set", "n 10 0")
	r.holding["add"] = true
	r.ask(msg.Request{Target: ref("a"), Handler: "add"})
	r.advance(20 * time.Second)
	expect(t, "rung", *rung, "[]")
	r.restart(nil)
	expect(t, "after the crash", *rung, "[n@10s]")
	r.restart(nil)
	r.advance(time.Minute)
	expect(t, "once", *rung, "[n@10s]")
}

// What fell due while nothing ran is admitted in portions, in due order, and
// never more of it at once than executors should have to hold.
func TestBacklogIsTakenUpInPortions(t *testing.T) {
	const count = 3 * backlogMax
	r := newRig(t, 1, Limits{}, thing("slow", "ring", "set", "get"))
	r.program["slow"], r.program["ring"], r.program["get"] = add, add, get
	r.program["set"] = func(turn *msg.Turn) *msg.Outcome {
		o := add(turn)
		o.Remind = []msg.Reminder{{Name: "n", Handler: "ring", Due: turn.Now + msg.Time(time.Minute)}}
		return o
	}
	for n := range count {
		q := msg.Request{Operation: msg.OperationSubmit, Target: ref(fmt.Sprint("s", n)), Handler: "slow", NotBefore: r.now + msg.Time(time.Hour)}
		if n%2 == 0 {
			q = msg.Request{Operation: msg.OperationCall, Target: ref(fmt.Sprint("r", n)), Handler: "set"}
		}
		r.stepOnly(0, msg.Command{Kind: msg.CommandRequest, Request: &q, Waiter: &told{}})
		for len(r.runs) > 0 {
			run := r.runs[0]
			r.runs = r.runs[1:]
			r.finish(run)
		}
	}
	r.holding["slow"], r.holding["ring"] = true, true
	r.now += msg.Time(2 * time.Hour)
	r.restart(nil)
	if n := len(r.runs); n != backlogMax {
		t.Fatalf("%d runs at once, want %d", n, backlogMax)
	}
	if got := r.runs[0].turn.Message.Handler; got != "ring" {
		t.Fatalf("%s runs first, ring fell due first", got)
	}
	if reply := r.call(msg.Request{Target: ref("x"), Handler: "get"}); reply.Err != nil {
		t.Fatalf("others are held up: %v", reply.Err)
	}
	done := 0
	for ; len(r.runs) > 0; done++ {
		run := r.runs[0]
		r.runs = r.runs[1:]
		r.finish(run)
		if due := r.partitions[0].NextDue(); due > 0 && due <= r.now {
			r.stepOnly(0, msg.Command{Kind: msg.CommandTick})
		}
		if len(r.runs) > backlogMax {
			t.Fatalf("%d runs at once", len(r.runs))
		}
	}
	if done != count {
		t.Fatalf("%d ran, want %d", done, count)
	}
	r.partitions[0].verify()
}

// Inboxes are taken up in portions after a restart, and what comes for a key
// whose inbox has not been taken up waits behind it.
func TestInboxComesBeforeWhatComesLater(t *testing.T) {
	r, from, to := twoPartitions(t, Limits{AcceptAfter: time.Second})
	var order []string
	r.program["slow"] = func(turn *msg.Turn) *msg.Outcome {
		order = append(order, string(turn.Message.Payload.Body))
		return add(turn)
	}
	r.program["go"] = sendTo("slow", to[0])
	r.holding["slow"] = true
	send := func(text string) {
		want(t, r.call(msg.Request{Target: ref(from), Handler: "go", Payload: body(text)}), "")
	}
	send("1")
	send("2")
	r.advance(2 * time.Second) // both are in the inbox now
	send("3")
	send("4")
	if n := len(r.partitions[1].instances[ref(to[0])].owned.inbox); n != 2 {
		t.Fatalf("%d messages are in the inbox, want 2", n)
	}
	delete(r.holding, "slow")
	r.queue, r.runs = nil, nil
	for n := range r.partitions {
		r.partitions[n] = r.rebuild(msg.Partition(n))
	}
	for n := len(r.partitions) - 1; n >= 0; n-- { // messages 3 and 4 come before any tick
		r.out.Reset()
		r.partitions[n].Recover(r.now, 1, nil, &r.out)
		r.carry(r.partitions[n])
	}
	submitted := r.ask(msg.Request{Operation: msg.OperationSubmit, Target: ref(to[0]), Handler: "slow", Payload: body("5")})
	r.advance(time.Second)
	want(t, submitted.one(t), "")
	if len(order) != 5 || fmt.Sprint(order[:2]) != "[1 2]" {
		t.Fatalf("ran %v", order)
	}
	three, four := 0, 0
	for n, text := range order {
		switch text {
		case "3":
			three = n
		case "4":
			four = n
		}
	}
	if three > four {
		t.Fatalf("ran %v", order)
	}
	r.sameAfterReplay()
}

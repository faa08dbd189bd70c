package engine

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast/internal/field"
	"github.com/holdfast-io/holdfast/internal/invariant"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// mutant is a bug and how the world notices it.
type mutant struct {
	name     string
	noticed  string // parts of the violation, any of which is enough
	sort     uint64 // of worlds; see worldOf
	mutation mutation
}

var mutants = []mutant{{
	name: "a message that was consumed is taken again", noticed: " twice|two outcomes|neither in the outbox nor consumed|which is not consumed",
	mutation: mutation{before: func(_ *world, p *Partition, c *msg.Command) {
		if c.Kind == msg.CommandDeliver {
			forgetConsumed(p, c.Message.ID)
		}
	}},
}, {
	name: "a high-water mark instead of a set of what is consumed", noticed: "plan|not come to rest",
	mutation: mutation{after: func(_ *world, p *Partition) { highWater(p) }, rebuilt: highWater},
}, {
	name: "a message leaves the outbox when it is delivered", noticed: "neither in the outbox nor consumed",
	mutation: mutation{before: func(w *world, p *Partition, c *msg.Command) {
		if c.Kind == msg.CommandDeliver && !p.consumed[c.Message.ID.Source].has(c.Message.ID.Number) {
			w.partitions[c.Message.ID.Source].outboxes[p.config.Partition].remove(c.Message.ID.Number)
		}
	}},
}, {
	name: "messages are taken as they come", noticed: " takes plan |two outcomes",
	mutation: mutation{before: func(_ *world, p *Partition, c *msg.Command) {
		if c.Kind == msg.CommandDeliver && !p.consumed[c.Message.ID.Source].has(c.Message.ID.Number) && !ages(p, c.Message.ID) {
			p.inlets[c.Message.ID.Source].arrived = c.Message.ID.Number - 1
		}
	}},
}, {
	name: "a reminder that has fired is set again", noticed: " twice",
	mutation: mutation{after: func(_ *world, p *Partition) { setAgain(p) }},
}, {
	name: "a reminder fires early", noticed: " began at ",
	mutation: mutation{after: func(_ *world, p *Partition) { hurry(p) }},
}, {
	name: "a reply leaves before its record is durable", noticed: "",
	mutation: mutation{releaseEarly: true},
}, {
	name: "an activity begins before the record that asks for it is durable", noticed: "the token of activity",
	mutation: mutation{performEarly: true},
}, {
	name: "a read is answered before what it has seen is durable", noticed: "a read is answered that has seen",
	mutation: mutation{readEarly: true},
}, {
	name: "a checkpoint is published before the log is durable at its end", noticed: "", sort: 1,
	mutation: mutation{publishEarly: true},
}, {
	name: "what was deferred comes back in another order", noticed: " takes plan ", sort: 4,
	mutation: mutation{after: func(_ *world, p *Partition) { turnRound(p) }},
}, {
	name: "a deferred input is consumed", noticed: " takes plan | ended as |half done|of its|not come to rest|balances",
	mutation: mutation{before: func(_ *world, _ *Partition, c *msg.Command) {
		if c.Kind == msg.CommandOutcome {
			c.Outcome.Defer = false
		}
	}},
}, {
	name: "a message that is turned down is forgotten", noticed: "is no dead letter",
	mutation: mutation{before: func(_ *world, _ *Partition, c *msg.Command) {
		if c.Kind == msg.CommandOutcome && c.Outcome.DeadLetter != "" {
			c.Outcome.Err, c.Outcome.DeadLetter = msg.Errorf("refused", msg.ClassFailed, ""), ""
		}
	}},
}, {
	name: "an accepted message is lost by a crash", noticed: "half done|not come to rest|ended as failed",
	mutation: mutation{rebuilt: dropInbox},
}, {
	name: "what a workflow begins with is lost by a crash", noticed: "not come to rest|deadline_exceeded",
	mutation: mutation{rebuilt: func(p *Partition) {
		eachWorkflow(p, func(i *instance) {
			w := *i.owned.workflow
			w.Begin, i.owned.workflow = nil, &w
		})
	}},
}, {
	name: "an activity is lost by a crash", noticed: "not come to rest|deadline_exceeded",
	mutation: mutation{rebuilt: func(p *Partition) {
		eachWorkflow(p, func(i *instance) {
			if len(i.owned.tasks) > 0 {
				p.endTask(i, i.owned.tasks[0].Name())
			}
		})
	}},
}, {
	name: "an activity that has ended is asked for again", noticed: "two outcomes|replay",
	mutation: mutation{replayed: true, after: func(_ *world, p *Partition) {
		eachWorkflow(p, func(i *instance) {
			if w := i.workflow(); len(i.owned.tasks) == 0 && !w.Status.Ended() && i.entries() == 2 {
				p.setTask(i, msg.Task{Run: w.Run, Step: 1, Attempt: 1})
			}
		})
	}},
}, {
	name: "answers are lost by a crash", noticed: " twice|never submitted",
	mutation: mutation{rebuilt: func(p *Partition) { p.answers = newAnswers() }},
}, {
	name: "the outcome of a run that was given up is taken", noticed: "late outcome",
	mutation: mutation{before: func(_ *world, p *Partition, c *msg.Command) {
		if c.Kind == msg.CommandAbandon {
			c.Kind, c.Run = msg.CommandTick, 0 // nobody tells the partition
		}
	}},
}, {
	name: "a run sees changes that come later", noticed: "when it was handed out",
	mutation: mutation{after: func(w *world, p *Partition) { shareFields(w, p) }},
}, {
	name: "a step changes state without a record", noticed: "replay",
	mutation: mutation{replayed: true, after: func(_ *world, p *Partition) {
		if i, ok := p.order.Min(); ok && i.exists {
			i.touched++
		}
	}},
}, {
	name: "answers are forgotten without a record", noticed: "replay", sort: 3,
	mutation: mutation{replayed: true, after: func(_ *world, p *Partition) {
		if a := p.answers.ended.front(); a != nil && p.answers.ended.len > 20 {
			p.answers.remove(a)
		}
	}},
}, {
	name: "locks are not taken in one order", noticed: "not come to rest|deadline_exceeded",
	mutation: mutation{before: onDelivery(msg.MessageLockRequest, func(w *world, _ *Partition, m *msg.Message) {
		if len(w.partitions) == 1 && m.ID.Number%2 == 1 {
			m.Keys = slices.Clone(m.Keys)
			slices.Reverse(m.Keys)
			m.Target = m.Keys[0].Ref
		}
	})},
}, {
	name: "a release goes only to the first partition", noticed: "not come to rest|deadline_exceeded",
	mutation: mutation{before: onDelivery(msg.MessageLockRelease, func(_ *world, p *Partition, m *msg.Message) {
		m.Keys = slices.DeleteFunc(slices.Clone(m.Keys), func(k msg.LockKey) bool { return p.place(k.Ref, "") != p.config.Partition })
	})},
}, {
	name: "whoever comes passes the lock", noticed: " holds it",
	mutation: mutation{before: onDelivery(msg.MessageSend, func(_ *world, p *Partition, m *msg.Message) {
		if i := p.find(p.space(m.Target)); i != nil && len(i.locks()) > 0 {
			m.Hold = i.locks()[0].Holder
		}
	})},
}, {
	name: "a lock is lost by a crash", noticed: " holds it|half done|is done|are done|under a shared lock",
	mutation: mutation{rebuilt: func(p *Partition) {
		p.order.Scan(func(i *instance) bool {
			if len(i.locks()) > 0 {
				i.owned.locks = nil
				p.listLock(i)
			}
			return true
		})
	}},
}, {
	name: "an event that was refused is kept where it is prepared", noticed: "was taken at|add up|are done|half done|refused",
	mutation: mutation{before: onDelivery(msg.MessageEventAbort, func(_ *world, _ *Partition, m *msg.Message) {
		m.Kind = msg.MessageEventCommit
	})},
}, {
	name: "an event is applied before it is decided", noticed: "patch of the root|was taken at|add up|are done|half done|refused",
	mutation: mutation{after: func(_ *world, p *Partition) {
		p.order.Scan(func(i *instance) bool {
			if held := i.prepared(); held != nil {
				for n := range held.Changes {
					p.foldChange(i, &held.Changes[n], &msg.Record{Index: p.index})
				}
				rest := *held
				rest.Changes, i.view, i.owned.prepared = nil, nil, &rest
			}
			return true
		})
	}},
}, {
	name: "what is prepared is lost by a crash", noticed: "was taken at|add up|are done|half done",
	mutation: mutation{rebuilt: func(p *Partition) {
		p.order.Scan(func(i *instance) bool {
			if i.prepared() != nil {
				i.owned.prepared = nil
				p.countPrepared(true, false)
			}
			return true
		})
	}},
}}

// onDelivery changes messages of a kind before they are taken.
func onDelivery(kind msg.MessageKind, change func(*world, *Partition, *msg.Message)) func(*world, *Partition, *msg.Command) {
	return func(w *world, p *Partition, c *msg.Command) {
		if c.Kind == msg.CommandDeliver && c.Message.Kind == kind {
			changed := *c.Message
			change(w, p, &changed)
			c.Message = &changed
		}
	}
}

// TestPlantedBugsAreFound plants bugs one at a time, and expects the worlds of a
// few seeds to fail for the right reason.
func TestPlantedBugsAreFound(t *testing.T) {
	const seedsMax = 60
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			m.mutation.planted = true
			for seed := uint64(0); seed < seedsMax; seed++ {
				o := worldOf(seed*5 + m.sort)
				o.crashes, o.mutation = 40, m.mutation
				violation := newWorld(o).run()
				if violation == "" {
					continue
				}
				first, _, _ := strings.Cut(violation, "\n")
				about := func(part string) bool { return strings.Contains(violation, part) }
				if !slices.ContainsFunc(strings.Split(m.noticed, "|"), about) && !(invariant.Enabled && about("invariant violated")) {
					t.Fatalf("seed %d: found as %q, want something about %q", o.seed, first, m.noticed)
				}
				t.Logf("seed %d: %.200s", o.seed, first)
				return
			}
			t.Fatalf("not found in %d worlds", seedsMax)
		})
	}
}

func forgetConsumed(p *Partition, id msg.MessageID) {
	c := &p.consumed[id.Source]
	if !c.has(id.Number) || id.Number+window < c.high {
		return
	}
	kept := consumed{low: id.Number - 1, high: id.Number - 1}
	for n := id.Number + 1; n <= c.high && n <= kept.low+window; n++ {
		if c.has(n) {
			kept.add(n)
		}
	}
	*c = kept
	p.inlets[id.Source].arrived = id.Number - 1
}

func highWater(p *Partition) {
	for n := range p.consumed {
		p.consumed[n] = consumed{low: p.consumed[n].high, high: p.consumed[n].high}
	}
}

// ages says whether a message waits already.
func ages(p *Partition, id msg.MessageID) bool {
	for in := p.aging.first; in != nil; in = in.younger {
		if in.message.ID == id {
			return true
		}
	}
	return false
}

// setAgain sets reminders whose messages have just been consumed.
func setAgain(p *Partition) {
	p.order.Scan(func(i *instance) bool {
		if l := i.live; l != nil && l.running != nil && l.running.input != nil && l.running.input.message.Kind == msg.MessageTimer && strict(i.ref.Kind) {
			m := l.running.input.message
			if i.reminder("again "+m.Reminder) == nil && !strings.HasPrefix(m.Reminder, "again ") {
				p.armReminder(i, i.own().remind(msg.Reminder{Name: "again " + m.Reminder, Handler: m.Handler, Payload: m.Payload, Due: p.now}))
			}
		}
		return true
	})
}

// hurry moves reminders to an earlier time.
func hurry(p *Partition) {
	p.order.Scan(func(i *instance) bool {
		if i.owned == nil {
			return true
		}
		for _, r := range i.owned.reminders {
			if r.timer != nil && r.Due == r.timer.due && r.Due > p.now+msg.Time(200*time.Millisecond) && r.Schedule == (msg.Schedule{}) {
				p.timers.disarm(r.timer)
				r.Due -= msg.Time(100 * time.Millisecond)
				p.armReminder(i, r)
			}
		}
		return true
	})
}

// turnRound turns the order round of what waits aside.
func turnRound(p *Partition) {
	p.order.Scan(func(i *instance) bool {
		if i.live != nil {
			slices.Reverse(i.live.aside)
		}
		return true
	})
}

func eachWorkflow(p *Partition, do func(*instance)) {
	p.order.Scan(func(i *instance) bool {
		if i.workflow() != nil {
			do(i)
		}
		return true
	})
}

func dropInbox(p *Partition) {
	p.order.Scan(func(i *instance) bool {
		if i.owned != nil && len(i.owned.inbox) > 0 {
			i.owned.inbox = i.owned.inbox[1:]
		}
		return true
	})
}

// shareFields gives runs the live maps and lists of their instances.
func shareFields(w *world, p *Partition) {
	if len(w.runs) == 0 {
		return
	}
	last := &w.runs[len(w.runs)-1]
	if i := p.instances[last.turn.Message.Target]; last.partition == p.config.Partition && i != nil && last.turn.State.Fields == i.view && i.view != nil {
		last.turn.State.Fields = &field.View{Fields: i.fields}
	}
}

package workflow_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/workflow"
	"github.com/holdfast-io/holdfast/internal/workflow/workflowtest"
)

// The law: a run that was in memory all the time and one that was executed from
// its journal are the same run. Programs are drawn at random, and so is the order
// in which everything comes to them.

// instruction is one instruction of a random program; some have programs of
// their own.
type instruction struct {
	Verb string
	Text string
	Wait time.Duration
	Body []instruction
}

var verbs = []string{"call", "activity", "fail", "sleep", "send", "finish", "local", "signal", "select", "go", "all", "any", "id",
	"random", "patch", "promise", "child", "lost timer"}

func drawProgram(depth int) *rapid.Generator[[]instruction] {
	return rapid.Custom(func(t *rapid.T) []instruction {
		return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) instruction {
			i := instruction{Verb: rapid.SampledFrom(verbs).Draw(t, "verb"), Text: rapid.StringMatching("[a-c]").Draw(t, "text"),
				Wait: time.Duration(rapid.IntRange(1, 5).Draw(t, "wait"))}
			if depth > 0 {
				i.Body = drawProgram(depth-1).Draw(t, "body")
			}
			return i
		}), 0, 6).Draw(t, "program")
	})
}

// interpreter runs a random program and writes down what it sees.
type interpreter struct{ seen []string }

func (p *interpreter) note(format string, args ...any) {
	p.seen = append(p.seen, fmt.Sprintf(format, args...))
}

func (p *interpreter) run(x *workflow.Context, program []instruction) {
	for i := range program {
		p.step(x, &program[i])
	}
}

func (p *interpreter) step(x *workflow.Context, i *instruction) {
	switch i.Verb {
	case "call":
		p.note("call %s", get(x, call(x, i.Text)))
	case "activity":
		p.note("activity %s", get(x, activity(x, i.Text)))
	case "fail":
		p.note("fail %s", get(x, activity(x, "")))
	case "sleep":
		p.note("slept %s %d", get(x, in(x, i.Wait)), x.Now())
	case "send":
		x.Send(msg.Outgoing{Target: msg.Ref{Kind: "entity", Key: i.Text}, Handler: "sent"})
	case "finish":
		p.note("finished %v", x.Finish())
	case "local":
		out, err := x.Local(i.Text, msg.Payload{}, &workflow.Options{}, func(context.Context, msg.Payload) workflow.Verdict {
			return workflow.Verdict{Output: text(fmt.Sprint(rand.Uint64()))}
		})
		p.note("local %s %v", out.Body, err)
	case "signal":
		p.note("signal %s", get(x, x.Receive(i.Text)))
	case "id":
		p.note("id %s", x.NewID())
	case "random":
		p.note("random %d", x.Rand().Uint64())
	case "patch":
		p.note("patch %v", x.Patch(i.Text))
	case "promise":
		f, id := x.Promise()
		x.Send(msg.Outgoing{Target: msg.Ref{Kind: "resolver", Key: "r"}, Handler: "resolve", Payload: text(id)})
		p.note("promise %s", get(x, f))
	case "child":
		p.note("child %s", get(x, x.Child(msg.Outgoing{Target: msg.Ref{Kind: "child", Key: x.NewID()}, Handler: msg.HandlerRun,
			Payload: text(i.Text)}, workflow.CloseCancel)))
	case "lost timer":
		in(x, i.Wait)
	default:
		p.combine(x, i)
	}
}

func (p *interpreter) combine(x *workflow.Context, i *instruction) {
	futures := []*workflow.Future{activity(x, i.Text), call(x, i.Text), in(x, i.Wait), x.Receive(i.Text)}
	beside := x.Go(func(x *workflow.Context) *msg.Error {
		p.run(x, i.Body)
		return nil
	})
	switch i.Verb {
	case "select":
		chosen, err := x.Select(futures)
		p.note("selected %d %v %s", chosen, err, get(x, futures[chosen]))
	case "all":
		failed, err := x.All(append(futures[:3:3], activity(x, "")))
		p.note("all %d %v", failed, err)
	case "any":
		first, err := x.Any([]*workflow.Future{activity(x, ""), futures[1]})
		p.note("any %d %v", first, err)
	}
	p.note("beside %s", get(x, beside))
}

// world is an engine with one random program in it.
type world struct {
	*workflowtest.Engine
	*served
	instance *workflowtest.Instance
}

func newWorld(t testing.TB, program []instruction, seed uint64) *world {
	s := serve(t, func(x *workflow.Context, _ string) (string, *msg.Error) {
		var p interpreter
		x.Answer("seen", func(msg.Payload) (msg.Payload, *msg.Error) { return text(strings.Join(p.seen, "\n")), nil })
		p.run(x, program)
		return strings.Join(p.seen, "\n"), nil
	})
	s.functions["child"] = func(x *workflow.Context, input string) (string, *msg.Error) { return get(x, activity(x, input)), nil }
	w := &world{Engine: s.engine(), served: s}
	random := rand.New(rand.NewPCG(seed, 0))
	w.Choose = random.IntN
	entity := w.Entity
	w.Entity = func(m *msg.Outgoing) (msg.Payload, *msg.Error) {
		if m.Handler == "resolve" {
			w.Resolve(string(m.Payload.Body), "resolved")
		}
		return entity(m)
	}
	w.instance = w.Start("w", "1", "input")
	return w
}

// live lets the world go on to its end, and sends signals when nothing else
// happens.
func (w *world) live(after func()) {
	for signals := 0; signals < 300 && !w.instance.Header.Status.Ended() && w.instance.Parked == ""; {
		if w.Do() {
			after()
			continue
		}
		w.Signal(w.instance, []string{"a", "b", "c"}[signals%3], fmt.Sprint("signal ", signals))
		signals++
	}
}

func (w *world) ask(t *rapid.T, s *served) string {
	was := w.Program
	w.Program = s
	defer func() { w.Program = was }()
	o := w.Query(w.instance, "seen", "")
	if o.Err != nil || o.Fault != "" {
		t.Fatalf("query: %v, %s", o.Err, o.Fault)
	}
	return string(o.Output.Body)
}

func TestARunInMemoryIsTheRunExecutedFromItsJournal(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		w := newWorld(t, drawProgram(2).Draw(r, "program"), rapid.Uint64().Draw(r, "seed"))
		fresh := &served{functions: w.functions}
		w.live(func() {
			if len(w.instance.Journal) == 0 {
				return
			}
			fresh.forget(workflow.Config{})
			if err := w.Check(w.instance, fresh); err != nil {
				r.Fatal(err)
			}
			if hot, cold := w.ask(r, w.served), w.ask(r, fresh); hot != cold {
				r.Fatalf("in memory:\n%s\nexecuted from the journal:\n%s", hot, cold)
			}
		})
		fresh.runtime.Evict()
		fresh.settle()
		if w.instance.Header.Status != msg.WorkflowCompleted {
			r.Fatalf("it has not ended: %v", w.instance)
		}
	})
}

// turns of which nothing was written down leave nothing behind, and runs may be
// thrown out of memory at any time.
func TestLostTurnsAndLostMemoryChangeNothing(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		program, seed := drawProgram(2).Draw(r, "program"), rapid.Uint64().Draw(r, "seed")
		w := newWorld(t, program, seed)
		chances := rand.New(rand.NewPCG(seed, 1))
		w.Lose = func() bool { return chances.IntN(4) == 0 }
		w.Before = func() {
			if chances.IntN(3) == 0 {
				w.runtime.Evict()
			}
		}
		w.live(func() {})
		if w.instance.Header.Status != msg.WorkflowCompleted {
			r.Fatalf("it has not ended: %v", w.instance)
		}
		w.runtime.Evict()
		if cold := w.ask(r, w.served); cold != string(w.instance.Header.Output.Body) {
			r.Fatalf("it ended with\n%s\nand its journal says\n%s", w.instance.Header.Output.Body, cold)
		}
	})
}

func TestSelectTakesTheSameBranchInMemoryAndFromTheJournal(t *testing.T) {
	choose := func(x *workflow.Context, _ string) (string, *msg.Error) {
		futures := []*workflow.Future{call(x, "a"), call(x, "b")}
		chosen, _ := x.Select(futures)
		if err := x.Await(in(x, time.Second)); err != nil {
			return "", err
		}
		return fmt.Sprint(chosen), nil
	}
	for _, c := range []struct {
		order   []msg.StepNumber
		groups  []int
		want    string
		meaning string
	}{
		{[]msg.StepNumber{1, 2}, []int{2}, "0", "both at once"},
		{[]msg.StepNumber{2, 1}, []int{2}, "0", "both at once, the other way round"},
		{[]msg.StepNumber{1, 2}, []int{1, 1}, "0", "one after the other"},
		{[]msg.StepNumber{2, 1}, []int{1, 1}, "1", "the second first"},
	} {
		for _, cold := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, from the journal: %v", c.meaning, cold), func(t *testing.T) {
				s := serve(t, choose)
				e := s.engine()
				if cold {
					e.Before = func() { s.runtime.Evict() }
				}
				i := e.Start("w", "1", "")
				e.Tell(i, 1)
				for _, step := range c.order {
					e.Settle(i, step, "x", nil)
				}
				for _, size := range c.groups {
					e.Tell(i, size)
				}
				e.Entity = nil
				e.Settle(i, 3, "", nil)
				e.Tell(i, len(i.Arrived))
				ended(t, i, c.want)
			})
		}
	}
}

// A turn that was given up may return late, and leave its run in memory after
// another turn has been recorded in its place.
func TestARunWhoseTurnWasNotRecordedIsNotUsed(t *testing.T) {
	s := serve(t, func(x *workflow.Context, _ string) (string, *msg.Error) {
		chosen, _ := x.Select([]*workflow.Future{call(x, "a"), call(x, "b")})
		return fmt.Sprint(chosen), x.Await(in(x, time.Second))
	})
	e := s.engine()
	i := e.Start("w", "1", "")
	e.Tell(i, 1)
	e.Settle(i, 2, "b", nil)
	late := e.Next(i)
	i.Arrived = nil
	e.Settle(i, 1, "a", nil)
	e.Tell(i, 1)
	s.Turn(context.Background(), late)
	e.Run()
	ended(t, i, "0")
}

func TestARunThatAQueryMadeOfAnOlderJournalIsNotUsed(t *testing.T) {
	s := serve(t, func(x *workflow.Context, _ string) (string, *msg.Error) {
		return list(get(x, activity(x, "a")), get(x, activity(x, "b")), get(x, activity(x, "c"))), nil
	})
	e := s.engine()
	i := e.Start("w", "1", "")
	e.Do()
	late := e.Next(i)
	late.Mode, late.Deliveries = msg.ModeQuery, nil
	late.Message.Handler = ""
	for range 2 {
		e.Do()
	}
	s.runtime.Evict()
	s.Turn(context.Background(), late)
	e.Run()
	ended(t, i, "[A B C]")
}

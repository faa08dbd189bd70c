package holdfast_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// Goal: what a workflow does under locks, and what an event does, happens once
// and wholly, and what could only wait for itself is told so. Method: a bank on
// the real engine, with a crash after every record, and on a server.

type transferred struct {
	From, To string
	Cents    int64
}

// teller is a bank that moves money in two ways: a locked workflow and an event.
type teller struct {
	parts    holdfast.Parts
	account  holdfast.Entity[string, account]
	moved    holdfast.Event[transferred]
	deposit  holdfast.Update[string, account, int64, int64]
	balance  holdfast.Read[string, account, void, int64]
	transfer holdfast.Workflow[transferred, string]
}

func bothOf(account holdfast.Entity[string, account]) func(transferred) []holdfast.Ref {
	return func(t transferred) []holdfast.Ref { return []holdfast.Ref{account.Ref(t.To), account.Ref(t.From)} }
}

func newTeller(run func(b *teller, ctx *holdfast.WorkflowContext, in transferred) (string, error), more ...func(b *teller) holdfast.Part) *teller {
	b := &teller{account: holdfast.NewEntity[account]("account")}
	both := bothOf(b.account)
	b.moved = holdfast.NewEvent("moved", both)
	b.deposit = holdfast.NewUpdate[int64, int64](b.account, "deposit")
	b.balance = holdfast.NewRead[void, int64](b.account, "balance")
	b.transfer = holdfast.NewWorkflow[transferred, string]("transfer")
	b.parts = holdfast.Parts{
		b.deposit.Handle(func(ctx *holdfast.UpdateContext[account], n int64) (int64, error) {
			ctx.State.Balance += n
			return ctx.State.Balance, nil
		}),
		b.balance.Handle(func(ctx *holdfast.ReadContext[account], _ void) (int64, error) { return ctx.State.Balance, nil }),
		holdfast.On(b.account, b.moved, func(ctx *holdfast.EventContext[account], m transferred) error {
			if ctx.Key() == m.From {
				ctx.State.Balance -= m.Cents
			}
			if ctx.Key() == m.To {
				ctx.State.Balance += m.Cents
			}
			if ctx.State.Balance < -1000 {
				return holdfast.ErrConflict.Withf("%s has too little", ctx.Key())
			}
			return nil
		}),
		b.transfer.Handle(func(ctx *holdfast.WorkflowContext, in transferred) (string, error) { return run(b, ctx, in) }).Locks(both),
	}
	for _, part := range more {
		b.parts = append(b.parts, part(b))
	}
	return b
}

// moveUnderLocks moves money by calls, and moves half of it back by the event.
func moveUnderLocks(b *teller, ctx *holdfast.WorkflowContext, in transferred) (string, error) {
	out := b.deposit.Start(ctx, in.From, -in.Cents)
	if _, err := b.deposit.Call(ctx, in.To, in.Cents); err != nil {
		return "", err
	}
	if _, err := out.Await(ctx); err != nil {
		return "", err
	}
	if err := b.moved.Raise(ctx, transferred{in.To, in.From, in.Cents / 2}); err != nil {
		return "", err
	}
	from, err := b.balance.Call(ctx, in.From, holdfast.None)
	if err != nil {
		return "", err
	}
	to, err := b.balance.Call(ctx, in.To, holdfast.None)
	return fmt.Sprint(from, " ", to), err
}

func (p *plant) transfer(b *teller, id string, in transferred) msg.Reply {
	return p.request(ask(msg.OperationCall, b.transfer.Ref(id), msg.HandlerRun, fmt.Sprintf(`{"From":%q,"To":%q,"Cents":%d}`, in.From, in.To, in.Cents)))
}

func TestALockedWorkflowAndItsEventHappenOnceDespiteACrashAfterEachRecord(t *testing.T) {
	for crash := 1; ; crash++ {
		b := newTeller(moveUnderLocks)
		p := newPlant(t, crash, b.parts...)
		reply := p.transfer(b, "t", transferred{"alice", "bob", 100})
		if reply.Err != nil || string(reply.Payload.Body) != `"-50 50"` {
			t.Fatalf("crash after record %d: got %s, error %v", crash, reply.Payload.Body, reply.Err)
		}
		for _, q := range []struct{ key, want string }{{"alice", "-50"}, {"bob", "50"}} {
			if got := p.request(ask(msg.OperationCall, b.account.Ref(q.key), "balance", "")); string(got.Payload.Body) != q.want {
				t.Fatalf("crash after record %d: %s has %s, want %s", crash, q.key, got.Payload.Body, q.want)
			}
		}
		for n, partition := range p.partitions {
			if s := partition.Stats(); s.Locked+s.Prepared+s.LockRequests != 0 {
				t.Fatalf("crash after record %d: partition %d is at rest with %+v", crash, n, s)
			}
		}
		if p.lives == 1 {
			t.Logf("%d crash points", crash-1)
			return
		}
	}
}

// What a locked run must not do is an error at once, or parks it.
func TestWhatARunUnderLocksMustNotDo(t *testing.T) {
	audit := holdfast.NewWorkflow[transferred, string]("audit")
	other := holdfast.NewWorkflow[transferred, string]("other")
	within := func(b *teller) holdfast.Part {
		return audit.Handle(func(ctx *holdfast.WorkflowContext, in transferred) (string, error) {
			n, err := b.deposit.Call(ctx, in.From, 7)
			return fmt.Sprint(n), err
		}).Requires(bothOf(b.account))
	}
	elsewhere := func(b *teller) holdfast.Part {
		return other.Handle(func(ctx *holdfast.WorkflowContext, in transferred) (string, error) {
			_, err := b.balance.Call(ctx, "carol", holdfast.None)
			return "", err
		}).Locks(func(transferred) []holdfast.Ref { return []holdfast.Ref{b.account.Ref("carol")} })
	}
	for name, c := range map[string]struct {
		run  func(b *teller, ctx *holdfast.WorkflowContext, in transferred) (string, error)
		want string
	}{
		"a call to a key that it does not hold": {func(b *teller, ctx *holdfast.WorkflowContext, _ transferred) (string, error) {
			_, err := b.deposit.Call(ctx, "carol", 1)
			return "", err
		}, "conflict"},
		"an event at a key that it does not hold": {func(b *teller, ctx *holdfast.WorkflowContext, _ transferred) (string, error) {
			return "", b.moved.Raise(ctx, transferred{"alice", "carol", 1})
		}, "conflict"},
		"an event that is refused": {func(b *teller, ctx *holdfast.WorkflowContext, in transferred) (string, error) {
			err := b.moved.Raise(ctx, transferred{in.From, in.To, 5000})
			if !errors.Is(err, holdfast.ErrConflict) || !strings.Contains(err.Error(), "alice has too little") {
				return "", fmt.Errorf("got %v", err)
			}
			n, err := b.balance.Call(ctx, in.To, holdfast.None)
			return fmt.Sprint(n), err
		}, `"0"`},
		"Finish": {func(_ *teller, ctx *holdfast.WorkflowContext, _ transferred) (string, error) { return "", ctx.Finish() }, "would_deadlock"},
		"a child with other keys": {func(_ *teller, ctx *holdfast.WorkflowContext, in transferred) (string, error) {
			return other.Call(ctx, "", in)
		}, "would_deadlock"},
		"a child that requires its keys": {func(_ *teller, ctx *holdfast.WorkflowContext, in transferred) (string, error) {
			return audit.Call(ctx, "", in)
		}, `"7"`},
		"what it sends comes after it": {func(b *teller, ctx *holdfast.WorkflowContext, in transferred) (string, error) {
			b.deposit.Send(ctx, in.From, 1)
			n, err := b.balance.Call(ctx, in.From, holdfast.None)
			return fmt.Sprint(n), err
		}, `"0"`},
	} {
		t.Run(name, func(t *testing.T) {
			b := newTeller(c.run, within, elsewhere)
			p := newPlant(t, 0, b.parts...)
			reply := p.transfer(b, "t", transferred{"alice", "bob", 1})
			got := string(reply.Payload.Body)
			if reply.Err != nil {
				got = reply.Err.Code
			}
			if got != c.want {
				t.Fatalf("got %s (%v), want %s", got, reply.Err, c.want)
			}
		})
	}
}

func TestAWorkflowThatRequiresKeysIsNotBegunFromOutside(t *testing.T) {
	audit := holdfast.NewWorkflow[transferred, string]("audit")
	b := newTeller(moveUnderLocks, func(b *teller) holdfast.Part {
		return audit.Handle(func(*holdfast.WorkflowContext, transferred) (string, error) { return "", nil }).Requires(bothOf(b.account))
	})
	p := newPlant(t, 0, b.parts...)
	reply := p.request(ask(msg.OperationCall, audit.Ref("a"), msg.HandlerRun, `{"From":"alice","To":"bob"}`))
	if reply.Err == nil || reply.Err.Code != msg.CodeConflict {
		t.Fatalf("got %v, want a conflict", reply.Err)
	}
}

// A run under locks, its own or those of another, ends when everything that it
// asked for has ended, so nothing of it comes after they are given back.
func TestARunUnderLocksEndsAfterWhatItAskedFor(t *testing.T) {
	begin := func(b *teller, ctx *holdfast.WorkflowContext, in transferred) (string, error) {
		b.deposit.Start(ctx, in.From, 1)
		b.deposit.Start(ctx, in.To, 1)
		return "done", nil
	}
	audit := holdfast.NewWorkflow[transferred, string]("audit")
	for name, c := range map[string]struct {
		run     func(b *teller, ctx *holdfast.WorkflowContext, in transferred) (string, error)
		running int
	}{
		"its own": {begin, 1},
		"another's": {func(_ *teller, ctx *holdfast.WorkflowContext, in transferred) (string, error) {
			return audit.Call(ctx, "", in)
		}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			b := newTeller(c.run, func(b *teller) holdfast.Part {
				return audit.Handle(func(ctx *holdfast.WorkflowContext, in transferred) (string, error) { return begin(b, ctx, in) }).Requires(bothOf(b.account))
			})
			p := newPlant(t, 0, b.parts...)
			p.holding = "deposit"
			p.request(ask(msg.OperationSubmit, b.transfer.Ref("t"), msg.HandlerRun, `{"From":"alice","To":"bob"}`))
			p.settle(func() bool { return len(p.held) == 2 && len(p.work) == 0 })
			if got := p.workflows(); got != c.running {
				t.Fatalf("%d workflows run while what was asked for has not ended, want %d", got, c.running)
			}
			p.holding, p.work, p.held = "", p.held, nil
			p.settle(func() bool { return p.workflows() == 0 })
		})
	}
}

// A client raises an event and sees it everywhere when it returns; it waits behind
// a locked run, and a read waits with it.
func TestEventsAndLocksOnAServer(t *testing.T) {
	holding, goOn := make(chan struct{}), make(chan struct{})
	word := holdfast.NewActivity[void, void]("word")
	b := newTeller(func(b *teller, ctx *holdfast.WorkflowContext, in transferred) (string, error) {
		if _, err := b.deposit.Call(ctx, in.From, in.Cents); err != nil {
			return "", err
		}
		if _, err := word.Call(ctx, holdfast.None); err != nil {
			return "", err
		}
		n, err := b.balance.Call(ctx, in.From, holdfast.None)
		return fmt.Sprint(n), err
	}, func(*teller) holdfast.Part {
		return word.Handle(func(context.Context, void) (void, error) {
			holding <- struct{}{}
			<-goOn
			return holdfast.None, nil
		})
	})
	serveOnBoth(t, holdfast.NewApp("bank", b.parts...), func(t *testing.T, c *holdfast.ClientContext) {
		if err := b.moved.Raise(c, transferred{"alice", "bob", 30}); err != nil {
			t.Fatal(err)
		}
		balance := func(key string) int64 {
			n, err := b.balance.Call(c, key, holdfast.None)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		if a, o := balance("alice"), balance("bob"); a != -30 || o != 30 {
			t.Fatalf("alice has %d and bob %d, want -30 and 30", a, o)
		}
		if err := b.moved.Raise(c, transferred{"alice", "bob", 5000}); !errors.Is(err, holdfast.ErrConflict) {
			t.Fatalf("got %v, want a conflict", err)
		}
		if err := errors.Join(b.moved.Submit(c, transferred{"carol", "dave", 7}, holdfast.IdempotencyKey("k")),
			b.moved.Submit(c, transferred{"carol", "dave", 7}, holdfast.IdempotencyKey("k"))); err != nil {
			t.Fatal(err)
		}
		for balance("dave") != 7 { // nobody waits for it
			runtime.Gosched()
		}
		if n := balance("carol"); n != -7 {
			t.Fatalf("carol has %d, want -7: it was submitted once", n)
		}
		run, err := b.transfer.Submit(c, "", transferred{"alice", "bob", 100})
		if err != nil {
			t.Fatal(err)
		}
		<-holding
		raised := make(chan error, 1)
		go func() { raised <- b.moved.Raise(c, transferred{"bob", "alice", 1}) }()
		if n, err := b.balance.Peek(c, "alice", holdfast.None); err != nil || n != 70 {
			t.Fatalf("a peek saw %d, error %v, want 70", n, err)
		}
		close(goOn)
		if out, err := run.Await(c); err != nil || out != "70" {
			t.Fatalf("the run saw %q, error %v, want 70: it was alone", out, err)
		}
		if err := <-raised; err != nil || balance("alice") != 71 || balance("bob") != 29 {
			t.Fatalf("the event: %v; alice has %d", err, balance("alice"))
		}
		goOn = make(chan struct{})
	})
}

func TestMistakesOfEventsAreFound(t *testing.T) {
	none := func(*holdfast.EventContext[account], transferred) error { return nil }
	other := holdfast.NewEntity[account]("other")
	event := holdfast.NewEvent("moved", func(transferred) []holdfast.Ref { return nil })
	for name, c := range map[string]struct {
		parts []holdfast.Part
		want  string
	}{
		"twice":      {[]holdfast.Part{holdfast.On(other, event, none), holdfast.On(other, event, none)}, "takes event moved twice"},
		"nil":        {[]holdfast.Part{holdfast.On[string, account, transferred](other, event, nil)}, "bound to a nil function"},
		"undeclared": {[]holdfast.Part{holdfast.On(other, holdfast.Event[transferred]{}, none)}, "undeclared event"},
		"touches":    {[]holdfast.Part{holdfast.On(other, holdfast.NewEvent[transferred]("x", nil), none)}, "says which entities it names"},
		"name": {[]holdfast.Part{holdfast.On(other, holdfast.NewEvent("a/b", func(transferred) []holdfast.Ref { return nil }), none)},
			`event "a/b"`},
		"declared twice": {[]holdfast.Part{holdfast.On(other, event, none),
			holdfast.On(other, holdfast.NewEvent("moved", func(transferred) []holdfast.Ref { return nil }), none)}, "declared twice"},
	} {
		err := holdfast.NewApp("app", c.parts...).Validate()
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want …%s…", name, err, c.want)
		}
	}
}

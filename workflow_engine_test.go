package holdfast_test

import (
	"context"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/internal/engine"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/program"
)

// Workflows on the real engine: partitions that are driven by hand, crash after
// any record and are built again from their log. The process's memory goes with
// each crash: the app is made anew.

// plant drives the partitions of an app.
type plant struct {
	t          testing.TB
	app        *holdfast.App
	program    program.Program
	now        msg.Time
	partitions []*engine.Partition
	log        [][]byte
	work       []func()
	holding    string // a handler whose turns do not end; empty: none
	held       []func()
	crashAt    int // the number of records after which the process dies; 0: never
	crashed    bool
	lives      int // of the process
	requests   uint64
	out        engine.Output
}

func newPlant(t testing.TB, crashAt int, parts ...holdfast.Part) *plant {
	p := &plant{t: t, app: holdfast.NewApp("app", parts...), now: 1e18, crashAt: crashAt}
	if err := p.app.Validate(); err != nil {
		t.Fatal(err)
	}
	p.start()
	return p
}

// start builds the partitions from the log.
func (p *plant) start() {
	p.lives++
	p.program, p.work, p.partitions = p.app.Program(), nil, make([]*engine.Partition, 4)
	described := p.program.Describe()
	for n := range p.partitions {
		p.partitions[n] = engine.New(engine.Config{Partition: msg.Partition(n), Partitions: 4, Kinds: described.Kinds, Events: described.EngineEvents()})
	}
	for _, item := range p.log {
		record, err := msg.DecodeRecord(item)
		if err == nil {
			err = p.partitions[record.Partition].Apply(record)
		}
		if err != nil {
			p.t.Fatal(err)
		}
	}
	for n := range p.partitions {
		p.out.Reset()
		p.partitions[n].Recover(p.now, 1, nil, &p.out)
		p.carry(msg.Partition(n))
	}
	for _, q := range p.program.Describe().Startup {
		p.ask(&q, &reply{})
	}
}

// ask brings a request to its partition.
func (p *plant) ask(q *msg.Request, w *reply) {
	at := msg.PartitionOf(q.Target, "", 4)
	p.requests++
	q.Invocation = msg.NewInvocationID(at, 1<<16, p.requests)
	p.step(at, msg.Command{Kind: msg.CommandRequest, Request: q, Waiter: w})
}

func (p *plant) step(to msg.Partition, c msg.Command) {
	c.Now = p.now
	p.out.Reset()
	p.partitions[to].Step(&c, &p.out)
	p.carry(to)
}

// carry writes records and queues what they cause, unless the process dies.
func (p *plant) carry(from msg.Partition) {
	for _, record := range p.out.Records {
		p.log = append(p.log, msg.AppendRecord(nil, record))
		if len(p.log) == p.crashAt {
			p.crashed = true
			return
		}
	}
	for n := range p.out.Effects {
		e := p.out.Effects[n]
		p.work = append(p.work, func() { p.effect(from, &e) })
	}
}

func (p *plant) effect(from msg.Partition, e *msg.Effect) {
	switch e.Kind {
	case msg.EffectDeliver:
		p.step(e.Message.ID.Destination, msg.Command{Kind: msg.CommandDeliver, Message: e.Message})
	case msg.EffectAck:
		p.step(e.Ack.Source, msg.Command{Kind: msg.CommandAck, Ack: e.Ack})
	case msg.EffectReply:
		*e.Waiter.(*reply) = reply{e.Reply, true}
	case msg.EffectRun:
		if e.Turn.Message.Handler == p.holding {
			p.held = append(p.held, func() { p.effect(from, e) })
			return
		}
		p.step(from, e.Turn.Ended(p.program.Turn(context.Background(), e.Turn)))
	case msg.EffectPerform:
		o := p.program.Perform(context.Background(), e.Task, func(msg.Payload) {})
		p.step(from, msg.Command{Kind: msg.CommandTask, Task: o})
	}
}

// workflows counts those that run.
func (p *plant) workflows() (count int) {
	for _, partition := range p.partitions {
		count += partition.Stats().Workflows
	}
	return count
}

// settle does what there is to do, and lets time pass if there is nothing.
func (p *plant) settle(until func() bool) {
	p.t.Helper()
	for steps := 0; ; steps++ {
		switch {
		case p.crashed:
			p.crashed = false
			p.start()
		case until():
			return
		case len(p.work) > 0:
			next := p.work[0]
			p.work = p.work[1:]
			next()
		default:
			p.tick()
		}
		if steps > 100_000 {
			p.t.Fatal("nothing comes of it")
		}
	}
}

// tick goes on to the next time at which something is due.
func (p *plant) tick() {
	p.t.Helper()
	due := p.nextDue()
	if due == 0 {
		p.t.Fatal("nothing is due")
	}
	p.now = max(p.now, due)
	for n := range p.partitions {
		p.step(msg.Partition(n), msg.Command{Kind: msg.CommandTick})
	}
}

// nextDue is the next time at which something is due; 0: nothing is.
func (p *plant) nextDue() (due msg.Time) {
	for n := range p.partitions {
		if at := p.partitions[n].NextDue(); at > 0 && (due == 0 || at < due) {
			due = at
		}
	}
	return due
}

type reply struct {
	msg.Reply
	told bool
}

// Answer implements msg.Waiter.
func (r *reply) Answer(msg.Reply) {}

// request makes a request until it is answered.
func (p *plant) request(q msg.Request) msg.Reply {
	p.t.Helper()
	for {
		r, again := &reply{}, q
		p.ask(&again, r)
		lives := p.lives
		p.settle(func() bool { return r.told || p.lives > lives })
		if r.told {
			return r.Reply
		}
	}
}

func ask(op msg.Operation, w holdfast.Ref, handler, body string) msg.Request {
	return msg.Request{Operation: op, Target: msg.Ref{Kind: w.Kind, Key: w.Key}, Handler: handler, Payload: msg.Payload{Body: []byte(body)},
		Identity: msg.Identity{IdempotencyKey: handler + body}}
}

// saga is an app in which everything is used once.
type saga struct {
	parts   holdfast.Parts
	order   holdfast.Workflow[int64, string]
	account holdfast.Entity[string, account]
	turns   int
}

func newSaga() *saga {
	s := &saga{order: holdfast.NewWorkflow[int64, string]("order"), account: holdfast.NewEntity[account]("account")}
	withdraw := holdfast.NewUpdate[int64, int64](s.account, "withdraw")
	balance := holdfast.NewRead[void, int64](s.account, "balance")
	ship := holdfast.NewWorkflow[string, string]("ship")
	word := holdfast.NewSignal[string](s.order, "word")
	stage := holdfast.NewQuery[void, string](s.order, "stage")
	count := holdfast.NewLoop[int]("count")
	s.parts = holdfast.Parts{
		wfScore.Handle(score),
		withdraw.Handle(func(ctx *holdfast.UpdateContext[account], n int64) (int64, error) {
			ctx.State.Balance -= n
			return ctx.State.Balance, nil
		}),
		balance.Handle(func(ctx *holdfast.ReadContext[account], _ void) (int64, error) { return ctx.State.Balance, nil }),
		ship.Handle(func(ctx *holdfast.WorkflowContext, to string) (string, error) {
			points, err := wfScore.Call(ctx, to)
			return fmt.Sprint("shipped to ", to, " for ", points), err
		}),
		count.Handle(func(ctx *holdfast.WorkflowContext, n *int) (bool, error) {
			*n++
			return *n == 4, ctx.Sleep(time.Minute)
		}),
		s.order.Handle(func(ctx *holdfast.WorkflowContext, n int64) (string, error) {
			s.turns++
			at := "paying"
			stage.Answer(ctx, func(void) (string, error) { return at, nil })
			left, err := withdraw.Call(ctx, "alice", n)
			if err != nil {
				return "", err
			}
			withdraw.Send(ctx, "bob", 2*n)
			withdraw.Send(ctx, "carol", 3*n, holdfast.After(time.Minute))
			if err := ctx.Finish(); err != nil {
				return "", err
			}
			seen, err := balance.Call(ctx, "carol", none)
			if err != nil {
				return "", err
			}
			at = "waiting"
			to, err := word.Receive(ctx).Await(ctx)
			if err != nil {
				return "", err
			}
			both, err := holdfast.All(ctx, ship.Start(ctx, "", to), ship.Start(ctx, "second", to+to))
			if err != nil {
				return "", err
			}
			counted, err := count.Call(ctx, "c", 1)
			at = "done"
			return fmt.Sprint(left, seen, both, counted), errJoin(err, ctx.Sleep(30*time.Second))
		}),
	}
	return s
}

func errJoin(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *saga) run(t *testing.T, crashAt int) (records int) {
	t.Helper()
	p := newPlant(t, crashAt, s.parts)
	p.request(ask(msg.OperationSubmit, s.order.Ref("1"), msg.HandlerRun, "5"))
	p.request(ask(msg.OperationSubmit, s.order.Ref("1"), "word", `"paris"`))
	query := ask(msg.OperationCall, s.order.Ref("1"), "stage", "null")
	query.Identity = msg.Identity{}
	result := p.request(ask(msg.OperationCall, s.order.Ref("1"), msg.HandlerRun, "5"))
	if want := `"-5 -15 [shipped to paris for 5 shipped to parisparis for 10] 4"`; result.Err != nil || string(result.Payload.Body) != want {
		t.Errorf("crash at %d: got %s, %v, want %s", crashAt, result.Payload.Body, result.Err, want)
	}
	if stage := p.request(query); string(stage.Payload.Body) != `"done"` {
		t.Errorf("crash at %d: stage %s, %v", crashAt, stage.Payload.Body, stage.Err)
	}
	return len(p.log)
}

func TestASagaOnTheEngineComesToTheSameAfterACrashAtAnyRecord(t *testing.T) {
	s := newSaga()
	records := s.run(t, 0)
	if s.turns > 2 { // one for the run, one for the query of the run that has ended
		t.Errorf("the function was begun %d times without a crash, want 2: it was in memory", s.turns)
	}
	for n := 1; n <= records; n++ {
		s.run(t, n)
	}
}

// What does it cost to take up a typed workflow of 100 entries that is not in
// memory, with the engine around it: a query of it, from the request to the
// answer? At most 150 µs.
func BenchmarkAQueryOfAColdWorkflowOf100Entries(b *testing.B) {
	w := holdfast.NewWorkflow[int, void]("w")
	done := holdfast.NewSignal[void](w, "done")
	sum := holdfast.NewQuery[void, int](w, "sum")
	next := holdfast.NewActivity[int, int]("next")
	p := newPlant(b, 0, next.Handle(func(_ context.Context, n int) (int, error) { return n + 1, nil }),
		w.Handle(func(ctx *holdfast.WorkflowContext, n int) (_ void, err error) {
			sum.Answer(ctx, func(void) (int, error) { return n, nil })
			for range 99 {
				if n, err = next.Call(ctx, n); err != nil {
					return none, err
				}
			}
			return done.Receive(ctx).Await(ctx)
		}))
	p.request(ask(msg.OperationSubmit, w.Ref("1"), msg.HandlerRun, "1"))
	p.settle(func() bool { return len(p.work) == 0 })
	query := ask(msg.OperationCall, w.Ref("1"), "sum", "null")
	query.Identity = msg.Identity{}
	b.ReportAllocs()
	for b.Loop() {
		p.program.(io.Closer).Close()
		if r := p.request(query); string(r.Payload.Body) != "100" {
			b.Fatalf("got %s, %v, want 100", r.Payload.Body, r.Err)
		}
	}
}

func TestARestartedRunBeginsAnewOnTheEngine(t *testing.T) {
	w := holdfast.NewWorkflow[string, string]("w")
	p := newPlant(t, 0, wfScore.Handle(score), w.Handle(func(ctx *holdfast.WorkflowContext, in string) (string, error) {
		id := ctx.NewID()
		return id, ctx.Sleep(time.Hour)
	}))
	var ids []string
	for _, op := range []msg.Operation{msg.OperationCall, msg.OperationRestart} {
		p.request(ask(op, w.Ref("1"), msg.HandlerRun, `"in"`))
		again := ask(msg.OperationCall, w.Ref("1"), msg.HandlerRun, `"in"`)
		again.Identity = msg.Identity{}
		r := p.request(again)
		ids = append(ids, string(r.Payload.Body))
	}
	if ids[0] == ids[1] || slices.Contains(ids, "") {
		t.Errorf("got %v, want another id in another run", ids)
	}
}

func TestASentActivityRunsAlthoughItsWorkflowHasEnded(t *testing.T) {
	for name, more := range map[string]func(*holdfast.WorkflowContext) error{
		"in its last turn": func(*holdfast.WorkflowContext) error { return nil },
		"in a turn before": func(ctx *holdfast.WorkflowContext) error { return ctx.Sleep(time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			ran := false
			notify := holdfast.NewActivity[string, void]("notify")
			w := holdfast.NewWorkflow[string, void]("w")
			p := newPlant(t, 0, notify.Handle(func(context.Context, string) (void, error) {
				ran = true
				return none, nil
			}), w.Handle(func(ctx *holdfast.WorkflowContext, in string) (void, error) {
				notify.Send(ctx, in, holdfast.After(time.Minute))
				return none, more(ctx)
			}))
			if r := p.request(ask(msg.OperationCall, w.Ref("1"), msg.HandlerRun, `"in"`)); r.Err != nil || ran {
				t.Fatalf("got %v, ran %v", r.Err, ran)
			}
			p.settle(func() bool { return ran })
		})
	}
}

func TestWhatAWorkflowSendsIsTriedAgainAfterAPanic(t *testing.T) {
	attempts := 0
	kind := holdfast.NewEntity[account]("account")
	u := holdfast.NewUpdate[void, void](kind, "u")
	w := holdfast.NewWorkflow[string, int]("w")
	p := newPlant(t, 0, u.Handle(func(*holdfast.UpdateContext[account], void) (void, error) {
		if attempts++; attempts < 3 {
			panic("not yet")
		}
		return none, nil
	}), w.Handle(func(ctx *holdfast.WorkflowContext, _ string) (int, error) {
		u.Send(ctx, "alice", none)
		err := ctx.Finish()
		return attempts, err
	}))
	if r := p.request(ask(msg.OperationCall, w.Ref("1"), msg.HandlerRun, `"in"`)); r.Err != nil || string(r.Payload.Body) != "3" {
		t.Errorf("got %s, %v, want 3 attempts", r.Payload.Body, r.Err)
	}
}

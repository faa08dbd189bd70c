package ingress

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/program"
)

// Config is what an ingress is made from.
type Config struct {
	Description  program.Description
	Partitions   int
	Command      func(msg.Partition, msg.Command) // brings a command to its partition
	Room         func() error                     // nil, or why there is no room for new work
	Now          func() msg.Time
	Nonce        uint64 // random; makes the invocations of this process different from others
	BodyBytesMax int    // default 8 MiB
}

// BodyBytesMaxDefault is the largest body of a request.
const BodyBytesMaxDefault = 8 << 20

// Ingress is safe for concurrent use.
type Ingress struct {
	config   Config
	kinds    map[string]*served
	spaces   map[string]bool // affinities
	events   map[string]*program.Event
	counter  atomic.Uint64
	waiters  sync.Pool
	state    atomic.Int32
	inflight atomic.Int64
	broken   chan struct{} // closed by Fail
	failure  *msg.Error    // set before broken is closed
}

// served is a kind or a workflow that the program serves.
type served struct {
	kind     msg.Kind
	handlers map[string]*msg.Handler
}

// The states of an ingress.
const (
	starting int32 = iota
	open
	stopping
)

// New makes an ingress that refuses everything until Open.
func New(c Config) *Ingress {
	if c.BodyBytesMax == 0 {
		c.BodyBytesMax = BodyBytesMaxDefault
	}
	i := &Ingress{config: c, kinds: map[string]*served{}, spaces: map[string]bool{}, events: map[string]*program.Event{}, broken: make(chan struct{})}
	i.waiters.New = func() any { return &waiter{ready: make(chan struct{}, 1)} }
	for _, k := range c.Description.Kinds {
		if k.Hidden() {
			continue
		}
		i.kinds[k.Name] = newServed(k)
		i.spaces[k.Affinity] = k.Affinity != ""
	}
	for n := range c.Description.Events {
		i.events[c.Description.Events[n].Name] = &c.Description.Events[n]
	}
	return i
}

func newServed(k msg.Kind) *served {
	s := &served{kind: k, handlers: map[string]*msg.Handler{}}
	for n := range k.Handlers {
		h := &k.Handlers[n]
		s.handlers[h.Name] = h
		for _, alias := range h.Aliases {
			s.handlers[alias] = h
		}
	}
	return s
}

// Begin makes the requests with which the program begins. It comes before Open.
func (i *Ingress) Begin(ctx context.Context) error {
	for _, r := range i.config.Description.Startup {
		w := i.waiters.Get().(*waiter)
		a := i.ask(i.partition(&r), &r, w)
		if reply := i.wait(ctx, w, a.invocation, func() { i.leave(&a) }); reply.Err != nil {
			return fmt.Errorf("begin with %s of %v: %w", r.Handler, r.Target, reply.Err)
		}
	}
	return nil
}

// AskFirst brings the n-th request with which the program begins, from 0, to its
// partition, or says that there is none: Begin for who cannot wait.
func (i *Ingress) AskFirst(n int, w msg.Waiter) bool {
	list := i.config.Description.Startup
	if n >= len(list) {
		return false
	}
	r := list[n]
	i.ask(i.partition(&r), &r, w)
	return true
}

// Open admits requests.
func (i *Ingress) Open() { i.state.CompareAndSwap(starting, open) }

// Stop refuses requests from now on. Those that were admitted go on.
func (i *Ingress) Stop() { i.state.Store(stopping) }

// Fail refuses requests from now on, and tells everybody who waits why nothing
// will come of their request in this process, and that its fate is not known. It
// is called once.
func (i *Ingress) Fail(cause error) {
	i.Stop()
	i.failure = msg.Errorf(msg.CodeUnavailable, msg.ClassUnavailable,
		"%v; whether the request was done is not known", cause)
	close(i.broken)
}

// Inflight is how many requests wait for their answer.
func (i *Ingress) Inflight() int { return int(i.inflight.Load()) }

// Ready is nil when requests are admitted.
func (i *Ingress) Ready() error {
	switch i.state.Load() {
	case starting:
		return errors.New("recovery is not over")
	case stopping:
		return errors.New("the server is stopping")
	}
	return nil
}

// Describe says what is served.
func (i *Ingress) Describe() program.Description { return i.config.Description }

// waiter waits for one answer.
type waiter struct {
	reply msg.Reply
	ready chan struct{}
}

var _ msg.Waiter = (*waiter)(nil)

// Answer implements msg.Waiter. It is called once for each request.
func (w *waiter) Answer(r msg.Reply) {
	w.reply = r
	w.ready <- struct{}{}
}

// Do admits a request and waits for its answer until ctx ends. A request that
// was admitted goes on when ctx ends; the answer then says that its fate is not
// known. One whose ctx has ended before is not admitted. The deadline of ctx is
// the request's, unless that has one.
func (i *Ingress) Do(ctx context.Context, r *msg.Request) msg.Reply {
	i.inflight.Add(1)
	defer i.inflight.Add(-1)
	if ctx.Err() != nil {
		return msg.Reply{Err: notBegun(ctx)}
	}
	if err := i.admit(r); err != nil {
		return msg.Reply{Err: err}
	}
	deadline, ok := ctx.Deadline()
	waits := r.Operation != msg.OperationSubmit && (r.Operation != msg.OperationRaise || r.Wait)
	if ok && r.Deadline == 0 && waits && deadline.Before(Horizon.Std()) {
		r.Deadline = msg.TimeOf(deadline)
	}
	w := i.waiters.Get().(*waiter)
	if i.concernsAll(r) {
		all := i.bring(r, w)
		return i.wait(ctx, w, msg.InvocationID{}, func() { i.leaveAll(all) })
	}
	a := i.ask(i.partition(r), r, w)
	return i.wait(ctx, w, a.invocation, func() { i.leave(&a) })
}

// asked is a request that was brought to a partition, and who waits for the
// answer.
type asked struct {
	partition  msg.Partition
	invocation msg.InvocationID
	waiter     msg.Waiter
}

// Ask admits a request, brings it to its partition, or to all, and returns.
// The waiter is told the answer, once, from any goroutine, maybe before Ask
// returns. Whoever stops waiting calls leave: the request goes on, and no answer
// may come. Fail does not reach these waiters, and Inflight does not count them.
func (i *Ingress) Ask(r *msg.Request, w msg.Waiter) (leave func()) {
	if err := i.admit(r); err != nil {
		w.Answer(msg.Reply{Err: err})
		return func() {}
	}
	all := i.bring(r, w)
	return func() { i.leaveAll(all) }
}

// AskHidden is Ask for a part of the program itself: of a kind that is hidden,
// with a handler that is known to be there.
func (i *Ingress) AskHidden(r *msg.Request, w msg.Waiter) (leave func()) {
	err := i.ready()
	if err == nil && r.Operation != msg.OperationList {
		if err = validKey(r); err == nil {
			err = i.room()
		}
	}
	if err != nil {
		w.Answer(msg.Reply{Err: err})
		return func() {}
	}
	all := i.bring(r, w)
	return func() { i.leaveAll(all) }
}

// concernsAll says whether every partition is asked.
func (i *Ingress) concernsAll(r *msg.Request) bool {
	switch r.Operation {
	case msg.OperationList, msg.OperationParked, msg.OperationDeadLetters, msg.OperationLocks:
		return true
	}
	return i.isHomeless(r)
}

// bring brings an admitted request to where it belongs.
func (i *Ingress) bring(r *msg.Request, w msg.Waiter) []asked {
	switch r.Operation {
	case msg.OperationList:
		return i.bringToAll(r, w, func(replies []msg.Reply) msg.Reply { return mergeKeys(replies, r.Limit) })
	case msg.OperationParked, msg.OperationDeadLetters, msg.OperationLocks:
		return i.bringToAll(r, w, func(replies []msg.Reply) msg.Reply { return join(replies, r.Limit) })
	}
	if i.isHomeless(r) {
		return i.bringToAll(r, w, anywhere)
	}
	return []asked{i.ask(i.partition(r), r, w)}
}

// bringToAll asks every partition the same.
func (i *Ingress) bringToAll(r *msg.Request, w msg.Waiter, merge func([]msg.Reply) msg.Reply) []asked {
	g := &gathering{replies: make([]msg.Reply, i.config.Partitions), merge: merge, waiter: w}
	g.left.Store(int32(i.config.Partitions))
	all := make([]asked, i.config.Partitions)
	for p := range all {
		request := *r
		all[p] = i.ask(msg.Partition(p), &request, &gatherer{gathering: g, partition: p})
	}
	return all
}

// ask brings a request to a partition.
func (i *Ingress) ask(p msg.Partition, r *msg.Request, w msg.Waiter) asked {
	if r.Invocation.IsZero() {
		r.Invocation = msg.NewInvocationID(p, i.config.Nonce, i.counter.Add(1))
	}
	i.config.Command(p, msg.Command{Kind: msg.CommandRequest, Request: r, Waiter: w})
	return asked{p, r.Invocation, w}
}

// wait waits for the answer, until ctx ends or nothing can come any more. An
// answer that is there counts in any case: it says more than that. The error
// names the invocation, if there is one.
func (i *Ingress) wait(ctx context.Context, w *waiter, invocation msg.InvocationID, leave func()) msg.Reply {
	select {
	case <-w.ready:
		return i.answerOf(w)
	case <-ctx.Done():
	case <-i.broken:
	}
	select {
	case <-w.ready:
		return i.answerOf(w)
	default:
	}
	select {
	case <-i.broken:
		return msg.Reply{Invocation: invocation, Err: i.failure}
	default:
		leave()
		return msg.Reply{Invocation: invocation, Err: left(ctx)}
	}
}

// answerOf takes the answer from a waiter, which is used again.
func (i *Ingress) answerOf(w *waiter) msg.Reply {
	reply := w.reply
	w.reply = msg.Reply{}
	i.waiters.Put(w)
	return reply
}

// leaveAll tells partitions that have not answered that nobody waits any more.
// The waiters are not used again, because an answer may still come.
func (i *Ingress) leaveAll(all []asked) {
	for n := range all {
		if g, one := all[n].waiter.(*gatherer); !one || !g.answered.Load() {
			i.leave(&all[n])
		}
	}
}

func (i *Ingress) leave(a *asked) {
	i.config.Command(a.partition, msg.Command{
		Kind: msg.CommandLeave, Request: &msg.Request{Invocation: a.invocation}, Waiter: a.waiter})
}

// The errors of requests whose context had ended before they were admitted:
// their fate is known.
var (
	errLate = msg.Errorf(msg.CodeDeadlineExceeded, msg.ClassUnavailable, "the deadline passed before the request was made; nothing was done")
	errGone = msg.Errorf(msg.CodeCancelled, msg.ClassConflict, "the caller had gone before the request was made; nothing was done")
)

func notBegun(ctx context.Context) *msg.Error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return errLate
	}
	return errGone
}

func left(ctx context.Context) *msg.Error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return msg.Errorf(msg.CodeDeadlineExceeded, msg.ClassUnavailable,
			"the answer did not come in time; the request goes on, and whether it was done is not known")
	}
	return msg.Errorf(msg.CodeCancelled, msg.ClassConflict,
		"the caller has gone; the request goes on, and whether it was done is not known")
}

// partition is where a request belongs.
func (i *Ingress) partition(r *msg.Request) msg.Partition {
	switch r.Operation {
	case msg.OperationResult, msg.OperationRedeliver, msg.OperationDiscard:
		return r.Invocation.Partition()
	}
	affinity := ""
	if k := i.kinds[r.Target.Kind]; k != nil {
		affinity = k.kind.Affinity
	}
	return msg.PartitionOf(r.Target, affinity, i.config.Partitions)
}

// isHomeless says that something parked is to be looked after whose kind is not
// served, so that nobody here knows how it is placed.
func (i *Ingress) isHomeless(r *msg.Request) bool {
	operates := r.Operation == msg.OperationResume || r.Operation == msg.OperationSkip
	return operates && r.Mode == 0 && i.kinds[r.Target.Kind] == nil
}

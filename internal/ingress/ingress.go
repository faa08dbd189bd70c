package ingress

import (
	"context"
	"errors"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/holdfast-io/holdfast/internal/invariant"
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
	events   map[string]bool
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
	i := &Ingress{config: c, kinds: map[string]*served{}, spaces: map[string]bool{}, events: map[string]bool{}, broken: make(chan struct{})}
	i.waiters.New = func() any { return &waiter{ready: make(chan struct{}, 1)} }
	for _, k := range c.Description.Kinds {
		i.kinds[k.Name] = newServed(k)
		i.spaces[k.Affinity] = k.Affinity != ""
	}
	for _, e := range c.Description.Events {
		i.events[e.Name] = true
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
	switch r.Operation {
	case msg.OperationList:
		return i.list(ctx, r)
	case msg.OperationParked, msg.OperationDeadLetters, msg.OperationLocks:
		return i.everywhere(ctx, r)
	}
	if i.isHomeless(r) {
		return i.anywhere(ctx, r)
	}
	return i.wait(ctx, i.ask(i.partition(r), r))
}

// asked is a request that was brought to a partition, and its waiter.
type asked struct {
	partition msg.Partition
	request   *msg.Request
	waiter    *waiter
}

// ask brings a request to a partition. Whoever asks has to wait.
func (i *Ingress) ask(p msg.Partition, r *msg.Request) asked {
	if r.Invocation.IsZero() {
		r.Invocation = msg.NewInvocationID(p, i.config.Nonce, i.counter.Add(1))
	}
	a := asked{p, r, i.waiters.Get().(*waiter)}
	i.config.Command(p, msg.Command{Kind: msg.CommandRequest, Request: r, Waiter: a.waiter})
	return a
}

// wait waits for the answer, until ctx ends or nothing can come any more. An
// answer that is there counts in any case: it says more than that.
func (i *Ingress) wait(ctx context.Context, a asked) msg.Reply {
	select {
	case <-a.waiter.ready:
		return i.answerTo(a)
	case <-ctx.Done():
	case <-i.broken:
	}
	select {
	case <-a.waiter.ready:
		return i.answerTo(a)
	default:
	}
	select {
	case <-i.broken:
		return msg.Reply{Invocation: a.request.Invocation, Err: i.failure}
	default:
		return i.leave(ctx, a)
	}
}

// answerTo takes the answer from a waiter, which is used again.
func (i *Ingress) answerTo(a asked) msg.Reply {
	reply := a.waiter.reply
	a.waiter.reply = msg.Reply{}
	i.waiters.Put(a.waiter)
	return reply
}

// leave tells the partition that nobody waits any more. The waiter is not used
// again, because an answer may still come.
func (i *Ingress) leave(ctx context.Context, a asked) msg.Reply {
	id := a.request.Invocation
	i.config.Command(a.partition, msg.Command{Kind: msg.CommandLeave, Request: &msg.Request{Invocation: id}, Waiter: a.waiter})
	return msg.Reply{Invocation: id, Err: left(ctx)}
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

// anywhere asks every partition for what at most one of them can do, and gives
// its answer. If none did it and one could not say, that counts.
func (i *Ingress) anywhere(ctx context.Context, r *msg.Request) msg.Reply {
	replies, _ := i.each(ctx, r)
	best := replies[0]
	for _, reply := range replies {
		if reply.Err == nil {
			return reply
		}
		if reply.Err.Code != msg.CodeNotFound {
			best = reply
		}
	}
	return best
}

// each asks every partition the same and gives the answers in their order, or
// the first error.
func (i *Ingress) each(ctx context.Context, r *msg.Request) (replies []msg.Reply, failed *msg.Error) {
	all := make([]asked, i.config.Partitions)
	for p := range all {
		request := *r
		all[p] = i.ask(msg.Partition(p), &request)
	}
	for _, a := range all {
		reply := i.wait(ctx, a)
		if failed == nil {
			failed = reply.Err
		}
		replies = append(replies, reply)
	}
	return replies, failed
}

// list merges the keys of all partitions, in order, and with them how the
// workflows stand whose keys they are.
func (i *Ingress) list(ctx context.Context, r *msg.Request) msg.Reply {
	replies, err := i.each(ctx, r)
	if err != nil {
		return msg.Reply{Err: err}
	}
	var all byKey
	for p := range replies {
		all.Keys = append(all.Keys, replies[p].Keys...)
		all.Workflows = append(all.Workflows, replies[p].Workflows...)
	}
	invariant.Check(len(all.Workflows) == 0 || len(all.Workflows) == len(all.Keys),
		"a list has %d keys and %d workflows", len(all.Keys), len(all.Workflows))
	sort.Sort(&all)
	n := min(len(all.Keys), r.Limit)
	return msg.Reply{Found: true, Keys: all.Keys[:n], Workflows: all.Workflows[:min(len(all.Workflows), n)]}
}

// byKey sorts the keys of a reply, and its workflows with them.
type byKey msg.Reply

func (l *byKey) Len() int           { return len(l.Keys) }
func (l *byKey) Less(i, j int) bool { return l.Keys[i] < l.Keys[j] }

func (l *byKey) Swap(i, j int) {
	l.Keys[i], l.Keys[j] = l.Keys[j], l.Keys[i]
	if len(l.Workflows) > 0 {
		l.Workflows[i], l.Workflows[j] = l.Workflows[j], l.Workflows[i]
	}
}

// everywhere merges what all partitions answer, in order of place.
func (i *Ingress) everywhere(ctx context.Context, r *msg.Request) msg.Reply {
	replies, err := i.each(ctx, r)
	if err != nil {
		return msg.Reply{Err: err}
	}
	all := msg.Reply{Found: true}
	for p := range replies {
		all.Parked = append(all.Parked, replies[p].Parked...)
		all.DeadLetters = append(all.DeadLetters, replies[p].DeadLetters...)
		all.Locks = append(all.Locks, replies[p].Locks...)
	}
	slices.SortStableFunc(all.Parked, func(a, b msg.Parked) int { return strings.Compare(a.Place(), b.Place()) })
	slices.SortStableFunc(all.DeadLetters, func(a, b msg.DeadLetter) int { return strings.Compare(a.Place(), b.Place()) })
	slices.SortStableFunc(all.Locks, func(a, b msg.Lock) int { return strings.Compare(a.Place(), b.Place()) })
	if r.Limit > 0 {
		all.Locks = all.Locks[:min(len(all.Locks), r.Limit)]
		all.Parked = all.Parked[:min(len(all.Parked), r.Limit)]
		all.DeadLetters = all.DeadLetters[:min(len(all.DeadLetters), r.Limit)]
	}
	return all
}

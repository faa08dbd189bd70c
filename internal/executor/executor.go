// Package executor runs handlers, on goroutines that can be written off.
//
// Invariants:
//
//  1. User code never runs on a loop.
//  2. An executor that does not return from a handler within the limit is
//     written off and replaced, so that others go on; how many may be written
//     off at once is bounded and visible.
//  3. Every run is answered by exactly one outcome, however late, unless its
//     program does not return; a handler that ends its goroutine is answered
//     for. What is queued when the pool is closed is not run.
//  4. What runs is marked in memory that outlives the process. Nothing is
//     written to that memory once Close has returned.
//  5. The outcome of a run says whether that run was given up before.
//
// The package does not decide what a late outcome is worth: the engine does.
package executor

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-io/holdfast/internal/marks"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/program"
)

// Config is what a pool is made from.
type Config struct {
	Program       program.Program
	Done          func(t Task, o *msg.Outcome, late bool) // from any goroutine; late: Abandon was called for the task
	Abandon       func(Task)                              // the run is to be given up
	Executors     int
	WrittenOffMax int           // default 1,000
	WriteOffAfter time.Duration // in a handler; default 10 ms
	WarnAfter     time.Duration // in a handler; default 1 s
	AbandonAfter  time.Duration // in a handler; default 1 min
	Marks         *marks.Memory // nil: not marked
	Logger        *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.WrittenOffMax == 0 {
		c.WrittenOffMax = 1000
	}
	if c.WriteOffAfter == 0 {
		c.WriteOffAfter = 10 * time.Millisecond
	}
	if c.WarnAfter == 0 {
		c.WarnAfter = time.Second
	}
	if c.AbandonAfter == 0 {
		c.AbandonAfter = time.Minute
	}
	return c
}

// Pool runs turns. It is safe for concurrent use.
type Pool struct {
	config Config
	ticks  atomic.Uint32 // of the watchdog
	stop   chan struct{} // tells the watchdog to end
	ended  chan struct{} // the watchdog has ended
	empty  chan struct{} // closed when the pool is closed and nothing is waited for

	mu                  sync.Mutex
	work                sync.Cond
	queue               queue
	idle                int
	spinning            bool         // one executor looks for work
	coming              atomic.Int32 // executors that tell an outcome and look for work next
	waiting             atomic.Int32 // length of queue, to be looked at without the lock
	closed              bool
	full                bool                   // as many are written off as may be
	active              map[*executor]struct{} // in the pool
	written             map[*executor]struct{} // written off, and not back yet
	replaced, abandoned uint64
}

// Task is a turn and the partition that wants it run.
type Task struct {
	Partition msg.Partition
	Turn      *msg.Turn
}

// executor is one goroutine that runs handlers.
type executor struct {
	ctx    context.Context
	cancel context.CancelFunc
	slot   *marks.Mark
	began  atomic.Uint32 // tick at which the handler of the task began, plus one; 0: none runs
	over   atomic.Bool   // the handler of the task has returned, or was given up, whichever was first

	// Under the pool's lock.
	task   Task // the last one it took
	warned bool // of the task
	gone   bool // the task was abandoned
	off    bool // it ends when its handler returns

	left chan struct{} // closed when it has ended
}

// Stats counts executors.
type Stats struct {
	Executors, WrittenOff, Queued int
	Replaced, Abandoned           uint64
}

// New starts a pool.
func New(c Config) *Pool {
	p := &Pool{
		config: c.withDefaults(), stop: make(chan struct{}), ended: make(chan struct{}), empty: make(chan struct{}),
		active: map[*executor]struct{}{}, written: map[*executor]struct{}{},
	}
	p.work.L = &p.mu
	p.mu.Lock()
	for range p.config.Executors {
		p.start()
	}
	p.mu.Unlock()
	go p.watch()
	return p
}

// start adds an executor; the lock is held.
func (p *Pool) start() {
	e := &executor{slot: p.config.Marks.Take(), left: make(chan struct{})}
	e.ctx, e.cancel = context.WithCancel(program.WithLogger(context.Background(), p.config.Logger))
	p.active[e] = struct{}{}
	go p.run(e)
}

// Submit queues a turn. It does not wait. After Close it does nothing.
func (p *Pool) Submit(partition msg.Partition, t *msg.Turn) {
	p.SubmitAll([]Task{{partition, t}})
}

// SubmitAll queues turns in their order. It does not wait, and keeps nothing of
// the slice. After Close it does nothing.
func (p *Pool) SubmitAll(tasks []Task) {
	if len(tasks) == 0 {
		return
	}
	p.mu.Lock()
	if !p.closed {
		p.queue.push(tasks)
		p.waiting.Store(int32(p.queue.len()))
	}
	// Those that look next take a turn each, and wake others if more are left.
	wake := len(tasks) - int(p.coming.Load())
	if p.spinning {
		wake--
	}
	wake = min(wake, p.idle)
	p.mu.Unlock()
	for range wake {
		p.work.Signal()
	}
}

// HasWork says whether turns wait for an executor.
func (p *Pool) HasWork() bool { return p.waiting.Load() > 0 }

// Close ends the pool: what is queued is dropped, handlers that run may return
// until they are written off or ctx ends. An error says how many have not
// returned; their goroutines end when they do, and nobody hears their outcomes.
// It is called once.
func (p *Pool) Close(ctx context.Context) error {
	p.mu.Lock()
	p.closed = true
	p.queue = queue{}
	p.vacate()
	p.mu.Unlock()
	p.work.Broadcast()
	select {
	case <-p.empty:
	case <-ctx.Done():
	}
	close(p.stop)
	<-p.ended
	left, leaving := p.leftOver()
	for _, e := range leaving {
		<-e.left
	}
	p.config.Marks.Close()
	if left > 0 {
		return fmt.Errorf("stop with %d handlers that have not returned: messages that they had are handled again at the next start, callers have to ask again", left)
	}
	return nil
}

// leftOver tells the handlers that have not returned that nobody waits for
// them, and counts them. An executor that was written off and whose handler has
// returned is leaving: once it is gone, its outcome has been told.
func (p *Pool) leftOver() (left int, leaving []*executor) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for e := range p.active {
		e.cancel()
		left++
	}
	for e := range p.written {
		if !e.runs() {
			leaving = append(leaving, e)
			continue
		}
		e.cancel()
		left++
	}
	return left, leaving
}

// vacate notes that a closed pool waits for nothing; the lock is held.
func (p *Pool) vacate() {
	if p.closed && len(p.active) == 0 {
		select {
		case <-p.empty:
		default:
			close(p.empty)
		}
	}
}

// Stats says how many executors there are.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Stats{
		Executors: len(p.active), WrittenOff: len(p.written), Queued: p.queue.len(),
		Replaced: p.replaced, Abandoned: p.abandoned,
	}
}

func (p *Pool) run(e *executor) {
	defer p.leave(e)
	for {
		t, ok := p.next(e)
		if !ok {
			return
		}
		e.begin(t, p.ticks.Load())
		outcome := p.config.Program.Turn(e.ctx, t.Turn)
		late := e.end()
		p.coming.Add(1)
		p.config.Done(t, outcome, late)
		p.coming.Add(-1)
	}
}

func (e *executor) begin(t Task, tick uint32) {
	e.began.Store(tick + 1)
	e.slot.SetTurn(t.Partition, t.Turn)
}

// end comes before the executor takes another task: whoever has the lock and
// sees that a handler runs knows that it is the one of the task. It reports
// whether the run was given up before.
func (e *executor) end() (late bool) {
	late = !e.settle()
	e.slot.Clear()
	e.began.Store(0)
	return late
}

// settle says who was first: the handler that returns or the watchdog that
// gives it up.
func (e *executor) settle() (first bool) { return e.over.CompareAndSwap(false, true) }

func (e *executor) runs() bool { return e.began.Load() > 0 }

// next waits for a task; false is for an executor that is to end.
func (p *Pool) next(e *executor) (Task, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !e.off && !p.closed {
		if p.queue.len() > 0 {
			e.task, e.warned = p.queue.pop(), false
			e.over.Store(false)
			p.waiting.Store(int32(p.queue.len()))
			p.rouse() // more may have come while this one was looking
			return e.task, true
		}
		if !p.spin(e) {
			p.idle++
			p.work.Wait()
			p.idle--
		}
	}
	e.task = Task{}
	p.rouse() // others: it was to come
	return Task{}, false
}

// rouse wakes an executor if there is work; the lock is held.
func (p *Pool) rouse() {
	if p.queue.len() > 0 && p.idle > 0 {
		p.work.Signal()
	}
}

// spins is how often an executor that has run out of work looks again before it
// sleeps: about 10 µs, which is what waking it costs the loop that does.
const spins = 64

// spin lets one executor look for work for a moment, and says whether there is
// reason not to sleep. The lock is held, but not meanwhile.
func (p *Pool) spin(e *executor) bool {
	if p.spinning {
		return false
	}
	p.spinning = true
	p.mu.Unlock()
	for i := 0; i < spins && p.waiting.Load() == 0; i++ {
		runtime.Gosched()
	}
	p.mu.Lock()
	p.spinning = false
	return p.queue.len() > 0 || p.closed || e.off
}

// leave is deferred: it forgets an executor that ends. One whose handler ended
// the goroutine has an outcome to be given and a place to be filled. A panic
// does not come from a handler, it is a bug and goes on.
func (p *Pool) leave(e *executor) {
	if bug := recover(); bug != nil {
		panic(bug)
	}
	defer close(e.left)
	if e.runs() {
		late := e.end()
		p.config.Done(e.task, program.Ended(e.task.Turn), late)
	}
	e.cancel()
	p.config.Marks.Put(e.slot)
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, needed := p.active[e]; needed && !p.closed {
		p.start()
	}
	delete(p.active, e)
	delete(p.written, e)
	p.full = p.full && len(p.written) > p.config.WrittenOffMax/2 // not an error for each that comes and goes
	p.vacate()
}

// queue is a first-in, first-out queue of tasks that reuses its memory.
type queue struct {
	tasks []Task
	head  int
}

func (q *queue) len() int { return len(q.tasks) - q.head }

// push adds tasks. Places that are free at the front are used before the
// memory grows, if they are more than half.
func (q *queue) push(tasks []Task) {
	if len(q.tasks)+len(tasks) > cap(q.tasks) && q.head > len(q.tasks)/2 {
		n := copy(q.tasks, q.tasks[q.head:])
		clear(q.tasks[n:])
		q.tasks, q.head = q.tasks[:n], 0
	}
	q.tasks = append(q.tasks, tasks...)
}

func (q *queue) pop() Task {
	t := q.tasks[q.head]
	q.tasks[q.head] = Task{}
	q.head++
	if q.head == len(q.tasks) {
		q.tasks, q.head = q.tasks[:0], 0
	}
	return t
}

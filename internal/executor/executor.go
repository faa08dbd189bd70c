// Package executor runs handlers, on goroutines that can be written off.
//
// Invariants:
//
//  1. User code never runs on a loop.
//  2. An executor that does not return from a handler within the limit is
//     written off and replaced, so that others go on; how many may be written
//     off at once is bounded and visible.
//  3. Every run is answered by exactly one outcome, however late, unless its
//     program does not return.
//  4. What runs is marked in memory that outlives the process.
//
// The package does not decide what a late outcome is worth: the engine does.
package executor

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/program"
)

// Config is what a pool is made from.
type Config struct {
	Program       program.Program
	Done          func(msg.Partition, *msg.Outcome) // from any goroutine
	Abandon       func(msg.Partition, uint64)       // the run is to be given up
	Executors     int
	WrittenOffMax int
	WriteOffAfter time.Duration // in a handler; default 10 ms
	WarnAfter     time.Duration // in a handler; default 1 s
	AbandonAfter  time.Duration // in a handler; default 1 min
	Marks         *Marks        // nil: not marked
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
	config                       Config
	mu                           sync.Mutex
	work                         sync.Cond
	queue                        []task
	head                         int
	idle                         int
	closed                       bool
	active                       map[*executor]struct{}
	written                      map[*executor]struct{} // written off, and not back yet
	ended                        sync.WaitGroup
	ticks                        atomic.Uint32 // of the watchdog
	stop                         chan struct{}
	replaced, abandoned, refused atomic.Uint64
}

type task struct {
	partition msg.Partition
	turn      *msg.Turn
}

// executor is one goroutine that runs handlers.
type executor struct {
	ctx     context.Context
	cancel  context.CancelFunc
	slot    *mark
	began   atomic.Uint32 // tick at which the handler began, plus one; 0: none runs
	current atomic.Pointer[task]
	off     bool // written off; under the pool's lock
	warned  bool // watchdog only
	gone    bool // watchdog only: abandoned
}

// Stats counts executors.
type Stats struct {
	Executors, WrittenOff, Queued int
	Replaced, Abandoned           uint64
}

// New starts a pool.
func New(c Config) *Pool {
	p := &Pool{config: c.withDefaults(), active: map[*executor]struct{}{}, written: map[*executor]struct{}{}, stop: make(chan struct{})}
	p.work.L = &p.mu
	p.mu.Lock()
	for range p.config.Executors {
		p.start()
	}
	p.mu.Unlock()
	p.ended.Add(1)
	go p.watch()
	return p
}

// start adds an executor; the lock is held.
func (p *Pool) start() {
	e := &executor{slot: p.config.Marks.take()}
	e.ctx, e.cancel = context.WithCancel(program.WithLogger(context.Background(), p.config.Logger))
	p.active[e] = struct{}{}
	p.ended.Add(1)
	go p.run(e)
}

// Submit queues a turn. It does not wait.
func (p *Pool) Submit(partition msg.Partition, t *msg.Turn) {
	p.mu.Lock()
	p.queue = append(p.queue, task{partition, t})
	wake := p.idle > 0
	p.mu.Unlock()
	if wake {
		p.work.Signal()
	}
}

// Close ends the pool. It waits for handlers that run, though not for those
// that are written off.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	for e := range p.written {
		e.cancel()
	}
	p.mu.Unlock()
	p.work.Broadcast()
	close(p.stop)
	p.ended.Wait()
}

// Stats says how many executors there are.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Stats{
		Executors: len(p.active), WrittenOff: len(p.written), Queued: len(p.queue) - p.head,
		Replaced: p.replaced.Load(), Abandoned: p.abandoned.Load(),
	}
}

func (p *Pool) run(e *executor) {
	defer p.leave(e)
	for {
		t, ok := p.next(e)
		if !ok {
			return
		}
		e.current.Store(&t)
		e.began.Store(p.ticks.Load() + 1)
		e.slot.set(t.partition, t.turn.Input)
		outcome := p.config.Program.Turn(e.ctx, t.turn)
		e.slot.clear()
		e.began.Store(0)
		p.config.Done(t.partition, outcome)
	}
}

// next waits for a task; false is for an executor that is to end.
func (p *Pool) next(e *executor) (task, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		if e.off {
			return task{}, false
		}
		if p.head < len(p.queue) {
			t := p.queue[p.head]
			p.queue[p.head] = task{}
			p.head++
			if p.head == len(p.queue) {
				p.queue, p.head = p.queue[:0], 0
			}
			return t, true
		}
		if p.closed {
			return task{}, false
		}
		p.idle++
		p.work.Wait()
		p.idle--
	}
}

// leave forgets an executor that ends. Close no longer waits for one that is
// written off.
func (p *Pool) leave(e *executor) {
	p.mu.Lock()
	delete(p.active, e)
	off := e.off
	delete(p.written, e)
	p.mu.Unlock()
	e.cancel()
	p.config.Marks.put(e.slot)
	if !off {
		p.ended.Done()
	}
}

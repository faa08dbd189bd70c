package activity

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-io/holdfast/internal/marks"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/program"
)

// Config is what a pool is made from.
type Config struct {
	Program program.Program
	// Done and Heartbeat are called from any goroutine. They do not wait, and do
	// not call the pool.
	Done      func(msg.Partition, *msg.TaskOutcome)
	Heartbeat func(msg.Partition, *msg.TaskOutcome) // Output is the detail

	RunningMax    int              // attempts at once; default 10,000
	LeftBehindMax int              // default 1,000
	LeaveAfter    time.Duration    // how long an attempt may take to return when its context has ended; default 1 s
	Now           func() time.Time // what deadlines are compared with; default time.Now
	Marks         *marks.Memory    // nil: not marked
	Logger        *slog.Logger     // default slog.Default
}

func (c Config) withDefaults() Config {
	if c.RunningMax == 0 {
		c.RunningMax = 10_000
	}
	if c.LeftBehindMax == 0 {
		c.LeftBehindMax = 1000
	}
	if c.LeaveAfter == 0 {
		c.LeaveAfter = time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// Pool runs attempts. It is safe for concurrent use.
type Pool struct {
	config Config
	base   context.Context // of every attempt; never ends
	empty  chan struct{}   // closed when the pool is closed and nothing is waited for

	mu        sync.Mutex
	work      sync.Cond
	lines     map[string]*line // by activity
	others    *line            // of activities that are not served, whose names have no bound
	ready     []*line          // have an attempt that waits, and room for it; each once
	attempts  map[name]*attempt
	readyRoom [1]*line              // of ready, while it has one line
	left      map[*attempt]struct{} // left behind, and not back yet
	running   int
	telling   int  // attempts that were left behind and are being told so
	workers   int  // goroutines, those left behind among them
	idle      int  // goroutines that wait for an attempt
	starting  bool // a goroutine was woken or begun and has not looked for an attempt yet
	closed    bool
	full      bool // as many are left behind as may be
}

// Task is an attempt and the partition that wants it made.
type Task struct {
	Partition msg.Partition
	Run       *msg.TaskRun
}

// name is what an attempt is known by.
type name struct {
	target msg.Ref
	task   msg.TaskName
}

func nameOf(r *msg.TaskRun) name { return name{r.Target, r.Task.Name()} }

// New makes a pool, which has no goroutines until it has something to do.
func New(c Config) *Pool {
	c = c.withDefaults()
	p := &Pool{
		config: c, base: program.WithLogger(context.Background(), c.Logger), empty: make(chan struct{}),
		lines: map[string]*line{}, others: &line{}, attempts: map[name]*attempt{}, left: map[*attempt]struct{}{},
	}
	p.work.L = &p.mu
	for _, a := range c.Program.Describe().Activities {
		p.lines[a.Name] = &line{limit: a.Concurrency, remote: a.Remote, stats: ActivityStats{Name: a.Name}}
	}
	return p
}

// Perform queues an attempt. It does not wait. After Close it does nothing.
func (p *Pool) Perform(partition msg.Partition, r *msg.TaskRun) {
	p.SubmitAll([]Task{{partition, r}})
}

// SubmitAll queues attempts in their order. It does not wait, and keeps nothing
// of the slice. An attempt of a task of which another one is there takes its
// place, as if that one had been interrupted. After Close it does nothing.
func (p *Pool) SubmitAll(tasks []Task) {
	if len(tasks) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	for _, t := range tasks {
		p.drop(p.attempts[nameOf(t.Run)])
		p.queue(t)
	}
	p.wake()
}

// queue puts an attempt into its line; the lock is held.
func (p *Pool) queue(t Task) {
	l := p.lines[t.Run.Task.Activity]
	if l == nil {
		l = p.others
	}
	a := &attempt{pool: p, line: l, partition: t.Partition, run: t.Run}
	a.beats.known = t.Run.Task.Detail
	p.attempts[nameOf(t.Run)] = a
	l.waiting.push(a)
	p.list(l)
}

// Interrupt gives an attempt up: one that waits never begins, the context of
// one that runs ends. Its outcome is not told once Interrupt has returned.
// Without such an attempt it does nothing.
func (p *Pool) Interrupt(_ msg.Partition, target msg.Ref, task msg.TaskName) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop(p.attempts[name{target, task}])
}

// drop forgets an attempt that nobody needs, if there is one; the lock is held.
// It is silent before its context ends.
func (p *Pool) drop(a *attempt) {
	if a == nil {
		return
	}
	p.forget(a)
	a.hush(hushAll)
	switch a.state {
	case stateWaiting:
		a.state = stateEnded
		a.line.waiting.remove(a)
		a.line.stats.Interrupted++
	case stateRunning:
		a.dropped = true
		p.lose(a, "it is not needed any more")
		a.cancel()
	}
}

// forget makes an attempt unknown, so that it cannot be interrupted any more;
// the lock is held.
func (p *Pool) forget(a *attempt) {
	if p.attempts[nameOf(a.run)] == a {
		delete(p.attempts, nameOf(a.run))
	}
}

// stopWait is how long Close waits for attempts to return after it has ended
// their contexts.
const stopWait = 100 * time.Millisecond

// Close ends the pool: what waits is dropped, what runs may go on until ctx
// ends; then its context ends, too, and Close waits a moment longer, in which a
// success still counts. An error says how many have not returned; their
// goroutines end when they do, and nobody hears their outcomes. It is called
// once.
func (p *Pool) Close(ctx context.Context) error {
	p.mu.Lock()
	p.closed = true
	for _, l := range p.allLines() {
		for a := l.waiting.first; a != nil; a = l.waiting.first {
			l.waiting.remove(a)
			p.forget(a)
		}
	}
	p.vacate()
	p.mu.Unlock()
	p.work.Broadcast()
	select {
	case <-p.empty:
	case <-ctx.Done():
		p.stop()
	}
	left := p.abandon()
	p.config.Marks.Close()
	if left > 0 {
		return fmt.Errorf("stop with %d activities that have not returned; what has no outcome is tried again at the next start", left)
	}
	return nil
}

// stop ends the contexts of all attempts and gives them a moment.
func (p *Pool) stop() {
	for _, a := range p.all() {
		a.hush(hushFailures)
		a.cancel()
	}
	timer := time.NewTimer(stopWait)
	defer timer.Stop()
	select {
	case <-p.empty:
	case <-timer.C:
	}
}

// abandon takes leave of the attempts that have not returned, and counts them.
// One that is being told is waited for.
func (p *Pool) abandon() int {
	for _, a := range p.all() {
		a.hush(hushAll)
		a.cancel()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.allLines() {
		for a := l.running.first; a != nil; a = l.running.first {
			p.leave(a)
		}
	}
	return len(p.left)
}

// all are the attempts that run, are being told, or were left behind.
func (p *Pool) all() (all []*attempt) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.allLines() {
		for a := l.running.first; a != nil; a = a.after {
			all = append(all, a)
		}
	}
	for a := range p.left {
		all = append(all, a)
	}
	return all
}

// vacate notes that a closed pool waits for nothing; the lock is held.
func (p *Pool) vacate() {
	if p.closed && p.workers == len(p.left) && p.telling == 0 {
		select {
		case <-p.empty:
		default:
			close(p.empty)
		}
	}
}

// allLines are the lines, sorted by name; the lock is held.
func (p *Pool) allLines() (lines []*line) {
	for _, l := range p.lines {
		lines = append(lines, l)
	}
	slices.SortFunc(lines, func(a, b *line) int { return strings.Compare(a.stats.Name, b.stats.Name) })
	return append(lines, p.others)
}

// Stats counts attempts.
type Stats struct {
	Running, Queued, LeftBehind int
	Activities                  []ActivityStats // sorted by name; the last, without one, is of all that are not served
}

// ActivityStats counts the attempts of one activity.
type ActivityStats struct {
	Name                        string
	Running, Queued, LeftBehind int
	// How attempts have ended.
	Succeeded, Failed, TimedOut, NotServed, Interrupted uint64
	Retried                                             uint64 // attempts that were not the first
}

// Stats says how attempts stand.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Stats{Running: p.running, LeftBehind: len(p.left)}
	for _, l := range p.allLines() {
		l.stats.Queued, l.stats.Running = l.waiting.length, l.running.length
		s.Queued += l.stats.Queued
		s.Activities = append(s.Activities, l.stats)
	}
	return s
}

package world

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/ingress"
	"github.com/holdfast-io/holdfast/internal/marks"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/partition"
	"github.com/holdfast-io/holdfast/internal/recovery"
)

// process is a node that runs: what a live one does with goroutines, it does
// with events.
type process struct {
	world  *World
	number int // of this start
	recovered
	committer  *partition.Committer
	loops      []*partition.Loop
	boxes      []box // by loop
	ingress    *ingress.Ingress
	saver      *recovery.Saver
	jobs       []job
	saving     bool // a job is being done
	writing    bool // a frame is being written
	looking    time.Duration
	paused     time.Duration // it stands still until then
	told       msg.Position  // loops know that the log is durable up to it
	executors  executors
	activities activities
	failed     bool   // the log has failed
	flushing   int    // loops that have not taken their last checkpoints
	stopped    string // what has been parked last, and why
}

// box is what a loop has been told and has not taken.
type box struct {
	inputs []partition.Input
	awake  bool          // a turn is planned at once
	wake   time.Duration // the next turn that is planned for a time; 0: none
}

// job is something for the saver.
type job struct {
	loop      int
	slice     *partition.Slice
	published *host.Checkpoint
}

// What the world tells loops of its own accord.
var (
	inputCheckpoint = partition.Input{Kind: partition.InputCheckpoint}
	inputFlush      = partition.Input{Kind: partition.InputFlush}
	inputNudge      = partition.Input{Kind: partition.InputNudge}
)

// buffer is the open buffer as loops see it: the world watches what they append.
type buffer struct{ *process }

func (b buffer) Reserve(n int) bool                { return b.committer.Reserve(n) }
func (b buffer) Want(position msg.Position, n int) { b.committer.Want(position, n) }
func (b buffer) Frame() msg.FrameNumber            { return b.committer.Frame() }

func (b buffer) Append(now msg.Time, record []byte) msg.Position {
	position := b.committer.Append(now, record)
	b.world.watch.append(position, record)
	return position
}

// boot makes a process of what the storage holds. An error says why it ended
// again.
func (w *World) boot() (*process, error) {
	flipped := w.flip()
	found, err := w.recover(w.storage)
	if err != nil {
		return nil, err
	}
	p := &process{world: w, number: w.result.Starts, recovered: *found, boxes: make([]box, w.config.Loops)}
	p.committer = partition.NewCommitter(p.epoch, p.last, p.host.Capabilities().FrameBytesMax)
	w.watch.recovered(p.committer.Stats().Durable)
	w.compareTwins("was rebuilt", p.engines)
	if flipped != nil {
		flipped.start(found.last)
	}
	p.assemble()
	return p, p.takeUp()
}

// recovered is what a process finds when it starts.
type recovered struct {
	host    host.Host
	epoch   msg.Epoch
	last    host.Frame
	engines []partition.Recovered
}

// recover does what a node does, one partition after the other.
func (w *World) recover(s storage) (_ *recovered, err error) {
	found := &recovered{}
	if found.host, err = s.open(); err != nil {
		return nil, err
	}
	if found.epoch, found.last, err = found.host.Log().Acquire(ended{}); err != nil {
		return nil, fmt.Errorf("acquire the log: %w", err)
	}
	r, err := recovery.Begin(recovery.Config{Host: found.host, Description: w.program.Describe(), Limits: w.config.Limits})
	if err != nil {
		return nil, err
	}
	for n := range r.Partitions() {
		if err := r.Load(msg.Partition(n)); err != nil {
			return nil, err
		}
	}
	from, err := r.From(found.last.Number)
	if err != nil {
		return nil, err
	}
	if err := r.Read(from, r.Fold, func(*host.Frame) error { return nil }); err != nil {
		return nil, err
	}
	found.engines, err = r.Done()
	return found, err
}

// assemble makes the passive parts, as a node does.
func (p *process) assemble() {
	w := p.world
	details := rand.New(rand.NewPCG(w.config.Seed, 1<<33+uint64(p.number)))
	p.loops = partition.NewLoops(partition.Config{
		Buffer: buffer{p}, CheckpointBytes: 1 << 40, SliceBytes: 64 << details.IntN(11),
	}, w.config.Loops, p.engines)
	p.saver = recovery.NewSaver(p.host, w.config.Loops, p.tell, slog.New(slog.DiscardHandler))
	p.ingress = ingress.New(ingress.Config{
		Description: w.program.Describe(), Partitions: w.config.Partitions, Room: p.host.Log().Room,
		Command: p.command, Now: w.now, Nonce: details.Uint64(),
	})
}

// takeUp starts what recovery has found under way.
func (p *process) takeUp() error {
	w := p.world
	rules, err := p.engines[0].Engine.CheckKinds(w.program.Describe().Kinds)
	if err != nil {
		return fmt.Errorf("%w: %w", host.ErrIncompatible, err)
	}
	memory := p.host.Marks()
	interrupted := marks.Read(memory)
	first := make([]*partition.Output, len(p.loops))
	for i, l := range p.loops {
		first[i] = recovery.Start(l, w.now(), p.epoch, rules, interrupted)
	}
	if len(interrupted) > 0 {
		if err := p.writeDown(); err != nil {
			return err
		}
	}
	p.executors.init(p, marks.New(memory))
	p.activities.init(p)
	for i := range p.loops {
		p.carry(i, first[i])
		p.wake(i)
	}
	p.begin(0)
	return nil
}

// begin makes the requests with which the program begins, from the n-th on, and
// then admits others.
func (p *process) begin(n int) {
	if !p.ingress.AskFirst(n, begun{p, n}) {
		p.ingress.Open()
	}
}

// begun waits for the answer to the n-th request with which the program begins.
type begun struct {
	process *process
	n       int
}

var _ msg.Waiter = begun{}

// Answer implements msg.Waiter.
func (b begun) Answer(r msg.Reply) {
	switch p := b.process; {
	case r.Err == nil:
		p.begin(b.n + 1)
	default:
		p.fail(r.Err) // as a start fails, which ends the process
	}
}

// writeDown makes durable what recovery has noted, before any handler runs.
func (p *process) writeDown() error {
	p.committer.Want(p.committer.Stats().Appended, 1)
	for {
		work := p.committer.Next(p.world.now())
		if work.Frame == nil {
			return nil
		}
		if err := p.write(work.Frame, 0); err != nil {
			return fmt.Errorf("write down what was interrupted: %w", err)
		}
	}
}

func (p *process) owner(n msg.Partition) int { return int(n) % len(p.loops) }

// command brings a command to the loop of its partition.
func (p *process) command(n msg.Partition, c msg.Command) {
	p.tell(p.owner(n), partition.Input{Kind: partition.InputCommand, Partition: n, Command: c})
}

// wakeTime is how long a loop takes at most to notice something.
const wakeTime = 20 * time.Microsecond

// tell puts an input into the box of a loop.
func (p *process) tell(loop int, in partition.Input) {
	b := &p.boxes[loop]
	b.inputs = append(b.inputs, in)
	p.wake(loop)
}

func (p *process) tellAll(in partition.Input) {
	for i := range p.boxes {
		p.tell(i, in)
	}
}

// look makes every part look at the clock again.
func (p *process) look() {
	p.tellAll(inputNudge)
	p.commitSoon()
}

// wake plans a turn of a loop.
func (p *process) wake(loop int) {
	if b := &p.boxes[loop]; !b.awake {
		b.awake = true
		p.world.after(p.world.brief(wakeTime), p, func() { p.turn(loop) })
	}
}

// turn lets a loop take what it was told and do something.
func (p *process) turn(i int) {
	b, l := &p.boxes[i], p.loops[i]
	b.awake = false
	for n := range b.inputs {
		l.Push(b.inputs[n])
	}
	clear(b.inputs)
	b.inputs = b.inputs[:0]
	ready, wait := l.Ready(p.world.now())
	if ready {
		p.carry(i, l.Turn(p.world.now(), 1<<p.world.random.IntN(9)))
		ready, wait = l.Ready(p.world.now())
	}
	switch {
	case ready:
		p.wake(i)
	case wait > 0:
		p.wakeAt(i, p.world.clock+wait)
	}
}

// wakeAt plans a turn for a time, unless there is one before.
func (p *process) wakeAt(loop int, at time.Duration) {
	b := &p.boxes[loop]
	if b.wake > p.world.clock && b.wake <= at {
		return
	}
	b.wake = at
	p.world.after(at-p.world.clock, p, func() {
		if b.wake == at {
			b.wake = 0
		}
		p.wake(loop)
	})
}

// report notes what has stopped.
func (p *process) report(reports []msg.Reply) {
	for n := range reports {
		for _, parked := range reports[n].Parked {
			p.world.trace.line(p.world.clock, "%s is parked: %s", parked.Target, parked.Reason)
			p.stopped = fmt.Sprintf("; %s is parked: %s", parked.Target, parked.Reason)
		}
		for _, letter := range reports[n].DeadLetters {
			p.world.trace.line(p.world.clock, "%s %s was given up: %s", letter.Message.Target, letter.Message.Handler, letter.Reason)
		}
	}
}

// carry carries out what a turn asks for: what the live driver does, and the
// node behind it.
func (p *process) carry(i int, out *partition.Output) {
	if out.Appended {
		p.commitSoon()
	}
	p.report(out.Reports)
	for n := range out.Routed {
		r := &out.Routed[n]
		p.world.watch.routed(r)
		p.tell(p.owner(r.Partition), partition.Input{
			Kind: partition.InputCommand, Partition: r.Partition, Command: r.Command, Cause: r.Cause})
	}
	for _, t := range out.Turns {
		p.world.watch.turn(&t)
		p.executors.submit(t)
	}
	for _, t := range out.Tasks {
		p.world.watch.task(&t)
		p.activities.perform(t)
	}
	for _, t := range out.Interrupts {
		p.activities.interrupt(t)
	}
	for n := range out.Slices {
		slice := out.Slices[n]
		p.jobs = append(p.jobs, job{loop: i, slice: &slice})
	}
	for n := range out.Published {
		c := out.Published[n]
		p.world.watch.complete(&c)
		p.jobs = append(p.jobs, job{loop: i, published: &c})
	}
	if out.Flushed && p.flushing > 0 {
		p.flushing--
	}
	p.saveSoon()
	p.saver.Report(i, p.loops[i])
	for _, a := range out.Answers {
		a.Waiter.Answer(a.Reply)
	}
}

// commitSoon plans a look of the committer.
func (p *process) commitSoon() {
	if p.looking <= p.world.clock || p.looking > p.world.clock+wakeTime {
		p.commitIn(p.world.brief(wakeTime))
	}
}

func (p *process) commitIn(d time.Duration) {
	at := p.world.clock + d
	p.looking = at
	p.world.after(d, p, func() {
		if p.looking == at {
			p.looking = 0
			p.commit()
		}
	})
}

// commit does what the committer wants done.
func (p *process) commit() {
	if p.writing || p.failed {
		return
	}
	switch work := p.committer.Next(p.world.now()); {
	case work.Frame != nil:
		p.writing = true
		took := p.world.writeTime()
		p.world.after(took, p, func() { p.written(work.Frame, took) })
	case work.Seal:
		p.committer.Sealed()
		if err := p.host.Log().Seal(); err != nil {
			p.fail(err)
		}
	case work.Wait > 0:
		p.commitIn(work.Wait)
	}
}

// writeTime is how long a frame takes to be durable.
func (w *World) writeTime() time.Duration {
	if w.faults.happen(FaultFullDisk) {
		w.trace.line(w.clock, "fault: the disk is full")
		w.storage.fill()
	}
	took := 50*time.Microsecond + w.brief(100*time.Microsecond)
	if w.faults.happen(FaultSlowDisk) {
		took *= 100
	}
	if w.faults.happen(FaultStalledDisk) {
		took += time.Duration(w.faults.details().Int64N(int64(10 * time.Second)))
		w.trace.line(w.clock, "fault: the disk stalls for %v", took)
	}
	return took
}

// written ends the writing of a frame. It is written now: a process that died
// since it was handed out has not, or not all of it.
func (p *process) written(f *host.Frame, took time.Duration) {
	p.writing = false
	if err := p.write(f, took); err != nil {
		p.fail(err)
		return
	}
	p.commit()
}

// write makes a frame durable and says so.
func (p *process) write(f *host.Frame, took time.Duration) error {
	if s, memory := p.world.storage.(*memoryStorage); memory {
		s.failAppend()
	}
	if err := p.host.Log().Append(f); err != nil {
		return err
	}
	p.durable(f)
	p.committer.Written(p.world.now(), took, f.Hash())
	return nil
}

func (p *process) durable(f *host.Frame) {
	position := f.First + msg.Position(f.Count) - 1
	p.told = position
	p.tellAll(partition.Input{Kind: partition.InputDurable, Position: position})
	if !p.world.storage.doomed() {
		p.world.watch.durable(position)
	}
}

// fail ends the work of a process that cannot go on, as when its log has failed. It
// goes by itself, soon.
func (p *process) fail(err error) {
	if p.failed {
		return
	}
	p.failed = true
	p.world.trace.line(p.world.clock, "it has failed: %v", err)
	p.tellAll(partition.Input{Kind: partition.InputPoisoned, Err: err})
	p.ingress.Fail(err)
	p.world.after(p.world.brief(10*time.Millisecond), p, func() { p.world.crash(FaultCrash) })
}

// saveSoon plans the next job of the saver.
func (p *process) saveSoon() {
	if p.saving || len(p.jobs) == 0 {
		return
	}
	p.saving = true
	p.world.after(p.world.brief(time.Millisecond), p, p.save)
}

// save does the oldest job of the saver.
func (p *process) save() {
	p.saving = false
	j := p.jobs[0]
	p.jobs = p.jobs[1:]
	if j.slice != nil {
		p.saver.Write(j.loop, *j.slice)
	} else {
		p.saver.Publish(j.loop, *j.published)
		p.world.result.Published++
		p.world.trace.line(p.world.clock, "checkpoint of partition %d from %d to %d", j.published.Partition, j.published.Start, j.published.End)
	}
	p.saveSoon()
}

// idle says that nothing runs, nothing is due, and all is durable.
func (p *process) idle() bool {
	if p.failed || p.writing || p.saving || len(p.jobs) > 0 || !p.executors.idle() || p.activities.running > 0 || !p.committer.Empty() {
		return false
	}
	for i, l := range p.loops {
		if len(p.boxes[i].inputs) > 0 || p.boxes[i].awake || !l.Idle(p.world.now()) {
			return false
		}
	}
	return true
}

package partition

import (
	"slices"
	"time"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/engine"
	"github.com/holdfast-io/holdfast/internal/invariant"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// Buffer is what loops share: the open buffer of their log group. It is a
// Committer, with a lock around it where loops run on goroutines of their own.
type Buffer interface {
	Reserve(n int) bool
	Append(now msg.Time, record []byte) msg.Position
	Want(position msg.Position, n int)
	Frame() msg.FrameNumber
}

// Config is what a loop is made from.
type Config struct {
	Buffer          Buffer
	Partitions      []*engine.Partition // those it owns, recovered; see Member
	CheckpointBytes int64               // bytes of log after which every partition has been checkpointed once
	SliceBytes      int                 // of a checkpoint that are taken between commands; default 64 KiB
}

// InputKind says what an input is.
type InputKind uint8

// The input kinds.
const (
	InputCommand    InputKind = iota // Partition, Command
	InputDurable                     // Position
	InputPoisoned                    // Err
	InputSaved                       // Saved: slices were written
	InputPublished                   // Partition, Err
	InputFlush                       // checkpoint everything, then say Flushed
	InputCheckpoint                  // begin a checkpoint, however little the log has grown
	InputNudge                       // look again
)

// Input is what a loop is told.
type Input struct {
	Kind      InputKind
	Partition msg.Partition
	Command   msg.Command
	Cause     msg.Position // InputCommand: whatever it makes must come after it in the log
	Position  msg.Position
	Saved     Slice
	Err       error
}

// Turn is a run that a program is asked for.
type Turn struct {
	Partition msg.Partition
	Turn      *msg.Turn
}

// Routed is a command for a partition of another loop.
type Routed struct {
	Partition msg.Partition
	Command   msg.Command
	Cause     msg.Position // of the newest record of the loop that it is from
}

// Answer is a reply that may leave.
type Answer struct {
	Waiter msg.Waiter
	Reply  msg.Reply
}

// Task is an attempt of an activity that a program is asked for, or need not
// make any more.
type Task struct {
	Partition msg.Partition
	Run       *msg.TaskRun
}

// Output is what a turn of a loop gave. It is reused by the next turn.
type Output struct {
	Turns      []Turn
	Routed     []Routed
	Answers    []Answer
	Reports    []msg.Reply // of what has stopped, for operators
	Tasks      []Task      // to be begun: what asks for them is durable
	Interrupts []Task      // to be given up, once Tasks were begun; they may have ended
	Slices     []Slice
	Published  []host.Checkpoint // complete, and durable at their ends
	Appended   bool              // records were appended, or are waited for
	Flushed    bool              // InputFlush is done
}

func (o *Output) reset() {
	clear(o.Turns)
	clear(o.Routed)
	clear(o.Answers)
	clear(o.Reports)
	clear(o.Tasks)
	clear(o.Interrupts)
	clear(o.Slices)
	*o = Output{
		Turns: o.Turns[:0], Routed: o.Routed[:0], Answers: o.Answers[:0], Reports: o.Reports[:0],
		Tasks: o.Tasks[:0], Interrupts: o.Interrupts[:0], Slices: o.Slices[:0], Published: o.Published[:0],
	}
}

// member is a partition of a loop.
type member struct {
	id      msg.Partition
	engine  *engine.Partition
	durable msg.Index // the log is durable up to it
	due     msg.Time
	saved   host.Checkpoint // the current checkpoint; zero Frame: none
	saving  *saving
}

// Loop steps the partitions it owns. It is not safe for concurrent use.
type Loop struct {
	config   Config
	members  []*member // by partition; nil: another loop's
	owned    []*member
	control  queue[Input]    // all but commands; never held up
	inputs   queue[Input]    // commands; they wait while the buffer is full
	pending  queue[appended] // records that are not durable, by position
	held     queue[held]     // answers that wait for a position, by position
	asked    queue[asked]    // activities that wait for a position, by position
	position msg.Position    // of the last record that this loop appended
	durable  msg.Position
	soonest  msg.Time // no partition is due before; 0: none is
	step     engine.Output
	scratch  []byte
	out      Output
	input    Input // the command being taken
	poisoned error
	saver    saver
	stats    Stats
}

// Stats counts what a loop has done and holds.
type Stats struct {
	Steps, Records, RecordBytes uint64
	Held, Pending, Inputs       int
	HeldTasks                   int
	Checkpoints                 uint64
	CheckpointFailures          uint64
	LargestSlice                int64 // bytes of a checkpoint that were taken at once
}

// Add sums the numbers of two loops.
func (s Stats) Add(o Stats) Stats {
	s.Steps += o.Steps
	s.Records += o.Records
	s.RecordBytes += o.RecordBytes
	s.Held += o.Held
	s.HeldTasks += o.HeldTasks
	s.Pending += o.Pending
	s.Inputs += o.Inputs
	s.Checkpoints += o.Checkpoints
	s.CheckpointFailures += o.CheckpointFailures
	s.LargestSlice = max(s.LargestSlice, o.LargestSlice)
	return s
}

type appended struct {
	position msg.Position
	member   *member
	index    msg.Index
}

type held struct {
	position msg.Position
	answer   Answer
}

// asked is an activity that waits for a position; without a run, it is not
// needed any more.
type asked struct {
	position msg.Position
	task     Task
}

// Recovered is a partition with what recovery knows about it.
type Recovered struct {
	ID         msg.Partition
	Engine     *engine.Partition
	Checkpoint host.Checkpoint // current; zero if there is none
}

// New makes a loop that owns partitions, out of all that there are. Their
// durable state is complete; Recover starts them.
func New(config Config, total int, owned []Recovered) *Loop {
	if config.SliceBytes == 0 {
		config.SliceBytes = sliceBytes
	}
	l := &Loop{config: config, members: make([]*member, total), saver: saver{slice: config.SliceBytes}}
	for _, r := range owned {
		m := &member{id: r.ID, engine: r.Engine, durable: r.Engine.Index(), saved: r.Checkpoint}
		l.members[r.ID] = m
		l.owned = append(l.owned, m)
	}
	return l
}

// NewLoops makes loops that share all partitions there are, and the log that
// their checkpoints make room in.
func NewLoops(config Config, count int, all []Recovered) []*Loop {
	config.CheckpointBytes /= int64(count)
	loops := make([]*Loop, count)
	for i := range loops {
		var owned []Recovered
		for p := i; p < len(all); p += count {
			owned = append(owned, all[p])
		}
		loops[i] = New(config, len(all), owned)
	}
	return loops
}

// Owns says whether a partition belongs to the loop.
func (l *Loop) Owns(p msg.Partition) bool { return l.members[p] != nil }

// Recover takes up what was in progress. Interrupted is by partition.
func (l *Loop) Recover(now msg.Time, epoch msg.Epoch, interrupted map[msg.Partition][]msg.Fingerprint) *Output {
	l.out.reset()
	for _, m := range l.owned {
		l.step.Reset()
		m.engine.Recover(now, epoch, interrupted[m.id], &l.step)
		l.carry(m, now, 0)
		l.schedule(m)
	}
	return &l.out
}

// AddKinds puts rules into the kind table of a partition.
func (l *Loop) AddKinds(p msg.Partition, now msg.Time, rules []msg.KindRule) *Output {
	l.out.reset()
	l.step.Reset()
	l.members[p].engine.AddKinds(now, rules, &l.step)
	l.carry(l.members[p], now, 0)
	return &l.out
}

// Push adds an input. It takes effect in a turn.
func (l *Loop) Push(in Input) {
	if in.Kind == InputCommand {
		l.inputs.push(in)
		return
	}
	l.control.push(in)
}

// stepRoom is what a step may append at most: a record of the largest turn,
// and the small ones that come with it.
const stepRoom = 9 << 20

// Ready says whether a turn would do anything now. If not, and nothing is
// pushed, it may do so after the wait; 0 is never.
func (l *Loop) Ready(now msg.Time) (ready bool, wait time.Duration) {
	if l.control.len() > 0 || l.poisoned == nil && l.saver.wants() {
		return true, 0
	}
	due := l.Due()
	if l.inputs.len() == 0 && (due == 0 || due > now) {
		return false, time.Duration(max(due-now, 0))
	}
	// If there is no room, the frame that makes some is an input when it is
	// durable.
	return l.poisoned != nil || l.config.Buffer.Reserve(stepRoom), 0
}

// Turn takes up to budget inputs and does what is due. The output is valid
// until the next turn.
func (l *Loop) Turn(now msg.Time, budget int) *Output {
	l.out.reset()
	for l.control.len() > 0 {
		in := l.control.pop()
		controls[in.Kind](l, &in, now)
	}
	for ; budget > 0 && l.inputs.len() > 0 && (l.poisoned != nil || l.config.Buffer.Reserve(stepRoom)); budget-- {
		l.input = l.inputs.pop() // not on the stack: it would escape, and be allocated
		l.takeCommand(&l.input, now)
	}
	l.tick(now)
	if l.poisoned == nil {
		l.checkpoint()
	}
	return &l.out
}

// controls holds a method for each kind of input but commands.
var controls = [...]func(*Loop, *Input, msg.Time){
	InputDurable:    (*Loop).takeDurable,
	InputPoisoned:   (*Loop).takePoisoned,
	InputSaved:      (*Loop).takeSaved,
	InputPublished:  (*Loop).takePublished,
	InputFlush:      func(l *Loop, _ *Input, _ msg.Time) { l.saver.flushing = true },
	InputCheckpoint: func(l *Loop, _ *Input, _ msg.Time) { l.saver.asked = true },
	InputNudge:      func(*Loop, *Input, msg.Time) {},
}

func (l *Loop) takeCommand(in *Input, now msg.Time) {
	m := l.members[in.Partition]
	invariant.Check(m != nil, "command for partition %d, which another loop owns", in.Partition)
	if l.poisoned != nil {
		l.refuse(&in.Command)
		return
	}
	in.Command.Now = now
	l.step.Reset()
	m.engine.Step(&in.Command, &l.step)
	l.stats.Steps++
	l.carry(m, now, in.Cause)
	l.schedule(m)
}

// schedule notes when a partition is due.
func (l *Loop) schedule(m *member) {
	m.due = m.engine.NextDue()
	if m.due > 0 && (l.soonest == 0 || m.due < l.soonest) {
		l.soonest = m.due
	}
}

// refuse answers what came after the log was poisoned.
func (l *Loop) refuse(c *msg.Command) {
	if c.Waiter != nil && c.Kind == msg.CommandRequest {
		l.out.Answers = append(l.out.Answers, Answer{c.Waiter, msg.Reply{Err: poisonedError(l.poisoned)}})
	}
}

func poisonedError(cause error) *msg.Error {
	return msg.Errorf(msg.CodeUnavailable, msg.ClassUnavailable,
		"the node's log has failed: %v; whether the request was done is not known", cause)
}

// carry appends what a step decided and then lets its effects go. The cause is
// the position that everything comes after.
func (l *Loop) carry(m *member, now msg.Time, cause msg.Position) {
	if invariant.Mutated(invariant.DeliverBeforeAppend) {
		l.letGo(m)
		l.step.Effects = l.step.Effects[:0]
	}
	l.append(m, now, cause)
	l.letGo(m)
}

// append puts what a step decided into the open buffer.
func (l *Loop) append(m *member, now msg.Time, cause msg.Position) {
	for _, r := range l.step.Records {
		l.scratch = msg.AppendRecord(l.scratch[:0], r)
		l.position = l.config.Buffer.Append(now, l.scratch)
		if l.position <= cause { // the arguments are made only if they are printed
			invariant.Check(false, "the record at %d comes of the one at %d", l.position, cause)
		}
		l.pending.push(appended{l.position, m, r.Index})
		l.out.Appended = true
		l.stats.Records++
		l.stats.RecordBytes += uint64(len(l.scratch))
		l.saver.grown += int64(len(l.scratch))
	}
}

// letGo lets the effects of a step go.
func (l *Loop) letGo(m *member) {
	waiting := 0
	for i := range l.step.Effects {
		waiting += l.effect(m, &l.step.Effects[i])
	}
	if waiting > 0 {
		l.config.Buffer.Want(l.position, waiting)
		l.out.Appended = true
	}
}

// effect lets an effect go and counts the answers and activities that have to
// wait.
func (l *Loop) effect(m *member, e *msg.Effect) int {
	switch e.Kind {
	case msg.EffectRun:
		e.Turn.Direct = e.Turn.Direct && (e.Turn.Seen <= m.durable || invariant.Mutated(invariant.ReleaseEarly))
		l.out.Turns = append(l.out.Turns, Turn{m.id, e.Turn})
	case msg.EffectDeliver:
		l.route(e.Message.ID.Destination, msg.Command{Kind: msg.CommandDeliver, Message: e.Message})
	case msg.EffectAck:
		l.route(e.Ack.Source, msg.Command{Kind: msg.CommandAck, Ack: e.Ack})
	case msg.EffectReply:
		return l.release(m, e)
	case msg.EffectReport:
		l.out.Reports = append(l.out.Reports, e.Reply)
	case msg.EffectPerform:
		return l.perform(m, e)
	case msg.EffectInterrupt:
		l.interrupt(m, e)
	}
	return 0
}

func (l *Loop) route(p msg.Partition, c msg.Command) {
	if l.members[p] != nil {
		l.inputs.push(Input{Kind: InputCommand, Partition: p, Command: c, Cause: l.position})
		return
	}
	l.out.Routed = append(l.out.Routed, Routed{p, c, l.position})
}

// release lets a reply go if all that it has seen is durable. Otherwise it
// waits for the last record of this loop, which is not before the one it has
// seen and travels in the same frame or the next.
func (l *Loop) release(m *member, e *msg.Effect) int {
	answer := Answer{e.Waiter, e.Reply}
	if e.Index <= m.durable || invariant.Mutated(invariant.ReleaseEarly) {
		l.out.Answers = append(l.out.Answers, answer)
		return 0
	}
	l.held.push(held{l.position, answer})
	return 1
}

// perform lets an activity begin if what asks for it is durable. Otherwise it
// waits as a reply does: what it does to the world cannot be taken back.
func (l *Loop) perform(m *member, e *msg.Effect) int {
	task := Task{m.id, e.Task}
	if e.Index <= m.durable || invariant.Mutated(invariant.PerformEarly) {
		l.out.Tasks = append(l.out.Tasks, task)
		return 0
	}
	l.asked.push(asked{l.position, task})
	return 1
}

// interrupt gives an activity up: one that waits here never leaves.
func (l *Loop) interrupt(m *member, e *msg.Effect) {
	task := Task{m.id, e.Task}
	l.out.Interrupts = append(l.out.Interrupts, task)
	waiting := l.asked.waiting()
	for i := range waiting {
		if waiting[i].task.same(task) {
			waiting[i].task.Run = nil
		}
	}
}

// same says that two tasks are attempts of one activity.
func (t Task) same(o Task) bool {
	return t.Run != nil && t.Run.Task.Name() == o.Run.Task.Name() && t.Run.Target == o.Run.Target
}

func (l *Loop) takeDurable(in *Input, _ msg.Time) {
	invariant.Check(in.Position >= l.durable, "durable position %d after %d", in.Position, l.durable)
	l.durable = in.Position
	for l.pending.len() > 0 && l.pending.first().position <= l.durable {
		p := l.pending.pop()
		p.member.durable = p.index
	}
	for l.held.len() > 0 && l.held.first().position <= l.durable {
		l.out.Answers = append(l.out.Answers, l.held.pop().answer)
	}
	for l.asked.len() > 0 && l.asked.first().position <= l.durable {
		if task := l.asked.pop().task; task.Run != nil {
			l.out.Tasks = append(l.out.Tasks, task)
		}
	}
}

func (l *Loop) takePoisoned(in *Input, _ msg.Time) {
	l.poisoned = in.Err
	l.asked = queue[asked]{} // nobody knows whether what asks for them is durable
	for l.held.len() > 0 {
		h := l.held.pop()
		l.out.Answers = append(l.out.Answers, Answer{h.answer.Waiter, msg.Reply{Err: poisonedError(in.Err)}})
	}
}

// tick lets partitions do what is due. A partition that has more to do is due
// again at once.
func (l *Loop) tick(now msg.Time) {
	if due := l.Due(); due == 0 || due > now {
		return
	}
	l.soonest = 0
	for _, m := range l.owned {
		if m.due > 0 && m.due <= now && l.config.Buffer.Reserve(stepRoom) {
			l.step.Reset()
			m.engine.Step(&msg.Command{Kind: msg.CommandTick, Now: now}, &l.step)
			l.carry(m, now, 0)
			m.due = m.engine.NextDue()
		}
		if m.due > 0 && (l.soonest == 0 || m.due < l.soonest) {
			l.soonest = m.due
		}
	}
}

// Due is when the loop wants a turn, or a little before; 0 for never.
func (l *Loop) Due() msg.Time {
	if l.poisoned != nil {
		return 0
	}
	return l.soonest
}

// Idle says that no handler runs, nothing is due and all is durable. What waits
// for a time that has not come, or for an operator, may still be queued, and
// activities may run: who has begun them knows.
func (l *Loop) Idle(now msg.Time) bool {
	due := l.Due()
	return l.control.len() == 0 && l.inputs.len() == 0 && l.pending.len() == 0 && l.held.len() == 0 && l.asked.len() == 0 &&
		(due == 0 || due > now) &&
		!slices.ContainsFunc(l.owned, func(m *member) bool { return m.engine.Stats().Running > 0 })
}

// Stats says how much the loop holds and has done.
func (l *Loop) Stats() Stats {
	s := l.stats
	s.Held, s.Pending, s.Inputs = l.held.len(), l.pending.len(), l.inputs.len()
	s.HeldTasks = l.asked.len()
	return s
}

// PartitionStats sums what the loop's partitions hold and have done.
func (l *Loop) PartitionStats() (sum engine.Stats) {
	for _, m := range l.owned {
		sum = sum.Add(m.engine.Stats())
	}
	return sum
}

// queue is a first-in, first-out queue that reuses its memory.
type queue[T any] struct {
	items []T
	head  int
}

func (q *queue[T]) len() int  { return len(q.items) - q.head }
func (q *queue[T]) first() *T { return &q.items[q.head] }
func (q *queue[T]) push(v T)  { q.items = append(q.items, v) }

// waiting are the items, in order, until the queue is changed.
func (q *queue[T]) waiting() []T { return q.items[q.head:] }

func (q *queue[T]) pop() T {
	var zero T
	v := q.items[q.head]
	q.items[q.head] = zero
	q.head++
	switch {
	case q.head == len(q.items):
		q.items, q.head = q.items[:0], 0
	case q.head >= 1024 && q.head*2 >= len(q.items):
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	return v
}

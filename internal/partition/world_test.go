package partition

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/host/memory"
	"github.com/holdfast-io/holdfast/internal/engine"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// world runs loops, a committer and their engines in one goroutine on a host in
// memory: everything that goroutines would do happens in an order that a seed
// decides. Clients write entries into ledgers, each of which sends a count to a
// sink; they repeat what was not answered. The world crashes at any time.
//
// Activities are asked for and given up in between, by nobody: the world puts
// the effects into the loops.
//
// It checks the order rule, the release rule and the rule of checkpoints while
// it goes, and at the end that every entry that was answered is in its ledger
// and was counted in its sink, once.
type world struct {
	random     *rand.Rand
	loops      []*Loop
	boxes      [][]Input // by loop: what is on its way to it
	committer  *Committer
	store      *memory.Store
	host       *memory.Host
	epoch      msg.Epoch
	now        msg.Time
	full       bool // the buffer has no room
	partitions int

	flying  *host.Frame
	turns   []Turn
	jobs    []worldJob
	writers map[msg.Partition]host.SnapshotWriter
	needs   []worldNeeds // by loop: what it said last
	flushed int

	clients   []*worldClient
	requests  uint64
	sent      map[msg.MessageID]msg.Position
	consumed  map[msg.MessageID]msg.Position
	positions []map[msg.Index]msg.Position // by partition
	stored    msg.Position                 // up to which the log is durable
	began     msg.Position                 // up to where it was read at the start
	told      []msg.Position               // by loop
	seen      map[string]int               // by ledger: entries that somebody was shown
	tasks     map[msg.StepNumber]*worldTask
	asked     msg.StepNumber
	trace     hash.Hash64

	planted plant
	late    []byte // plantLateAppend: the record before

	crashes, checkpoints, trims, failedSlices, routed, answers, begun, given int
}

// worldTask is an activity that was asked for and has not left its loop.
type worldTask struct {
	position msg.Position // of the record that asks
	given    bool         // up
	loop     int
}

// plant is a bug that shows that worlds find it.
type plant int

const (
	plantNothing      plant = iota
	plantEarlyDurable       // loops hear that a frame is durable when it is handed out
	plantTrim               // one frame too many is trimmed
	plantLateAppend         // a record is written behind the next one
	plantWrongStart         // a checkpoint says it begins later than it does
	plantLostRouted         // a command between loops is lost
	plantLostDurable        // loops do not hear that a frame is durable
	plantEarlyTask          // an activity leaves before it is durable that it was asked for
	plantLostTask           // an activity does not say that it was asked for
	plantCount
)

// worldJob is a slice or a checkpoint on its way to the host.
type worldJob struct {
	loop    int
	slice   *Slice
	publish *host.Checkpoint
}

type worldNeeds struct {
	oldest    msg.FrameNumber
	unchanged []host.Checkpoint
}

// worldClient makes one request at a time, and the same again until it has an
// answer.
type worldClient struct {
	id       int
	number   uint64
	request  msg.Request
	waiter   *worldWaiter
	acked    []string // entries, as "ledger entry"
	possible string   // the entry that may be there or not
	floor    int      // entries that somebody had been shown when it asked
}

type worldWaiter struct {
	client *worldClient
	done   bool
}

func (w *worldWaiter) Answer(msg.Reply) { panic("only the world answers") }

var worldKinds = []msg.Kind{
	{Name: "ledger", Handlers: []msg.Handler{{Name: "append", Mode: msg.ModeUpdate}, {Name: "read", Mode: msg.ModeRead}}},
	{Name: "sink", Handlers: []msg.Handler{{Name: "count", Mode: msg.ModeUpdate}}},
}

type worldEntry struct{ Entry, Sink string }

// worldFailure stops a world.
type worldFailure string

func (w *world) fail(format string, args ...any) { panic(worldFailure(fmt.Sprintf(format, args...))) }

func newWorld(seed uint64, partitions, loops int) *world {
	w := &world{
		random: rand.New(rand.NewPCG(seed, 7)), now: noon, partitions: partitions, seen: map[string]int{}, trace: fnv.New64a(),
		tasks: map[msg.StepNumber]*worldTask{},
		store: memory.New(memory.Config{Identity: host.Identity{Partitions: partitions}, FrameBytesMax: 600}),
		boxes: make([][]Input, loops), needs: make([]worldNeeds, loops), told: make([]msg.Position, loops),
		sent: map[msg.MessageID]msg.Position{}, consumed: map[msg.MessageID]msg.Position{},
		positions: make([]map[msg.Index]msg.Position, partitions),
	}
	for p := range w.positions {
		w.positions[p] = map[msg.Index]msg.Position{}
	}
	for n := range 4 {
		w.clients = append(w.clients, &worldClient{id: n})
	}
	w.start()
	return w
}

func (w *world) chance(percent int) bool { return w.random.IntN(100) < percent }

// worldBuffer is the open buffer, watched.
type worldBuffer struct{ w *world }

func (b worldBuffer) Reserve(n int) bool                { return !b.w.full && b.w.committer.Reserve(n) }
func (b worldBuffer) Want(position msg.Position, n int) { b.w.committer.Want(position, n) }
func (b worldBuffer) Frame() msg.FrameNumber            { return b.w.committer.Frame() }

// Append checks that a message is consumed after it was sent.
func (b worldBuffer) Append(now msg.Time, record []byte) msg.Position {
	if b.w.planted == plantLateAppend {
		record, b.w.late = b.w.late, bytes.Clone(record)
		if record == nil {
			return b.w.committer.Stats().Appended + 1
		}
	}
	position := b.w.committer.Append(now, record)
	r, err := msg.DecodeRecord(record)
	if err != nil {
		b.w.fail("record %d: %v", position, err)
	}
	for _, m := range r.Outbox {
		b.w.sent[m.ID] = position
	}
	for _, id := range r.Consumed {
		if cause, ok := b.w.sent[id]; !ok || cause > position {
			b.w.fail("order rule: message %v was consumed at %d and sent at %d (%v)", id, position, cause, ok)
		}
		b.w.consumed[id] = position
	}
	b.w.positions[r.Partition][r.Index] = position
	return position
}

// start recovers everything from the host and begins.
func (w *world) start() {
	var err error
	if w.host, err = w.store.Open(); err != nil {
		w.fail("%v", err)
	}
	epoch, last, err := w.host.Log().Acquire(context())
	if err != nil {
		w.fail("%v", err)
	}
	w.epoch, w.committer = epoch, NewCommitter(epoch, last, w.host.Capabilities().FrameBytesMax)
	w.stored = w.committer.Stats().Durable
	w.began = w.stored
	w.writers = map[msg.Partition]host.SnapshotWriter{}
	recovered := w.recover()
	w.loops = nil
	for i := range w.boxes {
		w.boxes[i], w.needs[i], w.told[i] = nil, worldNeeds{}, w.stored
	}
	for i := range w.boxes {
		var owned []Recovered
		for p := i; p < w.partitions; p += len(w.boxes) {
			owned = append(owned, recovered[p])
		}
		l := New(Config{Buffer: worldBuffer{w}, CheckpointBytes: 1 << 40}, w.partitions, owned)
		l.saver.slice = 40
		w.loops = append(w.loops, l)
		w.take(i, l.Recover(w.now, epoch, nil))
	}
}

// recover does what a node does with a host.
func (w *world) recover() []Recovered {
	list := make([]Recovered, w.partitions)
	for p := range list {
		list[p] = Recovered{ID: msg.Partition(p), Engine: engine.New(engine.Config{
			Partition: msg.Partition(p), Partitions: w.partitions, Kinds: worldKinds})}
	}
	current, err := w.host.Snapshots().Current()
	if err != nil {
		w.fail("%v", err)
	}
	for _, c := range current {
		list[c.Partition].Checkpoint = c
		if oldest := w.host.Log().Oldest(); c.Frame < oldest {
			w.fail("partition %d needs the log from frame %d on, it begins at frame %d", c.Partition, c.Frame, oldest)
		}
		if next := w.committer.Frame(); c.Frame > next {
			w.fail("partition %d needs the log from frame %d on, it ends before frame %d", c.Partition, c.Frame, next)
		}
		for slice, err := range w.host.Snapshots().Slices(c) {
			if err == nil {
				err = list[c.Partition].Engine.Load(slice)
			}
			if err != nil {
				w.fail("%v", err)
			}
		}
	}
	var r Reader
	for f, err := range w.host.Log().Frames(0) {
		if err == nil {
			err = r.Read(&f, func(_ msg.Position, record []byte) error { return w.apply(list, record) })
		}
		if err != nil {
			w.fail("recovery: %v", err)
		}
	}
	for _, r := range list {
		if r.Engine.Index() < r.Checkpoint.End {
			w.fail("the checkpoint of partition %d has seen record %d, the log ends at %d", r.ID, r.Checkpoint.End, r.Engine.Index())
		}
	}
	return list
}

func (w *world) apply(list []Recovered, record []byte) error {
	r, err := msg.DecodeRecord(record)
	if err != nil {
		return err
	}
	if r.Index <= list[r.Partition].Checkpoint.Start {
		return nil
	}
	return list[r.Partition].Engine.Apply(r)
}

// crash ends the process. A frame that was being written is in the log or not.
func (w *world) crash() {
	w.crashes++
	if w.flying != nil && w.chance(50) {
		w.append()
	}
	w.flying, w.turns, w.jobs, w.full, w.flushed = nil, nil, nil, false, 0
	clear(w.tasks)
	w.store.Crash()
	for _, c := range w.clients {
		c.waiter = nil
	}
	w.forget()
	w.start()
}

// forget forgets what was watched of records that are lost.
func (w *world) forget() {
	lost := func(p msg.Position) bool { return p > w.stored }
	for id, p := range w.sent {
		if lost(p) {
			delete(w.sent, id)
		}
	}
	for id, p := range w.consumed {
		if lost(p) {
			delete(w.consumed, id)
		}
	}
	for _, list := range w.positions {
		for index, p := range list {
			if lost(p) {
				delete(list, index)
			}
		}
	}
}

// append makes the frame durable that is being written.
func (w *world) append() {
	if err := w.host.Log().Append(w.flying); err != nil {
		w.fail("%v", err)
	}
	w.stored = w.flying.First + msg.Position(w.flying.Count) - 1
}

// write goes on with the log.
func (w *world) write() {
	if w.flying == nil {
		if w.flying = w.committer.Next(w.now).Frame; w.flying != nil && w.planted == plantEarlyDurable {
			w.durable(w.flying.First + msg.Position(w.flying.Count) - 1)
		}
		return
	}
	w.append()
	w.committer.Written(w.now, time.Duration(w.random.IntN(1_000_000)), w.flying.Hash())
	w.flying = nil
	if w.planted != plantEarlyDurable && w.planted != plantLostDurable {
		w.durable(w.stored)
	}
}

func (w *world) durable(position msg.Position) {
	for i := range w.boxes {
		w.tell(i, Input{Kind: InputDurable, Position: position})
	}
}

func (w *world) tell(loop int, in Input) { w.boxes[loop] = append(w.boxes[loop], in) }

func (w *world) owner(p msg.Partition) int { return int(p) % len(w.boxes) }

// turn lets a loop take a few of its inputs and do something.
func (w *world) turn(i int) {
	l := w.loops[i]
	for n := w.random.IntN(4); n > 0 && len(w.boxes[i]) > 0; n-- {
		in := w.boxes[i][0]
		w.boxes[i] = w.boxes[i][1:]
		if in.Kind == InputDurable {
			w.told[i] = in.Position
		}
		l.Push(in)
	}
	if ready, _ := l.Ready(w.now); ready {
		w.take(i, l.Turn(w.now, 1+w.random.IntN(4)))
	}
	w.needs[i].oldest, w.needs[i].unchanged = l.Needs()
}

// take carries out what a turn asks for.
func (w *world) take(i int, o *Output) {
	fmt.Fprintln(w.trace, i, len(o.Turns), len(o.Routed), len(o.Answers), len(o.Tasks), len(o.Slices), len(o.Published), o.Appended, w.committer.Stats().Appended)
	for _, r := range o.Routed {
		w.routed++
		w.checkRouted(&r)
		if w.planted == plantLostRouted {
			continue
		}
		w.tell(w.owner(r.Partition), Input{Kind: InputCommand, Partition: r.Partition, Command: r.Command, Cause: r.Cause})
	}
	for _, t := range o.Turns {
		if id := t.Turn.Message.ID; id.Number > 0 && w.sent[id] == 0 {
			w.fail("order rule: %v runs and its sender has not written it", id)
		}
		if at := w.positions[t.Partition][t.Turn.Seen]; t.Turn.Direct && (at > w.told[i] || at > w.stored) {
			w.fail("release rule: a read may be answered that has seen a record at %d, the log is durable up to %d", at, w.stored)
		}
		w.turns = append(w.turns, t)
	}
	for _, s := range o.Slices {
		w.jobs = append(w.jobs, worldJob{loop: i, slice: &s})
	}
	for _, c := range o.Published {
		if at := w.positions[c.Partition][c.End]; at > w.stored {
			w.fail("a checkpoint of partition %d has seen record %d at %d, the log is durable up to %d", c.Partition, c.End, at, w.stored)
		}
		w.jobs = append(w.jobs, worldJob{loop: i, publish: &c})
	}
	for _, a := range o.Answers {
		w.answer(i, &a)
	}
	for _, t := range o.Tasks {
		w.begin(i, t.Run.Task.Step)
	}
	w.given += len(o.Interrupts)
	if o.Flushed {
		w.flushed++
	}
}

// ask lets a loop ask for an activity as of the newest record of one of its
// partitions, or give one up that may have left.
func (w *world) ask(i int) {
	l := w.loops[i]
	if len(l.owned) == 0 {
		return
	}
	m := l.owned[w.random.IntN(len(l.owned))]
	e := msg.Effect{Kind: msg.EffectInterrupt, Task: taskOf(msg.StepNumber(w.random.Uint64N(uint64(w.asked) + 1)))}
	if w.chance(80) {
		w.asked++
		e = msg.Effect{Kind: msg.EffectPerform, Index: m.engine.Index(), Task: taskOf(w.asked)}
		w.tasks[w.asked] = &worldTask{loop: i, position: w.positions[m.id][e.Index]}
		if w.planted == plantEarlyTask {
			e.Index = 0
		}
	} else if t := w.tasks[e.Task.Task.Step]; t != nil {
		if t.loop != i {
			return
		}
		t.given = true
	}
	l.out.reset()
	l.step.Reset()
	if w.planted != plantLostTask {
		l.step.Effects = append(l.step.Effects, e)
	}
	l.carry(m, w.now, 0)
	w.take(i, &l.out)
}

// begin checks the release rule for an activity that leaves its loop.
func (w *world) begin(loop int, step msg.StepNumber) {
	t := w.tasks[step]
	switch {
	case t == nil:
		w.fail("activity %d begins twice", step)
	case t.given:
		w.fail("activity %d begins, and was given up before", step)
	case t.position > w.told[loop] || t.position > w.stored:
		w.fail("release rule: activity %d begins, record %d asks for it, the log is durable up to %d", step, t.position, w.stored)
	}
	delete(w.tasks, step)
	w.begun++
}

func (w *world) checkRouted(r *Routed) {
	switch r.Command.Kind {
	case msg.CommandDeliver:
		if p := w.sent[r.Command.Message.ID]; p == 0 || p > max(r.Cause, w.began) {
			w.fail("order rule: %v leaves its loop at %d and was written at %d", r.Command.Message.ID, r.Cause, p)
		}
	case msg.CommandAck:
		if p := w.consumed[r.Command.Ack]; p == 0 || p > max(r.Cause, w.began) {
			w.fail("order rule: the acknowledgement of %v leaves its loop at %d and was written at %d", r.Command.Ack, r.Cause, p)
		}
	}
}

// answer checks the release rule where an answer says what it has seen.
func (w *world) answer(loop int, a *Answer) {
	waiter := a.Waiter.(*worldWaiter)
	c := waiter.client
	switch {
	case waiter.done:
		w.fail("client %d was answered twice", c.id)
	case c.waiter != waiter:
		return // of before a crash
	}
	waiter.done, c.waiter = true, nil
	w.answers++
	if a.Reply.Err != nil {
		return // it is asked again
	}
	switch c.request.Operation {
	case msg.OperationInspect:
		p := msg.PartitionOf(c.request.Target, "", w.partitions)
		if at := w.positions[p][a.Reply.Version]; at > w.told[loop] || at > w.stored {
			w.fail("release rule: an answer has seen record %d at %d, the log is durable up to %d", a.Reply.Version, at, w.stored)
		}
	case msg.OperationCall:
		if c.request.Handler == "append" {
			c.acked, c.possible = append(c.acked, c.possible), ""
			break
		}
		var entries []string
		_ = json.Unmarshal(a.Reply.Payload.Body, &entries)
		key := c.request.Target.Key
		if len(entries) < c.floor {
			w.fail("release rule: ledger %s had %d entries, now it has %d", key, c.floor, len(entries))
		}
		w.seen[key] = max(w.seen[key], len(entries))
	}
	c.request = msg.Request{}
}

// act lets a client ask for something, or ask again.
func (w *world) act(c *worldClient) {
	if c.waiter != nil {
		return
	}
	if c.request.Target.Kind == "" {
		c.request = w.newRequest(c)
	}
	w.requests++
	c.floor = w.seen[c.request.Target.Key]
	c.waiter = &worldWaiter{client: c}
	r := c.request
	p := msg.PartitionOf(r.Target, "", w.partitions)
	r.Invocation = msg.NewInvocationID(p, 1<<40, w.requests)
	w.tell(w.owner(p), Input{Kind: InputCommand, Partition: p, Command: msg.Command{Kind: msg.CommandRequest, Request: &r, Waiter: c.waiter}})
}

func (w *world) newRequest(c *worldClient) msg.Request {
	ledger := fmt.Sprint("ledger-", w.random.IntN(6))
	r := msg.Request{Target: msg.Ref{Kind: "ledger", Key: ledger}}
	switch {
	case w.chance(15):
		r.Operation = msg.OperationInspect
	case w.chance(15):
		r.Handler = "read"
	default:
		c.number++
		entry := fmt.Sprintf("%d:%d", c.id, c.number)
		c.possible = ledger + " " + entry
		r.Handler = "append"
		r.Payload.Body, _ = json.Marshal(worldEntry{entry, fmt.Sprint("sink-", w.random.IntN(6))})
		r.Identity.Session, r.Identity.SessionNumber = msg.SessionID{1, byte(c.id)}, c.number
	}
	return r
}

// execute runs a turn.
func (w *world) execute() {
	if len(w.turns) == 0 {
		return
	}
	n := w.random.IntN(len(w.turns))
	t := w.turns[n]
	w.turns = slices.Delete(w.turns, n, n+1)
	o := &msg.Outcome{Run: t.Turn.Run}
	var list []string
	if t.Turn.State.Exists {
		if err := json.Unmarshal(t.Turn.State.Root.Body, &list); err != nil {
			w.fail("%v", err)
		}
	}
	m := t.Turn.Message
	switch m.Handler {
	case "append":
		var e worldEntry
		if err := json.Unmarshal(m.Payload.Body, &e); err != nil {
			w.fail("%v", err)
		}
		list = append(list, e.Entry)
		o.Sends = []msg.Outgoing{{Target: msg.Ref{Kind: "sink", Key: e.Sink}, Handler: "count", Payload: msg.Payload{Body: []byte(e.Entry)}}}
	case "count":
		list = append(list, string(m.Payload.Body))
	}
	body, _ := json.Marshal(list)
	if o.Output.Body = body; t.Turn.Mode == msg.ModeUpdate {
		o.Root = &msg.Payload{Body: body}
	}
	if t.Turn.Direct {
		w.answer(w.owner(t.Partition), &Answer{t.Turn.Waiter, t.Turn.Answer(o)})
		return
	}
	w.tell(w.owner(t.Partition), Input{Kind: InputCommand, Partition: t.Partition, Command: t.Turn.Ended(o)})
}

var errDisk = errors.New("the disk says no")

// save does the oldest job of the saver.
func (w *world) save() {
	if len(w.jobs) == 0 {
		return
	}
	j := w.jobs[0]
	w.jobs = w.jobs[1:]
	if j.slice != nil {
		j.slice.Err = w.writeSlice(j.slice)
		w.tell(j.loop, Input{Kind: InputSaved, Saved: *j.slice})
		return
	}
	w.publish(j)
}

func (w *world) writeSlice(s *Slice) error {
	if s.First {
		writer, err := w.host.Snapshots().Create(s.Partition)
		if err != nil {
			w.fail("%v", err)
		}
		w.writers[s.Partition] = writer
	}
	writer := w.writers[s.Partition]
	if writer == nil || w.chance(2) {
		w.failedSlices++
		delete(w.writers, s.Partition)
		return errDisk
	}
	if err := writer.Write(s.Bytes); err != nil {
		w.fail("%v", err)
	}
	if s.Last {
		if err := writer.Sync(); err != nil {
			w.fail("%v", err)
		}
	}
	return nil
}

// publish makes a checkpoint current, with what loops have said of others, and
// trims the log.
func (w *world) publish(j worldJob) {
	if w.chance(10) {
		w.tell(j.loop, Input{Kind: InputPublished, Partition: j.publish.Partition, Err: errDisk})
		return
	}
	if w.planted == plantWrongStart {
		j.publish.Frame++
	}
	list := []host.Published{{Checkpoint: *j.publish, Writer: w.writers[j.publish.Partition]}}
	oldest := w.needs[0].oldest
	for i := range w.needs {
		oldest = min(oldest, w.needs[i].oldest)
		for _, c := range w.needs[i].unchanged {
			if c.Partition != j.publish.Partition {
				list = append(list, host.Published{Checkpoint: c})
			}
		}
	}
	if err := w.host.Snapshots().Publish(list); err != nil {
		w.fail("%v", err)
	}
	w.checkpoints++
	if w.planted == plantTrim {
		oldest++
	}
	if oldest > w.host.Log().Oldest() {
		w.trims++
	}
	if err := w.host.Log().Trim(oldest); err != nil {
		w.fail("%v", err)
	}
	w.tell(j.loop, Input{Kind: InputPublished, Partition: j.publish.Partition})
}

// step does one thing.
func (w *world) step(crashes int) {
	switch n := w.random.IntN(1000); {
	case n < crashes:
		w.crash()
	case n < 300:
		w.turn(w.random.IntN(len(w.loops)))
	case n < 500:
		w.act(w.clients[w.random.IntN(len(w.clients))])
	case n < 700:
		w.execute()
	case n < 800:
		w.write()
	case n < 900:
		w.save()
	case n < 960:
		w.now += msg.Time(w.random.Int64N(int64(4 * time.Millisecond)))
	case n < 962:
		w.ask(w.random.IntN(len(w.loops)))
	case n < 965:
		w.now += msg.Time(w.random.Int64N(int64(3 * time.Second)))
	case n < 970:
		w.full = !w.full
	case n < 990:
		w.loops[w.random.IntN(len(w.loops))].saver.grown += 1 << 40 // it is time for a checkpoint
	default:
		w.tell(w.random.IntN(len(w.loops)), Input{Kind: InputFlush})
	}
}

// quiet lets everything that was asked come to its end.
func (w *world) quiet() {
	w.full = false
	for n := 0; !w.atRest(); n++ {
		if n > 20_000 {
			w.fail("it does not come to rest")
		}
		for i := range w.loops {
			w.turn(i)
		}
		w.execute()
		w.write()
		w.save()
		for _, c := range w.clients {
			if c.request.Target.Kind != "" {
				w.act(c)
			}
		}
		w.now += msg.Time(5 * time.Millisecond)
	}
}

func (w *world) atRest() bool {
	for _, c := range w.clients {
		if c.request.Target.Kind != "" {
			return false
		}
	}
	for i, l := range w.loops {
		if len(w.boxes[i]) > 0 || !l.Idle(w.now) || l.saver.flushing || l.saver.current != nil {
			return false
		}
	}
	return w.committer.Empty() && len(w.turns) == 0 && len(w.jobs) == 0
}

// check compares what is there with what clients know.
func (w *world) check() {
	for step, t := range w.tasks {
		if !t.given {
			w.fail("activity %d was asked for and does not begin", step)
		}
	}
	entries, counted := map[string]int{}, map[string]int{}
	for key := range 6 {
		for _, e := range w.stateOf("ledger", fmt.Sprint("ledger-", key)) {
			entries[fmt.Sprintf("ledger-%d %s", key, e)]++
			counted[e]--
		}
		for _, e := range w.stateOf("sink", fmt.Sprint("sink-", key)) {
			counted[e]++
		}
	}
	for _, c := range w.clients {
		for _, e := range c.acked {
			if entries[e] != 1 {
				w.fail("entry %q was answered and is there %d times", e, entries[e])
			}
			delete(entries, e)
		}
	}
	for e, n := range entries {
		w.fail("entry %q is there %d times and was not answered", e, n)
	}
	for e, n := range counted {
		if n != 0 {
			w.fail("entry %q was counted %d times too often", e, n)
		}
	}
}

// stateOf asks an engine for a list.
func (w *world) stateOf(kind, key string) (list []string) {
	ref := msg.Ref{Kind: kind, Key: key}
	p := msg.PartitionOf(ref, "", w.partitions)
	var out engine.Output
	w.loops[w.owner(p)].members[p].engine.Step(&msg.Command{Kind: msg.CommandRequest, Now: w.now, Waiter: &worldWaiter{},
		Request: &msg.Request{Operation: msg.OperationInspect, Target: ref}}, &out)
	if s := out.Effects[0].Reply.State; s != nil {
		_ = json.Unmarshal(s.Root.Body, &list)
	}
	return list
}

// run lives through a history and returns what is wrong with it.
func (w *world) run(steps, crashes int) (violation string) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case worldFailure:
			violation = string(r)
		default:
			panic(r)
		}
	}()
	for range steps {
		w.step(crashes)
	}
	w.quiet()
	w.check()
	w.crash() // what is there now is also there after another start
	w.quiet()
	w.check()
	return ""
}

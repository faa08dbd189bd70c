package partition

// Goal: each rule of a loop by itself, so that what breaks one says so.

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/engine"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// bench is a loop on a committer, driven by hand.
type bench struct {
	t         *testing.T
	loop      *Loop
	committer *Committer
	room      bool
	key       string // of the ledger
	now       msg.Time
	turns     []Turn
	slices    []Slice
	published []host.Checkpoint
	tasks     []msg.StepNumber      // that may begin
	given     []msg.StepNumber      // up
	answers   map[string]*msg.Reply // by name of the request; nil: it waits
	requests  uint64
}

type benchWaiter struct{ name string }

func (benchWaiter) Answer(msg.Reply) { panic("only the test answers") }

type benchBuffer struct{ b *bench }

func (o benchBuffer) Reserve(n int) bool                { return o.b.room && o.b.committer.Reserve(n) }
func (o benchBuffer) Want(position msg.Position, n int) { o.b.committer.Want(position, n) }
func (o benchBuffer) Frame() msg.FrameNumber            { return o.b.committer.Frame() }
func (o benchBuffer) Append(now msg.Time, record []byte) msg.Position {
	return o.b.committer.Append(now, record)
}

func newBench(t *testing.T, partitions int) *bench {
	b := &bench{t: t, room: true, key: "k", now: noon, answers: map[string]*msg.Reply{}, committer: NewCommitter(1, host.Frame{}, 1<<20)}
	var owned []Recovered
	for p := range partitions {
		owned = append(owned, Recovered{ID: msg.Partition(p), Engine: engine.New(engine.Config{
			Partition: msg.Partition(p), Partitions: partitions, Kinds: worldKinds})})
	}
	b.loop = New(Config{Buffer: benchBuffer{b}, CheckpointBytes: 1 << 40}, partitions, owned)
	b.take(b.loop.Recover(b.now, 1, nil))
	return b
}

// take notes what came out.
func (b *bench) take(o *Output) *Output {
	b.turns = append(b.turns, o.Turns...)
	b.published = append(b.published, o.Published...)
	for _, s := range o.Slices {
		s.Bytes = append([]byte(nil), s.Bytes...)
		b.slices = append(b.slices, s)
	}
	for _, task := range o.Tasks {
		b.tasks = append(b.tasks, task.Run.Task.Step)
	}
	for _, task := range o.Interrupts {
		b.given = append(b.given, task.Run.Task.Step)
	}
	for _, a := range o.Answers {
		name := a.Waiter.(benchWaiter).name
		if b.answers[name] != nil {
			b.t.Fatalf("%s was answered twice", name)
		}
		b.answers[name] = &a.Reply
	}
	return o
}

func (b *bench) turn(inputs ...Input) *Output {
	for _, in := range inputs {
		b.loop.Push(in)
	}
	return b.take(b.loop.Turn(b.now, 100))
}

func (b *bench) input(c msg.Command) Input { return Input{Kind: InputCommand, Command: c} }

// request is the input of a request that is known by its name.
func (b *bench) request(name, handler, entry string) Input {
	b.requests++
	b.answers[name] = nil
	body, _ := json.Marshal(worldEntry{entry, "sink"})
	return b.input(msg.Command{Kind: msg.CommandRequest, Waiter: benchWaiter{name}, Request: &msg.Request{
		Target: msg.Ref{Kind: "ledger", Key: b.key}, Handler: handler, Payload: msg.Payload{Body: body},
		Invocation: msg.NewInvocationID(0, 1<<40, b.requests),
	}})
}

// finish ends the oldest run with a state.
func (b *bench) finish(state string) Input {
	b.t.Helper()
	if len(b.turns) == 0 {
		b.t.Fatal("nothing runs")
	}
	turn := b.turns[0].Turn
	b.turns = b.turns[1:]
	o := &msg.Outcome{Run: turn.Run, Output: msg.Payload{Body: []byte(state)}}
	if turn.Mode == msg.ModeUpdate {
		o.Root = &msg.Payload{Body: []byte(state)}
	}
	return b.input(turn.Ended(o))
}

// update does an update up to its record.
func (b *bench) update(name, state string) *Output {
	b.turn(b.request(name, "append", name))
	return b.turn(b.finish(state))
}

// sync writes everything that is open and says so.
func (b *bench) sync() {
	b.t.Helper()
	b.now += msg.Time(time.Second)
	for !b.committer.Empty() {
		write(b.t, b.committer, b.now, time.Millisecond)
	}
	b.turn(Input{Kind: InputDurable, Position: b.committer.Stats().Durable})
}

func (b *bench) waits(name string) bool { return b.answers[name] == nil }

func (b *bench) ready() bool {
	ready, _ := b.loop.Ready(b.now)
	return ready
}

func TestAReplyIsHeldUntilItsRecordIsDurable(t *testing.T) {
	b := newBench(t, 1)
	b.update("one", "[1]")
	if !b.waits("one") {
		t.Fatal("the answer left before its record was durable")
	}
	b.sync()
	if b.waits("one") || b.answers["one"].Err != nil {
		t.Fatalf("got %+v, want the answer", b.answers["one"])
	}
}

func TestAReadIsHeldUntilWhatItSawIsDurable(t *testing.T) {
	b := newBench(t, 1)
	b.update("one", "[1]")
	b.turn(b.request("read", "read", ""))
	if b.turns[0].Turn.Direct {
		t.Fatal("whoever runs a read may answer with a state that a crash would take back")
	}
	o := b.turn(b.finish("[1]"))
	if !b.waits("read") {
		t.Fatal("a read was answered with a state that a crash would take back")
	}
	if !o.Appended {
		t.Error("nobody hears that an answer waits for the record")
	}
	b.sync()
	if b.waits("read") {
		t.Fatal("the read was not answered")
	}
	b.turn(b.request("again", "read", ""))
	if !b.turns[0].Turn.Direct {
		t.Fatal("whoever runs a read of what is durable may not answer it")
	}
	b.turn(b.finish("[1]"))
	if b.waits("again") {
		t.Fatal("a read of what is durable had to wait")
	}
}

// effect lets the loop's first partition ask for something about an activity,
// as of a record.
func (b *bench) effect(kind msg.EffectKind, index msg.Index, step msg.StepNumber) *Output {
	b.loop.out.reset()
	b.loop.step.Reset()
	b.loop.step.Effects = append(b.loop.step.Effects, msg.Effect{Kind: kind, Index: index, Task: taskOf(step)})
	b.loop.carry(b.loop.owned[0], b.now, 0)
	return b.take(&b.loop.out)
}

func taskOf(step msg.StepNumber) *msg.TaskRun {
	return &msg.TaskRun{Target: msg.Ref{Kind: "order", Key: "o"}, Task: msg.Task{Run: 1, Step: step, Attempt: 1}}
}

// newest is the index of the last record of the loop's first partition.
func (b *bench) newest() msg.Index { return b.loop.owned[0].engine.Index() }

func (b *bench) wantTasks(begun, given []msg.StepNumber) {
	b.t.Helper()
	if !slices.Equal(b.tasks, begun) || !slices.Equal(b.given, given) {
		b.t.Fatalf("got activities %v to be begun and %v to be given up, want %v and %v", b.tasks, b.given, begun, given)
	}
}

func TestAnActivityIsHeldUntilTheRecordThatAsksForItIsDurable(t *testing.T) {
	b := newBench(t, 1)
	b.update("one", "[1]")
	wanted := b.committer.wanted
	if o := b.effect(msg.EffectPerform, b.newest(), 7); !o.Appended || b.committer.wanted != wanted+1 {
		t.Errorf("%d wait for the record, want the activity as well as the answer: it would take its time", b.committer.wanted)
	}
	b.turn(Input{Kind: InputNudge})
	b.wantTasks(nil, nil)
	if got := b.loop.Stats().HeldTasks; got != 1 || b.loop.Idle(b.now) {
		t.Errorf("got %d activities that wait, idle %v; want one, at work", got, b.loop.Idle(b.now))
	}
	b.sync()
	b.wantTasks([]msg.StepNumber{7}, nil)
	if got := b.loop.Stats().HeldTasks; got != 0 || !b.loop.Idle(b.now) {
		t.Errorf("got %d activities that wait, idle %v; want none, at rest", got, b.loop.Idle(b.now))
	}
	// The next record is not durable; what asks for this activity is.
	durable := b.newest()
	b.update("two", "[2]")
	b.effect(msg.EffectPerform, durable, 8)
	b.wantTasks([]msg.StepNumber{7, 8}, nil)
}

func TestActivitiesThatWaitLeaveInTheirOrderAndNoSoonerThanTheirRecords(t *testing.T) {
	b := newBench(t, 1)
	for step := range msg.StepNumber(4) {
		b.key = fmt.Sprint(step)
		b.update(b.key, "[1]")
		b.effect(msg.EffectPerform, b.newest(), step)
	}
	second := b.loop.pending.waiting()[1].position
	b.turn(Input{Kind: InputDurable, Position: second})
	b.wantTasks([]msg.StepNumber{0, 1}, nil)
	b.sync()
	b.wantTasks([]msg.StepNumber{0, 1, 2, 3}, nil)
}

func TestAnActivityIsGivenUpAtOnceAndNeverLeavesIfItWaits(t *testing.T) {
	b := newBench(t, 1)
	b.update("one", "[1]")
	for step := range msg.StepNumber(3) {
		b.effect(msg.EffectPerform, b.newest(), step)
	}
	b.effect(msg.EffectInterrupt, 0, 1)
	b.wantTasks(nil, []msg.StepNumber{1})
	b.sync()
	b.wantTasks([]msg.StepNumber{0, 2}, []msg.StepNumber{1})
	if o := b.effect(msg.EffectInterrupt, 0, 2); o.Appended {
		t.Error("a sync is asked for, for nobody")
	}
	b.wantTasks([]msg.StepNumber{0, 2}, []msg.StepNumber{1, 2})
}

func TestAfterAFailedWriteNoActivityBegins(t *testing.T) {
	b := newBench(t, 1)
	b.update("one", "[1]")
	b.effect(msg.EffectPerform, b.newest(), 7)
	b.turn(Input{Kind: InputPoisoned, Err: errors.New("the disk is gone")})
	b.turn(Input{Kind: InputDurable, Position: b.committer.Stats().Appended}, Input{Kind: InputNudge})
	b.wantTasks(nil, nil)
	if got := b.loop.Stats().HeldTasks; got != 0 {
		t.Errorf("%d activities wait for what never comes", got)
	}
}

func TestAfterAFailedWriteNobodyIsToldAnythingButThatItIsUnknown(t *testing.T) {
	b := newBench(t, 1)
	b.update("held", "[1]")
	b.turn(b.request("running", "append", "2"))
	b.turn(Input{Kind: InputPoisoned, Err: errors.New("the disk is gone")}, b.request("late", "append", "3"), b.request("later", "read", ""))
	for _, name := range []string{"held", "late", "later"} {
		reply := b.answers[name]
		if reply == nil || reply.Err == nil || reply.Err.Code != msg.CodeUnavailable || !strings.Contains(reply.Err.Message, "the disk is gone") {
			t.Errorf("%s: got %+v, want unavailable and why", name, reply)
		}
	}
	appended := b.committer.Stats().Appended
	b.now += msg.Time(time.Hour)
	o := b.turn(b.finish("[2]"), Input{Kind: InputDurable, Position: appended}, Input{Kind: InputNudge}, Input{Kind: InputFlush})
	if !b.waits("running") || len(o.Routed)+len(o.Turns)+len(o.Slices)+len(o.Published) > 0 {
		t.Errorf("got %+v after the log has failed, want nothing", o)
	}
	if got := b.committer.Stats().Appended; got != appended {
		t.Errorf("%d records were appended after the log had failed", got-appended)
	}
	if ready, wait := b.loop.Ready(b.now); ready || wait != 0 {
		t.Errorf("got ready %v, wait %v: a loop whose log has failed has nothing to do", ready, wait)
	}
}

func TestALoopWhoseLogFailsDuringACheckpointComesToRest(t *testing.T) {
	b := newBench(t, 1)
	b.update("one", "[1]")
	b.sync()
	b.loop.saver.slice = 1
	b.turn(Input{Kind: InputFlush})
	b.turn(Input{Kind: InputPoisoned, Err: errors.New("no")})
	if b.ready() {
		t.Fatal("it wants to go on with the checkpoint, for ever")
	}
}

func TestAFullBufferHoldsBackCommandsAndNothingElse(t *testing.T) {
	b := newBench(t, 1)
	b.update("one", "[1]")
	b.room = false
	if o := b.turn(b.request("two", "append", "2")); len(o.Turns) > 0 {
		t.Fatal("a command was taken though there is no room")
	}
	b.now += msg.Time(time.Hour) // something is due
	if ready, wait := b.loop.Ready(b.now); ready || wait != 0 {
		t.Fatalf("got ready %v, wait %v: only a durable frame makes room", ready, wait)
	}
	b.sync()
	if b.waits("one") {
		t.Fatal("what is durable was not answered though there is no room")
	}
	b.room = true
	if !b.ready() {
		t.Fatal("there is room, and it is not ready")
	}
	if b.turn(); len(b.turns) == 0 {
		t.Fatal("the command was not taken")
	}
}

func TestALoopSaysHowLongItMayBeLeftAlone(t *testing.T) {
	b := newBench(t, 2)
	if ready, wait := b.loop.Ready(b.now); ready || wait != 0 {
		t.Fatalf("got ready %v, wait %v, want neither", ready, wait)
	}
	// The message to the sink is acknowledged by a record of its own, some time.
	b.turn(b.request("one", "append", "1"))
	in := b.finish("[1]")
	in.Command.Outcome.Sends = []msg.Outgoing{{Target: msg.Ref{Kind: "sink", Key: sinkOf(1)}, Handler: "count"}}
	b.turn(in)
	b.turn()
	counted := b.finish("[1]")
	counted.Partition = 1
	b.turn(counted)
	b.turn()
	ready, wait := b.loop.Ready(b.now)
	if ready || wait <= 0 {
		t.Fatalf("got ready %v, wait %v, want a time", ready, wait)
	}
	b.now += msg.Time(wait)
	if !b.ready() {
		t.Fatal("the time has passed, and it is not ready")
	}
	before := b.committer.Stats().Appended
	b.turn()
	if b.committer.Stats().Appended == before {
		t.Fatal("nothing was done when it was time")
	}
	b.sync()
	if !b.loop.Idle(b.now) {
		t.Fatal("all is done, and it is not idle")
	}
}

// sinkOf finds a sink that belongs to one of two partitions.
func sinkOf(p msg.Partition) string {
	for n := 0; ; n++ {
		if name := fmt.Sprint("sink-", n); msg.PartitionOf(msg.Ref{Kind: "sink", Key: name}, "", 2) == p {
			return name
		}
	}
}

func TestCommandsForOtherLoopsAreRoutedWithTheirCause(t *testing.T) {
	b := newBench(t, 1)
	// A loop that owns the first of two partitions.
	b.loop = New(Config{Buffer: benchBuffer{b}, CheckpointBytes: 1 << 40}, 2, []Recovered{
		{ID: 0, Engine: engine.New(engine.Config{Partition: 0, Partitions: 2, Kinds: worldKinds})}})
	b.turn(b.request("one", "append", "1"))
	in := b.finish("[1]")
	in.Command.Outcome.Sends = []msg.Outgoing{{Target: msg.Ref{Kind: "sink", Key: sinkOf(1)}, Handler: "count"}}
	o := b.turn(in)
	if len(o.Routed) != 1 || o.Routed[0].Partition != 1 || o.Routed[0].Cause != b.committer.Stats().Appended || !o.Appended {
		t.Fatalf("got %+v, want one message to partition 1, caused by the record at %d", o.Routed, b.committer.Stats().Appended)
	}
	if b.loop.Owns(1) || !b.loop.Owns(0) {
		t.Fatal("it owns the wrong partitions")
	}
}

// saveAll writes slices until there are no more, and takes what is to be
// published.
func (b *bench) saveAll() (published []host.Checkpoint) {
	b.t.Helper()
	for n := 0; len(b.slices) > 0 || b.ready(); n++ {
		if n > 1000 {
			b.t.Fatal("the checkpoint has no end")
		}
		var saved []Input
		for _, s := range b.slices {
			saved = append(saved, Input{Kind: InputSaved, Saved: s})
		}
		b.slices = nil
		b.turn(saved...)
	}
	published, b.published = b.published, nil
	return published
}

func TestARecordNewerThanTheDurableLogNeverGetsIntoAPublishedCheckpoint(t *testing.T) {
	b := newBench(t, 1)
	for n := range 5 {
		b.key = fmt.Sprint(n)
		b.update(b.key, "[1]")
	}
	b.sync()
	b.loop.saver.slice = 1
	b.turn(Input{Kind: InputFlush})
	// A record comes between two slices, and the checkpoint sees it.
	b.turn(b.request("two", "append", "2"))
	start := b.loop.owned[0].engine.Index()
	b.turn(b.finish("[1,2]"))
	if published := b.saveAll(); published != nil {
		t.Fatalf("published %+v, and the log is durable up to %d", published, b.committer.Stats().Durable)
	}
	if !b.waits("two") || b.committer.wanted == 0 {
		t.Fatal("nobody waits for the record: the checkpoint would take its time")
	}
	for range 3 {
		b.turn(Input{Kind: InputNudge})
	}
	if got := b.committer.wanted; got != 2 {
		t.Errorf("%d wait for the record, want the answer and the checkpoint", got)
	}
	b.now += msg.Time(time.Second)
	write(t, b.committer, b.now, time.Millisecond)
	b.turn(Input{Kind: InputDurable, Position: b.committer.Stats().Durable})
	if p := b.saveAll(); len(p) != 1 || p[0].End <= start || p[0].Start >= p[0].End {
		t.Fatalf("got %+v, want a checkpoint that has seen the record at %d", p, start+1)
	}
}

// grow makes it time for the next checkpoint.
func (b *bench) grow() { b.loop.saver.grown = 1 << 50 }

func TestAFailedCheckpointIsTriedAgainWhenTheLogHasGrown(t *testing.T) {
	for _, broken := range []string{"slice", "publish"} {
		b := newBench(t, 1)
		b.update("one", "[1]")
		b.sync()
		b.grow()
		b.turn()
		if broken == "slice" {
			b.slices[0].Err = errDisk
			b.saveAll()
		} else {
			b.turn(Input{Kind: InputPublished, Partition: b.saveAll()[0].Partition, Err: errDisk})
		}
		if b.ready() || b.loop.Stats().CheckpointFailures != 1 || b.loop.Stats().Checkpoints != 0 {
			t.Fatalf("%s: got %+v, want one failure and rest", broken, b.loop.Stats())
		}
		if oldest, unchanged := b.loop.Needs(); oldest != 0 || len(unchanged) > 0 {
			t.Errorf("%s: recovery needs frame %d on and %v, want the whole log", broken, oldest, unchanged)
		}
		b.grow()
		b.turn(Input{Kind: InputNudge})
		published := b.saveAll()
		b.turn(Input{Kind: InputPublished, Partition: published[0].Partition})
		if b.loop.Stats().Checkpoints != 1 {
			t.Errorf("%s: it was not tried again", broken)
		}
		oldest, unchanged := b.loop.Needs()
		if oldest != b.committer.Frame() || len(unchanged) != 1 || unchanged[0].Frame != oldest || unchanged[0].Start != published[0].Start {
			t.Errorf("%s: recovery needs frame %d on and %v, want only what comes from frame %d on", broken, oldest, unchanged, b.committer.Frame())
		}
	}
}

func TestACheckpointEndsWithTheFirstSliceThatFails(t *testing.T) {
	b := newBench(t, 1)
	for n := range 20 {
		b.key = fmt.Sprint(n)
		b.update(b.key, "[1]")
	}
	b.sync()
	b.loop.saver.slice = 1
	b.grow()
	b.turn()
	b.slices[0].Err = errDisk
	if b.turn(Input{Kind: InputSaved, Saved: b.slices[0]}); len(b.slices) > 1 || b.ready() {
		t.Fatalf("%d slices were taken, and it is ready for more: %v", len(b.slices), b.ready())
	}
}

func TestAFlushEndsWithoutACheckpointThatFails(t *testing.T) {
	b := newBench(t, 1)
	b.update("one", "[1]")
	b.sync()
	b.turn(Input{Kind: InputFlush})
	s := b.slices[0]
	s.Err = errDisk
	if o := b.turn(Input{Kind: InputSaved, Saved: s}); !o.Flushed {
		t.Fatal("the flush goes on")
	}
	if b.ready() {
		t.Fatal("it is not at rest")
	}
}

func TestAFlushTakesACheckpointOfEveryPartitionThatHasChanged(t *testing.T) {
	b := newBench(t, 4)
	for n := range 8 {
		name := fmt.Sprint("request-", n)
		in := b.request(name, "append", name)
		in.Command.Request.Target.Key = name
		in.Partition = msg.PartitionOf(in.Command.Request.Target, "", 4)
		b.turn(in)
		done := b.finish("[]")
		done.Partition = in.Partition
		b.turn(done)
	}
	b.sync()
	changed := 0
	for _, m := range b.loop.owned {
		if m.changed() {
			changed++
		}
	}
	o, published := b.turn(Input{Kind: InputFlush}), 0
	for !o.Flushed {
		for _, c := range b.saveAll() {
			published++
			o = b.turn(Input{Kind: InputPublished, Partition: c.Partition})
		}
	}
	if published != changed || changed < 2 {
		t.Fatalf("%d checkpoints of %d changed partitions", published, changed)
	}
	if o := b.turn(Input{Kind: InputFlush}); !o.Flushed || len(o.Slices) > 0 {
		t.Fatalf("got %+v for a flush of nothing, want its end at once", o)
	}
}

func TestACheckpointIsTakenWhenTheLogHasGrown(t *testing.T) {
	b := newBench(t, 1)
	b.loop.config.CheckpointBytes = saveRetry
	for n := 0; b.loop.saver.current == nil; n++ {
		if b.loop.saver.grown > saveRetry {
			t.Fatalf("the log has grown by %d bytes, and no checkpoint has begun", b.loop.saver.grown)
		}
		b.update(fmt.Sprint(n), `["`+strings.Repeat(string(rune('a'+n%26)), 90_000)+`"]`)
	}
	if s := b.loop.Stats(); s.LargestSlice == 0 || s.RecordBytes < saveRetry {
		t.Errorf("got %+v", s)
	}
}

func TestHowMuchLogLiesBetweenCheckpoints(t *testing.T) {
	for _, c := range []struct {
		name                    string
		partitions              int
		limit, saved, wantBytes int64
	}{
		{"little state: the log may always grow to its minimum", 4, 1 << 40, 0, logBytesMin / 4},
		{"as much log as state", 4, 1 << 40, 100 << 20, 100 << 20},
		{"no more than the limit", 4, 80 << 20, 100 << 20, 20 << 20},
		{"many partitions: not for less than a retry", 1000, 1 << 40, 0, saveRetry},
	} {
		l := &Loop{config: Config{CheckpointBytes: c.limit}}
		for range c.partitions {
			l.owned = append(l.owned, &member{saved: host.Checkpoint{Bytes: c.saved}})
		}
		if got := l.checkpointEvery(); got != c.wantBytes {
			t.Errorf("%s: got %d, want %d", c.name, got, c.wantBytes)
		}
	}
}

func TestStatsOfLoopsAddUp(t *testing.T) {
	one := Stats{Steps: 1, Records: 2, RecordBytes: 3, Held: 4, Pending: 5, Inputs: 6, Checkpoints: 7, CheckpointFailures: 8, LargestSlice: 9, HeldTasks: 10}
	want := Stats{Steps: 2, Records: 4, RecordBytes: 6, Held: 8, Pending: 10, Inputs: 12, Checkpoints: 14, CheckpointFailures: 16, LargestSlice: 9, HeldTasks: 20}
	if got := one.Add(one); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	b := newBench(t, 1)
	b.update("one", "[1]")
	if s := b.loop.Stats(); s.Held != 1 || s.Pending != 1 || s.Records != 1 || s.Steps != 2 {
		t.Errorf("got %+v, want one answer held for one record of two steps", s)
	}
	if s := b.loop.PartitionStats(); s.Turns != 1 || s.Entities != 1 {
		t.Errorf("got %+v, want one turn of one entity", s)
	}
}

func TestAQueueKeepsItsOrderAndItsMemory(t *testing.T) {
	var q queue[int]
	in, out := 0, 0
	for range 100_000 {
		for range 3 {
			q.push(in)
			in++
		}
		for range 3 {
			if got := q.pop(); got != out {
				t.Fatalf("got %d, want %d", got, out)
			}
			out++
		}
		if q.len() == 0 && in < 3000 {
			q.push(in) // from here on it is never empty
			in++
		}
	}
	if cap(q.items) > 10_000 {
		t.Errorf("%d places for %d items", cap(q.items), q.len())
	}
}

func TestLoopsShareAllPartitionsAndTheLog(t *testing.T) {
	all := make([]Recovered, 7)
	for p := range all {
		all[p] = Recovered{ID: msg.Partition(p), Engine: engine.New(engine.Config{Partition: msg.Partition(p), Partitions: len(all)})}
	}
	loops := NewLoops(Config{CheckpointBytes: 3 << 30}, 3, all)
	for p := range msg.Partition(len(all)) {
		owners := 0
		for _, l := range loops {
			if l.Owns(p) {
				owners++
			}
		}
		if owners != 1 {
			t.Errorf("partition %d belongs to %d loops", p, owners)
		}
	}
	if got := loops[2].config.CheckpointBytes; got != 1<<30 {
		t.Errorf("a loop of three counts on %d bytes of log, want a third", got)
	}
}

func TestACheckpointThatIsAskedForIsTakenOnceAndAtOnce(t *testing.T) {
	b := newBench(t, 2)
	b.update("one", "[1]")
	b.sync()
	o := b.turn(Input{Kind: InputCheckpoint})
	if len(o.Slices) != 1 || !o.Slices[0].Last {
		t.Fatalf("got %d slices of a small checkpoint, want one", len(o.Slices))
	}
	b.turn(Input{Kind: InputSaved, Saved: o.Slices[0]})
	if len(b.published) != 1 {
		t.Fatalf("%d checkpoints are complete, want one", len(b.published))
	}
	b.turn(Input{Kind: InputPublished, Partition: b.published[0].Partition})
	if b.ready() || len(b.turn().Slices) > 0 {
		t.Error("another one is begun that nobody asked for")
	}
}

func TestSlicesHaveTheSizeThatIsConfigured(t *testing.T) {
	if got := New(Config{SliceBytes: 7}, 1, nil).saver.slice; got != 7 {
		t.Errorf("got slices of %d bytes, want 7", got)
	}
	if got := New(Config{}, 1, nil).saver.slice; got != sliceBytes {
		t.Errorf("got slices of %d bytes, want the default of %d", got, sliceBytes)
	}
}

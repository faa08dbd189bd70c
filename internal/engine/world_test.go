package engine

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// world is a simulated log group: partitions that are stepped one command at a
// time, a log that is durable up to some record, parcels between partitions
// that are delayed, reordered and doubled, runs that end in any order or are
// given up, callers who repeat themselves, checkpoints that are taken in slices
// between steps, and crashes. One seed gives one history.
//
// It checks while it goes: see check and the programs of package tests. What
// only holds at the end is in finish.
type world struct {
	options worldOptions
	random  *rand.Rand
	planner planner
	now     msg.Time

	partitions []*Partition
	log        []logged
	durable    int         // records of the log that are durable
	indexes    []msg.Index // by partition: up to where the log is durable

	network []parcel
	runs    []running
	held    []held
	savers  []saver
	tasks   []attempting
	tokens  map[string]string // by token of an activity: its input
	cut     map[string]bool   // workflows that an operator has taken a lock from

	clients     []*client
	asks        []*ask
	invocations uint64
	stamps      map[string]msg.Index // by name: the newest that anybody was told
	states      map[string]string    // by entity and version: what it was
	out         Output
	trace       hash.Hash
	violation   string
	stats       worldStats
}

// worldOptions says what happens in a world.
type worldOptions struct {
	seed       uint64
	partitions int
	steps      int
	keys       int // of accounts
	fan        int // sends of a plan
	clients    int
	crashes    int           // in 10,000 steps
	slow       string        // key of an entity whose turns take long
	wide       int           // sends of some plans
	pace       time.Duration // how far time moves at once, at most
	faults     int           // percent of the turns
	defers     int           // percent of the plans that wait for others
	operator   bool          // somebody resumes, skips and redelivers
	forgetful  bool          // nothing is asked for again that may be forgotten
	limits     Limits
	mutation   mutation
}

// mutation is a bug that is planted to show that the world finds it.
type mutation struct {
	planted      bool // any: then the checks of package internals are off
	replayed     bool // and replay must be live nevertheless
	releaseEarly bool // replies leave before their record is durable
	performEarly bool // activities begin before the record that asks for them is durable
	readEarly    bool // a read is answered directly before what it has seen is durable
	publishEarly bool // a checkpoint becomes current before the log is durable at its end

	before  func(w *world, p *Partition, c *msg.Command) // each step
	after   func(w *world, p *Partition)                 // each step
	rebuilt func(p *Partition)                           // each recovery
}

type worldStats struct {
	crashes, replays, checkpoints, answered, repeated, refused, late, duplicates   int
	accepts, attempts, acks, resumed, skipped, redelivered, pruned, blocked, early int
	performed, interrupted, workflows                                              int
	direct, indirect                                                               int // reads
	deferred, bounced                                                              int
	granted, prepared, aborted, cut                                                int
}

// logged is a record in the log.
type logged struct {
	partition msg.Partition
	index     msg.Index
	bytes     []byte
}

// parcel is a message or an acknowledgement on its way.
type parcel struct {
	to      msg.Partition
	command msg.Command
}

// running is a run in an executor.
type running struct {
	partition msg.Partition
	turn      *msg.Turn
	digest    string // of the snapshot when it was handed out
	abandoned bool
}

// attempting is an attempt of an activity that has been asked for.
type attempting struct {
	partition msg.Partition
	index     msg.Index
	run       *msg.TaskRun
}

// held is a reply that waits until it is durable.
type held struct {
	partition msg.Partition
	index     msg.Index
	waiter    *waiter
	reply     msg.Reply
}

// saver takes checkpoints of a partition.
type saver struct {
	taking  bool
	start   msg.Index
	slices  [][]byte
	ready   *saved   // complete, not current
	current *saved   // recovery begins here
	kept    []*saved // all that the log has kept
}

type saved struct {
	start, end msg.Index
	slices     [][]byte
}

const startTime = msg.Time(1_700_000_000 * time.Second)

func newWorld(o worldOptions) *world {
	w := &world{
		options: o, random: rand.New(rand.NewPCG(o.seed, 1)), now: startTime,
		partitions: make([]*Partition, o.partitions), indexes: make([]msg.Index, o.partitions),
		savers: make([]saver, o.partitions), stamps: map[string]msg.Index{}, states: map[string]string{}, trace: sha256.New(),
		tokens: map[string]string{}, cut: map[string]bool{},
	}
	w.planner.w = w
	for n := range w.partitions {
		w.partitions[n] = w.empty(msg.Partition(n))
		w.recover(msg.Partition(n), nil)
	}
	for n := range o.clients {
		w.clients = append(w.clients, newClient(w, n))
	}
	return w
}

func (w *world) empty(p msg.Partition) *Partition {
	return New(Config{Partition: p, Partitions: w.options.partitions, Kinds: kinds, Events: facts, Limits: w.options.limits})
}

func (w *world) chance(percent int) bool { return w.random.IntN(100) < percent }

func (w *world) duration(limit time.Duration) time.Duration {
	return time.Duration(w.random.Int64N(int64(limit)))
}

// failed stops a world.
type failed struct{ text string }

func (w *world) violate(format string, args ...any) {
	panic(failed{fmt.Sprintf(format, args...)})
}

// run lets the world go on for its steps, quiets it down and returns the first
// violation; empty if there is none.
func (w *world) run() (violation string) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case failed:
			violation = r.text
		default:
			violation = fmt.Sprintf("%v\n%s", r, debug.Stack())
		}
	}()
	for range w.options.steps {
		w.turn()
	}
	w.quiet()
	w.finish()
	return ""
}

// turn does one thing.
func (w *world) turn() {
	if w.random.IntN(10_000) < w.options.crashes {
		w.crash()
		return
	}
	switch n := w.random.IntN(1000); {
	case n < 280:
		w.clients[w.random.IntN(len(w.clients))].act()
	case n < 580:
		w.deliver()
	case n < 800:
		w.execute()
	case n < 830:
		w.perform()
	case n < 880:
		w.sync()
	case n < 950:
		w.now += msg.Time(w.duration(w.options.pace))
		w.tick()
	case n < 990:
		w.save()
	case n < 998:
		w.operate()
	default:
		w.replay()
	}
}

// step gives a partition a command, and carries out what it decides.
func (w *world) step(to msg.Partition, c msg.Command) {
	c.Now = w.now - msg.Time(w.duration(time.Millisecond)) // clocks of loops differ
	p := w.partitions[to]
	if f := w.options.mutation.before; f != nil {
		f(w, p, &c)
	}
	w.out.Reset()
	p.Step(&c, &w.out)
	w.carry(p)
	if f := w.options.mutation.after; f != nil {
		f(w, p)
	}
	w.check(p)
}

// carry appends records and then lets effects go.
func (w *world) carry(p *Partition) {
	for _, r := range w.out.Records {
		bytes := msg.AppendRecord(nil, r)
		w.trace.Write(bytes)
		w.log = append(w.log, logged{p.config.Partition, r.Index, bytes})
		w.count(r)
	}
	for n := range w.out.Effects {
		w.effect(p, &w.out.Effects[n])
	}
}

func (w *world) count(r *msg.Record) {
	if r.Pruned > 0 {
		w.stats.pruned++
	}
	if len(r.Locks) > 0 && !r.Locks[0].Released {
		w.stats.granted++
	}
	if r.Prepared != nil {
		w.stats.prepared++
	}
	if !isZero(msg.Fingerprint(r.Decided)) && len(r.Changes) == 0 {
		w.stats.aborted++
	}
	switch r.Kind {
	case msg.RecordAccept:
		w.stats.accepts++
	case msg.RecordAttempt:
		w.stats.attempts++
	case msg.RecordAck:
		w.stats.acks++
	}
}

func (w *world) effect(p *Partition, e *msg.Effect) {
	switch e.Kind {
	case msg.EffectRun:
		e.Turn.Direct = e.Turn.Direct && (e.Turn.Seen <= w.indexes[p.config.Partition] || w.options.mutation.readEarly)
		w.runs = append(w.runs, running{p.config.Partition, e.Turn, digest(&e.Turn.State), false})
	case msg.EffectDeliver:
		w.send(e.Message.ID.Destination, msg.Command{Kind: msg.CommandDeliver, Message: e.Message})
	case msg.EffectAck:
		w.send(e.Ack.Source, msg.Command{Kind: msg.CommandAck, Ack: e.Ack})
	case msg.EffectPerform:
		w.tasks = append(w.tasks, attempting{p.config.Partition, e.Index, e.Task})
	case msg.EffectInterrupt:
		w.interrupt(e.Task)
	case msg.EffectReply:
		if e.Index > p.Index() {
			w.violate("a reply depends on record %d of partition %d, which ends at %d", e.Index, p.config.Partition, p.Index())
		}
		h := held{p.config.Partition, e.Index, e.Waiter.(*waiter), e.Reply}
		if e.Index <= w.indexes[h.partition] || w.options.mutation.releaseEarly {
			h.waiter.answer(&h)
			return
		}
		w.held = append(w.held, h)
	}
}

// send puts a parcel on its way, sometimes twice.
func (w *world) send(to msg.Partition, c msg.Command) {
	w.network = append(w.network, parcel{to, c})
	if w.chance(5) {
		w.stats.duplicates++
		w.network = append(w.network, parcel{to, c})
	}
}

// deliver takes a parcel: mostly the oldest, sometimes any.
func (w *world) deliver() {
	if len(w.network) == 0 {
		return
	}
	n := 0
	if w.chance(30) {
		n = w.random.IntN(len(w.network))
	}
	next := w.network[n]
	w.network = append(w.network[:n], w.network[n+1:]...)
	w.step(next.to, next.command)
}

// execute ends a run: it returns, fails without having consumed its input, or
// is given up and returns later.
func (w *world) execute() {
	if len(w.runs) == 0 {
		return
	}
	n := w.random.IntN(len(w.runs))
	r := w.runs[n]
	if r.turn.Message.Target.Key == w.options.slow && !w.chance(2) {
		return
	}
	if w.chance(2) && !r.abandoned {
		w.runs[n].abandoned = true
		w.step(r.partition, r.turn.GivenUp())
		return
	}
	w.runs = append(w.runs[:n], w.runs[n+1:]...)
	if now := digest(&r.turn.State); now != r.digest {
		w.violate("the snapshot of run %d of %s was\n%s\nwhen it was handed out, and is now\n%s", r.turn.Run, r.turn.Message.Target, r.digest, now)
	}
	o := execute(r.turn, w.violate)
	if w.chance(w.options.faults) {
		o = &msg.Outcome{Run: r.turn.Run, Fault: "the state does not decode today"}
	}
	if r.abandoned {
		w.stats.late++
	}
	if r.turn.Waiter != nil {
		w.answerRead(&r, o)
		return
	}
	if o.Defer {
		w.stats.deferred++
	}
	if o.DeadLetter != "" {
		w.stats.bounced++
	}
	before := len(w.log)
	w.step(r.partition, r.turn.Ended(o))
	if r.abandoned && len(w.log) != before {
		w.violate("the late outcome of run %d of %s made %d records", r.turn.Run, r.turn.Message.Target, len(w.log)-before)
	}
}

// perform ends an attempt of an activity: it succeeds, fails, or did not take
// place.
func (w *world) perform() {
	if len(w.tasks) == 0 {
		return
	}
	n := w.random.IntN(len(w.tasks))
	a := w.tasks[n]
	if a.index > w.indexes[a.partition] && !w.options.mutation.performEarly {
		return
	}
	w.stats.performed++
	token, input := a.run.Token(), string(a.run.Task.Input.Body)
	if known, ok := w.tokens[token]; ok && known != input {
		w.violate("the token of activity %s of %s is for %q and for %q", a.run.Task.Activity, a.run.Target, known, input)
	}
	w.tokens[token] = input
	o := &msg.TaskOutcome{Target: a.run.Target, Name: a.run.Task.Name(), Attempt: a.run.Task.Attempt}
	switch {
	case w.chance(5): // it goes on
		o.Output = msg.Payload{Body: []byte("still here")}
		w.step(a.partition, msg.Command{Kind: msg.CommandHeartbeat, Task: o})
		return
	case w.chance(20):
		o.Err, o.Retryable = msg.Errorf("busy", msg.ClassUnavailable, "later"), true
	case w.chance(10):
		o.Fault = "nobody serves it today"
	}
	w.tasks = append(w.tasks[:n], w.tasks[n+1:]...)
	w.step(a.partition, msg.Command{Kind: msg.CommandTask, Task: o})
}

func (w *world) interrupt(run *msg.TaskRun) {
	w.stats.interrupted++
	for n, a := range w.tasks {
		if a.run.Token() == run.Token() && w.chance(50) { // otherwise its outcome comes too late
			w.tasks = append(w.tasks[:n], w.tasks[n+1:]...)
			return
		}
	}
}

// answerRead does what an executor does when a read has returned.
func (w *world) answerRead(r *running, o *msg.Outcome) {
	switch {
	case r.abandoned: // its waiter has been told
	case r.turn.Direct && o.Fault == "" && !o.Panicked:
		w.stats.direct++
		if durable := w.indexes[r.partition]; r.turn.Seen > durable {
			w.violate("a read is answered that has seen record %d of partition %d, which is durable up to %d", r.turn.Seen, r.partition, durable)
		}
		h := held{r.partition, r.turn.Seen, r.turn.Waiter.(*waiter), r.turn.Answer(o)}
		h.waiter.answer(&h)
	default:
		w.stats.indirect++
		w.step(r.partition, r.turn.Ended(o))
	}
}

// sync makes some more of the log durable, and releases what waits for it.
func (w *world) sync() {
	if n := len(w.log) - w.durable; n > 0 {
		w.durable += 1 + w.random.IntN(n)
	}
	for n := range w.indexes {
		w.indexes[n] = 0
	}
	for _, l := range w.log[:w.durable] {
		w.indexes[l.partition] = l.index
	}
	w.release()
	for n := range w.savers {
		w.publish(n)
	}
}

func (w *world) release() {
	waiting := w.held[:0]
	for _, h := range w.held {
		if h.index <= w.indexes[h.partition] {
			h.waiter.answer(&h)
		} else {
			waiting = append(waiting, h)
		}
	}
	w.held = waiting
}

// tick lets partitions do what is due.
func (w *world) tick() {
	for n, p := range w.partitions {
		if due := p.NextDue(); due > 0 && due <= w.now {
			w.step(msg.Partition(n), msg.Command{Kind: msg.CommandTick})
		}
	}
}

// save takes a slice of a checkpoint, or begins one.
func (w *world) save() {
	n := w.random.IntN(len(w.partitions))
	s, p := &w.savers[n], w.partitions[n]
	if !s.taking {
		s.taking, s.start, s.slices = true, p.BeginCheckpoint(), nil
		return
	}
	if w.chance(1) {
		s.taking = false // dropped half-way
		return
	}
	slice, done := p.Slice(nil, 1+w.random.IntN(2000))
	s.slices = append(s.slices, slice)
	if done {
		s.taking = false
		s.ready = &saved{s.start, p.Index(), s.slices}
		w.publish(n)
	}
}

// publish makes a checkpoint current once the log is durable at its end.
func (w *world) publish(n int) {
	s := &w.savers[n]
	if s.ready == nil || s.ready.end > w.indexes[n] && !w.options.mutation.publishEarly {
		return
	}
	w.stats.checkpoints++
	s.current, s.ready = s.ready, nil
	s.kept = append(s.kept, s.current)
	if len(s.kept) > 4 {
		s.kept = s.kept[1:]
	}
}

// rebuild folds the log into a new partition, from a checkpoint or from nothing.
func (w *world) rebuild(n msg.Partition, from *saved) *Partition {
	p := w.empty(n)
	if from != nil {
		for _, slice := range from.slices {
			if err := p.Load(slice); err != nil {
				w.violate("load a slice: %v", err)
			}
		}
		if p.Index() != from.start {
			w.violate("a checkpoint of record %d was loaded, the partition is at %d", from.start, p.Index())
		}
	}
	for _, l := range w.log {
		if l.partition != n || l.index <= p.Index() {
			continue
		}
		r, err := msg.DecodeRecord(l.bytes)
		if err != nil {
			w.violate("decode record %d: %v", l.index, err)
		}
		if err := p.Apply(r); err != nil {
			w.violate("apply: %v", err)
		}
	}
	for d := range p.outboxes {
		p.outboxes[d].recovered()
	}
	return p
}

// replay compares live partitions with what their records and checkpoints give.
func (w *world) replay() {
	if w.options.mutation.planted && !w.options.mutation.replayed {
		return
	}
	for n, p := range w.partitions {
		want := p.Dump()
		w.sameState("replay from nothing", w.rebuild(msg.Partition(n), nil).Dump(), want)
		for _, s := range w.savers[n].kept {
			w.stats.replays++
			what := fmt.Sprintf("replay of partition %d from the checkpoint of %d to %d", n, s.start, s.end)
			w.sameState(what, w.rebuild(msg.Partition(n), s).Dump(), want)
		}
	}
}

func (w *world) sameState(what, got, want string) {
	if text := difference(got, want); text != "" {
		w.violate("%s: %s", what, text)
	}
}

// crash loses everything volatile and any part of the log that is not durable.
func (w *world) crash() {
	w.stats.crashes++
	keep := w.durable + w.random.IntN(len(w.log)-w.durable+1)
	w.log = w.log[:keep]
	w.durable = keep
	clear(w.indexes)
	for _, l := range w.log {
		w.indexes[l.partition] = l.index
	}
	interrupted := make([][]msg.Fingerprint, len(w.partitions))
	for _, r := range w.runs {
		if !r.abandoned && w.chance(50) {
			interrupted[r.partition] = append(interrupted[r.partition], r.turn.Fingerprint())
		}
	}
	w.network, w.runs, w.held, w.tasks = nil, nil, nil, nil
	w.now += msg.Time(w.duration(2 * time.Second))
	for n := range w.partitions {
		s := &w.savers[n]
		from := s.current
		if w.chance(20) {
			from = nil
		}
		s.taking, s.ready = false, nil
		w.partitions[n] = w.rebuild(msg.Partition(n), from)
		if f := w.options.mutation.rebuilt; f != nil {
			f(w.partitions[n])
		}
	}
	for n := range w.partitions {
		w.recover(msg.Partition(n), interrupted[n])
	}
	for _, c := range w.clients {
		c.disconnect()
	}
	w.checkAll()
}

func (w *world) recover(n msg.Partition, interrupted []msg.Fingerprint) {
	p := w.partitions[n]
	w.out.Reset()
	p.Recover(w.now, 1, interrupted, &w.out)
	w.carry(p)
}

// quiet lets everything come to an end that can: no crash, no new request.
func (w *world) quiet() {
	w.options.faults = 0
	for range 200_000 {
		busy := len(w.network)+len(w.runs) > 0
		w.deliver()
		w.execute()
		w.perform()
		if !busy {
			if w.sync(); w.durable < len(w.log) {
				continue
			}
			if w.operateAll(); w.settled() {
				return
			}
			w.now += msg.Time(w.duration(50 * time.Millisecond))
		}
		if w.chance(20) || !busy {
			w.tick()
		}
	}
	w.violate("the world does not come to rest: %d parcels, %d runs, %d activities", len(w.network), len(w.runs), len(w.tasks))
}

// settled says that all requests are answered, repeating them where needed, and
// that only periodic reminders are to come.
func (w *world) settled() bool {
	done := true
	for _, c := range w.clients {
		done = c.conclude() && done
	}
	for _, p := range w.partitions {
		p.order.Scan(func(i *instance) bool {
			if i.live != nil && !i.live.idle() {
				done = false
			}
			if i.owned == nil {
				return true
			}
			if len(i.owned.inbox)+len(i.owned.tasks) > 0 || i.workflow() != nil && !i.workflow().Status.Ended() {
				done = false
			}
			for _, r := range i.owned.reminders {
				done = done && r.Schedule != (msg.Schedule{})
			}
			return true
		})
		for d := range p.outboxes {
			done = done && p.outboxes[d].messages.Len() == 0
		}
	}
	return done && len(w.network)+len(w.runs)+len(w.held) == 0
}

// operate takes up something that was given up or parked.
func (w *world) operate() {
	if w.options.operator {
		p := w.partitions[w.random.IntN(len(w.partitions))]
		w.operateOn(p)
		w.takeLock(p)
	}
}

func (w *world) operateAll() {
	for _, p := range w.partitions {
		w.operateOn(p)
		w.move(p)
	}
}

// move makes a turn at an entity that defers, so that it need not any more.
func (w *world) move(p *Partition) {
	var target msg.Ref
	p.order.Scan(func(i *instance) bool {
		if i.live != nil && len(i.live.aside) > 0 {
			target = i.ref
		}
		return target.Kind == ""
	})
	if target.Kind != "" {
		w.invocations++
		id := msg.NewInvocationID(p.config.Partition, 1<<16, w.invocations)
		w.operation(p, &msg.Request{Target: target, Handler: "do", Payload: encode(&plan{Token: w.planner.next()}), Invocation: id})
	}
}

func (w *world) operateOn(p *Partition) {
	request := msg.Request{Operation: msg.OperationResume}
	if _, i, ok := p.parked.Min(); ok {
		request.Target = i.ref
		if w.stats.resumed++; w.options.faults > 0 && w.chance(30) {
			w.stats.skipped++
			request.Operation = msg.OperationSkip
		}
		w.operation(p, &request)
	}
	if _, d, ok := p.deadLetters.Min(); ok && w.options.operator {
		w.stats.redelivered++
		w.operation(p, &msg.Request{Operation: msg.OperationRedeliver, Invocation: d.ID})
	}
}

// takeLock takes a lock from its holder, now and then.
func (w *world) takeLock(p *Partition) {
	_, i, ok := p.locked.Min()
	if !ok || !w.chance(30) {
		return
	}
	h := i.locks()[w.random.IntN(len(i.locks()))].Holder
	w.cut[h.Workflow.Key] = true
	w.stats.cut++
	w.operation(p, &msg.Request{Operation: msg.OperationRelease, Target: i.ref, Holder: h})
}

func (w *world) operation(p *Partition, r *msg.Request) {
	w.step(p.config.Partition, msg.Command{Kind: msg.CommandRequest, Request: r, Waiter: &waiter{operator: w}})
}

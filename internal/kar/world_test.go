package kar_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast/internal/engine"
	"github.com/holdfast-io/holdfast/internal/kar"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/remote"
)

// Goal: whatever dies when, each invocation counts once. Method: partitions of the
// engine, and processes with applications that make attempts a step at a time,
// in one goroutine, by one seed. Attempts die at any step. The server dies at any
// step, and loses what was not durable; attempts survive that or do not, and so do
// completions that nobody has heard of. At the end every actor has counted what was
// asked of it.

var seeds = flag.Int("seeds", 150, "how many worlds are run")

// parcel is something on its way to a partition.
type parcel struct {
	to msg.Partition
	c  msg.Command
}

// bug is something that is planted to show that a world notices it.
type bug string

const (
	none          bug = ""
	forgetsSent   bug = "what an invocation has sent is not remembered"
	unsettled     bug = "an attempt begins before the calls of the one before have ended"
	writesAtOnce  bug = "state is written when it is set, and not with the completion"
	asksAnew      bug = "a caller asks again, and it is another request"
	losesSends    bug = "what a completion sends is lost"
	letsAllIn     bug = "the flow that holds an actor is not looked at"
	forgetsWaiter bug = "who waits for a call is forgotten when another attempt asks"
	endsEarly     bug = "who waits for the end of an invocation is told before it"
	forgetsEnding bug = "who waits for the end of an invocation is not told"
)

// world is everything.
type world struct {
	random  *rand.Rand
	bug     bug
	faults  bool
	now     msg.Time
	program *kar.Program
	parts   []*engine.Partition
	log     [][]byte
	durable int // records
	parcels []parcel
	runs    []run
	held    []heldEffect
	done    map[string]*attempt // attempts that are made, and their ends, by token and number
	callers []*caller
	asked   uint64
	ending  int // that wait for the end of an invocation
	crashes int
	deaths  int
}

type run struct {
	p    msg.Partition
	turn *msg.Turn
}

// heldEffect waits until so many records are durable.
type heldEffect struct {
	records int
	p       msg.Partition
	effect  msg.Effect
}

// waiter takes a reply, in the run of the server in which it was asked for.
type waiter func(msg.Reply)

func (w waiter) Answer(r msg.Reply) { w(r) }

const partitions = 3

func newWorld(seed uint64, planted bug) *world {
	w := &world{bug: planted, random: rand.New(rand.NewPCG(seed, 1)), faults: true, now: msg.TimeOf(time.Unix(1_700_000_000, 0)),
		program: kar.New(kar.Config{}), done: map[string]*attempt{}}
	w.restart()
	return w
}

// failure is what a world panics with.
type failure string

func (w *world) fail(format string, arguments ...any) {
	panic(failure(fmt.Sprintf(format, arguments...)))
}

// restart builds the partitions from what is durable, and more of the log, or not.
func (w *world) restart() {
	w.log = w.log[:w.durable+w.random.IntN(len(w.log)-w.durable+1)]
	w.durable = len(w.log)
	w.parcels, w.runs, w.held, w.ending = nil, nil, nil, 0
	w.parts = nil
	for n := range partitions {
		p := engine.New(engine.Config{Partition: msg.Partition(n), Partitions: partitions, Kinds: w.program.Describe().Kinds})
		for _, b := range w.log {
			r, err := msg.DecodeRecord(b)
			if err != nil {
				w.fail("%v", err)
			}
			if int(r.Partition) == n {
				if err := p.Apply(r); err != nil {
					w.fail("%v", err)
				}
			}
		}
		w.parts = append(w.parts, p)
	}
	for n, p := range w.parts {
		var out engine.Output
		p.Recover(w.now, 1, nil, &out)
		w.carry(msg.Partition(n), &out)
	}
	for _, a := range w.attempts() { // nobody has asked for it in this run
		a.wanted, a.waits = false, false
		if !a.ended() && w.faults && w.random.IntN(2) == 0 || a.ended() && w.random.IntN(3) == 0 {
			delete(w.done, a.name)
		}
	}
	for _, c := range w.callers {
		c.waits = false
	}
}

func (w *world) attempts() (list []*attempt) {
	for _, a := range w.done {
		list = append(list, a)
	}
	slices.SortFunc(list, func(a, b *attempt) int { return a.order - b.order })
	return list
}

func (w *world) step(p msg.Partition, c msg.Command) {
	c.Now = w.now
	var out engine.Output
	w.parts[p].Step(&c, &out)
	w.carry(p, &out)
}

func (w *world) carry(p msg.Partition, out *engine.Output) {
	for _, r := range out.Records {
		w.log = append(w.log, msg.AppendRecord(nil, r))
	}
	for _, e := range out.Effects {
		switch e.Kind {
		case msg.EffectDeliver:
			w.parcels = append(w.parcels, parcel{e.Message.ID.Destination, msg.Command{Kind: msg.CommandDeliver, Message: e.Message}})
		case msg.EffectAck:
			w.parcels = append(w.parcels, parcel{e.Ack.Source, msg.Command{Kind: msg.CommandAck, Ack: e.Ack}})
		case msg.EffectRun:
			w.runs = append(w.runs, run{p, e.Turn})
		case msg.EffectReply, msg.EffectPerform:
			w.held = append(w.held, heldEffect{len(w.log), p, e})
		}
	}
}

// sync makes what was written durable, and lets out what waited for that.
func (w *world) sync() {
	w.durable = len(w.log)
	held := w.held
	w.held = nil
	for _, h := range held {
		if h.effect.Kind == msg.EffectReply {
			h.effect.Waiter.Answer(h.effect.Reply)
			continue
		}
		w.perform(h.p, h.effect.Task)
	}
}

// request brings a request to its partition.
func (w *world) request(q *msg.Request, answered func(msg.Reply)) {
	w.asked++
	p := msg.PartitionOf(q.Target, "", partitions)
	q.Invocation = msg.NewInvocationID(p, w.random.Uint64(), w.asked)
	w.step(p, msg.Command{Kind: msg.CommandRequest, Request: q, Waiter: waiter(answered)})
}

// attempt is an attempt that a process makes.
type attempt struct {
	w       *world
	name    string
	order   int
	p       msg.Partition
	task    msg.TaskRun
	given   remote.Assignment
	wanted  bool // the server of this run waits for it
	waits   bool // for an answer
	at      int  // step of the method
	n       int  // of the state
	read    bool
	changes []remote.Change
	sends   []remote.Outgoing
	said    map[string]uint32
	number  uint64          // of requests
	pending *remote.Request // that is not answered
	end     *remote.Completion
}

func (a *attempt) ended() bool { return a.end != nil }

// perform asks for an attempt: one that goes on, has ended, or begins, which it
// does when the calls of earlier ones have ended.
func (w *world) perform(p msg.Partition, t *msg.TaskRun) {
	name := fmt.Sprint(t.Token(), t.Task.Attempt)
	if a := w.done[name]; a != nil {
		a.wanted = true
		return
	}
	for _, old := range w.attempts() {
		if old.task.Token() == t.Token() {
			delete(w.done, old.name) // stale: nobody listens to it
		}
	}
	a := &attempt{w: w, name: name, order: int(w.asked), p: p, task: *t, wanted: true, said: map[string]uint32{}}
	w.asked++
	if err := remote.Decode("Assignment", t.Task.Input.Body, &a.given); err != nil {
		w.fail("%v", err)
	}
	a.waits = true
	if w.bug == unsettled {
		a.waits = false
		w.done[name] = a
		a.checkSettled()
		return
	}
	w.request(&msg.Request{Operation: msg.OperationCall, Target: t.Target, Handler: kar.HandlerSettled,
		Payload: msg.Payload{Body: []byte(a.given.Invocation.Request)}}, func(msg.Reply) {
		a.waits = false
		w.done[name] = a
		a.checkSettled()
	})
}

// checkSettled wants no call of an earlier attempt to be under way.
func (a *attempt) checkSettled() {
	var root remote.Actor
	s := a.w.parts[a.p].State(a.task.Target)
	if err := remote.Decode("Actor", s.Root.Body, &root); err != nil {
		a.w.fail("%v", err)
	}
	if n := root.Find(a.given.Invocation.Request); n >= 0 && root.Active[n].Calls > 0 {
		a.w.fail("attempt %d of %s begins beside a call of an earlier one", a.task.Task.Attempt, a.given.Invocation.Path)
	}
}

// advance takes a step of the method, or dies.
func (a *attempt) advance() {
	w := a.w
	switch {
	case a.ended():
		o := &msg.TaskOutcome{Target: a.task.Target, Name: a.task.Task.Name(), Attempt: a.task.Task.Attempt,
			Output: msg.Payload{Body: remote.Append(nil, a.end)}}
		a.wanted = false
		w.step(a.p, msg.Command{Kind: msg.CommandTask, Task: o})
	case w.faults && w.random.IntN(12) == 0:
		w.deaths++
		delete(w.done, a.name)
		w.step(a.p, msg.Command{Kind: msg.CommandTask, Task: &msg.TaskOutcome{Target: a.task.Target, Name: a.task.Task.Name(),
			Attempt: a.task.Task.Attempt, Err: msg.Errorf(msg.CodeUnavailable, msg.ClassUnavailable, "it died"), Retryable: true}})
	case a.pending != nil:
		a.operate()
	default:
		a.method()
	}
}

// state reads the number of the actor, once.
func (a *attempt) add() {
	if !a.read {
		s := a.w.parts[a.p].State(a.task.Target)
		if s.Fields != nil {
			value, _ := s.Fields.Entry(remote.FieldState, "n")
			a.n, _ = strconv.Atoi(string(value))
		}
		a.read = true
	}
	a.n++
	if a.w.bug == writesAtOnce {
		a.w.request(&msg.Request{Operation: msg.OperationCall, Target: a.task.Target, Handler: kar.HandlerChange, Payload: msg.Payload{
			Body: remote.Append(nil, &remote.Request{Changes: []remote.Change{{Kind: remote.ChangePut, Field: remote.FieldState, Key: "n", Value: []byte(strconv.Itoa(a.n))}}})}}, func(msg.Reply) {})
		return
	}
	a.changes = []remote.Change{{Kind: remote.ChangePut, Field: remote.FieldState, Key: "n", Value: []byte(strconv.Itoa(a.n))}}
}

func (a *attempt) complete(tail *remote.Invocation) {
	a.end = &remote.Completion{Request: a.given.Invocation.Request, Result: remote.Result{Status: 200, Body: []byte(strconv.Itoa(a.n))},
		Tail: tail, Changes: a.changes, Sends: a.sends}
	a.awaitEnd()
}

// awaitEnd waits until the server has taken what the invocation came to.
func (a *attempt) awaitEnd() {
	w := a.w
	w.ending++
	w.request(&msg.Request{Operation: msg.OperationCall, Target: a.task.Target, Handler: kar.HandlerEnded,
		Payload: msg.Payload{Body: remote.Append(nil, &a.given.Invocation)}}, func(msg.Reply) {
		w.ending--
		var root remote.Actor
		s := w.parts[a.p].State(a.task.Target)
		if err := remote.Decode("Actor", s.Root.Body, &root); err != nil {
			w.fail("%v", err)
		}
		i := &a.given.Invocation
		if n := root.Find(i.Request); n >= 0 && root.Active[n].Sequence == i.Sequence {
			w.fail("%s is said to have ended, and has not", i.Path)
		}
	})
}

// identify gives what is sent its name.
func (a *attempt) identify(kind remote.InvocationKind, id, path string) remote.Outgoing {
	i := &a.given.Invocation
	o := remote.Outgoing{Invocation: invocation(kind, id, path)}
	o.Call.Hash = msg.FingerprintOf(fmt.Sprint(kind), id, path)
	a.said[fmt.Sprint(kind, id, path)]++
	o.Call.Occurrence = a.said[fmt.Sprint(kind, id, path)]
	o.Invocation.Request = fmt.Sprintf("req-%x", msg.FingerprintOf(i.Request, fmt.Sprint(i.Sequence), o.Call.Key()))
	o.Invocation.Flow = i.Flow
	if kind != remote.InvocationCall {
		o.Invocation.Flow = "flow-" + o.Invocation.Request
	}
	return o
}

func invocation(kind remote.InvocationKind, id, path string) remote.Invocation {
	return remote.Invocation{Kind: kind, Target: remote.Target{App: "a", Type: "C", ID: id}, Path: path}
}

func (a *attempt) call(id, path string) {
	sends := append(a.sends, a.identify(remote.InvocationCall, id, path))
	a.sends = nil
	a.number++
	a.pending = &remote.Request{Kind: remote.RequestOperate, Name: a.given.Invocation.Request, Sends: sends, Number: a.number}
}

// operate asks for what is pending, again after a restart of the server.
func (a *attempt) operate() {
	a.waits = true
	a.w.request(&msg.Request{Operation: msg.OperationCall, Target: a.task.Target, Handler: kar.HandlerOperate,
		Payload:  msg.Payload{Body: remote.Append(nil, a.pending)},
		Identity: msg.Identity{Session: msg.SessionID(msg.FingerprintOf(a.name, fmt.Sprint(a.order))), SessionNumber: a.number}},
		func(r msg.Reply) {
			a.waits = false
			var result remote.Result
			switch err := remote.Decode("Result", r.Payload.Body, &result); {
			case r.Err != nil || err != nil || result.Status != 200:
				a.w.fail("%s: an operation was answered %+v %v %v", a.given.Invocation.Path, result, r.Err, err)
			}
			a.pending = nil
		})
}

// method is the application.
func (a *attempt) method() {
	i := &a.given.Invocation
	a.at++
	switch kind, other, _ := cut(i.Path); kind {
	case "add":
		a.add()
		a.complete(nil)
	case "through":
		switch a.at {
		case 1:
			a.sends = append(a.sends, a.identify(remote.InvocationTell, "sink", "/add"))
		case 2:
			a.call(other, "/add")
		case 3:
			a.sends = append(a.sends, a.identify(remote.InvocationTell, "sink", "/add"), a.identify(remote.InvocationPromise, "sink", "/add"))
			a.add()
		default:
			a.complete(nil)
		}
	case "twice":
		if a.at == 1 {
			a.call(i.Target.ID, "/add")
			return
		}
		a.add()
		a.complete(nil)
	case "chain":
		a.add()
		next := invocation(remote.InvocationCall, other, "/last")
		a.complete(&next)
		a.end.Release = i.Request[len(i.Request)-1]%2 == 0
	case "last":
		a.add()
		next := invocation(remote.InvocationCall, "sink", "/add")
		a.complete(&next)
	}
}

// cut takes "/through/c1" apart.
func cut(path string) (kind, other string, ok bool) {
	for n := 1; n < len(path); n++ {
		if path[n] == '/' {
			return path[1:n], path[n+1:], true
		}
	}
	return path[1:], "", false
}

// caller asks for one invocation after the other, and again after a restart.
type caller struct {
	name    string
	current *remote.Invocation
	number  uint64
	waits   bool
	left    int
}

func (w *world) ask(c *caller) {
	c.waits = true
	if w.bug == asksAnew {
		c.number++
	}
	w.request(&msg.Request{Operation: msg.OperationCall, Target: kar.RefOf(c.current), Handler: kar.HandlerInvoke,
		Payload:  msg.Payload{Body: remote.Append(nil, c.current)},
		Identity: msg.Identity{Session: msg.SessionID(msg.FingerprintOf(c.name)), SessionNumber: c.number}},
		func(r msg.Reply) {
			c.waits = false
			var result remote.Result
			if err := remote.Decode("Result", r.Payload.Body, &result); r.Err != nil || err != nil || result.Status != 200 {
				w.fail("%s was answered %+v %v %v", c.current.Path, result, r.Err, err)
			}
			c.current = nil
		})
}

const actors = 4

// next chooses what is asked for next, and counts what that comes to.
func (w *world) next(c *caller, want map[string]int) {
	n := w.random.IntN(actors)
	id, other := fmt.Sprint("c", n), fmt.Sprint("c", n+w.random.IntN(actors-n))
	path := []string{"/add", "/through/" + other, "/twice", "/chain/" + other}[w.random.IntN(4)]
	switch kind, _, _ := cut(path); kind {
	case "add":
		want[id]++
	case "through":
		want[id]++
		want[other]++
		want["sink"] += 3
	case "twice":
		want[id] += 2
	case "chain":
		want[id]++
		want[other]++
		want["sink"]++
	}
	c.left--
	c.number++
	i := invocation(remote.InvocationCall, id, path)
	i.Request, i.Flow = fmt.Sprint("req-", c.name, c.number), fmt.Sprint("flow-", c.name, c.number)
	c.current = &i
}

// turn does one thing that could happen now; false: there is none.
func (w *world) turn(want map[string]int) bool {
	var could []func()
	add := func(weight int, f func()) {
		for range weight {
			could = append(could, f)
		}
	}
	if len(w.parcels) > 0 {
		add(6, func() {
			next := w.parcels[0]
			w.parcels = w.parcels[1:]
			w.step(next.to, next.c)
		})
	}
	if len(w.runs) > 0 {
		add(6, func() {
			n := w.random.IntN(len(w.runs))
			r := w.runs[n]
			w.runs = slices.Delete(w.runs, n, n+1)
			w.step(r.p, r.turn.Ended(w.outcome(r.turn)))
		})
	}
	if len(w.held) > 0 {
		add(3, w.sync)
	}
	for _, a := range w.attempts() {
		if a.wanted && !a.waits {
			add(2, a.advance)
		}
	}
	for _, c := range w.callers {
		switch {
		case c.current == nil && c.left > 0:
			add(1, func() { w.next(c, want) })
		case c.current != nil && !c.waits:
			add(2, func() { w.ask(c) })
		}
	}
	if w.faults && len(could) > 0 && w.random.IntN(150) == 0 {
		w.crashes++
		w.restart()
		return true
	}
	if len(could) == 0 {
		return w.pass()
	}
	could[w.random.IntN(len(could))]()
	return true
}

// outcome runs a turn, with the bug that is planted.
func (w *world) outcome(t *msg.Turn) *msg.Outcome {
	if w.bug == letsAllIn && t.Message.Handler == kar.HandlerInvoke {
		var root remote.Actor
		var i remote.Invocation
		if remote.Decode("Actor", t.State.Root.Body, &root) == nil && remote.Decode("Invocation", t.Message.Payload.Body, &i) == nil && root.Flow != "" {
			root.Flow = i.Flow
			turn := *t
			turn.State.Root.Body = remote.Append(nil, &root)
			t = &turn
		}
	}
	o := w.program.Turn(context.Background(), t)
	switch {
	case w.bug == forgetsSent:
		o.Changes = slices.DeleteFunc(o.Changes, func(c msg.Change) bool { return c.Kind == msg.ChangePut && strings.HasPrefix(c.Field, "c:") })
	case w.bug == losesSends && t.Message.Handler == kar.HandlerDone && len(o.Sends) > 1:
		o.Sends = o.Sends[1:]
	case w.bug == endsEarly && t.Message.Handler == kar.HandlerEnded:
		o = &msg.Outcome{Run: t.Run, Output: msg.Payload{Body: remote.Append(nil, &remote.Result{Status: 200})}}
	case w.bug == forgetsEnding && t.Message.Handler == kar.HandlerDone:
		o.Replies = slices.DeleteFunc(o.Replies, func(r msg.LateReply) bool {
			var result remote.Result
			return remote.Decode("Result", r.Payload.Body, &result) == nil && len(result.Body) == 0
		})
	case w.bug == forgetsWaiter && t.Message.Handler == kar.HandlerResult:
		o.Replies = nil
	}
	return o
}

// pass lets time pass until something is due.
func (w *world) pass() bool {
	first, at := msg.Time(0), -1
	for n, p := range w.parts {
		if due := p.NextDue(); due > 0 && (first == 0 || due < first) {
			first, at = due, n
		}
	}
	if at < 0 || first > w.now+msg.Time(time.Minute) {
		return false
	}
	w.now = max(w.now, first)
	w.step(msg.Partition(at), msg.Command{Kind: msg.CommandTick})
	return true
}

// count is what an actor has counted.
func (w *world) count(id string) int {
	i := invocation(remote.InvocationCall, id, "/add")
	ref := kar.RefOf(&i)
	s := w.parts[msg.PartitionOf(ref, "", partitions)].State(ref)
	if s.Fields == nil {
		return 0
	}
	value, _ := s.Fields.Entry(remote.FieldState, "n")
	n, _ := strconv.Atoi(string(value))
	var root remote.Actor
	if err := remote.Decode("Actor", s.Root.Body, &root); err != nil || !root.IsIdle() || root.Flow != "" {
		w.fail("%s is not idle: %+v, %v", id, root, err)
	}
	for _, name := range s.Fields.Names() {
		if name != remote.FieldState {
			w.fail("%s has left %s behind", id, name)
		}
	}
	return n
}

// live runs a world to its end. It gives what is wrong with it; empty: nothing.
func live(seed uint64, planted bug) (w *world, wrong string) {
	defer func() {
		if p := recover(); p != nil {
			f, ok := p.(failure)
			if !ok {
				panic(p)
			}
			wrong = string(f)
		}
	}()
	w = newWorld(seed, planted)
	want := map[string]int{}
	for n := range 4 {
		w.callers = append(w.callers, &caller{name: fmt.Sprint("k", n), left: 8})
	}
	for steps := 0; w.turn(want); steps++ {
		if steps == 6000 {
			w.faults = false
		}
		if steps > 60000 {
			w.fail("the world does not come to rest")
		}
	}
	for _, c := range w.callers {
		if c.current != nil || c.left > 0 {
			w.fail("%s waits for ever for %s", c.name, c.current.Path)
		}
	}
	if w.ending > 0 {
		w.fail("%d wait for ever for the end of an invocation", w.ending)
	}
	for _, id := range slices.Sorted(maps.Keys(want)) {
		if got := w.count(id); got != want[id] {
			w.fail("%s has counted %d, want %d", id, got, want[id])
		}
	}
	return w, ""
}

func TestWorlds(t *testing.T) {
	crashes, deaths := 0, 0
	for seed := range uint64(*seeds) {
		w, wrong := live(seed, none)
		if wrong != "" {
			t.Fatalf("seed %d: %s; go test ./internal/kar -run Worlds -seeds=%d ends with it", seed, wrong, seed+1)
		}
		crashes, deaths = crashes+w.crashes, deaths+w.deaths
	}
	t.Logf("%d worlds, %d crashes of the server, %d deaths of attempts", *seeds, crashes, deaths)
	if crashes == 0 || deaths == 0 {
		t.Error("nothing has died")
	}
}

func TestPlantedBugsAreFound(t *testing.T) {
	for _, planted := range []bug{forgetsSent, unsettled, writesAtOnce, asksAnew, losesSends, letsAllIn, forgetsWaiter, endsEarly, forgetsEnding} {
		found := ""
		for seed := uint64(0); seed < 200 && found == ""; seed++ {
			_, found = live(seed, planted)
		}
		if found == "" {
			t.Errorf("%s: nobody notices", planted)
		}
		t.Logf("%s: %s", planted, found)
	}
}

func TestTheSameSeedGivesTheSameWorld(t *testing.T) {
	for seed := range uint64(5) {
		first, _ := live(seed, none)
		second, _ := live(seed, none)
		if !reflect.DeepEqual(first.log, second.log) {
			t.Errorf("seed %d: two logs differ", seed)
		}
	}
}

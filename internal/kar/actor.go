package kar

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/remote"
)

// The fields of an actor that only this package knows; the others are those of
// package remote.
const (
	fieldQueue = "q"  // values are Invocations that wait, keys their places
	fieldSent  = "c:" // and the name of a request: values are Sent, keys those of Calls
)

// The names of an actor's timers.
const (
	timerReminder = "r:" // and the id of the reminder
	timerBusy     = "b:" // and a place in the queue
)

// actorTurn is a turn of an actor or a service.
type actorTurn struct {
	t      *msg.Turn
	o      *msg.Outcome
	self   remote.Target
	root   remote.Actor
	timers map[string]*msg.Reminder // that change; nil: cleared
	names  []string                 // of them, in the order in which they first changed
	state  overlay
}

// actorTurn runs a handler of an actor or of a service.
func (p *Program) actorTurn(t *msg.Turn, o *msg.Outcome) error {
	a := &actorTurn{t: t, o: o, timers: map[string]*msg.Reminder{}, state: overlay{fields: t.State.Fields}}
	var err error
	if a.self, err = remote.ParseActor(t.Message.Target.Key); err != nil {
		return err
	}
	if err := remote.Decode("Actor", t.State.Root.Body, &a.root); err != nil {
		return err
	}
	if t.Message.Handler == HandlerQuery {
		return a.query()
	}
	if err := a.run(); err != nil {
		return err
	}
	a.finish()
	return nil
}

func (a *actorTurn) run() error {
	switch a.t.Message.Handler {
	case HandlerInvoke:
		return a.invoked()
	case HandlerDone:
		return a.done()
	case HandlerOperate:
		return a.operate()
	case HandlerResult:
		return a.told()
	case HandlerSettled:
		a.settled(string(a.t.Message.Payload.Body))
	case HandlerEnded:
		return a.ended()
	case HandlerChange:
		return a.changed()
	case HandlerReminder:
		return a.reminded()
	case HandlerTimeout:
		return a.busyFor()
	case HandlerEvent:
		return a.event()
	case HandlerDrain:
		return a.drain()
	case HandlerPurge:
		return a.purge()
	default:
		return errNoHandler(a.t)
	}
	return nil
}

// finish puts what the turn has come to into its outcome. An actor of which
// nothing is left is deleted.
func (a *actorTurn) finish() {
	for _, name := range a.names {
		if r := a.timers[name]; r != nil {
			a.o.Remind = append(a.o.Remind, *r)
		} else {
			a.o.Forget = append(a.o.Forget, name)
		}
	}
	a.o.Changes = append(a.o.Changes, a.state.changes...)
	if a.root.IsIdle() && a.state.empty() {
		a.o.Delete = a.t.State.Exists
		a.o.Changes = nil
		return
	}
	a.o.Root = &msg.Payload{ContentType: ContentType, Body: remote.Append(nil, &a.root)}
}

// timer sets a timer, or clears it.
func (a *actorTurn) timer(name string, r *msg.Reminder) {
	if _, known := a.timers[name]; !known {
		a.names = append(a.names, name)
	}
	if r != nil {
		r.Name = name
	}
	a.timers[name] = r
}

// waitingMax is how many invocations may wait for an actor when another one comes
// from outside. What actors send each other is never refused.
const waitingMax = 100_000

// invoked takes an invocation from outside or from another entity.
func (a *actorTurn) invoked() error {
	var i remote.Invocation
	if err := remote.Decode("Invocation", a.t.Message.Payload.Body, &i); err != nil {
		return err
	}
	if a.root.Waiting >= waitingMax && a.t.Message.Kind == msg.MessageCall {
		full := remote.Failed(429, "%d invocations wait for %s: no more can", a.root.Waiting, i.Target)
		a.o.Output = result(&full)
		return nil
	}
	if i.To.IsZero() && i.Kind == remote.InvocationCall {
		i.To, a.o.Later = waiting(a.t), true
	} else {
		a.o.Output = result(&remote.Result{Status: 202})
	}
	if i.StartWithin > 0 && i.StartBy == 0 {
		i.StartBy = a.t.Now + msg.Time(i.StartWithin)
	}
	a.take(&i)
	return nil
}

// take lets an invocation enter, or queues it. The calls of the flow that holds
// the actor enter beside each other.
func (a *actorTurn) take(i *remote.Invocation) {
	if a.root.Flow == "" && len(a.root.Active) == 0 || i.Kind == remote.InvocationCall && i.Flow == a.root.Flow {
		a.enter(i)
		return
	}
	place := fmt.Sprintf("%016x", a.root.Next)
	a.root.Next++
	a.root.Waiting++
	a.state.put(fieldQueue, place, remote.Append(nil, i))
	if i.BusyTimeout > 0 {
		a.timer(timerBusy+place, &msg.Reminder{Handler: HandlerTimeout, Due: a.t.Now + msg.Time(i.BusyTimeout)})
	}
}

// pauses between attempts of which each has ended with its process.
var attemptsRetry = msg.Retry{First: time.Millisecond, Max: 5 * time.Second, FactorPercent: 200}

// enter begins the attempts of an invocation.
func (a *actorTurn) enter(i *remote.Invocation) {
	a.root.Flow = i.Flow
	a.root.Active = append(a.root.Active, remote.Active{Request: i.Request, Kind: i.Kind, Sequence: i.Sequence, To: i.To})
	i.To = remote.Address{}
	begin := remote.Assignment{Invocation: *i}
	if len(a.root.Active) == 1 {
		begin.State, begin.Whole = a.state.small(stateBytesMax)
	}
	a.o.Tasks = append(a.o.Tasks, msg.Task{Activity: Activity, Handler: HandlerDone, Retry: attemptsRetry, Input: payload(remote.Append(nil, &begin))})
}

// stateBytesMax is how much state comes with an invocation: what would otherwise
// be asked for. It is written to the log once more for that.
const stateBytesMax = 1 << 10

// leave ends an invocation. When it was the last of its flow, the next one
// enters that waits.
func (a *actorTurn) leave(n int) {
	a.state.clear(fieldSent + a.root.Active[n].Request)
	for i := range a.root.Active[n].Ending {
		respond(a.o, &a.root.Active[n].Ending[i], &remote.Result{Status: 200})
	}
	a.root.Active = slices.Delete(a.root.Active, n, n+1)
}

// next lets the next one enter if nobody holds the actor.
func (a *actorTurn) next() error {
	if len(a.root.Active) > 0 {
		return nil
	}
	a.root.Flow = ""
	place, value, ok := a.state.first(fieldQueue)
	if !ok {
		a.root.Waiting, a.root.Next = 0, 0
		return nil
	}
	i, err := a.unqueue(place, value)
	if err != nil {
		return err
	}
	a.enter(i)
	return nil
}

// unqueue takes an invocation out of the queue.
func (a *actorTurn) unqueue(place string, value []byte) (*remote.Invocation, error) {
	var i remote.Invocation
	if err := remote.Decode("Invocation", value, &i); err != nil {
		return nil, err
	}
	a.state.remove(fieldQueue, place)
	a.root.Waiting--
	if i.BusyTimeout > 0 {
		a.timer(timerBusy+place, nil)
	}
	return &i, nil
}

// busyFor gives up an invocation that has waited for too long.
func (a *actorTurn) busyFor() error {
	place := strings.TrimPrefix(a.t.Message.Reminder, timerBusy)
	value, ok := a.state.entry(fieldQueue, place)
	if !ok {
		return nil
	}
	i, err := a.unqueue(place, value)
	if err != nil {
		return err
	}
	a.timers = map[string]*msg.Reminder{} // it has fired
	a.names = nil
	failed := remote.Failed(500, "Possible deadlock: timed out waiting in instance queue for %v to run %s of %s", i.BusyTimeout, i.Path, i.Target)
	respond(a.o, &i.To, &failed)
	return nil
}

// done takes what an attempt came to.
func (a *actorTurn) done() error {
	if failed := a.t.Message.Err; failed != nil { // nothing that this package asks for makes it
		r := remote.Failed(500, "%v", failed)
		for len(a.root.Active) > 0 {
			respond(a.o, &a.root.Active[0].To, &r)
			a.leave(0)
		}
		return a.next()
	}
	var c remote.Completion
	if err := remote.Decode("Completion", a.t.Message.Payload.Body, &c); err != nil {
		return err
	}
	n := a.root.Find(c.Request)
	if n < 0 {
		return nil // it was purged
	}
	active := a.root.Active[n]
	for i := range c.Changes {
		a.apply(&c.Changes[i])
	}
	for i := range c.Sends {
		if _, err := a.send(&active, &c.Sends[i], false); err != nil {
			return err
		}
	}
	if active.Kind == remote.InvocationDelete && c.Result.Failure == "" {
		a.forget()
	}
	a.leave(n)
	if c.Tail != nil {
		a.tail(&active, c.Tail, c.Release)
		return a.next()
	}
	if a.t.Message.Target.Kind == KindService && active.Sequence > 0 {
		wrap(&c.Result)
	}
	respond(a.o, &active.To, &c.Result)
	return a.next()
}

// wrap makes the answer of a service that ends a chain of tail calls what an
// actor would have answered.
func wrap(r *remote.Result) {
	if r.Failure != "" || r.Status != 200 {
		return
	}
	value := r.Body
	if !isJSON(r.ContentType) || !json.Valid(value) {
		value, _ = json.Marshal(string(value)) // a string always has a JSON form
	}
	r.ContentType, r.Headers = "application/kar+json", nil
	r.Body = fmt.Appendf(nil, `{"value":%s}`, value)
}

// tail hands the obligation of an invocation over to another one. To the same
// actor, it stays with the flow, unless it is let go in between.
func (a *actorTurn) tail(from *remote.Active, to *remote.Invocation, release bool) {
	to.Request, to.Flow, to.Kind, to.Sequence, to.To = from.Request, a.root.Flow, from.Kind, from.Sequence+1, from.To
	if !to.Target.IsService() && to.Target == a.self && a.t.Message.Target.Kind == KindActor {
		if release {
			a.o.Sends = append(a.o.Sends, invoke(to))
			return
		}
		to.StartBy, to.StartWithin = 0, 0
		a.enter(to)
		return
	}
	a.o.Sends = append(a.o.Sends, invoke(to))
}

// invoke is the message that carries an invocation to where it runs.
func invoke(i *remote.Invocation) msg.Outgoing {
	return msg.Outgoing{Target: instanceOf(i), Handler: HandlerInvoke, Payload: payload(remote.Append(nil, i))}
}

// operate sends what an attempt sends in its middle.
func (a *actorTurn) operate() error {
	var r remote.Request
	if err := remote.Decode("Request", a.t.Message.Payload.Body, &r); err != nil {
		return err
	}
	n := a.root.Find(r.Name)
	if n < 0 {
		stale := remote.Failed(409, "request %s is not active at %s: it has ended", r.Name, a.self)
		a.o.Output = result(&stale)
		return nil
	}
	var last *remote.Sent
	for i := range r.Sends {
		sent, err := a.send(&a.root.Active[n], &r.Sends[i], i == len(r.Sends)-1)
		if err != nil {
			return err
		}
		last = sent
	}
	switch {
	case last == nil:
		a.o.Output = result(&remote.Result{Status: 202})
	case last.Pending:
		a.o.Later = true
	default:
		a.o.Output = result(&last.Result)
	}
	return nil
}

// send sends something once. What is the same was sent by an earlier attempt, and
// its result is there or will be. It gives what is remembered of it.
func (a *actorTurn) send(by *remote.Active, s *remote.Outgoing, awaited bool) (*remote.Sent, error) {
	field, key := fieldSent+by.Request, s.Call.Key()
	sent := &remote.Sent{Pending: s.Topic == "" && len(s.Changes) == 0 && s.Invocation.Kind == remote.InvocationCall}
	value, known := a.state.entry(field, key)
	switch {
	case known:
		sent = &remote.Sent{}
		if err := remote.Decode("Sent", value, sent); err != nil {
			return nil, err
		}
	default:
		a.release(by, s)
	}
	if sent.Pending && awaited {
		sent.Waiters = append(sent.Waiters, waiting(a.t))
	}
	if !known && sent.Pending {
		by.Calls++
	}
	if sent.Pending || !known && a.state.size(field) < sentMax {
		a.state.put(field, key, remote.Append(nil, sent))
	}
	return sent, nil
}

// What is remembered of what an invocation has sent: so many sends, and results
// of so many bytes in all. What is over that is sent again by another attempt.
const (
	sentMax      = 1000
	sentBytesMax = 1 << 20
)

// release lets something leave.
func (a *actorTurn) release(by *remote.Active, s *remote.Outgoing) {
	switch i := &s.Invocation; {
	case s.Topic != "":
		e := remote.Event{Topic: s.Topic, ContentType: i.ContentType, Body: i.Body}
		a.o.Sends = append(a.o.Sends, msg.Outgoing{Target: msg.Ref{Kind: KindTopic, Key: s.Topic}, Handler: HandlerPublish, Payload: payload(remote.Append(nil, &e))})
	case len(s.Changes) > 0:
		for n := range s.Changes {
			a.apply(&s.Changes[n])
		}
	case i.Kind == remote.InvocationPromise:
		a.o.Sends = append(a.o.Sends, msg.Outgoing{Target: RefOf(i), Handler: HandlerBegin, Payload: payload(remote.Append(nil, i))})
	default:
		if i.Kind == remote.InvocationCall {
			i.To = remote.Address{Entity: a.t.Message.Target, Request: by.Request, Call: s.Call}
		}
		a.o.Sends = append(a.o.Sends, invoke(i))
	}
}

// told takes the outcome of a call.
func (a *actorTurn) told() error {
	var t remote.Told
	if err := remote.Decode("Told", a.t.Message.Payload.Body, &t); err != nil {
		return err
	}
	field, key := fieldSent+t.Request, t.Call.Key()
	n := a.root.Find(t.Request)
	value, known := a.state.entry(field, key)
	if n < 0 || !known {
		return nil // nobody waits any more
	}
	var sent remote.Sent
	if err := remote.Decode("Sent", value, &sent); err != nil {
		return err
	}
	if !sent.Pending {
		return nil
	}
	for i := range sent.Waiters {
		respond(a.o, &sent.Waiters[i], &t.Result)
	}
	by := &a.root.Active[n]
	done := remote.Append(nil, &remote.Sent{Result: t.Result})
	if by.SentBytes += uint64(len(done)); by.SentBytes <= sentBytesMax && a.state.size(field) <= sentMax {
		a.state.put(field, key, done)
	} else {
		a.state.remove(field, key)
	}
	by.Calls--
	if by.Calls == 0 {
		for i := range by.Settling {
			respond(a.o, &by.Settling[i], &remote.Result{Status: 200})
		}
		by.Settling = nil
	}
	return nil
}

// settled answers when no call of a request is under way.
func (a *actorTurn) settled(request string) {
	if n := a.root.Find(request); n >= 0 && a.root.Active[n].Calls > 0 {
		a.root.Active[n].Settling = append(a.root.Active[n].Settling, waiting(a.t))
		a.o.Later = true
		return
	}
	a.o.Output = result(&remote.Result{Status: 200})
}

// ended answers when an invocation is not attempted any more: what it came to is
// done then.
func (a *actorTurn) ended() error {
	var i remote.Invocation
	if err := remote.Decode("Invocation", a.t.Message.Payload.Body, &i); err != nil {
		return err
	}
	if n := a.root.Find(i.Request); n >= 0 && a.root.Active[n].Sequence == i.Sequence {
		a.root.Active[n].Ending = append(a.root.Active[n].Ending, waiting(a.t))
		a.o.Later = true
		return nil
	}
	a.o.Output = result(&remote.Result{Status: 200})
	return nil
}

// drain forgets who waits, and the subscriptions.
func (a *actorTurn) drain() error {
	count, gone := uint64(a.root.Waiting), remote.Failed(500, "drained while it waited for %s", a.self)
	for a.root.Waiting > 0 {
		place, value, ok := a.state.first(fieldQueue)
		if !ok {
			break
		}
		i, err := a.unqueue(place, value)
		if err != nil {
			return err
		}
		respond(a.o, &i.To, &gone)
	}
	a.apply(&remote.Change{Kind: remote.ChangeClear, Field: remote.FieldSubscriptions})
	a.o.Output = answer(remote.Answer{Count: count})
	return nil
}

// purge forgets everything, and tells who waits.
func (a *actorTurn) purge() error {
	if err := a.drain(); err != nil {
		return err
	}
	gone := remote.Failed(500, "%s was purged", a.self)
	for len(a.root.Active) > 0 {
		respond(a.o, &a.root.Active[0].To, &gone)
		a.leave(0)
	}
	a.root = remote.Actor{}
	a.forget()
	return nil
}

// forget takes state, reminders and subscriptions away.
func (a *actorTurn) forget() {
	a.apply(&remote.Change{Kind: remote.ChangeReset})
	a.apply(&remote.Change{Kind: remote.ChangeClear, Field: remote.FieldReminders})
	a.apply(&remote.Change{Kind: remote.ChangeClear, Field: remote.FieldSubscriptions})
}

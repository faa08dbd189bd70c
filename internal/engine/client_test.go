package engine

import (
	"encoding/binary"
	"encoding/json"
	"strconv"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// client makes one request after the other, in one of three ways: with the
// numbers of a session, with idempotency keys, or with nothing, so that what
// was not answered cannot be repeated.
type client struct {
	w       *world
	way     way
	session msg.SessionID
	number  uint64
	current *ask
	past    []*ask // with keys: they may be repeated at any time
}

type way int

const (
	bySession way = iota
	byKey
	anonymously
)

// ask is a request with everything that is known about it.
type ask struct {
	client  *client
	request msg.Request
	plan    *plan            // nil: it only looks
	sent    msg.InvocationID // the last attempt
	waiting *waiter
	reply   *msg.Reply // the answer that counts
	status  msg.Status // of a submitted one, once it is known
	refused bool       // the last attempt was refused: it may be made again
	closed  bool       // nobody asks any more
	givenUp bool       // an operator, or the limit of attempts, ended it
	notDone bool       // it was refused and is not repeated: it must not have happened
}

// waiter waits for one attempt of an ask.
type waiter struct {
	ask    *ask
	floor  int       // reads: count that has been seen before it began
	result bool      // it asks how a submitted invocation ended
	least  msg.Index // inspections: the version that has been seen before it began
	got    int
	left   bool

	operator *world // nobody else: what is asked must be possible
}

// Answer implements msg.Waiter. The world answers in another way.
func (*waiter) Answer(msg.Reply) {}

func newClient(w *world, n int) *client {
	c := &client{w: w, way: way(n % 3)}
	binary.BigEndian.PutUint64(c.session[:], uint64(n+1))
	return c
}

// act does the next thing of a client.
func (c *client) act() {
	w := c.w
	switch a := c.current; {
	case a == nil && w.chance(25):
		c.look()
	case a == nil && w.chance(10) && len(c.past) > 0 && !w.options.forgetful:
		c.repeat(c.past[w.random.IntN(len(c.past))])
	case a == nil:
		c.begin()
	case a.waiting != nil && w.chance(2):
		c.lose(a)
	case a.waiting != nil:
	case a.reply == nil:
		a.send()
	case a.submitted() && a.status == msg.StatusUnknown:
		a.sendResult()
	case c.way != anonymously && w.chance(15) && a.plan != nil:
		c.repeat(a)
	default:
		c.current = nil
	}
}

// begin makes a new request.
func (c *client) begin() {
	w := c.w
	kind, key := w.planner.target()
	a := &ask{client: c, request: msg.Request{Target: msg.Ref{Kind: kind, Key: key}, Handler: "do"}}
	if kind == "account" && w.chance(10) {
		a.request.Handler = "did"
	}
	switch {
	case w.chance(20):
		a.request.Operation = msg.OperationSubmit
		if w.chance(30) {
			a.request.NotBefore = w.now + msg.Time(w.duration(2*time.Second))
		}
	case kind == "brief" && w.chance(10):
		a.request.Operation, a.request.Handler = msg.OperationDelete, ""
	}
	if w.chance(15) {
		c.raise(a)
		return
	}
	p := w.planner.make(kind, 2, true)
	if kind == "flow" {
		a.request.Target.Key, a.request.Handler = p.Token, msg.HandlerRun
	}
	if a.request.Operation == msg.OperationSubmit && w.chance(10) {
		p.Panics = 1 // nobody waits for the first turn
	}
	p.NotBefore = a.request.NotBefore
	if a.request.Operation == msg.OperationDelete {
		p = plan{Token: p.Token}
	}
	a.plan, a.request.Payload = &p, payloadOf(kind, &p)
	c.identify(a)
}

// raise makes a new request that raises an event.
func (c *client) raise(a *ask) {
	w := c.w
	f := w.planner.placed(w.planner.fact(w.planner.accounts()))
	a.plan = &plan{Token: f.Token, Raise: f, Fail: f.Refuse != ""}
	a.request = msg.Request{Operation: msg.OperationRaise, Target: f.refs()[0], Handler: "moved", Refs: f.refs(), Payload: f.payload(), Wait: w.chance(70)}
	c.identify(a)
}

// identify says how a request is recognised when it is repeated, and makes it.
func (c *client) identify(a *ask) {
	w := c.w
	switch c.way {
	case bySession:
		c.number++
		a.request.Identity = msg.Identity{Session: c.session, SessionNumber: c.number}
	case byKey:
		a.request.Identity.IdempotencyKey = "key" + a.plan.Token
		c.past = append(c.past, a)
	}
	w.asks = append(w.asks, a)
	c.current = a
	a.send()
}

// look reads, in one of several ways.
func (c *client) look() {
	kind, key := c.w.planner.target()
	for kind == "flow" {
		kind, key = c.w.planner.target()
	}
	a := &ask{client: c, request: msg.Request{Target: msg.Ref{Kind: kind, Key: key}, Handler: "look"}}
	switch c.w.random.IntN(4) {
	case 0:
		a.request.Operation = msg.OperationPeek
	case 1:
		a.request.Operation, a.request.Handler = msg.OperationInspect, ""
	}
	c.current = a
	a.send()
}

// submitted says that the request is answered before it is done.
func (a *ask) submitted() bool {
	return a.request.Operation == msg.OperationSubmit || a.request.Operation == msg.OperationRaise && !a.request.Wait
}

// planned is the kind of what is asked for, as plans name it: none is an event.
func (a *ask) planned() string {
	if a.request.Operation == msg.OperationRaise {
		return ""
	}
	return a.request.Target.Kind
}

// send makes an attempt.
func (a *ask) send() {
	w := a.client.w
	wt := &waiter{ask: a}
	if strict(a.request.Target.Kind) {
		wt.floor = w.floor(a.request.Target)
	}
	wt.least = w.stamps["version "+a.request.Target.String()]
	a.waiting, a.refused = wt, false
	r := a.request
	w.invocations++
	to := w.place(r.Target)
	r.Invocation = msg.NewInvocationID(to, 1<<16, w.invocations)
	a.sent = r.Invocation
	w.step(to, msg.Command{Kind: msg.CommandRequest, Request: &r, Waiter: wt})
}

func (a *ask) sendResult() {
	wt := &waiter{ask: a, result: true}
	a.waiting = wt
	id := a.reply.Invocation
	a.client.w.step(id.Partition(), msg.Command{Kind: msg.CommandRequest, Waiter: wt, Request: &msg.Request{
		Operation: msg.OperationResult, Invocation: id, Wait: a.client.w.chance(70)}})
}

// repeat asks again for what was answered: the answer must be the same.
func (c *client) repeat(a *ask) {
	c.w.stats.repeated++
	a.send()
	if c.current != a {
		a.waiting = nil // it is compared when it comes; nobody waits
	}
}

// lose stops waiting. What has an identity is asked for again; nobody knows
// about the rest.
func (c *client) lose(a *ask) {
	w := c.w
	wt := a.waiting
	wt.left, a.waiting = true, nil
	if w.chance(50) {
		w.step(w.place(a.request.Target), msg.Command{Kind: msg.CommandLeave, Waiter: wt,
			Request: &msg.Request{Invocation: a.sent}})
	}
	if c.way == anonymously && a.reply == nil {
		a.closed, c.current = true, nil
	}
}

// disconnect is a crash of the server.
func (c *client) disconnect() {
	if a := c.current; a != nil && a.waiting != nil {
		c.lostConnection(a)
	}
}

func (c *client) lostConnection(a *ask) {
	a.waiting = nil
	if c.way == anonymously && a.reply == nil {
		a.closed, c.current = true, nil
	}
}

// conclude brings the current request to its end. It reports whether it has.
func (c *client) conclude() bool {
	a := c.current
	switch {
	case a == nil:
		return true
	case a.waiting != nil:
		return false
	case a.reply == nil:
		a.send()
		return false
	case a.submitted() && a.status == msg.StatusUnknown:
		a.sendResult()
		return false
	}
	c.current = nil
	return true
}

// answer is how a reply reaches whoever asked.
func (wt *waiter) answer(h *held) {
	if wt.operator != nil {
		if h.reply.Err != nil && !retryable(&h.reply) {
			wt.operator.violate("an operator was refused: %v", h.reply.Err)
		}
		return
	}
	a, w := wt.ask, wt.ask.client.w
	if wt.got++; wt.got > 1 {
		w.violate("a request for %s was answered %d times", a.request.Target, wt.got)
	}
	if a.waiting == wt {
		a.waiting = nil
	}
	w.stats.answered++
	switch {
	case wt.result:
		a.takeResult(&h.reply)
	case a.plan == nil:
		wt.takeRead(&h.reply)
	default:
		wt.takeUpdate(&h.reply)
	}
}

// retryable says that nothing was done and that the same may be asked again.
func retryable(r *msg.Reply) bool {
	return r.Err != nil && (r.Err.Code == msg.CodeUnavailable || r.Err.Code == msg.CodeResourceExhausted)
}

func (wt *waiter) takeUpdate(r *msg.Reply) {
	a, w := wt.ask, wt.ask.client.w
	switch {
	case retryable(r):
		w.stats.refused++
		a.refused = true
		if a.client.way == anonymously && !wt.left {
			a.closed, a.notDone, a.client.current = true, true, nil
		}
		return
	case r.Err != nil && r.Err.Code == msg.CodeConflict:
		if a.client.way != bySession || a.client.current == a && a.reply == nil {
			w.violate("%s %s was refused: %v", a.request.Target, a.plan.Token, r.Err)
		}
		return
	case r.Err != nil && r.Err.Code == msg.CodeUnprocessable:
		w.violate("%s %s was refused: %v", a.request.Target, a.plan.Token, r.Err)
	}
	reply := *r
	if a.submitted() {
		reply = msg.Reply{Invocation: r.Invocation} // a repeat may be answered with more
	}
	if a.reply != nil && !sameReply(a.reply, &reply) {
		w.violate("%s %s was answered %+v and then %+v", a.request.Target, a.plan.Token, *a.reply, reply)
	}
	if a.reply == nil && (a.request.Operation == msg.OperationCall || a.request.Operation == msg.OperationRaise && a.request.Wait) {
		w.checkOutcome(a, r)
	}
	a.reply = &reply
}

// checkOutcome compares an outcome with what the plan asks for.
func (w *world) checkOutcome(a *ask, r *msg.Reply) {
	if w.givenUp(r.Err) {
		a.givenUp = true
		return
	}
	if failed := r.Err != nil; failed != a.plan.failsAtEnd() {
		w.violate("%s %s was answered %v", a.request.Target, a.plan.Token, r.Err)
	}
}

// givenUp says that an error is of an input that was not tried any more.
func (w *world) givenUp(e *msg.Error) bool {
	return w.options.operator && e != nil && (e.Code == msg.CodeQuarantined || e.Code == msg.CodeFailed || e.Code == msg.CodePanic)
}

func (a *ask) takeResult(r *msg.Reply) {
	w := a.client.w
	switch {
	case r.Err != nil && r.Status == msg.StatusUnknown:
		w.violate("submitted %s is not known: %v", a.plan.Token, r.Err)
	case r.Status == msg.StatusPending:
		return
	case w.givenUp(r.Err):
		a.givenUp = true
	case (r.Status == msg.StatusFailed) != a.plan.failsAtEnd():
		w.violate("submitted %s ended as %s: %v", a.plan.Token, r.Status, r.Err)
	}
	a.status = r.Status
}

// takeRead checks that a read sees whatever was seen before it began.
func (wt *waiter) takeRead(r *msg.Reply) {
	a, w := wt.ask, wt.ask.client.w
	if retryable(r) {
		return
	}
	a.reply = r
	body := r.Payload.Body
	if a.request.Operation == msg.OperationInspect {
		if !r.Found {
			return
		}
		body = r.State.Root.Body
		wt.checkVersion(r)
	}
	if !strict(a.request.Target.Kind) {
		return
	}
	var root ledger
	if len(body) > 0 {
		if err := json.Unmarshal(body, &root); err != nil {
			w.violate("%s was read as %q: %v", a.request.Target, body, err)
		}
	}
	if root.Count < wt.floor {
		w.violate("%s was read at count %d after %d had been seen", a.request.Target, root.Count, wt.floor)
	}
	w.saw(a.request.Target, root.Count)
}

// checkVersion checks that a version names one state and never comes back.
func (wt *waiter) checkVersion(r *msg.Reply) {
	a, w := wt.ask, wt.ask.client.w
	target := a.request.Target.String()
	if r.Version < wt.least {
		w.violate("%s has version %d after %d", target, r.Version, wt.least)
	}
	state := target + " " + strconv.Itoa(int(r.Version)) + " is "
	text := digest(r.State)
	if known := w.states[state]; known != "" && known != text {
		w.violate("%s has two states at version %d:\n%s\n%s", target, r.Version, known, text)
	}
	w.states[state] = text
	w.stamps["version "+target] = max(w.stamps["version "+target], r.Version)
}

// floor is the highest count of an entity that anybody was told.
func (w *world) floor(ref msg.Ref) int { return int(w.stamps["count "+ref.String()]) }

func (w *world) saw(ref msg.Ref, count int) {
	name := "count " + ref.String()
	w.stamps[name] = max(w.stamps[name], msg.Index(count))
}

func (w *world) place(ref msg.Ref) msg.Partition { return w.partitions[0].place(ref, "") }

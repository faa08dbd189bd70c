package kar

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-io/holdfast/internal/kar"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/remote"
	"github.com/holdfast-io/holdfast/internal/session"
)

// client is the session of one process. What is not said otherwise is guarded by
// Frontend.mu.
type client struct {
	f         *Frontend
	app, name string                       // never change
	conn      *session.Conn                // nil: broken
	current   atomic.Pointer[session.Conn] // the same, for answers, which take no lock
	hello     *remote.Hello
	left      time.Time // when the connection broke
	goodbye   bool
	dead      bool
	live      map[uint64]uint32 // attempts that the process said it had when it connected, by token

	askedMu sync.Mutex        // of asked
	asked   map[uint32]*asked // by lane
}

// asked is a request that has been brought to an entity.
type asked struct {
	number uint64
	leave  func()
}

func newClient(f *Frontend, h *remote.Hello) *client {
	return &client{f: f, app: h.App, name: h.Session, hello: h, asked: map[uint32]*asked{}}
}

// connect makes a connection the current one; nil: it is broken. It is called
// with mu held.
func (c *client) connect(conn *session.Conn) {
	c.conn = conn
	c.current.Store(conn)
}

// send sends a frame over the connection, if there is one. It never waits: what
// has no credit is sent beside, in any order.
func (c *client) send(t session.FrameType, n remote.Noun) {
	if conn := c.current.Load(); conn != nil && !conn.Post(t, n) {
		go func() { _ = conn.Send(t, n) }() // its reader sees what is wrong
	}
}

// assign sends an assignment: as the task has it, with token and attempt.
func (c *client) assign(a *attempt) {
	if a.input == nil {
		c.send(session.FrameAssignment, &a.Assignment)
		return
	}
	c.send(session.FrameAssignment, &remote.Encoded{Head: &remote.Assignment{Token: a.Token, Attempt: a.Attempt}, Rest: a.input})
}

// end says goodbye.
func (c *client) end(reason string) {
	if c.conn != nil {
		c.conn.Post(session.FrameGoodbye, &remote.Goodbye{Reason: reason})
		c.conn.End()
	}
}

// resume assigns again what the process should be doing: it knows what it has
// begun. What it says it has, and somebody else does, is stale.
func (c *client) resume(conn *session.Conn) {
	c.f.mu.Lock()
	defer c.f.mu.Unlock()
	if c.conn != conn {
		return
	}
	for _, a := range c.f.attempts {
		if a.at == c {
			c.assign(a)
		}
	}
	for _, l := range c.hello.Live {
		if a := c.f.attempts[l.Token]; a != nil && (a.at != c || a.Attempt != l.Attempt) {
			c.send(session.FrameStale, &l)
		}
	}
}

// take handles a frame of the process.
func (c *client) take(conn *session.Conn, t session.FrameType, body []byte) error {
	switch t {
	case session.FrameRequest:
		r := new(remote.Request)
		if err := remote.Decode("Request", body, r); err != nil {
			return err
		}
		c.requested(r)
	case session.FrameCompletion:
		done := new(completion)
		if err := remote.Decode("Completion", body, &done.Completion); err != nil {
			return err
		}
		if done.Request != "" {
			done.encoded = slices.Clone(body)
		}
		c.completed(done)
	case session.FrameInactive:
		var i remote.Inactive
		if err := remote.Decode("Inactive", body, &i); err != nil {
			return err
		}
		c.f.mu.Lock()
		if key := i.Actor.Key(); c.f.placed[key] == c && !c.busy(key) {
			delete(c.f.placed, key)
		}
		c.f.mu.Unlock()
	case session.FrameGoodbye:
		c.f.mu.Lock()
		c.goodbye = true
		c.f.mu.Unlock()
		return fmt.Errorf("the process has said goodbye")
	default:
		return fmt.Errorf("a frame of type %d, which is not known here", t)
	}
	return nil
}

// busy reports whether an actor has an attempt here. It is called with mu held.
func (c *client) busy(key string) bool {
	for _, a := range c.f.attempts {
		if a.at == c && a.Invocation.Target.Key() == key {
			return true
		}
	}
	return false
}

// completed takes what an attempt came to, from the process that is listened to.
func (c *client) completed(done *completion) {
	f := c.f
	f.mu.Lock()
	defer f.mu.Unlock()
	a := f.attempts[done.Token]
	if a == nil {
		return // it will be asked for again, or nobody needs it any more
	}
	if a.at != c || a.Attempt != done.Attempt {
		c.send(session.FrameStale, &remote.Attempt{Token: done.Token, Attempt: done.Attempt, Request: done.Request})
		return
	}
	delete(f.attempts, done.Token)
	if a.Invocation.Kind == remote.InvocationDelete && f.placed[a.Invocation.Target.Key()] == c {
		delete(f.placed, a.Invocation.Target.Key())
	}
	a.end(done)
}

// requested brings a request to its entity. It runs in the order in which the
// process has asked.
func (c *client) requested(r *remote.Request) {
	r.Target.App = c.app
	if r.Invocation != nil {
		r.Invocation.Target.App = c.app
	}
	for n := range r.Sends {
		r.Sends[n].Invocation.Target.App = c.app
	}
	q := &msg.Request{Operation: msg.OperationCall, Payload: msg.Payload{ContentType: kar.ContentType}}
	mutates := true
	switch r.Kind {
	case remote.RequestInvoke, remote.RequestEnded:
		if r.Invocation == nil {
			c.answer(r, &remote.Answer{Result: remote.Failed(400, "an invocation is missing")})
			return
		}
		q.Target, q.Handler = kar.RefOf(r.Invocation), kar.HandlerInvoke
		switch {
		case r.Kind == remote.RequestEnded:
			q.Handler = kar.HandlerEnded
		case r.Invocation.Kind == remote.InvocationPromise:
			q.Handler = kar.HandlerBegin
		}
		q.Payload.Body = remote.Append(nil, r.Invocation)
	case remote.RequestOperate:
		c.operate(r, q)
		return
	case remote.RequestAwait:
		q.Target, q.Handler = msg.Ref{Kind: kar.KindPromise, Key: r.Name}, kar.HandlerAwait
	case remote.RequestChange:
		q.Target, q.Handler = msg.Ref{Kind: kar.KindActor, Key: r.Target.Key()}, kar.HandlerChange
		q.Payload.Body = remote.Append(nil, r)
	case remote.RequestQuery:
		q.Target, q.Handler = msg.Ref{Kind: kar.KindActor, Key: r.Target.Key()}, kar.HandlerQuery
		q.Payload.Body = remote.Append(nil, &r.Query)
		mutates = false
	case remote.RequestTopicCreate, remote.RequestTopicDelete, remote.RequestPublish:
		q.Target, q.Handler = msg.Ref{Kind: kar.KindTopic, Key: r.Name}, topicHandlers[r.Kind]
		if r.Kind == remote.RequestPublish {
			q.Payload.Body = remote.Append(nil, &remote.Event{Topic: r.Name, Body: r.Body})
		}
	default:
		go c.operator(r) // it looks at many entities, and nobody waits behind it
		return
	}
	c.bring(r, q, mutates)
}

var topicHandlers = map[remote.RequestKind]string{
	remote.RequestTopicCreate: kar.HandlerCreate,
	remote.RequestTopicDelete: kar.HandlerDelete,
	remote.RequestPublish:     kar.HandlerPublish,
}

// operate brings what an attempt sends to its entity, if the attempt is listened
// to. That is looked at and done at once, so that what asks whether the calls of
// an attempt have ended comes later.
func (c *client) operate(r *remote.Request, q *msg.Request) {
	f := c.f
	f.mu.Lock()
	defer f.mu.Unlock()
	a := f.attempts[r.Token]
	if until := f.opened.Add(f.config.Lease); a == nil && c.live[r.Token] == r.Attempt && time.Now().Before(until) {
		go func() { // the server has begun, and has not taken up the attempt yet
			_, _ = f.waitFor(f.closed, until, func() bool { return f.attempts[r.Token] != nil })
			c.operate(r, q)
		}()
		return
	}
	if a == nil || a.at != c || a.Attempt != r.Attempt {
		c.answer(r, &remote.Answer{Result: remote.Failed(409, "the attempt %d is not listened to any more: another one has taken its place", r.Attempt)})
		return
	}
	r.Name = a.Invocation.Request
	q.Target, q.Handler = a.target, kar.HandlerOperate
	q.Payload.Body = remote.Append(nil, r)
	c.bring(r, q, true)
}

// forget leaves everything that was asked and not answered: nobody waits for it any
// more.
func (c *client) forget() {
	c.askedMu.Lock()
	all := c.asked
	c.asked = map[uint32]*asked{}
	c.askedMu.Unlock()
	for _, a := range all {
		a.leave()
	}
}

// bring asks an entity, and answers when it does.
func (c *client) bring(r *remote.Request, q *msg.Request, mutates bool) {
	if mutates {
		q.Identity = msg.Identity{Session: c.sessionOf(r.Lane), SessionNumber: r.Number}
	}
	entry := &asked{number: r.Number, leave: func() {}}
	c.askedMu.Lock()
	if before := c.asked[r.Lane]; before != nil {
		before.leave() // the same request, from before a break
	}
	c.asked[r.Lane] = entry
	c.askedMu.Unlock()
	leave := c.f.door.AskHidden(q, replier{c, r})
	c.askedMu.Lock()
	if c.asked[r.Lane] == entry {
		entry.leave = leave
	}
	c.askedMu.Unlock()
}

// sessionOf names the sequential session that a lane is.
func (c *client) sessionOf(lane uint32) msg.SessionID {
	return msg.SessionID(msg.FingerprintOf("lane", c.name, fmt.Sprint(lane)))
}

// replier turns the reply of an entity into an answer.
type replier struct {
	c *client
	r *remote.Request
}

// Answer implements msg.Waiter. It runs on the loops of the node: it must not
// wait.
func (w replier) Answer(reply msg.Reply) {
	c := w.c
	c.askedMu.Lock()
	if e := c.asked[w.r.Lane]; e != nil && e.number == w.r.Number {
		delete(c.asked, w.r.Lane)
	}
	c.askedMu.Unlock()
	c.answerReply(w.r, reply)
}

func (c *client) answerReply(r *remote.Request, reply msg.Reply) {
	a := new(remote.Answer)
	var err error
	switch {
	case reply.Err != nil:
		a.Result = failedResult(reply.Err)
	case slices.Contains([]remote.RequestKind{remote.RequestInvoke, remote.RequestOperate, remote.RequestAwait, remote.RequestEnded}, r.Kind):
		err = remote.Decode("Result", reply.Payload.Body, &a.Result)
	default:
		err = remote.Decode("Answer", reply.Payload.Body, a)
	}
	if err != nil {
		a = &remote.Answer{Result: remote.Failed(500, "%v", err)}
	}
	c.answer(r, a)
}

func failedResult(e *msg.Error) remote.Result {
	switch e.Code {
	case msg.CodeUnavailable:
		return remote.Failed(503, "%v", e)
	case msg.CodePayloadTooLarge:
		return remote.Failed(413, "%v", e)
	case msg.CodeInvalidArgument:
		return remote.Failed(400, "%v", e)
	}
	return remote.Failed(500, "%v", e)
}

// answer sends an answer. It takes no lock of the frontend.
func (c *client) answer(r *remote.Request, a *remote.Answer) {
	if size := bytesOf(a); size > session.BytesMax-answerRest {
		a = &remote.Answer{Result: remote.Failed(413, "the answer has %d bytes, and at most %d can be sent: ask for parts of it", size, session.BytesMax-answerRest)}
	}
	a.Lane, a.Number = r.Lane, r.Number
	c.send(session.FrameAnswer, a)
}

// answerRest is room for what an answer has beside bodies and entries.
const answerRest = 64 << 10

// bytesOf is how large an answer is, at most.
func bytesOf(a *remote.Answer) (size int) {
	const head = 32 // of an entry: tags and lengths
	for n := range a.Entries {
		e := &a.Entries[n]
		size += head + len(e.Field) + len(e.Key) + len(e.Value)
	}
	return size + len(a.Result.Body)
}

// operator answers what is asked about an application.
func (c *client) operator(r *remote.Request) {
	a := &remote.Answer{}
	var v any
	switch r.Kind {
	case remote.RequestSidecars:
		v = c.f.sidecars(c.app)
	case remote.RequestActors:
		v = c.f.active(c.app, r.Target.Type)
	case remote.RequestInstances:
		v = c.f.instances(c.app, r.Target.Type)
	case remote.RequestQuarantined:
		v = c.f.inQuarantine(c.app)
	case remote.RequestRelease, remote.RequestDrop:
		a.Found = c.f.decide(r.Name, r.Kind == remote.RequestRelease)
	case remote.RequestPurge:
		a.Count = c.f.everywhere(c.app, kar.HandlerPurge)
	case remote.RequestDrain:
		a.Count = c.f.everywhere(c.app, kar.HandlerDrain)
	default:
		a.Result = remote.Failed(400, "request %d is not known here", r.Kind)
	}
	if v != nil {
		a.Result = remote.Result{Status: 200, ContentType: "application/json"}
		a.Result.Body, _ = json.Marshal(v) // maps, lists and texts always have a JSON form
	}
	c.answer(r, a)
}

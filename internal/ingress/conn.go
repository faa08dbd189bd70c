package ingress

import (
	"bytes"
	"context"
	"time"

	"github.com/holdfast-io/holdfast/client"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/program"
)

// Keys of a page: what a list request gets that names no limit, and the
// most it may get: 1,000 keys of 1,024 bytes are 1 MiB.
const (
	ListLimitDefault = 100
	ListLimitMax     = 1000
)

// Horizon is 2200-01-01 in UTC: a later time in a request is a mistake, and
// nanoseconds since 1970 end in 2262.
const Horizon = msg.Time(7_258_118_400 * 1_000_000_000)

// door is what requests are brought to.
type door interface {
	Do(ctx context.Context, r *msg.Request) msg.Reply
	Describe() program.Description
}

// NewConn makes a connection to a door in the same process. It answers as the
// HTTP interface does, byte for byte, and takes the same requests.
//
// Every update without an idempotency key gets a place in a session, as over
// HTTP. A request whose ctx ends first goes on without its caller; the error
// then says that its fate is unknown.
func NewConn(d door) client.Conn {
	return &conn{door: d, sessions: client.NewSessions(), reads: readsOf(d.Describe())}
}

// conn is safe for concurrent use.
type conn struct {
	door     door
	sessions *client.Sessions
	reads    map[handlerName]bool
}

var _ client.Conn = (*conn)(nil)

type handlerName struct{ kind, handler string }

// readsOf lists the handlers that need no identity.
func readsOf(d program.Description) map[handlerName]bool {
	reads := make(map[handlerName]bool)
	for i := range d.Kinds {
		for _, handler := range d.Kinds[i].Handlers {
			if handler.Mode != msg.ModeRead {
				continue
			}
			reads[handlerName{d.Kinds[i].Name, handler.Name}] = true
			for _, alias := range handler.Aliases {
				reads[handlerName{d.Kinds[i].Name, alias}] = true
			}
		}
	}
	return reads
}

// Invoke implements client.Conn.
func (c *conn) Invoke(ctx context.Context, r client.Request) (client.Reply, error) {
	request, err := requestOf(ctx, &r, time.Now())
	if err != nil {
		return client.Reply{}, clientError(err, false)
	}
	mutates := c.mutates(request)
	var session *client.Session
	if mutates && request.Identity.IdempotencyKey == "" {
		session = c.sessions.Take()
		request.Identity.Session, request.Identity.SessionNumber = msg.SessionID(session.ID), session.Number
	}
	limit, target := request.Limit, request.Target // the request belongs to the door from now on
	operation, invocation := request.Operation, request.Invocation
	reply := c.door.Do(ctx, request)

	failed := reply.Err
	if operation == msg.OperationResult && reply.Status != msg.StatusUnknown {
		failed = nil // the error is how the invocation ended, not how asking did
	}
	unknown := mutates && failed != nil && fateUnknown(failed)
	if session != nil {
		endSession(session, unknown)
	}
	if failed != nil {
		return client.Reply{}, clientError(failed, unknown)
	}
	answer, err := answerOf(operation, target, invocation, limit, &reply)
	if err != nil {
		return client.Reply{}, clientError(err, false)
	}
	return answer, nil
}

func endSession(session *client.Session, unknown bool) {
	if unknown {
		session.Drop()
		return
	}
	session.Done()
}

func (c *conn) mutates(r *msg.Request) bool {
	switch r.Operation {
	case msg.OperationSubmit, msg.OperationDelete:
		return true
	case msg.OperationCall:
		return !c.reads[handlerName{r.Target.Kind, r.Handler}]
	}
	return false
}

// fateUnknown reports whether the request may be done, or being done, although
// it was answered with the error.
func fateUnknown(e *msg.Error) bool {
	switch e.Code {
	case msg.CodeUnavailable, msg.CodeDeadlineExceeded, msg.CodeCancelled:
		return true
	}
	return false
}

// clientError converts an error for the caller.
func clientError(e *msg.Error, unknown bool) *client.Error {
	retryable := e.Code == msg.CodeUnavailable || e.Code == msg.CodeResourceExhausted ||
		e.Class == msg.ClassUnavailable || e.Class == msg.ClassExhausted && e.Code != msg.CodePayloadTooLarge
	return &client.Error{
		Code: e.Code, Class: uint8(e.Class), Message: e.Message, Detail: e.Detail,
		Retryable: retryable, Unknown: unknown,
	}
}

// operations maps what client.Request.Operation may be.
var operations = map[client.Operation]msg.Operation{
	client.Call:      msg.OperationCall,
	client.Submit:    msg.OperationSubmit,
	client.Peek:      msg.OperationPeek,
	client.Inspect:   msg.OperationInspect,
	client.Exists:    msg.OperationExists,
	client.Delete:    msg.OperationDelete,
	client.Reminders: msg.OperationReminders,
	client.List:      msg.OperationList,
	client.Result:    msg.OperationResult,
}

// requestOf translates a request. The body is copied, because the caller may
// use its memory again while the request goes on.
func requestOf(ctx context.Context, r *client.Request, now time.Time) (*msg.Request, *msg.Error) {
	operation, ok := operations[r.Operation]
	if !ok {
		return nil, invalid("the operation %.100q is not known", r.Operation)
	}
	if operation == msg.OperationCall && r.OneWay {
		operation = msg.OperationSubmit
	}
	if r.Namespace != "" {
		return nil, invalid("the namespace is %.100q, but namespaces are reserved: leave it empty", r.Namespace)
	}
	request := &msg.Request{
		Operation: operation,
		Target:    msg.Ref{Kind: r.Kind, Key: r.Key},
		Handler:   r.Handler,
		Identity:  msg.Identity{IdempotencyKey: r.IdempotencyKey},
		After:     r.After,
		Wait:      r.Wait,
	}
	err := CheckIdempotencyKey(r.IdempotencyKey)
	if err == nil {
		request.Payload, err = Input(r.ContentType, bytes.Clone(r.Body))
	}
	if err == nil {
		request.Headers, err = Headers(r.Header)
	}
	if err == nil {
		err = setTimes(ctx, request, r, now)
	}
	if err == nil {
		err = setSubject(request, r)
	}
	if err != nil {
		return nil, err
	}
	return request, nil
}

// setSubject fills in what an operation is about that is not about an entity.
func setSubject(request *msg.Request, r *client.Request) *msg.Error {
	switch request.Operation {
	case msg.OperationResult:
		id, err := msg.ParseInvocationID(r.InvocationID)
		if err != nil {
			return invalid("%v", err)
		}
		request.Invocation = id
	case msg.OperationList:
		limit := r.Limit
		if limit < 0 {
			return invalid("the limit is %d, want a number from 1 to %d", limit, ListLimitMax)
		}
		if limit == 0 {
			limit = ListLimitDefault
		}
		request.Limit = min(limit, ListLimitMax) + 1 // one more shows whether a page follows
	}
	return nil
}

// setTimes fills in when the request may begin. Who waits for an answer gives
// up when ctx ends, so nothing need begin after that.
func setTimes(ctx context.Context, request *msg.Request, r *client.Request, now time.Time) *msg.Error {
	deadline := r.Deadline
	if until, ok := ctx.Deadline(); ok && request.Operation != msg.OperationSubmit {
		if deadline.IsZero() || until.Before(deadline) {
			deadline = until
		}
	}
	if r.Delay < 0 {
		return invalid("the delay is %v, it must not be below zero", r.Delay)
	}
	begin := r.NotBefore
	if r.Delay > 0 && begin.Before(now.Add(r.Delay)) {
		begin = now.Add(r.Delay)
	}
	if !begin.IsZero() && request.Operation != msg.OperationSubmit {
		return invalid("only a submitted request can be delayed")
	}
	if begin.After(Horizon.Std()) || deadline.After(Horizon.Std()) {
		return invalid("the request has a time after the year 2200")
	}
	if !deadline.IsZero() {
		request.Deadline = max(1, msg.TimeOf(deadline)) // over is over, and 0 is none
	}
	if begin.After(now) {
		request.NotBefore = msg.TimeOf(begin)
	}
	if request.Deadline != 0 && request.Deadline < request.NotBefore {
		return invalid("the request must not begin before %v, but its deadline is %v",
			request.NotBefore.Std(), request.Deadline.Std())
	}
	return nil
}

// answerOf translates a reply that is not an error.
func answerOf(operation msg.Operation, target msg.Ref, id msg.InvocationID, limit int, reply *msg.Reply) (client.Reply, *msg.Error) {
	answer := client.Reply{ContentType: ContentTypeJSON, Version: uint64(reply.Version)}
	var err *msg.Error
	switch operation {
	case msg.OperationSubmit:
		answer.InvocationID = reply.Invocation.String()
		answer.Body = AppendSubmitted(nil, reply.Invocation)
	case msg.OperationInspect:
		if !reply.Found {
			return client.Reply{}, NeverExisted(target)
		}
		answer.Body, err = AppendInspect(nil, target, reply)
	case msg.OperationExists:
		answer.Body = []byte("false")
		if reply.Found {
			answer.Body = []byte("true")
		}
	case msg.OperationDelete:
		answer.ContentType = ""
	case msg.OperationReminders:
		answer.Body = AppendReminders(nil, reply.Reminders)
	case msg.OperationList:
		page, next := Page(reply.Keys, limit-1)
		answer.Body = AppendList(nil, page, next)
	case msg.OperationResult:
		if reply.Status == msg.StatusUnknown {
			return client.Reply{}, NoInvocation(id)
		}
		answer.InvocationID = id.String()
		answer.Body = AppendResult(nil, id, reply)
	default:
		body, contentType := Output(reply.Payload)
		answer.Body, answer.ContentType = bytes.Clone(body), contentType
	}
	return answer, err
}

// NeverExisted is the answer to an inspection of an entity that does not exist.
func NeverExisted(target msg.Ref) *msg.Error {
	return msg.Errorf(msg.CodeNotFound, msg.ClassNotFound, "there is no %s: it has never been used, or was deleted", target)
}

// NoInvocation is the answer to a question about an invocation that is not
// known.
func NoInvocation(id msg.InvocationID) *msg.Error {
	return msg.Errorf(msg.CodeNotFound, msg.ClassNotFound,
		"no invocation %s is known: it was never sent, or its result is older than the retention time", id)
}

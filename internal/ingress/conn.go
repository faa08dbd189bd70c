package ingress

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
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

// Door is what requests are brought to.
type Door interface {
	// Do admits a request and waits for its answer; see Ingress.
	Do(ctx context.Context, r *msg.Request) msg.Reply
	// Describe says what is served.
	Describe() program.Description
}

// ConnConfig is what a connection in process is made from. A door is all that
// it needs; the rest is what a simulator puts in the place of clock and chance.
type ConnConfig struct {
	Door     Door
	Sessions *client.Sessions                                 // default a new pool
	Now      func() time.Time                                 // default time.Now
	Sleep    func(ctx context.Context, d time.Duration) bool  // false if ctx ended first; default by the clock
	Jitter   func(below time.Duration) (random time.Duration) // default math/rand
}

// withDefaults is the one place where defaults are applied.
func (c ConnConfig) withDefaults() ConnConfig {
	if c.Sessions == nil {
		c.Sessions = client.NewSessions()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Sleep == nil {
		c.Sleep = sleep
	}
	if c.Jitter == nil {
		c.Jitter = rand.N[time.Duration]
	}
	return c
}

// ErrStopped is the error of a door that will not admit anything any more. A
// connection in process gives it to its callers at once, where it would repeat a
// request that was refused for another reason that passes.
var ErrStopped = msg.Errorf(msg.CodeUnavailable, msg.ClassUnavailable, "the server has stopped")

// Bounds of the repetition of what was refused for a reason that passes. They
// are those of the connection over HTTP.
const (
	retryFor     = time.Minute
	backOffFirst = 10 * time.Millisecond
	backOffMax   = time.Second
)

// NewConn makes a connection to a door in the same process. It takes the same
// requests as the HTTP interface and answers with the same bytes.
//
// Every update without an idempotency key gets a place in a session, as over
// HTTP. What is refused for a reason that passes is repeated until its context
// ends; if that has no deadline, until a minute has gone by without success. A
// request whose context ends first goes on without its caller; the error says
// then that its fate is unknown.
func NewConn(d Door) client.Conn { return NewConnWith(ConnConfig{Door: d}) }

// NewConnWith makes a connection as NewConn does, with a clock and chances of
// its own.
func NewConnWith(c ConnConfig) client.Conn {
	return &conn{ConnConfig: c.withDefaults(), reads: readsOf(c.Door.Describe())}
}

// conn is safe for concurrent use.
type conn struct {
	ConnConfig
	reads map[handlerName]bool
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
	var request msg.Request
	if err := translate(&request, &r, c.Now); err != nil {
		return client.Reply{}, clientError(err, false)
	}
	request.Traceparent = client.Traceparent(ctx)
	if r.Wait && isStart(&request) && request.OnConflict == msg.ConflictAttach {
		if reply, ended := Throughout(ctx, c.Door, &request); ended {
			return answerOf(ctx, &msg.Request{Operation: msg.OperationDescribe, Mode: msg.ModeWorkflow, Target: request.Target}, &reply, false)
		}
	}
	reply, unknown := c.identified(ctx, &request)
	if r.Wait && isStart(&request) && reply.Err == nil && !hasEnded(&reply) {
		request, reply = c.ending(ctx, &request, reply.Invocation)
		unknown = false // it has begun
	}
	return answerOf(ctx, &request, &reply, unknown)
}

// Throughout begins a workflow and waits for its end in one request: a record and
// a request less than one after the other. If that did not come to the end, for
// whatever reason, the start may be made once more: its id makes it the same.
func Throughout(ctx context.Context, d Door, start *msg.Request) (reply msg.Reply, ended bool) {
	call := *start
	call.Operation, call.Wait = msg.OperationCall, true
	reply = d.Do(ctx, &call)
	return msg.Reply{Found: true, Workflow: reply.Workflow}, hasEnded(&reply)
}

// ending waits for the end of a workflow that was started, and gives the last
// question and its answer. The run that a start replaces may not have ended yet,
// and its end is not what is waited for.
func (c *conn) ending(ctx context.Context, started *msg.Request, id msg.InvocationID) (question msg.Request, reply msg.Reply) {
	if started.OnConflict == msg.ConflictReplace {
		question = msg.Request{Operation: msg.OperationResult, Invocation: id, Wait: true, Traceparent: started.Traceparent}
		if reply, _ = c.repeat(ctx, &question); failure(question.Operation, &reply) != nil {
			return question, reply
		}
	}
	question = msg.Request{
		Operation: msg.OperationDescribe, Mode: msg.ModeWorkflow, Target: started.Target, Wait: true, Traceparent: started.Traceparent,
	}
	reply, _ = c.repeat(ctx, &question)
	return question, reply
}

// isStart reports whether a request begins a workflow.
func isStart(r *msg.Request) bool {
	return r.Operation == msg.OperationSubmit && r.Mode == msg.ModeWorkflow
}

// hasEnded reports whether a reply shows a workflow that has ended.
func hasEnded(r *msg.Reply) bool { return r.Workflow != nil && r.Workflow.Status.Ended() }

// identified gives the request an identity, if it needs one, and repeats it. It
// reports whether the fate of the request is unknown.
func (c *conn) identified(ctx context.Context, request *msg.Request) (reply msg.Reply, unknown bool) {
	if !c.mutates(request) {
		reply, _ = c.repeat(ctx, request)
		return reply, false
	}
	if request.Identity.IdempotencyKey != "" {
		reply, known := c.repeat(ctx, request)
		return reply, !known
	}
	session := c.Sessions.Take()
	request.Identity.Session, request.Identity.SessionNumber = msg.SessionID(session.ID), session.Number
	reply, known := c.repeat(ctx, request)
	if known {
		session.Done()
	} else {
		session.Drop()
	}
	return reply, !known
}

// repeat brings the request to the door until there is an answer that will not
// change. It reports whether the fate of the request is known.
func (c *conn) repeat(ctx context.Context, request *msg.Request) (reply msg.Reply, known bool) {
	known = true
	var firstFailure time.Time
	for pause := backOffFirst; ; pause = min(2*pause, backOffMax) {
		attempt := *request // the door keeps what it is given
		reply = c.Door.Do(ctx, &attempt)
		failed := failure(request.Operation, &reply)
		switch failed {
		case nil:
			return reply, true
		case errLate, errGone, ErrStopped:
			return reply, known // nothing was done this time
		}
		if !isRetryable(failed) && !fateUnknown(failed) {
			return reply, true // an answer, whatever became of earlier attempts
		}
		known = known && !fateUnknown(failed)
		if !isRetryable(failed) || ctx.Err() != nil {
			return reply, known
		}
		if firstFailure.IsZero() {
			firstFailure = c.Now()
		}
		if _, limited := ctx.Deadline(); !limited && c.Now().Sub(firstFailure) > retryFor {
			return reply, known
		}
		if !c.Sleep(ctx, pause/2+c.Jitter(pause/2)) {
			return reply, known
		}
	}
}

// sleep waits; it reports false if the context ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// failure is how the request failed; nil if it was answered. The error of a
// result that was asked for is how the invocation ended, not how asking did.
func failure(operation msg.Operation, reply *msg.Reply) *msg.Error {
	if operation == msg.OperationResult && reply.Status != msg.StatusUnknown {
		return nil
	}
	return reply.Err
}

// mutates reports whether a repeat of a request could do something twice. A
// start is the same start by its id, unless it refuses or ends another run.
func (c *conn) mutates(r *msg.Request) bool {
	switch r.Operation {
	case msg.OperationDelete, msg.OperationRaise, msg.OperationCancel, msg.OperationTerminate, msg.OperationPause,
		msg.OperationResume, msg.OperationRestart, msg.OperationResolve:
		return true
	case msg.OperationSubmit:
		return r.Mode != msg.ModeWorkflow || r.OnConflict != msg.ConflictAttach
	case msg.OperationCall:
		return r.Mode != msg.ModeQuery && !c.reads[handlerName{r.Target.Kind, r.Handler}]
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

// isRetryable reports whether the same request may succeed later. The system
// makes these codes; a handler's own code is its last word about a request.
func isRetryable(e *msg.Error) bool {
	return e.Code == msg.CodeUnavailable || e.Code == msg.CodeResourceExhausted
}

// clientError converts an error for the caller.
func clientError(e *msg.Error, unknown bool) *client.Error {
	return &client.Error{
		Code: e.Code, Class: uint8(e.Class), Message: e.Message, Detail: e.Detail,
		Retryable: isRetryable(e), Unknown: unknown,
	}
}

// operations maps what client.Request.Operation may be to what it asks, and of
// what.
var operations = map[client.Operation]msg.Request{
	client.Call:      {Operation: msg.OperationCall},
	client.Submit:    {Operation: msg.OperationSubmit},
	client.Peek:      {Operation: msg.OperationPeek},
	client.Inspect:   {Operation: msg.OperationInspect},
	client.Exists:    {Operation: msg.OperationExists},
	client.Delete:    {Operation: msg.OperationDelete},
	client.Reminders: {Operation: msg.OperationReminders},
	client.List:      {Operation: msg.OperationList},
	client.Result:    {Operation: msg.OperationResult},
	client.Raise:     {Operation: msg.OperationRaise},

	client.Start:     {Operation: msg.OperationSubmit, Mode: msg.ModeWorkflow, Handler: msg.HandlerRun},
	client.Signal:    {Operation: msg.OperationSubmit, Mode: msg.ModeSignal},
	client.Query:     {Operation: msg.OperationCall, Mode: msg.ModeQuery},
	client.Describe:  {Operation: msg.OperationDescribe, Mode: msg.ModeWorkflow},
	client.History:   {Operation: msg.OperationHistory, Mode: msg.ModeWorkflow},
	client.ListRuns:  {Operation: msg.OperationList, Mode: msg.ModeWorkflow},
	client.Cancel:    {Operation: msg.OperationCancel, Mode: msg.ModeWorkflow},
	client.Terminate: {Operation: msg.OperationTerminate, Mode: msg.ModeWorkflow},
	client.Pause:     {Operation: msg.OperationPause, Mode: msg.ModeWorkflow},
	client.Resume:    {Operation: msg.OperationResume, Mode: msg.ModeWorkflow},
	client.Restart:   {Operation: msg.OperationRestart, Mode: msg.ModeWorkflow},
	client.Resolve:   {Operation: msg.OperationResolve, Mode: msg.ModeWorkflow},
	client.Reject:    {Operation: msg.OperationResolve, Mode: msg.ModeWorkflow},
}

// translate makes the request of a caller one of the system. The body is copied,
// because the caller may use its memory again while the request goes on.
func translate(request *msg.Request, r *client.Request, now func() time.Time) *msg.Error {
	known, ok := operations[r.Operation]
	if !ok {
		return invalid("the operation %.100q is not known", r.Operation)
	}
	*request = known
	if r.OneWay && r.Operation == client.Call {
		request.Operation = msg.OperationSubmit
	}
	if r.Namespace != "" {
		return invalid("the namespace is %.100q, but namespaces are reserved: leave it empty", r.Namespace)
	}
	request.Target = msg.Ref{Kind: r.Kind, Key: r.Key}
	if request.Handler == "" {
		request.Handler = r.Handler
	}
	request.Identity.IdempotencyKey = r.IdempotencyKey
	err := CheckIdempotencyKey(r.IdempotencyKey)
	if err == nil {
		request.Payload, err = Input(r.ContentType, bytes.Clone(r.Body))
	}
	if err == nil {
		request.Headers, err = Headers(r.Header)
	}
	if err == nil {
		err = setTimes(request, r, now)
	}
	if err == nil {
		err = setSubject(request, r)
	}
	return err
}

// setSubject fills in what an operation is about beyond its target, and handler.
func setSubject(request *msg.Request, r *client.Request) (err *msg.Error) {
	switch request.Operation {
	case msg.OperationResult:
		request.Wait = r.Wait
		id, err := msg.ParseInvocationID(r.InvocationID)
		if err != nil {
			return invalid("%v", err)
		}
		request.Invocation = id
	case msg.OperationDescribe:
		request.Wait = r.Wait
	case msg.OperationRaise:
		request.Wait = !r.OneWay
		for _, ref := range r.Refs {
			request.Refs = append(request.Refs, msg.Ref{Kind: ref.Kind, Key: ref.Key})
		}
	case msg.OperationList:
		return setPage(request, r)
	case msg.OperationSubmit:
		if isStart(request) {
			return setStart(request, r)
		}
	case msg.OperationResolve:
		if request.Promise, err = Promise(r.Promise); err != nil {
			return err
		}
		request.Target = request.Promise.Target
		if r.Operation == client.Reject {
			request.Err, err = Rejection(request.Payload)
			request.Payload = msg.Payload{}
		}
	}
	return err
}

// setPage fills in which part of a list is asked for.
func setPage(request *msg.Request, r *client.Request) (err *msg.Error) {
	limit := r.Limit
	if limit < 0 {
		return invalid("the limit is %d, want a number from 1 to %d", limit, ListLimitMax)
	}
	if limit == 0 {
		limit = ListLimitDefault
	}
	request.Limit = min(limit, ListLimitMax) + 1 // one more shows whether a page follows
	if request.Mode != msg.ModeWorkflow {
		request.After = r.After
		return nil
	}
	if request.After, err = ParseCursor(r.After); err == nil {
		request.Status, err = WorkflowStatus(r.Status)
	}
	return err
}

// setStart fills in how a workflow begins.
func setStart(request *msg.Request, r *client.Request) (err *msg.Error) {
	if request.Target.Key == "" {
		request.Target.Key = client.RunID(r.Kind, r.IdempotencyKey)
	}
	if r.Wait && request.NotBefore > 0 {
		return ErrDelayedWait
	}
	request.OnConflict, err = ConflictPolicy(r.OnConflict)
	return err
}

// ErrDelayedWait is the answer to a start that is to be delayed and waited for.
var ErrDelayedWait = invalid("a start that is delayed cannot be waited for: describe the workflow once it has begun")

// setTimes fills in when the request may begin.
func setTimes(request *msg.Request, r *client.Request, clock func() time.Time) *msg.Error {
	deadline := r.Deadline
	if r.Delay == 0 && r.NotBefore.IsZero() && deadline.IsZero() {
		return nil // most have none: do not look at the clock
	}
	if r.Delay < 0 {
		return invalid("the delay is %v, it must not be below zero", r.Delay)
	}
	now := clock()
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

// answerOf translates a reply. The error of a context that has ended is in the
// error that its caller gets.
func answerOf(ctx context.Context, request *msg.Request, reply *msg.Reply, unknown bool) (client.Reply, error) {
	err := failure(request.Operation, reply)
	var answer client.Reply
	if err == nil {
		answer, err = bodyOf(request, reply)
	}
	if err == nil {
		return answer, nil
	}
	failed := clientError(err, unknown)
	if ctx.Err() != nil && fateUnknown(err) {
		return client.Reply{}, fmt.Errorf("wait for the answer of %s: %w; last attempt: %w", request.Target, ctx.Err(), failed)
	}
	return client.Reply{}, failed
}

// bodyOf translates a reply that is not an error.
func bodyOf(request *msg.Request, reply *msg.Reply) (client.Reply, *msg.Error) {
	if request.Mode != 0 {
		return workflowBody(request, reply)
	}
	answer := client.Reply{ContentType: ContentTypeJSON, Version: uint64(reply.Version)}
	var err *msg.Error
	switch request.Operation {
	case msg.OperationSubmit:
		answer.InvocationID = reply.Invocation.String()
		answer.Body = AppendSubmitted(nil, reply.Invocation)
	case msg.OperationInspect:
		if !reply.Found {
			return client.Reply{}, NeverExisted(request.Target)
		}
		answer.Body, err = AppendInspect(nil, request.Target, reply)
	case msg.OperationExists:
		answer.Body = strconv.AppendBool(nil, reply.Found)
	case msg.OperationDelete:
		answer.ContentType = ""
	case msg.OperationReminders:
		answer.Body = AppendReminders(nil, reply.Reminders)
	case msg.OperationList:
		page, next := Page(reply.Keys, request.Limit-1)
		answer.Body = AppendList(nil, page, next)
	case msg.OperationResult:
		if reply.Status == msg.StatusUnknown {
			return client.Reply{}, NoInvocation(request.Invocation)
		}
		answer.InvocationID = request.Invocation.String()
		answer.Body = AppendResult(nil, request.Invocation, reply)
	default:
		return outputOf(reply), nil
	}
	return answer, err
}

// outputOf gives the output of a handler or query.
func outputOf(reply *msg.Reply) client.Reply {
	body, contentType := Output(reply.Payload)
	return client.Reply{Body: bytes.Clone(body), ContentType: contentType}
}

// workflowBody translates a reply about a workflow that is not an error.
func workflowBody(request *msg.Request, reply *msg.Reply) (client.Reply, *msg.Error) {
	answer := client.Reply{ContentType: ContentTypeJSON}
	var err *msg.Error
	switch {
	case isStart(request):
		if !reply.Invocation.IsZero() {
			answer.InvocationID = reply.Invocation.String()
		}
		answer.Body = AppendStarted(nil, request, reply)
	case request.Operation == msg.OperationCall:
		return outputOf(reply), nil
	case request.Operation == msg.OperationList:
		answer.Body = AppendRuns(nil, request.Target.Kind, reply, request.Limit-1)
	case request.Operation != msg.OperationDescribe && request.Operation != msg.OperationHistory:
		answer.ContentType = ""
	case reply.Workflow == nil:
		return client.Reply{}, NeverBegun(request.Target)
	case request.Operation == msg.OperationHistory:
		answer.Body, err = AppendHistory(nil, request.Target, reply)
	default:
		answer.Body = AppendWorkflow(nil, request.Target, reply)
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

package kar

import (
	"context"
	"fmt"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/program"
	"github.com/holdfast-io/holdfast/internal/remote"
)

// The kinds. No kind of an application has a backslash in its name.
const (
	KindActor   = `\kar-actor`   // key: app/type/id
	KindService = `\kar-service` // key: app/service/request; exists while the request does
	KindPromise = `\kar-promise` // key: the name of the request
	KindTopic   = `\kar-topic`   // key: the name of the topic
)

// Activity is an attempt of an invocation, in another process.
const Activity = `\kar-attempt`

// Handlers, by what they take and answer.
const (
	HandlerInvoke      = "invoke"      // Invocation: Result, when it has ended, or at once if nobody waits
	HandlerDone        = "done"        // Completion, of a task
	HandlerOperate     = "operate"     // Request: Result of the last of its sends, if that is a call
	HandlerResult      = "result"      // Told
	HandlerSettled     = "settled"     // name of a request: answered when none of its calls is under way
	HandlerEnded       = "ended"       // Invocation: answered when it is not active
	HandlerChange      = "change"      // Request: Answer with Counts
	HandlerQuery       = "query"       // Query: Answer; reads
	HandlerReminder    = "reminder"    // timer
	HandlerTimeout     = "timeout"     // timer
	HandlerEvent       = "event"       // Event
	HandlerPurge       = "purge"       // everything is forgotten
	HandlerDrain       = "drain"       // what waits, and subscriptions, are forgotten: Answer with Count
	HandlerBegin       = "begin"       // Invocation, whose outcome the promise keeps
	HandlerAwait       = "await"       // Result
	HandlerExpire      = "expire"      // timer
	HandlerCreate      = "create"      // Answer with Found
	HandlerDelete      = "delete"      // Answer with Found
	HandlerPublish     = "publish"     // Event
	HandlerSubscribe   = "subscribe"   // Subscriber
	HandlerUnsubscribe = "unsubscribe" // Subscriber
)

// Attempts makes attempts of invocations in other processes. It implements
// program.Program.Perform for Activity.
type Attempts interface {
	Perform(ctx context.Context, t *msg.TaskRun, heartbeat func(detail msg.Payload)) *msg.TaskOutcome
}

// Config is what a Program is made of.
type Config struct {
	Attempts    Attempts
	Retention   time.Duration // of outcomes of promises; 0: RetentionDefault
	EventsMax   uint64        // that a topic keeps; 0: 1,000
	EventsBytes uint64        // that a topic keeps; 0: 64 MiB
}

// RetentionDefault is how long the outcome of a promise is kept.
const RetentionDefault = 24 * time.Hour

// Program serves the kinds. It has no state of its own.
type Program struct{ config Config }

var _ program.Program = (*Program)(nil)

// New makes a Program.
func New(c Config) *Program {
	if c.Retention == 0 {
		c.Retention = RetentionDefault
	}
	if c.EventsMax == 0 {
		c.EventsMax = 1000
	}
	if c.EventsBytes == 0 {
		c.EventsBytes = 64 << 20
	}
	return &Program{config: c}
}

// Describe implements program.Program.
func (p *Program) Describe() program.Description {
	return program.Description{
		App: "kar",
		Kinds: []msg.Kind{
			{Name: KindActor, Prompt: true, Handlers: updates(HandlerChange, HandlerDone, HandlerDrain, HandlerEnded, HandlerEvent, HandlerInvoke, HandlerOperate,
				HandlerPurge, HandlerQuery, HandlerReminder, HandlerResult, HandlerSettled, HandlerTimeout)},
			{Name: KindPromise, Prompt: true, Handlers: updates(HandlerAwait, HandlerBegin, HandlerExpire, HandlerPurge, HandlerResult)},
			{Name: KindService, Prompt: true, Handlers: updates(HandlerDone, HandlerInvoke, HandlerOperate, HandlerPurge, HandlerResult, HandlerSettled)},
			{Name: KindTopic, Prompt: true, Handlers: updates(HandlerCreate, HandlerDelete, HandlerPublish, HandlerSubscribe, HandlerUnsubscribe)},
		},
		Activities: []program.Activity{{Name: Activity, Remote: true}},
	}
}

func updates(names ...string) (list []msg.Handler) {
	for _, name := range names {
		mode := msg.ModeUpdate
		if name == HandlerQuery {
			mode = msg.ModeRead
		}
		list = append(list, msg.Handler{Name: name, Mode: mode})
	}
	return list
}

// Perform implements program.Program.
func (p *Program) Perform(ctx context.Context, t *msg.TaskRun, heartbeat func(detail msg.Payload)) *msg.TaskOutcome {
	if p.config.Attempts == nil {
		return program.NotServed(t, "no frontend")
	}
	return p.config.Attempts.Perform(ctx, t, heartbeat)
}

// Turn implements program.Program. A panic would be a mistake of this package: it
// becomes a fault, which parks the entity.
func (p *Program) Turn(_ context.Context, t *msg.Turn) (o *msg.Outcome) {
	defer func() {
		if p := recover(); p != nil {
			o = &msg.Outcome{Run: t.Run, Fault: fmt.Sprintf("%s of %v: panic: %v", t.Message.Handler, t.Message.Target, p)}
		}
	}()
	o = &msg.Outcome{Run: t.Run}
	var err error
	switch t.Message.Target.Kind {
	case KindActor, KindService:
		err = p.actorTurn(t, o)
	case KindPromise:
		err = p.promiseTurn(t, o)
	case KindTopic:
		err = p.topicTurn(t, o)
	default:
		err = fmt.Errorf("kind %s is not served", t.Message.Target.Kind)
	}
	if err != nil {
		return &msg.Outcome{Run: t.Run, Fault: fmt.Sprintf("%s of %v: %v", t.Message.Handler, t.Message.Target, err)}
	}
	return o
}

// errNoHandler says that a handler is not known, to whoever sent an input of a
// newer version.
func errNoHandler(t *msg.Turn) error {
	return fmt.Errorf("no handler %q in this version", t.Message.Handler)
}

// RefOf is the entity that takes an invocation.
func RefOf(i *remote.Invocation) msg.Ref {
	if i.Kind == remote.InvocationPromise {
		return msg.Ref{Kind: KindPromise, Key: i.Request}
	}
	return instanceOf(i)
}

// instanceOf is the entity that runs an invocation.
func instanceOf(i *remote.Invocation) msg.Ref {
	if i.Target.IsService() {
		return msg.Ref{Kind: KindService, Key: i.Target.Key() + i.Request}
	}
	return msg.Ref{Kind: KindActor, Key: i.Target.Key()}
}

// result is a payload with a result.
func result(r *remote.Result) msg.Payload { return payload(remote.Append(nil, r)) }

// answer is a payload with an answer.
func answer(a remote.Answer) msg.Payload { return payload(remote.Append(nil, &a)) }

// ContentType is that of the payloads of these kinds.
const ContentType = "application/x-protobuf"

func payload(b []byte) msg.Payload { return msg.Payload{ContentType: ContentType, Body: b} }

// respond tells somebody an outcome.
func respond(o *msg.Outcome, to *remote.Address, r *remote.Result) {
	if !to.Reply.IsZero() {
		o.Replies = append(o.Replies, msg.LateReply{To: to.Reply, Payload: result(r)})
	}
	if to.Entity.Kind != "" {
		told := remote.Told{Request: to.Request, Call: to.Call, Result: *r}
		o.Sends = append(o.Sends, msg.Outgoing{Target: to.Entity, Handler: HandlerResult, Payload: payload(remote.Append(nil, &told))})
	}
}

// waiting is the address of who waits for the answer to an input.
func waiting(t *msg.Turn) remote.Address { return remote.Address{Reply: t.Message.ReplyTo} }

package kar

import (
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/remote"
)

// timerExpire is the timer with which a promise is forgotten.
const timerExpire = "expire"

// promiseTurn is a turn of a promise: an entity that keeps an outcome.
func (p *Program) promiseTurn(t *msg.Turn, o *msg.Outcome) error {
	var root remote.Promise
	if err := remote.Decode("Promise", t.State.Root.Body, &root); err != nil {
		return err
	}
	expire := msg.Reminder{Name: timerExpire, Handler: HandlerExpire, Due: t.Now + msg.Time(p.config.Retention)}
	switch t.Message.Handler {
	case HandlerBegin:
		o.Output = result(&remote.Result{Status: 202})
		if t.State.Exists {
			return nil
		}
		var i remote.Invocation
		if err := remote.Decode("Invocation", t.Message.Payload.Body, &i); err != nil {
			return err
		}
		if i.StartWithin > 0 && i.StartBy == 0 {
			i.StartBy = t.Now + msg.Time(i.StartWithin)
		}
		i.To = remote.Address{Entity: t.Message.Target}
		o.Sends = []msg.Outgoing{invoke(&i)}
	case HandlerResult:
		var told remote.Told
		if err := remote.Decode("Told", t.Message.Payload.Body, &told); err != nil || root.Ended || !t.State.Exists {
			return err
		}
		for n := range root.Waiters {
			respond(o, &root.Waiters[n], &told.Result)
		}
		root = remote.Promise{Ended: true, Result: told.Result}
		o.Remind = []msg.Reminder{expire}
	case HandlerAwait:
		return p.await(t, o, &root)
	case HandlerExpire:
		o.Delete = true
		return nil
	case HandlerPurge:
		gone := remote.Failed(500, "the promise was purged")
		for n := range root.Waiters {
			respond(o, &root.Waiters[n], &gone)
		}
		o.Delete = t.State.Exists
		return nil
	default:
		return errNoHandler(t)
	}
	o.Root = &msg.Payload{ContentType: ContentType, Body: remote.Append(nil, &root)}
	return nil
}

// await answers with the outcome, when it is there.
func (p *Program) await(t *msg.Turn, o *msg.Outcome, root *remote.Promise) error {
	switch {
	case !t.State.Exists:
		unknown := remote.Failed(500, "unexpected request %s", t.Message.Target.Key)
		o.Output = result(&unknown)
		return nil
	case root.Ended:
		o.Output = result(&root.Result)
		return nil
	}
	root.Waiters = append(root.Waiters, waiting(t))
	o.Later = true
	o.Root = &msg.Payload{ContentType: ContentType, Body: remote.Append(nil, root)}
	return nil
}

package kar

import (
	"encoding/json"
	"fmt"
	"mime"
	"strings"

	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/remote"
)

// Fields of a topic.
const (
	fieldSubscribers = "u" // values are Subscriptions, keys those of actor and subscription
	fieldEvents      = "l" // values are Events that are kept, keys their numbers
)

// tell lets the actor tell itself something by a flow of its own.
func (a *actorTurn) tell(why, id string, number msg.Time, path string, body []byte) {
	name := msg.FingerprintOf(why, a.t.Message.Target.Key, id, fmt.Sprint(int64(number)))
	a.take(&remote.Invocation{
		Request: fmt.Sprintf("req-%x", name[:]), Flow: fmt.Sprintf("flow-%x", name[:]), Kind: remote.InvocationTell,
		Target: a.self, Path: path, ContentType: "application/kar+json", Body: body, Parent: why + " " + id,
	})
}

// eventArguments are the arguments with which a method is told an event.
func eventArguments(contentType string, body []byte) []byte {
	if isJSON(contentType) && json.Valid(body) {
		return append(append([]byte("["), body...), ']')
	}
	text, _ := json.Marshal(string(body)) // a string always has a JSON form
	return append(append([]byte("["), text...), ']')
}

func isJSON(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		kind = contentType
	}
	return kind == "" || kind == "text/json" || kind == "application/json" || strings.HasSuffix(kind, "+json")
}

// topicTurn is a turn of a topic.
type topicTurn struct {
	p     *Program
	t     *msg.Turn
	o     *msg.Outcome
	root  remote.Topic
	state overlay
}

func (p *Program) topicTurn(t *msg.Turn, o *msg.Outcome) error {
	c := &topicTurn{p: p, t: t, o: o, state: overlay{fields: t.State.Fields}}
	if err := remote.Decode("Topic", t.State.Root.Body, &c.root); err != nil {
		return err
	}
	switch t.Message.Handler {
	case HandlerCreate:
		o.Output = answer(remote.Answer{Found: t.State.Exists})
	case HandlerDelete:
		o.Output = answer(remote.Answer{Found: t.State.Exists})
		o.Delete = t.State.Exists
		return nil
	case HandlerPublish:
		if err := c.publish(); err != nil {
			return err
		}
	case HandlerSubscribe, HandlerUnsubscribe:
		if err := c.subscribe(); err != nil {
			return err
		}
	default:
		return errNoHandler(t)
	}
	o.Changes = c.state.changes
	o.Root = &msg.Payload{ContentType: ContentType, Body: remote.Append(nil, &c.root)}
	return nil
}

// publish sends an event to every subscriber, and keeps it for those who come
// later and want the oldest.
func (c *topicTurn) publish() error {
	var e remote.Event
	if err := remote.Decode("Event", c.t.Message.Payload.Body, &e); err != nil {
		return err
	}
	e.Topic, e.Number = c.t.Message.Target.Key, c.root.Next
	c.root.Next++
	for _, key := range c.state.keys(fieldSubscribers) {
		c.deliver(key, e)
	}
	kept := remote.Append(nil, &e)
	c.state.put(fieldEvents, eventKey(e.Number), kept)
	c.root.Bytes += uint64(len(kept))
	c.trim()
	c.o.Output = answer(remote.Answer{})
	return nil
}

func eventKey(number uint64) string { return fmt.Sprintf("%016x", number) }

// trim forgets the oldest events if there are too many.
func (c *topicTurn) trim() {
	for c.root.First < c.root.Next && (c.root.Next-c.root.First > c.p.config.EventsMax || c.root.Bytes > c.p.config.EventsBytes) {
		key := eventKey(c.root.First)
		value, _ := c.state.entry(fieldEvents, key)
		c.state.remove(fieldEvents, key)
		c.root.Bytes -= uint64(len(value))
		c.root.First++
	}
}

// deliver sends an event to the subscriber of a key.
func (c *topicTurn) deliver(key string, e remote.Event) {
	actor, id := cutSubscriber(key)
	e.Subscription = id
	c.o.Sends = append(c.o.Sends, msg.Outgoing{Target: msg.Ref{Kind: KindActor, Key: actor}, Handler: HandlerEvent, Payload: payload(remote.Append(nil, &e))})
}

// cutSubscriber is the inverse of Actor + "/" + ID: actors have two slashes.
func cutSubscriber(key string) (actor, id string) {
	at := 0
	for range 3 {
		n := strings.IndexByte(key[at:], '/')
		if n < 0 {
			return key, ""
		}
		at += n + 1
	}
	return key[:at-1], key[at:]
}

// subscribe adds or takes away a subscriber. Who is new and wants the oldest is
// sent what is kept.
func (c *topicTurn) subscribe() error {
	var s remote.Subscriber
	if err := remote.Decode("Subscriber", c.t.Message.Payload.Body, &s); err != nil {
		return err
	}
	key := s.Actor + "/" + s.ID
	if c.t.Message.Handler == HandlerUnsubscribe {
		c.state.remove(fieldSubscribers, key)
		return nil
	}
	if existed := c.state.put(fieldSubscribers, key, remote.Append(nil, &s.Subscription)); existed || !s.Subscription.Oldest {
		return nil
	}
	for n := c.root.First; n < c.root.Next; n++ {
		value, known := c.state.entry(fieldEvents, eventKey(n))
		var e remote.Event
		if !known {
			continue
		}
		if err := remote.Decode("Event", value, &e); err != nil {
			return err
		}
		c.deliver(key, e)
	}
	return nil
}

package holdfast

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	"github.com/holdfast-io/holdfast/client"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/program"
)

// Event is a fact that is applied to every entity it names, or to none.
type Event[E any] struct{ declaration *eventDeclaration }

// eventDeclaration is what NewEvent declares.
type eventDeclaration struct {
	contract
	name    string
	at      string
	form    shape
	touches func(payload msg.Payload) ([]Ref, error) // nil: it was given none
}

// NewEvent declares an event and the entities that it names: those of every kind
// that takes it, at these keys. With Creates it creates them also where the kind
// is Strict. Bind what kinds do with On.
func NewEvent[E any](name string, touches func(E) []Ref, opts ...HandleOption) Event[E] {
	d := &eventDeclaration{contract: newContract(opts), name: name, at: position()}
	if d.form = newShape(reflect.TypeFor[E](), d.codec); touches != nil {
		d.touches = func(payload msg.Payload) ([]Ref, error) {
			var e E
			if err := d.form.decode(payload, &e); err != nil {
				return nil, err
			}
			return touches(e), nil
		}
	}
	return Event[E]{d}
}

// Raise applies the event and returns when it is applied everywhere. What one
// handler returns as an error refuses it for all, and is the error here.
func (v Event[E]) Raise(c Caller, e E, opts ...CallOption) error {
	r, err := v.declaration.request(&e)
	if err != nil {
		return err
	}
	_, err = c.canWait(withOptions(r, opts))
	return err
}

// Send raises the event when the current turn commits, without waiting. If a
// handler refuses it, nobody is told; if it cannot be applied in time, it is a
// dead letter.
func (v Event[E]) Send(s Sender, e E, opts ...SendOption) {
	r, err := v.declaration.request(&e)
	send(s, r, err, opts)
}

// Submit raises the event from outside, without waiting; durable when Submit
// returns without an error. What Send says of refusals is true here.
func (v Event[E]) Submit(c *ClientContext, e E, opts ...SendOption) error {
	r, err := v.declaration.request(&e)
	r.OneWay = true
	_, err = submit(c, r, err, opts)
	return err
}

func (d *eventDeclaration) request(e any) (r client.Request, err error) {
	payload, err := d.form.encode(e)
	r = client.Request{Operation: client.Raise, Handler: d.name, Body: payload.Body, ContentType: payload.ContentType}
	if err != nil {
		return r, fmt.Errorf("encode event %s, a %v: %w", d.name, d.form.value, err)
	}
	if d.touches == nil {
		return r, fmt.Errorf("event %s has no function that says which entities it names", d.name)
	}
	refs, err := d.touches(payload)
	for _, ref := range refs {
		r.Refs = append(r.Refs, client.Ref(ref))
	}
	return r, err
}

// named is program.Event.Touches.
func (d *eventDeclaration) named(payload msg.Payload) (refs []msg.Ref, failure *msg.Error) {
	defer func() {
		if p := recover(); p != nil {
			failure = msg.Errorf(msg.CodePanic, msg.ClassFailed, "panic in what event %s names: %s", d.name, panicText(p))
		}
	}()
	list, err := d.touches(payload)
	if err != nil {
		return nil, msg.Errorf(msg.CodeInvalidArgument, msg.ClassInvalidArgument, "event %s is %s: %v", d.name, describe(&d.form), err)
	}
	for _, ref := range list {
		refs = append(refs, msg.Ref{Kind: ref.Kind, Key: ref.Key})
	}
	return refs, nil
}

// EventContext is the context of a handler of an event: as that of an update, but
// nothing of it is kept unless every entity takes the event.
type EventContext[S any] struct {
	turn
	sends
	State S // encoded when the handler returns
}

// On binds what a kind does when an event names one of its entities. What fn
// returns as an error refuses the event, for every entity.
func On[K ~string, S, E any](entity Entity[K, S], event Event[E], fn func(ctx *EventContext[S], e E) error) Part {
	b := &eventBinding{kind: entity.declaration, event: event.declaration, at: position(), unset: fn == nil}
	if b.kind == nil { // the zero Entity: Validate says so
		b.kind = &kindDeclaration{at: b.at}
	}
	if b.event == nil {
		b.event = &eventDeclaration{at: b.at}
	}
	b.declaration = &handlerDeclaration{kind: b.kind, name: b.event.name, at: b.at, mode: msg.ModeEvent, input: b.event.form, output: voidShape}
	b.prepare = func(state any) func(*servedHandler, context.Context, *msg.Turn) *msg.Outcome {
		codec := state.(*stateCodec[S])
		return func(h *servedHandler, ctx context.Context, t *msg.Turn) *msg.Outcome {
			r := &updateRun[S, E, Void]{codec: codec, fn: func(c *UpdateContext[S], e E) (Void, error) { return None, fn((*EventContext[S])(c), e) }}
			r.ctx.turn.scope, r.ctx.sends.scope = &r.scope, &r.scope
			r.scope.begin(h, ctx, t)
			return r.scope.run(r)
		}
	}
	return b
}

// eventBinding joins a kind, an event and a function.
type eventBinding struct {
	kind        *kindDeclaration
	event       *eventDeclaration
	declaration *handlerDeclaration
	at          string
	unset       bool
	prepare     func(state any) func(*servedHandler, context.Context, *msg.Turn) *msg.Outcome
}

func (b *eventBinding) addTo(a *App) { a.events = appendNew(a.events, b) }

// describeEvents says which events the app takes.
func (a *App) describeEvents() (events []program.Event) {
	for _, b := range a.events {
		subscriber := msg.Subscriber{Kind: b.kind.name, Creates: b.event.creates}
		if i := slices.IndexFunc(events, func(e program.Event) bool { return e.Name == b.event.name }); i >= 0 {
			events[i].Subscribers = append(events[i].Subscribers, subscriber)
			continue
		}
		events = append(events, program.Event{Touches: b.event.named,
			Event: msg.Event{Name: b.event.name, Doc: b.event.doc, Input: b.event.form.schema(), Subscribers: []msg.Subscriber{subscriber}}})
	}
	return events
}

// checkEvents finds events that are bad, and reactions that are unbound or there
// twice.
func (v *validation) checkEvents() {
	first, taken := map[string]*eventDeclaration{}, map[[2]any]*eventBinding{}
	for _, b := range v.app.events {
		d := b.event
		switch other := first[d.name]; {
		case d.form.value == nil:
			v.mistake(b.at, "an undeclared event is bound: its Event is a zero value; declare it with NewEvent")
			continue
		case other != nil && other != d:
			v.mistake(d.at, "event %s is declared twice, first at %s; import that declaration, or choose another name", d.name, other.at)
			continue
		case other == nil:
			first[d.name] = d
			v.checkEvent(d)
		}
		if twice := taken[[2]any{b.kind, d}]; twice != nil {
			v.mistake(b.at, "kind %s takes event %s twice, first at %s", b.kind.name, d.name, twice.at)
		}
		taken[[2]any{b.kind, d}] = b
		if b.unset {
			v.mistake(b.at, "event %s is bound to a nil function for kind %s", d.name, b.kind.name)
		}
	}
}

func (v *validation) checkEvent(d *eventDeclaration) {
	if err := msg.ValidName(d.name); err != nil {
		v.mistake(d.at, "event %q: %s", d.name, ruleOf(err))
	}
	if d.touches == nil {
		v.mistake(d.at, "event %s has no function that says which entities it names", d.name)
	}
	if len(d.aliases) > 0 {
		v.mistake(d.at, "event %s: Alias is an option of an entity's handlers", d.name)
	}
	v.checkShapes(d.at, "event "+d.name, &d.form, &voidShape)
}

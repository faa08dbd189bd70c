package holdfast

import (
	"errors"
	"fmt"
	"reflect"
	"unsafe"

	"github.com/holdfast-io/holdfast/internal/form"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/plain"
)

// stateCodec moves the state of one kind between its stored form and Go.
type stateCodec[S any] struct {
	options EntityOptions[S]
	codec   Codec // nil: JSON
	plan    *form.Plan
	plain   *plain.Plan // a short way for JSON; nil: there is none
}

func newStateCodec[S any](k *kindDeclaration, options any) *stateCodec[S] {
	c := &stateCodec[S]{codec: k.codec, plan: k.plan, plain: plain.PlanOf(reflect.TypeFor[S]())}
	if k.plan.View != nil {
		c.plain = plain.PlanOf(k.plan.View)
	}
	if o, ok := options.(EntityOptions[S]); ok {
		c.options = o
	}
	return c
}

// load makes the state that a handler works on. An error is a fault: the state
// is there and cannot be used.
func (c *stateCodec[S]) load(s *scope, into *S) error {
	snapshot := &s.turn.State
	var err error
	switch {
	case !snapshot.Exists || len(snapshot.Root.Body) == 0:
		if c.options.Initial != nil {
			*into = c.options.Initial(s.turn.Message.Target.Key)
		}
	case int(snapshot.StateVersion) == c.options.Version:
		err = c.decode(snapshot.Root.Body, into)
	case int(snapshot.StateVersion) > c.options.Version:
		err = errors.New("it was written by newer code; run that, or write Migrate for the way back")
	case c.options.Migrate == nil:
		err = errors.New("it was written by older code; set EntityOptions.Migrate")
	default:
		if *into, err = c.options.Migrate(int(snapshot.StateVersion), snapshot.Root.Body); err != nil {
			err = fmt.Errorf("migrate: %w", err)
		}
	}
	if err != nil {
		return errors.New(s.stateFault(err))
	}
	if len(c.plan.Fields) > 0 {
		c.bind(s, into)
	}
	if c.options.Activate == nil {
		return nil
	}
	if err := c.options.Activate(into); err != nil {
		return errors.New(s.stateFault(fmt.Errorf("activate: %w", err)))
	}
	return nil
}

// store puts the state after the turn into the outcome.
func (c *stateCodec[S]) store(s *scope, from *S) error {
	if len(c.plan.Fields) > 0 {
		c.collect(s, from)
		if s.failure != nil {
			return s.failure
		}
	}
	s.encoding = true
	defer func() { s.encoding = false }()
	var err error
	s.root, err = c.encode(from)
	s.outcome.Root, s.outcome.Version = &s.root, uint32(c.options.Version)
	return err
}

func (c *stateCodec[S]) encode(from *S) (root msg.Payload, err error) {
	if c.codec == nil {
		root.Body, err = encodeJSON(c.plain, c.view(from))
		return root, err
	}
	root.ContentType = c.codec.ContentType()
	root.Body, err = c.codec.Marshal(*from)
	return root, err
}

func (c *stateCodec[S]) decode(body []byte, into *S) error {
	if c.codec != nil {
		return c.codec.Unmarshal(body, into)
	}
	return decodeJSON(c.plain, body, c.view(into))
}

// decodeInspected reads a state as the HTTP interface shows it: JSON with its
// maps and lists in it, or what another codec wrote.
func (c *stateCodec[S]) decodeInspected(body []byte, into *S) error {
	if c.codec == nil {
		return decodeJSON(c.plain, body, c.view(into))
	}
	stored, err := unwrapJSON(body)
	if err != nil {
		return err
	}
	return c.codec.Unmarshal(stored.Body, into)
}

// view gives the state as encoding/json may see it: without exported volatile
// fields. plan.View has the memory layout of S, see form.PlanState.
func (c *stateCodec[S]) view(state *S) any {
	if c.plan.View == nil {
		return state
	}
	return reflect.NewAt(c.plan.View, unsafe.Pointer(state)).Interface()
}

// boundField is a map or list of the state as the handler got it.
type boundField struct {
	field storedField
	was   any
}

// storedField is a *Map or *List.
type storedField interface {
	bind(s *scope, name string) (was any)
	collect(s *scope, name string, was any)
	element() (t reflect.Type, list bool)
}

// storedElement says whether a type is a Map or List, and of what; a
// form.Stored.
func storedElement(t reflect.Type) (element reflect.Type, list, ok bool) {
	field, ok := reflect.New(t).Interface().(storedField)
	if !ok {
		return nil, false, false
	}
	element, list = field.element()
	return element, list, true
}

// bind joins the maps and lists of a state to their stored entries.
func (c *stateCodec[S]) bind(s *scope, state *S) {
	v := reflect.ValueOf(state).Elem()
	s.bound = make([]boundField, len(c.plan.Fields))
	for i, f := range c.plan.Fields {
		field := v.Field(f.Index).Addr().Interface().(storedField)
		s.bound[i] = boundField{field, field.bind(s, f.Name)}
	}
}

// collect turns maps and lists that the handler has replaced into changes.
// Those that it changed have noted their changes already.
func (c *stateCodec[S]) collect(s *scope, state *S) {
	v := reflect.ValueOf(state).Elem()
	for i, f := range c.plan.Fields {
		field := v.Field(f.Index).Addr().Interface().(storedField)
		field.collect(s, f.Name, s.bound[i].was)
	}
}

// change notes one change of a map or list.
func (s *scope) change(c msg.Change) { s.outcome.Changes = append(s.outcome.Changes, c) }

// mayChange panics in a read.
func (s *scope) mayChange(what, field string) {
	if s.live().readOnly() {
		panic("holdfast: " + what + " of field " + field + " in read " + s.name() +
			": a read may only look; what changes something is an update")
	}
}

// undecodable ends the turn because a stored entry does not have the type of
// its field any more. The reason stays with the turn if the handler recovers.
func (s *scope) undecodable(field, entry string, err error) {
	s.fault = s.stateFault(fmt.Errorf("field %s, %s: %w", field, entry, err))
	panic(s.fault)
}

package ingress

import (
	"slices"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// This file admits events, and operations on locks.

// admitRaise refuses an event that cannot be raised. A repeat of it comes to the
// same partition: that of the first entity it names, in the order of refs.
func (i *Ingress) admitRaise(r *msg.Request) *msg.Error {
	event := i.events[r.Handler]
	switch {
	case event == nil:
		return notFound("nothing serves event %q; events: %s", r.Handler, i.eventNames())
	case len(r.Payload.Body) > i.config.BodyBytesMax:
		return msg.Errorf(msg.CodePayloadTooLarge, msg.ClassInvalidArgument,
			"the body has %d bytes, the limit is %d", len(r.Payload.Body), i.config.BodyBytesMax)
	case len(r.Refs) == 0 && event.Touches != nil:
		refs, err := event.Touches(r.Payload)
		if err != nil {
			return err
		}
		r.Refs = refs
	}
	if err := i.admitRefs(r); err != nil {
		return err
	}
	r.Refs = slices.Clone(r.Refs)
	slices.SortFunc(r.Refs, msg.Ref.Compare)
	r.Target = r.Refs[0]
	return i.room()
}

// admitRefs refuses an event that names what cannot be.
func (i *Ingress) admitRefs(r *msg.Request) *msg.Error {
	switch {
	case len(r.Refs) == 0:
		return invalid("event %s names no entity", r.Handler)
	case len(r.Refs) > msg.KeysMax:
		return msg.Errorf(msg.CodeResourceExhausted, msg.ClassExhausted, "event %s names %d entities, the limit is %d",
			r.Handler, len(r.Refs), msg.KeysMax)
	}
	for _, ref := range r.Refs {
		if i.kinds[ref.Kind] == nil {
			return notFound("nothing serves kind %q; kinds: %s", ref.Kind, i.names(false))
		}
		if err := msg.ValidKey(ref.Key); err != nil {
			return asError(err)
		}
	}
	return nil
}

// admitRelease refuses to give back what cannot be locked.
func (i *Ingress) admitRelease(r *msg.Request) *msg.Error {
	if i.kinds[r.Target.Kind] == nil && !i.spaces[r.Target.Kind] {
		return notFound("nothing serves kind or affinity %q; kinds: %s", r.Target.Kind, i.names(false))
	}
	return asError(msg.ValidKey(r.Target.Key))
}

// eventNames lists the events that are served, for errors.
func (i *Ingress) eventNames() string {
	names := make([]string, 0, len(i.events))
	for name := range i.events {
		names = append(names, name)
	}
	return list(names)
}

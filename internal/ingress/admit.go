package ingress

import (
	"errors"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// admit refuses what cannot be or has no room.
func (i *Ingress) admit(r *msg.Request) *msg.Error {
	if err := i.Ready(); err != nil {
		if i.state.Load() == stopping {
			return ErrStopped
		}
		return msg.Errorf(msg.CodeUnavailable, msg.ClassUnavailable, "%v; try again later", err)
	}
	switch r.Operation {
	case msg.OperationParked, msg.OperationDeadLetters:
		return nil
	case msg.OperationResult, msg.OperationRedeliver, msg.OperationDiscard:
		if int(r.Invocation.Partition()) >= i.config.Partitions {
			return msg.Errorf(msg.CodeNotFound, msg.ClassNotFound, "invocation %s is not known here", r.Invocation)
		}
		if r.Operation == msg.OperationRedeliver {
			return i.room()
		}
		return nil
	}
	if i.isHomeless(r) {
		return asError(msg.ValidKey(r.Target.Key))
	}
	kind := i.kinds[r.Target.Kind]
	if kind == nil {
		return msg.Errorf(msg.CodeNotFound, msg.ClassNotFound, "nothing serves kind %q; kinds: %s", r.Target.Kind, i.names)
	}
	if r.Operation == msg.OperationList {
		if r.Limit < 1 {
			return msg.Errorf(msg.CodeInvalidArgument, msg.ClassInvalidArgument, "the limit is %d, it must be at least 1", r.Limit)
		}
		return nil
	}
	if err := msg.ValidKey(r.Target.Key); err != nil {
		return asError(err)
	}
	return i.admitHandler(kind, r)
}

func asError(err error) *msg.Error {
	var known *msg.Error
	if err == nil {
		return nil
	}
	if errors.As(err, &known) {
		return known
	}
	return msg.Errorf(msg.CodeInvalidArgument, msg.ClassInvalidArgument, "%v", err)
}

// farFuture is how far ahead a request may be submitted: further is a mistake
// in a unit.
const farFuture = 100 * 365 * 24 * time.Hour

func (i *Ingress) admitHandler(kind *served, r *msg.Request) *msg.Error {
	writes := r.Operation == msg.OperationDelete
	switch r.Operation {
	case msg.OperationCall, msg.OperationSubmit, msg.OperationPeek:
		h := kind.handlers[r.Handler]
		if h == nil {
			return msg.Errorf(msg.CodeNotFound, msg.ClassNotFound, "kind %s has no handler %q; handlers: %s",
				r.Target.Kind, r.Handler, kind.names)
		}
		if kind.kind.Form == msg.FormMachine && r.Operation != msg.OperationSubmit {
			return msg.Errorf(msg.CodeInvalidArgument, msg.ClassInvalidArgument,
				"%s is a message of machine %s, which answers nobody: it can be sent, not called; over HTTP, POST …/%s/send",
				r.Handler, r.Target.Kind, r.Handler)
		}
		writes = h.Mode == msg.ModeUpdate
	}
	switch {
	case len(r.Payload.Body) > i.config.BodyBytesMax:
		return msg.Errorf(msg.CodePayloadTooLarge, msg.ClassInvalidArgument,
			"the body has %d bytes, the limit is %d", len(r.Payload.Body), i.config.BodyBytesMax)
	case r.NotBefore > 0 && r.NotBefore > i.config.Now()+msg.Time(farFuture):
		return msg.Errorf(msg.CodeInvalidArgument, msg.ClassInvalidArgument,
			"the request is to begin at %s, which is more than %d years from now", r.NotBefore.Std().Format(time.RFC3339), 100)
	case !writes:
		return nil
	}
	return i.room()
}

func (i *Ingress) room() *msg.Error {
	if err := i.config.Room(); err != nil {
		return msg.Errorf(msg.CodeResourceExhausted, msg.ClassExhausted, "no room for new work: %v; reads go on", err)
	}
	return nil
}

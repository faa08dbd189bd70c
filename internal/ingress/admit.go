package ingress

import (
	"errors"
	"sort"
	"strings"
	"time"

	"github.com/holdfast-io/holdfast/internal/invariant"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// admit refuses what cannot be or has no room.
func (i *Ingress) admit(r *msg.Request) *msg.Error {
	if err := i.ready(); err != nil {
		return err
	}
	switch r.Operation {
	case msg.OperationParked, msg.OperationDeadLetters, msg.OperationLocks:
		return nil
	case msg.OperationRaise:
		return i.admitRaise(r)
	case msg.OperationRelease:
		return i.admitRelease(r)
	case msg.OperationResult, msg.OperationRedeliver, msg.OperationDiscard:
		if int(r.Invocation.Partition()) >= i.config.Partitions {
			return notFound("invocation %s is not known here", r.Invocation)
		}
		if r.Operation == msg.OperationRedeliver {
			return i.room()
		}
		return nil
	}
	if i.isHomeless(r) {
		return asError(msg.ValidKey(r.Target.Key))
	}
	kind, err := i.target(r)
	if err != nil {
		return err
	}
	if r.Operation == msg.OperationList {
		if r.Limit < 1 {
			return invalid("the limit is %d, it must be at least 1", r.Limit)
		}
		return nil
	}
	if err := validKey(r); err != nil {
		return err
	}
	return i.admitHandler(kind, r)
}

// ready refuses everything before the ingress is open, and when it stops.
func (i *Ingress) ready() *msg.Error {
	err := i.Ready()
	switch {
	case err == nil:
		return nil
	case i.state.Load() == stopping:
		return ErrStopped
	}
	return msg.Errorf(msg.CodeUnavailable, msg.ClassUnavailable, "%v; try again later", err)
}

func notFound(format string, args ...any) *msg.Error {
	return msg.Errorf(msg.CodeNotFound, msg.ClassNotFound, format, args...)
}

// target finds the kind that a request is for, and refuses one that takes a
// workflow for an entity or the other way round.
func (i *Ingress) target(r *msg.Request) (*served, *msg.Error) {
	kind, name := i.kinds[r.Target.Kind], r.Target.Kind
	switch workflow := ofWorkflow(r); {
	case kind == nil && workflow:
		return nil, notFound("nothing serves workflow %q; workflows: %s", name, i.names(true))
	case kind == nil:
		return nil, notFound("nothing serves kind %q; kinds: %s", name, i.names(false))
	case workflow && kind.kind.Form != msg.FormWorkflow:
		return nil, notFound("%s is a kind of entities, and no workflow: ask /v1/entities/%[1]s", name)
	case !workflow && kind.kind.Form == msg.FormWorkflow && !ofBoth(r.Operation):
		return nil, notFound("%s is a workflow, and no kind of entities: ask /v1/workflows/%[1]s", name)
	}
	return kind, nil
}

// ofWorkflow reports whether a request takes its target for a workflow.
func ofWorkflow(r *msg.Request) bool {
	return r.Mode != 0 || r.Operation >= msg.OperationDescribe && r.Operation < msg.OperationRaise
}

// ofBoth reports whether an operation is about anything that has an inbox.
func ofBoth(o msg.Operation) bool { return o == msg.OperationResume || o == msg.OperationSkip }

// names lists the workflows that are served, or the kinds, for errors.
func (i *Ingress) names(workflows bool) string {
	var names []string
	for name, kind := range i.kinds {
		if workflows == (kind.kind.Form == msg.FormWorkflow) {
			names = append(names, name)
		}
	}
	return list(names)
}

func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	sort.Strings(names)
	return strings.Join(names, ", ")
}

// validKey checks the key of an entity or the id of a workflow.
func validKey(r *msg.Request) *msg.Error {
	err := msg.ValidKey(r.Target.Key)
	switch {
	case err == nil:
		return nil
	case ofWorkflow(r):
		return invalid("the id of a workflow is a key: %s", asError(err).Message)
	}
	return asError(err)
}

func asError(err error) *msg.Error {
	var known *msg.Error
	if err == nil {
		return nil
	}
	if errors.As(err, &known) {
		return known
	}
	return invalid("%v", err)
}

// farFuture is how far ahead a request may be submitted: further is a mistake
// in a unit.
const farFuture = 100 * 365 * 24 * time.Hour

func (i *Ingress) admitHandler(kind *served, r *msg.Request) *msg.Error {
	writes := false
	switch r.Operation {
	case msg.OperationCall, msg.OperationSubmit, msg.OperationPeek:
		h := kind.handlers[r.Handler]
		if h == nil || r.Mode != 0 && h.Mode != r.Mode {
			return kind.lacks(r)
		}
		if kind.kind.Form == msg.FormMachine && r.Operation != msg.OperationSubmit {
			return invalid("%s is a message of machine %s, which answers nobody: it can be sent, not called; over HTTP, POST …/%[1]s/send",
				r.Handler, r.Target.Kind)
		}
		writes = h.Mode != msg.ModeRead && h.Mode != msg.ModeQuery
		if h.Input == nil && isNothing(r.Payload) {
			r.Payload = msg.Payload{} // a repeat that says it otherwise is the same request
		}
	case msg.OperationDelete, msg.OperationRestart, msg.OperationResolve:
		writes = true
	}
	switch {
	case len(r.Payload.Body) > i.config.BodyBytesMax:
		return msg.Errorf(msg.CodePayloadTooLarge, msg.ClassInvalidArgument,
			"the body has %d bytes, the limit is %d", len(r.Payload.Body), i.config.BodyBytesMax)
	case r.NotBefore > 0 && r.NotBefore > i.config.Now()+msg.Time(farFuture):
		return invalid("the request is to begin at %s, which is more than %d years from now", r.NotBefore.Std().Format(time.RFC3339), 100)
	case !writes:
		return nil
	}
	return i.room()
}

// lacks says that there is no such handler, signal or query, and what there is.
func (s *served) lacks(r *msg.Request) *msg.Error {
	switch r.Mode {
	case msg.ModeSignal:
		return notFound("workflow %s has no signal %q; signals: %s", r.Target.Kind, r.Handler, s.names(msg.ModeSignal))
	case msg.ModeQuery:
		return notFound("workflow %s has no query %q; queries: %s", r.Target.Kind, r.Handler, s.names(msg.ModeQuery))
	case msg.ModeWorkflow:
		return notFound("workflow %s cannot be run here: it has no function", r.Target.Kind)
	}
	return notFound("kind %s has no handler %q; handlers: %s", r.Target.Kind, r.Handler, s.names(0))
}

// names lists the handlers of a mode, for errors; mode 0 stands for all.
func (s *served) names(mode msg.Mode) string {
	var names []string
	for n := range s.kind.Handlers {
		if h := &s.kind.Handlers[n]; mode == 0 || h.Mode == mode {
			names = append(names, h.Name)
		}
	}
	return list(names)
}

// errRefused is why work is refused in simulations alone.
var errRefused = errors.New("it is refused as a simulation wants it")

func (i *Ingress) room() *msg.Error {
	err := i.config.Room()
	if err == nil && invariant.Sometimes(invariant.RefuseWork) {
		err = errRefused
	}
	if err != nil {
		return msg.Errorf(msg.CodeResourceExhausted, msg.ClassExhausted, "no room for new work: %v; reads go on", err)
	}
	return nil
}

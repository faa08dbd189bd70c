package world

import (
	"context"

	"github.com/holdfast-io/holdfast/client"
	"github.com/holdfast-io/holdfast/internal/ingress"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/program"
)

// Conn is a connection to what is durable: it answers reads, inspections and
// lists, at once, and refuses whatever would change something.
func (s State) Conn() client.Conn {
	return ingress.NewConnWith(ingress.ConnConfig{Door: window{s}, Now: s.world.Now})
}

// window is a door behind which nothing happens.
type window struct{ State }

var _ ingress.Door = window{}

// Describe implements ingress.Door.
func (v window) Describe() program.Description { return v.world.program.Describe() }

// Do implements ingress.Door.
func (v window) Do(_ context.Context, r *msg.Request) msg.Reply {
	switch r.Operation {
	case msg.OperationCall, msg.OperationPeek:
		return v.read(r)
	case msg.OperationInspect, msg.OperationExists:
		state := v.Entity(r.Target.Kind, r.Target.Key)
		return msg.Reply{Found: state.Exists, Version: state.Version, State: &state}
	case msg.OperationList:
		return v.list(r)
	}
	return lookOnly()
}

func lookOnly() msg.Reply {
	return msg.Reply{Err: msg.Errorf(msg.CodeInvalidArgument, msg.ClassInvalidArgument,
		"a check may only look: it can read, inspect and list")}
}

// read runs a read of the program.
func (v window) read(r *msg.Request) msg.Reply {
	o := v.world.program.Turn(ended{}, &msg.Turn{
		Mode: msg.ModeRead, Attempt: 1, Now: v.world.now(), State: v.Entity(r.Target.Kind, r.Target.Key),
		Message: &msg.Message{Kind: msg.MessageCall, Target: r.Target, Handler: r.Handler, Payload: r.Payload},
	})
	switch {
	case o.Fault != "":
		return msg.Reply{Err: msg.Errorf(msg.CodeFailed, msg.ClassFailed, "%s", o.Fault)}
	case o.Err != nil:
		return msg.Reply{Err: o.Err}
	}
	return msg.Reply{Found: true, Payload: o.Output}
}

func (v window) list(r *msg.Request) msg.Reply {
	var page []string
	for _, key := range v.Keys(r.Target.Kind) {
		if key > r.After && len(page) < r.Limit {
			page = append(page, key)
		}
	}
	return msg.Reply{Found: true, Keys: page}
}

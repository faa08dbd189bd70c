package kar_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/holdfast-io/holdfast/internal/kar"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/remote"
)

// fields are the maps of a snapshot.
type fields map[string]map[string][]byte

func (f fields) Names() (names []string) {
	for _, name := range []string{"c:r", "e", "l", "q", "r", "s"} {
		if len(f[name]) > 0 {
			names = append(names, name)
		}
	}
	return names
}
func (f fields) IsList(string) bool { return false }
func (f fields) Entry(field, key string) ([]byte, bool) {
	value, ok := f[field][key]
	return value, ok
}
func (f fields) Entries(field string, yield func(string, []byte) bool) {
	for n := range len(f[field]) {
		key := fmt.Sprintf("%016x", n)
		if value, ok := f[field][key]; ok && !yield(key, value) {
			return
		}
	}
}
func (f fields) Items(string, func(int, []byte) bool) {}
func (f fields) Len(field string) int                 { return len(f[field]) }

func turnOf(handler string, kind msg.MessageKind, root, input remote.Noun, f fields) *msg.Turn {
	t := &msg.Turn{Run: 1, Now: 1000, Message: &msg.Message{Kind: kind, Handler: handler, Target: msg.Ref{Kind: kar.KindActor, Key: "a/C/x"}}}
	t.Message.ReplyTo.Invocation = msg.InvocationID{1}
	if root != nil {
		t.State = msg.Snapshot{Exists: true, Root: msg.Payload{Body: remote.Append(nil, root)}, Fields: f}
	}
	if input != nil {
		t.Message.Payload.Body = remote.Append(nil, input)
	}
	return t
}

func outcomeOf(t *testing.T, turn *msg.Turn) *msg.Outcome {
	t.Helper()
	o := kar.New(kar.Config{}).Turn(context.Background(), turn)
	if o.Fault != "" {
		t.Fatalf("fault: %s", o.Fault)
	}
	return o
}

func TestAQueueHasABoundForTheOutside(t *testing.T) {
	full := &remote.Actor{Flow: "f", Active: []remote.Active{{Request: "r"}}, Next: 100_000, Waiting: 100_000}
	i := invocation(remote.InvocationTell, "x", "/m")
	i.Request, i.Flow = "req", "flow"
	var got remote.Result
	o := outcomeOf(t, turnOf(kar.HandlerInvoke, msg.MessageCall, full, &i, fields{}))
	if err := remote.Decode("Result", o.Output.Body, &got); err != nil || got.Status != 429 || len(o.Changes) > 0 {
		t.Errorf("got %+v, %v, %d changes; want 429 and none", got, err, len(o.Changes))
	}
	if o := outcomeOf(t, turnOf(kar.HandlerInvoke, msg.MessageSend, full, &i, fields{})); len(o.Changes) != 1 {
		t.Errorf("what an actor sends made %d changes, want 1: it is never refused", len(o.Changes))
	}
}

func TestSoMuchIsRememberedOfAnInvocation(t *testing.T) {
	held := &remote.Actor{Flow: "f", Active: []remote.Active{{Request: "r", Calls: 1, SentBytes: 1 << 20}}}
	call := remote.Call{Occurrence: 1}
	sent := fields{"c:r": {call.Key(): remote.Append(nil, &remote.Sent{Pending: true, Waiters: []remote.Address{{Reply: msg.ReplyTo{Invocation: msg.InvocationID{1}}}}})}}
	o := outcomeOf(t, turnOf(kar.HandlerResult, msg.MessageSend, held, &remote.Told{Request: "r", Call: call, Result: remote.Result{Status: 200}}, sent))
	if len(o.Replies) != 1 || len(o.Changes) != 1 || o.Changes[0].Kind != msg.ChangeRemove {
		t.Errorf("got %d replies and changes %+v, want the result passed on and not remembered", len(o.Replies), o.Changes)
	}
	many := fields{"c:r": {}}
	for n := range 1000 {
		many["c:r"][fmt.Sprint(n)] = nil
	}
	tell := remote.Request{Name: "r", Sends: []remote.Outgoing{{Call: call, Invocation: invocation(remote.InvocationTell, "y", "/m")}}}
	if o := outcomeOf(t, turnOf(kar.HandlerOperate, msg.MessageCall, held, &tell, many)); len(o.Sends) != 1 || len(o.Changes) != 0 {
		t.Errorf("got %d sends and %d changes, want it sent and not remembered", len(o.Sends), len(o.Changes))
	}
}

// TestInputThatCannotBeReadIsAFault: it consumes nothing, and is visible.
func TestInputThatCannotBeReadIsAFault(t *testing.T) {
	for _, handler := range []string{kar.HandlerInvoke, kar.HandlerDone, kar.HandlerOperate, kar.HandlerResult, kar.HandlerChange, kar.HandlerEnded, kar.HandlerEvent, kar.HandlerQuery, "frobnicate"} {
		turn := turnOf(handler, msg.MessageCall, &remote.Actor{}, nil, fields{})
		turn.Message.Payload.Body = []byte("\xff\xff\xff")
		if o := kar.New(kar.Config{}).Turn(context.Background(), turn); !strings.Contains(o.Fault, handler) {
			t.Errorf("%s: got %+v, want a fault that names it", handler, o)
		}
	}
	turn := turnOf(kar.HandlerInvoke, msg.MessageCall, nil, nil, nil)
	turn.Message.Target.Key = "no actor"
	if o := kar.New(kar.Config{}).Turn(context.Background(), turn); !strings.Contains(o.Fault, "names no actor") {
		t.Errorf("got %+v, want a fault", o)
	}
}

func TestATopicKeepsTheLastEvents(t *testing.T) {
	root := remote.Topic{}
	kept := fields{"l": {}}
	p := kar.New(kar.Config{EventsMax: 3})
	for n := range 10 {
		turn := turnOf(kar.HandlerPublish, msg.MessageCall, &root, &remote.Event{Body: []byte{byte(n)}}, kept)
		turn.Message.Target = msg.Ref{Kind: kar.KindTopic, Key: "t"}
		o := p.Turn(context.Background(), turn)
		if o.Fault != "" {
			t.Fatal(o.Fault)
		}
		for _, c := range o.Changes {
			if c.Kind == msg.ChangePut {
				kept[c.Field][c.Key] = c.Value
			} else {
				delete(kept[c.Field], c.Key)
			}
		}
		root = remote.Topic{}
		if err := remote.Decode("Topic", o.Root.Body, &root); err != nil {
			t.Fatal(err)
		}
	}
	if len(kept["l"]) != 3 || root.First != 7 || root.Next != 10 {
		t.Errorf("%d events are kept, from %d to %d; want 3, from 7 to 10", len(kept["l"]), root.First, root.Next)
	}
}

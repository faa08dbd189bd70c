package ingress_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast/client"
	"github.com/holdfast-io/holdfast/internal/frontend/native"
	"github.com/holdfast-io/holdfast/internal/ingress"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/program"
)

// scriptedDoor answers with what the test says and remembers what it was asked.
type scriptedDoor struct {
	answer func(ctx context.Context, r *msg.Request) msg.Reply

	mu    sync.Mutex
	asked []msg.Request
}

func (d *scriptedDoor) Do(ctx context.Context, r *msg.Request) msg.Reply {
	d.mu.Lock()
	d.asked = append(d.asked, *r)
	d.mu.Unlock()
	return d.answer(ctx, r)
}

func (d *scriptedDoor) Ready() error { return nil }

func (d *scriptedDoor) Describe() program.Description {
	return program.Description{Kinds: []msg.Kind{{Name: "account", Handlers: []msg.Handler{
		{Name: "balance", Mode: msg.ModeRead, Aliases: []string{"funds"}}, {Name: "deposit", Mode: msg.ModeUpdate},
	}}, {Name: "transfer", Form: msg.FormWorkflow}}}
}

func always(reply msg.Reply) *scriptedDoor {
	return &scriptedDoor{answer: func(context.Context, *msg.Request) msg.Reply { return reply }}
}

var (
	anID  = msg.NewInvocationID(3, 7<<16, 9)
	alice = msg.Ref{Kind: "account", Key: "alice"}
)

// fields is a snapshot's sub-state.
type fields struct {
	lists map[string][]string
	maps  map[string][][2]string
	names []string
}

func (f fields) Names() []string                         { return f.names }
func (f fields) IsList(field string) bool                { return f.lists[field] != nil }
func (f fields) Entry(string, string) (v []byte, _ bool) { return nil, false }
func (f fields) Len(field string) int                    { return len(f.lists[field]) + len(f.maps[field]) }

func (f fields) Entries(field string, yield func(string, []byte) bool) {
	for _, entry := range f.maps[field] {
		if !yield(entry[0], []byte(entry[1])) {
			return
		}
	}
}

func (f fields) Items(field string, yield func(int, []byte) bool) {
	for i, item := range f.lists[field] {
		if !yield(i, []byte(item)) {
			return
		}
	}
}

// TestInProcessAnswersAsOverHTTP: for every operation and kind of answer, the
// connection in process and the one over HTTP ask the door for the same and
// give the caller the same reply or error.
func TestInProcessAnswersAsOverHTTP(t *testing.T) {
	state := &msg.Snapshot{Exists: true, Root: msg.Payload{Body: []byte(`{"b":1}`)}, Fields: fields{
		names: []string{"log"}, lists: map[string][]string{"log": {`"x"`, `2`}},
	}}
	refused := msg.Reply{Err: &msg.Error{Code: "insufficient_funds", Class: msg.ClassConflict, Message: "no", Detail: []byte("\x00{}")}}
	at := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	for _, c := range []struct {
		name    string
		request client.Request
		reply   msg.Reply
	}{
		{"call", client.Request{Kind: "account", Key: "a/b ü", Handler: "deposit", Body: []byte(" 10 ")}, msg.Reply{Payload: msg.Payload{Body: []byte("52")}}},
		{"call with a key", client.Request{Kind: "account", Key: "alice", Handler: "deposit", IdempotencyKey: "order 7"}, msg.Reply{}},
		{"call with headers", client.Request{Kind: "account", Key: "alice", Handler: "deposit", Header: map[string]string{"B": "2", "a": "1"}}, msg.Reply{}},
		{"call with bytes", client.Request{Kind: "account", Key: "alice", Handler: "deposit", Body: []byte("\xff"), ContentType: "x/y"},
			msg.Reply{Payload: msg.Payload{ContentType: "x/y", Body: []byte("\xfe")}}},
		{"call that is refused", client.Request{Kind: "account", Key: "alice", Handler: "deposit"}, refused},
		{"call that was not answered in time", client.Request{Kind: "account", Key: "alice", Handler: "deposit", Deadline: at},
			msg.Reply{Err: msg.Errorf(msg.CodeDeadlineExceeded, msg.ClassUnavailable, "not in time")}},
		{"peek", client.Request{Operation: client.Peek, Kind: "account", Key: "alice", Handler: "balance"}, msg.Reply{Payload: msg.Payload{Body: []byte("7")}}},
		{"submit", client.Request{Operation: client.Submit, Kind: "account", Key: "alice", Handler: "deposit", Body: []byte("1")}, msg.Reply{Invocation: anID}},
		{"submit one way", client.Request{OneWay: true, Kind: "account", Key: "alice", Handler: "deposit"}, msg.Reply{Invocation: anID}},
		{"submit at a time", client.Request{Operation: client.Submit, Kind: "account", Key: "alice", Handler: "deposit", NotBefore: at}, msg.Reply{Invocation: anID}},
		{"inspect", client.Request{Operation: client.Inspect, Kind: "account", Key: "alice"}, msg.Reply{Found: true, Version: 17, State: state}},
		{"inspect nothing", client.Request{Operation: client.Inspect, Kind: "account", Key: "alice"}, msg.Reply{}},
		{"exists", client.Request{Operation: client.Exists, Kind: "account", Key: "alice"}, msg.Reply{Found: true}},
		{"does not exist", client.Request{Operation: client.Exists, Kind: "account", Key: "alice"}, msg.Reply{}},
		{"delete", client.Request{Operation: client.Delete, Kind: "account", Key: "alice"}, msg.Reply{}},
		{"reminders", client.Request{Operation: client.Reminders, Kind: "account", Key: "alice"}, msg.Reply{Reminders: []msg.Reminder{{Name: "r", Due: 1}}}},
		{"list", client.Request{Operation: client.List, Kind: "account", After: "a", Limit: 1}, msg.Reply{Keys: []string{"b", "c"}}},
		{"list by default", client.Request{Operation: client.List, Kind: "account"}, msg.Reply{Keys: []string{"b", "c"}}},
		{"result", client.Request{Operation: client.Result, InvocationID: anID.String()}, msg.Reply{Status: msg.StatusCompleted, Payload: msg.Payload{Body: []byte("1")}}},
		{"result that is an error", client.Request{Operation: client.Result, InvocationID: anID.String(), Wait: true}, msg.Reply{Status: msg.StatusFailed, Err: refused.Err}},
		{"result of nothing", client.Request{Operation: client.Result, InvocationID: anID.String()}, msg.Reply{}},
		{"body that is not JSON", client.Request{Kind: "account", Key: "alice", Handler: "deposit", Body: []byte(`{"a":`)}, msg.Reply{}},
		{"negative delay", client.Request{Operation: client.Submit, Kind: "account", Key: "alice", Handler: "deposit", Delay: -1}, msg.Reply{}},
		{"delayed call", client.Request{Kind: "account", Key: "alice", Handler: "deposit", Delay: 1}, msg.Reply{}},
		{"namespace", client.Request{Namespace: "n", Kind: "account", Key: "alice", Handler: "deposit"}, msg.Reply{}},
		{"unknown operation", client.Request{Operation: "dance", Kind: "account", Key: "alice"}, msg.Reply{}},
		{"key with a control character", client.Request{Kind: "account", Key: "alice", Handler: "deposit", IdempotencyKey: "a\nb"}, msg.Reply{}},
		{"header with a control character", client.Request{Kind: "account", Key: "alice", Handler: "deposit", Header: map[string]string{"a": "\n"}}, msg.Reply{}},
	} {
		t.Run(c.name, func(t *testing.T) { compareConnections(t, c.request, always(c.reply), always(c.reply)) })
	}
}

// compareConnections sends a request through a connection in process and one
// over HTTP, to doors that answer alike.
func compareConnections(t *testing.T, r client.Request, inside, outside *scriptedDoor) (client.Reply, error) {
	t.Helper()
	server := httptest.NewServer(native.New(native.Config{Door: outside}))
	defer server.Close()
	gotInside, errInside := ingress.NewConn(inside).Invoke(t.Context(), r)
	gotOutside, errOutside := client.HTTP(server.URL).Invoke(t.Context(), r)
	compareReplies(t, gotInside, gotOutside)
	compareErrors(t, errInside, errOutside)
	compareAsked(t, inside.asked, outside.asked)
	return gotInside, errInside
}

func compareReplies(t *testing.T, inside, outside client.Reply) {
	t.Helper()
	if string(inside.Body) != string(outside.Body) || inside.Version != outside.Version {
		t.Errorf("in process %s version %d, over HTTP %s version %d", inside.Body, inside.Version, outside.Body, outside.Version)
	}
}

func compareErrors(t *testing.T, inside, outside error) {
	t.Helper()
	var a, b *client.Error
	if errors.As(inside, &a) != errors.As(outside, &b) {
		t.Errorf("in process %v, over HTTP %v", inside, outside)
	}
	if a == nil || b == nil {
		return
	}
	x, y := *a, *b
	if x.Code == msg.CodeInvalidArgument { // each side says it in its own words
		x.Message, y.Message = "", ""
	}
	if !reflect.DeepEqual(x, y) {
		t.Errorf("in process %+v, over HTTP %+v", x, y)
	}
}

func compareAsked(t *testing.T, inside, outside []msg.Request) {
	t.Helper()
	if len(inside) != len(outside) {
		t.Fatalf("in process the door was asked %d times, over HTTP %d times", len(inside), len(outside))
	}
	for i := range inside {
		a, b := inside[i], outside[i]
		if a.Identity.Session.IsZero() != b.Identity.Session.IsZero() || a.Identity.SessionNumber != b.Identity.SessionNumber {
			t.Errorf("in process %+v, over HTTP %+v", a.Identity, b.Identity)
		}
		a.Identity.Session, b.Identity.Session = msg.SessionID{}, msg.SessionID{}
		if time.Duration(a.Deadline-b.Deadline).Abs() > time.Minute {
			t.Errorf("in process the deadline is %v, over HTTP %v", a.Deadline.Std(), b.Deadline.Std())
		}
		a.Deadline, b.Deadline = 0, 0 // over HTTP it is counted from when the request arrives
		if !reflect.DeepEqual(a, b) {
			t.Errorf("in process the door was asked\n%+v, over HTTP\n%+v", a, b)
		}
	}
}

// TestReadsHaveNoSession: a read changes nothing, so no answer need be
// remembered, by either of its names.
func TestReadsHaveNoSession(t *testing.T) {
	door := always(msg.Reply{})
	conn := ingress.NewConn(door)
	for _, handler := range []string{"balance", "funds", "deposit", "deposit"} {
		if _, err := conn.Invoke(t.Context(), client.Request{Kind: "account", Key: "alice", Handler: handler}); err != nil {
			t.Fatal(err)
		}
	}
	var numbers []uint64
	for _, r := range door.asked {
		numbers = append(numbers, r.Identity.SessionNumber)
	}
	if want := []uint64{0, 0, 1, 2}; !reflect.DeepEqual(numbers, want) {
		t.Errorf("session numbers are %v, want %v", numbers, want)
	}
	if door.asked[2].Identity.Session != door.asked[3].Identity.Session {
		t.Error("two calls in a row are in two sessions, want one")
	}
}

// TestRefusalsThatPassAreRepeated: the same request is brought again, with the
// same identity, and the caller never hears of it.
func TestRefusalsThatPassAreRepeated(t *testing.T) {
	replies := []msg.Reply{
		{Err: msg.Errorf(msg.CodeUnavailable, msg.ClassUnavailable, "recovering")},
		{Err: msg.Errorf(msg.CodeResourceExhausted, msg.ClassExhausted, "full")},
		{Payload: msg.Payload{Body: []byte("1")}},
	}
	door := &scriptedDoor{}
	door.answer = func(context.Context, *msg.Request) msg.Reply { return replies[len(door.asked)-1] }
	reply, err := ingress.NewConn(door).Invoke(t.Context(), client.Request{Kind: "account", Key: "alice", Handler: "deposit"})
	if err != nil || string(reply.Body) != "1" {
		t.Fatalf("got %s, %v; want 1", reply.Body, err)
	}
	if len(door.asked) != 3 || !reflect.DeepEqual(door.asked[0], door.asked[2]) {
		t.Errorf("the door was asked %+v, want the same request three times", door.asked)
	}
}

// TestLastAnswerDecidesTheFate: an outcome says that the request is done, however
// uncertain the attempt before it was.
func TestLastAnswerDecidesTheFate(t *testing.T) {
	replies := []msg.Reply{
		{Err: msg.Errorf(msg.CodeUnavailable, msg.ClassUnavailable, "moving")},
		{Err: msg.Errorf("insufficient_funds", msg.ClassConflict, "no")},
	}
	door := &scriptedDoor{}
	door.answer = func(context.Context, *msg.Request) msg.Reply { return replies[len(door.asked)-1] }
	_, err := ingress.NewConn(door).Invoke(t.Context(), client.Request{Kind: "account", Key: "alice", Handler: "deposit"})
	var failed *client.Error
	if !errors.As(err, &failed) || failed.Code != "insufficient_funds" || failed.Unknown {
		t.Errorf("got %+v, want insufficient_funds of a known fate", failed)
	}
}

// TestUnknownFateEndsTheSession: after an answer that leaves open whether the
// request is done, nothing may follow it in its session.
func TestUnknownFateEndsTheSession(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	door := &scriptedDoor{}
	door.answer = func(ctx context.Context, _ *msg.Request) msg.Reply {
		if len(door.asked) > 1 {
			return msg.Reply{}
		}
		cancel()
		<-ctx.Done()
		return msg.Reply{Err: msg.Errorf(msg.CodeCancelled, msg.ClassConflict, "gone")}
	}
	conn := ingress.NewConn(door)
	request := client.Request{Kind: "account", Key: "alice", Handler: "deposit"}
	_, err := conn.Invoke(ctx, request)
	var failed *client.Error
	if !errors.Is(err, context.Canceled) || !errors.As(err, &failed) || !failed.Unknown {
		t.Errorf("got %v, want a cancellation that says that the fate is unknown", err)
	}
	if _, err := conn.Invoke(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	if first, second := door.asked[0].Identity, door.asked[1].Identity; first.Session == second.Session || second.SessionNumber != 1 {
		t.Errorf("the session %+v was followed by %+v, want a new one", first, second)
	}
}

// TestStoppedDoorIsNotAskedAgain: what has stopped does not come back.
func TestStoppedDoorIsNotAskedAgain(t *testing.T) {
	door := always(msg.Reply{Err: ingress.ErrStopped})
	_, err := ingress.NewConn(door).Invoke(t.Context(), client.Request{Kind: "account", Key: "alice", Handler: "deposit"})
	var failed *client.Error
	if !errors.As(err, &failed) || failed.Code != msg.CodeUnavailable || len(door.asked) != 1 {
		t.Errorf("got %v after %d questions, want unavailable after one", err, len(door.asked))
	}
}

// TestBodiesBelongToTheirOwners: the caller may use the memory of a request
// again, and may write to a reply.
func TestBodiesBelongToTheirOwners(t *testing.T) {
	kept := []byte("52")
	door := always(msg.Reply{Payload: msg.Payload{Body: kept}})
	body := []byte("10")
	reply, err := ingress.NewConn(door).Invoke(t.Context(), client.Request{Kind: "account", Key: "alice", Handler: "deposit", Body: body})
	if err != nil {
		t.Fatal(err)
	}
	body[0], reply.Body[0] = 'x', 'x'
	if string(door.asked[0].Payload.Body) != "10" || string(kept) != "52" {
		t.Errorf("the door has %s and keeps %s, want 10 and 52", door.asked[0].Payload.Body, kept)
	}
}

// TestStateMergesMapsAndLists: maps and lists are members of the state, and
// take the place of what the root says of them.
func TestStateMergesMapsAndLists(t *testing.T) {
	sub := fields{
		names: []string{"entries", "log"},
		maps:  map[string][][2]string{"entries": {{"a", "1"}, {"ü\"\x01", `{"x":2}`}}},
		lists: map[string][]string{"log": {"1", "\xff"}},
	}
	for _, c := range []struct{ name, root, contentType, want string }{
		{"root that is an object", `{ "n": 5 , "entries" : null, "m": [1, 2]}`, "",
			`{"n":5,"m":[1, 2],"entries":{"a":1,"ü\"\u0001":{"x":2}},"log":[1,{"base64":"/w=="}]}`},
		{"no root", "", "", `{"entries":{"a":1,"ü\"\u0001":{"x":2}},"log":[1,{"base64":"/w=="}]}`},
		{"root that is no object", "[5]", "", `{"root":[5],"entries":{"a":1,"ü\"\u0001":{"x":2}},"log":[1,{"base64":"/w=="}]}`},
		{"root that is not JSON", "\x01", "x/y",
			`{"root":{"content_type":"x/y","base64":"AQ=="},"entries":{"a":1,"ü\"\u0001":{"x":2}},"log":[1,{"base64":"/w=="}]}`},
	} {
		snapshot := &msg.Snapshot{Root: msg.Payload{ContentType: c.contentType, Body: []byte(c.root)}, Fields: sub}
		got, err := ingress.AppendInspect(nil, alice, &msg.Reply{Version: 3, State: snapshot})
		want := `{"kind":"account","key":"alice","version":3,"state":` + c.want + `}`
		if err != nil || string(got) != want {
			t.Errorf("%s: got\n%s, %v; want\n%s", c.name, got, err, want)
		}
	}
}

// TestFieldsOfAMachineAreMembersOfItsData: the root of a machine has stack and
// data, and its maps and lists are those of the data.
func TestFieldsOfAMachineAreMembersOfItsData(t *testing.T) {
	sub := fields{names: []string{"log"}, lists: map[string][]string{"log": {"1"}}}
	for _, c := range []struct {
		root, want string
		fields     msg.Fields
	}{
		{`{"stack":["on"],"data":{"n":5}}`, `{"stack":["on"],"data":{"n":5,"log":[1]}}`, sub},
		{`{"stack":["on"],"data":{"n":5}}`, `{"stack":["on"],"data":{"n":5}}`, nil},
		{`{"n":5}`, `{"n":5,"log":[1]}`, sub},
	} {
		snapshot := &msg.Snapshot{Root: msg.Payload{Body: []byte(c.root)}, Fields: c.fields, Machine: true}
		got, err := ingress.AppendInspect(nil, alice, &msg.Reply{Version: 3, State: snapshot})
		want := `{"kind":"account","key":"alice","version":3,"state":` + c.want + `}`
		if err != nil || string(got) != want {
			t.Errorf("%s: got\n%s, %v; want\n%s", c.root, got, err, want)
		}
	}
}

// TestStateThatIsTooLargeIsRefused bounds the memory of one answer.
func TestStateThatIsTooLargeIsRefused(t *testing.T) {
	item := `"` + strings.Repeat("x", 1<<20) + `"`
	items := make([]string, 70)
	for i := range items {
		items[i] = item
	}
	snapshot := &msg.Snapshot{Fields: fields{names: []string{"log"}, lists: map[string][]string{"log": items}}}
	if _, err := ingress.AppendInspect(nil, alice, &msg.Reply{State: snapshot}); err == nil || err.Code != msg.CodePayloadTooLarge {
		t.Errorf("got %v, want payload_too_large", err)
	}
}

// BenchmarkConn asks what the connection in process adds to a call.
func BenchmarkConn(b *testing.B) {
	door := discard{always(msg.Reply{Payload: msg.Payload{Body: []byte("52")}})}
	conn := ingress.NewConn(door)
	request := client.Request{Kind: "account", Key: "alice", Handler: "deposit", Body: []byte("10")}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := conn.Invoke(b.Context(), request); err != nil {
			b.Fatal(err)
		}
	}
}

type discard struct{ *scriptedDoor }

func (d discard) Do(ctx context.Context, r *msg.Request) msg.Reply { return d.answer(ctx, r) }

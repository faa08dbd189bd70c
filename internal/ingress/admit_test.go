package ingress_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast/internal/ingress"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// Goal: what the door refuses, with which words, and where it sends the rest.
// Method: partitions that remember what they are told; what is refused must
// leave no trace there.

func TestWhatCannotBeIsRefused(t *testing.T) {
	at := func(d time.Duration) msg.Time { return msg.TimeOf(time.Now().Add(d)) }
	call := func(change func(*msg.Request)) *msg.Request {
		r := deposit()
		change(r)
		return r
	}
	key := func(key string) *msg.Request { return call(func(r *msg.Request) { r.Target.Key = key }) }
	elsewhere := msg.NewInvocationID(partitionCount, 1, 1)
	for _, c := range []struct {
		name     string
		request  *msg.Request
		code     string
		class    msg.Class
		mentions []string
	}{
		{"an unknown kind, naming those that exist", call(func(r *msg.Request) { r.Target.Kind = "acount" }),
			msg.CodeNotFound, msg.ClassNotFound, []string{`"acount"`, "account, cart, light, mute"}},
		{"no kind", call(func(r *msg.Request) { r.Target.Kind = "" }), msg.CodeNotFound, msg.ClassNotFound, []string{`""`, "account, cart, light, mute"}},
		{"a list of an unknown kind", &msg.Request{Operation: msg.OperationList, Target: msg.Ref{Kind: "x"}, Limit: 1},
			msg.CodeNotFound, msg.ClassNotFound, []string{`"x"`, "account, cart, light, mute"}},
		{"an unknown handler, naming those that exist", call(func(r *msg.Request) { r.Handler = "withdraw" }),
			msg.CodeNotFound, msg.ClassNotFound, []string{"account", `"withdraw"`, "balance, deposit"}},
		{"a handler of another kind", call(func(r *msg.Request) { r.Handler = "add" }), msg.CodeNotFound, msg.ClassNotFound, []string{`"add"`}},
		{"a handler of a kind that has none", call(func(r *msg.Request) { r.Target.Kind = "mute" }), msg.CodeNotFound, msg.ClassNotFound, []string{"none"}},
		{"no handler", call(func(r *msg.Request) { r.Handler = "" }), msg.CodeNotFound, msg.ClassNotFound, []string{`""`}},
		{"an unknown handler to submit to", call(func(r *msg.Request) { r.Operation, r.Handler = msg.OperationSubmit, "x" }),
			msg.CodeNotFound, msg.ClassNotFound, []string{`"x"`}},
		{"an unknown handler to peek", call(func(r *msg.Request) { r.Operation, r.Handler = msg.OperationPeek, "x" }),
			msg.CodeNotFound, msg.ClassNotFound, []string{`"x"`}},
		{"an empty key", key(""), msg.CodeInvalidArgument, msg.ClassInvalidArgument, []string{"empty"}},
		{"an overlong key", key(strings.Repeat("k", msg.KeyBytesMax+1)), msg.CodeInvalidArgument, msg.ClassInvalidArgument, []string{"1025", "1024"}},
		{"the key .", key("."), msg.CodeInvalidArgument, msg.ClassInvalidArgument, []string{`"."`}},
		{"the key ..", key(".."), msg.CodeInvalidArgument, msg.ClassInvalidArgument, []string{`".."`}},
		{"a key that is not UTF-8", key("a\xff"), msg.CodeInvalidArgument, msg.ClassInvalidArgument, []string{`"a\xff"`, "UTF-8"}},
		{"an inspection of an empty key", &msg.Request{Operation: msg.OperationInspect, Target: msg.Ref{Kind: "account"}},
			msg.CodeInvalidArgument, msg.ClassInvalidArgument, []string{"empty"}},
		{"a body that is too large", call(func(r *msg.Request) { r.Payload.Body = make([]byte, 1001) }),
			msg.CodePayloadTooLarge, msg.ClassInvalidArgument, []string{"1001", "1000"}},
		{"a time that is too far away", call(func(r *msg.Request) { r.Operation, r.NotBefore = msg.OperationSubmit, at(101*365*24*time.Hour) }),
			msg.CodeInvalidArgument, msg.ClassInvalidArgument, []string{"100 years"}},
		{"a list of nothing", &msg.Request{Operation: msg.OperationList, Target: msg.Ref{Kind: "account"}},
			msg.CodeInvalidArgument, msg.ClassInvalidArgument, []string{"limit", "0"}},
		{"the result of an invocation of a partition that does not exist", &msg.Request{Operation: msg.OperationResult, Invocation: elsewhere},
			msg.CodeNotFound, msg.ClassNotFound, []string{elsewhere.String()}},
		{"a dead letter of a partition that does not exist", &msg.Request{Operation: msg.OperationRedeliver, Invocation: elsewhere},
			msg.CodeNotFound, msg.ClassNotFound, []string{elsewhere.String()}},
		{"forgetting a dead letter of a partition that does not exist", &msg.Request{Operation: msg.OperationDiscard, Invocation: elsewhere},
			msg.CodeNotFound, msg.ClassNotFound, []string{elsewhere.String()}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := now(msg.Reply{})
			i := openIngress(p)
			err := i.Do(t.Context(), c.request).Err
			if err == nil || err.Code != c.code || err.Class != c.class {
				t.Fatalf("got %v, want code %s and class %d", err, c.code, c.class)
			}
			for _, want := range c.mentions {
				if !strings.Contains(err.Message, want) {
					t.Errorf("%q does not mention %s", err.Message, want)
				}
			}
			if told := p.commands(); len(told) != 0 {
				t.Errorf("a partition was told %+v", told)
			}
			checkInflight(t, i, 0)
		})
	}
}

// TestMessagesOfMachinesAreSentNotCalled: nobody would answer a call.
func TestMessagesOfMachinesAreSentNotCalled(t *testing.T) {
	p := now(msg.Reply{})
	i := openIngress(p)
	light := msg.Request{Target: msg.Ref{Kind: "light", Key: "1"}, Handler: "switch"}
	for _, operation := range []msg.Operation{msg.OperationCall, msg.OperationPeek} {
		light.Operation = operation
		err := i.Do(t.Context(), &light).Err
		if err == nil || err.Code != msg.CodeInvalidArgument || !strings.Contains(err.Message, "switch is a message of machine light, which answers nobody: it can be sent, not called; over HTTP, POST …/switch/send") {
			t.Errorf("operation %d: got %v", operation, err)
		}
	}
	light.Operation = msg.OperationSubmit
	if err := i.Do(t.Context(), &light).Err; err != nil || len(p.commands()) != 1 {
		t.Errorf("submitted: got %v, and %d commands", err, len(p.commands()))
	}
}

// TestWhatCanBeGoesToItsPartition: what is only just allowed is, a handler has
// all its names, and kinds of one affinity go together.
func TestWhatCanBeGoesToItsPartition(t *testing.T) {
	longest := msg.Ref{Kind: "account", Key: strings.Repeat("ü", msg.KeyBytesMax/2)}
	cart := msg.Ref{Kind: "cart", Key: "ann/1"}
	of := func(r msg.Ref, affinity string) msg.Partition { return msg.PartitionOf(r, affinity, partitionCount) }
	last := msg.NewInvocationID(partitionCount-1, 9, 9)
	for _, c := range []struct {
		name    string
		request msg.Request
		want    msg.Partition
	}{
		{"a call", msg.Request{Target: alice, Handler: "deposit"}, of(alice, "")},
		{"a call by an alias", msg.Request{Target: alice, Handler: "funds"}, of(alice, "")},
		{"the longest key and body", msg.Request{Target: longest, Handler: "deposit", Payload: msg.Payload{Body: make([]byte, 1000)}}, of(longest, "")},
		{"a kind with an affinity", msg.Request{Target: cart, Handler: "put"}, of(cart, "customer")},
		{"a submission", msg.Request{Operation: msg.OperationSubmit, Target: alice, Handler: "deposit",
			NotBefore: msg.TimeOf(time.Now().Add(99 * 365 * 24 * time.Hour))}, of(alice, "")},
		{"a time that has passed", msg.Request{Operation: msg.OperationSubmit, Target: alice, Handler: "deposit", NotBefore: -1}, of(alice, "")},
		{"a peek", msg.Request{Operation: msg.OperationPeek, Target: alice, Handler: "balance"}, of(alice, "")},
		{"an inspection", msg.Request{Operation: msg.OperationInspect, Target: cart}, of(cart, "customer")},
		{"whether it exists", msg.Request{Operation: msg.OperationExists, Target: alice}, of(alice, "")},
		{"a delete", msg.Request{Operation: msg.OperationDelete, Target: alice}, of(alice, "")},
		{"reminders", msg.Request{Operation: msg.OperationReminders, Target: alice}, of(alice, "")},
		{"a result", msg.Request{Operation: msg.OperationResult, Invocation: last}, partitionCount - 1},
		{"taking up what is parked", msg.Request{Operation: msg.OperationResume, Target: alice}, of(alice, "")},
		{"skipping what is parked", msg.Request{Operation: msg.OperationSkip, Target: alice}, of(alice, "")},
		{"taking up a dead letter", msg.Request{Operation: msg.OperationRedeliver, Invocation: last}, partitionCount - 1},
		{"forgetting a dead letter", msg.Request{Operation: msg.OperationDiscard, Invocation: last}, partitionCount - 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := now(msg.Reply{Found: true, Version: 17})
			request := c.request
			reply := openIngress(p).Do(t.Context(), &request)
			if want := (msg.Reply{Found: true, Version: 17}); !reflect.DeepEqual(reply, want) {
				t.Fatalf("got %+v, want %+v", reply, want)
			}
			all := p.commands()
			if len(all) != 1 || all[0].partition != c.want || all[0].Kind != msg.CommandRequest || all[0].Waiter == nil {
				t.Fatalf("told %+v, want one request to partition %d", all, c.want)
			}
			id := all[0].Request.Invocation
			if !c.request.Invocation.IsZero() && id != c.request.Invocation || id.IsZero() || id.Partition() != c.want {
				t.Errorf("the invocation is %s, want it kept, or one of partition %d", id, c.want)
			}
		})
	}
}

// TestInvocationsAreDifferent within a process, and between processes by their
// nonce.
func TestInvocationsAreDifferent(t *testing.T) {
	p := now(msg.Reply{})
	i := openIngress(p)
	for range 100 {
		i.Do(t.Context(), deposit())
		i.Do(t.Context(), &msg.Request{Operation: msg.OperationParked})
	}
	seen := map[msg.InvocationID]bool{}
	for _, c := range p.commands() {
		seen[c.Request.Invocation] = true
		if got, want := c.Request.Invocation.String()[4:16], "010203040506"; got != want {
			t.Fatalf("the nonce in %s is %s, want %s", c.Request.Invocation, got, want)
		}
	}
	if want := 100 * (1 + partitionCount); len(seen) != want {
		t.Errorf("%d different invocations, want %d", len(seen), want)
	}
}

// TestWithoutRoomReadsGoOn: new work is refused, with the reason; what only
// looks, and what makes room, is not.
func TestWithoutRoomReadsGoOn(t *testing.T) {
	id := msg.NewInvocationID(1, 1, 1)
	for _, c := range []struct {
		name    string
		request msg.Request
		refused bool
	}{
		{"an update", msg.Request{Target: alice, Handler: "deposit"}, true},
		{"an update by an alias", msg.Request{Target: msg.Ref{Kind: "cart", Key: "1"}, Handler: "put"}, true},
		{"a submission", msg.Request{Operation: msg.OperationSubmit, Target: alice, Handler: "deposit"}, true},
		{"a delete", msg.Request{Operation: msg.OperationDelete, Target: alice}, true},
		{"taking up a dead letter", msg.Request{Operation: msg.OperationRedeliver, Invocation: id}, true},
		{"a read", msg.Request{Target: alice, Handler: "balance"}, false},
		{"a read by an alias", msg.Request{Target: alice, Handler: "funds"}, false},
		{"a peek", msg.Request{Operation: msg.OperationPeek, Target: alice, Handler: "balance"}, false},
		{"an inspection", msg.Request{Operation: msg.OperationInspect, Target: alice}, false},
		{"whether it exists", msg.Request{Operation: msg.OperationExists, Target: alice}, false},
		{"reminders", msg.Request{Operation: msg.OperationReminders, Target: alice}, false},
		{"a list", msg.Request{Operation: msg.OperationList, Target: alice, Limit: 1}, false},
		{"a result", msg.Request{Operation: msg.OperationResult, Invocation: id}, false},
		{"what is parked", msg.Request{Operation: msg.OperationParked}, false},
		{"taking up what is parked", msg.Request{Operation: msg.OperationResume, Target: alice}, false},
		{"skipping what is parked", msg.Request{Operation: msg.OperationSkip, Target: alice}, false},
		{"dead letters", msg.Request{Operation: msg.OperationDeadLetters}, false},
		{"forgetting a dead letter", msg.Request{Operation: msg.OperationDiscard, Invocation: id}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := now(msg.Reply{Found: true})
			p.full = errFull
			i, request := openIngress(p), c.request
			err := i.Do(t.Context(), &request).Err
			if !c.refused {
				if err != nil {
					t.Errorf("got %v, want it done", err)
				}
				return
			}
			if err == nil || err.Code != msg.CodeResourceExhausted || err.Class != msg.ClassExhausted || !strings.Contains(err.Message, errFull.Error()) {
				t.Errorf("got %v, want %s with the reason", err, msg.CodeResourceExhausted)
			}
			if told := p.commands(); len(told) != 0 {
				t.Errorf("a partition was told %+v", told)
			}
			p.full = nil
			request = c.request
			if err := i.Do(t.Context(), &request).Err; err != nil {
				t.Errorf("got %v when there is room again, want it done", err)
			}
		})
	}
}

// TestADoorThatIsNotOpenAdmitsNothing, before it is opened, after it was
// stopped, and after the log failed; a stopped one does not open again.
func TestADoorThatIsNotOpenAdmitsNothing(t *testing.T) {
	for _, c := range []struct {
		name string
		door func(*partitions) *ingress.Ingress
		want *msg.Error
	}{
		{"starting", newIngress, &msg.Error{Code: msg.CodeUnavailable, Class: msg.ClassUnavailable, Message: "recovery is not over; try again later"}},
		{"stopped", func(p *partitions) *ingress.Ingress { i := openIngress(p); i.Stop(); i.Open(); return i }, ingress.ErrStopped},
		{"stopped before it was open", func(p *partitions) *ingress.Ingress { i := newIngress(p); i.Stop(); i.Open(); return i }, ingress.ErrStopped},
		{"failed", func(p *partitions) *ingress.Ingress { i := openIngress(p); i.Fail(errFull); return i }, ingress.ErrStopped},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := now(msg.Reply{})
			i := c.door(p)
			for operation := msg.OperationCall; operation <= msg.OperationDiscard; operation++ {
				r := &msg.Request{Operation: operation, Target: alice, Handler: "balance", Limit: 1}
				if got := i.Do(t.Context(), r).Err; !reflect.DeepEqual(got, c.want) || c.want == ingress.ErrStopped && got != c.want {
					t.Errorf("operation %d: got %v, want %v", operation, got, c.want)
				}
			}
			if told := p.commands(); len(told) != 0 {
				t.Errorf("a partition was told %+v", told)
			}
			if i.Ready() == nil {
				t.Error("the door says that it is ready")
			}
		})
	}
	if err := openIngress(never()).Ready(); err != nil {
		t.Errorf("an open door says that it is not ready: %v", err)
	}
}

// TestWhoeverHasGoneIsNotAdmitted: nothing is begun for a context that has
// ended, and the error says so.
func TestWhoeverHasGoneIsNotAdmitted(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancel()
	for _, c := range []struct {
		ctx   context.Context
		code  string
		class msg.Class
	}{
		{cancelled, msg.CodeCancelled, msg.ClassConflict},
		{late, msg.CodeDeadlineExceeded, msg.ClassUnavailable},
	} {
		p := now(msg.Reply{})
		i := openIngress(p)
		for operation := msg.OperationCall; operation <= msg.OperationDiscard; operation++ {
			err := i.Do(c.ctx, &msg.Request{Operation: operation, Target: alice, Handler: "balance", Limit: 1}).Err
			if err == nil || err.Code != c.code || err.Class != c.class || !strings.Contains(err.Message, "nothing was done") {
				t.Errorf("operation %d: got %v, want %s that says that nothing was done", operation, err, c.code)
			}
		}
		if told := p.commands(); len(told) != 0 {
			t.Errorf("a partition was told %+v", told)
		}
		checkInflight(t, i, 0)
	}
}

// TestTheDeadlineTravels: that of the request, or else that of its caller, but
// not for what goes on after its caller has been answered, nor one that a time
// in nanoseconds cannot tell.
func TestTheDeadlineTravels(t *testing.T) {
	soon := time.Now().Add(time.Hour)
	for _, c := range []struct {
		name    string
		caller  time.Time
		request msg.Request
		want    msg.Time
	}{
		{"the caller's", soon, msg.Request{}, msg.TimeOf(soon)},
		{"the request's own", soon, msg.Request{Deadline: 5}, 5},
		{"none of the caller's for a submission", soon, msg.Request{Operation: msg.OperationSubmit}, 0},
		{"the own one of a submission", soon, msg.Request{Operation: msg.OperationSubmit, Deadline: 5}, 5},
		{"none that is beyond all time", soon.AddDate(400, 0, 0), msg.Request{}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := now(msg.Reply{})
			ctx, cancel := context.WithDeadline(t.Context(), c.caller)
			defer cancel()
			c.request.Target, c.request.Handler = alice, "deposit"
			if err := openIngress(p).Do(ctx, &c.request).Err; err != nil {
				t.Fatal(err)
			}
			if got := p.commands()[0].Request.Deadline; got != c.want {
				t.Errorf("the deadline is %d, want %d", got, c.want)
			}
		})
	}
	p := now(msg.Reply{})
	openIngress(p).Do(context.Background(), deposit())
	if got := p.commands()[0].Request.Deadline; got != 0 {
		t.Errorf("the deadline is %d without one of the caller, want none", got)
	}
}

// TestTheLimitOfABodyHasADefault of 8 MiB.
func TestTheLimitOfABodyHasADefault(t *testing.T) {
	p := now(msg.Reply{})
	i := ingress.New(ingress.Config{
		Description: description(), Partitions: 1, Command: p.command, Room: p.room, Now: func() msg.Time { return 1 },
	})
	i.Open()
	for size, want := range map[int]string{8 << 20: "", 8<<20 + 1: msg.CodePayloadTooLarge} {
		r := deposit()
		r.Payload.Body = make([]byte, size)
		code := ""
		if err := i.Do(t.Context(), r).Err; err != nil {
			code = err.Code
		}
		if code != want {
			t.Errorf("%d bytes: got %q, want %q", size, code, want)
		}
	}
}

func TestADoorDescribesWhatIsServed(t *testing.T) {
	got, want := newIngress(never()).Describe(), description()
	if got.Events[0].Name != "moved" || len(got.Events) != len(want.Events) {
		t.Errorf("got events %+v", got.Events)
	}
	got.Events, want.Events = nil, nil // they have functions
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	err := ingress.New(ingress.Config{Partitions: 1}).Do(t.Context(), deposit()).Err
	if err == nil || errors.Is(err, ingress.ErrStopped) {
		t.Errorf("a door of nothing that is not open answers %v, want that recovery is not over", err)
	}
}

// TestNoInputIsWrittenInOneWay: so that a repeat which says it in another way is
// the same request.
func TestNoInputIsWrittenInOneWay(t *testing.T) {
	for _, c := range []struct{ contentType, body, want string }{
		{"", "", ""}, {"", "null", ""}, {"application/json", "{}", ""},
		{"", "[]", "[]"}, {"application/octet-stream", "{}", "{}"},
	} {
		p := now(msg.Reply{})
		r := deposit()
		r.Payload = msg.Payload{ContentType: c.contentType, Body: []byte(c.body)}
		if err := openIngress(p).Do(t.Context(), r).Err; err != nil {
			t.Fatal(err)
		}
		if got := string(p.commands()[0].Request.Payload.Body); got != c.want {
			t.Errorf("%+v: got %q", c, got)
		}
	}
}

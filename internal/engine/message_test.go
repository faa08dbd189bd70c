package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// twoPartitions gives a rig whose things can be sent to each other, a key on
// partition 0 and several on partition 1.
func twoPartitions(t *testing.T, limits Limits) (r *rig, from string, to []string) {
	r = newRig(t, 2, limits, thing("go", "go2", "add", "slow", "get"))
	from, to = r.keysOn(0, 1)[0], r.keysOn(1, 4)
	r.program["add"], r.program["slow"], r.program["get"] = add, add, get
	return r, from, to
}

// A message has to wait, later ones of the same source are consumed, and then
// the process dies. A receiver that remembered only the highest number it has
// consumed would take the one that waited for consumed, and lose it.
func TestMessageThatWaitsWhileLaterOnesAreConsumedSurvivesACrash(t *testing.T) {
	r, from, to := twoPartitions(t, Limits{})
	r.program["go"] = sendTo("slow", to[0])
	r.program["go2"] = sendTo("add", to[1])
	r.holding["slow"] = true
	want(t, r.call(msg.Request{Target: ref(from), Handler: "go"}), "")
	for range 3 {
		want(t, r.call(msg.Request{Target: ref(from), Handler: "go2"}), "")
	}
	r.advance(100 * time.Millisecond) // acknowledgements are written
	if got := r.root(to[1]); got != "3" {
		t.Fatalf("later messages: count is %q, want 3", got)
	}
	if box := &r.partitions[0].outboxes[1]; !box.has(1) || box.has(2) {
		t.Fatalf("the outbox holds 1: %v, 2: %v; want only the one that waits", box.has(1), box.has(2))
	}
	if s := r.partitions[0].Stats(); s.OutboxMessages != 1 {
		t.Fatalf("the outbox counts %d messages, want 1", s.OutboxMessages)
	}
	r.restart(nil)
	if got := r.root(to[0]); got != "" {
		t.Fatalf("the held message ran: %q", got)
	}
	r.release("slow")
	if one, other := r.root(to[0]), r.root(to[1]); one != "1" || other != "3" {
		t.Fatalf("after the crash the counts are %q and %q, want 1 and 3", one, other)
	}
	r.sameAfterReplay()
}

// The same with so many later messages that the one that waits is accepted: it
// moves to the receiver's inbox, and the sender's outbox becomes empty.
func TestMessageThatIsOvertakenByManyIsAccepted(t *testing.T) {
	r, from, to := twoPartitions(t, Limits{AcceptAfter: time.Hour})
	r.program["go"] = sendTo("slow", to[0])
	r.program["go2"] = sendTo("add", to[1])
	r.holding["slow"] = true
	want(t, r.call(msg.Request{Target: ref(from), Handler: "go"}), "")
	for range gapsMax + 10 {
		want(t, r.call(msg.Request{Target: ref(from), Handler: "go2"}), "")
	}
	r.advance(100 * time.Millisecond)
	if c := &r.partitions[1].consumed[0]; c.low != c.high {
		t.Fatalf("consumed is %d with numbers up to %d above it, want no gap", c.low, c.high)
	}
	if n := r.partitions[0].outboxes[1].messages.Len(); n != 0 {
		t.Fatalf("%d messages are in the outbox, want 0", n)
	}
	r.restart(nil)
	r.release("slow")
	if one := r.root(to[0]); one != "1" {
		t.Fatalf("the accepted message ran %q times, want 1", one)
	}
	r.sameAfterReplay()
}

// After a crash, messages come one after the other, and something else may come
// between them. That many were consumed above two that were not, and the first of
// these is consumed now, does not mean that the second is here.
func TestMessageThatWasOvertakenByManyMayNotHaveComeAgain(t *testing.T) {
	r, from, to := twoPartitions(t, Limits{AcceptAfter: time.Hour})
	r.program["go"] = sendTo("slow", to[0], to[1])
	many := r.keysOn(1, gapsMax+10)[2:]
	r.program["go2"] = sendTo("add", many...)
	r.holding["slow"], r.holding["add"] = true, true
	want(t, r.call(msg.Request{Target: ref(from), Handler: "go"}), "")
	want(t, r.call(msg.Request{Target: ref(from), Handler: "go2"}), "")
	for _, run := range append([]running(nil), r.runs...) { // before the next tick
		if run.turn.Message.Handler == "add" {
			r.finish(run)
		}
	}
	if c := &r.partitions[1].consumed[0]; c.low != 0 || c.high < gapsMax+2 {
		t.Fatalf("consumed is %d with numbers up to %d above it", c.low, c.high)
	}

	r.queue, r.runs = nil, nil
	for n := range r.partitions {
		r.partitions[n] = r.rebuild(msg.Partition(n))
	}
	r.out.Reset()
	r.partitions[1].Recover(r.now, 1, nil, &r.out)
	r.carry(r.partitions[1])
	r.out.Reset()
	r.partitions[0].Recover(r.now, 1, nil, &r.out)
	r.carry(r.partitions[0])
	first := r.queue[0]
	r.queue = r.queue[1:]
	r.stepOnly(first.to, first.command)
	slow := r.runs[0]
	r.runs = r.runs[1:]
	r.finish(slow)
	r.stepOnly(1, msg.Command{Kind: msg.CommandTick})
	r.partitions[1].verify()

	delete(r.holding, "add")
	r.settle() // the second is here, and waits
	r.program["go2"] = sendTo("add", many[0])
	want(t, r.call(msg.Request{Target: ref(from), Handler: "go2"}), "") // is consumed, and the second accepted
	if c := &r.partitions[1].consumed[0]; c.low != c.high {
		t.Errorf("consumed is %d with numbers up to %d above it, want no gap", c.low, c.high)
	}
	r.release("slow")
	if one, two := r.root(to[0]), r.root(to[1]); one != "1" || two != "1" {
		t.Errorf("the counts are %q and %q, want 1 and 1", one, two)
	}
	r.sameAfterReplay()
}

// What waits long is accepted after AcceptAfter, in portions that bound what one
// step writes.
func TestMessagesThatWaitLongAreAcceptedInPortions(t *testing.T) {
	r, from, to := twoPartitions(t, Limits{AcceptAfter: time.Second})
	r.program["go"] = sendTo("slow", to[0])
	r.holding["slow"] = true
	large := msg.Payload{Body: make([]byte, 300<<10)}
	for range 8 {
		want(t, r.call(msg.Request{Target: ref(from), Handler: "go", Payload: large}), "")
	}
	if n := r.partitions[1].aging; n.first == nil {
		t.Fatal("nothing waits")
	}
	r.now += msg.Time(2 * time.Second)
	before := len(r.log)
	r.stepOnly(1, msg.Command{Kind: msg.CommandTick})
	if got := len(r.log) - before; got == 0 || got > 4 {
		t.Fatalf("one tick accepted %d messages of 300 KiB, want at most 4", got)
	}
	r.settle()
	if r.partitions[1].aging.first != nil || r.partitions[1].inboxBytes < 8*300<<10 {
		t.Fatalf("the inbox has %d bytes, want all 8 messages", r.partitions[1].inboxBytes)
	}
	r.restart(nil)
	r.release("slow")
	if got := r.root(to[0]); got != "8" {
		t.Fatalf("count is %q, want 8", got)
	}
}

// Messages of one sender to one key run in the order they were sent, also when
// the transport turns them around.
func TestMessagesOfOneSenderRunInOrderHoweverTheyArrive(t *testing.T) {
	r, from, to := twoPartitions(t, Limits{})
	var order []string
	r.program["add"] = func(turn *msg.Turn) *msg.Outcome {
		order = append(order, string(turn.Message.Payload.Body))
		return add(turn)
	}
	r.program["go"] = sendTo("add", to[0])
	var sent []parcel
	for n := range 6 {
		r.stepOnly(0, msg.Command{Kind: msg.CommandRequest, Waiter: &told{}, Request: &msg.Request{
			Target: ref(from), Handler: "go", Payload: body(fmt.Sprint(n)), Invocation: msg.InvocationID{15: byte(n + 1)}}})
		for len(r.runs) > 0 {
			run := r.runs[0]
			r.runs = r.runs[1:]
			r.finish(run)
		}
		sent = append(sent, r.queue...)
		r.queue = nil
	}
	for _, n := range []int{3, 1, 0, 5, 5, 2, 1, 4} {
		r.queue = append(r.queue, sent[n])
		r.settle()
	}
	if got := fmt.Sprint(order); got != "[0 1 2 3 4 5]" {
		t.Fatalf("ran in order %v", got)
	}
	if r.partitions[1].inlets[0].early != nil {
		t.Fatal("messages are still held as early")
	}
}

// A handler's old name is another name of the handler. The message that has it
// lies in the outbox of another partition, which nobody else may write to.
func TestMessageWithAnAliasIsNotWrittenTo(t *testing.T) {
	k := thing("go", "add", "get")
	k.Handlers[1].Aliases = []string{"increase"}
	r := newRig(t, 2, Limits{}, k)
	r.program["add"], r.program["get"] = add, get
	from, to := r.keysOn(0, 1)[0], r.keysOn(1, 1)[0]
	r.program["go"] = sendTo("increase", to)
	r.holding["add"] = true
	want(t, r.call(msg.Request{Target: ref(from), Handler: "go"}), "")
	if m := *r.partitions[0].outboxes[1].messages.At(0); m.Handler != "increase" {
		t.Fatalf("the message in the outbox names %q, it was sent to increase", m.Handler)
	}
	r.release("add")
	r.advance(time.Second)
	if got := r.root(to); got != "1" {
		t.Fatalf("count is %q, want 1", got)
	}
	if p := r.partitions[0]; p.outboxBytes != 0 {
		t.Fatalf("the empty outbox counts %d bytes", p.outboxBytes)
	}
}

// A key's alias and its name are one handler, so an idempotency key means the
// same under both.
func TestIdempotencyKeyIsTheSameUnderAnAlias(t *testing.T) {
	k := thing("add")
	k.Handlers[0].Aliases = []string{"increase"}
	r := newRig(t, 1, Limits{}, k)
	r.program["add"] = add
	identity := msg.Identity{IdempotencyKey: "k"}
	first := r.call(msg.Request{Target: ref("a"), Handler: "add", Identity: identity})
	again := r.call(msg.Request{Target: ref("a"), Handler: "increase", Identity: identity})
	if !sameReply(&first, &again) || r.root("a") != "1" {
		t.Fatalf("first %+v, again %+v, count %q", first, again, r.root("a"))
	}
}

// A handler that was renamed knows what was asked of it under its old name, also
// of a request that has not ended.
func TestIdempotencyKeyOutlivesTheNameOfItsHandler(t *testing.T) {
	r := newRig(t, 1, Limits{}, thing("add", "wait"))
	r.program["add"] = add
	r.program["wait"] = func(*msg.Turn) *msg.Outcome {
		return &msg.Outcome{Tail: &msg.Outgoing{Target: ref("b"), Handler: "add"}}
	}
	r.holding["add"] = true
	key := func(k string) msg.Identity { return msg.Identity{IdempotencyKey: k} }
	calls := []msg.Request{
		{Target: ref("a"), Handler: "add", Identity: key("call")},
		{Target: ref("a"), Handler: "add", Identity: key("submit"), Operation: msg.OperationSubmit},
	}
	r.ask(calls[0])
	r.release("add")
	first := r.call(calls[1])
	pending := msg.Request{Target: ref("a"), Handler: "wait", Identity: key("chain")}
	r.ask(pending)
	r.release("add")

	renamed := thing("increase", "delay")
	for n := range renamed.Handlers {
		renamed.Handlers[n].Aliases = []string{map[string]string{"increase": "add", "delay": "wait"}[renamed.Handlers[n].Name]}
	}
	r.config.Kinds, r.holding = []msg.Kind{renamed}, map[string]bool{}
	r.program["increase"], r.program["delay"] = add, r.program["wait"]
	r.restart(nil)
	r.advance(time.Minute)
	before := [2]string{r.root("a"), r.root("b")}
	for _, again := range append(calls, pending) {
		for _, name := range []string{again.Handler, map[string]string{"add": "increase", "wait": "delay"}[again.Handler]} {
			again.Handler, again.Invocation = name, msg.InvocationID{}
			if got := r.call(again); got.Err != nil || again.Operation == msg.OperationSubmit && got.Invocation != first.Invocation {
				t.Errorf("%s of %s: got %+v", again.Identity.IdempotencyKey, name, got)
			}
		}
	}
	if after := [2]string{r.root("a"), r.root("b")}; after != before {
		t.Errorf("counts were %v and are %v", before, after)
	}
}

// A handler that fails consumes its message: nothing is retried, nothing is
// kept, and the sender is told.
func TestHandlerThatFailsConsumes(t *testing.T) {
	r, from, to := twoPartitions(t, Limits{})
	runs := 0
	r.program["add"] = func(*msg.Turn) *msg.Outcome {
		runs++
		return &msg.Outcome{Err: msg.Errorf("refused", msg.ClassConflict, "no"), Root: &msg.Payload{Body: []byte("9")},
			Sends: []msg.Outgoing{{Target: ref(to[1]), Handler: "slow"}}}
	}
	r.program["go"] = sendTo("add", to[0])
	want(t, r.call(msg.Request{Target: ref(from), Handler: "go"}), "")
	r.advance(time.Minute)
	r.restart(nil)
	r.advance(time.Minute)
	if runs != 1 || r.root(to[0]) != "" || r.root(to[1]) != "" {
		t.Fatalf("ran %d times, roots %q and %q; want 1 and nothing", runs, r.root(to[0]), r.root(to[1]))
	}
	if box := &r.partitions[0].outboxes[1]; box.messages.Len() != 0 {
		t.Fatal("the message is still in the outbox")
	}
	for n := range 3 {
		want(t, r.call(msg.Request{Target: ref(to[0]), Handler: "add", Identity: session(1, uint64(n+1))}), "refused")
	}
}

// Acknowledgements that come twice make no records.
func TestAcknowledgementThatComesAgainIsNotWritten(t *testing.T) {
	r, from, to := twoPartitions(t, Limits{})
	r.program["go"] = sendTo("add", to[0])
	want(t, r.call(msg.Request{Target: ref(from), Handler: "go"}), "")
	r.advance(time.Second)
	before := len(r.log)
	r.step(0, msg.Command{Kind: msg.CommandAck, Ack: msg.MessageID{Source: 0, Destination: 1, Number: 1}})
	r.advance(time.Second)
	if len(r.log) != before {
		t.Fatalf("%d records for an acknowledgement that has been heard", len(r.log)-before)
	}
}

// The bound of the outbox refuses new work from outside, and nothing else.
func TestFullOutboxRefusesOnlyWorkFromOutside(t *testing.T) {
	r, from, to := twoPartitions(t, Limits{OutboxBytesMax: 5000, AcceptAfter: time.Hour})
	r.program["go"] = sendTo("slow", to[0])
	r.program["go2"] = func(turn *msg.Turn) *msg.Outcome { // a chain on partition 0 that sends to 1
		o := sendTo("slow", to[0])(turn)
		if string(o.Output.Body) != "5" {
			o.Sends = append(o.Sends, msg.Outgoing{Target: ref(from), Handler: "go2", Payload: turn.Message.Payload})
		}
		return o
	}
	r.holding["slow"] = true
	want(t, r.call(msg.Request{Target: ref(from), Handler: "go", Payload: msg.Payload{Body: make([]byte, 5000)}}), "")
	p := r.partitions[0]
	for _, operation := range []msg.Operation{msg.OperationCall, msg.OperationSubmit, msg.OperationDelete} {
		reply := r.call(msg.Request{Operation: operation, Target: ref(from), Handler: "go"})
		want(t, reply, msg.CodeResourceExhausted)
	}
	want(t, r.call(msg.Request{Target: ref(from), Handler: "get"}), "")
	m := &msg.Message{ID: msg.MessageID{Source: 1, Destination: 0, Number: 1}, Kind: msg.MessageSend, Target: ref(from), Handler: "go2"}
	r.partitions[1].outboxes[0].next = 1 // as if partition 1 had sent it
	r.partitions[1].outboxes[0].put(m)
	r.partitions[1].outboxBytes += messageBytes(m)
	r.step(0, msg.Command{Kind: msg.CommandDeliver, Message: m})
	if got := r.root(from); got != "5" {
		t.Fatalf("the chain inside came to %q, want 5", got)
	}
	if p.outboxBytes <= 5000 {
		t.Fatalf("the outbox has %d bytes", p.outboxBytes)
	}
	r.release("slow")
	r.advance(time.Second)
	want(t, r.call(msg.Request{Target: ref(from), Handler: "go"}), "")
}

// A send that is delayed is durable at its target at once and runs when it is
// due, not before, also after a crash; what fell due meanwhile runs in the order
// in which it fell due.
func TestDelayedMessagesRunWhenDueInTheirOrder(t *testing.T) {
	r, from, to := twoPartitions(t, Limits{})
	var order []string
	r.program["add"] = func(turn *msg.Turn) *msg.Outcome {
		if turn.Now < turn.Message.NotBefore {
			t.Errorf("%s ran %v early", turn.Message.Payload.Body, time.Duration(turn.Message.NotBefore-turn.Now))
		}
		order = append(order, string(turn.Message.Payload.Body))
		return add(turn)
	}
	r.program["go"] = func(turn *msg.Turn) *msg.Outcome {
		o := add(turn)
		for n, delay := range []time.Duration{30, 10, 20} {
			o.Sends = append(o.Sends, msg.Outgoing{Target: ref(to[n]), Handler: "add", Payload: body(fmt.Sprint(int(delay))),
				NotBefore: turn.Now + msg.Time(delay*time.Second)})
		}
		return o
	}
	want(t, r.call(msg.Request{Target: ref(from), Handler: "go"}), "")
	r.advance(time.Second)
	if box := &r.partitions[0].outboxes[1]; box.messages.Len() != 0 || len(order) != 0 {
		t.Fatalf("%d messages are in the outbox, %v ran", box.messages.Len(), order)
	}
	submitted := r.ask(msg.Request{Operation: msg.OperationSubmit, Target: ref(to[3]), Handler: "add", Payload: body("15"),
		NotBefore: r.now + msg.Time(14*time.Second)})
	want(t, submitted.one(t), "")
	r.advance(10 * time.Second)
	r.now += msg.Time(time.Minute) // everything falls due while nothing runs
	r.restart(nil)
	if got := fmt.Sprint(order); got != "[10 15 20 30]" {
		t.Fatalf("ran %v", got)
	}
	r.sameAfterReplay()
}

// Acknowledgements that find no record to ride on get their own: at once when
// they are many, otherwise after a while.
func TestManyAcknowledgementsGetARecord(t *testing.T) {
	r, from, to := twoPartitions(t, Limits{AckAfter: time.Hour})
	keys := make([]string, gapsMax+5)
	for n := range keys {
		keys[n] = to[n%4]
	}
	r.program["go"] = sendTo("add", keys...)
	want(t, r.call(msg.Request{Target: ref(from), Handler: "go"}), "")
	if p := r.partitions[0]; len(p.acks) != 5 || p.outboxes[1].messages.Len() != 5 {
		t.Fatalf("%d acknowledgements wait for %d messages, want 5", len(p.acks), p.outboxes[1].messages.Len())
	}
	r.advance(2 * time.Hour)
	if p := r.partitions[0]; len(p.acks) != 0 || p.outboxes[1].messages.Len() != 0 {
		t.Fatalf("%d acknowledgements wait for %d messages, want none", len(p.acks), p.outboxes[1].messages.Len())
	}
	r.sameAfterReplay()
}

// A sender has so many messages of a channel in flight at most, whatever waits.
func TestWindowBoundsWhatIsInFlight(t *testing.T) {
	r, from, to := twoPartitions(t, Limits{AcceptAfter: time.Hour, AckAfter: time.Millisecond})
	r.program["go"] = sendTo("slow", to[0], to[0], to[0], to[0], to[0], to[0], to[0], to[0])
	r.holding["slow"] = true
	for range 300 {
		want(t, r.call(msg.Request{Target: ref(from), Handler: "go"}), "")
	}
	box, waits := &r.partitions[0].outboxes[1], r.partitions[1].aging.len()
	if box.delivered-box.base != window || waits != window || box.messages.Len() != 2400 {
		t.Fatalf("%d in flight, %d wait, %d stored; want %d, %d and 2400", box.delivered-box.base, waits, box.messages.Len(), window, window)
	}
	r.release("slow")
	r.advance(time.Second)
	if got := r.root(to[0]); got != "2400" || box.messages.Len() != 0 {
		t.Fatalf("%s ran, %d are stored", got, box.messages.Len())
	}
}

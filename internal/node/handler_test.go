package node_test

// Goal: whatever a handler does, it holds up nobody but its own entity, and that
// not for ever. Method: handlers that block, panic, end their goroutine or do not
// understand their state, on a node in memory.

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast/internal/engine"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/node"
)

func TestHandlersThatBlockSlowNobodyElse(t *testing.T) {
	r := newRig(t)
	r.config.Executors, r.config.Loops = 1, 1
	r.start()
	const blocked = 5
	began, let := make(chan struct{}, 100), make(chan struct{})
	r.script.hook("do", func(_ context.Context, t *msg.Turn) {
		if strings.HasPrefix(t.Message.Target.Key, "slow") {
			began <- struct{}{}
			<-let
		}
	})
	replies := make(chan msg.Reply, blocked)
	for n := range blocked {
		go func() { replies <- r.do(fmt.Sprint("slow-", n), order{Write: "late"}) }()
	}
	for range blocked {
		<-began
	}
	for n := range 100 {
		r.must(r.do(fmt.Sprint("quick-", n), order{Write: "x"}))
		r.look(fmt.Sprint("slow-", n%blocked)) // a read of one that is busy
	}
	if got := r.Stats(context.Background()).Executors; got.WrittenOff != blocked || got.Executors != 1 {
		t.Errorf("got %+v, want %d written off and one that works", got, blocked)
	}
	close(let)
	for range blocked {
		r.must(<-replies) // late, and not lost
	}
	r.stop()
}

func TestARunThatNeverReturnsIsGivenUpAndItsEntityGoesOn(t *testing.T) {
	r := newRig(t)
	r.config.AbandonAfter = 30 * time.Millisecond
	r.start()
	stuck, let := make(chan context.Context, 10), make(chan struct{})
	r.script.hook("do", func(ctx context.Context, t *msg.Turn) {
		if strings.Contains(string(t.Message.Payload.Body), "stuck") {
			stuck <- ctx
			<-let
		}
	})
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	reply := r.Door().Do(ctx, &msg.Request{Target: msg.Ref{Kind: "cell", Key: "a"}, Handler: "do", Payload: payload(order{Write: "stuck"})})
	r.wantCode(reply, msg.CodeDeadlineExceeded)
	r.must(r.do("a", order{Write: "next"})) // it waits until the run is given up
	select {
	case <-(<-stuck).Done():
	case <-time.After(patience):
		t.Error("the handler is not told that nobody waits for it")
	}
	r.wantCode(r.do("b", order{Write: "stuck too"}), msg.CodeUnavailable) // who waits hears of it
	close(let)
	r.until("late handlers return", func() bool { return r.Stats(context.Background()).Executors.WrittenOff == 0 })
	if got := append(r.look("a"), r.look("b")...); len(got) != 1 || got[0] != "next" {
		t.Errorf("got %v, want nothing of what was given up", got)
	}
	if got := r.Stats(context.Background()); got.Executors.Abandoned != 2 || got.Partitions.Faults != 2 {
		t.Errorf("got %+v, want two that were given up", got)
	}
	r.stop()
}

// TestAReadThatNeverReturnsIsAnsweredOnce: its waiter, which serves others then,
// hears nothing of it when it returns after all.
func TestAReadThatNeverReturnsIsAnsweredOnce(t *testing.T) {
	r := newRig(t)
	r.config.AbandonAfter = 30 * time.Millisecond
	r.start()
	r.must(r.do("a", order{Write: "x"}))
	let := make(chan struct{})
	r.script.hook("look", func(_ context.Context, t *msg.Turn) {
		if t.Message.Target.Key == "stuck" {
			<-let
		}
	})
	const stuck = 4
	replies := make(chan msg.Reply, stuck)
	for range stuck {
		go func() {
			replies <- r.Door().Do(context.Background(), &msg.Request{Target: msg.Ref{Kind: "cell", Key: "stuck"}, Handler: "look"})
		}()
	}
	for range stuck {
		r.wantCode(<-replies, msg.CodeUnavailable)
	}
	close(let)
	for r.Stats(context.Background()).Executors.WrittenOff > 0 {
		if got := r.look("a"); len(got) != 1 || got[0] != "x" {
			t.Fatalf("got %v, the answer to another read", got)
		}
	}
	if got := r.Stats(context.Background()); got.Executors.Abandoned != stuck || got.Partitions.Faults != stuck {
		t.Errorf("got %+v, want %d that were given up", got, stuck)
	}
	r.stop()
}

func TestAPanicIsTheAnswerAndChangesNothing(t *testing.T) {
	r := newRig(t).start()
	r.must(r.do("a", order{Write: "x"}))
	r.wantCode(r.do("a", order{Write: "y", Panic: true}), msg.CodePanic)
	r.script.hook("do", func(_ context.Context, t *msg.Turn) {
		if strings.Contains(string(t.Message.Payload.Body), "exit the goroutine") {
			runtime.Goexit()
		}
	})
	for range 5 {
		r.wantCode(r.do("a", order{Write: "exit the goroutine"}), msg.CodePanic)
	}
	r.must(r.do("a", order{Write: "z"}))
	if got := r.look("a"); fmt.Sprint(got) != "[x z]" {
		t.Errorf("got %v, want [x z]", got)
	}
	r.stop()
}

func TestAMessageWhoseHandlerPanicsIsRetriedAndThenADeadLetter(t *testing.T) {
	r := newRig(t)
	r.config.Limits = engine.Limits{AttemptsMax: 3, RetryDelay: time.Millisecond}
	r.start()
	attempts := make(chan uint32, 100)
	r.script.hook("do", func(_ context.Context, t *msg.Turn) {
		if t.Message.Target.Key == "bad" {
			attempts <- t.Attempt
		}
	})
	submit := msg.Request{Operation: msg.OperationSubmit, Target: msg.Ref{Kind: "cell", Key: "bad"}, Handler: "do", Payload: payload(order{Panic: true})}
	submitted := r.ask(&submit)
	r.must(submitted)
	for want := uint32(1); want <= 3; want++ {
		if got := <-attempts; got != want {
			t.Errorf("got attempt %d, want %d", got, want)
		}
	}
	var letters []msg.DeadLetter
	r.until("it is given up", func() bool {
		letters = r.ask(&msg.Request{Operation: msg.OperationDeadLetters}).DeadLetters
		return len(letters) > 0
	})
	if len(letters) != 1 || letters[0].ID != submitted.Invocation || !strings.Contains(letters[0].Reason, "as was asked") {
		t.Errorf("got %+v, want the message and why", letters)
	}
	r.logged("a message was given up", "kind=cell", "handler=do", "invocation="+submitted.Invocation.String(), "as was asked")
	r.crash()
	r.start()
	if again := r.ask(&msg.Request{Operation: msg.OperationDeadLetters}).DeadLetters; len(again) != 1 || len(attempts) > 0 {
		t.Errorf("got %+v and %d attempts after a crash, want the dead letter", again, len(attempts))
	}
	r.stop()
}

func TestAStateThatDoesNotDecodeParksItsEntityUntilCodeComesThatDecodesIt(t *testing.T) {
	r := newRig(t)
	r.config.Limits = engine.Limits{AttemptsMax: 3, RetryDelay: time.Millisecond}
	r.start()
	r.must(r.do("old", order{Write: "before"}))
	r.must(r.do("young", order{Write: "before"}))
	r.stop()
	// The next program understands no state that there is.
	r.script.decodes = func(string) bool { return false }
	r.start()
	submit := func(key, write string) {
		t.Helper()
		r.must(r.ask(&msg.Request{Operation: msg.OperationSubmit, Target: msg.Ref{Kind: "cell", Key: key}, Handler: "do", Payload: payload(order{Write: write})}))
	}
	submit("old", "waits")
	var parked []msg.Parked
	r.until("it is parked", func() bool {
		parked = r.ask(&msg.Request{Operation: msg.OperationParked}).Parked
		return len(parked) > 0
	})
	if len(parked) != 1 || parked[0].Target != (msg.Ref{Kind: "cell", Key: "old"}) || !strings.Contains(parked[0].Reason, "does not decode") || parked[0].Waiting != 1 {
		t.Errorf("got %+v, want the entity, why, and what waits", parked)
	}
	r.logged("an entity has stopped taking inputs", "kind=cell", "key=old", "does not decode")
	reply := r.do("old", order{Write: "refused"})
	if r.wantCode(reply, msg.CodeUnavailable); !strings.Contains(reply.Err.Message, "cell/old") {
		t.Errorf("got %v, want to hear which entity", reply.Err)
	}
	r.must(r.do("new", order{Write: "works"}))
	began := time.Now()
	r.stop()
	if took := time.Since(began); took > 900*time.Millisecond {
		t.Errorf("stopping took %v: it waited for what is parked", took)
	}
	r.script.decodes = nil
	r.start()
	r.written("old", 2)
	if got := r.look("old"); fmt.Sprint(got) != "[before waits]" {
		t.Errorf("got %v, want [before waits]", got)
	}
	if got := r.ask(&msg.Request{Operation: msg.OperationParked}).Parked; len(got) > 0 {
		t.Errorf("%+v is still parked", got)
	}
	r.stop()
}

// TestTheLogIsNotFloodedWithWhatHasStopped: code that can read nothing stops
// everything at once. The lists have all of it; the log says so.
func TestTheLogIsNotFloodedWithWhatHasStopped(t *testing.T) {
	r := newRig(t)
	var ahead atomic.Int64
	r.config = node.Config{Loops: 1, Limits: engine.Limits{AttemptsMax: 1}, Now: func() time.Time {
		return time.Now().Add(time.Duration(ahead.Load()))
	}}
	r.start()
	given, logged := 0, 0
	giveUp := func(count, more int) {
		t.Helper()
		for range count {
			r.must(r.ask(&msg.Request{Operation: msg.OperationSubmit, Target: msg.Ref{Kind: "cell", Key: fmt.Sprint(given)}, Handler: "do",
				Payload: payload(order{Panic: true})}))
			given++
		}
		r.until("all are given up", func() bool {
			return len(r.ask(&msg.Request{Operation: msg.OperationDeadLetters}).DeadLetters) == given
		})
		logged += more
		if got := strings.Count(r.log.String(), "a message was given up"); got != logged {
			t.Errorf("%d of %d are in the log, want %d", got, given, logged)
		}
	}
	giveUp(20, 20)
	r.logged("for a minute no more of this is logged")
	giveUp(20, 0)
	ahead.Store(int64(time.Minute))
	giveUp(5, 5)
	r.stop()
}

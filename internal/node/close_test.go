package node_test

// Goal: Close always returns, in the time that it is given and with the truth
// about what it left; nobody waits for ever, and no goroutine stays. Method:
// nodes in every state in which closing could get stuck. TestMain looks for
// goroutines.

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast/internal/engine"
	"github.com/holdfast-io/holdfast/internal/ingress"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/program"
)

func TestCloseFinishesWhatWasAdmitted(t *testing.T) {
	r := newRig(t).start()
	began, release := r.blockKey("slow")
	replies := make(chan msg.Reply, 2)
	go func() { replies <- r.do("slow", order{Write: "running", Send: map[string]string{"b": "sent"}}) }()
	<-began
	go func() { replies <- r.do("slow", order{Write: "queued"}) }()
	r.until("it is queued", func() bool { return r.Stats(context.Background()).Partitions.Queued == 1 })
	closed := make(chan error, 1)
	go func() { closed <- r.Close(context.Background()) }()
	r.until("nothing more is admitted", func() bool {
		return r.Door().Do(context.Background(), &msg.Request{Operation: msg.OperationParked}).Err == ingress.ErrStopped
	})
	release()
	r.must(<-replies)
	r.must(<-replies)
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	if err := r.Close(context.Background()); err != nil {
		t.Errorf("closing twice: %v", err)
	}
	_ = r.host.Close()
	r.start()
	if got := r.Recovery(); got.Records > 0 {
		t.Errorf("%d records were replayed, want a last checkpoint", got.Records)
	}
	if got := append(r.look("slow"), r.look("b")...); fmt.Sprint(got) != "[running queued sent]" {
		t.Errorf("got %v", got)
	}
	r.stop()
}

func TestCloseDoesNotWaitLongerThanItMay(t *testing.T) {
	r := newRig(t).start()
	began, release := r.blockKey("stuck")
	reply := make(chan msg.Reply, 1)
	go func() { reply <- r.do("stuck", order{Write: "x"}) }()
	<-began
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	err := r.Close(ctx)
	if err == nil || !strings.Contains(err.Error(), "1 request") {
		t.Errorf("got %v, want to hear of one request", err)
	}
	// Nothing will answer it any more: whoever waits hears that, and not never.
	r.wantCode(<-reply, msg.CodeUnavailable)
	_ = r.host.Close()
	release() // the handler returns into a node that is gone
	r.start()
	if got := r.look("stuck"); len(got) > 0 {
		t.Errorf("got %v of a handler that came too late", got)
	}
	r.stop()
}

func TestCloseWithoutTimeReturnsAtOnce(t *testing.T) {
	r := newRig(t).start()
	began, release := r.blockKey("stuck")
	reply := make(chan msg.Reply, 1)
	go func() { reply <- r.do("stuck", order{Write: "x"}) }()
	<-began
	r.must(r.do("a", order{Write: "x"}))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := r.Close(ctx); err == nil {
		t.Error("it says that everything was finished")
	}
	r.wantCode(<-reply, msg.CodeUnavailable)
	release()
	_ = r.host.Close()
	r.start()
	if got := r.look("a"); len(got) != 1 {
		t.Errorf("got %v, want what was answered", got)
	}
	r.stop()
}

func TestCloseDoesNotWaitForAMessageThatIsStuck(t *testing.T) {
	r := newRig(t).start()
	began, release := r.blockKey("stuck")
	r.must(r.do("a", order{Send: map[string]string{"stuck": "x"}}))
	<-began
	if err := r.Close(context.Background()); err == nil || !strings.Contains(err.Error(), "1 handler") {
		t.Errorf("got %v, want to hear of the handler", err)
	}
	_ = r.host.Close()
	release()
	r.start()
	r.written("stuck", 1)
	if got := r.Recovery(); got.Records > 2*rigPartitions || got.Interrupted > 0 {
		t.Errorf("got %+v, want a last checkpoint and no attempt counted", got)
	}
	r.stop()
}

// TestCloseEndsWhatNeverEnds closes a node with two entities that send to each
// other for ever.
func TestCloseEndsWhatNeverEnds(t *testing.T) {
	r := newRig(t)
	endless := &endless{script: r.script, turns: make(chan struct{}, 1)}
	if err := r.startAs(endless); err != nil {
		t.Fatal(err)
	}
	r.must(r.do("ping", order{}))
	<-endless.turns
	r.stop()
	for len(endless.turns) > 0 {
		<-endless.turns
	}
	if err := r.startAs(endless); err != nil {
		t.Fatal(err)
	}
	if got := r.Recovery(); got.Records > 4*rigPartitions {
		t.Errorf("%d records were replayed, want a last checkpoint", got.Records)
	}
	<-endless.turns // it goes on where it was
	r.crash()
}

type endless struct {
	*script
	turns chan struct{}
}

func (e *endless) Turn(_ context.Context, t *msg.Turn) *msg.Outcome {
	select {
	case e.turns <- struct{}{}:
	default:
	}
	other := map[string]string{"ping": "pong", "pong": "ping"}[t.Message.Target.Key]
	return &msg.Outcome{Run: t.Run, Sends: []msg.Outgoing{{Target: msg.Ref{Kind: "cell", Key: other}, Handler: "do"}}}
}

func TestCloseDoesNotWaitForWhatComesLater(t *testing.T) {
	r := newRig(t)
	r.config.Limits = engine.Limits{RetryDelay: time.Hour}
	r.start()
	r.must(r.do("a", order{Remind: "later", In: time.Hour}))
	r.must(r.ask(&msg.Request{Operation: msg.OperationSubmit, Target: msg.Ref{Kind: "cell", Key: "b"}, Handler: "do", Payload: payload(order{Panic: true})}))
	r.until("it waits for its second attempt", func() bool {
		s := r.Stats(context.Background()).Partitions
		return s.Panics == 1 && s.Queued == 1
	})
	began := time.Now()
	r.stop()
	if took := time.Since(began); took > 900*time.Millisecond {
		t.Errorf("stopping took %v", took)
	}
}

func TestStatsReturnWhateverTheNodeDoes(t *testing.T) {
	r := newRig(t).start()
	var wait sync.WaitGroup
	for n := range 8 {
		wait.Go(func() {
			for range 200 {
				r.Stats(context.Background()) // several at a time, and while it is closed
			}
		})
		wait.Go(func() {
			for range 50 {
				r.do(fmt.Sprint(n), order{Write: "x"})
			}
		})
	}
	r.stop()
	wait.Wait()
	r.Stats(context.Background())
}

func TestStatsAddUp(t *testing.T) {
	r := newRig(t)
	r.config.Loops = 3
	r.start()
	began, release := r.blockKey("slow")
	for n := range 20 {
		r.must(r.do(fmt.Sprint(n), order{Write: "x", Send: map[string]string{fmt.Sprint("to-", n): "y"}}))
		r.look(fmt.Sprint(n))
	}
	r.settled()
	s := r.Stats(context.Background())
	if p := s.Partitions; p.Entities != 40 || p.Turns != 40 || p.Reads != 20 || p.OutboxMessages != 0 {
		t.Errorf("got %+v, want 40 entities by 40 turns, 20 reads, nothing under way", p)
	}
	if l := s.Log; l.Records != s.Loops.Records || l.Frames == 0 || l.Durable != l.Appended || l.Records < 40 || l.SyncSeconds <= 0 {
		t.Errorf("got %+v of the log and %+v of the loops, want the same records, durable", l, s.Loops)
	}
	reply := make(chan msg.Reply, 1)
	go func() { reply <- r.do("slow", order{}) }()
	<-began
	if s := r.Stats(context.Background()); s.Inflight != 1 || s.Partitions.Running != 1 {
		t.Errorf("got %d requests and %d turns, want one of each", s.Inflight, s.Partitions.Running)
	}
	release()
	r.must(<-reply)
	r.stop()
	if s := r.Stats(context.Background()); s.Loops.Checkpoints == 0 || s.Inflight != 0 {
		t.Errorf("got %+v after the end, want the last checkpoints", s.Loops)
	}
}

func (*endless) Perform(_ context.Context, t *msg.TaskRun, _ func(msg.Payload)) *msg.TaskOutcome {
	return program.NotServed(t, "nothing here")
}

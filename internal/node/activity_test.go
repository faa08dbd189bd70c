package node_test

// Goal: activities are begun when it is durable that they were asked for, tried
// again as they should, and ended in order; what they came to is not lost and
// not had twice if the node is stopped. Method: a workflow that asks for
// activities which the test writes, on a node in memory.

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/activity"
	"github.com/holdfast-io/holdfast/internal/engine"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/program"
)

// soon is a retry policy for tests.
var soon = msg.Retry{First: time.Millisecond, Max: time.Millisecond}

func waitForEnd(ctx context.Context, _ *msg.TaskRun, _ func(string)) (string, error) {
	<-ctx.Done()
	return "", ctx.Err()
}

func TestAnActivityThatFailsTwiceIsTriedAgain(t *testing.T) {
	f := newFlows(map[string]attemptFunc{"pay": func(_ context.Context, t *msg.TaskRun, _ func(string)) (string, error) {
		if t.Task.Attempt < 3 {
			return "", errors.New("busy")
		}
		return "paid", nil
	}})
	r := newRig(t).with(f)
	r.wantOutput(r.flow("w", plan{Activities: []string{"pay"}, Task: msg.Task{Retry: soon}}), `["paid"]`)
	tried := f.tried("pay")
	if len(tried) != 3 || tried[0].Token() != tried[2].Token() || tried[2].Task.Err == nil {
		t.Fatalf("got %d attempts, the last of %+v; want three of one task", len(tried), tried[len(tried)-1])
	}
	r.until("the pool has counted it", func() bool { return r.Stats(context.Background()).Activities.Running == 0 })
	s := r.Stats(context.Background())
	want := activity.ActivityStats{Name: "pay", Succeeded: 1, Failed: 2, Retried: 2}
	if s.Activities.Activities[0] != want || s.Partitions.Tasks != 0 || s.Partitions.TaskRetries != 2 {
		t.Errorf("got %+v and %+v, want %+v", s.Activities, s.Partitions, want)
	}
	r.stop()
}

func TestAnActivityThatDoesNotReturnIsTriedAgainAndFails(t *testing.T) {
	let := make(chan struct{})
	f := newFlows(map[string]attemptFunc{"deaf": func(context.Context, *msg.TaskRun, func(string)) (string, error) {
		<-let
		return "late", nil
	}})
	r := newRig(t)
	r.config.LeaveAfter = time.Millisecond
	r.with(f)
	policy := msg.Task{Timeout: 5 * time.Millisecond, Retry: msg.Retry{First: time.Millisecond, Attempts: 2}}
	r.wantOutput(r.flow("w", plan{Activities: []string{"deaf"}, Task: policy}), `["deadline_exceeded"]`)
	if s := r.Stats(context.Background()).Activities; s.LeftBehind != 2 {
		t.Errorf("got %+v, want two that are left behind", s)
	}
	close(let)
	r.until("they have returned", func() bool { return r.Stats(context.Background()).Activities.LeftBehind == 0 })
	r.stop()
}

func TestNoMoreAttemptsRunThanAnActivityAllows(t *testing.T) {
	var running, most atomic.Int32
	f := newFlows(map[string]attemptFunc{"narrow": func(context.Context, *msg.TaskRun, func(string)) (string, error) {
		most.Store(max(most.Load(), running.Add(1)))
		for range 100 {
			runtime.Gosched() // it takes its time
		}
		running.Add(-1)
		return "x", nil
	}}, program.Activity{Name: "narrow", Concurrency: 2})
	r := newRig(t).with(f)
	var many plan
	for range 50 {
		many.Activities = append(many.Activities, "narrow")
	}
	r.must(r.flow("w", many))
	if got := most.Load(); got > 2 || len(f.tried("narrow")) != 50 {
		t.Errorf("%d of %d ran at once, want 2 of 50", got, len(f.tried("narrow")))
	}
	r.stop()
}

// stuckLog is a host whose log can be made to stand still.
type stuckLog struct {
	host.Host
	writes chan chan struct{} // if not nil, each write goes here and waits
}

func (s *stuckLog) Log() host.Log { return &waitingLog{s.Host.Log(), s} }

type waitingLog struct {
	host.Log
	stuck *stuckLog
}

func (l *waitingLog) Append(f *host.Frame) error {
	if l.stuck.writes != nil {
		let := make(chan struct{})
		l.stuck.writes <- let
		<-let
	}
	return l.Log.Append(f)
}

func TestNoActivityBeginsBeforeItIsDurableThatItWasAskedFor(t *testing.T) {
	begun := make(chan struct{}, 1)
	f := newFlows(map[string]attemptFunc{"pay": func(context.Context, *msg.TaskRun, func(string)) (string, error) {
		begun <- struct{}{}
		return "paid", nil
	}})
	r := newRig(t)
	stuck := &stuckLog{writes: make(chan chan struct{})}
	r.wrap = func(h host.Host) host.Host { stuck.Host = h; return stuck }
	starting := make(chan struct{})
	go func() {
		for {
			select {
			case let := <-stuck.writes:
				close(let)
			case <-starting:
				return
			}
		}
	}()
	r.with(f)
	r.until("what the start writes is durable", r.durable)
	starting <- struct{}{}
	reply := make(chan msg.Reply, 1)
	go func() { reply <- r.flow("w", plan{Activities: []string{"pay"}}) }()
	for asked := false; !asked; {
		let := <-stuck.writes
		asked = r.Stats(context.Background()).Loops.HeldTasks > 0
		if len(begun) > 0 {
			t.Fatal("the activity has begun, and what asks for it is not written")
		}
		close(let)
	}
	for ended := false; !ended; {
		select {
		case let := <-stuck.writes:
			close(let)
		case got := <-reply:
			r.wantOutput(got, `["paid"]`)
			ended = true
		}
	}
	go func() {
		for let := range stuck.writes {
			close(let)
		}
	}()
	r.stop()
	close(stuck.writes)
}

// durable says that everything is durable that was appended.
func (r *rig) durable() bool {
	s := r.Stats(context.Background()).Log
	return s.Durable == s.Appended
}

func TestAnActivityThatRanWhenTheProcessEndedIsTriedAgain(t *testing.T) {
	f := newFlows(map[string]attemptFunc{"pay": waitForEnd})
	r := newRig(t).with(f)
	r.begin("w", plan{Activities: []string{"pay"}})
	r.until("it runs", func() bool { return len(f.tried("pay")) == 1 })
	r.crash()
	again := newFlows(map[string]attemptFunc{"pay": func(context.Context, *msg.TaskRun, func(string)) (string, error) { return "paid", nil }})
	r.with(again)
	r.wantOutput(r.flow("w", plan{Activities: []string{"pay"}}), `["paid"]`)
	first, second := f.tried("pay"), again.tried("pay")
	if len(second) != 1 || second[0].Token() != first[0].Token() || second[0].Task.Attempt != 1 {
		t.Errorf("got %+v, want the first attempt again", second)
	}
	r.stop()
	r.with(again)
	if got := r.Stats(context.Background()); len(again.tried("pay")) != 1 || got.Partitions.Tasks != 0 {
		t.Errorf("%d attempts and %d tasks after another start", len(again.tried("pay")), got.Partitions.Tasks)
	}
	r.stop()
}

// TestNoActivityBeginsThatACrashForgets crashes a node again and again when an
// activity has just begun. What has begun belongs to a workflow that is there
// after the crash: each token that an activity ever saw is one of those that the
// workflows ask for in the end.
func TestNoActivityBeginsThatACrashForgets(t *testing.T) {
	const workflows, asked = 10, 9
	var mu sync.Mutex
	tokens, attempts := map[string]bool{}, 0
	begun := make(chan struct{}, 1)
	f := newFlows(map[string]attemptFunc{"pay": func(ctx context.Context, t *msg.TaskRun, beat func(string)) (string, error) {
		mu.Lock()
		tokens[t.Token()] = true
		attempts++
		crash := attempts%5 == 0
		mu.Unlock()
		if !crash {
			return "x", nil
		}
		select {
		case begun <- struct{}{}:
		default:
		}
		return waitForEnd(ctx, t, beat)
	}})
	r := newRig(t).with(f)
	crashes := 0
	for n := range workflows {
		for ended := false; !ended; {
			reply := make(chan msg.Reply, 1)
			go func() {
				reply <- r.flow(fmt.Sprint("w", n), plan{Activities: []string{"pay", "pay", "pay"}, Again: 2})
			}()
			select {
			case <-begun:
				r.crash()
				<-reply
				r.with(f)
				crashes++
			case got := <-reply:
				r.wantOutput(got, `["x","x","x","x","x","x","x","x","x"]`)
				ended = true
			}
		}
	}
	r.stop()
	if len(tokens) != workflows*asked || crashes < workflows {
		t.Errorf("%d tasks were begun in %d crashes, want the %d that were asked for", len(tokens), crashes, workflows*asked)
	}
}

func TestADetailSurvivesTheProcess(t *testing.T) {
	beaten := make(chan struct{})
	f := newFlows(map[string]attemptFunc{"copy": func(ctx context.Context, t *msg.TaskRun, beat func(string)) (string, error) {
		beat("half")
		close(beaten)
		return waitForEnd(ctx, t, beat)
	}})
	r := newRig(t).with(f)
	r.begin("w", plan{Activities: []string{"copy"}})
	<-beaten
	r.Stats(context.Background()) // the loops have taken the heartbeat
	r.until("it is durable", r.durable)
	r.crash()
	again := newFlows(map[string]attemptFunc{"copy": func(_ context.Context, t *msg.TaskRun, _ func(string)) (string, error) {
		return string(t.Task.Detail.Body), nil
	}})
	r.with(again)
	r.wantOutput(r.flow("w", plan{Activities: []string{"copy"}}), `["half"]`)
	r.stop()
}

func TestTheContextOfAnActivityEndsWithItsWorkflow(t *testing.T) {
	ended := make(chan struct{})
	f := newFlows(map[string]attemptFunc{"pay": func(ctx context.Context, _ *msg.TaskRun, _ func(string)) (string, error) {
		<-ctx.Done()
		close(ended)
		return "", ctx.Err()
	}})
	r := newRig(t).with(f)
	r.begin("w", plan{Activities: []string{"pay"}})
	r.until("it runs", func() bool { return len(f.tried("pay")) == 1 })
	r.must(r.ask(&msg.Request{Operation: msg.OperationCancel, Target: msg.Ref{Kind: "flow", Key: "w"}}))
	<-ended
	r.wantCode(r.flow("w", plan{Activities: []string{"pay"}}), msg.CodeCancelled)
	r.until("the pool has counted it", func() bool { return r.Stats(context.Background()).Activities.Running == 0 })
	if s := r.Stats(context.Background()).Activities.Activities[0]; s.Interrupted != 1 || s.Failed != 0 {
		t.Errorf("got %+v, want one that was interrupted", s)
	}
	r.stop()
}

func TestAnActivityThatNobodyServesWaitsForCodeThatDoes(t *testing.T) {
	f := newFlows(nil)
	r := newRig(t)
	r.config.Limits = engine.Limits{RetryDelayMax: 10 * time.Millisecond}
	r.with(f)
	r.begin("w", plan{Activities: []string{"new"}})
	r.until("it was tried", func() bool { return len(f.tried("new")) > 1 })
	r.stop()
	r.with(newFlows(map[string]attemptFunc{"new": func(_ context.Context, t *msg.TaskRun, _ func(string)) (string, error) {
		return fmt.Sprint("attempt ", t.Task.Attempt), nil
	}}))
	r.wantOutput(r.flow("w", plan{Activities: []string{"new"}}), `["attempt 1"]`)
	r.stop()
}

func TestCloseWaitsForActivitiesAndKeepsWhatTheyCameTo(t *testing.T) {
	let := make(chan struct{})
	f := newFlows(map[string]attemptFunc{"pay": func(context.Context, *msg.TaskRun, func(string)) (string, error) { <-let; return "paid", nil }})
	r := newRig(t).with(f)
	r.begin("w", plan{Activities: []string{"pay"}})
	r.until("it runs", func() bool { return len(f.tried("pay")) == 1 })
	closed := make(chan error, 1)
	go func() { closed <- r.Close(context.Background()) }()
	r.until("nothing more is admitted", func() bool {
		return r.Door().Do(context.Background(), &msg.Request{Operation: msg.OperationParked}).Err != nil
	})
	close(let)
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	_ = r.host.Close()
	r.with(f)
	r.wantOutput(r.flow("w", plan{Activities: []string{"pay"}}), `["paid"]`)
	if got := len(f.tried("pay")); got != 1 {
		t.Errorf("it was tried %d times, want once: it had ended in time", got)
	}
	r.stop()
}

func TestCloseAnswersWhoWaitsForAWorkflowWhoseActivitiesRun(t *testing.T) {
	let := make(chan struct{})
	f := newFlows(map[string]attemptFunc{"pay": func(context.Context, *msg.TaskRun, func(string)) (string, error) { <-let; return "paid", nil }})
	r := newRig(t).with(f)
	reply := make(chan msg.Reply, 1)
	go func() { reply <- r.flow("w", plan{Activities: []string{"pay"}, Again: 1}) }()
	r.until("it runs", func() bool { return len(f.tried("pay")) == 1 })
	closed := make(chan error, 1)
	go func() { closed <- r.Close(context.Background()) }()
	r.until("nothing more is admitted", func() bool {
		return r.Door().Do(context.Background(), &msg.Request{Operation: msg.OperationParked}).Err != nil
	})
	time.AfterFunc(100*time.Millisecond, func() { close(let) }) // Close has looked at it several times
	if err := <-closed; err != nil {
		t.Error(err)
	}
	r.wantOutput(<-reply, `["paid","paid"]`)
	_ = r.host.Close()
}

func TestCloseEndsActivitiesThatTakeTooLong(t *testing.T) {
	for _, deaf := range []bool{false, true} {
		let := make(chan struct{})
		f := newFlows(map[string]attemptFunc{"pay": func(ctx context.Context, t *msg.TaskRun, beat func(string)) (string, error) {
			if deaf {
				<-let
			}
			return waitForEnd(ctx, t, beat)
		}})
		r := newRig(t).with(f)
		r.begin("w", plan{Activities: []string{"pay"}})
		r.until("it runs", func() bool { return len(f.tried("pay")) == 1 })
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		err := r.Close(ctx)
		if deaf != (err != nil && strings.Contains(err.Error(), "1 activities")) || ctx.Err() != nil {
			t.Errorf("deaf %v: close: got %v, and its context: %v", deaf, err, ctx.Err())
		}
		cancel()
		close(let)
		_ = r.host.Close()
		again := newFlows(map[string]attemptFunc{"pay": func(context.Context, *msg.TaskRun, func(string)) (string, error) { return "paid", nil }})
		r.with(again)
		if got := r.Recovery(); got.Records > 4*rigPartitions {
			t.Errorf("deaf %v: %d records were replayed, want a last checkpoint", deaf, got.Records)
		}
		r.wantOutput(r.flow("w", plan{Activities: []string{"pay"}}), `["paid"]`)
		if got := again.tried("pay"); len(got) != 1 || got[0].Task.Attempt != 1 {
			t.Errorf("deaf %v: got %+v, want the first attempt again: it did not fail", deaf, got)
		}
		r.stop()
	}
}

func TestCloseDoesNotWaitForAWorkflowThatWaitsForLong(t *testing.T) {
	r := newRig(t).with(newFlows(nil))
	reply := make(chan msg.Reply, 1)
	go func() { reply <- r.flow("w", plan{Hour: true}) }()
	r.until("it sleeps", func() bool { return r.Stats(context.Background()).Partitions.Timers == 1 })
	began := time.Now()
	r.stop()
	if took := time.Since(began); took > patience/2 {
		t.Errorf("stopping took %v", took)
	}
	r.wantCode(<-reply, msg.CodeUnavailable)
}

func TestCloseDoesNotWaitForActivitiesWhenTheLogHasFailed(t *testing.T) {
	f := newFlows(map[string]attemptFunc{"pay": waitForEnd})
	r := newRig(t).with(f)
	r.begin("w", plan{Activities: []string{"pay"}})
	r.until("it runs", func() bool { return len(f.tried("pay")) == 1 })
	r.store.FailAppend(errCable, false)
	r.wantCode(r.do("a", order{Write: "unknown"}), msg.CodeUnavailable)
	if err := r.Close(context.Background()); !errors.Is(err, errCable) {
		t.Errorf("close: got %v, want why the log has failed", err)
	}
}

package ingress_test

import (
	"context"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// Goal: every request gets its own answer once, whatever comes together: late
// answers, callers that leave, a log that fails. Method: partitions that answer
// when a test says, in virtual time; and one run of many goroutines in real
// time, for the race detector.

// TestEveryRequestGetsItsOwnAnswer: partitions answer everything once, at once
// or later, and callers leave at random; no answer goes to another request, and
// no answer blocks whoever gives it.
func TestEveryRequestGetsItsOwnAnswer(t *testing.T) {
	const callers, each = 8, 500
	var later sync.WaitGroup
	var answers, left atomic.Int64
	p := &partitions{}
	p.answer = func(_ msg.Partition, c msg.Command) (msg.Reply, bool) {
		answers.Add(1)
		reply := msg.Reply{Invocation: c.Request.Invocation, Payload: msg.Payload{Body: []byte(c.Request.Target.Key)}}
		if rand.IntN(2) == 0 {
			return reply, true
		}
		later.Go(func() { c.Waiter.Answer(reply) })
		return msg.Reply{}, false
	}
	i := openIngress(p)
	var calling sync.WaitGroup
	for caller := range callers {
		calling.Go(func() {
			for n := range each {
				ctx, cancel := context.WithCancel(context.Background())
				if n%2 == 0 {
					go cancel()
				}
				r := deposit()
				r.Target.Key = strconv.Itoa(caller*each + n)
				reply := i.Do(ctx, r)
				switch {
				case reply.Err == nil && string(reply.Payload.Body) == r.Target.Key && reply.Invocation == r.Invocation:
				case reply.Err != nil && n%2 == 0 && reply.Err.Code == msg.CodeCancelled:
					left.Add(1)
				default:
					t.Errorf("request %s got %s, error %v", r.Target.Key, reply.Payload.Body, reply.Err)
				}
				cancel()
			}
		})
	}
	calling.Wait()
	later.Wait()
	checkInflight(t, i, 0)
	if answers.Load()+left.Load() < callers*each {
		t.Errorf("%d answers and %d that left, of %d requests", answers.Load(), left.Load(), callers*each)
	}
}

// TestACallerThatLeavesIsForgotten: when its context ends the partition is
// told, the caller hears that the fate of the request is not known, and the
// waiter, to which an answer may still come, waits for nothing else.
func TestACallerThatLeavesIsForgotten(t *testing.T) {
	for _, c := range []struct {
		name  string
		code  string
		class msg.Class
		leave func(context.Context) (context.Context, context.CancelFunc)
	}{
		{"at its deadline", msg.CodeDeadlineExceeded, msg.ClassUnavailable, func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Second)
		}},
		{"when it is cancelled", msg.CodeCancelled, msg.ClassConflict, func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(time.Second, cancel)
			return ctx, cancel
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := never()
				i := openIngress(p)
				ctx, cancel := c.leave(t.Context())
				defer cancel()
				began := time.Now()
				reply := i.Do(ctx, deposit())
				if took := time.Since(began); took != time.Second {
					t.Errorf("waited for %v, want 1s", took)
				}
				all := p.commands()
				if len(all) != 2 || all[1].Kind != msg.CommandLeave || all[1].partition != all[0].partition ||
					all[1].Waiter != all[0].Waiter || all[1].Request.Invocation != all[0].Request.Invocation {
					t.Fatalf("told %+v, want a request and its leave", all)
				}
				if reply.Err == nil || reply.Err.Code != c.code || reply.Err.Class != c.class || !strings.Contains(reply.Err.Message, "not known") {
					t.Errorf("got %v, want %s that says that the fate is not known", reply.Err, c.code)
				}
				if reply.Invocation != all[0].Request.Invocation {
					t.Errorf("the invocation is %s, want %s, to ask about later", reply.Invocation, all[0].Request.Invocation)
				}
				checkInflight(t, i, 0)

				p.answer = func(_ msg.Partition, c msg.Command) (msg.Reply, bool) {
					if c.Waiter == all[0].Waiter {
						t.Error("a waiter that was left waits for another request")
					}
					all[0].Waiter.Answer(msg.Reply{Version: 1}) // late, and it does not block
					return msg.Reply{Version: 2}, true
				}
				if reply := i.Do(t.Context(), deposit()); reply.Version != 2 {
					t.Errorf("the next request got the answer %+v, want its own", reply)
				}
			})
		})
	}
}

// TestAnAnswerThatIsThereCounts, although the context has ended or the log has
// failed meanwhile: it says more than that nothing is known.
func TestAnAnswerThatIsThereCounts(t *testing.T) {
	for range 50 { // a select chooses at random
		ctx, cancel := context.WithCancel(t.Context())
		p := &partitions{}
		i := openIngress(p)
		p.answer = func(_ msg.Partition, c msg.Command) (msg.Reply, bool) {
			c.Waiter.Answer(msg.Reply{Version: 3})
			cancel()
			i.Fail(errFull)
			return msg.Reply{}, false
		}
		if reply := i.Do(ctx, deposit()); reply.Err != nil || reply.Version != 3 {
			t.Fatalf("got %+v, want the answer", reply)
		}
		if told := p.commands(); len(told) != 1 {
			t.Fatalf("told %+v, want the request only", told)
		}
	}
}

// TestRequestsGoOnWhenTheDoorIsStopped: only new ones are refused.
func TestRequestsGoOnWhenTheDoorIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := never()
		i := openIngress(p)
		replies := make(chan msg.Reply, 2)
		go func() { replies <- i.Do(t.Context(), &msg.Request{Operation: msg.OperationParked}) }()
		synctest.Wait() // its commands come before that of the deposit
		go func() { replies <- i.Do(t.Context(), deposit()) }()
		synctest.Wait()
		checkInflight(t, i, 2)
		i.Stop()
		for n, c := range p.commands() {
			checkInflight(t, i, min(2, 1+partitionCount-n))
			c.Waiter.Answer(msg.Reply{Version: 1})
			synctest.Wait()
		}
		checkInflight(t, i, 0)
		for range 2 {
			if reply := <-replies; reply.Err != nil {
				t.Errorf("got %v, want the answer", reply.Err)
			}
		}
	})
}

// TestAFailureIsHeardByAllWhoWait, at once, and an answer that still comes
// blocks nobody.
func TestAFailureIsHeardByAllWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := never()
		i := openIngress(p)
		replies := make(chan msg.Reply, 3)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		for _, ctx := range []context.Context{ctx, context.Background()} {
			go func() { replies <- i.Do(ctx, deposit()) }()
		}
		go func() { replies <- i.Do(ctx, &msg.Request{Operation: msg.OperationDeadLetters}) }()
		synctest.Wait()
		i.Fail(errFull)
		synctest.Wait()
		if len(replies) != 3 {
			t.Fatalf("%d of 3 heard of it", len(replies))
		}
		for range 3 {
			err := (<-replies).Err
			if err == nil || err.Code != msg.CodeUnavailable || err.Class != msg.ClassUnavailable ||
				!strings.Contains(err.Message, "not known") || !strings.Contains(err.Message, errFull.Error()) {
				t.Errorf("got %v, want unavailable, the reason, and that the fate is not known", err)
			}
		}
		for _, c := range p.commands() {
			c.Waiter.Answer(msg.Reply{})
		}
		checkInflight(t, i, 0)
	})
}

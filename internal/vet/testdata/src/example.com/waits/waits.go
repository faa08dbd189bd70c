// Package waits has workflows that wait for what is not recorded.
package waits

import (
	"sync"
	"time"

	"github.com/holdfast-io/holdfast"
)

type state struct {
	sync.Mutex
	shared sync.RWMutex
	group  sync.WaitGroup
	cond   *sync.Cond
	once   sync.Once
}

func channels(ctx *holdfast.WorkflowContext, c chan int) (int, error) {
	c <- 1             // want `a send on a channel waits for other goroutines, of which nothing is recorded: await a \*holdfast.Future`
	v := <-c           // want `a receive from a channel .* await a \*holdfast.Future`
	close(c)           // want `a close of a channel`
	for w := range c { // want `a range over a channel`
		v += w
	}
	return v, nil
}

func selects(ctx *holdfast.WorkflowContext, c, d chan int) (int, error) {
	select { // want `a select statement chooses by chance .*: use holdfast.Select`
	case v := <-c:
		return v, nil
	case d <- 1:
		time.Sleep(1) // want `time.Sleep waits in real time, and anew in each execution: use ctx.Sleep or ctx.Until`
	case <-time.After(time.Second): // want `time.After fires in real time, .*: use ctx.Timer, and holdfast.Select`
	}
	select { // want `a select statement depends on how far other goroutines are: use holdfast.Select`
	case <-c:
	default:
	}
	<-time.After(time.Second) // want `^time.After fires in real time`
	<-time.Tick(time.Second)  // want `^time.Tick fires in real time`
	return 0, nil
}

func goroutines(ctx *holdfast.WorkflowContext, c chan int) (int, error) {
	go work(c)  // want `a go statement runs beside the workflow, .*: use holdfast.Go`
	go func() { // want `a go statement runs beside the workflow`
		c <- 1
	}()
	var group sync.WaitGroup
	group.Go(func() {}) // want `sync.WaitGroup.Go runs beside the workflow, .*: use holdfast.Go`
	group.Wait()        // want `sync.WaitGroup.Wait waits for other goroutines: start with holdfast.Go and wait with holdfast.All or Await`
	return 0, nil
}

func work(c chan int) { c <- 1 }

func locks(ctx *holdfast.WorkflowContext, s *state) (int, error) {
	s.Lock() // want `sync.Mutex.Lock can wait for another workflow: leave it out, .* use Locks of the binding or an entity`
	defer s.Unlock()
	s.shared.RLock() // want `sync.RWMutex.RLock can wait`
	s.shared.RUnlock()
	s.cond.Wait()      // want `sync.Cond.Wait waits for other goroutines`
	s.once.Do(func() { // want `sync.Once.Do may wait for another workflow, .*: do it before the app is served, or in holdfast.Step`
		time.Sleep(1) // want `time.Sleep`
	})
	return 0, nil
}

// Everything that takes the context is workflow code.
type saga struct{ c chan int }

func (s *saga) run(ctx *holdfast.WorkflowContext, in int) (int, error) {
	<-s.c                    // want `a receive from a channel`
	done := func() { <-s.c } // want `a receive from a channel`
	done()
	ctx.OnFailure(func(ctx *holdfast.WorkflowContext) error {
		time.Sleep(1) // want `time.Sleep`
		return nil
	})
	ctx.Cleanup(func(*holdfast.WorkflowContext) error {
		time.Sleep(1) // want `time.Sleep`
		return nil
	})
	f := holdfast.Go(ctx, func(ctx *holdfast.WorkflowContext) (int, error) {
		time.Sleep(1) // want `time.Sleep`
		return 1, nil
	})
	return f.Await(ctx)
}

func retry[T any](ctx *holdfast.WorkflowContext, fn func() (T, error)) (v T, err error) {
	for range 3 {
		if v, err = fn(); err == nil {
			return v, nil
		}
		time.Sleep(time.Second) // want `time.Sleep`
	}
	return v, err
}

func late(label string, ctx *holdfast.WorkflowContext) { time.Sleep(1) } // want `time.Sleep`

var (
	flow = holdfast.NewWorkflow[int, int]("flow")
	loop = holdfast.NewLoop[int]("loop")
	part = flow.Handle(func(ctx *holdfast.WorkflowContext, in int) (int, error) {
		time.Sleep(1) // want `time.Sleep`
		return in, nil
	})
)

func parts() []holdfast.Part {
	go func() {
		flow.Handle(func(ctx *holdfast.WorkflowContext, in int) (int, error) {
			time.Sleep(1) // want `time.Sleep`
			return in, nil
		})
	}()
	time.Sleep(1)
	return []holdfast.Part{part, flow.Handle(new(saga).run), loop.Handle(func(ctx *holdfast.WorkflowContext, state *int) (bool, error) {
		time.Sleep(1) // want `time.Sleep`
		return true, nil
	})}
}

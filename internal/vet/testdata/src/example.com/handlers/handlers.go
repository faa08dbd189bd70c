// Package handlers has handlers of entities and machines.
package handlers

import (
	"context"
	"math/rand"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"example.com/library"
	"github.com/holdfast-io/holdfast"
)

var seen sync.Map

var count int

func update(ctx *holdfast.UpdateContext[int], c chan int) (int, error) {
	time.Sleep(1) // want `time.Sleep holds up the entity: send with holdfast.After, or set a reminder`
	c <- 1        // want `a send on a channel holds up the entity: send to an activity, an entity or a workflow that sends the outcome back`
	select {      // want `a select statement holds up the entity`
	case <-c:
	}
	<-time.After(1) // want `a receive from a channel holds up the entity: send with holdfast.After, or set a reminder`
	return 0, nil
}

func event(ctx *holdfast.EventContext[int], group *sync.WaitGroup) error {
	group.Wait()            // want `sync.WaitGroup.Wait holds up the entity`
	_, err := http.Get("x") // want `http.Get holds up the entity`
	return err
}

func read(ctx *holdfast.ReadContext[int], c net.Conn) (int, error) {
	library.Talk(c) // want `Talk leads to net.Conn.Read \(library.go:\d+\), which holds up the entity`
	nap()           // want `nap leads to time.Sleep`
	return 0, nil
}

var add = holdfast.NewUpdate[int, int](holdfast.NewEntity[int]("counter"), "add")

func dial(ctx *holdfast.UpdateContext[int], in int) (int, error) {
	c := holdfast.Dial("x")                                // want `holdfast.Dial holds up the entity: send to an activity, an entity or a workflow`
	return add.Call(c.With(context.Background()), "a", in) // want `holdfast.Client.With holds up`
}

func nap() { time.Sleep(1) }

func reaction(m *holdfast.MachineContext[int], c chan int) error {
	for range c { // want `a range over a channel holds up the entity`
	}
	return nil
}

func query(ctx *holdfast.WorkflowContext, in int) (int, error) {
	q := holdfast.NewQuery[int, time.Time](holdfast.NewWorkflow[int, int]("flow"), "status")
	q.Answer(ctx, func(int) (time.Time, error) {
		time.Sleep(1) // want `time.Sleep holds up`
		return time.Now(), nil
	})
	q.Answer(ctx, status)
	q.Answer(ctx, slow) // want `slow leads to time.Sleep \(handlers.go:\d+\), which holds up the entity`
	return 0, nil
}

func status(int) (time.Time, error) { return time.Now(), nil }

func slow(int) (time.Time, error) {
	nap()
	return time.Now(), nil
}

// lively does what handlers may do: none of it is executed again.
func lively(ctx *holdfast.UpdateContext[map[string]int], c chan int) (time.Time, error) {
	var lock sync.Mutex
	lock.Lock()
	defer lock.Unlock()
	count += rand.Intn(6)
	go func() { c <- 1 }()
	select {
	case <-c:
	default:
	}
	var keys []string
	for k := range ctx.State {
		keys = append(keys, k)
	}
	_ = os.Getenv("x")
	_ = func(ctx context.Context) { time.Sleep(1) }
	defer func() { recover() }()
	library.Stamp()
	return time.Now(), nil
}

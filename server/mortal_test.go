package server

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast"
)

// deadly is the exit code of a process whose handler has ended it.
const deadly = 7

var (
	mortals = holdfast.NewEntity[tally]("mortal")
	die     = holdfast.NewUpdate[int64, int64](mortals, "die")

	heirs   = holdfast.NewEntity[heir]("heir")
	inherit = holdfast.NewUpdate[int64, int64](heirs, "inherit")
	fall    = holdfast.NewActivity[string, int64]("fall")

	doom = holdfast.NewUpdate[holdfast.Void, holdfast.Void](mortals, "doom")
	jump = holdfast.NewActivity[holdfast.Void, holdfast.Void]("jump")
)

// heir is an entity whose initialiser ends the process the first time.
type heir struct {
	ID    string
	Worth int64
}

func create(ctx *holdfast.InitContext) (h heir, err error) {
	h.ID = ctx.NewID()
	h.Worth, err = fall.Call(ctx, os.Getenv(childVariable)+".fallen")
	return h, err
}

// fallOnce is an activity that ends the process if a file is not there yet.
func fallOnce(_ context.Context, mark string) (int64, error) {
	if _, err := os.Stat(mark); err == nil {
		return 40, nil
	}
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		return 0, err
	}
	os.Exit(deadly)
	return 0, nil
}

// mortalApp has a handler that ends the process when it is asked for more than
// one.
func mortalApp() *holdfast.App {
	return holdfast.NewApp("mortal", tallyApp(), gateParts(), die.Handle(func(ctx *holdfast.UpdateContext[tally], n int64) (int64, error) {
		if n > 1 {
			os.Exit(deadly)
		}
		ctx.State.N += n
		return ctx.State.N, nil
	}), doom.Handle(func(ctx *holdfast.UpdateContext[tally], _ holdfast.Void) (holdfast.Void, error) {
		jump.Send(ctx, holdfast.None, holdfast.After(100*time.Millisecond)) // the caller is answered first
		return holdfast.None, nil
	}), jump.Handle(func(context.Context, holdfast.Void) (holdfast.Void, error) {
		os.Exit(deadly)
		return holdfast.None, nil
	}), fall.Handle(fallOnce), heirs.Options(holdfast.EntityOptions[heir]{OnCreate: create}),
		inherit.Handle(func(ctx *holdfast.UpdateContext[heir], n int64) (int64, error) {
			ctx.State.Worth += n
			return ctx.State.Worth, nil
		}))
}

// mortal is a server in a process of its own.
type mortal struct {
	runningServer
	process *exec.Cmd
	log     *watchedBuffer
	ended   chan error
}

// startMortal starts a process on the directory and waits until it serves, or
// has ended.
func startMortal(t *testing.T, dir string) *mortal {
	t.Helper()
	serving := make(chan struct{})
	var once sync.Once
	m := &mortal{process: childProcess(t, dir), ended: make(chan error, 1)}
	m.log = &watchedBuffer{text: `"msg":"serving"`, seen: func() { once.Do(func() { close(serving) }) }}
	m.process.Stderr = m.log
	if err := m.process.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { m.ended <- m.process.Wait() }()
	select {
	case <-serving:
	case err := <-m.ended:
		m.ended <- err
	case <-time.After(20 * time.Second):
		t.Fatalf("the process does not serve: %s", m.log)
	}
	_, rest, _ := strings.Cut(m.log.String(), `"address":"`)
	address, _, _ := strings.Cut(rest, `"`)
	m.Server, m.t = &Server{}, t
	m.address.Store(&address)
	return m
}

// TestInputThatEndsTheProcessIsGivenUp: a supervisor that starts the process
// again gets through, and the messages behind go on.
func TestInputThatEndsTheProcessIsGivenUp(t *testing.T) {
	dir := t.TempDir()
	m := startMortal(t, dir)
	m.expect("POST", "/v1/entities/mortal/a/die/send?delay=100ms", "2", 202, "")
	m.expect("POST", "/v1/entities/mortal/a/die/send?delay=150ms", "1", 202, "")
	deaths := 0
	for ; deaths < 10 && m.dies(); deaths++ {
		m = startMortal(t, dir)
	}
	if deaths != 5 {
		t.Errorf("the input has ended %d processes, want 5", deaths)
	}
	_, letters := m.ask("GET", "/v1/dead-letters", "")
	if !strings.Contains(letters, "was given up after 5 attempts: the process ended") {
		t.Errorf("dead letters: %s", letters)
	}
	waitUntil(t, "the message behind goes on", func() bool {
		_, state := m.ask("GET", "/v1/entities/mortal/a", "")
		return strings.Contains(state, `"state":{"N":1}`)
	})
	if err := m.process.Process.Kill(); err != nil {
		t.Error(err)
	}
	<-m.ended
}

// TestAnEntityIsCreatedByTheNextProcess if one ends in the middle of its
// initialiser.
func TestAnEntityIsCreatedByTheNextProcess(t *testing.T) {
	dir := t.TempDir()
	m := startMortal(t, dir)
	m.expect("POST", "/v1/entities/heir/a/inherit/send?delay=100ms", "1", 202, "")
	if !m.dies() {
		t.Fatal("the process did not end")
	}
	m = startMortal(t, dir)
	waitUntil(t, "the message that was delayed is taken", func() bool { // it has no order with what is not
		_, state := m.ask("GET", "/v1/entities/heir/a", "")
		return strings.Contains(state, `"Worth":41`)
	})
	m.expect("POST", "/v1/entities/heir/a/inherit", "1", 200, "42")
	_, state := m.ask("GET", "/v1/entities/heir/a", "")
	if !strings.Contains(state, `"Worth":42`) || strings.Contains(state, `"ID":""`) {
		t.Errorf("the state is %s", state)
	}
	if err := m.process.Process.Kill(); err != nil {
		t.Error(err)
	}
	<-m.ended
}

// TestAnActivityThatEndsTheProcessIsGivenUp: a supervisor that starts the process
// again gets through, and the activity is a dead letter.
func TestAnActivityThatEndsTheProcessIsGivenUp(t *testing.T) {
	dir := t.TempDir()
	m := startMortal(t, dir)
	m.expect("POST", "/v1/entities/mortal/a/doom", "", 200, "")
	deaths := 0
	for ; deaths < 10 && m.dies(); deaths++ {
		m = startMortal(t, dir)
	}
	if deaths != 5 {
		t.Errorf("the activity has ended %d processes, want 5", deaths)
	}
	_, letters := m.ask("GET", "/v1/dead-letters", "")
	if !strings.Contains(letters, "quarantined: activity jump was given up: the process ended in each of 5 attempts") {
		t.Errorf("dead letters: %s", letters)
	}
	if err := m.process.Process.Kill(); err != nil {
		t.Error(err)
	}
	<-m.ended
}

// dies waits until the process has ended by its handler, or has a dead letter.
func (m *mortal) dies() bool {
	m.t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		select {
		case err := <-m.ended:
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != deadly {
				m.t.Fatalf("the process ended with %v: %s", err, m.log)
			}
			return true
		case <-time.After(20 * time.Millisecond):
		}
		_, letters, err := send(m.t.Context(), "GET", "http://"+m.Addr()+"/v1/dead-letters", "")
		if err == nil && strings.Contains(letters, `"id"`) {
			return false
		}
	}
	m.t.Fatal("the process neither ends nor gives the input up")
	return false
}

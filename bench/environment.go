package bench

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/host/embedded"
	"github.com/holdfast-io/holdfast/server"
)

// environment is a running server with what callers need.
type environment struct {
	app    *application
	host   *watchedHost
	server *server.Server
	typed  *holdfast.Client
	base   string   // of URLs
	keys   []string // of the entities
	web    *http.Client

	stop  context.CancelFunc
	ended chan error
}

// partitions is what servers have by default.
const partitions = server.PartitionsDefault

// warnings makes a logger of what an operator has to know.
func warnings(to io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(to, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// startEnvironment starts a server on the directory and waits until it serves.
func startEnvironment(ctx context.Context, directory string, keys, chains, callers int, logger *slog.Logger) (*environment, error) {
	data, err := embedded.Open(embedded.Config{
		Dir: filepath.Join(directory, "data"), Identity: host.Identity{Partitions: partitions},
	})
	if err != nil {
		return nil, fmt.Errorf("open the data directory: %w", err)
	}
	e := &environment{
		app: newApplication(chains, partitions), host: watch(data), keys: make([]string, keys), ended: make(chan error, 1),
		web: &http.Client{Transport: &http.Transport{
			DialContext:         (&net.Dialer{}).DialContext,
			MaxIdleConnsPerHost: callers,
			DisableCompression:  true,
		}},
	}
	for i := range e.keys {
		e.keys[i] = "key-" + strconv.Itoa(i)
	}
	e.server, err = server.New(server.Config{
		App: e.app.app, Host: e.host, Partitions: partitions, Listen: "127.0.0.1:0",
		Logger: logger,
	})
	if err != nil {
		return nil, fmt.Errorf("make the server: %w", err)
	}
	e.typed = e.server.Client()
	// An interrupted run still shuts down in order: only stop ends the server.
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	e.stop = stop
	go func() { e.ended <- e.server.Run(running) }()
	select {
	case <-e.server.Ready():
		e.base = "http://" + e.server.Addr()
		return e, nil
	case err := <-e.ended:
		stop()
		return nil, fmt.Errorf("start the server: %w", err)
	}
}

// close shuts the server down.
func (e *environment) close() error {
	e.web.CloseIdleConnections()
	e.stop()
	if err := <-e.ended; err != nil {
		return fmt.Errorf("stop the server: %w", err)
	}
	return nil
}

// fillers is how many callers fill the entities.
const fillers = 256

// fill does something for every number below n.
func fill(ctx context.Context, n int, do func(i int) error) error {
	var next atomic.Int64
	var failure atomic.Pointer[error]
	var working sync.WaitGroup
	for range min(n, fillers) {
		working.Go(func() {
			for i := next.Add(1) - 1; i < int64(n) && failure.Load() == nil; i = next.Add(1) - 1 {
				err := ctx.Err()
				if err == nil {
					err = do(int(i))
				}
				if err != nil {
					failure.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	working.Wait()
	err := failure.Load()
	switch cause := context.Cause(ctx); {
	case err == nil:
		return nil
	case cause != nil:
		return fmt.Errorf("fill the entities: %w", cause) // and not what it led to
	default:
		return fmt.Errorf("fill the entities: %w", *err)
	}
}

// drainTimeMax bounds the wait for one-way work.
const drainTimeMax = time.Minute

// drain waits until so many additions have been done.
func (e *environment) drain(until uint64) error {
	for deadline := time.Now().Add(drainTimeMax); e.app.done.Load() < until; {
		if time.Now().After(deadline) {
			return fmt.Errorf("%d requests were accepted, and %d are not done after %v",
				until, until-e.app.done.Load(), drainTimeMax)
		}
		time.Sleep(50 * time.Microsecond)
	}
	return nil
}

package karcli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/holdfast-io/holdfast/internal/heap"
	"github.com/holdfast-io/holdfast/internal/launcher"
	"github.com/holdfast-io/holdfast/internal/sidecar"
)

func runFlags(s *settings) {
	f := s.set
	timeFlags(s)
	f.StringVar(&s.service, "service", "", "`name` of the service that the application offers")
	f.StringVar(&s.actors, "actors", "", "`types` of actors that the application offers, with commas between them")
	f.DurationVar(&s.collect, "actor_collector_interval", 10*time.Second, "actors that were idle for so long are deactivated; 0: never")
	f.Func("actor_reminder_interval", "ignored: reminders fire when they are due", func(string) error { s.ignored["actor_reminder_interval"] = true; return nil })
	f.Func("actor_reminder_acceptable_delay", "ignored", func(string) error { s.ignored["actor_reminder_acceptable_delay"] = true; return nil })
	f.IntVar(&s.appPort, "app_port", s.envPort("KAR_APP_PORT", 8080), "`port` where the application listens")
	f.IntVar(&s.runtimePort, "runtime_port", s.envPort("KAR_RUNTIME_PORT", 0), "`port` of the REST interface for the application; 0: any")
	f.BoolVar(&s.sidecarMode, "sidecar_mode", false, "run without an application of one's own")
	f.BoolVar(&s.kubernetes, "kubernetes_mode", false, "listen on all interfaces")
	f.BoolVar(&s.h2c, "h2c", false, "call the application with HTTP/2")
	f.StringVar(&s.hostname, "hostname", "localhost", "`host` where the application listens")
	f.BoolVar(&s.cancel, "cancel", false, "calls from outside of methods that have not begun when this process ends are not begun")
	f.DurationVar(&s.away, "server_away_limit", time.Minute, "end with the application when the server was away for so long; 0: never")
}

func timeFlags(s *settings) {
	s.set.DurationVar(&s.busy, "actor_busy_timeout", 2*time.Minute, "how long a call may wait for its actor; 0: for ever")
	s.set.DurationVar(&s.missing, "missing_component_timeout", 2*time.Minute, "how long a call may wait for a component that can run it; 0: for ever")
}

func (s *settings) envPort(name string, otherwise int) int {
	if port, err := strconv.Atoi(s.process.Getenv(name)); err == nil {
		return port
	}
	return otherwise
}

// The times of a run.
const (
	connectWait = 5 * time.Second
	stopGrace   = 500 * time.Millisecond
)

// names are the parts of a list with commas.
func names(list string) (found []string) {
	for _, name := range strings.Split(list, ",") {
		if name = strings.TrimSpace(name); name != "" {
			found = append(found, name)
		}
	}
	return found
}

// run runs an application and the process beside it, which is this one.
func run(ctx context.Context, s *settings) int {
	types := names(s.actors)
	for _, name := range append(types, s.service) {
		if strings.Contains(name, "/") {
			return s.senseless("%q: the name of a service or a type of actors has no slash", name)
		}
	}
	heap.Keep()
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	host := "127.0.0.1"
	if s.kubernetes {
		host = ""
	}
	exited := make(chan struct{})
	side, err := sidecar.New(sidecar.Config{
		App: s.app, Service: s.service, Types: types, Server: s.server, Listen: net.JoinHostPort(host, strconv.Itoa(s.runtimePort)),
		Application: net.JoinHostPort(s.hostname, strconv.Itoa(s.appPort)), H2C: s.h2c, Cancel: s.cancel, BusyTimeout: max(s.busy, 0), StartWithin: max(s.missing, 0),
		CollectInterval: s.collect, AwayMax: s.away, Logger: s.logger(), Exited: exited,
	})
	if err != nil {
		return s.failed("kar: cannot listen on port %d for the application (-runtime_port): %v", s.runtimePort, err)
	}
	served, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	ended := make(chan error, 1)
	go func() { ended <- side.Run(served) }()
	select {
	case <-side.Connected():
	case err := <-ended:
		return s.failed("kar: %v", err)
	case <-ctx.Done():
		return 0
	case <-time.After(connectWait):
		return s.failed("kar: no server answers at %s: start one with 'holdfast serve --data DIR --listen %[1]s', or name another with -server or HOLDFAST_SERVER", s.server)
	}
	if s.set.NArg() == 0 {
		s.logger().Info("ready", "runtime_port", side.Port())
		return s.beside(ctx, ended, end)
	}
	return s.with(ctx, side, ended, end, exited)
}

// beside waits without an application of its own.
func (s *settings) beside(ctx context.Context, ended <-chan error, end func()) int {
	select {
	case <-ctx.Done():
		end()
		<-ended
		return 0
	case err := <-ended:
		if err != nil {
			return s.failed("kar: %v", err)
		}
		return 0
	}
}

// with runs the application. Its end is the end of this process, with its exit
// code; and when this process has to end, so has the application.
func (s *settings) with(ctx context.Context, side *sidecar.Sidecar, ended <-chan error, end func(), exited chan struct{}) int {
	child, err := launcher.Start(launcher.Config{
		Command: s.set.Args(), Stdout: s.process.Stdout, Stderr: s.process.Stderr,
		Environment: []string{
			fmt.Sprintf("KAR_RUNTIME_PORT=%d", side.Port()), fmt.Sprintf("KAR_APP_PORT=%d", s.appPort),
			fmt.Sprintf("KAR_REQUEST_TIMEOUT=%d", s.retryLimit.Milliseconds()),
		},
	})
	if err != nil {
		end()
		<-ended
		return s.failed("kar: cannot start the application: %v", err)
	}
	var why error
	over := false
	select {
	case <-child.Exited():
	case <-ctx.Done():
		child.Stop(stopGrace)
	case why = <-ended:
		over = true
		switch {
		case errors.Is(why, sidecar.ErrStale):
			child.Kill()
		case why == nil: // the application has asked for it, and ends by itself
			select {
			case <-child.Exited():
			case <-time.After(10 * time.Second):
				child.Stop(stopGrace)
			}
		default:
			child.Stop(stopGrace)
		}
	}
	close(exited)
	end()
	if !over {
		why = <-ended
	}
	if why != nil {
		return s.failed("kar: %v", why)
	}
	return child.Code()
}

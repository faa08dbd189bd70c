package karcli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/holdfast-io/holdfast/internal/remote"
	"github.com/holdfast-io/holdfast/internal/sidecar"
)

func getFlags(s *settings) {
	s.set.StringVar(&s.subject, "s", "actors", "what is shown: actors or sidecars")
	s.set.BoolVar(&s.memoryResident, "mr", false, "only actors that are active in a process")
	s.set.StringVar(&s.kind, "t", "", "only actors of this `type`")
	s.set.StringVar(&s.id, "i", "", "the state of the actor with this `id`; -t names its type")
	s.set.StringVar(&s.output, "o", "", "json: as JSON")
}

func restFlags(s *settings) {
	s.set.StringVar(&s.contentType, "content_type", "application/json", "of the body")
	s.set.DurationVar(&s.missing, "missing_component_timeout", 2*time.Minute, "how long a call may wait for a component that can run it; 0: for ever")
}

// asking connects to the server, does something, and leaves. It gives the exit
// code.
func (s *settings) asking(ctx context.Context, do func(ctx context.Context, c *sidecar.Caller) int) int {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	c, err := sidecar.Call(ctx, sidecar.CallerConfig{App: s.app, Server: s.server, Wait: connectWait, Logger: s.logger()})
	if err != nil {
		return s.failed("kar: no server answers at %s: %v; start one with 'holdfast serve --data DIR --listen %[1]s', or name another with -server or HOLDFAST_SERVER", s.server, err)
	}
	defer c.Close()
	return do(ctx, c)
}

// ask asks one thing, and shows why if it was refused.
func (s *settings) ask(ctx context.Context, c *sidecar.Caller, r *remote.Request) (*remote.Answer, bool) {
	r.Target.App = s.app
	a, err := c.Ask(ctx, r)
	if err != nil {
		s.failed("kar: %v", err)
		return nil, false
	}
	if a.Result.Failure != "" {
		s.failed("kar: %s", a.Result.Failure)
		return nil, false
	}
	return a, true
}

func get(ctx context.Context, s *settings) int {
	r := &remote.Request{Kind: remote.RequestInstances, Target: remote.Target{Type: s.kind}}
	switch {
	case s.id != "" && s.kind == "":
		return s.senseless("-i names an actor of the type that -t names: -t is missing")
	case s.id != "":
		return s.getState(ctx)
	case s.subject == "sidecars":
		r.Kind = remote.RequestSidecars
	case s.subject != "actors":
		return s.senseless("-s %q: want actors or sidecars", s.subject)
	case s.memoryResident:
		r.Kind = remote.RequestActors
	}
	return s.asking(ctx, func(ctx context.Context, c *sidecar.Caller) int {
		a, ok := s.ask(ctx, c, r)
		if !ok {
			return exitFailed
		}
		if s.output == "json" {
			fmt.Fprintf(s.process.Stdout, "%s\n", a.Result.Body)
			return 0
		}
		if s.subject == "sidecars" {
			return s.printSidecars(a.Result.Body)
		}
		return s.printActors(a.Result.Body)
	})
}

func (s *settings) printActors(body []byte) int {
	var byType map[string][]string
	if err := json.Unmarshal(body, &byType); err != nil {
		return s.failed("kar: %v", err)
	}
	for _, kind := range sorted(byType) {
		fmt.Fprintf(s.process.Stdout, "%s: [%s]\n", kind, strings.Join(byType[kind], ", "))
	}
	return 0
}

func (s *settings) printSidecars(body []byte) int {
	var byName map[string]struct {
		Port             int
		Actors, Services []string
	}
	if err := json.Unmarshal(body, &byName); err != nil {
		return s.failed("kar: %v", err)
	}
	for _, name := range sorted(byName) {
		v := byName[name]
		fmt.Fprintf(s.process.Stdout, "%s: port %d, actors [%s], services [%s]\n", name, v.Port, strings.Join(v.Actors, ", "), strings.Join(v.Services, ", "))
	}
	return 0
}

func sorted[V any](m map[string]V) (keys []string) {
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// getState shows the state of one actor.
func (s *settings) getState(ctx context.Context) int {
	return s.asking(ctx, func(ctx context.Context, c *sidecar.Caller) int {
		body, err := c.State(ctx, remote.Target{App: s.app, Type: s.kind, ID: s.id})
		if err != nil {
			return s.failed("kar: %v", err)
		}
		fmt.Fprintf(s.process.Stdout, "%s\n", body)
		return 0
	})
}

// invoke calls a method. Arguments are JSON, or if they are not, strings.
func invoke(ctx context.Context, s *settings) int {
	if s.set.NArg() < 3 {
		return s.senseless("want TYPE ID METHOD [ARGUMENTS...]")
	}
	arguments := []json.RawMessage{}
	for _, text := range s.set.Args()[3:] {
		if !json.Valid([]byte(text)) {
			quoted, _ := json.Marshal(text) // a string always has a JSON form
			text = string(quoted)
		}
		arguments = append(arguments, json.RawMessage(text))
	}
	body, _ := json.Marshal(arguments) // of valid JSON
	i := remote.Invocation{
		Kind: remote.InvocationCall, Target: remote.Target{App: s.app, Type: s.set.Arg(0), ID: s.set.Arg(1)}, Path: "/" + s.set.Arg(2),
		ContentType: "application/kar+json", Body: body, BusyTimeout: max(s.busy, 0), StartWithin: max(s.missing, 0),
	}
	return s.asking(ctx, func(ctx context.Context, c *sidecar.Caller) int {
		r, err := c.Invoke(ctx, &i)
		if err != nil {
			return s.failed("kar: %v", err)
		}
		return s.printResult(r)
	})
}

// printResult shows the result of a method.
func (s *settings) printResult(r *remote.Result) int {
	var v struct {
		Value   json.RawMessage
		Error   bool
		Message string
		Stack   string
	}
	switch {
	case r.Failure != "":
		return s.failed("failed to send message: %s", r.Failure)
	case r.Status == http.StatusNoContent:
		fmt.Fprintln(s.process.Stdout, "Method completed normally with void result.")
		return 0
	case r.Status >= 300:
		return s.failed("HTTP status %d: %s", r.Status, r.Body)
	case json.Unmarshal(r.Body, &v) != nil:
		fmt.Fprintf(s.process.Stdout, "Method result: %s\n", r.Body)
	case v.Error:
		return s.failed("Exception raised: %s\n%s", v.Message, v.Stack)
	default:
		fmt.Fprintf(s.process.Stdout, "Method result: %s\n", v.Value)
	}
	return 0
}

// rest calls a service.
func rest(ctx context.Context, s *settings) int {
	if n := s.set.NArg(); n < 3 || n > 4 {
		return s.senseless("want METHOD SERVICE PATH [BODY]")
	}
	path := s.set.Arg(2)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	i := remote.Invocation{
		Kind: remote.InvocationCall, Target: remote.Target{App: s.app, Type: s.set.Arg(1)}, Method: strings.ToUpper(s.set.Arg(0)), Path: path,
		ContentType: s.contentType, Body: []byte(s.set.Arg(3)), StartWithin: max(s.missing, 0),
	}
	return s.asking(ctx, func(ctx context.Context, c *sidecar.Caller) int {
		r, err := c.Invoke(ctx, &i)
		switch {
		case err != nil:
			return s.failed("kar: %v", err)
		case r.Failure != "":
			return s.failed("failed to send message: %s", r.Failure)
		case r.Status != http.StatusOK:
			return s.failed("HTTP status %d: %s", r.Status, r.Body)
		}
		fmt.Fprintf(s.process.Stdout, "%s\n", r.Body)
		return 0
	})
}

// quarantine lists invocations that have ended their process too often, or
// decides what becomes of one.
func quarantine(ctx context.Context, s *settings) int {
	action, request := s.set.Arg(0), s.set.Arg(1)
	r := &remote.Request{Kind: remote.RequestQuarantined, Name: request}
	switch {
	case action == "" || action == "list":
	case (action == "release" || action == "drop") && request == "":
		return s.senseless("%s which request? 'holdfast kar quarantine list' has their names", action)
	case action == "release":
		r.Kind = remote.RequestRelease
	case action == "drop":
		r.Kind = remote.RequestDrop
	default:
		return s.senseless("unknown action %q: want list, release or drop", action)
	}
	return s.asking(ctx, func(ctx context.Context, c *sidecar.Caller) int {
		a, ok := s.ask(ctx, c, r)
		switch {
		case !ok:
			return exitFailed
		case r.Kind == remote.RequestQuarantined:
			fmt.Fprintf(s.process.Stdout, "%s\n", a.Result.Body)
		case !a.Found:
			return s.failed("kar: request %s is not in quarantine", request)
		}
		return 0
	})
}

func purge(ctx context.Context, s *settings) int {
	return s.forget(ctx, remote.RequestPurge, "entities")
}

func drain(ctx context.Context, s *settings) int {
	return s.forget(ctx, remote.RequestDrain, "invocations")
}

func (s *settings) forget(ctx context.Context, kind remote.RequestKind, what string) int {
	return s.asking(ctx, func(ctx context.Context, c *sidecar.Caller) int {
		a, ok := s.ask(ctx, c, &remote.Request{Kind: kind})
		if !ok {
			return exitFailed
		}
		fmt.Fprintf(s.process.Stdout, "%d %s of application %s are forgotten\n", a.Count, what, s.app)
		return 0
	})
}

package holdfasttest

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/client"
	"github.com/holdfast-io/holdfast/internal/world"
)

// Run simulates an app, its server, its disk and its clients in one goroutine
// and in virtual time, once for each of a number of seeds. The function is
// called for each world, before it begins: it says what clients do and what has
// to be true. When all clients have ended there are no more faults, and the
// world goes on until everything that was asked has come to its end.
//
// A failure is made as small as it can be, and printed with a command that
// repeats it. The last line of the log says how many crashes were survived.
//
// What is not decided by the seed is not repeated: handlers and clients that
// read the wall clock or global randomness, start goroutines, wait in real time,
// or depend on the order of a map. Server and clients are real; the network
// protocol is not part of it.
func Run(t testing.TB, app *holdfast.App, test func(w *World), opts ...Option) {
	t.Helper()
	r := &runner{t: t, app: app, test: test, options: options{seeds: seedsDefault}}
	for _, o := range opts {
		o(&r.options)
	}
	for n, version := range append([]*holdfast.App{app}, r.options.upgrades...) {
		if version == nil {
			t.Fatalf("version %d of the app is nil", n+1)
		}
		if err := version.Validate(); err != nil {
			t.Fatal(err)
		}
		if err := checkFakes(version.Program(), r.options.fakes); err != nil {
			t.Fatal(err)
		}
	}
	if seed := os.Getenv(seedVariable); seed != "" {
		r.repeat(seed)
		return
	}
	if r.options.golden != "" {
		r.golden()
	}
	for seed := uint64(1); seed <= uint64(r.options.seeds); seed++ {
		r.seed(seed)
	}
	t.Logf("survived %d crash points in %d seeds, %s of virtual time", r.crashes, r.options.seeds, hours(r.virtual))
}

// The variables of the environment by which one world is repeated.
const (
	seedVariable   = "HOLDFAST_SEED"
	faultsVariable = "HOLDFAST_FAULTS" // which, as in crash:17,sync:3; none if it is empty
)

const (
	// seedsDefault is how many worlds are run: most are a few milliseconds.
	seedsDefault = 20
	// crashRunsMax bounds the runs of CrashEverywhere over all seeds, and
	// crashRunsMin those of a seed.
	crashRunsMax = 500
	crashRunsMin = 10
)

// Option says how worlds are simulated.
type Option func(*options)

type options struct {
	seeds      int
	rates      world.Rates
	everywhere bool
	memory     bool
	fakes      []holdfast.Part
	upgrades   []*holdfast.App
	golden     string // file of a trace
}

// Upgrades deploys further versions of the app, one after the other: each comes with
// a crash, at a moment that the seed chooses, or at the latest with the orderly
// restart at the end. What the version before has begun goes on with the next, as in
// production. A kind or workflow may have other handlers then, and aliases.
func Upgrades(next ...*holdfast.App) Option {
	return func(o *options) {
		o.upgrades = append(o.upgrades, next...)
		if o.rates[world.FaultUpgrade] < upgradeRate {
			o.rates[world.FaultUpgrade] = upgradeRate
		}
	}
}

// upgradeRate lets most worlds be upgraded in their middle, also small ones.
const upgradeRate = 0.005

// Fakes runs activities that are bound here instead of those of the app, with what
// surrounds them: timeouts, retries, lost attempts, crashes. A fake is bound as the
// real one is, Charge.Handle(fake); how an attempt is repeated is said by the app's
// binding. Local activities and steps are part of the workflow and stay as they are.
func Fakes(parts ...holdfast.Part) Option {
	return func(o *options) { o.fakes = append(o.fakes, parts...) }
}

// Seeds says how many worlds are simulated; the default is 20.
func Seeds(n int) Option { return func(o *options) { o.seeds = n } }

// AllFaults lets everything go wrong that may: crashes and power cuts, at any
// moment and in the middle of writes, failing syncs, a full, slow or stalled
// disk, a clock that jumps, slow handlers, handlers of messages that panic, lost
// repeated and late requests, lost and late answers, a network that is cut in one
// direction, a process that stands still, workflows that have to be executed again
// from their journals. Clients repeat their requests, so most
// faults only make answers late; after a minute without success a client is told
// holdfast.ErrUnavailable.
func AllFaults() Option {
	return func(o *options) {
		upgrades := o.rates[world.FaultUpgrade]
		o.rates = world.AllFaults()
		o.rates[world.FaultUpgrade] = max(upgrades, o.rates[world.FaultUpgrade])
	}
}

// CrashEverywhere simulates each seed again with a crash before each of its
// events, or before as many of them as are feasible: a different choice for each
// seed. With Upgrades it does the same with the first upgrade.
func CrashEverywhere() Option { return func(o *options) { o.everywhere = true } }

// InMemory keeps data in memory instead of on a simulated disk. It is twice as
// fast, and nothing goes wrong with a disk.
func InMemory() Option { return func(o *options) { o.memory = true } }

// World is one simulated world, before it begins.
type World struct {
	world   *world.World
	clients int
	random  *rand.Rand
}

// Do adds a client. Its function runs as a coroutine of the world, from its
// beginning on: while it waits for an answer, virtual time passes and others go
// on. The context is the world's; it has no end.
func (w *World) Do(client func(c *holdfast.ClientContext)) {
	w.clients++
	w.world.Go("client "+strconv.Itoa(w.clients), func(c *world.Client) {
		client(holdfast.NewClient(c.Conn()).With(clientContext{c.Context(), c}))
	})
}

// Always adds what has to be true of everything that is durable, at every
// moment.
func (w *World) Always(name string, holds func(s State) bool) { w.world.Always(name, checked(holds)) }

// Eventually adds what becomes true once there are no more faults. The world
// goes on until it is, for a day of virtual time at most.
func (w *World) Eventually(name string, holds func(s State) bool) {
	w.world.Eventually(name, checked(holds))
}

// Cools is a monitor of liveness: a state in which something is owed is hot, and it
// fails if that is so for longer than a time without a moment in which it is not,
// or still is when everything has come to its end. Time goes on while the server is
// down: give it more than it takes when nothing goes wrong. What is seen is what is
// durable, each time that something becomes durable.
func (w *World) Cools(name string, within time.Duration, hot func(s State) bool) {
	var since time.Time
	w.Always(name, func(s State) bool {
		switch now := w.Now(); {
		case !hot(s):
			since = time.Time{}
		case since.IsZero():
			since = now
		default:
			return now.Sub(since) <= within
		}
		return true
	})
	w.Finally(name, func(s State) bool { return !hot(s) })
}

// Finally adds what has to be true when everything has come to its end, and
// again after a last restart.
func (w *World) Finally(name string, holds func(s State) bool) { w.world.Finally(name, checked(holds)) }

// Now is the time in the world. It begins with the year 2026.
func (w *World) Now() time.Time { return w.world.Now() }

// Rand are chances that the seed decides.
func (w *World) Rand() *rand.Rand { return w.random }

// Sleep lets a client wait for a virtual time.
func (w *World) Sleep(c *holdfast.ClientContext, d time.Duration) {
	sleeper, ok := c.Context.(clientContext)
	if !ok {
		panic("holdfasttest: Sleep needs the context that the function of Do was given")
	}
	sleeper.client.Sleep(d)
}

// Fatalf fails the test: something is wrong in this world. Clients call it
// instead of the methods of testing, which do not know the seed.
func (w *World) Fatalf(format string, args ...any) { w.world.Fail(format, args...) }

// State is everything that is durable at one moment. It takes the place of a
// ClientContext where something is read, inspected or listed.
type State struct {
	*holdfast.ClientContext
	state world.State
}

// UnderWay lists the messages that were sent and have not been handled.
func (s State) UnderWay() (list []client.Request) {
	for _, m := range s.state.UnderWay() {
		r := client.Request{
			Kind: m.Target.Kind, Key: m.Target.Key, Handler: m.Handler, Body: m.Payload.Body, ContentType: m.Payload.ContentType, OneWay: true,
		}
		if m.NotBefore > 0 {
			r.NotBefore = m.NotBefore.Std()
		}
		list = append(list, r)
	}
	return list
}

// checked gives a check the form that a world has.
func checked(holds func(State) bool) func(world.State) error {
	return func(s world.State) error {
		if !holds(State{holdfast.NewClient(s.Conn()).With(s.Context()), s}) {
			return errNot
		}
		return nil
	}
}

// runner runs the worlds of a test.
type runner struct {
	t       testing.TB
	app     *holdfast.App
	test    func(*World)
	options options
	crashes int
	virtual time.Duration
}

// config is the world of a seed.
func (r *runner) config(seed uint64) world.Config {
	c := world.Config{Seed: seed, Rates: r.options.rates, Memory: r.options.memory}
	c.Partitions, c.Loops = 1+int(seed%5), 1+int(seed%3)
	return c
}

// run lives through one world.
func (r *runner) run(c world.Config) world.Result {
	c.Program, c.Upgrades = withFakes(r.app.Program(), r.options.fakes), nil
	for _, next := range r.options.upgrades {
		c.Upgrades = append(c.Upgrades, withFakes(next.Program(), r.options.fakes))
	}
	inner := world.New(c)
	w := &World{world: inner, random: rand.New(rand.NewPCG(c.Seed, 1<<36))}
	if r.test(w); w.clients == 0 {
		r.t.Fatal("the world has no clients: nothing would happen in it; add one with Do")
	}
	result := inner.Run()
	r.crashes += result.Crashes
	r.virtual += result.Virtual
	return result
}

// seed lives through the worlds of a seed.
func (r *runner) seed(seed uint64) {
	r.t.Helper()
	c := r.config(seed)
	result := r.run(c)
	if result.Violation != "" {
		r.fail(c, result)
	}
	if !r.options.everywhere {
		return
	}
	r.crashEverywhere(c, world.FaultCrash, &result)
	if len(r.options.upgrades) > 0 {
		r.crashEverywhere(c, world.FaultUpgrade, &result)
	}
}

// crashEverywhere lives through a world again and again, each time with a crash of a
// kind before another of its events.
func (r *runner) crashEverywhere(c world.Config, kind world.FaultKind, result *world.Result) {
	r.t.Helper()
	others := result.Faults
	if kind == world.FaultUpgrade {
		others = slices.DeleteFunc(slices.Clone(others), func(f world.Fault) bool { return f.Kind == kind })
	}
	runs := max(crashRunsMin, crashRunsMax/r.options.seeds)
	stride := max(1, (result.CrashPoint+runs-1)/runs)
	for point := 1 + int(c.Seed)%stride; point <= result.CrashPoint; point += stride {
		crash := c
		crash.Scheduled, crash.Only = true, append(slices.Clone(others), world.Fault{Kind: kind, Number: point})
		if result := r.run(crash); result.Violation != "" {
			r.fail(crash, result)
		}
	}
}

// fail prints a failure, as small as it can be made.
func (r *runner) fail(c world.Config, result world.Result) {
	r.t.Helper()
	schedule := func(s world.Schedule) world.Config {
		c := c
		c.Scheduled, c.Only = true, s.Faults
		return c
	}
	whole := world.Schedule{Faults: result.Faults}
	fails := func(s world.Schedule) bool {
		again := r.run(schedule(s))
		return again.Resembles(&result)
	}
	if !fails(whole) {
		r.t.Fatalf("seed %d: %s\nthe same world did not fail when it was run again: something is not decided by the seed, "+
			"such as a clock, randomness, a goroutine, or the order of a map, in a handler or a client", c.Seed, result.Violation)
	}
	small := world.Shrink(whole, fails)
	var trace bytes.Buffer
	c = schedule(small)
	c.Trace = &trace
	violation := r.run(c).Violation
	r.t.Fatalf("seed %d, with %d of %d faults: %s\n%s\nrepeat with:\n%s=%d %s=%s go test -run '^%s$' .",
		c.Seed, len(small.Faults), len(whole.Faults), cmp.Or(violation, result.Violation), lastLines(trace.String(), traceLines),
		seedVariable, c.Seed, faultsVariable, world.FormatFaults(small.Faults), r.t.Name())
}

// traceLines is how much of a trace is printed: what led to a failure is mostly
// near.
const traceLines = 40

func lastLines(text string, count int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if len(lines) > count {
		lines = append([]string{fmt.Sprintf("… %d lines before", len(lines)-count)}, lines[len(lines)-count:]...)
	}
	return strings.Join(lines, "\n")
}

// repeat runs one world as the environment says, and prints all of it.
func (r *runner) repeat(seed string) {
	r.t.Helper()
	number, err := strconv.ParseUint(seed, 10, 64)
	if err != nil {
		r.t.Fatalf("%s is %q: want a number", seedVariable, seed)
	}
	c := r.config(number)
	if text, ok := os.LookupEnv(faultsVariable); ok {
		c.Scheduled = true
		if c.Only, err = world.ParseFaults(text); err != nil {
			r.t.Fatalf("%s: %v", faultsVariable, err)
		}
	}
	var trace bytes.Buffer
	c.Trace = &trace
	result := r.run(c)
	r.t.Log("\n" + trace.String())
	if result.Violation != "" {
		r.t.Fatalf("seed %d: %s", number, result.Violation)
	}
}

// hours writes a virtual time.
func hours(d time.Duration) string {
	if d < time.Hour {
		return d.Round(time.Second).String()
	}
	return strconv.FormatFloat(d.Hours(), 'f', 1, 64) + " h"
}

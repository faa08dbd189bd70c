// Package drill kills a bank while it is used, and checks that nothing was lost
// and nothing was done twice.
//
// It starts its own program as a server on a data directory, opens accounts, and
// has clients transfer money between them at random over HTTP, each request with
// an idempotency key, or as a workflow with an id; every fourth as a workflow, and
// every fourth as an event. In the middle of that it kills the server with SIGKILL,
// starts it again on the same data, and goes on. Whoever got no answer asks again
// with the same key until there is one.
//
// Invariants:
//
//  1. When the work is over, every transfer has one definite answer, so what
//     every account must hold is known exactly, and not only the total.
//  2. A request that is repeated gets the answer that it got first, before and
//     after a kill.
//  3. The drill fails if anything differs, and says what.
//  4. Nothing is left behind: no process and, unless it is asked for, no file.
//
// The package does not look inside the server: it uses what any client has.
package drill

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Bounds of the flags. They keep a drill of any numbers below a minute or two
// and what it remembers below 100 MB.
const (
	accountsMax = 100_000
	clientsMax  = 1_000
	killsMax    = 100
	durationMax = 10 * time.Minute
)

// timeMax ends a drill that does not: the sum of what may take long, doubled.
func (c *config) timeMax() time.Duration {
	return c.duration + time.Duration(c.kills+2)*startTimeMax + settleTimeMax + time.Minute
}

// config is what the flags say.
type config struct {
	accounts, clients, kills int
	duration                 time.Duration // of the work, without restarts
	seed                     uint64
	keep                     bool
	freshKeys                bool // a fault of the clients, to see the drill fail
}

func (c *config) register(set *flag.FlagSet) {
	set.IntVar(&c.accounts, "accounts", 200, "`number` of accounts")
	set.IntVar(&c.clients, "clients", 16, "`number` of clients that transfer at the same time")
	set.IntVar(&c.kills, "kills", 3, "how many `times` the server is killed")
	set.DurationVar(&c.duration, "duration", 8*time.Second, "how long the clients work, restarts not counted")
	set.Uint64Var(&c.seed, "seed", 0, "`number` that decides amounts, accounts and pauses; 0 draws one")
	set.BoolVar(&c.keep, "keep", false, "leave the data directory behind and say where it is")
}

// hiddenFlag makes every repeat of a request a new one, as if the server did
// not recognise repeats: the drill has to fail.
const hiddenFlag = "fresh-keys"

func (c *config) validate() error {
	var mistakes []error
	bound := func(name string, value, least, most int) {
		if value < least || value > most {
			mistakes = append(mistakes, fmt.Errorf("--%s is %d, want %d to %d", name, value, least, most))
		}
	}
	bound("accounts", c.accounts, 2, accountsMax)
	bound("clients", c.clients, 1, clientsMax)
	bound("kills", c.kills, 0, killsMax)
	if c.duration <= 0 || c.duration > durationMax {
		mistakes = append(mistakes, fmt.Errorf("--duration is %v, want up to %v", c.duration, durationMax))
	}
	return errors.Join(mistakes...)
}

// Main runs the drill and returns the exit code. The last line of stdout is
// "drill: ok transfers=N kills=N lost=0 doubled=0 recovery_ms=N
// workflows=N events=N", where workflows and events are among the transfers, with
// exit code 0, or "drill: FAILED …" with 1; a wrong flag is 2. Progress goes to
// stderr.
//
// SIGINT and SIGTERM end the drill, which has failed then.
func Main(ctx context.Context, arguments []string, stdout, stderr io.Writer) (code int) {
	var c config
	set := flag.NewFlagSet("drill", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	c.register(set)
	set.BoolVar(&c.freshKeys, hiddenFlag, false, "")
	err := set.Parse(arguments)
	if err == nil && set.NArg() > 0 {
		err = fmt.Errorf("%q is not a flag", set.Arg(0))
	}
	if err == nil {
		err = c.validate()
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
		usage(stdout)
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "drill: %v; --help lists the flags\n", err)
		return 2
	}
	if c.seed == 0 {
		c.seed = rand.Uint64N(1_000_000_000) + 1 // short enough to be typed
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	return conduct(ctx, &c, stdout, stderr)
}

func usage(to io.Writer) {
	fmt.Fprint(to, "The drill kills a bank at work and checks every transfer.\n\nFlags:\n")
	set := flag.NewFlagSet("drill", flag.ContinueOnError)
	set.SetOutput(to)
	new(config).register(set)
	set.PrintDefaults()
}

// conduct runs the drill and says how it ended.
func conduct(ctx context.Context, c *config, stdout, stderr io.Writer) (code int) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.timeMax(), fmt.Errorf("it did not end within %v", c.timeMax()))
	defer cancel()
	d := &drill{config: c, progress: newProgress(stderr)}
	report, err := d.run(ctx)
	d.progress.end()
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err == nil && report.sound() {
		fmt.Fprintf(stdout, "drill: ok %s\n", report)
		return 0
	}
	for _, line := range d.serverLog() {
		fmt.Fprintf(stderr, "server: %s\n", line)
	}
	if err != nil {
		report.reasons = append(report.reasons, err.Error())
	}
	fmt.Fprintf(stdout, "drill: FAILED %s seed=%d: %s\n", report, c.seed, report.why())
	return 1
}

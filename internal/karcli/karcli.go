package karcli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-io/holdfast/server"
)

// Process is what a command line takes from the process it runs in.
type Process struct {
	Arguments []string // after "kar"
	Getenv    func(name string) string
	Stdout    io.Writer
	Stderr    io.Writer
}

// Arguments finds the arguments of KAR's command line in those of a process,
// whose first is the name of its program: those of a program that is called kar,
// and those after "kar".
func Arguments(arguments []string) (rest []string, ok bool) {
	switch {
	case len(arguments) == 0:
		return nil, false
	case filepath.Base(arguments[0]) == "kar":
		return arguments[1:], true
	case len(arguments) > 1 && arguments[1] == "kar":
		return arguments[2:], true
	}
	return nil, false
}

// Exit codes.
const (
	exitFailed = 1
	exitUsage  = 2
)

// settings are the values of all flags of a command.
type settings struct {
	process Process
	set     *flag.FlagSet
	ignored map[string]bool

	server, app, service, actors         string
	verbosity, hostname                  string
	appPort, runtimePort                 int
	kubernetes, h2c, sidecarMode, cancel bool
	busy, missing, collect, retryLimit   time.Duration
	away                                 time.Duration
	subject, kind, id, output            string
	memoryResident                       bool
	contentType                          string
}

// command is one command.
type command struct {
	name, arguments, summary string
	flags                    func(s *settings)
	run                      func(ctx context.Context, s *settings) int
	needsApp                 bool
}

func commands() []command {
	return []command{
		{"run", "[OPTIONS] [-- COMMAND...]", "run an application, or only the process beside one", runFlags, run, true},
		{"get", "[OPTIONS]", "show actors, their state, or the processes of an application", getFlags, get, true},
		{"invoke", "[OPTIONS] TYPE ID METHOD [ARGUMENTS...]", "call a method of an actor", timeFlags, invoke, true},
		{"rest", "[OPTIONS] METHOD SERVICE PATH [BODY]", "call a service", restFlags, rest, true},
		{"quarantine", "[OPTIONS] [list|release REQUEST|drop REQUEST]", "invocations that have ended their process too often", nil, quarantine, true},
		{"purge", "[OPTIONS]", "forget everything of an application", nil, purge, true},
		{"drain", "[OPTIONS]", "forget what waits and the subscriptions of an application, and keep its state", nil, drain, true},
		{"version", "", "print the version", nil, version, false},
	}
}

// Run runs a command and returns the exit code.
func Run(ctx context.Context, p Process) (code int) {
	name, rest := "help", p.Arguments
	if len(rest) > 0 {
		name, rest = rest[0], rest[1:]
	}
	if slices.Contains([]string{"help", "-h", "-help", "--help"}, name) {
		usage(p.Stdout)
		return 0
	}
	for _, c := range commands() {
		if c.name == name {
			return c.do(ctx, p, rest)
		}
	}
	fmt.Fprintf(p.Stderr, "kar: unknown command %q\n", name)
	usage(p.Stderr)
	return exitUsage
}

func usage(to io.Writer) {
	fmt.Fprint(to, "Usage: holdfast kar COMMAND [OPTIONS]\n\nRuns applications that are written for KAR, with a Holdfast server in place of Kafka and Redis.\n\n")
	for _, c := range commands() {
		fmt.Fprintf(to, "  %-11s %s\n", c.name, c.summary)
	}
	fmt.Fprint(to, "\n\"holdfast kar COMMAND -help\" explains the options of a command.\n")
}

// do reads the flags of a command and runs it.
func (c *command) do(ctx context.Context, p Process, arguments []string) int {
	s := &settings{process: p, set: flag.NewFlagSet(c.name, flag.ContinueOnError), ignored: map[string]bool{}}
	s.set.SetOutput(p.Stderr)
	s.set.Usage = func() {
		fmt.Fprintf(s.set.Output(), "Usage: holdfast kar %s %s\n\n%s.\n\n", c.name, c.arguments, strings.ToUpper(c.summary[:1])+c.summary[1:])
		s.set.PrintDefaults()
	}
	s.globalFlags()
	if c.flags != nil {
		c.flags(s)
	}
	err := s.set.Parse(arguments)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return exitUsage
	case c.needsApp && s.app == "":
		return s.senseless("-app is missing: name the application")
	case strings.Contains(s.app, "/"):
		return s.senseless("-app %q: the name of an application has no slash", s.app)
	}
	s.warnIgnored()
	return c.run(ctx, s)
}

// senseless says that the command line makes no sense.
func (s *settings) senseless(format string, arguments ...any) int {
	fmt.Fprintf(s.process.Stderr, "kar: "+format+"\n", arguments...)
	fmt.Fprintf(s.process.Stderr, "\"holdfast kar %s -help\" explains\n", s.set.Name())
	return exitUsage
}

// failed says why something was not done.
func (s *settings) failed(format string, arguments ...any) int {
	fmt.Fprintf(s.process.Stderr, format+"\n", arguments...)
	return exitFailed
}

// env gives a variable of the environment, or a default.
func (s *settings) env(name, otherwise string) string {
	if value := s.process.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func (s *settings) globalFlags() {
	f := s.set
	f.StringVar(&s.server, "server", s.env("HOLDFAST_SERVER", server.ListenDefault), "`address` of the Holdfast server (environment: HOLDFAST_SERVER)")
	f.StringVar(&s.app, "app", "", "`name` of the application (required)")
	f.StringVar(&s.verbosity, "v", "error", "what is logged: error, warning, info or debug")
	f.DurationVar(&s.retryLimit, "request_retry_limit", -time.Second, "passed on to the application as KAR_REQUEST_TIMEOUT; below zero: unlimited")
	for _, name := range []string{"kafka_brokers", "kafka_username", "kafka_password", "kafka_version", "kafka_topic_config",
		"redis_host", "redis_password", "redis_user", "redis_ca_cert", "redis_port", "redis_slow_op_threshold", "config_dir"} {
		f.Func(name, "ignored", func(string) error { s.ignored[name] = true; return nil })
	}
	for _, name := range []string{"kafka_enable_tls", "kafka_tls_skip_verify", "redis_enable_tls", "redis_tls_skip_verify", "placement_cache", "debug"} {
		f.BoolFunc(name, "ignored", func(string) error { s.ignored[name] = true; return nil })
	}
}

// warnIgnored says in one line which flags have no meaning here.
func (s *settings) warnIgnored() {
	var names []string
	for name := range s.ignored {
		names = append(names, "-"+name)
	}
	slices.Sort(names)
	if len(names) > 0 {
		fmt.Fprintf(s.process.Stderr, "kar: ignored: %s (there is no Kafka and no Redis: the server at %s keeps everything)\n", strings.Join(names, ", "), s.server)
	}
}

// logger logs to standard error what the verbosity says.
func (s *settings) logger() *slog.Logger {
	level := slog.LevelError
	switch strings.ToLower(s.verbosity) {
	case "warning", "warn", "1":
		level = slog.LevelWarn
	case "info", "2":
		level = slog.LevelInfo
	case "debug", "3":
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(s.process.Stderr, &slog.HandlerOptions{Level: level}))
}

func version(_ context.Context, s *settings) int {
	fmt.Fprintf(s.process.Stdout, "holdfast %s %s (KAR 1.3.10)\n", server.Version(), runtime.Version())
	return 0
}

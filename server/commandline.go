package server

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/holdfast-io/holdfast"
	"github.com/holdfast-io/holdfast/internal/heap"
)

// DataDirDefault is where the command serve keeps data unless told otherwise.
const DataDirDefault = "holdfast-data"

// Main is the main function of a program that serves app: it takes the command
// line "[serve] --data DIR --listen ADDR --partitions N", "workflow check", or
// "version", and serves when no command is given. SIGINT and SIGTERM shut down in order; a
// second one ends the process at once. Main does not return: the exit code is 0
// after an orderly shutdown, 2 for a wrong command line and 1 for any other
// error.
func Main(app *holdfast.App) {
	os.Exit(run(context.Background(), app, os.Args, os.Stdout, os.Stderr))
}

// run is Main with everything it takes from the process.
func run(ctx context.Context, app *holdfast.App, arguments []string, stdout, stderr io.Writer) (code int) {
	name, command, rest := cutCommand(arguments)
	switch command {
	case "serve":
		return runServe(ctx, app, name, rest, stdout, stderr)
	case "version":
		fmt.Fprintf(stdout, "%s version %s, holdfast %s, %s\n", app.Name(), app.Program().Describe().CodeVersion, Version(), runtime.Version())
		return 0
	case "workflow":
		return runWorkflow(ctx, app, name, rest, stdout, stderr)
	case "help":
		usage(stdout, app, name)
		return 0
	default:
		fmt.Fprintf(stderr, "%s: %q is not a command; %s help lists commands and flags\n", name, command, name)
		return 2
	}
}

func cutCommand(arguments []string) (name, command string, rest []string) {
	if len(arguments) == 0 {
		return "holdfast", "serve", nil
	}
	name, rest = filepath.Base(arguments[0]), arguments[1:]
	switch {
	case len(rest) == 0:
		return name, "serve", nil
	case rest[0] == "-h" || rest[0] == "--help" || rest[0] == "-help":
		return name, "help", nil
	case rest[0] == "--version" || rest[0] == "-version":
		return name, "version", nil
	case strings.HasPrefix(rest[0], "-"):
		return name, "serve", rest
	}
	return name, rest[0], rest[1:]
}

func usage(to io.Writer, app *holdfast.App, name string) {
	fmt.Fprintf(to, "%s serves the application %s over HTTP until SIGINT or SIGTERM.\n\n"+
		"Usage:\n  %s [serve] [flags]\n  %s "+checkUsage+"\n  %s version\n  %s help\n\n"+
		"workflow check says which runs that have not ended would break under this program.\n\n"+
		"Exit codes: 0 stopped in order, 1 not, 2 the command line makes no sense.\n\nFlags:\n",
		name, app.Name(), name, name, name, name)
	var line CommandLine
	set := flag.NewFlagSet(name, flag.ContinueOnError)
	set.SetOutput(to)
	line.Register(set)
	set.PrintDefaults()
}

func runServe(ctx context.Context, app *holdfast.App, name string, arguments []string, stdout, stderr io.Writer) (code int) {
	var line CommandLine
	set := flag.NewFlagSet(name, flag.ContinueOnError)
	set.SetOutput(io.Discard)
	line.Register(set)
	err := set.Parse(arguments)
	if err == nil && set.NArg() > 0 {
		err = fmt.Errorf("%q is not a flag; flags begin with -- and come before anything else", set.Arg(0))
	}
	if errors.Is(err, flag.ErrHelp) {
		usage(stdout, app, name)
		return 0
	}
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v; %s help lists the flags\n", name, err, name)
		return 2
	}
	return exitCode(stderr, name, line.Serve(ctx, app, stderr))
}

// exitCode reports how serving ended.
func exitCode(stderr io.Writer, name string, err error) (code int) {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, ErrInvalid):
		code = 2
	default:
		code = 1
	}
	fmt.Fprintf(stderr, "%s: %v\n", name, err)
	return code
}

// CommandLine is what the command serve takes, of an application's own program
// and of holdfast itself.
type CommandLine struct {
	Config    Config
	LogFormat string
	LogLevel  slog.Level
}

// Register declares the flags.
func (l *CommandLine) Register(set *flag.FlagSet) {
	c := &l.Config
	set.StringVar(&c.DataDir, "data", DataDirDefault, "`directory` that holds the data; made if it does not exist")
	set.StringVar(&c.Listen, "listen", ListenDefault, "`address` of the HTTP interface; port 0 takes a free one")
	set.IntVar(&c.Partitions, "partitions", 0, fmt.Sprintf("`number` of partitions, fixed when a directory is made (default what it was made for, %d for a new one)", PartitionsDefault))
	set.DurationVar(&c.Retention, "retention", RetentionDefault, "how long idempotency keys and results of sent requests are kept")
	set.DurationVar(&c.ShutdownTimeout, "shutdown-timeout", ShutdownTimeoutDefault, "how long a shutdown waits for what is under way")
	set.IntVar(&c.Executors, "executors", 0, "`number` of handlers that run at once (default the number of processors)")
	set.StringVar(&l.LogFormat, "log-format", "auto", "`format` of the log: text, json, or auto, which is text on a terminal and json otherwise")
	set.TextVar(&l.LogLevel, "log-level", slog.LevelInfo, "`level` of the log: debug, info, warn or error")
}

// Serve runs app until ctx ends or a signal comes; nil is a server without an
// application. It logs to stderr.
func (l *CommandLine) Serve(ctx context.Context, app *holdfast.App, stderr io.Writer) error {
	logger, err := newLogger(stderr, l.LogFormat, l.LogLevel)
	if err != nil {
		return err
	}
	slog.SetDefault(logger)
	heap.Keep()
	config := l.Config
	config.App, config.WithoutApp, config.Logger = app, app == nil, logger
	server, err := New(config)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the second signal finds nobody who catches it
	return server.Run(ctx)
}

func newLogger(to io.Writer, format string, level slog.Level) (*slog.Logger, error) {
	options := &slog.HandlerOptions{Level: level}
	switch {
	case format == "text", format == "auto" && isTerminal(to):
		return slog.New(slog.NewTextHandler(to, options)), nil
	case format == "json", format == "auto":
		return slog.New(slog.NewJSONHandler(to, options)), nil
	}
	return nil, fmt.Errorf("%w: the log format is %q, want text, json or auto", ErrInvalid, format)
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&fs.ModeCharDevice != 0
}

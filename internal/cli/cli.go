package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-io/holdfast/client"
)

// ServerDefault is where commands look for a server.
const ServerDefault = "127.0.0.1:7070"

// retryFor is how long a command without a timeout goes on asking a server that
// does not answer: long enough for a restart, short enough for a person.
const retryFor = 5 * time.Second

// Process is what a command line takes from the process it runs in.
type Process struct {
	Arguments []string // without the name of the program
	Getenv    func(name string) string
	Stdin     io.Reader
	Stdout    io.Writer
	Stderr    io.Writer
}

// Run runs the command line and returns the exit code. Extra commands are added
// to the ones of this package.
func Run(ctx context.Context, p Process, extra ...*cobra.Command) (code int) {
	c := &commands{process: p}
	defer c.disconnect()
	root := c.root()
	root.AddCommand(extra...)
	root.SetArgs(p.Arguments)
	root.SetIn(p.Stdin)
	root.SetOut(p.Stdout)
	root.SetErr(p.Stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	c.report(err)
	var usage *usageError
	if !c.began || errors.As(err, &usage) {
		return 2
	}
	return 1
}

// commands is what the commands of one run share.
type commands struct {
	process Process
	server  string
	timeout time.Duration
	json    bool
	began   bool // the command line made sense to cobra

	conn     client.Conn // made when it is used first
	deadline time.Time   // of the whole command; zero: none, or it has not asked yet
}

// usageError says that the command line makes no sense.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, arguments ...any) error {
	return &usageError{fmt.Sprintf(format, arguments...)}
}

func (c *commands) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "holdfast",
		Short: "Durable entities: a server, and a client for the command line",
		Long: "holdfast runs a server, talks to one, and looks at data directories.\n\n" +
			"Input is JSON: an argument, @FILE, or - for standard input.\n" +
			"Exit codes: 0 done, 1 not done, 2 the command line makes no sense.",
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRun: func(*cobra.Command, []string) {
			c.began = true
		},
	}
	address := c.process.Getenv("HOLDFAST_SERVER")
	if address == "" {
		address = ServerDefault
	}
	flags := root.PersistentFlags()
	flags.StringVar(&c.server, "server", address, "address of the server (environment: HOLDFAST_SERVER)")
	flags.DurationVar(&c.timeout, "timeout", 0, "give up after this long; 0 waits for the answer, but only 5s for a server")
	flags.BoolVar(&c.json, "json", false, "write JSON, one object a line")
	root.AddCommand(c.serve(), c.call(), c.send(), c.get(), c.list(), c.delete(), c.reminders(), c.result(), c.log(), c.version())
	return root
}

// invoke sends one request to the server. The timeout is that of the whole
// command, and runs from its first request.
func (c *commands) invoke(ctx context.Context, r client.Request) (client.Reply, error) {
	if c.conn == nil {
		c.conn = client.HTTP(c.server, client.RetryFor(retryFor))
		if c.timeout > 0 {
			c.deadline = time.Now().Add(c.timeout)
		}
	}
	if !c.deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, c.deadline)
		defer cancel()
	}
	return c.conn.Invoke(ctx, r)
}

// disconnect drops the connection to the server.
func (c *commands) disconnect() {
	if closer, ok := c.conn.(io.Closer); ok {
		_ = closer.Close() // drops idle connections and cannot fail
	}
}

// positional checks the number of arguments and says what they are.
func positional(least int, names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, arguments []string) error {
		if len(arguments) < least {
			return usagef("%s is missing; usage: %s", names[len(arguments)], cmd.UseLine())
		}
		if len(arguments) > len(names) {
			return usagef("%q is too much; usage: %s", arguments[len(names)], cmd.UseLine())
		}
		return nil
	}
}

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-io/holdfast/client"
	"github.com/holdfast-io/holdfast/server"
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
	for _, command := range extra {
		command.GroupID = groupLocal
		root.AddCommand(local(command))
	}
	root.SetArgs(p.Arguments)
	root.SetIn(p.Stdin)
	root.SetOut(p.Stdout)
	root.SetErr(p.Stderr)
	command, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	c.command = command.CommandPath()
	c.report(err)
	if c.senseless(err) {
		return 2
	}
	return 1
}

// senseless reports whether the command line makes no sense: nobody was asked.
func (c *commands) senseless(err error) bool {
	var usage *usageError
	return !c.began || errors.As(err, &usage) || errors.Is(err, server.ErrInvalid)
}

// commands is what the commands of one run share.
type commands struct {
	process Process
	server  string
	timeout time.Duration
	json    bool
	began   bool   // the command line made sense to cobra
	command string // that was run; set when it has failed

	conn     client.Conn // made when it is used first
	deadline time.Time   // of the whole command; zero: none, or it has not asked yet
}

// usageError says that the command line makes no sense.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, arguments ...any) error {
	return &usageError{fmt.Sprintf(format, arguments...)}
}

// Groups of commands, as help shows them.
const (
	groupEntities = "entities"
	groupWorkflow = "workflows"
	groupOperator = "operator"
	groupLocal    = "local"
)

func (c *commands) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "holdfast",
		Short: "Durable entities and workflows: a server, and a client for the command line",
		Long: "holdfast talks to a server, runs one, and looks at data directories.\n\n" +
			"Input is JSON: an argument, @FILE, or - for standard input.\n" +
			"Exit codes: 0 done, 1 not done, 2 the command line makes no sense.",
		Example: "  holdfast call counter visits add 1\n" +
			"  holdfast get counter visits\n" +
			"  holdfast workflow start transfer order-7 @input.json --wait\n" +
			"  holdfast log verify --data holdfast-data",
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
	flags.StringVar(&c.server, "server", address, "`address` of the server (environment: HOLDFAST_SERVER)")
	flags.DurationVar(&c.timeout, "timeout", 0, "give up after this long (default: as long as the answer takes, but 5s without a server)")
	flags.BoolVar(&c.json, "json", false, "write JSON, one object a line")
	version := root.Flags().Bool("version", false, "print the version of this program")
	root.RunE = func(cmd *cobra.Command, _ []string) error {
		if *version {
			return c.printVersion()
		}
		return cmd.Help()
	}
	c.addCommands(root)
	return root
}

// addCommands adds the commands in their groups.
func (c *commands) addCommands(root *cobra.Command) {
	add := func(group, title string, commands ...*cobra.Command) {
		root.AddGroup(&cobra.Group{ID: group, Title: title})
		for _, command := range commands {
			command.GroupID = group
		}
		root.AddCommand(commands...)
	}
	add(groupEntities, "Entities of a server:", c.call(), c.send(), c.get(), c.list(), c.delete(), c.reminders(), c.result())
	add(groupWorkflow, "Workflows of a server:", c.workflow(), c.promise())
	add(groupOperator, "When something has stopped:", c.parked(), c.deadLetters(), c.locks())
	add(groupLocal, "This machine:", local(c.serve()), local(c.log()), local(c.version()))
	root.SetHelpCommandGroupID(groupLocal)
	root.SetCompletionCommandGroupID(groupLocal)
}

// local marks a command that asks no server: its help leaves out the flags for
// that.
func local(cmd *cobra.Command) *cobra.Command {
	cmd.SetHelpFunc(func(cmd *cobra.Command, arguments []string) {
		for _, name := range []string{"server", "timeout"} {
			if flag := cmd.InheritedFlags().Lookup(name); flag != nil {
				flag.Hidden = true
			}
		}
		cmd.Root().HelpFunc()(cmd, arguments)
	})
	return cmd
}

// invoke sends one request to the server. The timeout is that of the whole
// command, and runs from its first request.
func (c *commands) invoke(ctx context.Context, r client.Request) (client.Reply, error) {
	if c.conn == nil {
		c.conn = client.HTTP(c.server, client.RetryFor(retryFor))
	}
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	return c.conn.Invoke(ctx, r)
}

// bounded gives a context that ends with the timeout of the command, which runs
// from the first time that it is asked for.
func (c *commands) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if c.timeout <= 0 {
		return ctx, func() {}
	}
	if c.deadline.IsZero() {
		c.deadline = time.Now().Add(c.timeout)
	}
	return context.WithDeadline(ctx, c.deadline)
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

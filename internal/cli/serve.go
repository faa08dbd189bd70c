package cli

import (
	"flag"
	"fmt"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-io/holdfast/server"
)

func (c *commands) serve() *cobra.Command {
	var line server.CommandLine
	var remote server.KARConfig
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a server without an application of its own",
		Long: "Run a server without an application of its own, until SIGINT or SIGTERM.\n\n" +
			"An application that is written in Go brings its server along: its own program\n" +
			"has the command serve. This one serves programs in other processes:\n" +
			"see holdfast kar.",
		Args: positional(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			line.Config.Frontends = []server.Frontend{server.KAR(remote)}
			return line.Serve(cmd.Context(), nil, c.process.Stderr)
		},
	}
	set := flag.NewFlagSet("serve", flag.ContinueOnError)
	line.Register(set)
	cmd.Flags().AddGoFlagSet(set)
	cmd.Flags().DurationVar(&remote.Lease, "kar-lease", 3*time.Second, "how long a process of an application may be unreachable before others do what it does")
	cmd.Flags().Uint32Var(&remote.AttemptsMax, "kar-attempts", 5, "how often an invocation may end its process before it is put into quarantine")
	cmd.Flags().DurationVar(&remote.PromiseRetention, "kar-promise-retention", 24*time.Hour, "how long outcomes of promises are kept")
	return cmd
}

func (c *commands) version() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program",
		Args:  positional(0),
		RunE:  func(*cobra.Command, []string) error { return c.printVersion() },
	}
}

func (c *commands) printVersion() error {
	if c.json {
		return c.printValue(map[string]string{
			"version": server.Version(), "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH,
		})
	}
	return c.print(fmt.Appendf(nil, "holdfast %s %s %s/%s", server.Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH))
}

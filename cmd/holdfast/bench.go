package main

import (
	"flag"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/holdfast-io/holdfast/bench"
)

// benchCommand is the command that measures. It is not among those of package
// cli because it brings a server with an application along.
func benchCommand() *cobra.Command {
	var options bench.Options
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure this machine: updates, reads, sends, chains, HTTP",
		Long: "Measure what Holdfast does on this machine, with every answer as durable as in\n" +
			"production, beside what the disk and a bare HTTP server do in the same run.\n\n" +
			"A directory for the log is made in --data and removed at the end. With --json\n" +
			"every line is one object.",
		Args: func(cmd *cobra.Command, arguments []string) error {
			if len(arguments) > 0 {
				return fmt.Errorf("%q is too much; usage: %s", arguments[0], cmd.UseLine())
			}
			return options.Validate() // here, so that a mistake has the exit code of one
		},
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if options.JSON, err = cmd.Flags().GetBool("json"); err != nil {
				return fmt.Errorf("the flag --json: %w", err)
			}
			return bench.Run(cmd.Context(), options, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	set := flag.NewFlagSet("bench", flag.ContinueOnError)
	options.Register(set)
	cmd.Flags().AddGoFlagSet(set)
	return cmd
}

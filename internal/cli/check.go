package cli

import (
	"fmt"
	"os/exec"

	"github.com/spf13/cobra"
)

// workflowCheck runs the command of the same name of an application's program:
// only that program can execute its journals.
func (c *commands) workflowCheck() *cobra.Command {
	var app, dir string
	cmd := &cobra.Command{
		Use:   "check --app PROGRAM",
		Short: "Say which runs would break under another version of a program",
		Long: "Say which runs would break under another version of a program. It executes the\n" +
			"journals of all runs that have not ended again and compares what it asks for.\n" +
			"The journals are those of a server, or of a data directory that no server uses.\n" +
			"The exit code is 0 if nothing would break.",
		Example: "  holdfast workflow check --app ./shop-new --server 127.0.0.1:7070\n" +
			"  holdfast workflow check --app ./shop-new --data copy-of-holdfast-data",
		Args: positional(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if app == "" {
				return usagef("name the program of the application with --app")
			}
			arguments := []string{"workflow", "check", "--server", c.server}
			if dir != "" {
				arguments = []string{"workflow", "check", "--data", dir}
			}
			if c.json {
				arguments = append(arguments, "--json")
			}
			program := exec.CommandContext(cmd.Context(), app, arguments...)
			program.Stdout, program.Stderr = c.process.Stdout, c.process.Stderr
			if err := program.Run(); err != nil {
				return fmt.Errorf("check with %s: %w", app, err)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&app, "app", "", "the `program` of the application, in its new version")
	cmd.Flags().StringVar(&dir, "data", "", "a data `directory` instead of a server")
	return cmd
}

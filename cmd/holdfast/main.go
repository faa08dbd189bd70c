// Command holdfast is the server and the command line of Holdfast.
package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"github.com/holdfast-io/holdfast/internal/cli"
	"github.com/holdfast-io/holdfast/internal/karcli"
)

func main() {
	if arguments, ok := karcli.Arguments(os.Args); ok {
		os.Exit(runKAR(arguments))
	}
	os.Exit(cli.Run(context.Background(), cli.Process{
		Arguments: os.Args[1:],
		Getenv:    os.Getenv,
		Stdin:     os.Stdin,
		Stdout:    os.Stdout,
		Stderr:    os.Stderr,
	}, benchCommand(), karCommand()))
}

func runKAR(arguments []string) (code int) {
	return karcli.Run(context.Background(), karcli.Process{Arguments: arguments, Getenv: os.Getenv, Stdout: os.Stdout, Stderr: os.Stderr})
}

// karCommand shows KAR's command line in the help. Its flags are read by package
// karcli.
func karCommand() *cobra.Command {
	return &cobra.Command{
		Use:                "kar COMMAND",
		Short:              "Run applications that are written for KAR",
		DisableFlagParsing: true,
		Run:                func(_ *cobra.Command, arguments []string) { os.Exit(runKAR(arguments)) },
	}
}

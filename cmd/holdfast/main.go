// Command holdfast is the server and the command line of Holdfast.
package main

import (
	"context"
	"os"

	"github.com/holdfast-io/holdfast/internal/cli"
)

func main() {
	os.Exit(cli.Run(context.Background(), cli.Process{
		Arguments: os.Args[1:],
		Getenv:    os.Getenv,
		Stdin:     os.Stdin,
		Stdout:    os.Stdout,
		Stderr:    os.Stderr,
	}, benchCommand()))
}

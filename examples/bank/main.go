// Command bank serves accounts that can be paid into, drawn from, and
// transferred between.
//
//	go run ./examples/bank                                       the drill
//	go run ./examples/bank drill --accounts 50 --kills 5         the drill, with other numbers
//	go run ./examples/bank serve --data DIR --listen ADDR        a server
//
// Without arguments it shows what Holdfast is for: it starts itself as a server,
// kills that server in the middle of the work, and proves that no money was lost
// or made. See package drill.
//
// Invariant 1: this package decides nothing but what to run.
//
// The application is package bank; this is not where to look for it.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/holdfast-io/holdfast/examples/bank/bank"
	"github.com/holdfast-io/holdfast/examples/bank/drill"
	"github.com/holdfast-io/holdfast/server"
)

func main() {
	switch command := first(os.Args[1:]); command {
	case "", "drill":
		os.Exit(drill.Main(context.Background(), os.Args[min(2, len(os.Args)):], os.Stdout, os.Stderr))
	case "help", "-h", "-help", "--help":
		usage(filepath.Base(os.Args[0]))
	default:
		server.Main(bank.App())
	}
}

func first(arguments []string) string {
	if len(arguments) == 0 {
		return ""
	}
	return arguments[0]
}

func usage(name string) {
	fmt.Printf(`%[1]s is a bank that survives being killed.

Usage:
  %[1]s [drill] [flags]   start a server, kill it at work, check every transfer
  %[1]s serve [flags]     serve accounts over HTTP
  %[1]s version           print versions

%[1]s drill --help and %[1]s serve --help list the flags.
`, name)
}

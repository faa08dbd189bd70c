package server

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"

	"github.com/holdfast-io/holdfast"
)

// checkUsage says how the command is used.
const checkUsage = "workflow check (--data DIR | --server ADDRESS) [--json]"

// runWorkflow is the command "workflow check": it executes the journals of all
// runs that have not ended again with this program, and says what would break if
// it took them over. The exit code is 0 if nothing would, and 1 if something
// would or the journals cannot be read.
func runWorkflow(ctx context.Context, app *holdfast.App, name string, arguments []string, stdout, stderr io.Writer) (code int) {
	var dir, address string
	var lines bool
	set := flag.NewFlagSet(name, flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.StringVar(&dir, "data", "", "")
	set.StringVar(&address, "server", "", "")
	set.BoolVar(&lines, "json", false, "")
	if len(arguments) == 0 || arguments[0] != "check" || set.Parse(arguments[1:]) != nil || set.NArg() > 0 || (dir == "") == (address == "") {
		fmt.Fprintf(stderr, "usage: %s %s\n", name, checkUsage)
		return 2
	}
	if err := app.Validate(); err != nil {
		return exitCode(stderr, name, fmt.Errorf("%w: %w", ErrInvalid, err))
	}
	p := app.Program()
	if keeps, ok := p.(io.Closer); ok {
		defer func() { _ = keeps.Close() }() // it writes nothing
	}
	c := newCheck(p)
	var err error
	if dir != "" {
		err = c.directory(ctx, dir)
	} else {
		err = c.server(ctx, address)
	}
	if err != nil {
		return exitCode(stderr, name, err)
	}
	if err := c.print(stdout, lines); err != nil {
		return exitCode(stderr, name, err)
	}
	if len(c.findings) > 0 {
		return 1
	}
	return 0
}

// print writes a line for each finding, and for people how many there are.
func (c *check) print(to io.Writer, lines bool) (err error) {
	for i := range c.findings {
		f := &c.findings[i]
		if lines {
			err = errors.Join(err, json.NewEncoder(to).Encode(f))
			continue
		}
		_, failed := fmt.Fprintf(to, "%s/%s: %s\n", f.Workflow, f.ID, f.Problem)
		err = errors.Join(err, failed)
	}
	if !lines {
		_, failed := fmt.Fprintf(to, "%d runs checked, %d problems\n", c.runs, len(c.findings))
		err = errors.Join(err, failed)
	}
	return err
}

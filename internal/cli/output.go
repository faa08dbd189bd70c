package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/holdfast-io/holdfast/client"
	"github.com/holdfast-io/holdfast/internal/ingress"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/server"
)

// inputBytesMax bounds what is read from a file or standard input; servers
// refuse more than 8 MiB unless told otherwise.
const inputBytesMax = 256 << 20

// input reads the JSON input of a command: an argument, @FILE, or - for
// standard input. No argument is no input.
func (c *commands) input(arguments []string) ([]byte, error) {
	if len(arguments) == 0 {
		return nil, nil
	}
	text := []byte(arguments[0])
	var err error
	switch name, isFile := strings.CutPrefix(arguments[0], "@"); {
	case arguments[0] == "-":
		text, err = readBounded(c.process.Stdin, "standard input")
	case isFile:
		text, err = readFile(name)
	}
	if err != nil {
		return nil, err
	}
	if _, wrong := ingress.Input("", text); wrong != nil {
		return nil, usagef("the input%s%s", strings.TrimPrefix(wrong.Message, "the body"), quoteHint(text))
	}
	return text, nil
}

// quoteHint helps with the commonest mistake: a string that the shell has taken
// the quotes from.
func quoteHint(text []byte) string {
	if len(text) > 100 || bytes.ContainsAny(text, "\"'{}[]\n") {
		return ""
	}
	return fmt.Sprintf(`; a string needs quotes that the shell leaves: '"%s"'`, text)
}

func readFile(name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read the input: %w", err)
	}
	defer file.Close()
	return readBounded(file, name)
}

func readBounded(from io.Reader, name string) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(from, inputBytesMax+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(text) > inputBytesMax {
		return nil, fmt.Errorf("read %s: it has more than %d bytes", name, inputBytesMax)
	}
	return text, nil
}

// print writes a line of output.
func (c *commands) print(line []byte) error {
	_, err := c.process.Stdout.Write(append(bytes.TrimRight(line, "\n"), '\n'))
	return err
}

// printValue writes a value as JSON.
func (c *commands) printValue(value any) error {
	line, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return c.print(line)
}

// printBody writes the answer of a server. What is not JSON is written as it
// is, unless JSON was asked for.
func (c *commands) printBody(reply client.Reply) error {
	switch isJSON := strings.HasPrefix(reply.ContentType, ingress.ContentTypeJSON); {
	case !isJSON && c.json:
		return c.printValue(map[string]any{"content_type": reply.ContentType, "base64": reply.Body})
	case !isJSON:
		_, err := c.process.Stdout.Write(reply.Body)
		return err
	case c.json:
		var line bytes.Buffer
		if err := json.Compact(&line, reply.Body); err != nil {
			return fmt.Errorf("the server's answer is not JSON: %w", err)
		}
		return c.print(line.Bytes())
	}
	return c.print(reply.Body)
}

// report writes an error to standard error, with what may be done about it.
func (c *commands) report(err error) {
	// Flags are not read if there is no such command.
	if c.json || !c.began && slices.Contains(c.process.Arguments, "--json") {
		c.reportJSON(err)
		return
	}
	fmt.Fprintf(c.process.Stderr, "holdfast: %v\n", err)
	if hint := c.hint(err); hint != "" {
		fmt.Fprintf(c.process.Stderr, "hint: %s\n", hint)
	}
}

func (c *commands) reportJSON(err error) {
	failure := msg.Error{Code: msg.CodeFailed, Message: err.Error()}
	var failed *client.Error
	switch {
	case errors.As(err, &failed):
		failure = msg.Error{Code: failed.Code, Message: failed.Message, Detail: failed.Detail}
	case c.senseless(err):
		failure.Code = msg.CodeInvalidArgument
	}
	fmt.Fprintf(c.process.Stderr, "%s\n", ingress.AppendError(nil, &failure))
}

// hint says what a person may do about an error; empty if nothing comes to mind.
func (c *commands) hint(err error) string {
	var failed *client.Error
	var advised *advisedError
	switch {
	case errors.Is(err, server.ErrInvalid):
		return ""
	case c.senseless(err):
		return c.command + " --help explains"
	case errors.As(err, &advised):
		return advised.advice
	case !errors.As(err, &failed):
		return hintOfServer(err)
	case failed.Code == msg.CodeUnavailable && failed.Unknown && errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("is a server running at %s? If it is, give it more time with --timeout", c.server)
	case failed.Code == msg.CodeUnavailable && failed.Unknown:
		return fmt.Sprintf("is a server running at %s? If it is, it did not do it, or went away before it could say so; holdfast parked lists entities that have stopped", c.server)
	case failed.Code == msg.CodeUnavailable:
		return fmt.Sprintf("is a server running at %s? Start one, or name another with --server or HOLDFAST_SERVER", c.server)
	case failed.Code == msg.CodeResourceExhausted:
		return "the server is at a limit: try again later"
	case errors.Is(err, context.DeadlineExceeded):
		return "give it more time with --timeout"
	case failed.Code == msg.CodeQuarantined:
		return "the input has ended the process too often: look at the server's log"
	}
	return ""
}

// hintOfServer helps with errors of the command serve.
func hintOfServer(err error) string {
	if errors.Is(err, server.ErrAddressInUse) {
		return "holdfast serve --listen 127.0.0.1:0 takes a free port"
	}
	return ""
}

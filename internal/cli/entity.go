package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/holdfast-io/holdfast/client"
)

// requestFlags are the flags of commands that run a handler.
type requestFlags struct {
	key     string
	headers []string
}

func (f *requestFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.key, "idempotency-key", "", "repeats with this `key` and the same input are one request")
	cmd.Flags().StringArrayVar(&f.headers, "header", nil, "metadata for the handler, as `NAME=VALUE`; may be repeated")
}

// request makes the request of KIND KEY HANDLER [JSON].
func (c *commands) request(f *requestFlags, arguments []string) (r client.Request, err error) {
	r = client.Request{Kind: arguments[0], Key: arguments[1], Handler: arguments[2], IdempotencyKey: f.key}
	for _, header := range f.headers {
		name, value, ok := strings.Cut(header, "=")
		if !ok {
			return r, usagef("--header is %q, want NAME=VALUE", header)
		}
		if r.Header == nil {
			r.Header = make(map[string]string)
		}
		r.Header[name] = value
	}
	r.Body, err = c.input(arguments[3:])
	return r, err
}

func (c *commands) call() *cobra.Command {
	var flags requestFlags
	var peek bool
	cmd := &cobra.Command{
		Use:   "call KIND KEY HANDLER [JSON]",
		Short: "Run a handler and print its output",
		Example: "  holdfast call counter visits add 1\n" +
			"  echo '{\"to\":\"bob\",\"amount\":5}' | holdfast call account alice transfer -",
		Args: positional(3, "KIND", "KEY", "HANDLER", "JSON"),
		RunE: func(cmd *cobra.Command, arguments []string) error {
			request, err := c.request(&flags, arguments)
			if err != nil {
				return err
			}
			if peek {
				request.Operation = client.Peek
			}
			reply, err := c.invoke(cmd.Context(), request)
			if err != nil {
				return err
			}
			return c.printBody(reply)
		},
	}
	flags.register(cmd)
	cmd.Flags().BoolVar(&peek, "peek", false, "read the last committed state, past every queue")
	return cmd
}

func (c *commands) send() *cobra.Command {
	var flags requestFlags
	var delay time.Duration
	cmd := &cobra.Command{
		Use:     "send KIND KEY HANDLER [JSON]",
		Short:   "Hand a request over, to be done some time, and print its invocation id",
		Example: "  holdfast send counter visits add 1 --delay 10s",
		Args:    positional(3, "KIND", "KEY", "HANDLER", "JSON"),
		RunE: func(cmd *cobra.Command, arguments []string) error {
			request, err := c.request(&flags, arguments)
			if err != nil {
				return err
			}
			if delay < 0 {
				return usagef("--delay is %v, it must not be below zero", delay)
			}
			request.Operation, request.Delay = client.Submit, delay
			reply, err := c.invoke(cmd.Context(), request)
			if err != nil {
				return err
			}
			if c.json {
				return c.printBody(reply)
			}
			return c.print([]byte(reply.InvocationID))
		},
	}
	flags.register(cmd)
	cmd.Flags().DurationVar(&delay, "delay", 0, "begin no earlier than this long from now")
	return cmd
}

func (c *commands) get() *cobra.Command {
	return &cobra.Command{
		Use:   "get KIND KEY",
		Short: "Print the committed state of an entity",
		Args:  positional(2, "KIND", "KEY"),
		RunE: func(cmd *cobra.Command, arguments []string) error {
			reply, err := c.invoke(cmd.Context(), client.Request{Operation: client.Inspect, Kind: arguments[0], Key: arguments[1]})
			if err != nil {
				return err
			}
			if c.json {
				return c.printBody(reply)
			}
			return c.print(indented(reply.Body))
		},
	}
}

// indented lays JSON out for people.
func indented(text []byte) []byte {
	var pretty bytes.Buffer
	if json.Indent(&pretty, text, "", "  ") != nil {
		return text
	}
	return pretty.Bytes()
}

func (c *commands) delete() *cobra.Command {
	return &cobra.Command{
		Use:   "delete KIND KEY",
		Short: "Delete an entity: its state and its reminders",
		Args:  positional(2, "KIND", "KEY"),
		RunE: func(cmd *cobra.Command, arguments []string) error {
			_, err := c.invoke(cmd.Context(), client.Request{Operation: client.Delete, Kind: arguments[0], Key: arguments[1]})
			if err != nil || !c.json {
				return err
			}
			return c.printValue(map[string]any{"kind": arguments[0], "key": arguments[1], "deleted": true})
		},
	}
}

func (c *commands) list() *cobra.Command {
	var after string
	var limit int
	var all bool
	cmd := &cobra.Command{
		Use:   "list KIND",
		Short: "Print the keys of a kind, in order",
		Long:  "Print the keys of a kind, in order. With --json a line is a page, as the HTTP interface gives it.",
		Args:  positional(1, "KIND"),
		RunE: func(cmd *cobra.Command, arguments []string) error {
			if limit < 0 {
				return usagef("--limit is %d, it must not be below zero", limit)
			}
			for {
				next, err := c.page(cmd, client.Request{Operation: client.List, Kind: arguments[0], After: after, Limit: limit})
				if err != nil || next == "" {
					return err
				}
				if !all {
					return c.more(next)
				}
				after = next
			}
		},
	}
	cmd.Flags().StringVar(&after, "after", "", "begin behind this `key`")
	cmd.Flags().IntVar(&limit, "limit", 0, "`number` of keys of a page, at most 1000 (default 100)")
	cmd.Flags().BoolVar(&all, "all", false, "print every page")
	return cmd
}

// page prints one page of keys and says where the next one begins; empty if
// there is none.
func (c *commands) page(cmd *cobra.Command, request client.Request) (next string, err error) {
	reply, err := c.invoke(cmd.Context(), request)
	if err != nil {
		return "", err
	}
	var page struct {
		Entities []string
		Next     string
	}
	if err := json.Unmarshal(reply.Body, &page); err != nil {
		return "", fmt.Errorf("read the server's list: %w", err)
	}
	if c.json {
		return page.Next, c.printBody(reply)
	}
	for _, key := range page.Entities {
		if err := c.print([]byte(printable(key))); err != nil {
			return "", err
		}
	}
	return page.Next, nil
}

// printable gives a key as it is if it fits on a line by itself, and otherwise
// as a JSON string.
func printable(key string) string {
	quoted, err := json.Marshal(key)
	if err != nil || !strings.ContainsFunc(key, unicode.IsControl) && !strings.HasPrefix(key, `"`) {
		return key
	}
	return string(quoted)
}

// more says on standard error that there are more keys.
func (c *commands) more(next string) error {
	if !c.json {
		fmt.Fprintf(c.process.Stderr, "there are more: --after %q, or --all\n", next)
	}
	return nil
}

func (c *commands) reminders() *cobra.Command {
	return &cobra.Command{
		Use:   "reminders KIND KEY",
		Short: "Print the reminders that are set on an entity",
		Args:  positional(2, "KIND", "KEY"),
		RunE: func(cmd *cobra.Command, arguments []string) error {
			reply, err := c.invoke(cmd.Context(), client.Request{Operation: client.Reminders, Kind: arguments[0], Key: arguments[1]})
			if err != nil {
				return err
			}
			if c.json {
				return c.printBody(reply)
			}
			return c.print(indented(reply.Body))
		},
	}
}

func (c *commands) result() *cobra.Command {
	var wait bool
	cmd := &cobra.Command{
		Use:   "result ID",
		Short: "Print what became of a request that was sent",
		Long:  "Print what became of a request that was sent. The exit code is 1 if it has failed.",
		Args:  positional(1, "ID"),
		RunE: func(cmd *cobra.Command, arguments []string) error {
			for {
				reply, err := c.invoke(cmd.Context(), client.Request{Operation: client.Result, InvocationID: arguments[0], Wait: wait})
				if err != nil {
					return err
				}
				if ended, err := c.printResult(reply, wait); ended || err != nil {
					return err
				}
			}
		},
	}
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until it has ended")
	return cmd
}

// printResult prints a status, unless it is one that is waited over.
func (c *commands) printResult(reply client.Reply, wait bool) (ended bool, err error) {
	var result struct {
		ID     string
		Status string
		Result json.RawMessage
		Error  *struct{ Code, Message string }
	}
	if err := json.Unmarshal(reply.Body, &result); err != nil {
		return false, fmt.Errorf("read the server's answer: %w", err)
	}
	if wait && result.Status == "pending" {
		return false, nil
	}
	if c.json {
		err = c.printBody(reply)
	} else {
		err = c.print([]byte(strings.TrimSpace(result.Status + " " + string(result.Result))))
	}
	if err == nil && result.Error != nil {
		err = &client.Error{Code: result.Error.Code, Message: result.Error.Message}
	}
	return true, err
}

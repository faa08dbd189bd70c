package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/holdfast-io/holdfast/internal/ingress"
)

// Bounds of the lists for operators.
const (
	// listBytesMax is more than a server puts into a page: 16 MiB of inputs and
	// one of the largest, written as base64.
	listBytesMax = 256 << 20
	// cellMax is the width, in characters, to which a table cuts reasons and
	// inputs: a panic has a page of stack.
	cellMax = 100
)

// operatorList is a list of the server that operators read.
type operatorList struct {
	path   string
	name   string // of the list in the server's answer
	header string // of the table
	row    func(entry json.RawMessage) (string, error)
	none   string // what is said of an empty list
}

var parkedList = operatorList{
	path: "/v1/parked", name: "parked", header: "KIND\tKEY\tWAITING\tSINCE\tREASON", row: parkedRow,
	none: "no entity is parked",
}

var deadLetterList = operatorList{
	path: "/v1/dead-letters", name: "dead_letters", header: "ID\tKIND\tKEY\tHANDLER\tINPUT\tTIME\tREASON", row: deadLetterRow,
	none: "there are no dead letters",
}

func parkedRow(entry json.RawMessage) (string, error) {
	var p struct {
		Kind, Key, Reason string
		Since             time.Time
		Waiting           int
	}
	err := json.Unmarshal(entry, &p)
	return fmt.Sprintf("%s\t%s\t%d\t%s\t%s", printable(p.Kind), printable(p.Key), p.Waiting, clock(p.Since), cell(p.Reason)), err
}

func deadLetterRow(entry json.RawMessage) (string, error) {
	var d struct {
		ID, Kind, Key, Handler, Reason string
		Input                          json.RawMessage
		Time                           time.Time
	}
	err := json.Unmarshal(entry, &d)
	return strings.Join([]string{
		printable(d.ID), printable(d.Kind), printable(d.Key), printable(d.Handler), cell(compact(d.Input)), clock(d.Time), cell(d.Reason),
	}, "\t"), err
}

func clock(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func compact(value json.RawMessage) string {
	var line bytes.Buffer
	if json.Compact(&line, value) != nil {
		return string(value)
	}
	return line.String()
}

// cell makes text fit into a table: its first line, of a bounded length.
func cell(text string) string {
	line, _, more := strings.Cut(strings.TrimSpace(text), "\n")
	letters := []rune(strings.TrimRightFunc(line, unicode.IsSpace))
	if len(letters) > cellMax {
		letters, more = letters[:cellMax], true
	}
	for i, letter := range letters {
		if unicode.IsControl(letter) {
			letters[i] = ' ' // a terminal would obey it
		}
	}
	if more {
		return string(letters) + "…"
	}
	return string(letters)
}

func (c *commands) parked() *cobra.Command {
	cmd := c.operatorCommand(parkedList, &cobra.Command{
		Use:   "parked",
		Short: "Look after entities that have stopped taking inputs",
		Long: "Look after entities that have stopped taking inputs, because their state or an\n" +
			"input could not be dealt with. What is sent to them waits; calls are refused.\n" +
			"Without a command, list them.\n\n" +
			"The usual way: read the reason, deploy code that can deal with it, and resume.\n" +
			"A restart resumes, too.",
		Example: "  holdfast parked\n  holdfast parked resume account alice\n  holdfast parked skip account alice",
	}, "list, resume or skip")
	cmd.AddCommand(
		c.operatorAction("resume KIND KEY", "Let an entity try again with the input that it stopped at", parkedAction("resume", "resumed")),
		c.operatorAction("skip KIND KEY", "Give up the input that an entity stopped at, and go on with the next", parkedAction("skip", "skipped")))
	return cmd
}

func (c *commands) deadLetters() *cobra.Command {
	cmd := c.operatorCommand(deadLetterList, &cobra.Command{
		Use:   "dead-letters",
		Short: "Look after messages that were given up",
		Long: "Look after messages that were given up, because their handler failed too often or\n" +
			"an operator skipped them. Nothing happens to them by itself, but of too many the\n" +
			"oldest are forgotten. Without a command, list them.\n\n" +
			"The usual way: read the reason, deploy a handler that can deal with it, and\n" +
			"redeliver.",
		Example: "  holdfast dead-letters\n  holdfast dead-letters redeliver 0019002a681a75680000000000000002",
	}, "list, redeliver or discard")
	cmd.AddCommand(
		c.operatorAction("redeliver ID", "Send a message to its entity again", deadLetterAction(http.MethodPost, "/redeliver", "redelivered")),
		c.operatorAction("discard ID", "Forget a message", deadLetterAction(http.MethodDelete, "", "discarded")))
	return cmd
}

// pages says which pages of a list are printed.
type pages struct {
	after string
	limit int
	all   bool
}

func (p *pages) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.after, "after", "", "begin with this `page`, as the one before has named it")
	cmd.Flags().IntVar(&p.limit, "limit", ingress.ListLimitDefault, fmt.Sprintf("`number` of entries of a page, from 1 to %d", ingress.ListLimitMax))
	cmd.Flags().BoolVar(&p.all, "all", false, "print every page")
}

// operatorCommand makes a command that lists, by itself and as its command list.
func (c *commands) operatorCommand(l operatorList, cmd *cobra.Command, whatItCan string) *cobra.Command {
	p := &pages{}
	cmd.Args = cobra.ArbitraryArgs // RunE knows better what is wrong with them
	cmd.RunE = func(cmd *cobra.Command, arguments []string) error {
		if len(arguments) > 0 {
			return usagef("%q is not a command of %s: %s", arguments[0], cmd.CommandPath(), whatItCan)
		}
		return c.printPages(cmd, l, p)
	}
	list := &cobra.Command{
		Use:   "list",
		Short: "List them; the same as no command",
		Args:  positional(0),
		RunE:  func(cmd *cobra.Command, _ []string) error { return c.printPages(cmd, l, p) },
	}
	p.register(cmd)
	p.register(list)
	cmd.AddCommand(list)
	return cmd
}

// printPages prints tables under one header, or a JSON object for each page.
func (c *commands) printPages(cmd *cobra.Command, l operatorList, p *pages) error {
	if p.limit < 1 || p.limit > ingress.ListLimitMax {
		return usagef("--limit is %d, want a number from 1 to %d", p.limit, ingress.ListLimitMax)
	}
	for first := true; ; first = false {
		next, err := c.printPage(cmd, l, p, first)
		if err != nil || next == "" {
			return err
		}
		if !p.all {
			return c.more(next)
		}
		p.after = next
	}
}

// printPage prints one page and gives the name of the next; empty if there is
// none.
func (c *commands) printPage(cmd *cobra.Command, l operatorList, p *pages, first bool) (next string, err error) {
	var entries []json.RawMessage
	query := url.Values{"limit": {strconv.Itoa(p.limit)}}
	if p.after != "" {
		query.Set("after", p.after)
	}
	q := question{method: http.MethodGet, path: l.path + "?" + query.Encode(), repeatable: true}
	err = c.ask(cmd.Context(), q, func(answer io.Reader) (err error) {
		entries, next, err = readPage(answer, l.name)
		return err
	})
	switch {
	case err != nil:
		return "", err
	case c.json:
		return next, c.printValue(map[string]any{l.name: entries, "next": next})
	case first && len(entries) == 0:
		fmt.Fprintln(c.process.Stderr, l.none)
		return "", nil
	}
	return next, l.write(c.process.Stdout, entries, first)
}

// write lays the entries out for people.
func (l *operatorList) write(to io.Writer, entries []json.RawMessage, header bool) error {
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	if header {
		fmt.Fprintln(table, l.header)
	}
	for _, entry := range entries {
		row, err := l.row(entry)
		if err != nil {
			return fmt.Errorf("read the server's list: %w", err)
		}
		fmt.Fprintln(table, row)
	}
	return table.Flush()
}

// readPage reads {"name":[…],"next"}.
func readPage(from io.Reader, name string) (entries []json.RawMessage, next string, err error) {
	var page map[string]json.RawMessage
	if err = json.NewDecoder(io.LimitReader(from, listBytesMax)).Decode(&page); err == nil {
		err = member(page, name, &entries)
	}
	if err == nil {
		err = member(page, "next", &next)
	}
	if err != nil {
		return nil, "", fmt.Errorf("read the server's list: %w", err)
	}
	return entries, next, nil
}

func member(object map[string]json.RawMessage, name string, value any) error {
	text, ok := object[name]
	if !ok {
		return fmt.Errorf("it has no member %q", name)
	}
	return json.Unmarshal(text, value)
}

// action is what a command for operators asks, from its arguments, and what it
// prints with --json when that is done.
type action func(arguments []string) (q question, done map[string]any)

func parkedAction(verb, done string) action {
	return func(arguments []string) (question, map[string]any) {
		return question{
			method: http.MethodPost,
			path:   "/v1/parked/" + url.PathEscape(arguments[0]) + "/" + url.PathEscape(arguments[1]) + "/" + verb,
			advice: "holdfast parked lists the entities that are parked",
		}, map[string]any{"kind": arguments[0], "key": arguments[1], done: true}
	}
}

func deadLetterAction(method, suffix, done string) action {
	return func(arguments []string) (question, map[string]any) {
		return question{
			method: method,
			path:   "/v1/dead-letters/" + url.PathEscape(arguments[0]) + suffix,
			advice: "holdfast dead-letters lists the messages that were given up, with their IDs",
		}, map[string]any{"id": arguments[0], done: true}
	}
}

// operatorAction makes a command that has one thing done.
func (c *commands) operatorAction(use, short string, do action) *cobra.Command {
	names := strings.Fields(use)[1:]
	return &cobra.Command{
		Use:   use,
		Short: short,
		Args:  positional(len(names), names...),
		RunE: func(cmd *cobra.Command, arguments []string) error {
			q, done := do(arguments)
			if err := c.ask(cmd.Context(), q, nil); err != nil || !c.json {
				return err
			}
			return c.printValue(done)
		},
	}
}

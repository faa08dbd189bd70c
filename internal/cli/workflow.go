package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-io/holdfast/client"
	"github.com/holdfast-io/holdfast/internal/ingress"
)

// runLine is a run of a workflow as the server describes it.
type runLine struct {
	ID          string
	Name        string
	Status      string
	CodeVersion string     `json:"code_version"`
	StartedAt   time.Time  `json:"started_at"`
	EndedAt     *time.Time `json:"ended_at"`
	Result      json.RawMessage
	Error       *failureLine
	Paused      bool
	Cancelling  bool
	Parked      *struct{ Reason string }
	Promises    []struct {
		Step uint64
		ID   string
	}
	Entries []entryLine
}

type failureLine struct{ Code, Message string }

func (f *failureLine) String() string {
	if f.Message == "" {
		return f.Code
	}
	return f.Code + ": " + f.Message
}

func (c *commands) workflow() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "workflow",
		Short: "Start workflows, and look after their runs",
		Long: "Start workflows, and look after their runs. A run has an ID; the same ID again is\n" +
			"the same run.",
		Example: "  holdfast workflow start transfer order-7 '{\"from\":\"alice\",\"to\":\"bob\",\"amount\":5}' --wait\n" +
			"  holdfast workflow list transfer --status running\n" +
			"  holdfast workflow history transfer order-7",
		Args: cobra.ArbitraryArgs, // RunE knows better what is wrong with them
	}
	cmd.AddCommand(
		c.workflowStart(), c.workflowList(), c.workflowDescribe(), c.workflowHistory(), c.workflowSignal(), c.workflowQuery(), c.workflowCheck(),
		c.control(client.Cancel, "cancelled", "Ask a run to stop; it decides how", "It can clean up first. terminate does not ask."),
		c.control(client.Terminate, "terminated", "End a run at once, without asking it", "Nothing is cleaned up. cancel asks it to stop."),
		c.control(client.Pause, "paused", "Let a run take no step until it is resumed", "What is sent to it waits."),
		c.control(client.Resume, "resumed", "Let a run go on that is paused or parked", ""),
		c.control(client.Restart, "restarted", "End a run and begin another with the same input", "What the run has done so far is not undone."))
	cmd.RunE = needsCommand("start, list, describe, history, signal, query, cancel, terminate, pause, resume, restart or check")
	return cmd
}

// needsCommand says what the commands of a command are.
func needsCommand(names string) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, arguments []string) error {
		if len(arguments) > 0 {
			return usagef("%q is not a command of %s: %s", arguments[0], cmd.CommandPath(), names)
		}
		return usagef("name what to do: %s", names)
	}
}

// startFlags are the flags of workflow start.
type startFlags struct {
	requestFlags
	wait       bool
	onConflict string
	delay      time.Duration
}

func (f *startFlags) register(cmd *cobra.Command) {
	f.requestFlags.register(cmd)
	set := cmd.Flags()
	set.BoolVar(&f.wait, "wait", false, "wait until it has ended, and print its result")
	set.StringVar(&f.onConflict, "on-conflict", "", "if it has begun before: attach (to the same input), reject or replace; default attach")
	set.DurationVar(&f.delay, "delay", 0, "begin no earlier than this long from now")
	complete(cmd, "on-conflict", "attach", "reject", "replace")
}

// complete lets the shell complete what a flag may be.
func complete(cmd *cobra.Command, flag string, values ...string) {
	// It fails only for a flag that does not exist, or twice.
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

func (c *commands) workflowStart() *cobra.Command {
	var flags startFlags
	cmd := &cobra.Command{
		Use:   "start NAME ID [JSON]",
		Short: "Start a workflow and print the id of the run",
		Long: "Start a workflow and print the id of the run; with --wait, its status and result\n" +
			"once it has ended. The exit code is then 0 only if it has completed.\n\n" +
			"The same ID and input again is the same run. An empty ID ('') is a new one.",
		Example: "  holdfast workflow start transfer order-7 '{\"from\":\"alice\",\"to\":\"bob\",\"amount\":5}'\n" +
			"  holdfast workflow start transfer '' @input.json --wait",
		Args: positional(2, "NAME", "ID", "JSON"),
		RunE: func(cmd *cobra.Command, arguments []string) error {
			r, err := c.workflowRequest(&flags.requestFlags, client.Start, arguments[:2], "", arguments[2:])
			if err != nil {
				return err
			}
			if flags.delay < 0 {
				return usagef("--delay is %v, it must not be below zero", flags.delay)
			}
			if _, wrong := ingress.ConflictPolicy(flags.onConflict); wrong != nil {
				return usagef("--on-conflict: %s", wrong.Message)
			}
			r.Delay, r.OnConflict, r.Wait = flags.delay, flags.onConflict, flags.wait
			return c.start(cmd, r)
		},
	}
	flags.register(cmd)
	return cmd
}

func (c *commands) start(cmd *cobra.Command, r client.Request) error {
	reply, run, err := c.inquire(cmd, r)
	switch {
	case err != nil:
		return err
	case c.json:
		err = c.printBody(reply)
	case r.Wait:
		err = c.print([]byte(strings.TrimSpace(run.Status + " " + string(run.Result))))
	default:
		err = c.print([]byte(printable(run.ID)))
	}
	if err == nil && r.Wait {
		err = run.failure()
	}
	return err
}

// failure is why a run that was waited for has not completed.
func (r *runLine) failure() error {
	switch {
	case r.Status == "completed":
		return nil
	case r.Error != nil:
		return &client.Error{Code: r.Error.Code, Message: r.Error.Message}
	}
	return fmt.Errorf("the run has not completed: it is %s", r.Status)
}

// workflowRequest makes the request of NAME ID and what is handed over.
func (c *commands) workflowRequest(f *requestFlags, operation client.Operation, run []string, handler string, input []string) (client.Request, error) {
	r, err := c.request(f, append([]string{run[0], run[1], handler}, input...))
	r.Operation = operation
	return r, err
}

// inquire asks the server something that it answers with a run.
func (c *commands) inquire(cmd *cobra.Command, r client.Request) (reply client.Reply, run runLine, err error) {
	if reply, err = c.invoke(cmd.Context(), r); err != nil {
		return reply, run, err
	}
	if err = json.Unmarshal(reply.Body, &run); err != nil {
		err = fmt.Errorf("read the server's answer: %w", err)
	}
	return reply, run, err
}

func (c *commands) workflowDescribe() *cobra.Command {
	var wait bool
	cmd := &cobra.Command{
		Use:     "describe NAME ID",
		Short:   "Print how a run stands",
		Long:    "Print how a run stands: its status, what it waits for from outside, and its result.",
		Example: "  holdfast workflow describe transfer order-7 --wait",
		Args:    positional(2, "NAME", "ID"),
		RunE: func(cmd *cobra.Command, arguments []string) error {
			r := client.Request{Operation: client.Describe, Kind: arguments[0], Key: arguments[1], Wait: wait}
			reply, run, err := c.inquire(cmd, r)
			if err != nil {
				return err
			}
			if c.json {
				return c.printBody(reply)
			}
			return c.printRun(&run)
		},
	}
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until it has ended")
	return cmd
}

// printRun lays out how a run stands.
func (c *commands) printRun(r *runLine) error {
	table := tabwriter.NewWriter(c.process.Stdout, 0, 0, 2, ' ', 0)
	row := func(name, value string) { fmt.Fprintf(table, "%s\t%s\n", name, value) }
	row("workflow", printable(r.Name)+" "+printable(r.ID))
	row("status", r.standing())
	row("started", clock(r.StartedAt))
	if r.EndedAt != nil {
		row("ended", clock(*r.EndedAt))
	}
	if r.CodeVersion != "" {
		row("code", cell(r.CodeVersion))
	}
	if r.Parked != nil {
		row("parked", cell(r.Parked.Reason))
	}
	for _, promise := range r.Promises {
		row("promise", fmt.Sprintf("%s of step %d", promise.ID, promise.Step))
	}
	if r.Error != nil {
		row("error", cell(r.Error.String()))
	}
	if r.Result != nil {
		row("result", compact(r.Result))
	}
	return table.Flush()
}

// standing is a status with what is special about it.
func (r *runLine) standing() string {
	words := []string{r.Status}
	if r.Paused {
		words = append(words, "paused")
	}
	if r.Cancelling {
		words = append(words, "asked to stop")
	}
	if r.Parked != nil {
		words = append(words, "parked")
	}
	return strings.Join(words, ", ")
}

func (c *commands) workflowList() *cobra.Command {
	r := client.Request{Operation: client.ListRuns}
	var all bool
	cmd := &cobra.Command{
		Use:   "list NAME",
		Short: "List the runs of a workflow",
		Long: "List the runs of a workflow, in no promised order. With --json a line is a page, as\n" +
			"the HTTP interface gives it.",
		Example: "  holdfast workflow list transfer --status failed --all",
		Args:    positional(1, "NAME"),
		RunE: func(cmd *cobra.Command, arguments []string) error {
			if r.Limit < 0 {
				return usagef("--limit is %d, it must not be below zero", r.Limit)
			}
			if _, wrong := ingress.WorkflowStatus(r.Status); wrong != nil {
				return usagef("--status: %s", wrong.Message)
			}
			r.Kind = arguments[0]
			return c.runs(cmd, r, all)
		},
	}
	cmd.Flags().StringVar(&r.Status, "status", "", "only runs that stand so: running, completed, failed, cancelled or terminated")
	cmd.Flags().StringVar(&r.After, "after", "", "go on with the `next` of another page")
	cmd.Flags().IntVar(&r.Limit, "limit", 0, "`number` of runs of a page, at most 1000 (default 100)")
	cmd.Flags().BoolVar(&all, "all", false, "print every page")
	complete(cmd, "status", "running", "completed", "failed", "cancelled", "terminated")
	return cmd
}

// runs prints pages of runs.
func (c *commands) runs(cmd *cobra.Command, r client.Request, all bool) error {
	table := tabwriter.NewWriter(c.process.Stdout, 0, 0, 2, ' ', 0)
	for first := true; ; first = false {
		reply, err := c.invoke(cmd.Context(), r)
		if err != nil {
			return err
		}
		var page struct {
			Workflows []runLine
			Next      string
		}
		if err := json.Unmarshal(reply.Body, &page); err != nil {
			return fmt.Errorf("read the server's list: %w", err)
		}
		if c.json {
			err = c.printBody(reply)
		} else {
			err = c.printRuns(table, page.Workflows, first)
		}
		switch {
		case err != nil || page.Next == "":
			return err
		case !all:
			return c.more(page.Next)
		}
		r.After = page.Next
	}
}

// printRuns prints one page; the first has a head, unless there is nothing.
func (c *commands) printRuns(table *tabwriter.Writer, runs []runLine, first bool) error {
	if first && len(runs) == 0 {
		fmt.Fprintln(c.process.Stderr, "there are no such runs")
		return nil
	}
	if first {
		fmt.Fprintln(table, "ID\tSTATUS\tSTARTED\tENDED")
	}
	for i := range runs {
		ended := ""
		if at := runs[i].EndedAt; at != nil {
			ended = clock(*at)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", printable(runs[i].ID), runs[i].standing(), clock(runs[i].StartedAt), ended)
	}
	return table.Flush()
}

func (c *commands) workflowSignal() *cobra.Command {
	var flags requestFlags
	cmd := &cobra.Command{
		Use:     "signal NAME ID SIGNAL [JSON]",
		Short:   "Send a signal to a run",
		Long:    "Send a signal to a run. One that comes before the run has begun waits for it.",
		Example: "  holdfast workflow signal order 7 approve true",
		Args:    positional(3, "NAME", "ID", "SIGNAL", "JSON"),
		RunE: func(cmd *cobra.Command, arguments []string) error {
			r, err := c.workflowRequest(&flags, client.Signal, arguments[:2], arguments[2], arguments[3:])
			if err != nil {
				return err
			}
			_, err = c.invoke(cmd.Context(), r)
			return c.done(err, map[string]any{"name": r.Kind, "id": r.Key, "signal": r.Handler, "sent": true})
		},
	}
	flags.register(cmd)
	return cmd
}

// done says with --json that what was asked for was done, and otherwise nothing.
func (c *commands) done(err error, what map[string]any) error {
	if err != nil || !c.json {
		return err
	}
	return c.printValue(what)
}

func (c *commands) workflowQuery() *cobra.Command {
	var flags requestFlags
	cmd := &cobra.Command{
		Use:     "query NAME ID QUERY [JSON]",
		Short:   "Ask a run and print its answer",
		Long:    "Ask a run and print its answer. Nothing changes, and a run that has ended answers, too.",
		Example: "  holdfast workflow query order 7 progress",
		Args:    positional(3, "NAME", "ID", "QUERY", "JSON"),
		RunE: func(cmd *cobra.Command, arguments []string) error {
			r, err := c.workflowRequest(&flags, client.Query, arguments[:2], arguments[2], arguments[3:])
			if err != nil {
				return err
			}
			reply, err := c.invoke(cmd.Context(), r)
			if err != nil {
				return err
			}
			return c.printBody(reply)
		},
	}
	cmd.Flags().StringArrayVar(&flags.headers, "header", nil, "metadata for the query, as `NAME=VALUE`; may be repeated")
	return cmd
}

// control makes a command that changes how a run goes on.
func (c *commands) control(operation client.Operation, done, short, long string) *cobra.Command {
	cmd := &cobra.Command{
		Use:     string(operation) + " NAME ID",
		Short:   short,
		Example: "  holdfast workflow " + string(operation) + " order 7",
		Args:    positional(2, "NAME", "ID"),
		RunE: func(cmd *cobra.Command, arguments []string) error {
			_, err := c.invoke(cmd.Context(), client.Request{Operation: operation, Kind: arguments[0], Key: arguments[1]})
			return c.done(err, map[string]any{"name": arguments[0], "id": arguments[1], done: true})
		},
	}
	if long != "" {
		cmd.Long = short + ".\n" + long
	}
	return cmd
}

func (c *commands) promise() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "promise",
		Short: "Complete promises of workflows",
		Long: "Complete promises of workflows, by the ID that the workflow gave away. A promise is\n" +
			"completed once.",
		Example: "  holdfast promise resolve ChMSCHRyYW5zZmVyGgdvcmRlci03EOckGAM true\n" +
			"  holdfast promise reject ChMSCHRyYW5zZmVyGgdvcmRlci03EOckGAM '{\"code\":\"denied\",\"message\":\"not this time\"}'",
		Args: cobra.ArbitraryArgs, // RunE knows better what is wrong with them
	}
	cmd.AddCommand(
		c.promiseAction(client.Resolve, "resolve ID [JSON]", "resolved", "Give a promise its value"),
		c.promiseAction(client.Reject, "reject ID [JSON]", "rejected", `Fail a promise with an error, {"code","class","message","detail"}`))
	cmd.RunE = needsCommand("resolve or reject")
	return cmd
}

func (c *commands) promiseAction(operation client.Operation, use, done, short string) *cobra.Command {
	var key string
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Args:  positional(1, "ID", "JSON"),
		RunE: func(cmd *cobra.Command, arguments []string) error {
			body, err := c.input(arguments[1:])
			if err != nil {
				return err
			}
			_, err = c.invoke(cmd.Context(), client.Request{Operation: operation, Promise: arguments[0], Body: body, IdempotencyKey: key})
			return c.done(err, map[string]any{"promise": arguments[0], done: true})
		},
	}
	cmd.Flags().StringVar(&key, "idempotency-key", "", "repeats with this `key` and the same input are one request")
	return cmd
}

package cli

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-io/holdfast/client"
)

// entryLine is an entry of a journal as the server shows it.
type entryLine struct {
	Time       time.Time
	Deliveries []struct {
		Kind, Name string
		Step       uint64
		Payload    json.RawMessage
	}
	Steps []stepLine
}

type stepLine struct {
	Number              uint64
	Kind, Name, Promise string
	Outcome             *outcomeLine
}

type outcomeLine struct {
	Time   time.Time
	Result json.RawMessage
	Error  *failureLine
}

func (o *outcomeLine) String() string {
	if o.Error != nil {
		return "failed: " + o.Error.String()
	}
	return compact(o.Result)
}

func (c *commands) workflowHistory() *cobra.Command {
	return &cobra.Command{
		Use:   "history NAME ID",
		Short: "Print what a run was told and what it asked for",
		Long: "Print what a run was told (<) and what it asked for (>), turn by turn, with the\n" +
			"numbers of its steps.",
		Example: "  holdfast workflow history order 7",
		Args:    positional(2, "NAME", "ID"),
		RunE: func(cmd *cobra.Command, arguments []string) error {
			reply, run, err := c.inquire(cmd, client.Request{Operation: client.History, Kind: arguments[0], Key: arguments[1]})
			if err != nil {
				return err
			}
			if c.json {
				return c.printBody(reply)
			}
			if err := c.printRun(&run); err != nil {
				return err
			}
			return writeHistory(c.process.Stdout, run.Entries)
		},
	}
}

// writeHistory lays a journal out for people: the time of each turn, and below
// it a line for everything that it was told or asked for.
func writeHistory(to io.Writer, entries []entryLine) error {
	w := bufio.NewWriter(to)
	outcomes := outcomesByStep(entries)
	for i := range entries {
		e := &entries[i]
		fmt.Fprintf(w, "\n%s\n", e.Time.UTC().Format("2006-01-02T15:04:05.000Z"))
		for _, d := range e.Deliveries {
			text := compact(d.Payload)
			if o := outcomes[d.Step]; o != nil {
				text = o.String()
			}
			fmt.Fprintf(w, "  < %s\n", line(d.Kind, stepName(d.Step), d.Name, text))
		}
		for _, s := range e.Steps {
			fmt.Fprintf(w, "  > %s\n", s.line(e.Time))
		}
	}
	return w.Flush()
}

// outcomesByStep finds what the steps came to.
func outcomesByStep(entries []entryLine) map[uint64]*outcomeLine {
	outcomes := map[uint64]*outcomeLine{}
	for i := range entries {
		for _, s := range entries[i].Steps {
			outcomes[s.Number] = s.Outcome
		}
	}
	return outcomes
}

// line shows a step. What came of it within its own turn is shown with it, and
// otherwise where the run was told.
func (s *stepLine) line(turn time.Time) string {
	words := line(stepName(s.Number), s.Kind, s.Name, s.Promise)
	switch {
	case s.Outcome == nil:
		return words
	case s.Outcome.Time.Equal(turn):
		return words + " = " + cell(s.Outcome.String())
	}
	return words
}

func stepName(number uint64) string {
	if number == 0 {
		return ""
	}
	return fmt.Sprintf("#%d", number)
}

// line joins what there is.
func line(words ...string) string {
	var some []string
	for _, word := range words {
		if word != "" {
			some = append(some, cell(word))
		}
	}
	return strings.Join(some, " ")
}

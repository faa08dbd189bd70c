package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/ingress"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/replay"
)

const replayWords = `  where                      the position, and the record there
  step [N]  back [N]         so many records on, or back; 1 if N is left out
  goto POSITION              after the record at this position
  frame N                    the end of a frame
  time TIME                  after what was made until then, as 2026-11-26T12:00:00Z
  find KIND KEY              the next record that changes it or sends to it
  previous KIND KEY          the last one before
  show KIND KEY              an entity, or a workflow with its journal, as it stood
  list [KIND]                what existed
  messages                   what was under way
  help, quit
`

func (c *commands) logReplay(dir *string) *cobra.Command {
	var list []string
	cmd := &cobra.Command{
		Use:   "replay",
		Short: "Go through the log, forwards and backwards, and show what was there",
		Long: "Go through the log of a data directory, forwards and backwards, and show what was\n" +
			"there. It works on a copy, which is removed at the end: a server may go on with the\n" +
			"directory. It begins at the end of the log and takes commands, a line each, from\n" +
			"--do or from standard input:\n\n" + replayWords +
			"\nWhat checkpoints have made unneeded is not in the log any more. No code of an\n" +
			"application is run.",
		Example: "  holdfast log replay --data data --do 'time 2026-11-26T12:00:00Z' --do 'show account ann'",
		Args:    positional(0),
		RunE:    func(*cobra.Command, []string) error { return c.replay(*dir, list) },
	}
	cmd.Flags().StringArrayVar(&list, "do", nil, "a `command`; may be given again")
	return cmd
}

// replay carries out commands; the first that fails ends those that were given by
// flags, while a person may go on.
func (c *commands) replay(dir string, list []string) (err error) {
	r, err := replay.Open(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	p := player{c, r}
	for _, line := range list {
		if quit, err := p.do(line); quit || err != nil {
			return err
		}
	}
	if len(list) > 0 {
		return nil
	}
	if err := p.where(); err != nil {
		return err
	}
	for lines := bufio.NewScanner(c.process.Stdin); lines.Scan(); {
		quit, err := p.do(lines.Text())
		if quit {
			return err
		}
		if err != nil {
			fmt.Fprintln(c.process.Stderr, err)
		}
	}
	return nil
}

// player carries out commands at a replay.
type player struct {
	*commands
	*replay.Replay
}

// replayCommands are the commands by their first word.
var replayCommands = map[string]struct {
	least, most int
	do          func(p player, words []string) error
}{
	"where": {0, 0, func(p player, _ []string) error { return p.where() }},
	"step":  {0, 1, func(p player, words []string) error { return p.by(1, words) }},
	"back":  {0, 1, func(p player, words []string) error { return p.by(-1, words) }},
	"goto": {1, 1, func(p player, words []string) error {
		return p.to(words[0], func(n uint64) error { return p.Go(msg.Position(n)) })
	}},
	"frame": {1, 1, func(p player, words []string) error {
		return p.to(words[0], func(n uint64) error { return p.GoFrame(msg.FrameNumber(n)) })
	}},
	"time":     {1, 1, func(p player, words []string) error { return p.toTime(words[0]) }},
	"find":     {2, 2, func(p player, words []string) error { return p.find(true, words) }},
	"previous": {2, 2, func(p player, words []string) error { return p.find(false, words) }},
	"show":     {2, 2, func(p player, words []string) error { return p.show(msg.Ref{Kind: words[0], Key: words[1]}) }},
	"list":     {0, 1, func(p player, words []string) error { return p.list(words) }},
	"messages": {0, 0, func(p player, _ []string) error { return p.messages() }},
	"help":     {0, 0, func(p player, _ []string) error { return p.print([]byte(replayWords)) }},
}

func (p player) do(line string) (quit bool, err error) {
	words := strings.Fields(line)
	if len(words) == 0 {
		return false, nil
	}
	if words[0] == "quit" || words[0] == "exit" {
		return true, nil
	}
	command, known := replayCommands[words[0]]
	if count := len(words) - 1; !known || count < command.least || count > command.most {
		return false, usagef("%q is no command of a replay:\n%s", line, replayWords)
	}
	return false, command.do(p, words[1:])
}

// where says where the replay stands.
func (p player) where() error {
	first, last := p.Range()
	if !p.json {
		line := fmt.Sprintf("position %d of %d to %d", p.Position(), first, last)
		if record, ok := p.Record(); ok {
			line += fmt.Sprintf(", frame %d, %s", record.Frame, record.Time.Std().Format(time.RFC3339Nano))
		}
		if err := p.print([]byte(line)); err != nil {
			return err
		}
	}
	record, ok := p.Record()
	if !ok {
		return nil
	}
	text, err := json.Marshal(lineOf(&host.Frame{Number: record.Frame}, record.Position, record.Record))
	if err != nil {
		return err
	}
	return p.print(text)
}

func (p player) by(sign int, words []string) error {
	count := 1
	if len(words) > 0 {
		n, err := strconv.Atoi(words[0])
		if err != nil || n < 0 {
			return usagef("%q is no number of records", words[0])
		}
		count = n
	}
	if err := p.Step(sign * count); err != nil {
		return err
	}
	return p.where()
}

func (p player) to(word string, stand func(uint64) error) error {
	n, err := strconv.ParseUint(word, 10, 64)
	if err != nil {
		return usagef("%q is no number", word)
	}
	if err := stand(n); err != nil {
		return err
	}
	return p.where()
}

func (p player) toTime(word string) error {
	t, err := time.Parse(time.RFC3339, word)
	if err != nil {
		return usagef("%q is no time: write it as 2026-11-26T12:00:00Z", word)
	}
	if err := p.GoTime(msg.TimeOf(t)); err != nil {
		return err
	}
	return p.where()
}

func (p player) find(forwards bool, words []string) error {
	ref := msg.Ref{Kind: words[0], Key: words[1]}
	found, err := p.Find(forwards, func(r *replay.Record) bool { return r.Touches(ref) })
	switch {
	case err != nil:
		return err
	case !found:
		return fmt.Errorf("no record %s this one is about %s", map[bool]string{true: "after", false: "before"}[forwards], ref)
	}
	return p.where()
}

// show prints what the server would have answered then.
func (p player) show(ref msg.Ref) error {
	reply := p.Look(ref)
	if !reply.Found {
		return fmt.Errorf("at position %d there was no %s", p.Position(), ref)
	}
	text, failure := ingress.AppendInspect(nil, ref, &reply)
	if reply.Workflow != nil {
		text, failure = ingress.AppendHistory(nil, ref, &reply)
	}
	if failure != nil {
		return failure
	}
	if p.json {
		return p.print(text)
	}
	var laidOut bytes.Buffer
	if err := json.Indent(&laidOut, text, "", "  "); err != nil {
		return err
	}
	return p.print(laidOut.Bytes())
}

func (p player) list(words []string) error {
	var refs []msg.Ref
	p.Entities(func(ref msg.Ref) bool {
		if len(words) == 0 || ref.Kind == words[0] {
			refs = append(refs, ref)
		}
		return true
	})
	slices.SortFunc(refs, msg.Ref.Compare)
	for _, ref := range refs {
		line := []byte(ref.Kind + " " + ref.Key)
		if p.json {
			line, _ = json.Marshal(refLine{ref.Kind, ref.Key}) // two texts
		}
		if err := p.print(line); err != nil {
			return err
		}
	}
	return nil
}

func (p player) messages() (err error) {
	p.Messages(func(m *msg.Message, waits bool) {
		line := struct {
			Waits bool `json:"waits"`
			messageLine
		}{waits, messageOf(m)}
		text, failed := json.Marshal(line)
		err = errors.Join(err, failed, p.print(text))
	})
	return err
}

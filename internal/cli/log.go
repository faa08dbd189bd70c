package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/host/embedded"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/partition"
	"github.com/holdfast-io/holdfast/server"
)

func (c *commands) log() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "log",
		Short: "Look at the log in a data directory",
		Long:  "Look at the log in a data directory. Nothing in it is changed, and a server may be using it.",
		Args:  cobra.ArbitraryArgs, // RunE knows better what is wrong with them
		RunE: func(cmd *cobra.Command, arguments []string) error {
			if len(arguments) > 0 {
				return usagef("%q is not a command of %s: verify, dump or replay", arguments[0], cmd.CommandPath())
			}
			return usagef("name what to do with the log: verify, dump or replay")
		},
	}
	var dir string
	cmd.PersistentFlags().StringVar(&dir, "data", server.DataDirDefault, "the data `directory`")
	cmd.AddCommand(c.logVerify(&dir), c.logDump(&dir), c.logReplay(&dir))
	return cmd
}

func (c *commands) logVerify(dir *string) *cobra.Command {
	return &cobra.Command{
		Use:   "verify",
		Short: "Read everything in a data directory and check it",
		Long: "Read everything in a data directory and check it: segments, frames, the chain of\n" +
			"hashes, checkpoints, and every record. The exit code is 0 if nothing is damaged.",
		Args: positional(0),
		RunE: func(*cobra.Command, []string) error {
			report, err := embedded.Verify(*dir)
			if err == nil {
				err = c.decodeAll(*dir)
			}
			if report.Identity.Partitions == 0 {
				return err // it is no data directory: there is nothing to report
			}
			return errors.Join(c.printReport(&report), err)
		},
	}
}

// decodeAll checks that every record can be read, beyond being what was
// written.
func (c *commands) decodeAll(dir string) error {
	var reader partition.Reader
	for frame, err := range embedded.Frames(dir) {
		if err != nil {
			return err
		}
		err := reader.Read(&frame, func(position msg.Position, record []byte) error {
			if _, err := msg.DecodeRecord(record); err != nil {
				return fmt.Errorf("record at position %d: %w", position, err)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("verify data directory %s: frame %d: %w", dir, frame.Number, err)
		}
	}
	return nil
}

// reportLine is what log verify says with --json.
type reportLine struct {
	Dir         string          `json:"dir"`
	OK          bool            `json:"ok"`
	Partitions  int             `json:"partitions"`
	Running     bool            `json:"running"`
	Holder      string          `json:"holder,omitempty"`
	Epoch       msg.Epoch       `json:"epoch"`
	Segments    int             `json:"segments"`
	FirstFrame  msg.FrameNumber `json:"first_frame"`
	LastFrame   msg.FrameNumber `json:"last_frame"`
	Frames      int             `json:"frames"`
	Records     int64           `json:"records"`
	FrameBytes  int64           `json:"frame_bytes"`
	Checkpoints int             `json:"checkpoints"`
	Sealed      bool            `json:"sealed"`
	Torn        string          `json:"torn,omitempty"`
	Problems    []string        `json:"problems,omitempty"`
}

func (c *commands) printReport(r *embedded.Report) error {
	line := reportLine{
		Dir: r.Dir, OK: len(r.Problems) == 0, Partitions: r.Identity.Partitions, Running: r.Running, Holder: r.Holder,
		Epoch: r.Epoch, Segments: len(r.Segments), FirstFrame: r.FirstFrame, LastFrame: r.LastFrame, Frames: r.Frames,
		Records: r.Records, FrameBytes: r.FrameBytes, Checkpoints: len(r.Checkpoints), Sealed: r.Sealed,
	}
	if r.TornFile != "" {
		line.Torn = fmt.Sprintf("%s at offset %d: %v", r.TornFile, r.TornOffset, r.TornReason)
	}
	for _, problem := range r.Problems {
		line.Problems = append(line.Problems, problem.Error())
	}
	if c.json {
		return c.printValue(line)
	}
	return line.write(c.process.Stdout)
}

// write lays the report out for people.
func (l *reportLine) write(to io.Writer) error {
	w := bufio.NewWriter(to)
	fmt.Fprintf(w, "directory    %s, made for %d partitions\n", l.Dir, l.Partitions)
	if l.Running {
		fmt.Fprintf(w, "in use       by %s: this is what was there for a moment\n", l.Holder)
	}
	fmt.Fprintf(w, "log          %d segments, frames %d to %d, %d records, %d bytes, epoch %d\n",
		l.Segments, l.FirstFrame, l.LastFrame, l.Records, l.FrameBytes, l.Epoch)
	fmt.Fprintf(w, "checkpoints  %d\n", l.Checkpoints)
	if l.Torn != "" {
		fmt.Fprintf(w, "unfinished   %s; the next start cuts it off, nothing in it was acknowledged\n", l.Torn)
	}
	if !l.Sealed && !l.Running {
		fmt.Fprintf(w, "unsealed     the last process did not end in order\n")
	}
	result := "ok"
	if !l.OK {
		result = fmt.Sprintf("DAMAGED, %d problems", len(l.Problems))
	}
	fmt.Fprintf(w, "result       %s\n", result)
	return w.Flush()
}

// dumpFlags say which records log dump shows.
type dumpFlags struct {
	from      uint64
	partition int
	kind, key string
	limit     int
}

func (f *dumpFlags) wants(r *msg.Record) bool {
	return (f.partition < 0 || int(r.Partition) == f.partition) &&
		(f.kind == "" || r.Instance.Kind == f.kind) && (f.key == "" || r.Instance.Key == f.key)
}

func (c *commands) logDump(dir *string) *cobra.Command {
	var flags dumpFlags
	cmd := &cobra.Command{
		Use:   "dump",
		Short: "Print the records of the log, a JSON object a line",
		Long: "Print the records of the log, oldest first, a JSON object a line. What checkpoints\n" +
			"have made unneeded is not in the log any more.",
		Args: positional(0),
		RunE: func(*cobra.Command, []string) error {
			w := bufio.NewWriter(c.process.Stdout)
			err := dump(*dir, &flags, json.NewEncoder(w))
			return errors.Join(err, w.Flush())
		},
	}
	set := cmd.Flags()
	set.Uint64Var(&flags.from, "from", 0, "begin with this `frame`")
	set.IntVar(&flags.partition, "partition", -1, "only records of this `partition`")
	set.StringVar(&flags.kind, "kind", "", "only records of entities of this `kind`")
	set.StringVar(&flags.key, "key", "", "only records of entities with this `key`")
	set.IntVar(&flags.limit, "limit", 0, "stop after this `number` of records; 0 is all")
	return cmd
}

// errEnough ends a dump at its limit.
var errEnough = errors.New("enough records")

func dump(dir string, flags *dumpFlags, to *json.Encoder) error {
	to.SetEscapeHTML(false)
	var reader partition.Reader
	shown := 0
	for frame, err := range embedded.Frames(dir) {
		if err != nil {
			return err
		}
		err := reader.Read(&frame, func(position msg.Position, bytes []byte) error {
			record, err := msg.DecodeRecord(bytes)
			if err != nil {
				return fmt.Errorf("record at position %d: %w", position, err)
			}
			return show(&frame, position, record, flags, &shown, to)
		})
		if errors.Is(err, errEnough) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read frame %d: %w", frame.Number, err)
		}
	}
	return nil
}

func show(frame *host.Frame, position msg.Position, record *msg.Record, flags *dumpFlags, shown *int, to *json.Encoder) error {
	if uint64(frame.Number) < flags.from || !flags.wants(record) {
		return nil
	}
	if err := to.Encode(lineOf(frame, position, record)); err != nil {
		return fmt.Errorf("write a record: %w", err)
	}
	*shown++
	if *shown == flags.limit {
		return errEnough
	}
	return nil
}

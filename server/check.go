package server

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"

	"github.com/holdfast-io/holdfast/host/embedded"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/node"
	"github.com/holdfast-io/holdfast/internal/program"
	"github.com/holdfast-io/holdfast/internal/workflow"
)

// finding is one thing that would break if a program took over runs that have
// not ended.
type finding struct {
	Workflow string         `json:"workflow"`
	ID       string         `json:"id"`
	Step     msg.StepNumber `json:"step,omitempty"`
	Recorded string         `json:"recorded,omitempty"`
	Asked    string         `json:"asked,omitempty"`
	Line     string         `json:"line,omitempty"`
	Problem  string         `json:"problem"`
}

// check is the check of a program against the journals of runs.
type check struct {
	program    program.Program
	kinds      map[string]*msg.Kind
	activities map[string]bool
	findings   []finding
	runs       int
}

func newCheck(p program.Program) *check {
	c := &check{program: p, kinds: map[string]*msg.Kind{}, activities: map[string]bool{}}
	d := p.Describe()
	for n := range d.Kinds {
		c.kinds[d.Kinds[n].Name] = &d.Kinds[n]
	}
	for _, a := range d.Activities {
		c.activities[a.Name] = true
	}
	return c
}

// directory checks the runs in a data directory that no server uses.
func (c *check) directory(ctx context.Context, dir string) (err error) {
	identity, found, err := embedded.IdentityOf(dir)
	if err == nil && !found {
		return fmt.Errorf("%w: %s is no data directory", ErrInvalid, dir)
	}
	if err != nil {
		return explain("", err)
	}
	h, err := embedded.Open(embedded.Config{Dir: dir, Identity: identity, LockWait: -1})
	if err != nil {
		return explain("", err)
	}
	defer func() { err = cmp.Or(err, closeHost(h)) }()
	turns, err := node.Unended(ctx, node.Config{Host: h, Program: c.program, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return explain("read the data", err)
	}
	for _, t := range turns {
		c.run(ctx, t)
	}
	return nil
}

// run executes the journal of a run again.
func (c *check) run(ctx context.Context, t *msg.Turn) {
	c.runs++
	kind := c.kinds[t.Message.Target.Kind]
	if kind == nil || kind.Form != msg.FormWorkflow && !kind.Initialised {
		c.find(t, "", "the program does not serve it")
		return
	}
	o := c.program.Turn(program.WithLogger(ctx, slog.New(slog.DiscardHandler)), t)
	if o.Fault != "" {
		c.add(t, o)
		return
	}
	c.names(kind, t)
}

func (c *check) find(t *msg.Turn, step, problem string) {
	target := t.Message.Target
	c.findings = append(c.findings, finding{Workflow: target.Kind, ID: target.Key, Asked: step, Problem: problem})
}

// add notes why a run cannot go on, with its parts if the code asks for
// something else than before.
func (c *check) add(t *msg.Turn, o *msg.Outcome) {
	f := finding{Workflow: t.Message.Target.Kind, ID: t.Message.Target.Key, Problem: o.Fault}
	var m workflow.Mismatch
	if len(o.Output.Body) > 0 && json.Unmarshal(o.Output.Body, &m) == nil {
		f.Step, f.Recorded, f.Asked, f.Line = m.Step, m.Recorded, m.Asked, m.Line
	}
	c.findings = append(c.findings, f)
}

// names finds what a journal names and the program does not serve: activities
// that are waited for, and signals.
func (c *check) names(kind *msg.Kind, t *msg.Turn) {
	activities, signals := mentioned(t)
	for _, name := range activities {
		if !c.activities[name] {
			c.find(t, "", "it waits for activity "+name+", which the program does not serve")
		}
	}
	for _, name := range signals {
		if !slices.ContainsFunc(kind.Handlers, func(h msg.Handler) bool {
			return h.Mode == msg.ModeSignal && (h.Name == name || slices.Contains(h.Aliases, name))
		}) {
			c.find(t, "", "it was sent signal "+name+", which the program does not serve")
		}
	}
}

// mentioned gives the activities that a run waits for and the signals that it
// was sent, each once.
func mentioned(t *msg.Turn) (activities, signals []string) {
	var waits []string // by step: the activity; empty: another step, or it has ended
	if t.State.Fields == nil {
		return nil, nil
	}
	t.State.Fields.Items(msg.JournalField, func(_ int, item []byte) bool {
		entry, err := msg.DecodeEntry(item)
		for _, d := range entry.Deliveries {
			switch {
			case d.Kind == msg.DeliverySignal:
				signals = append(signals, d.Name)
			case d.Kind == msg.DeliveryOutcome && d.Step > 0 && int(d.Step) <= len(waits):
				waits[d.Step-1] = ""
			}
		}
		for _, s := range entry.Steps {
			name := ""
			if s.Kind == msg.StepActivity {
				name = s.Name
			}
			waits = append(waits, name)
		}
		return err == nil
	})
	waits = slices.DeleteFunc(waits, func(name string) bool { return name == "" })
	slices.Sort(waits)
	slices.Sort(signals)
	return slices.Compact(waits), slices.Compact(signals)
}

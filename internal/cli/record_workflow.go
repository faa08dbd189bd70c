package cli

import (
	"fmt"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// This file shows what records say of workflows, activities, locks and events.

// standingLine is how a workflow stands from a record on.
type standingLine struct {
	Run         msg.Index      `json:"run,omitempty"`
	Status      string         `json:"status"`
	Paused      bool           `json:"paused,omitempty"`
	Cancelling  bool           `json:"cancelling,omitempty"`
	Tombstone   bool           `json:"tombstone,omitempty"`
	Begin       []deliveryLine `json:"begin,omitempty"`
	Callers     []string       `json:"callers,omitempty"`
	Promises    []string       `json:"promises,omitempty"`
	CodeVersion string         `json:"code_version,omitempty"`
	StartedAt   *string        `json:"started_at,omitempty"`
	EndedAt     *string        `json:"ended_at,omitempty"`
	Output      *valueLine     `json:"output,omitempty"`
	Error       *errorLine     `json:"error,omitempty"`
	Locks       []lockKeyLine  `json:"locks,omitempty"`
	Chain       []string       `json:"chain,omitempty"`
	Hold        string         `json:"hold,omitempty"`
}

type deliveryLine struct {
	Kind    string         `json:"kind"`
	Step    msg.StepNumber `json:"step,omitempty"`
	Name    string         `json:"name,omitempty"`
	Payload *valueLine     `json:"payload,omitempty"`
	Error   *errorLine     `json:"error,omitempty"`
}

type askedLine struct {
	Kind   string     `json:"kind"`
	Name   string     `json:"name,omitempty"`
	Output *valueLine `json:"output,omitempty"`
	Error  *errorLine `json:"error,omitempty"`
}

// journalLine is an entry of a journal.
type journalLine struct {
	Time       *string        `json:"time,omitempty"`
	Deliveries []deliveryLine `json:"deliveries,omitempty"`
	Steps      []askedLine    `json:"steps,omitempty"`
}

type taskLine struct {
	Task     string     `json:"task"`
	Activity string     `json:"activity"`
	Input    *valueLine `json:"input,omitempty"`
	Attempt  uint32     `json:"attempt,omitempty"`
	Due      *string    `json:"due,omitempty"`
	Deadline *string    `json:"deadline,omitempty"`
	Detail   *valueLine `json:"detail,omitempty"`
	Error    *errorLine `json:"error,omitempty"`
	Silent   bool       `json:"silent,omitempty"`
	Handler  string     `json:"handler,omitempty"`
}

type lockKeyLine struct {
	Kind   string `json:"kind"`
	Key    string `json:"key"`
	Shared bool   `json:"shared,omitempty"`
}

type lockLine struct {
	Holder   string `json:"holder"`
	Shared   bool   `json:"shared,omitempty"`
	Released bool   `json:"released,omitempty"`
}

// preparedLine is what an event comes to, if it is committed.
type preparedLine struct {
	Event   string         `json:"event"`
	Changes []changeLine   `json:"changes,omitempty"`
	Sends   []messageLine  `json:"sends,omitempty"`
	Remind  []reminderLine `json:"remind,omitempty"`
	Forget  []string       `json:"forget,omitempty"`
	Tasks   []taskLine     `json:"tasks,omitempty"`
}

func standingOf(w *msg.Workflow) *standingLine {
	if w == nil {
		return nil
	}
	return &standingLine{
		Run: w.Run, Status: w.Status.String(), Paused: w.Paused, Cancelling: w.Cancelling, Tombstone: w.Tombstone,
		Begin: each(w.Begin, deliveryOf), Callers: each(w.Callers, replyToText),
		Promises:    each(w.Promises, func(n msg.StepNumber) string { return fmt.Sprintf("step %d", n) }),
		CodeVersion: w.CodeVersion, StartedAt: timeOf(w.StartedAt), EndedAt: timeOf(w.EndedAt),
		Output: valueOf(w.Output.Body), Error: errorOf(w.Err),
		Locks: each(w.Locks, lockKeyOf), Chain: each(w.Chain, holderText), Hold: holderText(w.Hold),
	}
}

func deliveryOf(d msg.Delivery) deliveryLine {
	return deliveryLine{d.Kind.String(), d.Step, d.Name, valueOf(d.Payload.Body), errorOf(d.Err)}
}

// journaled is the entry of a journal that a change appends; nil if it does not.
func journaled(c *msg.Change) *journalLine {
	if c.Kind != msg.ChangeAppend || c.Field != msg.JournalField {
		return nil
	}
	entry, err := msg.DecodeEntry(c.Value)
	if err != nil {
		return nil // it is shown as it is
	}
	return &journalLine{timeOf(entry.Time), each(entry.Deliveries, deliveryOf), each(entry.Steps, func(s msg.Step) askedLine {
		return askedLine{s.Kind.String(), s.Name, valueOf(s.Output.Body), errorOf(s.Err)}
	})}
}

// taskText is RUN/STEP.
func taskText(n msg.TaskName) string { return fmt.Sprintf("%d/%d", n.Run, n.Step) }

func taskOf(t msg.Task) taskLine {
	return taskLine{
		Task: taskText(t.Name()), Activity: t.Activity, Input: valueOf(t.Input.Body), Attempt: t.Attempt, Due: timeOf(t.Due),
		Deadline: timeOf(t.Deadline), Detail: valueOf(t.Detail.Body), Error: errorOf(t.Err), Silent: t.Silent, Handler: t.Handler,
	}
}

// replyToText is PARTITION:INVOCATION, or KIND/KEY RUN/STEP of a workflow.
func replyToText(to msg.ReplyTo) string {
	switch {
	case to.Workflow():
		return fmt.Sprintf("%s %s", to.Target, taskText(msg.TaskName{Run: to.Run, Step: to.Step}))
	case to.IsZero():
		return ""
	}
	return fmt.Sprintf("%d:%s", to.Origin, to.Invocation)
}

func lockKeyOf(k msg.LockKey) lockKeyLine { return lockKeyLine{k.Ref.Kind, k.Ref.Key, k.Shared} }

// holderText is KIND/KEY#RUN.
func holderText(h msg.Holder) string {
	if h.IsZero() {
		return ""
	}
	return fmt.Sprintf("%s#%d", h.Workflow, h.Run)
}

func lockOf(c msg.LockChange) lockLine { return lockLine{holderText(c.Holder), c.Shared, c.Released} }

func preparedOf(p *msg.Prepared) *preparedLine {
	if p == nil {
		return nil
	}
	return &preparedLine{
		Event: invocationText(p.Event), Changes: each(p.Changes, changeOf), Sends: each(p.Sends, messageOf),
		Remind: each(p.Remind, reminderOf), Forget: p.Forget, Tasks: each(p.Tasks, taskOf),
	}
}

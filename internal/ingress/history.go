package ingress

import (
	"encoding/base64"
	"strconv"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// Statuses of what has been started and has no workflow to show yet.
const (
	statusRunning   = "running"
	statusScheduled = "scheduled" // a delayed start
)

// AppendStarted appends what a start is answered with: as AppendWorkflow if the
// door says how the workflow stands, and otherwise {"id","name","status"}. With
// it goes "invocation_id", if the start is an invocation that can be asked about.
func AppendStarted(b []byte, request *msg.Request, reply *msg.Reply) []byte {
	b = appendRun(b, request.Target)
	switch {
	case reply.Workflow != nil:
		b = appendStanding(b, request.Target, reply)
	case request.NotBefore > 0:
		b = append(appendString(append(b, `,"status":`...), statusScheduled), '}')
	default:
		b = append(appendString(append(b, `,"status":`...), statusRunning), '}')
	}
	if reply.Invocation.IsZero() {
		return b
	}
	b = append(b[:len(b)-1], `,"invocation_id":`...)
	return append(appendString(b, reply.Invocation.String()), '}')
}

// AppendWorkflow appends {"id","name","status","run","code_version",
// "started_at","ended_at","result","error","tombstone","paused","cancelling",
// "parked","promises"}. A workflow that has not ended has no result, error and ended_at,
// and what is not the case is left out. promises are those that wait to be
// completed from outside, as {"step","id"}.
func AppendWorkflow(b []byte, target msg.Ref, reply *msg.Reply) []byte {
	return appendStanding(appendRun(b, target), target, reply)
}

func appendRun(b []byte, target msg.Ref) []byte {
	b = append(b, `{"id":`...)
	b = appendString(b, target.Key)
	b = append(b, `,"name":`...)
	return appendString(b, target.Kind)
}

// appendStanding appends how a workflow stands, to the end of its object.
func appendStanding(b []byte, target msg.Ref, reply *msg.Reply) []byte {
	w := reply.Workflow
	b = appendSummary(b, w)
	switch {
	case w.Tombstone: // nothing else is kept
	case w.Status == msg.WorkflowCompleted:
		b = append(b, `,"result":`...)
		b = appendValue(b, w.Output)
	case w.Status.Ended() && w.Err != nil:
		b = appendFailure(b, w.Err)
	}
	for i := range reply.Parked {
		b = append(b, `,"parked":{`...)
		b = append(appendReason(b, &reply.Parked[i]), '}')
	}
	if len(w.Promises) == 0 || w.Status.Ended() {
		return append(b, '}')
	}
	b = append(b, `,"promises":[`...)
	for i, step := range w.Promises {
		b = append(appendComma(b, i), `{"step":`...)
		b = strconv.AppendUint(b, uint64(step), 10)
		b = append(b, `,"id":`...)
		b = append(appendString(b, msg.PromiseID{Target: target, Run: w.Run, Step: step}.String()), '}')
	}
	return append(b, `]}`...)
}

// appendSummary appends what is said of a workflow in a list, too.
func appendSummary(b []byte, w *msg.Workflow) []byte {
	b = append(b, `,"status":`...)
	b = appendString(b, w.Status.String())
	b = append(b, `,"run":`...)
	b = strconv.AppendUint(b, uint64(w.Run), 10)
	if w.CodeVersion != "" {
		b = append(b, `,"code_version":`...)
		b = appendString(b, w.CodeVersion)
	}
	b = append(b, `,"started_at":`...)
	b = appendTime(b, w.StartedAt)
	if w.Status.Ended() {
		b = append(b, `,"ended_at":`...)
		b = appendTime(b, w.EndedAt)
		if w.Tombstone {
			b = append(b, `,"tombstone":true`...)
		}
		return b
	}
	if w.Paused {
		b = append(b, `,"paused":true`...)
	}
	if w.Cancelling {
		b = append(b, `,"cancelling":true`...)
	}
	return b
}

// AppendRuns appends {"workflows":[{"id","name","status","run","code_version",
// "started_at","ended_at","paused","cancelling"}],"next"}: the page of a list
// that asked for one run more than it has. next is empty after the last page.
func AppendRuns(b []byte, name string, reply *msg.Reply, limit int) []byte {
	keys, next := Page(reply.Keys, limit)
	b = append(b, `{"workflows":[`...)
	for i, key := range keys {
		b = appendRun(appendComma(b, i), msg.Ref{Kind: name, Key: key})
		b = append(appendSummary(b, reply.Workflows[i]), '}')
	}
	return appendNext(b, cursor(next))
}

// AppendHistory appends what AppendWorkflow does, with the journal as
// "entries":[{"time","deliveries":[{"kind","name","step","payload"}],"steps":
// [{"number","kind","name","promise","outcome"}]}].
//
// An entry is a turn of the workflow: what it was told, and what it asked for
// then. The outcome of a step is shown at the step, as {"time","result"} or
// {"time","error"}, and the delivery that brought it names the step; a step
// without one is waited for, or nothing comes of it.
func AppendHistory(b []byte, target msg.Ref, reply *msg.Reply) ([]byte, *msg.Error) {
	journal, err := journalOf(reply.State)
	if err != nil {
		return nil, err
	}
	outcomes := outcomesOf(journal)
	b = AppendWorkflow(b, target, reply)
	b = append(b[:len(b)-1], `,"entries":[`...)
	number := msg.StepNumber(1)
	for i := range journal {
		entry := &journal[i]
		b = append(appendComma(b, i), `{"time":`...)
		b = appendTime(b, entry.Time)
		b = appendDeliveries(append(b, `,"deliveries":[`...), entry.Deliveries)
		b = append(b, `],"steps":[`...)
		for n := range entry.Steps {
			promise := msg.PromiseID{Target: target, Run: reply.Workflow.Run, Step: number}
			b = appendStep(appendComma(b, n), &entry.Steps[n], promise, outcomes[number])
			number++
		}
		b = append(b, `]}`...)
		if len(b) > InspectBytesMax {
			return nil, msg.Errorf(msg.CodePayloadTooLarge, msg.ClassInvalidArgument,
				"the history is more than %d bytes of JSON: describe the workflow instead", InspectBytesMax)
		}
	}
	return append(b, `]}`...), nil
}

// journalOf reads the journal of a workflow.
func journalOf(s *msg.Snapshot) (journal []msg.Entry, failed *msg.Error) {
	if s == nil || s.Fields == nil {
		return nil, nil
	}
	s.Fields.Items(msg.JournalField, func(index int, item []byte) bool {
		entry, err := msg.DecodeEntry(item)
		if err != nil {
			failed = msg.Errorf(msg.CodeFailed, msg.ClassFailed, "entry %d of the journal: %v", index, err)
		}
		journal = append(journal, entry)
		return err == nil
	})
	return journal, failed
}

// AppendJournal adds "journal" to what AppendHistory has made: the entries as
// they are stored, in base64, for a program that wants to execute them.
func AppendJournal(b []byte, reply *msg.Reply) []byte {
	b = append(b[:len(b)-1], `,"journal":[`...)
	if reply.State != nil && reply.State.Fields != nil {
		reply.State.Fields.Items(msg.JournalField, func(i int, item []byte) bool {
			b = append(appendComma(b, i), '"')
			b = append(base64.StdEncoding.AppendEncode(b, item), '"')
			return true
		})
	}
	return append(b, `]}`...)
}

// outcome is what a step came to, and when the workflow was told.
type outcome struct {
	time    msg.Time
	payload msg.Payload
	err     *msg.Error
}

// outcomesOf finds what the steps of a run came to. What is told twice counts
// once.
func outcomesOf(journal []msg.Entry) map[msg.StepNumber]*outcome {
	outcomes := map[msg.StepNumber]*outcome{}
	number := msg.StepNumber(1)
	for e := range journal {
		entry := &journal[e]
		for i := range entry.Deliveries {
			d := &entry.Deliveries[i]
			if d.Kind == msg.DeliveryOutcome && outcomes[d.Step] == nil {
				outcomes[d.Step] = &outcome{entry.Time, d.Payload, d.Err}
			}
		}
		for i := range entry.Steps {
			if s := &entry.Steps[i]; s.Kind == msg.StepLocal || s.Kind == msg.StepPatch {
				outcomes[number] = &outcome{entry.Time, s.Output, s.Err}
			}
			number++
		}
	}
	return outcomes
}

func appendDeliveries(b []byte, deliveries []msg.Delivery) []byte {
	for i := range deliveries {
		d := &deliveries[i]
		b = append(appendComma(b, i), `{"kind":`...)
		b = appendString(b, d.Kind.String())
		switch d.Kind {
		case msg.DeliveryOutcome:
			b = append(b, `,"step":`...)
			b = strconv.AppendUint(b, uint64(d.Step), 10)
		case msg.DeliverySignal:
			b = append(b, `,"name":`...)
			b = appendString(b, d.Name)
			b = appendValue(append(b, `,"payload":`...), d.Payload)
		case msg.DeliveryStart:
			b = appendValue(append(b, `,"payload":`...), d.Payload)
		}
		b = append(b, '}')
	}
	return b
}

func appendStep(b []byte, s *msg.Step, id msg.PromiseID, o *outcome) []byte {
	b = append(b, `{"number":`...)
	b = strconv.AppendUint(b, uint64(id.Step), 10)
	b = append(b, `,"kind":`...)
	b = appendString(b, s.Kind.String())
	if s.Name != "" {
		b = append(b, `,"name":`...)
		b = appendString(b, s.Name)
	}
	if s.Kind == msg.StepPromise {
		b = append(b, `,"promise":`...)
		b = appendString(b, id.String())
	}
	if o == nil {
		return append(b, '}')
	}
	b = append(b, `,"outcome":{"time":`...)
	b = appendTime(b, o.time)
	if o.err != nil {
		b = appendFailure(b, o.err)
	} else {
		b = appendValue(append(b, `,"result":`...), o.payload)
	}
	return append(b, `}}`...)
}

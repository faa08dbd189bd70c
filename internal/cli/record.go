package cli

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// recordLine is a record of the log as a line of JSON. It is for people and
// their scripts: what is empty is left out, ids and times are text, and payloads
// are shown as JSON where they are JSON.
type recordLine struct {
	Frame       msg.FrameNumber  `json:"frame"`
	Position    msg.Position     `json:"position"`
	Kind        string           `json:"kind"`
	Partition   msg.Partition    `json:"partition"`
	Index       msg.Index        `json:"index"`
	Time        *string          `json:"time,omitempty"`
	Instance    *refLine         `json:"instance,omitempty"`
	Consumed    []string         `json:"consumed,omitempty"`
	Accepted    *messageLine     `json:"accepted,omitempty"`
	Finished    []msg.Index      `json:"finished,omitempty"`
	Changes     []changeLine     `json:"changes,omitempty"`
	Outbox      []messageLine    `json:"outbox,omitempty"`
	Acked       []string         `json:"acked,omitempty"`
	Remind      []reminderLine   `json:"remind,omitempty"`
	Forget      []string         `json:"forget,omitempty"`
	Answers     []answerLine     `json:"answers,omitempty"`
	DeadLetters []deadLetterLine `json:"dead_letters,omitempty"`
	Discarded   []string         `json:"discarded,omitempty"`
	Attempts    []attemptLine    `json:"attempts,omitempty"`
	Pruned      msg.Index        `json:"pruned,omitempty"`
	Workflow    *standingLine    `json:"workflow,omitempty"`
	Tasks       []taskLine       `json:"tasks,omitempty"`
	TasksEnded  []string         `json:"tasks_ended,omitempty"`
	Locks       []lockLine       `json:"locks,omitempty"`
	Prepared    *preparedLine    `json:"prepared,omitempty"`
	Decided     string           `json:"decided,omitempty"`
	Kinds       []kindLine       `json:"kinds,omitempty"`
	Epoch       msg.Epoch        `json:"epoch,omitempty"`
	CodeVersion string           `json:"code_version,omitempty"`
}

type refLine struct {
	Kind string `json:"kind"`
	Key  string `json:"key"`
}

type messageLine struct {
	ID             string       `json:"id,omitempty"`
	Kind           string       `json:"kind"`
	Sender         *refLine     `json:"sender,omitempty"`
	Target         *refLine     `json:"target,omitempty"`
	Handler        string       `json:"handler,omitempty"`
	Payload        *valueLine   `json:"payload,omitempty"`
	Headers        []headerLine `json:"headers,omitempty"`
	Traceparent    string       `json:"traceparent,omitempty"`
	Deadline       *string      `json:"deadline,omitempty"`
	NotBefore      *string      `json:"not_before,omitempty"`
	ReplyTo        string       `json:"reply_to,omitempty"`
	Error          *errorLine   `json:"error,omitempty"`
	IdempotencyKey string       `json:"idempotency_key,omitempty"`
	Session        string       `json:"session,omitempty"`
	Invocation     string       `json:"invocation,omitempty"`
	Reminder       string       `json:"reminder,omitempty"`

	Hold  string        `json:"hold,omitempty"`
	Chain []string      `json:"chain,omitempty"`
	Keys  []lockKeyLine `json:"keys,omitempty"`
}

type headerLine struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type errorLine struct {
	Code    string     `json:"code"`
	Message string     `json:"message,omitempty"`
	Detail  *valueLine `json:"detail,omitempty"`
}

type changeLine struct {
	Kind         string       `json:"kind"`
	Entry        *journalLine `json:"entry,omitempty"`
	Field        string       `json:"field,omitempty"`
	Key          string       `json:"key,omitempty"`
	Value        *valueLine   `json:"value,omitempty"`
	StateVersion uint32       `json:"state_version,omitempty"`
	Base         msg.Index    `json:"base,omitempty"`
	Offset       uint32       `json:"offset,omitempty"`
	Remove       uint32       `json:"remove,omitempty"`
}

type reminderLine struct {
	Name    string     `json:"name"`
	Handler string     `json:"handler"`
	Payload *valueLine `json:"payload,omitempty"`
	Due     *string    `json:"due,omitempty"`
	Every   string     `json:"every,omitempty"`
	Cron    string     `json:"cron,omitempty"`
}

type answerLine struct {
	Invocation  string     `json:"invocation"`
	Status      string     `json:"status"`
	Payload     *valueLine `json:"payload,omitempty"`
	Error       *errorLine `json:"error,omitempty"`
	Session     string     `json:"session,omitempty"`
	Idempotency string     `json:"idempotency,omitempty"`
	Body        string     `json:"body,omitempty"`
	Submitted   bool       `json:"submitted,omitempty"`
}

type deadLetterLine struct {
	ID      string      `json:"id"`
	Message messageLine `json:"message"`
	Reason  string      `json:"reason"`
	Time    *string     `json:"time,omitempty"`
	State   *valueLine  `json:"state,omitempty"`
}

type attemptLine struct {
	Input string `json:"input"`
	Count uint32 `json:"count"`
}

type kindLine struct {
	Kind       string `json:"kind"`
	Affinity   string `json:"affinity,omitempty"`
	HashKind   uint32 `json:"hash_kind"`
	Partitions uint32 `json:"partitions"`
}

// valueLine is bytes: JSON as it is, anything else as {"base64"}.
type valueLine []byte

var _ json.Marshaler = valueLine(nil)

// MarshalJSON implements json.Marshaler.
func (v valueLine) MarshalJSON() ([]byte, error) {
	if json.Valid(v) {
		return v, nil
	}
	return fmt.Appendf(nil, `{"base64":%q}`, base64.StdEncoding.EncodeToString(v)), nil
}

func valueOf(b []byte) *valueLine {
	if len(b) == 0 {
		return nil
	}
	v := valueLine(b)
	return &v
}

func refOf(r msg.Ref) *refLine {
	if r == (msg.Ref{}) {
		return nil
	}
	return &refLine{r.Kind, r.Key}
}

func timeOf(t msg.Time) *string {
	if t == 0 {
		return nil
	}
	text := t.Std().Format(time.RFC3339Nano)
	return &text
}

// messageIDText is SOURCE>DESTINATION#NUMBER.
func messageIDText(id msg.MessageID) string {
	if id.Number == 0 {
		return ""
	}
	return fmt.Sprintf("%d>%d#%d", id.Source, id.Destination, id.Number)
}

func invocationText(id msg.InvocationID) string {
	if id.IsZero() {
		return ""
	}
	return id.String()
}

func fingerprintText(f msg.Fingerprint) string {
	if f == (msg.Fingerprint{}) {
		return ""
	}
	return hex.EncodeToString(f[:])
}

func sessionText(id msg.SessionID, number uint64) string {
	if id.IsZero() {
		return ""
	}
	return hex.EncodeToString(id[:]) + "-" + strconv.FormatUint(number, 10)
}

func errorOf(e *msg.Error) *errorLine {
	if e == nil {
		return nil
	}
	return &errorLine{e.Code, e.Message, valueOf(e.Detail)}
}

// lineOf shows a record that ends in the frame.
func lineOf(frame *host.Frame, position msg.Position, r *msg.Record) recordLine {
	line := recordLine{
		Frame: frame.Number, Position: position, Kind: nameOf(recordKindNames[:], int(r.Kind)),
		Partition: r.Partition, Index: r.Index, Time: timeOf(r.Time), Instance: refOf(r.Instance),
		Consumed: each(r.Consumed, messageIDText), Finished: r.Finished, Changes: each(r.Changes, changeOf),
		Outbox: each(r.Outbox, messageOf), Acked: each(r.Acked, messageIDText),
		Remind: each(r.Remind, reminderOf), Forget: r.Forget,
		Answers: each(r.Answers, answerOf), DeadLetters: each(r.DeadLetters, deadLetterOf),
		Discarded: each(r.Discarded, msg.InvocationID.String), Attempts: each(r.Attempts, attemptOf),
		Workflow: standingOf(r.Workflow), Tasks: each(r.Tasks, taskOf), TasksEnded: each(r.TasksEnded, taskText),
		Locks: each(r.Locks, lockOf), Prepared: preparedOf(r.Prepared), Decided: invocationText(r.Decided),
		Pruned: r.Pruned, Kinds: each(r.Kinds, kindOf), Epoch: r.Epoch, CodeVersion: r.CodeVersion,
	}
	if r.Accepted != nil {
		accepted := messageOf(r.Accepted)
		line.Accepted = &accepted
	}
	return line
}

func each[From, To any](list []From, convert func(From) To) []To {
	var converted []To
	for _, from := range list {
		converted = append(converted, convert(from))
	}
	return converted
}

func messageOf(m *msg.Message) messageLine {
	line := messageLine{
		ID: messageIDText(m.ID), Kind: nameOf(messageKindNames[:], int(m.Kind)),
		Sender: refOf(m.Sender), Target: refOf(m.Target), Handler: m.Handler, Payload: valueOf(m.Payload.Body),
		Headers: each(m.Headers, headerOf), Traceparent: m.Traceparent, Deadline: timeOf(m.Deadline), NotBefore: timeOf(m.NotBefore),
		Error: errorOf(m.Err), IdempotencyKey: m.Identity.IdempotencyKey,
		Session:    sessionText(m.Identity.Session, m.Identity.SessionNumber),
		Invocation: invocationText(m.Invocation), Reminder: m.Reminder, ReplyTo: replyToText(m.ReplyTo),
		Hold: holderText(m.Hold), Chain: each(m.Chain, holderText), Keys: each(m.Keys, lockKeyOf),
	}
	return line
}

func headerOf(h msg.Header) headerLine { return headerLine(h) }

func changeOf(c msg.Change) changeLine {
	if entry := journaled(&c); entry != nil {
		return changeLine{Kind: "journal", Entry: entry}
	}
	return changeLine{
		Kind: nameOf(changeKindNames[:], int(c.Kind)), Field: c.Field, Key: c.Key, Value: valueOf(c.Value),
		StateVersion: c.StateVersion, Base: c.Base, Offset: c.Offset, Remove: c.Remove,
	}
}

func reminderOf(r msg.Reminder) reminderLine {
	line := reminderLine{Name: r.Name, Handler: r.Handler, Payload: valueOf(r.Payload.Body), Due: timeOf(r.Due), Cron: r.Schedule.Cron}
	if r.Schedule.Every > 0 {
		line.Every = r.Schedule.Every.String()
	}
	return line
}

func answerOf(a msg.Answer) answerLine {
	return answerLine{
		Invocation: a.Invocation.String(), Status: a.Status.String(), Payload: valueOf(a.Payload.Body), Error: errorOf(a.Err),
		Session: sessionText(a.Session, a.SessionNumber), Idempotency: fingerprintText(a.Idempotency),
		Body: fingerprintText(a.Body), Submitted: a.Submitted,
	}
}

func deadLetterOf(l msg.DeadLetter) deadLetterLine {
	return deadLetterLine{ID: l.ID.String(), Message: messageOf(&l.Message), Reason: l.Reason, Time: timeOf(l.Time), State: valueOf(l.State.Body)}
}

func attemptOf(a msg.AttemptCount) attemptLine { return attemptLine{fingerprintText(a.Input), a.Count} }

func kindOf(k msg.KindRule) kindLine { return kindLine{k.Kind, k.Affinity, k.HashKind, k.Partition} }

var recordKindNames = [...]string{
	msg.RecordStep: "step", msg.RecordAccept: "accept", msg.RecordAck: "ack", msg.RecordAttempt: "attempt",
	msg.RecordEpoch: "epoch", msg.RecordKinds: "kinds", msg.RecordCheckpoint: "checkpoint", msg.RecordUpgrade: "upgrade",
}

var messageKindNames = [...]string{
	msg.MessageCall: "call", msg.MessageSend: "send", msg.MessageTailCall: "tail_call", msg.MessageReply: "reply",
	msg.MessageCancel: "cancel", msg.MessageLockRequest: "lock_request", msg.MessageLockGrant: "lock_grant",
	msg.MessageLockRelease: "lock_release", msg.MessageEventPrepare: "event_prepare", msg.MessageEventCommit: "event_commit",
	msg.MessageEventAbort: "event_abort", msg.MessageEventAck: "event_ack", msg.MessageActivityTask: "activity_task",
	msg.MessageActivityOutcome: "activity_outcome", msg.MessageSignal: "signal", msg.MessageTimer: "timer",
	msg.MessageDelete: "delete", msg.MessageExists: "exists",
}

var changeKindNames = [...]string{
	msg.ChangeRoot: "root", msg.ChangePatch: "patch", msg.ChangePut: "put", msg.ChangeRemove: "remove",
	msg.ChangeClear: "clear", msg.ChangeAppend: "append", msg.ChangeDelete: "delete",
}

// nameOf names a number, and gives it as it is if it has no name here.
func nameOf(names []string, number int) string {
	if number < len(names) && names[number] != "" {
		return names[number]
	}
	return strconv.Itoa(number)
}

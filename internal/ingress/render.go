package ingress

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// ContentTypeJSON is the content type of a payload that names none.
const ContentTypeJSON = "application/json"

// InspectBytesMax bounds the JSON text of one entity's state.
// 64 MiB: 64 roots of the default limit; more is for a program that pages
// through its own maps and lists, not for one answer held in memory.
const InspectBytesMax = 64 << 20

// The JSON bodies below are one vocabulary for everybody who asks: the HTTP
// interface and the connection in process give the same bytes.

// Output gives the body and content type that a handler's output is answered
// with. A JSON output without a body is null.
func Output(p msg.Payload) (body []byte, contentType string) {
	if p.ContentType != "" && p.ContentType != ContentTypeJSON {
		return p.Body, p.ContentType
	}
	if len(p.Body) == 0 {
		return jsonNull, ContentTypeJSON
	}
	return p.Body, ContentTypeJSON
}

var jsonNull = []byte("null")

// AppendError appends {"error":{"code","message","detail"}}. A detail that is
// not JSON is carried as "detail_base64" instead, so that it comes back as it
// was; without a detail there is neither.
func AppendError(b []byte, e *msg.Error) []byte {
	return append(appendErrorMembers(append(b, `{"error":{`...), e), '}', '}')
}

func appendErrorMembers(b []byte, e *msg.Error) []byte {
	b = append(b, `"code":`...)
	b = appendString(b, e.Code)
	b = append(b, `,"message":`...)
	b = appendString(b, e.Message)
	switch {
	case len(e.Detail) == 0:
	case json.Valid(e.Detail):
		b = append(b, `,"detail":`...)
		b = append(b, e.Detail...)
	default:
		b = append(b, `,"detail_base64":`...)
		b = appendBase64(b, e.Detail)
	}
	return b
}

// AppendSubmitted appends {"invocation_id"}.
func AppendSubmitted(b []byte, id msg.InvocationID) []byte {
	b = append(b, `{"invocation_id":`...)
	b = appendString(b, id.String())
	return append(b, '}')
}

// AppendList appends {"entities":[…],"next"}. next is empty after the last
// page.
func AppendList(b []byte, keys []string, next string) []byte {
	b = append(b, `{"entities":[`...)
	for i, key := range keys {
		b = appendString(appendComma(b, i), key)
	}
	return appendNext(b, next)
}

// Page cuts the answer to a list request that asked for one key more than the
// page has: next is the last key of the page if anything follows it.
func Page(keys []string, limit int) (page []string, next string) {
	if len(keys) <= limit {
		return keys, ""
	}
	return keys[:limit], keys[limit-1]
}

// AppendReminders appends {"reminders":[{"name","handler","due","every",
// "cron"}]}. due is RFC 3339 in UTC, every is a Go duration; what a reminder
// does not have is left out.
func AppendReminders(b []byte, reminders []msg.Reminder) []byte {
	b = append(b, `{"reminders":[`...)
	for i := range reminders {
		r := &reminders[i]
		b = append(appendComma(b, i), `{"name":`...)
		b = appendString(b, r.Name)
		b = append(b, `,"handler":`...)
		b = appendString(b, r.Handler)
		b = append(b, `,"due":`...)
		b = appendTime(b, r.Due)
		if r.Schedule.Every > 0 {
			b = append(b, `,"every":`...)
			b = appendString(b, r.Schedule.Every.String())
		}
		if r.Schedule.Cron != "" {
			b = append(b, `,"cron":`...)
			b = appendString(b, r.Schedule.Cron)
		}
		b = append(b, '}')
	}
	return append(b, `]}`...)
}

// AppendResult appends {"id","status","result","error"}: the result of a
// completed invocation, the error of a failed one.
func AppendResult(b []byte, id msg.InvocationID, reply *msg.Reply) []byte {
	b = append(b, `{"id":`...)
	b = appendString(b, id.String())
	b = append(b, `,"status":`...)
	b = appendString(b, reply.Status.String())
	switch {
	case reply.Status == msg.StatusCompleted:
		b = append(b, `,"result":`...)
		b = appendValue(b, reply.Payload)
	case reply.Status == msg.StatusFailed && reply.Err != nil:
		b = appendFailure(b, reply.Err)
	}
	return append(b, '}')
}

// appendFailure appends the member "error" of something that has failed while
// asking about it has not. It has its class as a number, because no status of
// HTTP tells it.
func appendFailure(b []byte, e *msg.Error) []byte {
	b = append(b, `,"error":{"class":`...)
	b = strconv.AppendUint(b, uint64(e.Class), 10)
	return append(appendErrorMembers(append(b, ','), e), '}')
}

// AppendParked appends {"parked":[{"kind","key","reason","since","waiting"}],
// "next"}. next is empty after the last page.
func AppendParked(b []byte, parked []msg.Parked, next string) []byte {
	b = append(b, `{"parked":[`...)
	for i := range parked {
		p := &parked[i]
		b = append(appendComma(b, i), `{"kind":`...)
		b = appendString(b, p.Target.Kind)
		b = append(b, `,"key":`...)
		b = appendString(b, p.Target.Key)
		b = append(appendReason(append(b, ','), p), '}')
	}
	return appendNext(b, next)
}

// AppendLocks appends {"locks":[{"kind","key","waiting","holders":[{"workflow",
// "id","run","shared","since"}]}],"next"}. The kind is the affinity of the kinds
// that have one; next is empty after the last page.
func AppendLocks(b []byte, locks []msg.Lock, next string) []byte {
	b = append(b, `{"locks":[`...)
	for i := range locks {
		l := &locks[i]
		b = append(appendComma(b, i), `{"kind":`...)
		b = appendString(b, l.Key.Kind)
		b = append(b, `,"key":`...)
		b = appendString(b, l.Key.Key)
		b = append(b, `,"waiting":`...)
		b = strconv.AppendInt(b, int64(l.Waiting), 10)
		b = append(b, `,"holders":[`...)
		for n := range l.Holders {
			b = appendHolder(appendComma(b, n), &l.Holders[n])
		}
		b = append(b, "]}"...)
	}
	return appendNext(b, next)
}

func appendHolder(b []byte, h *msg.LockHolder) []byte {
	b = append(b, `{"workflow":`...)
	b = appendString(b, h.Holder.Workflow.Kind)
	b = append(b, `,"id":`...)
	b = appendString(b, h.Holder.Workflow.Key)
	b = append(b, `,"run":`...)
	b = strconv.AppendUint(b, uint64(h.Holder.Run), 10)
	b = append(b, `,"shared":`...)
	b = strconv.AppendBool(b, h.Shared)
	b = append(b, `,"since":`...)
	return append(appendTime(b, h.Since), '}')
}

// appendNext ends a page.
func appendNext(b []byte, next string) []byte {
	b = append(b, `],"next":`...)
	b = appendString(b, next)
	return append(b, '}')
}

// appendReason appends the members that say why something is parked.
func appendReason(b []byte, p *msg.Parked) []byte {
	b = append(b, `"reason":`...)
	b = appendString(b, p.Reason)
	b = append(b, `,"since":`...)
	b = appendTime(b, p.Since)
	b = append(b, `,"waiting":`...)
	return strconv.AppendInt(b, int64(p.Waiting), 10)
}

// AppendDeadLetters appends {"dead_letters":[{"id","kind","key","handler",
// "input","reason","time","state"}],"next"}. The state is that of a machine, and
// left out of other dead letters; next is empty after the last page.
func AppendDeadLetters(b []byte, letters []msg.DeadLetter, next string) []byte {
	b = append(b, `{"dead_letters":[`...)
	for i := range letters {
		l := &letters[i]
		b = append(appendComma(b, i), `{"id":`...)
		b = appendString(b, l.ID.String())
		b = append(b, `,"kind":`...)
		b = appendString(b, l.Message.Target.Kind)
		b = append(b, `,"key":`...)
		b = appendString(b, l.Message.Target.Key)
		b = append(b, `,"handler":`...)
		b = appendString(b, l.Message.Handler)
		b = append(b, `,"input":`...)
		b = appendValue(b, l.Message.Payload)
		b = append(b, `,"reason":`...)
		b = appendString(b, l.Reason)
		b = append(b, `,"time":`...)
		b = appendTime(b, l.Time)
		if len(l.State.Body) > 0 {
			b = appendValue(append(b, `,"state":`...), l.State)
		}
		b = append(b, '}')
	}
	return appendNext(b, next)
}

// AppendInspect appends {"kind","key","version","state"}. Maps and lists of the
// state are members of it under the names of their fields; those of a machine
// are members of its data.
func AppendInspect(b []byte, target msg.Ref, reply *msg.Reply) ([]byte, *msg.Error) {
	b = append(b, `{"kind":`...)
	b = appendString(b, target.Kind)
	b = append(b, `,"key":`...)
	b = appendString(b, target.Key)
	b = append(b, `,"version":`...)
	b = strconv.AppendUint(b, uint64(reply.Version), 10)
	b = append(b, `,"state":`...)
	b, err := appendRoot(b, reply.State)
	if err != nil {
		return nil, err
	}
	return append(b, '}'), nil
}

func appendRoot(b []byte, s *msg.Snapshot) ([]byte, *msg.Error) {
	if s == nil || !s.Machine || s.Fields == nil {
		return appendState(b, s)
	}
	var root struct{ Stack, Data json.RawMessage }
	if json.Unmarshal(s.Root.Body, &root) != nil || len(root.Stack) == 0 {
		return appendState(b, s)
	}
	b = append(append(b, `{"stack":`...), root.Stack...)
	b, err := appendState(append(b, `,"data":`...), &msg.Snapshot{Root: msg.Payload{Body: root.Data}, Fields: s.Fields})
	if err != nil {
		return nil, err
	}
	return append(b, '}'), nil
}

func appendState(b []byte, s *msg.Snapshot) ([]byte, *msg.Error) {
	if s == nil {
		return append(b, jsonNull...), nil
	}
	if s.Fields == nil || len(s.Fields.Names()) == 0 {
		return appendValue(b, s.Root), nil
	}
	members, ok := membersOf(s.Root)
	if !ok { // the root is not an object: it cannot take the fields in
		b = append(b, `{"root":`...)
		b = append(appendValue(b, s.Root), ',')
	} else {
		b = appendMembers(append(b, '{'), members, s.Fields)
	}
	for i, name := range s.Fields.Names() {
		b = appendString(appendComma(b, i), name)
		b = appendField(append(b, ':'), s.Fields, name)
		if len(b) > InspectBytesMax {
			return nil, msg.Errorf(msg.CodePayloadTooLarge, msg.ClassInvalidArgument,
				"the state is more than %d bytes of JSON: read it in parts through a handler of the kind", InspectBytesMax)
		}
	}
	return append(b, '}'), nil
}

// member is one member of a JSON object, as it was written.
type member struct {
	name  string
	value json.RawMessage
}

// membersOf takes a root apart that is a JSON object; an empty one has none.
func membersOf(root msg.Payload) (members []member, ok bool) {
	if root.ContentType != "" && root.ContentType != ContentTypeJSON {
		return nil, false
	}
	if len(root.Body) == 0 {
		return nil, true
	}
	decoder := json.NewDecoder(bytes.NewReader(root.Body))
	if open, err := decoder.Token(); err != nil || open != json.Delim('{') {
		return nil, false
	}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, false
		}
		m := member{name: name.(string)} // between members the decoder gives names
		if decoder.Decode(&m.value) != nil {
			return nil, false
		}
		members = append(members, m)
	}
	return members, true
}

// appendMembers leaves out what a map or list of the same name replaces, and
// ends with a comma if it wrote anything.
func appendMembers(b []byte, members []member, fields msg.Fields) []byte {
	replaced := make(map[string]bool)
	for _, name := range fields.Names() {
		replaced[name] = true
	}
	for _, m := range members {
		if replaced[m.name] {
			continue
		}
		b = append(appendString(b, m.name), ':')
		b = append(append(b, m.value...), ',')
	}
	return b
}

func appendField(b []byte, fields msg.Fields, name string) []byte {
	first := true
	separate := func() {
		if !first {
			b = append(b, ',')
		}
		first = false
	}
	if fields.IsList(name) {
		b = append(b, '[')
		fields.Items(name, func(_ int, value []byte) bool {
			separate()
			b = appendStored(b, value)
			return len(b) <= InspectBytesMax
		})
		return append(b, ']')
	}
	b = append(b, '{')
	fields.Entries(name, func(key string, value []byte) bool {
		separate()
		b = append(appendString(b, key), ':')
		b = appendStored(b, value)
		return len(b) <= InspectBytesMax
	})
	return append(b, '}')
}

// appendStored appends an entry of a map or list, which has no content type of
// its own.
func appendStored(b, value []byte) []byte {
	if json.Valid(value) {
		return append(b, value...)
	}
	return append(appendBase64(append(b, `{"base64":`...), value), '}')
}

// appendValue appends a payload inside a JSON text: JSON as it is, anything
// else as {"content_type","base64"}.
func appendValue(b []byte, p msg.Payload) []byte {
	body, contentType := Output(p)
	if contentType == ContentTypeJSON {
		return append(b, body...)
	}
	b = append(b, `{"content_type":`...)
	b = appendString(b, contentType)
	b = append(b, `,"base64":`...)
	return append(appendBase64(b, body), '}')
}

func appendComma(b []byte, i int) []byte {
	if i > 0 {
		return append(b, ',')
	}
	return b
}

func appendTime(b []byte, t msg.Time) []byte {
	b = append(b, '"')
	b = t.Std().AppendFormat(b, time.RFC3339Nano)
	return append(b, '"')
}

func appendBase64(b, value []byte) []byte {
	b = append(b, '"')
	b = base64.StdEncoding.AppendEncode(b, value)
	return append(b, '"')
}

// appendString appends s as a JSON string. Bytes that are not UTF-8 become the
// replacement character, as encoding/json does it.
func appendString(b []byte, s string) []byte {
	const hexadecimal = "0123456789abcdef"
	b = append(b, '"')
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ' || c == 0x7f:
			b = append(b, '\\', 'u', '0', '0', hexadecimal[c>>4], hexadecimal[c&15])
		case c < utf8.RuneSelf:
			b = append(b, c)
		default:
			r, size := utf8.DecodeRuneInString(s[i:])
			b = utf8.AppendRune(b, r)
			i += size
			continue
		}
		i++
	}
	return append(b, '"')
}

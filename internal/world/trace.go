package world

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// trace writes what happens, for people. A nil writer takes nothing.
type trace struct{ to io.Writer }

// line writes a line with the virtual time.
func (t *trace) line(at time.Duration, format string, args ...any) {
	if t.to == nil {
		return
	}
	_, _ = fmt.Fprintf(t.to, "%12.6fs  %s\n", at.Seconds(), fmt.Sprintf(format, args...))
}

// on says whether anybody reads.
func (t *trace) on() bool { return t.to != nil }

// describe says what is in a record.
func describe(r *msg.Record) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d/%d", r.Partition, r.Index)
	if r.Instance.Kind != "" {
		fmt.Fprintf(&b, " %s", r.Instance)
	}
	for _, id := range r.Consumed {
		fmt.Fprintf(&b, ", consumes %s", describeID(id))
	}
	if r.Accepted != nil {
		fmt.Fprintf(&b, ", accepts %s for %s", r.Accepted.Handler, r.Accepted.Target)
	}
	if len(r.Finished) > 0 {
		fmt.Fprintf(&b, ", finishes %v", r.Finished)
	}
	for i := range r.Changes {
		describeChange(&b, &r.Changes[i])
	}
	for _, m := range r.Outbox {
		fmt.Fprintf(&b, ", sends %s %s to %s %s", describeID(m.ID), m.Handler, m.Target, excerpt(m.Payload.Body))
		if m.NotBefore > 0 {
			fmt.Fprintf(&b, " not before %v", m.NotBefore.Std().Format("15:04:05.000"))
		}
	}
	for _, id := range r.Acked {
		fmt.Fprintf(&b, ", forgets %s", describeID(id))
	}
	for i := range r.Remind {
		fmt.Fprintf(&b, ", reminder %s at %v", r.Remind[i].Name, r.Remind[i].Due.Std().Format("15:04:05.000"))
	}
	for _, name := range r.Forget {
		fmt.Fprintf(&b, ", no reminder %s", name)
	}
	for i := range r.Answers {
		fmt.Fprintf(&b, ", remembers an answer (%v)", r.Answers[i].Status)
	}
	for i := range r.Attempts {
		fmt.Fprintf(&b, ", attempt %d", r.Attempts[i].Count)
	}
	return b.String()
}

// describeChange says what a change does to the state of an entity.
func describeChange(b *strings.Builder, c *msg.Change) {
	switch c.Kind {
	case msg.ChangeRoot:
		fmt.Fprintf(b, ", state %s", excerpt(c.Value))
	case msg.ChangePatch:
		fmt.Fprintf(b, ", state from byte %d on %s in place of %d", c.Offset, excerpt(c.Value), c.Remove)
	case msg.ChangeDelete:
		b.WriteString(", deleted")
	case msg.ChangeRemove:
		fmt.Fprintf(b, ", no %s[%s]", c.Field, c.Key)
	case msg.ChangeClear:
		fmt.Fprintf(b, ", no %s", c.Field)
	case msg.ChangePut:
		fmt.Fprintf(b, ", %s[%s] %s", c.Field, c.Key, excerpt(c.Value))
	case msg.ChangeAppend:
		if fmt.Fprintf(b, ", one more in %s", c.Field); c.Field != msg.JournalField {
			fmt.Fprintf(b, " %s", excerpt(c.Value))
		}
	}
}

// excerptMax is how much of a value is shown.
const excerptMax = 80

func excerpt(value []byte) string {
	if len(value) <= excerptMax {
		return strings.ToValidUTF8(string(value), "?")
	}
	return fmt.Sprintf("%s… (%d bytes)", strings.ToValidUTF8(string(value[:excerptMax]), "?"), len(value))
}

func describeID(id msg.MessageID) string {
	return fmt.Sprintf("%d>%d#%d", id.Source, id.Destination, id.Number)
}

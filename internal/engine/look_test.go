package engine

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// TestWhatIsDurableCanBeLookedAt sends a message that is not handled yet, and
// looks at both ends of its way.
func TestWhatIsDurableCanBeLookedAt(t *testing.T) {
	r := newRig(t, 2, Limits{}, thing("add", "send"))
	from, to := r.keysOn(0, 1)[0], r.keysOn(1, 1)[0]
	r.program["add"], r.program["send"] = add, sendTo("add", to)
	r.holding[to] = true
	r.call(msg.Request{Target: ref(from), Handler: "send", Payload: body("1")})
	sender, receiver := r.partitions[0], r.partitions[1]

	var ways []string
	look := func(p *Partition) {
		p.Messages(func(m *msg.Message, waits bool) { ways = append(ways, fmt.Sprint(m.Handler, m.ID.Number, waits)) })
	}
	if look(sender); !slices.Equal(ways, []string{"add1 false"}) || receiver.HasConsumed(msg.MessageID{Destination: 1, Number: 1}) {
		t.Errorf("before: %v", ways)
	}
	r.advance(2 * receiver.config.Limits.AcceptAfter)
	ways = nil
	if look(receiver); !slices.Equal(ways, []string{"add1 true"}) || !receiver.HasConsumed(msg.MessageID{Destination: 1, Number: 1}) {
		t.Errorf("once it is accepted: %v", ways)
	}
	r.release(to)
	var entities []msg.Ref
	receiver.Entities(func(e msg.Ref) bool { entities = append(entities, e); return true })
	if len(entities) != 1 || entities[0] != ref(to) || !receiver.State(ref(to)).Exists || receiver.State(ref(from)).Exists {
		t.Errorf("there are %v", entities)
	}
}

// TestADumpShowsEverythingThatIsDurable changes one thing after the other.
func TestADumpShowsEverythingThatIsDurable(t *testing.T) {
	r := newRig(t, 1, Limits{}, thing("all"))
	steps := []msg.Outcome{
		{Root: &msg.Payload{Body: []byte("1")}},
		{Root: &msg.Payload{Body: []byte("1")}, Changes: []msg.Change{{Kind: msg.ChangePut, Field: "map", Key: "a", Value: []byte("x")}}},
		{Root: &msg.Payload{Body: []byte("1")}, Changes: []msg.Change{{Kind: msg.ChangePut, Field: "map", Key: "a", Value: []byte("y")}}},
		{Root: &msg.Payload{Body: []byte("1")}, Changes: []msg.Change{{Kind: msg.ChangeAppend, Field: "list", Value: []byte("z")}}},
		{Root: &msg.Payload{Body: []byte("1")}, Remind: []msg.Reminder{{Name: "r", Handler: "all", Due: startTime * 2}}},
		{Root: &msg.Payload{Body: []byte("1")}, Sends: []msg.Outgoing{{Target: ref("k"), Handler: "all", NotBefore: startTime * 2}}},
	}
	seen := map[string]bool{}
	for n := range steps {
		r.program["all"] = func(*msg.Turn) *msg.Outcome { return &steps[n] }
		r.call(msg.Request{Target: ref("k"), Handler: "all"})
		var state []string
		for line := range strings.Lines(r.partitions[0].Dump()) {
			if !strings.HasPrefix(line, "index ") {
				state = append(state, line)
			}
		}
		text := strings.Join(state, "")
		if seen[text] {
			t.Errorf("step %d does not show in\n%s", n, text)
		}
		seen[text] = true
	}
}

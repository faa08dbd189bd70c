package ingress_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-io/holdfast/internal/ingress"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/program"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const partitionCount = 4

// partitions stands for the partitions behind a door: it remembers what it is
// told, and answers as a test says.
type partitions struct {
	answer func(p msg.Partition, c msg.Command) (msg.Reply, bool) // false: not now
	full   error

	mu   sync.Mutex
	told []told
}

// told is a command and the partition that was told it.
type told struct {
	partition msg.Partition
	msg.Command
}

// now answers everything with the same at once.
func now(reply msg.Reply) *partitions {
	return &partitions{answer: func(msg.Partition, msg.Command) (msg.Reply, bool) { return reply, true }}
}

// never answers nothing.
func never() *partitions {
	return &partitions{answer: func(msg.Partition, msg.Command) (msg.Reply, bool) { return msg.Reply{}, false }}
}

func (p *partitions) command(to msg.Partition, c msg.Command) {
	p.mu.Lock()
	p.told = append(p.told, told{to, c})
	p.mu.Unlock()
	if c.Kind != msg.CommandRequest {
		return
	}
	if reply, ok := p.answer(to, c); ok {
		c.Waiter.Answer(reply)
	}
}

// commands are those that were told so far.
func (p *partitions) commands() []told {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]told(nil), p.told...)
}

func (p *partitions) room() error { return p.full }

var errFull = errors.New("the disk is full")

// description has a kind that is placed by an affinity and one that is not, and
// a workflow.
func description() program.Description {
	return program.Description{Kinds: []msg.Kind{
		{Name: "account", Handlers: []msg.Handler{
			{Name: "balance", Mode: msg.ModeRead, Aliases: []string{"funds"}}, {Name: "deposit", Mode: msg.ModeUpdate},
		}},
		{Name: "cart", Affinity: "customer", Handlers: []msg.Handler{{Name: "add", Mode: msg.ModeUpdate, Aliases: []string{"put"}}}},
		{Name: "light", Form: msg.FormMachine, Handlers: []msg.Handler{{Name: "switch", Mode: msg.ModeUpdate}}},
		{Name: "mute"},
		{Name: "transfer", Form: msg.FormWorkflow, Handlers: []msg.Handler{
			{Name: "approve", Mode: msg.ModeSignal, Aliases: []string{"accept"}}, {Name: msg.HandlerRun, Mode: msg.ModeWorkflow},
			{Name: "progress", Mode: msg.ModeQuery},
		}},
		{Name: "watch", Form: msg.FormWorkflow},
	}, Events: []program.Event{
		{Event: msg.Event{Name: "moved", Subscribers: []msg.Subscriber{{Kind: "account"}}}},
		{Event: msg.Event{Name: "split"}, Touches: func(p msg.Payload) ([]msg.Ref, *msg.Error) {
			if len(p.Body) == 0 {
				return nil, msg.Errorf(msg.CodeInvalidArgument, msg.ClassInvalidArgument, "the event is empty")
			}
			return []msg.Ref{{Kind: "account", Key: string(p.Body)}}, nil
		}},
	}}
}

// newIngress makes a door that has not been opened.
func newIngress(p *partitions) *ingress.Ingress {
	return ingress.New(ingress.Config{
		Description: description(), Partitions: partitionCount, Command: p.command, Room: p.room,
		Now: func() msg.Time { return msg.TimeOf(time.Now()) }, Nonce: 0x0102030405060708, BodyBytesMax: 1000,
	})
}

func openIngress(p *partitions) *ingress.Ingress {
	i := newIngress(p)
	i.Open()
	return i
}

func deposit() *msg.Request {
	return &msg.Request{Operation: msg.OperationCall, Target: alice, Handler: "deposit"}
}

func checkInflight(t *testing.T, i *ingress.Ingress, want int) {
	t.Helper()
	if got := i.Inflight(); got != want {
		t.Errorf("%d requests wait, want %d", got, want)
	}
}

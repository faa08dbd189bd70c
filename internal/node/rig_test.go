package node_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/host/memory"
	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/node"
	"github.com/holdfast-io/holdfast/internal/program"
)

func TestMain(m *testing.M) {
	if serveAsChild() {
		return
	}
	goleak.VerifyTestMain(m)
}

// patience is how long a test waits for what has to happen.
const patience = 20 * time.Second

// script is a program of one kind, "cell", with a handler for everything that
// can happen to a turn. A cell's state is a list of what was written into it.
type script struct {
	version string            // of the code
	decodes func(string) bool // whether a state decodes; nil: always
	hooks   sync.Map          // name of a handler to func(*msg.Turn), run before it
}

// what a script is told to do.
type order struct {
	Write  string            `json:"write,omitempty"`
	Send   map[string]string `json:"send,omitempty"`  // key to what is written there
	Delay  time.Duration     `json:"delay,omitempty"` // of what is sent
	Panic  bool              `json:"panic,omitempty"`
	Remind string            `json:"remind,omitempty"` // name of a reminder, which writes its name
	In     time.Duration     `json:"in,omitempty"`
	Every  time.Duration     `json:"every,omitempty"`
	Forget string            `json:"forget,omitempty"`
	Exit   bool              `json:"exit,omitempty"` // ends the process
	Pad    string            `json:"pad,omitempty"`  // makes what is sent longer
}

func (s *script) Describe() program.Description {
	return program.Description{App: "script", CodeVersion: s.version, Kinds: []msg.Kind{{Name: "cell", Handlers: []msg.Handler{
		{Name: "do", Mode: msg.ModeUpdate, Input: []byte(`{"type":"object"}`)}, {Name: "look", Mode: msg.ModeRead},
	}}}}
}

// hook runs a function before every turn of a handler.
func (s *script) hook(handler string, f func(context.Context, *msg.Turn)) { s.hooks.Store(handler, f) }

func (s *script) Turn(ctx context.Context, t *msg.Turn) *msg.Outcome {
	if f, ok := s.hooks.Load(t.Message.Handler); ok {
		f.(func(context.Context, *msg.Turn))(ctx, t)
	}
	o := &msg.Outcome{Run: t.Run}
	if t.State.Exists && s.decodes != nil && !s.decodes(string(t.State.Root.Body)) {
		o.Fault = "the state of " + t.Message.Target.String() + " does not decode"
		return o
	}
	if t.Message.Handler == "look" {
		o.Output = t.State.Root
		return o
	}
	var do order
	if err := json.Unmarshal(t.Message.Payload.Body, &do); err != nil {
		o.Err = msg.Errorf(msg.CodeFailed, msg.ClassFailed, "%v", err)
		return o
	}
	do.carryOut(t, o)
	return o
}

func (d *order) carryOut(t *msg.Turn, o *msg.Outcome) {
	if d.Exit {
		exitProcess()
	}
	if d.Panic {
		o.Panicked, o.Err = true, msg.Errorf(msg.CodePanic, msg.ClassFailed, "as was asked")
		return
	}
	var list []string
	if t.State.Exists {
		_ = json.Unmarshal(t.State.Root.Body, &list)
	}
	if d.Write != "" {
		list = append(list, d.Write)
	}
	for key, write := range d.Send {
		out := msg.Outgoing{Target: msg.Ref{Kind: "cell", Key: key}, Handler: "do", Payload: payload(order{Write: write, Pad: d.Pad})}
		if d.Delay > 0 {
			out.NotBefore = t.Now + msg.Time(d.Delay)
		}
		o.Sends = append(o.Sends, out)
	}
	if d.Remind != "" {
		o.Remind = []msg.Reminder{{Name: d.Remind, Handler: "do", Payload: payload(order{Write: d.Remind}),
			Due: t.Now + msg.Time(d.In), Schedule: msg.Schedule{Every: d.Every}}}
	}
	if d.Forget != "" {
		o.Forget = []string{d.Forget}
	}
	body, _ := json.Marshal(list)
	o.Root, o.Output = &msg.Payload{Body: body}, msg.Payload{Body: body}
}

func payload(d order) msg.Payload {
	body, _ := json.Marshal(d)
	return msg.Payload{Body: body}
}

// rig is a node on a host in memory that a test stops, crashes and starts.
type rig struct {
	t      testing.TB
	store  *memory.Store
	host   host.Host
	script *script
	config node.Config
	log    *logBuffer
	wrap   func(host.Host) host.Host
	*node.Node
}

// logBuffer is safe for concurrent use.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

const rigPartitions = 8

func newRig(t testing.TB) *rig {
	return &rig{t: t, store: memory.New(memory.Config{Identity: host.Identity{Partitions: rigPartitions}}), script: &script{}, log: &logBuffer{}}
}

// tryStart starts a node on what is in the store.
func (r *rig) tryStart() error {
	r.t.Helper()
	return r.startAs(r.script)
}

// startAs starts a node with a program.
func (r *rig) startAs(p program.Program) error {
	r.t.Helper()
	h, err := r.store.Open()
	if err != nil {
		r.t.Fatal(err)
	}
	r.host = h
	if r.wrap != nil {
		r.host = r.wrap(h)
	}
	c := r.config
	c.Host, c.Program, c.Logger = r.host, p, slog.New(slog.NewTextHandler(r.log, nil))
	r.Node, err = node.Start(context.Background(), c)
	if err != nil {
		_ = h.Close()
	}
	return err
}

// affine is a program that places its kind by an affinity.
type affine struct{ *script }

func (a affine) Describe() program.Description {
	d := a.script.Describe()
	d.Kinds[0].Affinity = "organ"
	return d
}

func (r *rig) start() *rig {
	r.t.Helper()
	if err := r.tryStart(); err != nil {
		r.t.Fatal(err)
	}
	return r
}

// stop ends the node in order.
func (r *rig) stop() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := r.Close(ctx); err != nil {
		r.t.Fatalf("close: %v", err)
	}
	if err := r.host.Close(); err != nil {
		r.t.Fatal(err)
	}
}

// crash takes the host away from the node, as the end of a process would, and
// then cleans up what a process would have taken with it.
func (r *rig) crash() {
	r.store.Crash()
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	_ = r.Close(gone)
}

// do asks a cell to do something.
func (r *rig) do(key string, d order) msg.Reply {
	return r.ask(&msg.Request{Target: msg.Ref{Kind: "cell", Key: key}, Handler: "do", Payload: payload(d)})
}

// ask gives up after a while, though without a deadline, which would be one of
// the clock of the test.
func (r *rig) ask(request *msg.Request) msg.Reply {
	ctx, cancel := context.WithCancel(context.Background())
	defer time.AfterFunc(patience, cancel).Stop()
	defer cancel()
	return r.Door().Do(ctx, request)
}

// logged checks that one line of the log says all of that.
func (r *rig) logged(says ...string) {
	r.t.Helper()
	for line := range strings.Lines(r.log.String()) {
		if !slices.ContainsFunc(says, func(text string) bool { return !strings.Contains(line, text) }) {
			return
		}
	}
	r.t.Errorf("no line of the log says %q:\n%s", says, r.log)
}

// must fails the test if a reply is an error.
func (r *rig) must(reply msg.Reply) {
	r.t.Helper()
	if reply.Err != nil {
		r.t.Fatal(reply.Err)
	}
}

// look reads what was written into a cell.
func (r *rig) look(key string) (list []string) {
	r.t.Helper()
	reply := r.ask(&msg.Request{Target: msg.Ref{Kind: "cell", Key: key}, Handler: "look"})
	r.must(reply)
	if len(reply.Payload.Body) > 0 {
		if err := json.Unmarshal(reply.Payload.Body, &list); err != nil {
			r.t.Fatal(err)
		}
	}
	return list
}

// until waits for what has to happen some time.
func (r *rig) until(what string, holds func() bool) {
	r.t.Helper()
	for began := time.Now(); !holds(); runtime.Gosched() {
		if time.Since(began) > patience {
			r.t.Fatalf("%s: it does not happen\n%s", what, r.log)
		}
	}
}

// written waits until something was written into a cell a number of times.
func (r *rig) written(key string, times int) {
	r.t.Helper()
	r.until(fmt.Sprintf("%s was written %d times", key, times), func() bool { return len(r.look(key)) >= times })
}

func (r *rig) wantCode(reply msg.Reply, code string) {
	r.t.Helper()
	if reply.Err == nil || reply.Err.Code != code {
		r.t.Fatalf("got %+v, want %s", reply, code)
	}
}

func (*script) Perform(_ context.Context, t *msg.TaskRun, _ func(msg.Payload)) *msg.TaskOutcome {
	return program.NotServed(t, "nothing here")
}
